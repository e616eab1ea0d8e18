//! A walk over every node and code below a place, each hashed and decoded anew.

use primitive_types::H256;
use thiserror::Error;

use super::error::NodeError;
use super::item::Kind;
use super::keccak::{EMPTY_ROOT, keccak256};
use super::level::Level;
use super::nibbles::Nibbles;
use super::node::{Child, Leaf, Links, TrieKind, decode};

/// Where a walk reads from.
pub trait NodeSource {
    /// What a failed read returns.
    type Error;

    /// What is stored as the node named `hash`, if anything.
    ///
    /// # Errors
    /// When the source cannot tell.
    fn node(&self, hash: &H256) -> Result<Option<StoredNode>, Self::Error>;

    /// The bytes stored as the code named `hash`, if any.
    ///
    /// # Errors
    /// When the source cannot tell.
    fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Hands out the hash, the level and the bytes of every node whose hash begins with this byte, in the order of the
    /// hashes. False where it cannot: a source that is asked for one node after the other does not need to.
    ///
    /// # Errors
    /// When the source cannot read; some may have been handed out by then.
    fn scan(&self, _first: u8, _take: &mut dyn FnMut(H256, Level, &[u8])) -> Result<bool, Self::Error> {
        Ok(false)
    }
}

/// What a source has under a node's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNode {
    /// The level stored with it, where the source keeps one.
    pub level: Option<Level>,
    /// Its bytes.
    pub rlp: Vec<u8>,
}

impl From<Vec<u8>> for StoredNode {
    fn from(rlp: Vec<u8>) -> Self {
        Self { level: None, rlp }
    }
}

/// A node's name and its place in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The account whose storage trie it is in, by its key; `None` in the account trie.
    pub owner: Option<H256>,
    /// Path from that trie's root.
    pub path: Nibbles,
    /// keccak256 of its bytes.
    pub hash: H256,
    /// Whether an extension leads to it, so that it must be a branch.
    pub after_extension: bool,
}

impl Place {
    /// The root of an account trie, or with an `owner` of that account's storage trie.
    #[must_use]
    pub fn root(owner: Option<H256>, hash: H256) -> Self {
        Self { owner, path: Nibbles::EMPTY, hash, after_extension: false }
    }

    /// The trie it is in.
    #[must_use]
    pub fn kind(&self) -> TrieKind {
        if self.owner.is_some() { TrieKind::Storage } else { TrieKind::Account }
    }

    /// At which depth of which trie it is.
    #[must_use]
    pub fn level(&self) -> Level {
        let kind = if self.owner.is_some() { Kind::StorageNode } else { Kind::AccountNode };
        Level::new(kind, &self.path)
    }

    /// Whether it is the root of its trie.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.path.is_empty()
    }

    pub(crate) fn child(&self, child: &Child) -> Self {
        let Child { path, hash, after_extension } = *child;
        Self { owner: self.owner, path, hash, after_extension }
    }
}

/// Something a walk looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A node.
    Node(Place),
    /// An account's code.
    Code {
        /// The account, by its key.
        owner: H256,
        /// keccak256 of the code.
        hash: H256,
    },
}

impl Target {
    /// The name it is stored under.
    #[must_use]
    pub fn hash(&self) -> H256 {
        match self {
            Self::Node(place) => place.hash,
            Self::Code { hash, .. } => *hash,
        }
    }
}

/// What a walk found at one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A sound node; what `links` names comes next. Accounts and slots are in its leaves.
    Node {
        /// Where.
        place: Place,
        /// Its bytes.
        rlp: Vec<u8>,
        /// What it links to.
        links: Links,
    },
    /// A sound code.
    Code {
        /// The account, by its key.
        owner: H256,
        /// keccak256 of the code.
        hash: H256,
        /// The code.
        bytes: Vec<u8>,
    },
    /// Nothing is stored under the name, so nothing below it is visited.
    Missing(Target),
    /// What is stored under the name is something else, so nothing below it is visited; or it is stored as a node at
    /// another place, and what is below it is.
    Corrupt {
        /// Where.
        target: Target,
        /// What is wrong.
        fault: Fault,
    },
}

/// What is wrong with stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// They are not those their name stands for.
    #[error("content hashes to {got:?}")]
    Hash {
        /// keccak256 of the bytes.
        got: H256,
    },
    /// They are, but are no node, or none that belongs at this place.
    #[error("{0}")]
    Node(#[from] NodeError),
    /// They are, and are stored as a node at another place.
    #[error("stored as {stored}")]
    Level {
        /// Where they are said to be.
        stored: Level,
    },
}

/// Visits every node and code below a target, depth first, in path order: a node, what is below
/// its first link, what is below the next. An account's code and then its storage trie follow the
/// node with its leaf. Memory: the unvisited siblings along one path.
///
/// `enter` is asked about each target before it is read; `false` leaves it out, with all below it.
/// So the caller visits shared storage tries and codes once by remembering their hashes, and splits
/// a walk by refusing, and collecting, the nodes at some depth: each is a start for another walk.
///
/// An item is an error when the source fails to read; the walk may go on, without that target.
#[derive(Debug)]
pub struct Walk<'a, S, F> {
    source: &'a S,
    enter: F,
    /// Targets to visit, the next one last.
    stack: Vec<Target>,
}

impl<'a, S: NodeSource, F: FnMut(&Target) -> bool> Walk<'a, S, F> {
    /// A walk from `start` on; over nothing when that is the root of an empty trie.
    pub fn new(source: &'a S, start: Place, enter: F) -> Self {
        let empty = start.is_root() && start.hash == EMPTY_ROOT;
        let stack = if empty { Vec::new() } else { vec![Target::Node(start)] };
        Self { source, enter, stack }
    }

    fn visit(&mut self, target: Target) -> Result<Event, S::Error> {
        let found = match &target {
            Target::Node(place) => self.source.node(&place.hash)?.map(|node| (node.rlp, node.level)),
            Target::Code { hash, .. } => self.source.code(hash)?.map(|code| (code, None)),
        };
        let Some((bytes, stored)) = found else {
            return Ok(Event::Missing(target));
        };
        let got = keccak256(&bytes);
        if got != target.hash() {
            return Ok(Event::Corrupt { target, fault: Fault::Hash { got } });
        }
        let place = match target {
            Target::Node(place) => place,
            Target::Code { owner, hash } => return Ok(Event::Code { owner, hash, bytes }),
        };
        Ok(match decode(place.kind(), &place.path, place.after_extension, &bytes) {
            Ok(links) => {
                self.push(&place, &links);
                match stored.filter(|stored| *stored != place.level()) {
                    None => Event::Node { place, rlp: bytes, links },
                    Some(stored) => Event::Corrupt { target, fault: Fault::Level { stored } },
                }
            }
            Err(error) => Event::Corrupt { target, fault: error.into() },
        })
    }

    /// Puts what `links` names on the stack, last first.
    fn push(&mut self, place: &Place, links: &Links) {
        for leaf in links.leaves.iter().rev() {
            let Leaf::Account { key: owner, account } = *leaf else {
                continue;
            };
            if account.has_storage() {
                self.stack.push(Target::Node(Place::root(Some(owner), account.storage_root)));
            }
            if account.has_code() {
                self.stack.push(Target::Code { owner, hash: account.code_hash });
            }
        }
        let children = links.children.iter().rev();
        self.stack.extend(children.map(|child| Target::Node(place.child(child))));
    }
}

impl<S: NodeSource, F: FnMut(&Target) -> bool> Iterator for Walk<'_, S, F> {
    type Item = Result<Event, S::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let target = self.stack.pop()?;
            if (self.enter)(&target) {
                return Some(self.visit(target));
            }
        }
    }
}

#[cfg(test)]
mod tests;
