//! The codec's writing half: the canonical bytes of a node.

use primitive_types::H256;
use rlp::RlpStream;

use super::nibbles::Nibbles;
use super::node::INLINE_LIMIT;

/// How a parent names a child: its hash, or for a short one the node itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// keccak256 of a node of at least 32 bytes.
    Hash(H256),
    /// The encoding of a shorter node.
    Inline(Vec<u8>),
}

impl Reference {
    /// Whether a node of `len` bytes, not the root, is embedded in its parent.
    pub(super) fn is_inline(len: usize) -> bool {
        len < INLINE_LIMIT
    }

    fn append_to(&self, node: &mut RlpStream) {
        match self {
            Self::Hash(hash) => node.append(hash),
            Self::Inline(encoded) => node.append_raw(encoded, 1),
        };
    }
}

/// A leaf holding `value` at the end of `suffix`, the path below its parent.
pub(super) fn leaf(suffix: &Nibbles, value: &[u8]) -> Vec<u8> {
    let mut node = RlpStream::new_list(2);
    node.append(&suffix.hex_prefix_encode(true)).append(&value);
    node.out().into()
}

/// An extension leading along `suffix` to a branch.
pub(super) fn extension(suffix: &Nibbles, branch: &Reference) -> Vec<u8> {
    let mut node = RlpStream::new_list(2);
    node.append(&suffix.hex_prefix_encode(false));
    branch.append_to(&mut node);
    node.out().into()
}

/// A branch with a child for each occupied nibble, and no value.
pub(super) fn branch(children: &[Option<Reference>; 16]) -> Vec<u8> {
    let mut node = RlpStream::new_list(children.len() + 1);
    for child in children {
        match child {
            Some(child) => child.append_to(&mut node),
            None => {
                node.append_empty_data();
            }
        }
    }
    node.append_empty_data();
    node.out().into()
}
