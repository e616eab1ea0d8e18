//! The survey of one peer.

use std::time::Duration;

use primitive_types::H256;
use serde_json::{Value, json};

use super::SurveyOptions;
use super::gate::{Gate, RateLimit};
use super::limits::{BatchLimit, batch_limit};
use super::reader::{Connection, Reader, Tally};
use super::roots::{self, States};
use super::speed::{Speed, latency, speed};
use super::verdict::Usability;
use crate::peers::{About, CallError, Client, Dialect, Header, PeerUrl, ProbeError, about, find_dialect};
use crate::trie::{EMPTY_CODE_HASH, EMPTY_ROOT, Item, Key, Kind};

/// What was found out about one peer.
#[derive(Debug)]
pub struct PeerSurvey {
    /// Its address.
    pub url: PeerUrl,
    /// Of what use it is.
    pub usability: Usability,
    /// What it says of itself.
    pub about: Option<About>,
    /// How it is asked for nodes and codes.
    pub dialect: Option<Dialect>,
    /// Whether it says that it is still syncing itself.
    pub syncing: Option<bool>,
    /// The median time of a small call.
    pub latency: Option<Duration>,
    /// The states that it serves.
    pub states: States,
    /// How many items it takes in a request.
    pub batch: Option<BatchLimit>,
    /// How fast it gives nodes.
    pub speed: Option<Speed>,
    /// What came of all that was read.
    pub tally: Tally,
    /// Whether it said that it is asked too often.
    pub rate_limit: Option<RateLimit>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// The block that all peers have got to, as it has it.
    pub(super) common: Option<Header>,
}

/// A peer that has been asked who it is.
#[derive(Debug)]
pub(super) struct Met {
    client: Client,
    gate: Gate,
    about: Result<About, CallError>,
    dialect: Option<Result<Dialect, ProbeError>>,
}

/// Asks a peer who it is and how it is to be asked.
pub(super) async fn meet(client: Client, options: &SurveyOptions) -> Met {
    let mut gate = Gate::new(options.limits.requests_per_second);
    let about = about(&client).await;
    if let Err(error) = &about {
        gate.failed(error);
    }
    let dialect = match (&about, options.dialect) {
        (Err(_), _) => None,
        (Ok(_), Some(dialect)) => Some(Ok(dialect)),
        (Ok(about), None) => Some(find_dialect(&client, about).await),
    };
    if let Some(Err(ProbeError::Call(error))) = &dialect {
        gate.failed(error);
    }
    Met { client, gate, about, dialect }
}

impl Met {
    /// The number of its newest block.
    pub(super) fn head(&self) -> Option<u64> {
        Some(self.about.as_ref().ok()?.head.as_ref()?.number)
    }

    /// Finds out the rest; with the block of this number as the peer has it.
    pub(super) async fn survey(self, common: Option<u64>, options: &SurveyOptions) -> PeerSurvey {
        let Self { client, mut gate, about, dialect } = self;
        let mut peer = PeerSurvey::unknown(client.url().clone());
        match about {
            Ok(about) => peer.about = Some(about),
            Err(error) => {
                peer.usability = Usability::of_error(&ProbeError::Call(error));
                peer.rate_limit = gate.limit();
                return peer;
            }
        }
        peer.latency = latency(&client, &mut gate).await;
        peer.syncing = syncing(&client, &mut gate).await;
        let named = match roots::blocks(&client, &mut gate, common).await {
            Ok((named, common)) => {
                peer.common = common;
                named
            }
            Err(why) => {
                // Whatever is not asked any further has a note of its own.
                if gate.closed().is_none() {
                    peer.notes.push(format!("its blocks could not be read: {why}"));
                }
                Vec::new()
            }
        };
        let gate = match dialect {
            Some(Ok(dialect)) => {
                peer.dialect = Some(dialect);
                let connection = Connection { client, dialect, timeout: options.request_timeout };
                let mut reader = Reader { connection, gate, tally: Tally::default() };
                peer.states = roots::states(&mut reader, named, &mut peer.notes).await;
                peer.measure(&mut reader, options).await;
                peer.tally = reader.tally;
                peer.usability = Usability::of(&peer, reader.gate.closed());
                reader.gate
            }
            Some(Err(error)) => {
                peer.states.named = named;
                peer.usability = Usability::of_error(&error);
                gate
            }
            None => gate,
        };
        peer.rate_limit = gate.limit();
        if let Some(closed) = gate.closed() {
            peer.notes.push(format!("not asked any further: {closed}"));
        }
        peer
    }
}

impl PeerSurvey {
    fn unknown(url: PeerUrl) -> Self {
        Self {
            url,
            usability: Usability::Unreachable("it was not asked".into()),
            about: None,
            dialect: None,
            syncing: None,
            latency: None,
            states: States::default(),
            batch: None,
            speed: None,
            tally: Tally::default(),
            rate_limit: None,
            notes: Vec::new(),
            common: None,
        }
    }

    /// How much it takes at once, and how fast it is.
    async fn measure(&mut self, reader: &mut Reader, options: &SurveyOptions) {
        let root = self.states.best();
        // Whether the peer has it does not matter for how many it takes.
        let item = match reader.connection.dialect {
            Dialect::Codes => Item { key: Key { kind: Kind::Code, hash: EMPTY_CODE_HASH }, ..Item::root(H256::zero()) },
            _ => Item::root(root.unwrap_or(EMPTY_ROOT)),
        };
        let limit = batch_limit(reader, item, options.limits.batch_items).await;
        let (accepted, at_once) = (limit.accepted, options.limits.requests_per_peer.max(1));
        self.batch = Some(limit);
        if let (Some(root), Some(batch)) = (root, accepted)
            && options.items > 0
        {
            self.speed = speed(reader, root, options.items, batch, at_once).await;
        }
    }
}

/// Whether the peer is still syncing itself, if it tells.
async fn syncing(client: &Client, gate: &mut Gate) -> Option<bool> {
    gate.pass().await.ok()?;
    match client.call("eth_syncing", json!([])).await {
        Ok(Value::Bool(syncing)) => Some(syncing),
        Ok(Value::Object(_)) => Some(true),
        Ok(_) => None,
        Err(error) => {
            gate.failed(&error);
            None
        }
    }
}
