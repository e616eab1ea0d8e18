//! Blocks: which one is meant, and its header from a peer.

use std::fmt;
use std::str::FromStr;

use primitive_types::H256;
use serde_json::{Value, json};

use super::{CallError, Client, wire};
use crate::genesis::decode_header;
use crate::store::Block;
use crate::trie::keccak256;

/// Which block is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// A text does not name a block.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is not a block: give latest, safe, finalized, earliest, a number, or a 0x-prefixed block hash")]
pub struct NotABlock(String);

impl FromStr for BlockId {
    type Err = NotABlock;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_a_block = || NotABlock(text.into());
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

impl BlockId {
    /// Whether it is another block tomorrow.
    #[must_use]
    pub fn moves(&self) -> bool {
        matches!(self, Self::Tag(tag) if *tag != "earliest")
    }

    fn parameter(&self) -> String {
        match self {
            Self::Tag(tag) => (*tag).into(),
            Self::Number(number) => format!("{number:#x}"),
            Self::Hash(hash) => format!("{hash:?}"),
        }
    }
}

/// Headers asked for in one batch where many are looked through: some 300 KB of reply.
pub(crate) const HEADERS_AT_ONCE: u64 = 256;

/// What a header says, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The block's number.
    pub number: u64,
    /// The block's hash.
    pub hash: H256,
    /// The hash of the block before it.
    pub parent: H256,
    /// The root of the state after the block.
    pub state_root: H256,
    /// The header's RLP, of which `hash` is the keccak-256: then the other fields are what it says, for any fork. Without
    /// it they are a peer's word.
    pub rlp: Option<Vec<u8>>,
}

impl Header {
    /// Reads a header's RLP.
    fn from_rlp(rlp: Vec<u8>) -> Result<Self, String> {
        let info = decode_header(&rlp).map_err(|error| error.to_string())?;
        let hash = keccak256(&rlp);
        Ok(Self { number: info.number, hash, parent: info.parent_hash, state_root: info.state_root, rlp: Some(rlp) })
    }

    /// Reads a block object.
    fn from_block(block: &Value) -> Result<Self, String> {
        let field = |name: &str| block.get(name).and_then(Value::as_str).ok_or(format!("a block without {name}"));
        let hash = |name| field(name)?.parse::<H256>().map_err(|_| format!("{name} is not a hash"));
        let number = field("number")?.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        Ok(Self {
            number: number.ok_or("number is not a number")?,
            hash: hash("hash")?,
            parent: hash("parentHash")?,
            state_root: hash("stateRoot")?,
            rlp: None,
        })
    }

    /// Whether it is the block that was asked for.
    fn check(self, id: &BlockId) -> Result<Self, String> {
        match id {
            BlockId::Number(wanted) if *wanted != self.number => Err(format!("it answered with block {}", self.number)),
            BlockId::Hash(wanted) if *wanted != self.hash => Err(format!("it answered with block {:?}", self.hash)),
            _ => Ok(self),
        }
    }
}

impl From<Header> for Block {
    fn from(header: Header) -> Self {
        let rlp = header.rlp.map(|rlp| format!("0x{}", faster_hex::hex_string(&rlp)));
        Self { number: header.number, hash: header.hash, header: rlp }
    }
}

/// Asks a peer for headers, all in one batch: raw ones, and what it does not give raw as plain blocks.
///
/// # Errors
/// When the peer does not answer at all; what it says of single blocks comes with each.
pub async fn headers(peer: &Client, ids: &[BlockId]) -> Result<Vec<Result<Header, String>>, CallError> {
    let raw = ids.iter().map(|id| ("debug_getRawHeader", json!([id.parameter()]))).collect::<Vec<_>>();
    let raw = peer.batch(&raw).await?;
    let mut headers: Vec<_> = ids.iter().zip(raw).map(|(id, answer)| raw_header(id, answer)).collect();
    let plain: Vec<&BlockId> =
        ids.iter().zip(&headers).filter(|(_, header)| header.is_err()).map(|(id, _)| id).collect();
    if plain.is_empty() {
        return Ok(headers);
    }
    let calls = plain.iter().map(|id| (block_method(id), json!([id.parameter(), false]))).collect::<Vec<_>>();
    let blocks = peer.batch(&calls).await?;
    let mut blocks = plain.into_iter().zip(blocks).map(|(id, answer)| plain_block(id, answer));
    for header in headers.iter_mut().filter(|header| header.is_err()) {
        if let Some(block) = blocks.next() {
            *header = block;
        }
    }
    Ok(headers)
}

/// The same for one block.
///
/// # Errors
/// Why there is no header.
pub async fn header(peer: &Client, id: &BlockId) -> Result<Header, String> {
    let mut headers = headers(peer, &[*id]).await.map_err(|error| error.to_string())?;
    headers.pop().unwrap_or_else(|| Err("no answer".into()))
}

fn block_method(id: &BlockId) -> &'static str {
    if matches!(id, BlockId::Hash(_)) { "eth_getBlockByHash" } else { "eth_getBlockByNumber" }
}

fn raw_header(id: &BlockId, answer: Result<Value, CallError>) -> Result<Header, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    let rlp = answer.as_str().and_then(wire::unhex).ok_or("its raw header is no hex")?;
    if rlp.is_empty() {
        return Err("it does not know the block".into());
    }
    Header::from_rlp(rlp)?.check(id)
}

fn plain_block(id: &BlockId, answer: Result<Value, CallError>) -> Result<Header, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.is_null() {
        return Err("it does not know the block".into());
    }
    Header::from_block(&answer)?.check(id)
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
        let (hash, zero) = (H256::repeat_byte(2), H256::zero());
        let header = Header { number: 6, hash, parent: zero, state_root: zero, rlp: None };
        assert!(header.clone().check(&BlockId::Number(5)).is_err());
        assert!(header.clone().check(&BlockId::Hash(H256::repeat_byte(1))).is_err());
        assert!(header.check(&BlockId::Tag("latest")).is_ok());
    }

    #[test]
    fn a_block_lacks_nothing_that_is_read() {
        let hash = format!("{:?}", H256::repeat_byte(2));
        let block = json!({ "number": "0x6", "hash": hash, "parentHash": hash, "stateRoot": hash });
        assert_eq!(Header::from_block(&block).unwrap().number, 6);
        for name in ["number", "hash", "parentHash", "stateRoot"] {
            let mut less = block.clone();
            less.as_object_mut().unwrap().remove(name);
            assert!(Header::from_block(&less).unwrap_err().contains(name));
        }
    }
}
