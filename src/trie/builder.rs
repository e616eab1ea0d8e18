//! A trie from its sorted leaves, in one pass and memory of one path.

use primitive_types::H256;
use thiserror::Error;

use super::encode::{self, Reference};
use super::keccak::{EMPTY_ROOT, keccak256};
use super::nibbles::Nibbles;

/// Builds a secure trie from leaves in ascending order of their keys, and hands every stored node
/// to a sink.
///
/// Only the branches on the path of the last leaf are open, at most 64. The sink gets a node's
/// path, hash and bytes once the node can no longer change: children before parents, the root last.
/// Nodes embedded in their parent are not handed over, the root always is.
#[derive(Debug)]
pub struct TrieBuilder<S> {
    sink: S,
    /// The last leaf: where its own path begins depends on the next one.
    pending: Option<(Nibbles, Vec<u8>)>,
    /// Branches still gaining children, each on the path of the one after it.
    open: Vec<OpenBranch>,
}

/// Why a trie could not be built. The builder is of no use afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BuilderError<E> {
    /// Keys come in strictly ascending order.
    #[error("trie key {key:?} after {previous:?}, not in ascending order")]
    NotAscending {
        /// The key before it.
        previous: H256,
        /// The key refused.
        key: H256,
    },
    /// An empty value means absence, so no leaf has one.
    #[error("trie key {key:?} with an empty value")]
    EmptyValue {
        /// The key refused.
        key: H256,
    },
    /// The sink failed.
    #[error(transparent)]
    Sink(E),
}

impl<S, E> TrieBuilder<S>
where
    S: FnMut(Nibbles, H256, &[u8]) -> Result<(), E>,
{
    /// A builder of an empty trie.
    pub fn new(sink: S) -> Self {
        Self { sink, pending: None, open: Vec::new() }
    }

    /// Adds a leaf: `value` is an encoded account, or the RLP of a storage word.
    ///
    /// # Errors
    /// A key not above the one before, an empty value, or what the sink returned.
    pub fn add(&mut self, key: H256, value: &[u8]) -> Result<(), BuilderError<E>> {
        if value.is_empty() {
            return Err(BuilderError::EmptyValue { key });
        }
        let path = Nibbles::from_key(&key);
        let next = (path, value.to_vec());
        let Some((last, last_value)) = self.pending.replace(next) else {
            return Ok(());
        };
        if last >= path {
            let previous = last.to_key().unwrap_or_default();
            return Err(BuilderError::NotAscending { previous, key });
        }
        self.settle(last, &last_value, Some(last.common_prefix_len(&path)))?;
        Ok(())
    }

    /// Closes the trie and returns its root: [`EMPTY_ROOT`], and no node, when it has no leaf.
    ///
    /// # Errors
    /// What the sink returned.
    pub fn finish(mut self) -> Result<H256, BuilderError<E>> {
        let root = match self.pending.take() {
            Some((last, value)) => self.settle(last, &value, None)?,
            None => None,
        };
        Ok(root.unwrap_or(EMPTY_ROOT))
    }

    /// Hangs the leaf at `path` from its parent, and closes every branch on that path below
    /// `fork`, the depth at which the next key leaves it. Without a next key everything closes,
    /// and the result is the root.
    fn settle(&mut self, path: Nibbles, value: &[u8], fork: Option<usize>) -> Result<Option<H256>, BuilderError<E>> {
        let mut parent = self.parent(fork);
        let mut at = path.prefix(below(parent));
        let mut node = encode::leaf(&path.suffix(at.len()), value);
        while let Some(depth) = parent {
            let reference = self.reference(at, node)?;
            let open = self.open.pop_if(|branch| branch.depth == depth);
            let mut branch = open.unwrap_or_else(|| OpenBranch::new(depth));
            branch.set(&path, reference);
            if parent == fork {
                self.open.push(branch);
                return Ok(None);
            }
            (at, node) = (path.prefix(depth), encode::branch(&branch.children));
            parent = self.parent(fork);
            let skipped = at.suffix(below(parent));
            if !skipped.is_empty() {
                node = encode::extension(&skipped, &self.reference(at, node)?);
                at = path.prefix(below(parent));
            }
        }
        self.store(at, &node).map(Some)
    }

    /// Depth of the branch a node just closed hangs from: the innermost open one, or the one the
    /// next key is about to open below that. None for the root.
    fn parent(&self, fork: Option<usize>) -> Option<usize> {
        self.open.last().map(|branch| branch.depth).max(fork)
    }

    fn reference(&mut self, at: Nibbles, node: Vec<u8>) -> Result<Reference, BuilderError<E>> {
        if Reference::is_inline(node.len()) {
            return Ok(Reference::Inline(node));
        }
        self.store(at, &node).map(Reference::Hash)
    }

    fn store(&mut self, at: Nibbles, node: &[u8]) -> Result<H256, BuilderError<E>> {
        let hash = keccak256(node);
        (self.sink)(at, hash, node).map_err(BuilderError::Sink)?;
        Ok(hash)
    }
}

/// Depth at which the path of a node begins, given that of the branch it hangs from.
fn below(parent: Option<usize>) -> usize {
    parent.map_or(0, |depth| depth + 1)
}

#[derive(Debug)]
struct OpenBranch {
    /// Nibbles above it; its children differ in the nibble at this index.
    depth: usize,
    children: [Option<Reference>; 16],
}

impl OpenBranch {
    fn new(depth: usize) -> Self {
        Self { depth, children: [const { None }; 16] }
    }

    /// Sets the child on the way to `path`.
    fn set(&mut self, path: &Nibbles, child: Reference) {
        let nibble = path.get(self.depth).map(usize::from);
        if let Some(slot) = nibble.and_then(|nibble| self.children.get_mut(nibble)) {
            *slot = Some(child);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn key(byte: u8) -> H256 {
        H256::repeat_byte(byte)
    }

    /// Feeds the leaves to a builder; its result and the hashes the sink got.
    fn build(leaves: &[(H256, &[u8])]) -> (Result<H256, BuilderError<Infallible>>, Vec<H256>) {
        let mut stored = Vec::new();
        let mut builder = TrieBuilder::new(|_, hash, rlp: &[u8]| {
            assert_eq!(hash, keccak256(rlp));
            stored.push(hash);
            Ok(())
        });
        let added = leaves.iter().try_for_each(|(key, value)| builder.add(*key, value));
        let root = added.and_then(|()| builder.finish());
        (root, stored)
    }

    #[test]
    fn an_empty_trie_has_the_empty_root_and_no_node() {
        assert_eq!(build(&[]), (Ok(EMPTY_ROOT), vec![]));
    }

    #[test]
    fn a_single_leaf_is_the_root() {
        let root = keccak256(&encode::leaf(&Nibbles::from_key(&key(1)), &[5]));
        assert_eq!(build(&[(key(1), &[5])]), (Ok(root), vec![root]));
    }

    #[test]
    fn nodes_come_children_first_and_the_root_last() {
        let [one, two] = [0x10, 0x20].map(key);
        let leaf = |key: &H256| encode::leaf(&Nibbles::from_key(key).suffix(1), &[5; 32]);
        let [first, second] = [one, two].map(|key| keccak256(&leaf(&key)));
        let mut children = [const { None }; 16];
        children[1] = Some(Reference::Hash(first));
        children[2] = Some(Reference::Hash(second));
        let root = keccak256(&encode::branch(&children));
        let built = build(&[(one, &[5; 32]), (two, &[5; 32])]);
        assert_eq!(built, (Ok(root), vec![first, second, root]));
    }

    #[test]
    fn keys_must_ascend() {
        for later in [1, 2] {
            let refused = BuilderError::NotAscending { previous: key(2), key: key(later) };
            assert_eq!(build(&[(key(2), &[5]), (key(later), &[5])]), (Err(refused), vec![]));
        }
    }

    #[test]
    fn a_leaf_must_have_a_value() {
        let refused = BuilderError::EmptyValue { key: key(1) };
        assert_eq!(build(&[(key(1), &[])]), (Err(refused), vec![]));
    }

    #[test]
    fn a_failing_sink_stops_the_build() {
        #[derive(Debug, PartialEq, Error)]
        #[error("disk full")]
        struct Full;
        let mut builder = TrieBuilder::new(|_, _, _: &[u8]| Err(Full));
        builder.add(key(1), &[5; 32]).unwrap();
        assert_eq!(builder.add(key(2), &[5; 32]), Err(BuilderError::Sink(Full)));
    }
}
