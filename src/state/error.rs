//! Why a state could not be read.

use primitive_types::H256;
use thiserror::Error;

use crate::trie::{Fault, Place};

/// Why a value could not be read from a state. None of them says that the value is absent: that is a result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError<E> {
    /// A node that the root refers to is not there: the state is partial, or damaged.
    #[error("{} is missing", node(place))]
    MissingNode {
        /// Where.
        place: Box<Place>,
    },
    /// What is there under a node's name is something else.
    #[error("{} is corrupt: {fault}", node(place))]
    CorruptNode {
        /// Where.
        place: Box<Place>,
        /// What is wrong.
        fault: Fault,
    },
    /// A code that an account refers to is not there.
    #[error("code {hash:?} is missing")]
    MissingCode {
        /// Its name.
        hash: H256,
    },
    /// What is there under a code's name is something else.
    #[error("code {hash:?} is corrupt: content hashes to {got:?}")]
    CorruptCode {
        /// Its name.
        hash: H256,
        /// keccak256 of what is there.
        got: H256,
    },
    /// The source cannot tell.
    #[error(transparent)]
    Source(#[from] E),
}

fn node(place: &Place) -> String {
    let Place { owner, path, hash, .. } = place;
    match owner {
        None => format!("account node {hash:?} at path \"{path}\""),
        Some(owner) => format!("storage node {hash:?} at path \"{path}\" of account {owner:?}"),
    }
}
