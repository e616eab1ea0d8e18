//! The blocks of a peer: real headers, each linked to the one before it.

use std::sync::atomic::{AtomicU64, Ordering};

use primitive_types::{H160, H256, U256};
use rlp::Rlp;
use serde_json::{Map, Value, json};
use statesync::genesis::GenesisHeader;
use statesync::serve::KnownBlock;
use statesync::trie::{EMPTY_ROOT, keccak256};

use super::answer::Outcome;

/// Blocks are made from number zero on; a test does not need more than this.
const BLOCKS_MAX: u64 = 1 << 20;
/// When the first block was made, and how long each takes.
const FIRST_SECOND: u64 = 1_700_000_000;
const SLOT_SECONDS: u64 = 12;

/// A chain of blocks and how far the peer has got in it.
#[derive(Debug)]
pub(super) struct Chain {
    /// By number; none if the peer knows no blocks at all.
    blocks: Vec<Block>,
    head: AtomicU64,
    /// How many blocks the safe and the finalized one are behind the head.
    finality: u64,
}

/// A block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) hash: H256,
    pub(crate) root: H256,
    pub(crate) header: Vec<u8>,
}

/// Which block is asked for.
enum Id {
    Number(u64),
    Hash(H256),
    Unknown,
}

impl Chain {
    /// A chain with these roots at these numbers; every block between them changes nothing. The genesis block is the
    /// one given, if its root is the same.
    pub(super) fn new(roots: &[(u64, H256)], genesis: Option<KnownBlock>, finality: u64) -> Self {
        let mut blocks: Vec<Block> = Vec::new();
        let mut roots: Vec<(u64, H256)> = roots.to_vec();
        roots.sort_unstable_by_key(|(number, _)| *number);
        let last = roots.last().map_or(0, |(number, _)| *number);
        assert!(last < BLOCKS_MAX, "block {last} is too far up");
        let ends = roots.iter().skip(1).map(|(number, _)| *number).chain(roots.last().map(|(number, _)| number + 1));
        for ((_, root), end) in roots.iter().zip(ends) {
            while (blocks.len() as u64) < end {
                let parent = blocks.last().map(|block| block.hash).unwrap_or_default();
                blocks.push(Block::new(blocks.len() as u64, parent, *root));
            }
        }
        if let (Some(first), Some(genesis)) = (blocks.first(), genesis)
            && (genesis.number, genesis.state_root) == (0, first.root)
        {
            let header = genesis.header.unwrap();
            blocks[0] = Block { number: 0, hash: genesis.hash, root: genesis.state_root, header };
            for index in 1..blocks.len() {
                blocks[index] = Block::new(index as u64, blocks[index - 1].hash, blocks[index].root);
            }
        }
        Self { blocks, head: AtomicU64::new(last), finality }
    }

    /// Whether the peer knows no blocks at all.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(super) fn head(&self) -> u64 {
        self.head.load(Ordering::Relaxed)
    }

    pub(super) fn set_head(&self, number: u64) {
        assert!(number < self.blocks.len() as u64, "there is no block {number}");
        self.head.store(number, Ordering::Relaxed);
    }

    /// The block with this number, whether the peer has got there or not.
    pub(super) fn block(&self, number: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    /// The roots of all blocks, each once as long as it does not change.
    pub(super) fn roots(&self) -> Vec<H256> {
        let mut roots: Vec<H256> = self.blocks.iter().map(|block| block.root).collect();
        roots.dedup();
        roots
    }

    /// The id of the state at `root` on a disk that has had every block's: the first block's state has the id 1.
    pub(super) fn state_id(&self, root: H256) -> Option<u64> {
        self.blocks.iter().find(|block| block.root == root).map(|block| block.number + 1)
    }

    /// The answer to a call of the methods about blocks; `None` for another method.
    pub(super) fn answer(&self, method: &str, params: &Value) -> Option<Outcome> {
        Some(match method {
            "eth_blockNumber" => Outcome::Json(json!(format!("{:#x}", self.head()))),
            "eth_getBlockByNumber" => match self.number(&params[0]) {
                Some(id) => self.object(&id),
                None => Outcome::Error(-32602, "invalid argument 0: not a block number"),
            },
            "eth_getBlockByHash" => match hash(&params[0]) {
                Some(id) => self.object(&id),
                None => Outcome::Error(-32602, "invalid argument 0: not a block hash"),
            },
            "debug_getRawHeader" => self.raw_header(&params[0]),
            _ => return None,
        })
    }

    /// `debug_getAccessibleState` as a hash peer has it: the first block from the one on, towards the other, whose
    /// state `has` says is there.
    pub(super) fn accessible(&self, params: &Value, has: impl Fn(H256) -> bool) -> Outcome {
        let [from, to] = [0, 1].map(|place| match self.number(&params[place]) {
            Some(Id::Number(number)) => Some(number),
            // geth takes the pending block for the latest.
            Some(Id::Unknown) => Some(self.head()),
            _ => None,
        });
        let (Some(from), Some(to)) = (from, to) else {
            return Outcome::Error(-32602, "invalid argument 0: not a block number");
        };
        if from == to {
            return Outcome::Error(-32000, "from and to needs to be different");
        }
        let mut number = from;
        while number != to {
            let Some(block) = self.find(&Id::Number(number)) else {
                return Outcome::failure(-32000, format!("missing header {number}"));
            };
            if has(block.root) {
                return Outcome::Json(json!(number));
            }
            if from < to { number += 1 } else { number -= 1 }
        }
        Outcome::Error(-32000, "no state found")
    }

    /// A header's RLP. As in geth, an unknown number is an empty result and an unknown hash an error.
    fn raw_header(&self, which: &Value) -> Outcome {
        let which = which.get("blockHash").or(which.get("blockNumber")).unwrap_or(which);
        let Some(id) = hash(which).or_else(|| self.number(which)) else {
            return Outcome::Error(-32602, "invalid argument 0: not a block");
        };
        match (self.find(&id), id) {
            (Some(block), _) => Outcome::Bytes(block.header.clone()),
            (None, Id::Hash(hash)) => Outcome::failure(-32000, format!("header #{hash:?} not found")),
            (None, _) => Outcome::Bytes(Vec::new()),
        }
    }

    fn object(&self, id: &Id) -> Outcome {
        self.find(id).map_or(Outcome::Result("null"), |block| Outcome::Json(block.json()))
    }

    fn find(&self, id: &Id) -> Option<&Block> {
        let block = match id {
            Id::Number(number) => self.block(*number),
            Id::Hash(hash) => self.blocks.iter().find(|block| block.hash == *hash),
            Id::Unknown => None,
        };
        block.filter(|block| block.number <= self.head())
    }

    fn number(&self, which: &Value) -> Option<Id> {
        Some(match which.as_str()? {
            "latest" => Id::Number(self.head()),
            "safe" | "finalized" => Id::Number(self.head().saturating_sub(self.finality)),
            "earliest" => Id::Number(0),
            "pending" => Id::Unknown,
            text => Id::Number(u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()?),
        })
    }
}

fn hash(which: &Value) -> Option<Id> {
    let text = which.as_str().filter(|text| text.len() == 66)?;
    text.parse().ok().map(Id::Hash)
}

/// A header's fields in their order (execution-apis), and whether each is a number.
const FIELDS: [(&str, bool); 21] = [
    ("parentHash", false),
    ("sha3Uncles", false),
    ("miner", false),
    ("stateRoot", false),
    ("transactionsRoot", false),
    ("receiptsRoot", false),
    ("logsBloom", false),
    ("difficulty", true),
    ("number", true),
    ("gasLimit", true),
    ("gasUsed", true),
    ("timestamp", true),
    ("extraData", false),
    ("mixHash", false),
    ("nonce", false),
    ("baseFeePerGas", true),
    ("withdrawalsRoot", false),
    ("blobGasUsed", true),
    ("excessBlobGas", true),
    ("parentBeaconBlockRoot", false),
    ("requestsHash", false),
];

impl Block {
    /// An empty block of the Prague fork.
    fn new(number: u64, parent_hash: H256, root: H256) -> Self {
        let header = GenesisHeader {
            parent_hash,
            coinbase: H160::repeat_byte(0xc0),
            difficulty: U256::zero(),
            number,
            gas_limit: 30_000_000,
            gas_used: 0,
            timestamp: FIRST_SECOND + SLOT_SECONDS * number,
            extra_data: b"test".to_vec(),
            mix_hash: keccak256(&number.to_be_bytes()),
            nonce: 0,
            base_fee: Some(7.into()),
            withdrawals_root: Some(EMPTY_ROOT),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_root: Some(keccak256(parent_hash.as_bytes())),
            requests_hash: Some(H256::repeat_byte(0xe3)),
            block_access_list_hash: None,
            slot_number: None,
        };
        let header = header.encode(root);
        Self { number, hash: keccak256(&header), root, header }
    }

    /// The block as an object, without transactions.
    fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("hash".into(), json!(format!("{:?}", self.hash)));
        for ((name, number), item) in FIELDS.iter().zip(&Rlp::new(&self.header)) {
            let digits = faster_hex::hex_string(item.data().unwrap());
            let digits = if *number { digits.trim_start_matches('0') } else { &digits };
            let digits = if *number && digits.is_empty() { "0" } else { digits };
            object.insert((*name).into(), json!(format!("0x{digits}")));
        }
        object.insert("size".into(), json!(format!("{:#x}", self.header.len())));
        for name in ["transactions", "uncles", "withdrawals"] {
            object.insert(name.into(), json!([]));
        }
        Value::Object(object)
    }
}
