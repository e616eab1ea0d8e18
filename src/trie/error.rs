//! Why bytes are not a trie node: one variant a rule, with what was seen.

use thiserror::Error;

use super::nibbles::Nibbles;
use super::node::INLINE_LIMIT;

/// Why a node was refused by [`decode`](super::decode).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NodeError {
    /// The bytes are not canonical RLP, or not the item the rule asks for.
    #[error(transparent)]
    Rlp(#[from] RlpError),
    /// A node is a list of 2 items (leaf, extension) or of 17 (branch).
    #[error("node of {got} items, not 2 or 17")]
    WrongItemCount {
        /// Items in the list.
        got: usize,
    },
    /// A node stored under its hash, other than the root, has at least 32 bytes; a shorter one
    /// is embedded in its parent.
    #[error("stored node of {got} bytes, shorter than {INLINE_LIMIT}")]
    StoredTooShort {
        /// Bytes in the node.
        got: usize,
    },
    /// An embedded node has fewer than 32 bytes; a longer one is referenced by its hash.
    #[error("inline node with a payload of {payload} bytes, not shorter than {INLINE_LIMIT} in all")]
    InlineTooLong {
        /// Bytes in the embedded list, without its header.
        payload: usize,
    },
    /// A child reference is empty (in a branch), a hash of 32 bytes, or an embedded list.
    #[error("child reference of {got} bytes, not 32")]
    BadChildReference {
        /// Bytes in the reference.
        got: usize,
    },
    /// In a trie of equally long keys no key ends at a branch, so its value slot is empty.
    #[error("branch with a value")]
    BranchValue,
    /// A branch with fewer than two children would have been a leaf or an extension.
    #[error("branch with {got} children, fewer than 2")]
    TooFewChildren {
        /// Occupied child slots.
        got: usize,
    },
    /// Two consecutive extensions, or an extension and a leaf, would have been one node.
    #[error("extension over a leaf or an extension")]
    ExtensionOverNonBranch,
    /// An extension skips at least one nibble.
    #[error("extension with an empty path")]
    EmptyPath,
    /// The path of a leaf or extension has no flag byte.
    #[error("hex-prefix path of no bytes")]
    NoFlags,
    /// The first hex-prefix nibble is 0..=3, and the second is 0 when the path is even.
    #[error("hex-prefix path starting with 0x{got:02x}")]
    BadFlags {
        /// The first byte.
        got: u8,
    },
    /// A path leads past a key, or a node other than a leaf sits where a key ends.
    #[error("path of {got} nibbles, longer than a key's {max}", max = Nibbles::MAX_LEN)]
    PathTooLong {
        /// Nibbles in the path of the child (branch, extension) or in the encoded path itself.
        got: usize,
    },
    /// Every key has exactly 64 nibbles.
    #[error("leaf at a path of {got} nibbles, not {max}", max = Nibbles::MAX_LEN)]
    LeafPathLength {
        /// Nibbles from the root to the end of the leaf's path.
        got: usize,
    },
    /// An empty value means absence, so it is never stored.
    #[error("leaf with an empty value")]
    EmptyLeafValue,
    /// The leaf's value is not an account.
    #[error("account: {0}")]
    BadAccount(#[from] AccountError),
    /// The leaf's value is not a storage word.
    #[error("storage slot: {0}")]
    BadSlot(RlpError),
    /// A zero word means absence, so it is never stored.
    #[error("storage slot: zero")]
    ZeroSlot,
}

/// Why a leaf's value is not an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AccountError {
    /// The value as a whole is not exactly one canonical RLP list.
    #[error(transparent)]
    Rlp(#[from] RlpError),
    /// An account has exactly a nonce, a balance, a storage root and a code hash.
    #[error("{got} fields, not 4")]
    FieldCount {
        /// Fields present.
        got: usize,
    },
    /// The nonce is not a canonical integer of at most 64 bits.
    #[error("nonce: {0}")]
    Nonce(RlpError),
    /// The balance is not a canonical integer of at most 256 bits.
    #[error("balance: {0}")]
    Balance(RlpError),
    /// The storage root is not a string of 32 bytes.
    #[error("storage root: {0}")]
    StorageRoot(RlpError),
    /// The code hash is not a string of 32 bytes.
    #[error("code hash: {0}")]
    CodeHash(RlpError),
}

/// Why bytes are not the expected canonical RLP (yellow paper, appendix B).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RlpError {
    /// An item, or its header, reaches past the end.
    #[error("rlp item reaches past the end")]
    Truncated,
    /// A length or a single byte has a shorter encoding than the one used.
    #[error("rlp item with header 0x{header:02x} has a shorter encoding")]
    NonCanonical {
        /// First byte of the item.
        header: u8,
    },
    /// Bytes follow the last expected item.
    #[error("{extra} trailing bytes")]
    TrailingBytes {
        /// How many.
        extra: usize,
    },
    /// A list was expected.
    #[error("rlp string where a list belongs")]
    NotAList,
    /// A string was expected.
    #[error("rlp list where a string belongs")]
    NotAString,
    /// A string of a fixed length was expected.
    #[error("string of {got} bytes, not 32")]
    NotAHash {
        /// Bytes in the string.
        got: usize,
    },
    /// An integer starts with a zero byte (zero itself is the empty string).
    #[error("integer with a leading zero")]
    LeadingZero,
    /// An integer has more bytes than its type.
    #[error("integer of {got} bytes, more than {max}")]
    IntegerTooLong {
        /// Bytes in the string.
        got: usize,
        /// Bytes in the type.
        max: usize,
    },
}
