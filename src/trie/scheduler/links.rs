//! From a node to what it refers to: what is waited for, and what is left out.

use primitive_types::H256;

use super::key_space::{is_within, share_at};
use super::table::{Found, Id, State};
use super::{ScheduleError, Scheduler};
use crate::trie::{Account, Item, Key, Kind, Leaf, Links, Nibbles, NodeError};

impl Scheduler {
    /// Makes `parent` wait for the storage trie of one of its account leaves. The empty trie needs nothing.
    fn add_sub_trie(&mut self, parent: Id, owner: H256, account: &Account) -> Result<(), ScheduleError> {
        if !account.has_storage() {
            return Ok(());
        }
        let key = Key { kind: Kind::StorageNode, hash: account.storage_root };
        self.add_dependency(parent, Item { key, owner, path: Nibbles::EMPTY, after_extension: false })
    }

    /// Makes `parent` wait for the code of one of its account leaves. An account without code needs nothing.
    fn add_code(&mut self, parent: Id, owner: H256, account: &Account) -> Result<(), ScheduleError> {
        if !account.has_code() {
            return Ok(());
        }
        let key = Key { kind: Kind::Code, hash: account.code_hash };
        self.add_dependency(parent, Item { key, owner, path: Nibbles::EMPTY, after_extension: false })
    }

    /// Makes a node's request wait for what the node refers to. What is outside the scope is never requested, and waited
    /// for without an end: such a node is never complete.
    pub(super) fn add_links(&mut self, id: Id, item: &Item, links: &Links) -> Result<(), ScheduleError> {
        let is_within = is_within(&self.scope, item);
        let (mut children_share, mut left_out) = (0, 0);
        for child in &links.children {
            if !is_within && !self.scope.leads_to(&child.path) {
                left_out += 1;
                continue;
            }
            let key = Key { kind: item.key.kind, hash: child.hash };
            let child = Item { key, owner: item.owner, path: child.path, after_extension: child.after_extension };
            children_share += share_at(&self.scope, &child);
            self.add_dependency(id, child)?;
        }
        for leaf in &links.leaves {
            if let Leaf::Account { key, account } = leaf {
                if is_within || self.scope.has(key) {
                    self.add_sub_trie(id, *key, account)?;
                    self.add_code(id, *key, account)?;
                } else {
                    left_out += 1;
                }
            }
        }
        if let Some(request) = self.table.get_mut(id) {
            request.share -= children_share;
            request.waits_for += left_out;
            if left_out > 0 {
                // Nothing is there in this part of the scope.
                self.done_share += request.share;
            }
        }
        Ok(())
    }

    /// Makes `parent` wait for `child`, which is requested unless it is already.
    fn add_dependency(&mut self, parent: Id, child: Item) -> Result<(), ScheduleError> {
        match self.table.find_or_insert(child, Some(parent)) {
            Found::New(id) => {
                self.open += 1;
                self.begin(id, &child);
            }
            Found::Known(id) => {
                if !self.add_parent(id, parent, child)? {
                    return Ok(());
                }
            }
        }
        if let Some(request) = self.table.get_mut(parent) {
            request.waits_for += 1;
        }
        Ok(())
    }

    /// Lets one more parent wait for a request; false if that is complete already.
    fn add_parent(&mut self, id: Id, parent: Id, child: Item) -> Result<bool, ScheduleError> {
        let Some(request) = self.table.get_mut(id) else { return Ok(false) };
        if request.item.path.len() != child.path.len() {
            return Err(ScheduleError::TwoDepths { item: Box::new(request.item), depth: child.path.len() });
        }
        if request.item.path != child.path && !is_within(&self.scope, &request.item) {
            return Err(ScheduleError::TwoPaths { item: Box::new(request.item), path: child.path });
        }
        let has_come = matches!(request.state, State::Verified | State::Complete);
        if child.after_extension && has_come && !request.is_branch {
            let source = NodeError::ExtensionOverNonBranch;
            return Err(ScheduleError::Malformed { item: Box::new(child), source });
        }
        if request.state == State::Complete {
            self.done_share += share_at(&self.scope, &child);
            return Ok(false);
        }
        request.item.after_extension |= child.after_extension;
        request.parents.push(parent);
        Ok(true)
    }
}
