//! A state opened to be read.

use std::path::Path;

use primitive_types::H256;

use super::exit::{Exit, Failure};
use super::read_args::ReadArgs;
use super::verify::{default_root, newest};
use crate::export::ExportError;
use crate::state::{State, StateError};
use crate::store::{Access, RootRecord, RootState, Store, StoreError, WithStaging};
use crate::trie::{NodeSource, Scope, StoredNode};

/// A store, and the root of a state that is in it, or of which a part is.
#[derive(Debug)]
pub(super) struct Reading {
    store: Store,
    pub(super) root: H256,
    /// The part, if it is not all of the state.
    scope: Option<Scope>,
}

impl Reading {
    pub(super) fn open(arguments: &ReadArgs) -> Result<Self, Failure> {
        let store = Store::open(&arguments.datadir, Access::Read)?;
        let root = match arguments.root {
            Some(root) => root,
            None => default_part(&store)?,
        };
        let scope = part(&store, root)?;
        Ok(Self { store, root, scope })
    }

    pub(super) fn state(&self) -> State<'_, Self> {
        State::at(self, self.root)
    }

    /// Whether an account is in the part of the state that is there, by its key. Outside of it nothing is said, not even
    /// of what happens to be there.
    pub(super) fn has(&self, key: &H256) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.has(key))
    }

    /// Fails unless an account is in the part that is there.
    pub(super) fn check(&self, key: &H256) -> Result<(), Failure> {
        match &self.scope {
            Some(scope) if !scope.has(key) => Err(Failure::new(
                Exit::Incomplete,
                format!("account {key:?} is outside of the part of state {:?} that is here: {scope}", self.root),
            )
            .hint(format!(
                "run `statesync sync --root {:?} --account {key:?}` with a peer, which adds it; without --account and \
                 --prefix it fetches the whole state",
                self.root
            ))),
            _ => Ok(()),
        }
    }
}

impl NodeSource for Reading {
    type Error = StoreError;

    fn node(&self, hash: &H256) -> Result<Option<StoredNode>, StoreError> {
        match &self.scope {
            None => NodeSource::node(&self.store, hash),
            Some(_) => WithStaging(&self.store).node(hash),
        }
    }

    fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.code(hash)
    }
}

/// A store with all these roots.
pub(super) fn open_with(datadir: &Path, roots: &[H256]) -> Result<Store, Failure> {
    let store = Store::open(datadir, Access::Read)?;
    for root in roots {
        if let Some(scope) = part(&store, *root)? {
            return Err(only_a_part(*root, &scope));
        }
    }
    Ok(store)
}

/// Why what needs a whole state does not do with a part.
pub(super) fn only_a_part(root: H256, scope: &Scope) -> Failure {
    ExportError::Partial { root, scope: scope.clone() }.into()
}

/// What helps where a whole state is needed.
pub(super) const WHOLE: &str = "run `statesync sync` without --account and --prefix: it fetches the rest of the state";

/// The root to read by default: the complete one of the highest block, or without any the partial one.
fn default_part(store: &Store) -> Result<H256, Failure> {
    match newest(store, RootState::Complete)? {
        Some(root) => Ok(root),
        None => newest(store, RootState::Partial)?.map_or_else(|| default_root(store), Ok),
    }
}

/// The part of a state that a root's record says is there; none where it is all of it, or nothing is known.
pub(super) fn scope(store: &Store, root: H256) -> Result<Option<Scope>, Failure> {
    if store.node(&root)?.is_some() {
        return Ok(None);
    }
    Ok(store.partial(&root)?)
}

/// The part of a state that is there; none for all of it. A root node that is there has its whole state below it. Where
/// it is not, the record says why.
pub(super) fn part(store: &Store, root: H256) -> Result<Option<Scope>, Failure> {
    if store.node(&root)?.is_some() {
        return Ok(None);
    }
    let record = store.root(&root)?;
    Err(match record.as_ref().map(|record| record.state) {
        Some(RootState::Partial) => return Ok(record.and_then(RootRecord::into_partial)),
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
