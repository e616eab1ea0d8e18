//! What a peer is: asked once, before it is given work.

use std::fmt;

use primitive_types::H256;
use serde_json::{Value, json};

use super::block::headers;
use super::dialect::LAST_STATE_ID;
use super::outcome::{INVALID_PARAMS, METHOD_NOT_FOUND};
use super::words::tame;
use super::{Ask, BlockId, CallError, Client, Dialect, Header, Verdict, wire};
use crate::trie::{EMPTY_ROOT, Item, Key, Kind};

/// What a peer says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// The chain it serves.
    pub chain: Chain,
    /// Its client's name and version, if it tells.
    pub client: Option<String>,
    /// How it is asked for nodes and codes.
    pub dialect: Dialect,
    /// Its newest block.
    pub head: Option<Header>,
}

/// What a peer says of itself before it is asked for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The chain it serves.
    pub chain: Chain,
    /// Its client's name and version, if it tells.
    pub client: Option<String>,
    /// Its first block.
    pub genesis: Option<Header>,
    /// Its newest block.
    pub head: Option<Header>,
}

/// Which chain, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The chain id (EIP-155).
    pub id: Option<u64>,
    /// The hash of its first block.
    pub genesis: Option<H256>,
}

/// Why a peer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It offers no method that reads keys.
    #[error("the peer offers neither debug_dbGet nor debug_getFromDb ({0})")]
    NoDebug(String),
}

impl ProbeError {
    /// Whether the peer may be usable later, without anyone changing its configuration.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoDebug(_) => false,
            Self::Call(CallError::Transport(error)) => !matches!(Verdict::of_transport(error), Verdict::Refused(_)),
            Self::Call(_) => true,
        }
    }
}

impl Chain {
    /// Whether both may be the same chain: what one of them does not know is no difference.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let differ = |one: Option<u64>, two| one.zip(two).is_some_and(|(one, two)| one != two);
        let forked = self.genesis.zip(other.genesis).is_some_and(|(one, two)| one != two);
        !differ(self.id, other.id) && !forked
    }

    /// What either of them knows.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { id: self.id.or(other.id), genesis: self.genesis.or(other.genesis) }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.id, self.genesis) {
            (Some(id), Some(genesis)) => write!(f, "chain {id} with genesis {genesis:?}"),
            (Some(id), None) => write!(f, "chain {id}"),
            (None, Some(genesis)) => write!(f, "the chain with genesis {genesis:?}"),
            (None, None) => f.write_str("an unknown chain"),
        }
    }
}

/// Asks a peer for its chain, its client, and how it can be asked for nodes, unless that is `given`.
///
/// # Errors
/// [`ProbeError`] when it cannot be used.
pub async fn probe(client: &Client, given: Option<Dialect>) -> Result<PeerInfo, ProbeError> {
    let about = about(client).await?;
    let dialect = match given {
        Some(dialect) => dialect,
        None => find_dialect(client, &about).await?,
    };
    let About { chain, client, head, .. } = about;
    Ok(PeerInfo { chain, client, dialect, head })
}

/// Asks a peer for its chain and its client.
pub(crate) async fn about(client: &Client) -> Result<About, CallError> {
    let about = client.batch(&[("eth_chainId", json!([])), ("web3_clientVersion", json!([]))]).await?;
    let mut about = about.into_iter().map(Result::ok);
    let id = about.next().flatten().as_ref().and_then(quantity);
    let name = about.next().flatten().and_then(|name| name.as_str().map(tame));
    let blocks = headers(client, &[BlockId::Tag("earliest"), BlockId::Tag("latest")]).await?;
    let [genesis, head] = first_two(blocks);
    // Tags are the peer's to interpret; only block 0 is the genesis.
    let genesis = genesis.filter(|header| header.number == 0);
    let genesis_hash = genesis.as_ref().map(|header| header.hash);
    let id = match (id, genesis_hash) {
        (None, Some(genesis)) => config_chain_id(client, &genesis).await,
        (id, _) => id,
    };
    Ok(About { chain: Chain { id, genesis: genesis_hash }, client: name, genesis, head })
}

fn first_two(headers: Vec<Result<Header, String>>) -> [Option<Header>; 2] {
    let mut headers = headers.into_iter().map(Result::ok);
    [headers.next().flatten(), headers.next().flatten()]
}

fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// The chain id in go-ethereum's own record of the chain's configuration (`core/rawdb/schema.go`, `configPrefix`): for
/// a node that offers the debug namespace and nothing else.
async fn config_chain_id(client: &Client, genesis: &H256) -> Option<u64> {
    let key = [b"ethereum-config-".as_slice(), genesis.as_bytes()].concat();
    let record = client.call("debug_dbGet", json!([format!("0x{}", faster_hex::hex_string(&key))])).await.ok()?;
    let record: Value = serde_json::from_slice(&wire::unhex(record.as_str()?)?).ok()?;
    record.get("chainId")?.as_u64()
}

/// What a peer said to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reading {
    Value,
    Absent,
    /// It takes no such key.
    BadKey,
    NoMethod(String),
}

impl Reading {
    fn of(answer: Result<Value, CallError>) -> Self {
        match answer {
            Ok(Value::Null) => Self::Absent,
            Ok(_) => Self::Value,
            Err(CallError::Rpc(error)) if error.code == INVALID_PARAMS => Self::BadKey,
            Err(CallError::Rpc(error)) if error.code == METHOD_NOT_FOUND => Self::NoMethod(error.message),
            // "not found" and whatever else: the method is there.
            Err(_) => Self::Absent,
        }
    }
}

/// Finds out how a peer can be asked: by reading the state roots of two blocks that it names, in every dialect.
pub(crate) async fn find_dialect(client: &Client, about: &About) -> Result<Dialect, ProbeError> {
    let blocks = [&about.head, &about.genesis];
    let roots: Vec<H256> = blocks.into_iter().flatten().map(|header| header.state_root).collect();
    let roots = if roots.is_empty() { vec![EMPTY_ROOT] } else { roots };
    let mut calls = vec![("debug_dbGet", json!([LAST_STATE_ID]))];
    let mut asked = vec![Dialect::Path];
    for root in roots {
        for dialect in Dialect::ALL {
            let kind = if dialect == Dialect::Codes { Kind::Code } else { Kind::AccountNode };
            calls.push(read_root(dialect, kind, root));
            asked.push(dialect);
        }
    }
    let answers = client.batch(&calls).await?;
    let readings: Vec<(Dialect, Reading)> = asked.into_iter().zip(answers.into_iter().map(Reading::of)).collect();
    tell(&readings, about.client.as_deref()).map_err(ProbeError::NoDebug)
}

/// The call that reads a state's root node, whatever its hash under the path dialect.
fn read_root(dialect: Dialect, kind: Kind, root: H256) -> (&'static str, Value) {
    let item = Item { key: Key { kind, hash: root }, ..Item::root(root) };
    dialect.call(&Ask { item, bare_code: false })
}

/// Draws the conclusion. A value decides; without one, the methods that are there and the client's name do.
fn tell(readings: &[(Dialect, Reading)], name: Option<&str>) -> Result<Dialect, String> {
    let of =
        |wanted: Dialect| readings.iter().filter(move |(dialect, _)| *dialect == wanted).map(|(_, reading)| reading);
    let any = |dialect, wanted: &Reading| of(dialect).any(|reading| reading == wanted);
    let with_value = [Dialect::Path, Dialect::Hash, Dialect::HalfPath, Dialect::NethermindHash];
    if let Some(dialect) = with_value.into_iter().find(|dialect| any(*dialect, &Reading::Value)) {
        return Ok(dialect);
    }
    let has_method = |dialect| of(dialect).any(|reading| !matches!(reading, Reading::NoMethod(_)));
    if has_method(Dialect::Hash) {
        // reth takes keys of codes only.
        let codes_only = of(Dialect::Hash).all(|reading| *reading == Reading::BadKey);
        return Ok(if codes_only { Dialect::Codes } else { Dialect::Hash });
    }
    if has_method(Dialect::HalfPath) {
        // Its default, unless the state of that block is only in its memory: then a guess.
        return Ok(Dialect::HalfPath);
    }
    let why = of(Dialect::Hash)
        .find_map(|reading| if let Reading::NoMethod(why) = reading { Some(why.clone()) } else { None });
    let client = name.unwrap_or("an unnamed client");
    Err(format!("{client} says: {}", why.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(of: impl Fn(Dialect) -> Reading) -> Vec<(Dialect, Reading)> {
        Dialect::ALL.into_iter().map(|dialect| (dialect, of(dialect))).collect()
    }

    fn no_method() -> Reading {
        Reading::NoMethod("the method does not exist".into())
    }

    #[test]
    fn a_value_under_a_key_tells_the_dialect() {
        for wanted in [Dialect::Hash, Dialect::Path, Dialect::HalfPath, Dialect::NethermindHash] {
            let seen = readings(|dialect| if dialect == wanted { Reading::Value } else { Reading::Absent });
            assert_eq!(tell(&seen, None), Ok(wanted));
        }
    }

    #[test]
    fn without_a_value_methods_and_refusals_tell() {
        let geth = readings(|dialect| match dialect.method() {
            "debug_dbGet" => Reading::Absent,
            _ => no_method(),
        });
        assert_eq!(tell(&geth, None), Ok(Dialect::Hash));
        let reth = readings(|dialect| match dialect {
            Dialect::Codes => Reading::Absent,
            Dialect::Hash | Dialect::Path => Reading::BadKey,
            _ => no_method(),
        });
        assert_eq!(tell(&reth, None), Ok(Dialect::Codes));
        let nethermind = readings(|dialect| match dialect.method() {
            "debug_getFromDb" => Reading::Absent,
            _ => no_method(),
        });
        assert_eq!(tell(&nethermind, None), Ok(Dialect::HalfPath));
        assert!(tell(&readings(|_| no_method()), Some("Besu")).unwrap_err().contains("Besu"));
    }

    #[test]
    fn chains_differ_in_what_both_know() {
        let one = Chain { id: Some(1), genesis: Some(H256::repeat_byte(1)) };
        assert!(one.agrees_with(&Chain::default()) && one.agrees_with(&one));
        assert!(!one.agrees_with(&Chain { id: Some(2), genesis: None }));
        assert!(!one.agrees_with(&Chain { id: Some(1), genesis: Some(H256::repeat_byte(2)) }));
        assert_eq!(Chain { id: None, genesis: one.genesis }.or(one), one);
    }
}
