//! Block headers: the genesis block's own, made as geth makes it, and any block's, read from RLP.

use primitive_types::{H160, H256, U256};
use rlp::{DecoderError, Encodable, Rlp, RlpStream};

use super::value::{self, FieldError, Object};
use crate::trie::EMPTY_ROOT;

/// The base fee of the first London block, in wei (EIP-1559, `INITIAL_BASE_FEE`).
const INITIAL_BASE_FEE: u64 = 1_000_000_000;
/// The gas limit geth puts where the file says zero (`params.GenesisGasLimit`).
const DEFAULT_GAS_LIMIT: u64 = 4_712_388;
/// keccak of the RLP of an empty list: the ommers hash of a block without ommers, and the
/// block access list hash of a block without accesses (EIP-7928).
const EMPTY_LIST_HASH: H256 = H256([
    0x1d, 0xcc, 0x4d, 0xe8, 0xde, 0xc7, 0x5d, 0x7a, 0xab, 0x85, 0xb5, 0x67, 0xb6, 0xcc, 0xd4, 0x1a, 0xd3, 0x12, 0x45,
    0x1b, 0x94, 0x8a, 0x74, 0x13, 0xf0, 0xa1, 0x42, 0xfd, 0x40, 0xd4, 0x93, 0x47,
]);
/// SHA-256 of nothing: the requests hash of a block without requests (EIP-7685).
const EMPTY_REQUESTS_HASH: H256 = H256([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);
/// Bytes of a header's bloom filter (yellow paper, 4.4.1).
const BLOOM_BYTES: usize = 256;
/// Header fields before London; later forks only added to the end.
const FRONTIER_FIELDS: usize = 15;

/// The genesis block's header but for its state root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisHeader {
    /// Zero but in test chains.
    pub parent_hash: H256,
    /// The beneficiary.
    pub coinbase: H160,
    /// The difficulty.
    pub difficulty: U256,
    /// Zero but in test chains.
    pub number: u64,
    /// The gas limit.
    pub gas_limit: u64,
    /// Zero but in test chains.
    pub gas_used: u64,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// Free bytes.
    pub extra_data: Vec<u8>,
    /// The mix hash, later `prevRandao`.
    pub mix_hash: H256,
    /// The proof-of-work nonce, eight bytes in the header.
    pub nonce: u64,
    /// London: wei per gas.
    pub base_fee: Option<U256>,
    /// Shanghai: the root of no withdrawals.
    pub withdrawals_root: Option<H256>,
    /// Cancun: blob gas used.
    pub blob_gas_used: Option<u64>,
    /// Cancun: excess blob gas.
    pub excess_blob_gas: Option<u64>,
    /// Cancun: zero, as the block has no parent (EIP-4788).
    pub parent_beacon_root: Option<H256>,
    /// Prague: the hash of no requests.
    pub requests_hash: Option<H256>,
    /// Amsterdam: the hash of an empty access list.
    pub block_access_list_hash: Option<H256>,
    /// Amsterdam: the slot number (EIP-7843).
    pub slot_number: Option<u64>,
}

/// What a header says about the state behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderInfo {
    /// The block's number.
    pub number: u64,
    /// The root of the state after the block.
    pub state_root: H256,
    /// The hash of the block before it.
    pub parent_hash: H256,
    /// Seconds since 1970.
    pub timestamp: u64,
}

/// Why bytes are not a block header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not one RLP list and nothing after it.
    #[error("block header: not a single rlp list")]
    NotAList,
    /// Fewer fields than the first headers had.
    #[error("block header: {0} fields, at least {FRONTIER_FIELDS} expected")]
    FieldCount(usize),
    /// A field that cannot be read.
    #[error("block header: {field}: {source}")]
    Field {
        /// The field's name in the JSON-RPC interface.
        field: &'static str,
        /// What is wrong with it.
        source: DecoderError,
    },
}

impl GenesisHeader {
    /// The header's RLP over this state root; its keccak is the block hash.
    ///
    /// A field a later fork added is left out unless one after it is there; then it is an empty
    /// string, as in geth's optional fields.
    #[must_use]
    pub fn encode(&self, state_root: H256) -> Vec<u8> {
        let added = [
            encoded(self.base_fee),
            encoded(self.withdrawals_root),
            encoded(self.blob_gas_used),
            encoded(self.excess_blob_gas),
            encoded(self.parent_beacon_root),
            encoded(self.requests_hash),
            encoded(self.block_access_list_hash),
            encoded(self.slot_number),
        ];
        let present = added.iter().rposition(Option::is_some).map_or(0, |i| i + 1);
        let mut rlp = RlpStream::new_list(FRONTIER_FIELDS + present);
        rlp.append(&self.parent_hash)
            .append(&EMPTY_LIST_HASH)
            .append(&self.coinbase)
            .append(&state_root)
            .append(&EMPTY_ROOT) // transactions
            .append(&EMPTY_ROOT) // receipts
            .append(&[0_u8; BLOOM_BYTES].as_slice())
            .append(&self.difficulty)
            .append(&self.number)
            .append(&self.gas_limit)
            .append(&self.gas_used)
            .append(&self.timestamp)
            .append(&self.extra_data)
            .append(&self.mix_hash)
            .append(&self.nonce.to_be_bytes().as_slice());
        for field in added.into_iter().take(present) {
            match field {
                Some(item) => rlp.append_raw(&item, 1),
                None => rlp.append_empty_data(),
            };
        }
        rlp.out().to_vec()
    }
}

/// Reads a header of any fork from its RLP, as `debug_getRawHeader` gives it.
///
/// Only what [`HeaderInfo`] holds is read; whoever knows the block hash checks the rest by keccak.
///
/// # Errors
/// [`HeaderError`] where the bytes are not one list of at least 15 fields or one of the four
/// fields is not of its size.
pub fn decode_header(rlp: &[u8]) -> Result<HeaderInfo, HeaderError> {
    let list = Rlp::new(rlp);
    let whole = list.payload_info().map(|info| info.total());
    if !list.is_list() || whole != Ok(rlp.len()) {
        return Err(HeaderError::NotAList);
    }
    let count = list.item_count().map_err(|_| HeaderError::NotAList)?;
    if count < FRONTIER_FIELDS {
        return Err(HeaderError::FieldCount(count));
    }
    let in_field = |field| move |source| HeaderError::Field { field, source };
    Ok(HeaderInfo {
        parent_hash: list.val_at(0).map_err(in_field("parentHash"))?,
        state_root: list.val_at(3).map_err(in_field("stateRoot"))?,
        number: list.val_at(8).map_err(in_field("number"))?,
        timestamp: list.val_at(11).map_err(in_field("timestamp"))?,
    })
}

/// The header of a genesis object, with the fields of the forks active in it, as geth 1.17's
/// `Genesis.ToBlock` fills them. `None` without `gasLimit` and `difficulty`.
pub(super) fn read(top: &Object<'_>, config: &Object<'_>) -> Result<Option<GenesisHeader>, FieldError> {
    let number_of = |name| top.read(name, value::number);
    let hash_of = |name| Ok(top.read(name, value::fixed_value)?.map(H256).unwrap_or_default());
    let gas_limit = number_of("gasLimit")?;
    let difficulty = top.read("difficulty", value::quantity)?;
    let (Some(gas_limit), Some(difficulty)) = (gas_limit, difficulty) else {
        return Ok(None);
    };
    let number = number_of("number")?.unwrap_or_default();
    let timestamp = number_of("timestamp")?.unwrap_or_default();
    let forks = Forks::read(config, number, timestamp)?;

    let base_fee = top.read("baseFeePerGas", value::quantity)?;
    let excess_blob_gas = number_of("excessBlobGas")?;
    let blob_gas_used = number_of("blobGasUsed")?.unwrap_or_default();
    let slot_number = number_of("slotNumber")?.unwrap_or_default();
    Ok(Some(GenesisHeader {
        parent_hash: hash_of("parentHash")?,
        coinbase: top.read("coinbase", value::fixed_value)?.map(H160).unwrap_or_default(),
        difficulty,
        number,
        gas_limit: if gas_limit == 0 { DEFAULT_GAS_LIMIT } else { gas_limit },
        gas_used: number_of("gasUsed")?.unwrap_or_default(),
        timestamp,
        extra_data: top.read("extraData", value::bytes)?.unwrap_or_default(),
        mix_hash: hash_of("mixHash")?,
        nonce: number_of("nonce")?.unwrap_or_default(),
        base_fee: base_fee.or(forks.london.then(|| INITIAL_BASE_FEE.into())),
        withdrawals_root: forks.shanghai.then_some(EMPTY_ROOT),
        blob_gas_used: forks.cancun.then_some(blob_gas_used),
        excess_blob_gas: excess_blob_gas.or(forks.cancun.then_some(0)),
        parent_beacon_root: forks.cancun.then(H256::zero),
        requests_hash: forks.prague.then_some(EMPTY_REQUESTS_HASH),
        block_access_list_hash: forks.amsterdam.then_some(EMPTY_LIST_HASH),
        slot_number: forks.amsterdam.then_some(slot_number),
    }))
}

/// Which forks that added header fields are active in the genesis block.
#[expect(clippy::struct_excessive_bools, reason = "each fork is on or off by itself")]
struct Forks {
    london: bool,
    shanghai: bool,
    cancun: bool,
    prague: bool,
    amsterdam: bool,
}

impl Forks {
    fn read(config: &Object<'_>, number: u64, timestamp: u64) -> Result<Self, FieldError> {
        let start = |fork| config.read(fork, value::number).map_err(|error| error.within("config"));
        let london = start("londonBlock")?;
        // geth asks for London at block 0 where it sets the base fee and at the genesis' own
        // number where it looks at the forks after it.
        let timed = |fork| {
            let after_london = london.is_some_and(|block| block <= number);
            Ok(start(fork)?.is_some_and(|time| after_london && time <= timestamp))
        };
        Ok(Self {
            london: london == Some(0),
            shanghai: timed("shanghaiTime")?,
            cancun: timed("cancunTime")?,
            prague: timed("pragueTime")?,
            amsterdam: timed("amsterdamTime")?,
        })
    }
}

fn encoded(field: Option<impl Encodable>) -> Option<Vec<u8>> {
    field.map(|value| rlp::encode(&value).to_vec())
}
