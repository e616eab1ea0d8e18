//! Taking back what is not true any more: presence means completeness also after damage.

use std::collections::HashSet;

use primitive_types::H256;
use rocksdb::{IteratorMode, ReadOptions, WriteBatch};

use super::layout::{self, CODES, KEY_CHECKPOINT, KEY_SYNCED, META, NODES, STAGING, root_key};
use super::rocks::json;
use super::{Checkpoint, Durability, RootRecord, RootState, Store, StoreError};
use crate::trie::{Event, Leaf, Links, Nibbles, Scope, decode};

/// What was found damaged.
#[derive(Clone, Debug, Default)]
pub struct Damage {
    /// Nodes that are missing, or whose bytes are others than their hash says.
    pub nodes: HashSet<H256>,
    /// Nodes whose bytes are right and whose level is wrong.
    pub levels: HashSet<H256>,
    /// Codes that are missing or others than their hash says.
    pub codes: HashSet<H256>,
}

/// What was taken back.
#[derive(Clone, Debug, Default)]
pub struct Retracted {
    /// Nodes that are not complete any more: their bytes are in staging now.
    pub nodes: u64,
    /// Roots that are not complete any more.
    pub roots: Vec<H256>,
}

impl Store {
    /// Removes what is damaged, and takes back what is not true without it, all in one batch: a node with anything of
    /// it below goes back to staging, and a complete root with anything of it below becomes damaged; a partial one too, if it
    /// is in its scope or on the way to it.
    ///
    /// Whoever refers to something damaged is found by reading all nodes, and again for those who refer to the found,
    /// until there are no more: some ten times, in the order of the disk.
    ///
    /// # Errors
    /// When the database fails.
    pub fn retract(&self, damage: &Damage) -> Result<Retracted, StoreError> {
        // All claims are found in the database then, and nothing is left to be deleted in staging.
        self.settle()?;
        let mut claims = damage.levels.clone();
        while self.add_claims(damage, &mut claims)? {}
        let (nodes, codes, staging, meta) =
            (self.family(NODES)?, self.family(CODES)?, self.family(STAGING)?, self.family(META)?);
        let (mut batch, mut retracted) = (WriteBatch::default(), Retracted::default());
        damage.nodes.iter().for_each(|hash| batch.delete_cf(nodes, hash));
        damage.codes.iter().for_each(|hash| batch.delete_cf(codes, hash));
        for hash in claims.iter().filter(|hash| !damage.nodes.contains(hash)) {
            if let Some(row) = self.db.get_pinned_cf(nodes, hash)? {
                batch.put_cf(staging, hash, layout::node(&row).1);
                batch.delete_cf(nodes, hash);
                retracted.nodes += 1;
            }
        }
        for record in self.roots()? {
            let is_damaged = match (record.state, &record.scope) {
                (RootState::Complete, _) => claims.contains(&record.root) || damage.nodes.contains(&record.root),
                (RootState::Partial, Some(scope)) => self.is_cut_off(record.root, scope, damage, &claims)?,
                _ => false,
            };
            if is_damaged {
                retracted.roots.push(record.root);
                let damaged = RootRecord { state: RootState::Damaged, ..record };
                batch.put_cf(meta, root_key(&damaged.root), json(&damaged)?);
            }
        }
        if let Some(checkpoint) = self.checkpoint()?.filter(|checkpoint| retracted.roots.contains(&checkpoint.root)) {
            let checkpoint = json(&Checkpoint { progress: 0.0, ..checkpoint })?;
            batch.put_cf(meta, KEY_CHECKPOINT, &checkpoint);
            batch.put_cf(meta, KEY_SYNCED, checkpoint);
        }
        self.write(batch, Durability::Disk)?;
        Ok(retracted)
    }

    /// Whether anything of a scope, or on the way to it, is damaged or a claim: then a node on the way is, or refers to
    /// one that is.
    fn is_cut_off(
        &self,
        root: H256,
        scope: &Scope,
        damage: &Damage,
        claims: &HashSet<H256>,
    ) -> Result<bool, StoreError> {
        let mut is_cut_off = false;
        self.on_the_way(root, scope, |event| {
            is_cut_off |= match event {
                Event::Node { mut links, .. } => {
                    links.children.retain(|child| scope.covers(&child.path));
                    links.leaves.retain(|leaf| scope.has(&leaf.key()));
                    leads_to_void(&links, damage, claims)
                }
                Event::Missing(_) | Event::Corrupt { .. } => true,
                Event::Code { .. } => false,
            };
        })?;
        Ok(is_cut_off)
    }

    /// Reads all nodes and adds those that refer to something damaged, or to a claim; whether there were any.
    fn add_claims(&self, damage: &Damage, claims: &mut HashSet<H256>) -> Result<bool, StoreError> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        let before = claims.len();
        for row in self.db.iterator_cf_opt(self.family(NODES)?, options, IteratorMode::Start) {
            let (key, row) = row?;
            // A key that is no hash is nobody's.
            let Ok(hash) = <[u8; 32]>::try_from(&*key).map(H256) else { continue };
            if !claims.contains(&hash) && !damage.nodes.contains(&hash) && refers(&row, damage, claims) {
                claims.insert(hash);
            }
        }
        Ok(claims.len() > before)
    }
}

/// Whether a node refers to something damaged or to a claim. What does not decode refers to nothing: it is damaged
/// itself.
fn refers(row: &[u8], damage: &Damage, claims: &HashSet<H256>) -> bool {
    let (level, rlp) = layout::node(row);
    // Which path it is does not matter, only how long.
    let path = |depth| Nibbles::from_key(&H256::zero()).prefix(depth);
    let Some((kind, depth)) = level.place() else { return false };
    decode(kind, &path(depth), false, rlp).is_ok_and(|links| leads_to_void(&links, damage, claims))
}

fn leads_to_void(links: &Links, damage: &Damage, claims: &HashSet<H256>) -> bool {
    let is_void = |hash: &H256| claims.contains(hash) || damage.nodes.contains(hash);
    links.children.iter().any(|child| is_void(&child.hash))
        || links.leaves.iter().any(|leaf| match leaf {
            Leaf::Account { account, .. } => {
                is_void(&account.storage_root) || damage.codes.contains(&account.code_hash)
            }
            Leaf::Slot { .. } => false,
        })
}
