//! The blocks that can be asked for: which one is meant, and what is told of it.

use primitive_types::H256;
use rlp::{Rlp, RlpStream};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::params::text;
use super::reply::{Refusal, push_data, push_number, push_quantity};
use super::{KnownBlock, Source, SourceError};

/// Which block is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockId {
    /// The one with the highest number whose whole state is there, or without any the highest; also what is asked for as
    /// safe or finalized, since a synced root is final here.
    Latest,
    /// The block that is not made yet; never known.
    Pending,
    /// By number.
    Number(u64),
    /// By hash.
    Hash(H256),
}

impl BlockId {
    /// Reads a tag or a number in hex.
    pub(super) fn number(text: &str) -> Option<Self> {
        match text {
            "latest" | "safe" | "finalized" => Some(Self::Latest),
            "pending" => Some(Self::Pending),
            "earliest" => Some(Self::Number(0)),
            _ => {
                let digits = text.strip_prefix("0x").filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
                u64::from_str_radix(digits, 16).ok().map(Self::Number)
            }
        }
    }

    /// Reads a hash of 32 bytes in hex.
    pub(super) fn hash(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0x")?.as_bytes();
        let mut hash = H256::zero();
        (digits.len() == 2 * H256::len_bytes()).then_some(())?;
        faster_hex::hex_decode(digits, &mut hash.0).ok()?;
        Some(Self::Hash(hash))
    }

    /// Reads a tag, a number, a hash, or an object with one of them (EIP-1898).
    pub(super) fn any(raw: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Object {
            block_hash: Option<String>,
            block_number: Option<String>,
        }
        if let Some(text) = text(raw) {
            return Self::hash(&text).or_else(|| Self::number(&text));
        }
        match serde_json::from_str(raw.get()).ok()? {
            Object { block_hash: Some(hash), block_number: None } => Self::hash(&hash),
            Object { block_hash: None, block_number: Some(number) } => Self::number(&number),
            _ => None,
        }
    }

    /// The block meant, if the source knows it.
    pub(super) fn find(self, source: &dyn Source) -> Result<Option<KnownBlock>, SourceError> {
        let mut blocks = source.blocks()?.into_iter();
        Ok(match self {
            // One whose whole state is there goes before all others.
            Self::Latest => blocks.max_by_key(|block| (block.scope.is_none(), block.number)),
            Self::Pending => None,
            Self::Number(number) => blocks.find(|block| block.number == number),
            Self::Hash(hash) => blocks.find(|block| block.hash == hash),
        })
    }
}

impl BlockId {
    /// The block meant, which must be known.
    pub(super) fn known(self, source: &dyn Source) -> Result<KnownBlock, Refusal> {
        if let Some(block) = self.find(source)? {
            return Ok(block);
        }
        Err(Refusal::failed(match self {
            Self::Hash(_) => "header for hash not found",
            // Not a text of geth, which always has a block.
            _ if source.blocks()?.is_empty() => {
                "header not found: no state here belongs to a known block; sync with --block instead of --root to have it"
            }
            _ => "header not found",
        }))
    }

    /// The header of the block meant, which must be known.
    pub(super) fn header(self, source: &dyn Source) -> Result<Vec<u8>, Refusal> {
        let block = self.known(source)?;
        let unknown = || {
            let number = block.number;
            Refusal::failed(format!("header not found: of block {number} only the number and the hash are known"))
        };
        block.header.ok_or_else(unknown)
    }
}

/// How a header's field is told.
enum Form {
    /// All its bytes.
    Data,
    /// A number.
    Quantity,
}

/// A header's fields in their order, under their JSON-RPC names (execution-apis; those of Amsterdam as in geth 1.17).
/// After the first 15, each fork only added.
const FIELDS: [(&str, Form); 23] = [
    ("parentHash", Form::Data),
    ("sha3Uncles", Form::Data),
    ("miner", Form::Data),
    ("stateRoot", Form::Data),
    ("transactionsRoot", Form::Data),
    ("receiptsRoot", Form::Data),
    ("logsBloom", Form::Data),
    ("difficulty", Form::Quantity),
    ("number", Form::Quantity),
    ("gasLimit", Form::Quantity),
    ("gasUsed", Form::Quantity),
    ("timestamp", Form::Quantity),
    ("extraData", Form::Data),
    ("mixHash", Form::Data),
    ("nonce", Form::Data),
    ("baseFeePerGas", Form::Quantity),
    ("withdrawalsRoot", Form::Data),
    ("blobGasUsed", Form::Quantity),
    ("excessBlobGas", Form::Quantity),
    ("parentBeaconBlockRoot", Form::Data),
    ("requestsHash", Form::Data),
    ("blockAccessListHash", Form::Data),
    ("slotNumber", Form::Quantity),
];

/// Index of the first field that only blocks with withdrawals have (EIP-4895).
const WITHDRAWALS_FIELD: usize = 16;

/// Writes a block as an object: its hash and the header's fields, as geth tells it; where the header is not known, the
/// number and the state root only. Its body is never known, and told as an empty one.
pub(super) fn push_block(out: &mut Vec<u8>, block: &KnownBlock) -> Result<(), Refusal> {
    out.extend_from_slice(br#"{"hash":"#);
    push_data(out, block.hash.as_bytes());
    if let Some(header) = &block.header {
        push_header(out, header).map_err(|error| {
            Refusal::failed(format!("the header of block {} cannot be read: {error}", block.number))
        })?;
    } else {
        push_name(out, "number");
        push_quantity(out, block.number);
        push_name(out, "stateRoot");
        push_data(out, block.state_root.as_bytes());
    }
    out.push(b'}');
    Ok(())
}

fn push_header(out: &mut Vec<u8>, header: &[u8]) -> Result<(), rlp::DecoderError> {
    let has_withdrawals = Rlp::new(header).item_count()? > WITHDRAWALS_FIELD;
    for ((name, form), item) in FIELDS.iter().zip(&Rlp::new(header)) {
        let bytes = item.data()?;
        push_name(out, name);
        match form {
            Form::Data => push_data(out, bytes),
            Form::Quantity => push_number(out, bytes),
        }
    }
    push_name(out, "size");
    push_quantity(out, size(header, has_withdrawals));
    out.extend_from_slice(br#","transactions":[],"uncles":[]"#);
    if has_withdrawals {
        out.extend_from_slice(br#","withdrawals":[]"#);
    }
    Ok(())
}

/// Bytes of the RLP of a block with this header and nothing else in it.
fn size(header: &[u8], has_withdrawals: bool) -> u64 {
    let lists = if has_withdrawals { 3 } else { 2 };
    let mut block = RlpStream::new_list(1 + lists);
    block.append_raw(header, 1);
    for _ in 0..lists {
        block.begin_list(0);
    }
    block.out().len() as u64
}

fn push_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}
