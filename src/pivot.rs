//! From a block to the state root at it.

use std::fmt;
use std::str::FromStr;

use primitive_types::H256;
use serde_json::{Value, json};

use crate::genesis::decode_header;
use crate::peers::{CallError, Client, wire};
use crate::store::Block;
use crate::trie::keccak256;

/// Which block a user means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockId {
    /// `latest`, `safe`, `finalized` or `earliest`.
    Tag(&'static str),
    /// By number.
    Number(u64),
    /// By hash.
    Hash(H256),
}

/// The tags of the execution API.
const TAGS: [&str; 4] = ["latest", "safe", "finalized", "earliest"];

/// A state root and the block it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pivot {
    /// The state root.
    pub root: H256,
    /// The block.
    pub block: Block,
    /// The address of the peer that named it, without credentials.
    pub peer: String,
}

/// Why a block does not lead to a state root.
#[derive(Debug, thiserror::Error)]
pub enum PivotError {
    /// Not a block.
    #[error("\"{0}\" is not a block: give latest, safe, finalized, earliest, a number, or a 0x-prefixed block hash")]
    NotABlock(String),
    /// No peer knows it.
    #[error("no peer knows block {block}: {reasons}")]
    Unknown {
        /// The block.
        block: BlockId,
        /// What each peer said.
        reasons: String,
    },
}

impl FromStr for BlockId {
    type Err = PivotError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_a_block = || PivotError::NotABlock(text.into());
        if let Some(tag) = TAGS.iter().find(|tag| **tag == text) {
            return Ok(Self::Tag(tag));
        }
        let Some(digits) = text.strip_prefix("0x") else {
            return text.parse().map(Self::Number).map_err(|_| not_a_block());
        };
        if digits.len() == 2 * H256::len_bytes() {
            return digits.parse().map(Self::Hash).map_err(|_| not_a_block());
        }
        u64::from_str_radix(digits, 16).map(Self::Number).map_err(|_| not_a_block())
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Number(number) => write!(f, "{number}"),
            Self::Hash(hash) => write!(f, "{hash:?}"),
        }
    }
}

/// Asks the peers in turn for a block's header; the first that knows it is believed.
///
/// The header comes raw where the peer offers `debug_getRawHeader`: then number, hash and root are what its RLP says
/// for any fork, and a block given by hash is proved by it. Otherwise they are the peer's word.
///
/// # Errors
/// [`PivotError::Unknown`] when no peer knows the block.
pub async fn resolve(block: &BlockId, peers: &[Client]) -> Result<Pivot, PivotError> {
    let mut reasons = Vec::new();
    for peer in peers {
        let found = match raw_header(block, peer).await {
            Ok(found) => Ok(found),
            Err(_) => plain_block(block, peer).await,
        };
        match found {
            Ok((root, block)) => return Ok(Pivot { root, block, peer: peer.url().to_string() }),
            Err(why) => reasons.push(format!("{}: {why}", peer.url())),
        }
    }
    Err(PivotError::Unknown { block: block.clone(), reasons: reasons.join("; ") })
}

async fn raw_header(block: &BlockId, peer: &Client) -> Result<(H256, Block), String> {
    let params = json!([parameter(block)]);
    let header = peer.call("debug_getRawHeader", params).await.map_err(|error| error.to_string())?;
    let header = header.as_str().ok_or("debug_getRawHeader gave no string")?;
    let rlp = wire::unhex(header).ok_or("debug_getRawHeader gave no hex")?;
    let info = decode_header(&rlp).map_err(|error| error.to_string())?;
    let hash = keccak256(&rlp);
    check(block, info.number, hash)?;
    Ok((info.state_root, Block { number: info.number, hash, header: Some(header.into()) }))
}

async fn plain_block(block: &BlockId, peer: &Client) -> Result<(H256, Block), String> {
    let method = if matches!(block, BlockId::Hash(_)) { "eth_getBlockByHash" } else { "eth_getBlockByNumber" };
    let answer = peer.call(method, json!([parameter(block), false])).await;
    let answer = answer.map_err(|error: CallError| error.to_string())?;
    if answer.is_null() {
        return Err("it does not know the block".into());
    }
    let field = |name: &str| answer.get(name).and_then(Value::as_str).ok_or(format!("{method} gave no {name}"));
    let hash_field = |name| field(name)?.parse::<H256>().map_err(|_| format!("{name} is not a hash"));
    let number = field("number")?.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let (number, hash) = (number.ok_or("number is not a number")?, hash_field("hash")?);
    check(block, number, hash)?;
    Ok((hash_field("stateRoot")?, Block { number, hash, header: None }))
}

fn parameter(block: &BlockId) -> String {
    match block {
        BlockId::Tag(tag) => (*tag).into(),
        BlockId::Number(number) => format!("{number:#x}"),
        BlockId::Hash(hash) => format!("{hash:?}"),
    }
}

/// Whether a peer answered with the block that was asked for.
fn check(block: &BlockId, number: u64, hash: H256) -> Result<(), String> {
    match block {
        BlockId::Number(wanted) if *wanted != number => Err(format!("it answered with block {number}")),
        BlockId::Hash(wanted) if *wanted != hash => Err(format!("it answered with block {hash:?}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_tag_a_number_or_a_hash() {
        let hash = H256::repeat_byte(0xab);
        assert_eq!("finalized".parse::<BlockId>().unwrap(), BlockId::Tag("finalized"));
        assert_eq!("17".parse::<BlockId>().unwrap(), BlockId::Number(17));
        assert_eq!("0x11".parse::<BlockId>().unwrap(), BlockId::Number(17));
        assert_eq!(format!("{hash:?}").parse::<BlockId>().unwrap(), BlockId::Hash(hash));
        for bad in ["", "newest", "-1", "0x", "0xzz", "1.5"] {
            assert!(bad.parse::<BlockId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_peer_that_answers_with_another_block_is_not_believed() {
        assert!(check(&BlockId::Number(5), 6, H256::zero()).is_err());
        assert!(check(&BlockId::Hash(H256::repeat_byte(1)), 6, H256::repeat_byte(2)).is_err());
        assert!(check(&BlockId::Tag("latest"), 6, H256::repeat_byte(2)).is_ok());
    }
}
