//! What is asked for: one node or one code, with everything a key dialect needs to ask for it.

use primitive_types::H256;

use super::{Level, Nibbles, TrieKind};

/// What a hash stands for. Code bytes may equal a node's RLP, so the kind is part of the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A node of the account trie.
    AccountNode,
    /// A node of one of the storage tries.
    StorageNode,
    /// The code of a contract.
    Code,
}

impl Kind {
    /// The trie a node of this kind belongs to; `None` for code.
    #[must_use]
    pub fn trie(self) -> Option<TrieKind> {
        match self {
            Self::AccountNode => Some(TrieKind::Account),
            Self::StorageNode => Some(TrieKind::Storage),
            Self::Code => None,
        }
    }
}

/// A choice of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds {
    /// Nodes of both tries.
    pub nodes: bool,
    /// Codes.
    pub codes: bool,
}

impl Kinds {
    /// Nodes and codes.
    pub const ALL: Self = Self { nodes: true, codes: true };
    /// Nothing.
    pub const NONE: Self = Self { nodes: false, codes: false };

    /// Whether a kind is among them.
    #[must_use]
    pub fn contains(self, kind: Kind) -> bool {
        if kind == Kind::Code { self.codes } else { self.nodes }
    }
}

/// The identity of a wanted thing: the same node under a thousand accounts has one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What the hash stands for.
    pub kind: Kind,
    /// keccak-256 of the bytes.
    pub hash: H256,
}

/// One wanted node or code, and where it was first met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// What is wanted.
    pub key: Key,
    /// keccak-256 of the address of the account that holds the storage trie or code; zero for account nodes.
    pub owner: H256,
    /// The node's path within its trie; empty for roots and codes.
    pub path: Nibbles,
    /// Whether an extension refers to it, so that it has to be a branch.
    pub after_extension: bool,
}

impl Item {
    /// The root node of the account trie.
    #[must_use]
    pub fn root(hash: H256) -> Self {
        Self {
            key: Key { kind: Kind::AccountNode, hash },
            owner: H256::zero(),
            path: Nibbles::EMPTY,
            after_extension: false,
        }
    }

    /// At which depth of which trie it is.
    #[must_use]
    pub fn level(&self) -> Level {
        Level::new(self.key.kind, &self.path)
    }
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Key { kind, hash } = self.key;
        match kind {
            Kind::AccountNode => write!(f, "account node {hash:?} at path \"{}\"", self.path),
            Kind::StorageNode => {
                write!(f, "storage node {hash:?} at path \"{}\" of account {:?}", self.path, self.owner)
            }
            Kind::Code => write!(f, "code {hash:?} of account {:?}", self.owner),
        }
    }
}
