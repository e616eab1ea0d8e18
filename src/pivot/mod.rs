//! From the block that a user means to a state that the peers can serve, and how far it is to be trusted.
//!
//! ```text
//! block ─ every peer's header ─▶ quorum ─▶ root ─ can it be served? ─▶ pivot
//!                                                      └─ no ─▶ the state on disk (path), or an older one (hash)
//! ```

mod agree;
mod chain;
mod resolve;
mod root;
mod source;

use primitive_types::H256;

pub use self::resolve::resolve;
pub(crate) use self::root::{DiskError, block_of, kept, on_disk};
pub use self::source::Newest;
use crate::peers::BlockId;
use crate::store::Block;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The block.
    pub block: BlockId,
    /// A block hash that the user trusts: the block has to be that one, or be linked to it by parent hashes.
    pub trusted: Option<H256>,
    /// How many peers have to agree on the block; a majority of those that answer if it is not said.
    pub quorum: Option<usize>,
}

/// A state root, the block it comes from, and what vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pivot {
    /// The state root.
    pub root: H256,
    /// The block, unless no peer knows one with that root.
    pub block: Option<Block>,
    /// What vouches for the block.
    pub trust: Trust,
    /// Why it is another block than the one that was meant.
    pub instead: Option<Instead>,
}

/// What vouches for a pivot, from strong to weak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The header hashes to what the user gave.
    Proved,
    /// Headers link it to the block that the user trusts.
    Linked,
    /// So many peers of those that answered name the same block.
    Quorum {
        /// Peers that agree.
        agree: usize,
        /// Peers that answered.
        of: usize,
        /// Whether the root was read from a header that hashes to the block's hash, or is what the peers say it is.
        from_header: bool,
    },
    /// A peer's state on disk belongs to no block that it names.
    Word,
}

/// Why a pivot is not the block that was meant: nobody can serve that one's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// A path-scheme peer has one state on disk, and it is this one.
    OnDisk {
        /// The block that was meant.
        meant: u64,
    },
    /// The newest state that a hash-scheme peer has kept.
    Kept {
        /// The block that was meant.
        meant: u64,
    },
}

/// Why a block does not lead to a pivot.
#[derive(Debug, thiserror::Error)]
pub enum PivotError {
    /// No peer knows it.
    #[error("no peer knows block {block}: {reasons}")]
    Unknown {
        /// The block.
        block: BlockId,
        /// What each peer said.
        reasons: String,
    },
    /// The peers name different blocks.
    #[error("the peers do not agree on block {block}: {said}; {needed} of them have to")]
    Disagreement {
        /// The block.
        block: BlockId,
        /// What each peer said.
        said: String,
        /// How many have to agree.
        needed: usize,
    },
    /// The block is not the trusted one, nor linked to it.
    #[error("block {number} {hash:?} is not linked to the trusted block {trusted:?}: {why}")]
    Untrusted {
        /// The block's number.
        number: u64,
        /// The block's hash.
        hash: H256,
        /// The trusted hash.
        trusted: H256,
        /// What is wrong or missing.
        why: String,
    },
    /// No peer has the state of that block, nor of one before it.
    #[error("no peer can serve the state of block {block}, nor a recent one before it: {reasons}")]
    NotServed {
        /// The block's number.
        block: u64,
        /// What each peer said.
        reasons: String,
    },
}

impl Trust {
    /// One word for reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Linked => "linked",
            Self::Quorum { of: 1, .. } | Self::Word => "peer",
            Self::Quorum { .. } => "quorum",
        }
    }
}

impl std::fmt::Display for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Proved => f.write_str("proved: the header has the hash that was given"),
            Self::Linked => f.write_str("linked by headers to the trusted block"),
            Self::Quorum { of: 1, from_header: true, .. } => {
                f.write_str("one peer's word for the block; the root is from its header")
            }
            Self::Quorum { of: 1, from_header: false, .. } => f.write_str("one peer's word, for the root too"),
            Self::Quorum { agree, of, from_header: true } => {
                write!(f, "{agree} of {of} peers agree on the block; the root is from its header")
            }
            Self::Quorum { agree, of, from_header: false } => write!(f, "{agree} of {of} peers agree, on the root too"),
            Self::Word => f.write_str("one peer's word: it names no block with this state"),
        }
    }
}
