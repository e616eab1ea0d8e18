//! Reading what is staged too: a partial root and the nodes on the way to its scope are not complete.

use primitive_types::H256;

use super::layout::STAGING;
use super::{RootRecord, RootState, Store, StoreError};
use crate::trie::{Event, NodeSource, Place, Scope, StoredNode, Target, Walk};

/// A store as a partial state is read from it. Presence says nothing here: what is above a scope is there without what
/// is beside it.
#[derive(Clone, Copy, Debug)]
pub struct WithStaging<'a>(pub &'a Store);

impl Store {
    /// The part that a root's record says is there, if it is not all of it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn partial(&self, root: &H256) -> Result<Option<Scope>, StoreError> {
        Ok(self.root(root)?.and_then(RootRecord::into_partial))
    }

    /// A staged node's bytes, as they are on the disk.
    ///
    /// # Errors
    /// When the database fails.
    pub fn staged_node(&self, hash: &H256) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(journal) = &self.journal
            && let Some(rlp) = journal.staged(hash)?
        {
            return Ok(Some(rlp));
        }
        Ok(self.db.get_cf(self.family(STAGING)?, hash)?)
    }

    /// The nodes on the way to the scopes of all partial roots that are nowhere but in staging.
    pub(super) fn staged_on_the_way(&self) -> Result<Vec<(H256, Vec<u8>)>, StoreError> {
        let mut nodes = Vec::new();
        for record in self.roots()? {
            let root = record.root;
            let Some(scope) = record.into_partial() else { continue };
            self.on_the_way(root, &scope, |event| {
                if let Event::Node { place, rlp, .. } = event {
                    nodes.push((place.hash, rlp));
                }
            })?;
        }
        let mut staged = Vec::with_capacity(nodes.len());
        for (hash, rlp) in nodes {
            if self.node(&hash)?.is_none() {
                staged.push((hash, rlp));
            }
        }
        Ok(staged)
    }

    /// Shows the nodes on the way from a root to a scope, and what is missing or corrupt of them.
    pub(crate) fn on_the_way(&self, root: H256, scope: &Scope, mut take: impl FnMut(Event)) -> Result<(), StoreError> {
        let is_above = |target: &Target| match target {
            Target::Node(Place { owner: None, path, .. }) => scope.leads_to(path) && !scope.covers(path),
            _ => false,
        };
        Walk::new(&WithStaging(self), Place::root(None, root), is_above).try_for_each(|event| {
            take(event?);
            Ok(())
        })
    }
}

impl RootRecord {
    /// The part that is there, if it is not all of it.
    #[must_use]
    pub fn into_partial(self) -> Option<Scope> {
        if self.state == RootState::Partial { self.scope } else { None }
    }
}

impl NodeSource for WithStaging<'_> {
    type Error = StoreError;

    fn node(&self, hash: &H256) -> Result<Option<StoredNode>, StoreError> {
        match NodeSource::node(self.0, hash)? {
            None => Ok(self.0.staged_node(hash)?.map(StoredNode::from)),
            node => Ok(node),
        }
    }

    fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.code(hash)
    }
}
