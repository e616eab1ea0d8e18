//! The strict codec's reading half: from a node's bytes to what it links to.
//!
//! A node that decodes is the only encoding of what it says, and says nothing a secure trie could
//! not contain (yellow paper, appendix D). Its hash proves only that its parent means it: a root
//! that is no state's, or code fetched as a node, ends here and not further down.

use primitive_types::{H256, U256};

use super::account::Account;
use super::error::NodeError;
use super::nibbles::{HexPrefix, Nibbles};
use super::rlp_reader::{Item, has_more, items, pair, single, single_list};

/// A node of fewer bytes is embedded in its parent, a longer one is referenced by its hash
/// (yellow paper, appendix D, the node cap function n).
///
/// It bounds the descent into inline nodes as well: each is shorter than this and encloses the
/// next, and room runs out after the third (extension, branch, leaf).
pub(super) const INLINE_LIMIT: usize = 32;

/// Child slots of a branch, one for each nibble; its value slot follows them.
const BRANCH_WIDTH: u8 = 16;

/// Items of a branch.
const BRANCH_ITEMS: usize = BRANCH_WIDTH as usize + 1;

/// Items of a leaf or an extension.
const SHORT_ITEMS: usize = 2;

/// RLP of the empty string: no child, or no value.
const EMPTY_STRING: u8 = 0x80;

/// RLP header of a 32-byte string, as it precedes every hash.
const HASH_HEADER: u8 = 0xa0;

/// Bytes a hash takes in a node, with its header.
const HASH_REF: usize = 33;

/// Which of the two tries a node belongs to, and so what its leaves hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrieKind {
    /// The state's trie of accounts.
    Account,
    /// One account's trie of storage words.
    Storage,
}

/// What a node, with the inline nodes inside it, links to; both lists in path order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Nodes stored under their own hash.
    pub children: Vec<Child>,
    /// Values.
    pub leaves: Vec<Leaf>,
}

/// A node stored under its own hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Child {
    /// Full path from the trie's root.
    pub path: Nibbles,
    /// keccak256 of its bytes.
    pub hash: H256,
    /// Whether an extension leads to it, so that it must be a branch.
    pub after_extension: bool,
}

/// A value, under its full key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// In an account trie.
    Account {
        /// keccak256 of the address.
        key: H256,
        /// The account.
        account: Account,
    },
    /// In a storage trie.
    Slot {
        /// keccak256 of the slot number.
        key: H256,
        /// The word, never zero.
        value: U256,
    },
}

impl Leaf {
    /// The key it is under.
    #[must_use]
    pub fn key(&self) -> H256 {
        match self {
            Self::Account { key, .. } | Self::Slot { key, .. } => *key,
        }
    }
}

/// Decodes the node `rlp`, found at `path` in a trie of the given kind, and the inline nodes
/// inside it. `after_extension` says that an extension leads to it ([`Child::after_extension`]).
///
/// The caller has compared the hash. The root of an empty trie is not a node: callers know it by
/// [`EMPTY_ROOT`](super::EMPTY_ROOT), and its byte is an error here.
///
/// # Errors
/// [`NodeError`] names the first rule the bytes break.
pub fn decode(kind: TrieKind, path: &Nibbles, after_extension: bool, rlp: &[u8]) -> Result<Links, NodeError> {
    if !path.is_empty() && rlp.len() < INLINE_LIMIT {
        return Err(NodeError::StoredTooShort { got: rlp.len() });
    }
    let payload = single_list(rlp)?;
    if let Some(children) = hash_branch(path, payload) {
        return Ok(Links { children, leaves: Vec::new() });
    }
    let mut decoder = Decoder { kind, links: Links::default() };
    decoder.node(*path, after_extension, payload)?;
    Ok(decoder.links)
}

/// Whether a node that decodes is a branch, not a leaf or an extension.
#[must_use]
pub fn is_branch(rlp: &[u8]) -> bool {
    single_list(rlp).and_then(|payload| has_more(payload, SHORT_ITEMS)).unwrap_or(false)
}

/// The children of a branch that has only hashes, as nearly all branches do, in one pass over its
/// payload. `None` for any other node, valid or not.
fn hash_branch(path: &Nibbles, payload: &[u8]) -> Option<Vec<Child>> {
    let mut rest = payload.strip_suffix(&[EMPTY_STRING])?;
    let first = path.push(0)?;
    // Exact for such a branch: the references of one byte never add up to one of 33.
    let mut children = Vec::with_capacity((payload.len() / HASH_REF).min(BRANCH_WIDTH.into()));
    for nibble in 0..BRANCH_WIDTH {
        match rest.split_first()? {
            (&EMPTY_STRING, after) => rest = after,
            (&HASH_HEADER, after) => {
                let (hash, after) = after.split_first_chunk()?;
                let path = first.sibling(nibble);
                children.push(Child { path, hash: H256(*hash), after_extension: false });
                rest = after;
            }
            _ => return None,
        }
    }
    (rest.is_empty() && children.len() > 1).then_some(children)
}

struct Decoder {
    kind: TrieKind,
    links: Links,
}

impl Decoder {
    fn node(&mut self, path: Nibbles, must_branch: bool, payload: &[u8]) -> Result<(), NodeError> {
        if let Some((suffix, target)) = pair(payload)? {
            return self.short(path, must_branch, suffix, target);
        }
        let (items, got) = items::<BRANCH_ITEMS>(payload)?;
        match &items {
            [children @ .., value] if got == BRANCH_ITEMS => self.branch(path, children, *value),
            _ => Err(NodeError::WrongItemCount { got }),
        }
    }

    /// A leaf or an extension.
    fn short(&mut self, path: Nibbles, must_branch: bool, suffix: Item, target: Item) -> Result<(), NodeError> {
        if must_branch {
            return Err(NodeError::ExtensionOverNonBranch);
        }
        let suffix = suffix.bytes()?;
        if HexPrefix::read(suffix)?.0.leaf {
            // Nearly always the only one.
            self.links.leaves.reserve_exact(1);
            self.links.leaves.push(leaf(self.kind, &path, suffix, target)?);
            return Ok(());
        }
        let (suffix, _) = Nibbles::hex_prefix_decode(suffix)?;
        self.extension(path, &suffix, target)
    }

    fn branch(&mut self, path: Nibbles, children: &[Item], value: Item) -> Result<(), NodeError> {
        if !matches!(value, Item::Bytes([])) {
            return Err(NodeError::BranchValue);
        }
        let too_long = NodeError::PathTooLong { got: path.len() + 1 };
        let first = path.push(0).ok_or(too_long)?;
        let mut occupied = 0;
        for (nibble, &child) in (0..).zip(children) {
            if matches!(child, Item::Bytes([])) {
                continue;
            }
            self.child(first.sibling(nibble), false, child)?;
            occupied += 1;
        }
        match occupied {
            0 | 1 => Err(NodeError::TooFewChildren { got: occupied }),
            _ => Ok(()),
        }
    }

    fn extension(&mut self, at: Nibbles, suffix: &Nibbles, child: Item) -> Result<(), NodeError> {
        if suffix.is_empty() {
            return Err(NodeError::EmptyPath);
        }
        // The branch it leads to needs a nibble more.
        let path = at.join(suffix).filter(|path| path.len() < Nibbles::MAX_LEN);
        let too_long = NodeError::PathTooLong { got: at.len() + suffix.len() };
        self.child(path.ok_or(too_long)?, true, child)
    }

    fn child(&mut self, path: Nibbles, after_extension: bool, item: Item) -> Result<(), NodeError> {
        match item {
            Item::Bytes(hash) => {
                let wrong = |_| NodeError::BadChildReference { got: hash.len() };
                let hash = H256(hash.try_into().map_err(wrong)?);
                self.links.children.push(Child { path, hash, after_extension });
                Ok(())
            }
            // The header of a list this short is one byte.
            Item::List(payload) if 1 + payload.len() >= INLINE_LIMIT => {
                Err(NodeError::InlineTooLong { payload: payload.len() })
            }
            Item::List(payload) => self.node(path, after_extension, payload),
        }
    }
}

/// The value at the end of a leaf's hex-prefix path.
#[inline]
fn leaf(kind: TrieKind, path: &Nibbles, suffix: &[u8], value: Item) -> Result<Leaf, NodeError> {
    let key = path.key_of_leaf(suffix)?;
    let value = value.bytes()?;
    if value.is_empty() {
        return Err(NodeError::EmptyLeafValue);
    }
    Ok(match kind {
        TrieKind::Account => Leaf::Account { key, account: Account::decode(value)? },
        TrieKind::Storage => Leaf::Slot { key, value: slot(value)? },
    })
}

/// Reads a storage leaf's value, the RLP of a word other than zero.
fn slot(value: &[u8]) -> Result<U256, NodeError> {
    let word = single(value).and_then(|item| item.integer(size_of::<U256>()));
    match word.map_err(NodeError::BadSlot)? {
        [] => Err(NodeError::ZeroSlot),
        word => Ok(U256::from_big_endian(word)),
    }
}

#[cfg(test)]
mod tests;
