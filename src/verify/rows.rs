//! What is stored under the hashes that begin with one byte: what each node is, and what it refers to.

use std::sync::atomic::{AtomicU64, Ordering};

use primitive_types::H256;

use crate::trie::{Leaf, Level, Links, Nibbles, NodeSource, decode, is_branch, keccak256_batch};

/// Nodes that are hashed together.
const BATCH: usize = 256;

/// Rows that share an entry of the directory, about: they lie side by side in the processor's cache.
const ROWS_AN_ENTRY: usize = 2;

/// Half of a hash. Two hashes that agree so far are not found, by chance or by trying.
pub(super) type Name = u128;

/// Nodes in the order of their hashes: some 50 bytes for each, with what it refers to.
#[derive(Debug, Default)]
pub(super) struct Rows {
    all: Vec<Row>,
    /// The names of the nodes that the rows refer to, row after row.
    references: Vec<Name>,
    /// The codes that the accounts in the rows have, and in which row.
    codes: Vec<(u32, H256)>,
    /// Hashes are uniform, so that a name's bits say about where it is: the first row of each entry.
    directory: Vec<u32>,
}

/// A stored node.
#[derive(Debug)]
pub(super) struct Row {
    name: Name,
    /// In how many ways the root leads to it, as far as is known: the leaves in it count so often.
    paths: AtomicU64,
    /// Where its references end. They begin where those of the row before end.
    end: u32,
    /// The level that is stored with it.
    pub(super) level: Level,
    what: What,
    /// How many levels further down the nodes are that it refers to; none for an account, which refers to another trie.
    step: u8,
    /// Accounts or slots in it.
    pub(super) leaves: u8,
}

/// What the bytes of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Not those of the hash, or no node that may be at its level.
    Unsound,
    Branch,
    Other,
}

/// What a row refers to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference {
    pub(super) name: Name,
    /// Where the node has to be.
    pub(super) level: Level,
    /// Whether it has to be a branch.
    pub(super) is_branch: bool,
    /// In how many ways the root leads here.
    pub(super) paths: u64,
}

impl Rows {
    /// Reads, hashes and decodes all nodes whose hash begins with this byte, and says of how many it has done so. `None`
    /// where the source cannot hand them out in order, fails, or has more than there is room for.
    pub(super) fn read<S: NodeSource>(source: &S, first: u8, checked: impl Fn(u64)) -> Option<Self> {
        let (mut rows, mut batch, mut is_whole) = (Self::default(), Batch::default(), true);
        let mut take = |hash: H256, level: Level, rlp: &[u8]| {
            batch.push(hash, level, rlp);
            if batch.nodes.len() == BATCH {
                is_whole &= rows.add(&batch).is_some();
                checked(batch.nodes.len() as u64);
                batch.clear();
            }
        };
        is_whole &= source.scan(first, &mut take).unwrap_or(false);
        is_whole &= rows.add(&batch).is_some();
        checked(batch.nodes.len() as u64);
        rows.make_directory()?;
        is_whole.then_some(rows)
    }

    /// Adds rows after those that are there. `None` where they do not come after, or are too many.
    fn add(&mut self, batch: &Batch) -> Option<()> {
        let inputs = batch.inputs();
        for (((hash, level), rlp), got) in batch.nodes.iter().zip(&inputs).zip(keccak256_batch(&inputs)) {
            let name = name(hash);
            if self.all.last().is_some_and(|last| last.name >= name) {
                return None;
            }
            let sound = if got == *hash { self.refer(*level, rlp) } else { None };
            let (what, step, leaves) = sound.unwrap_or((What::Unsound, 0, 0));
            let (end, paths) = (u32::try_from(self.references.len()).ok()?, AtomicU64::new(0));
            self.all.push(Row { name, paths, end, level: *level, what, step, leaves });
        }
        Some(())
    }

    /// Notes what a node refers to whose hash is right. `None` if it is no node for this level.
    fn refer(&mut self, level: Level, rlp: &[u8]) -> Option<(What, u8, u8)> {
        let (kind, depth) = level.place()?;
        // Which nibbles lead to it does not matter, only how many.
        let Links { children, leaves } = decode(kind, &Nibbles::zeros(depth)?, false, rlp).ok()?;
        let step = children.first().map_or(0, |child| child.path.len() - depth);
        let row = u32::try_from(self.all.len()).ok()?;
        self.references.extend(children.iter().map(|child| name(&child.hash)));
        for leaf in &leaves {
            let Leaf::Account { account, .. } = leaf else { continue };
            self.references.extend(account.has_storage().then(|| name(&account.storage_root)));
            self.codes.extend(account.has_code().then_some((row, account.code_hash)));
        }
        let what = if is_branch(rlp) { What::Branch } else { What::Other };
        Some((what, u8::try_from(step).ok()?, u8::try_from(leaves.len()).ok()?))
    }

    fn make_directory(&mut self) -> Option<()> {
        let entries = self.all.len() / ROWS_AN_ENTRY + 1;
        self.directory = Vec::with_capacity(entries + 1);
        for (place, row) in (0..).zip(&self.all) {
            self.directory.resize(self.directory.len().max(entry(row.name, entries) + 1), place);
        }
        self.directory.resize(entries + 1, u32::try_from(self.all.len()).ok()?);
        Some(())
    }

    /// About where the row of this name is: the few rows that it is one of, if it is there.
    pub(super) fn near(&self, name: Name) -> &[Row] {
        let Some(entries) = self.directory.len().checked_sub(1) else { return &[] };
        let bounds = self.directory.get(entry(name, entries)..).and_then(<[_]>::first_chunk);
        bounds.and_then(|&[from, to]| self.all.get(from as usize..to as usize)).unwrap_or_default()
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.all
    }

    pub(super) fn row(&self, place: u32) -> Option<&Row> {
        self.all.get(place as usize)
    }

    /// What a row refers to.
    pub(super) fn references(&self, place: u32) -> Option<impl Iterator<Item = Reference>> {
        let row = self.row(place)?;
        let before = place.checked_sub(1).and_then(|before| self.row(before));
        let names = self.references.get(before.map_or(0, |row| row.end as usize)..row.end as usize)?;
        let below = Level::from_byte(row.level.byte().checked_add(row.step)?);
        let level = if row.step == 0 { Level::STORAGE_ROOT } else { below };
        // What refers to one level below and is no branch itself is an extension.
        let (is_branch, paths) = (row.step > 0 && row.what == What::Other, row.paths());
        Some(names.iter().map(move |&name| Reference { name, level, is_branch, paths }))
    }

    /// The codes of accounts, and the rows of these.
    pub(super) fn codes(&self) -> impl Iterator<Item = (&Row, H256)> {
        self.codes.iter().filter_map(|(place, hash)| Some((self.row(*place)?, *hash)))
    }
}

impl Row {
    pub(super) fn paths(&self) -> u64 {
        self.paths.load(Ordering::Relaxed)
    }

    pub(super) fn is_sound(&self) -> bool {
        self.what != What::Unsound
    }

    /// Notes the paths by which a reference leads to this row, if it does and the row is as it has to be.
    pub(super) fn enter(&self, reference: &Reference) -> Option<()> {
        let Reference { name, level, is_branch, paths } = *reference;
        if self.name != name || self.level != level || is_branch && self.what != What::Branch {
            return None;
        }
        let add = |known: u64| Some(known.saturating_add(paths));
        self.paths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok().map(|_| ())
    }
}

pub(super) fn name(hash: &H256) -> Name {
    u128::from_be_bytes(hash.0.first_chunk().copied().unwrap_or_default())
}

/// Which of so many entries a name belongs to. All names begin with the same byte, so the bits after it tell.
fn entry(name: Name, entries: usize) -> usize {
    let bits = (name << u8::BITS) >> u64::BITS;
    usize::try_from((bits * entries as Name) >> u64::BITS).unwrap_or_default()
}

/// Nodes to be hashed together; their bytes are in one piece.
#[derive(Default)]
struct Batch {
    nodes: Vec<(H256, Level)>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Batch {
    fn push(&mut self, hash: H256, level: Level, rlp: &[u8]) {
        self.nodes.push((hash, level));
        self.bytes.extend_from_slice(rlp);
        self.ends.push(self.bytes.len());
    }

    fn clear(&mut self) {
        self.nodes.clear();
        self.ends.clear();
        self.bytes.clear();
    }

    fn inputs(&self) -> Vec<&[u8]> {
        let mut from = 0;
        let input = |end: &usize| self.bytes.get(std::mem::replace(&mut from, *end)..*end).unwrap_or_default();
        self.ends.iter().map(input).collect()
    }
}
