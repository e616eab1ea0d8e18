//! At which depth of which trie a node is.

use super::{Kind, Nibbles, TrieKind};

/// A node's depth and trie, or the place of all codes, in one byte: account nodes from 0 on, storage nodes from 65 on,
/// by the nibbles of their path; 130 for codes; nothing above.
///
/// A valid node has exactly one: every key has 64 nibbles, so the leaves below it fix its depth, and their values, which
/// are accounts or words, fix the trie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Level(u8);

/// Levels of one trie: paths of 0 to 64 nibbles.
const TRIE_LEVELS: u8 = 65;
const _: () = assert!(TRIE_LEVELS as usize == Nibbles::MAX_LEN + 1);

impl Level {
    /// How many levels there are: account levels, storage levels below them, codes below all.
    pub const COUNT: usize = Self::CODE.0 as usize + 1;
    /// That of the state's root.
    pub const ROOT: Self = Self(0);
    /// That of a storage trie's root.
    pub const STORAGE_ROOT: Self = Self(TRIE_LEVELS);
    /// That of all codes.
    pub const CODE: Self = Self(2 * TRIE_LEVELS);

    /// That of a node of this kind at the end of this path.
    #[must_use]
    pub fn new(kind: Kind, path: &Nibbles) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "a path has at most 64 nibbles")]
        let depth = path.len() as u8;
        match kind {
            Kind::AccountNode => Self(depth),
            Kind::StorageNode => Self(TRIE_LEVELS + depth),
            Kind::Code => Self::CODE,
        }
    }

    /// What was written as [`byte`](Self::byte). Any byte is taken; one above 130 is nothing's level.
    #[must_use]
    pub fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    /// As it is stored.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// As the number of a queue.
    #[must_use]
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// The trie, and the depth in it; `None` where no node can be.
    #[must_use]
    pub fn place(self) -> Option<(TrieKind, usize)> {
        match self.0 {
            depth @ ..TRIE_LEVELS => Some((TrieKind::Account, depth.into())),
            level if self.is_node() => Some((TrieKind::Storage, (level - TRIE_LEVELS).into())),
            _ => None,
        }
    }

    /// Whether a node can be there.
    #[must_use]
    pub fn is_node(self) -> bool {
        self < Self::CODE
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            level if *self == Self::CODE => write!(f, "a code (level {level})"),
            level => match self.place() {
                Some((TrieKind::Account, depth)) => write!(f, "an account node at depth {depth}"),
                Some((TrieKind::Storage, depth)) => write!(f, "a storage node at depth {depth}"),
                None => write!(f, "nothing (level {level})"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_the_bytes_of_the_store_format() {
        let [shallow, deep] = [Nibbles::EMPTY, Nibbles::from_key(&primitive_types::H256::zero())];
        let byte = |kind, path| Level::new(kind, path).byte();
        assert_eq!([byte(Kind::AccountNode, &shallow), byte(Kind::AccountNode, &deep)], [0, 64]);
        assert_eq!([byte(Kind::StorageNode, &shallow), byte(Kind::StorageNode, &deep)], [65, 129]);
        assert_eq!((byte(Kind::Code, &shallow), Level::COUNT), (130, 131));
    }

    #[test]
    fn a_level_says_what_it_stands_for() {
        let said = |byte| Level::from_byte(byte).to_string();
        assert_eq!([said(64), said(65)], ["an account node at depth 64", "a storage node at depth 0"]);
        assert_eq!([said(130), said(131)], ["a code (level 130)", "nothing (level 131)"]);
    }
}
