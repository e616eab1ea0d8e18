//! Peers that lie, stall, cut, shuffle, repeat, come late, prune, cap, move their state, go away and come back.

use std::collections::HashSet;
use std::time::Duration;

use primitive_types::H256;

use super::rng::Rng;
use super::world::World;
use crate::peers::{Ask, CallError, Chain, Dialect, Dispatch, PeerInfo, ProbeError, TransportError};
use crate::trie::{Item, Kind};

/// A peer and its habits, in percent of answers or requests.
#[derive(Debug)]
pub(super) struct SimPeer {
    pub(super) dialect: Dialect,
    /// The states it has; a path peer has the last of them only.
    states: Vec<usize>,
    pruned: HashSet<H256>,
    away: bool,
    lies: u64,
    absences: u64,
    nulls: u64,
    errors: u64,
    stalls: u64,
    drops: u64,
    pages: u64,
    cuts: u64,
    shuffles: bool,
    repeats: bool,
    strangers: bool,
    limits: u64,
    batch_cap: usize,
    reply_cap: usize,
    slowest: u64,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) struct Fate {
    /// When the reply comes; never if it is longer than anyone waits.
    pub(super) after: Duration,
    pub(super) reply: Result<Vec<u8>, TransportError>,
}

/// Longer than anyone waits.
const NEVER: Duration = Duration::from_secs(1_000_000);

impl SimPeer {
    /// A peer with all states that does as it should, only slowly sometimes.
    pub(super) fn honest(world: &World, rng: &mut Rng) -> Self {
        Self {
            dialect: *rng.pick(&[Dialect::Hash, Dialect::HalfPath, Dialect::NethermindHash]),
            states: (0..world.states.len()).collect(),
            pruned: HashSet::new(),
            away: false,
            lies: 0,
            absences: 0,
            nulls: 0,
            errors: 0,
            stalls: 0,
            drops: 0,
            pages: 0,
            cuts: 0,
            shuffles: rng.chance(30),
            repeats: false,
            strangers: rng.chance(10),
            limits: 0,
            batch_cap: usize::MAX,
            reply_cap: usize::MAX,
            slowest: *rng.pick(&[2, 30, 400, 3_000]),
        }
    }

    /// A peer with faults of any kind.
    pub(super) fn faulty(world: &World, rng: &mut Rng) -> Self {
        let mut sometimes = |percent: u64, most: u64| if rng.chance(percent) { 1 + rng.below(most) } else { 0 };
        let (lies, absences, nulls) = (sometimes(40, 60), sometimes(30, 50), sometimes(15, 40));
        let (errors, stalls, drops) = (sometimes(20, 30), sometimes(25, 30), sometimes(30, 40));
        let (pages, cuts, limits) = (sometimes(15, 20), sometimes(20, 30), sometimes(20, 30));
        let honest = Self::honest(world, rng);
        let states = match rng.below(3) {
            0 => honest.states.clone(),
            _ => vec![rng.index(world.states.len())],
        };
        Self {
            dialect: *rng.pick(&[Dialect::Hash, Dialect::Path, Dialect::Path, Dialect::HalfPath, Dialect::Codes]),
            states,
            lies,
            absences,
            nulls,
            errors,
            stalls,
            drops,
            pages,
            cuts,
            repeats: rng.chance(20),
            limits,
            batch_cap: if rng.chance(25) { 1 + rng.index(8) } else { usize::MAX },
            reply_cap: if rng.chance(25) { 1 + rng.index(8) } else { usize::MAX },
            slowest: *rng.pick(&[2, 50, 500, 8_000, 40_000]),
            ..honest
        }
    }

    /// Something happens to it.
    pub(super) fn live(&mut self, world: &World, rng: &mut Rng) -> String {
        match rng.below(4) {
            0 => self.away = !self.away,
            1 => self.states = vec![rng.index(world.states.len())],
            2 => {
                let share = 1 + rng.below(60);
                self.pruned =
                    world.bytes.keys().map(|key| key.hash).filter(|hash| hash.0[31] as u64 % 100 < share).collect();
            }
            _ => self.pruned.clear(),
        }
        format!("away {} states {:?} pruned {}", self.away, self.states, self.pruned.len())
    }

    pub(super) fn probe(&self) -> Result<PeerInfo, ProbeError> {
        if self.away {
            return Err(CallError::Transport(TransportError::Connection("refused".into())).into());
        }
        Ok(PeerInfo { chain: Chain::default(), client: None, dialect: self.dialect, head: None })
    }

    /// Answers a request.
    pub(super) fn answer(&self, world: &World, rng: &mut Rng, request: &Dispatch) -> Fate {
        let after = rng.millis(1, self.slowest);
        let fails = |reply| Fate { after, reply: Err(reply) };
        if self.away || rng.chance(self.drops) {
            return fails(TransportError::Connection("reset".into()));
        }
        if rng.chance(self.stalls) {
            return Fate { after: NEVER, reply: Err(TransportError::Connection("never".into())) };
        }
        if rng.chance(self.limits) {
            let retry_after = rng.chance(50).then(|| rng.millis(0, 3_000));
            return fails(TransportError::Status { code: 429, retry_after, text: String::new() });
        }
        if rng.chance(self.pages) {
            return Fate { after, reply: Ok(b"<html>502</html>".to_vec()) };
        }
        let body = self.body(world, rng, &request.asks);
        let end = if rng.chance(self.cuts) { rng.index(body.len()) } else { body.len() };
        Fate { after, reply: Ok(body.as_bytes()[..end].to_vec()) }
    }

    fn body(&self, world: &World, rng: &mut Rng, asks: &[Ask]) -> String {
        if asks.len() > self.batch_cap {
            return r#"[{"jsonrpc":"2.0","id":0,"error":{"code":-32600,"message":"batch too large"}}]"#.into();
        }
        let mut elements: Vec<String> = Vec::new();
        for (id, ask) in asks.iter().enumerate() {
            let answer = if id < self.reply_cap {
                self.element(world, rng, ask)
            } else {
                r#""error":{"code":-32003,"message":"response too large"}"#.into()
            };
            elements.push(format!(r#"{{"jsonrpc":"2.0","id":{id},{answer}}}"#));
            if self.repeats {
                elements.push(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"0x00"}}"#));
            }
        }
        if self.strangers {
            elements.insert(0, r#"{"jsonrpc":"2.0","id":100000,"result":"0x00"}"#.into());
        }
        if self.shuffles && !self.repeats {
            for last in (1..elements.len()).rev() {
                elements.swap(last, rng.index(last + 1));
            }
        }
        format!("[{}]", elements.join(","))
    }

    fn element(&self, world: &World, rng: &mut Rng, ask: &Ask) -> String {
        let found = self.value(world, &ask.item);
        let absent = || r#""error":{"code":-32000,"message":"pebble: not found"}"#.to_owned();
        if rng.chance(self.errors) {
            return r#""error":{"code":-32603,"message":"internal"}"#.into();
        }
        if rng.chance(self.nulls) {
            return r#""result":null"#.into();
        }
        let Some(mut bytes) = found.filter(|_| !rng.chance(self.absences)) else { return absent() };
        if rng.chance(self.lies) {
            match rng.below(3) {
                0 => bytes.push(0),
                1 => bytes = world.states[0].things.values().next().unwrap().bytes.clone(),
                _ => {
                    let place = rng.index(bytes.len());
                    bytes[place] ^= 1 << rng.below(8);
                }
            }
        }
        format!(r#""result":"0x{}""#, faster_hex::hex_string(&bytes))
    }

    /// What it has under the item's key.
    fn value(&self, world: &World, item: &Item) -> Option<Vec<u8>> {
        let has = |state: &usize| world.states[*state].own.contains(&item.key);
        let hash = if self.dialect == Dialect::Path && item.key.kind != Kind::Code {
            let owner = (item.key.kind == Kind::StorageNode).then_some(item.owner);
            *world.by_place[*self.states.last()?].get(&(owner, item.path.iter().collect()))?
        } else if self.states.iter().any(has) {
            item.key.hash
        } else {
            return None;
        };
        if self.pruned.contains(&hash) {
            return None;
        }
        let of = |kind| world.bytes.get(&crate::trie::Key { kind, hash });
        of(item.key.kind).or_else(|| of(Kind::StorageNode)).or_else(|| of(Kind::AccountNode)).cloned()
    }
}
