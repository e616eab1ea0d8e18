//! A state opened to be read.

use std::path::Path;

use primitive_types::H256;

use super::exit::{Exit, Failure};
use super::read_args::ReadArgs;
use super::verify::default_root;
use crate::state::{State, StateError};
use crate::store::{Access, RootState, Store, StoreError};

/// A store, and the root of a state that is in it.
#[derive(Debug)]
pub(super) struct Reading {
    store: Store,
    pub(super) root: H256,
}

impl Reading {
    pub(super) fn open(arguments: &ReadArgs) -> Result<Self, Failure> {
        let store = Store::open(&arguments.datadir, Access::Read)?;
        let root = match arguments.root {
            Some(root) => root,
            None => default_root(&store)?,
        };
        check(&store, root)?;
        Ok(Self { store, root })
    }

    pub(super) fn state(&self) -> State<'_, Store> {
        State::at(&self.store, self.root)
    }
}

/// A store with all these roots.
pub(super) fn open_with(datadir: &Path, roots: &[H256]) -> Result<Store, Failure> {
    let store = Store::open(datadir, Access::Read)?;
    roots.iter().try_for_each(|root| check(&store, *root))?;
    Ok(store)
}

/// A root node that is there has its whole state below it. Where it is not, the record says why.
pub(super) fn check(store: &Store, root: H256) -> Result<(), Failure> {
    if store.node(&root)?.is_some() {
        return Ok(());
    }
    Err(match store.root(&root)?.map(|record| record.state) {
        None => Failure::new(Exit::NoStore, format!("the store has no state with the root {root:?}"))
            .hint("`statesync status` lists the roots that it has; `statesync sync --root` fetches another"),
        Some(RootState::Syncing) => {
            Failure::new(Exit::Incomplete, format!("the state with the root {root:?} is not complete"))
                .hint("run its `statesync sync` to its end first")
        }
        Some(RootState::Damaged | RootState::Complete) => {
            Failure::new(Exit::VerificationFailed, format!("the state with the root {root:?} is damaged")).hint(REPAIR)
        }
    })
}

/// What helps where a node or code is missing or corrupt.
pub(super) const REPAIR: &str = "run `statesync repair` with a peer that has this state: it fetches what is missing or corrupt, \
                      and no more";

impl From<StateError<StoreError>> for Failure {
    fn from(error: StateError<StoreError>) -> Self {
        match error {
            StateError::Source(error) => error.into(),
            damage => Self::new(Exit::VerificationFailed, damage.to_string()).hint(REPAIR),
        }
    }
}
