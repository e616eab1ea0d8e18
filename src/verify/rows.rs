//! What is stored under the hashes that begin with one byte: what each node is, and what it refers to.

use primitive_types::H256;

use crate::trie::{Leaf, Level, Links, Nibbles, NodeSource, decode, is_branch, keccak256_batch};

/// Nodes that are hashed together.
const BATCH: usize = 256;

/// Rows that share an entry of the directory, about: their names fill two lines of the processor's cache.
const ROWS_AN_ENTRY: usize = 8;

/// Half of a hash. Two hashes that agree so far are not found, by chance or by trying.
pub(super) type Name = u128;

/// Nodes in the order of their hashes: some 50 bytes for each, with what it refers to.
#[derive(Debug, Default)]
pub(super) struct Rows {
    names: Vec<Name>,
    rows: Vec<Row>,
    /// The names of the nodes that the rows refer to, row after row.
    references: Vec<Name>,
    /// The codes that the accounts in the rows have, and in which row.
    codes: Vec<(u32, H256)>,
    /// Hashes are uniform, so that a name's bits say about where it is: the first row of each entry.
    directory: Vec<u32>,
}

/// A stored node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The level that is stored with it.
    pub(super) level: Level,
    /// Whether its bytes are those of its hash, and a node that may be at its level.
    pub(super) is_sound: bool,
    pub(super) is_branch: bool,
    /// How many levels further down the nodes are that it refers to; none for an account, which refers to another trie.
    step: u8,
    /// Accounts or slots in it.
    pub(super) leaves: u8,
    /// Where its references end. They begin where those of the row before end.
    end: u32,
}

/// What a row refers to.
#[derive(Clone, Copy, Debug)]
pub(super) struct References<'a> {
    pub(super) names: &'a [Name],
    pub(super) level: Level,
    pub(super) only_branches: bool,
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
            if self.names.last().is_some_and(|last| *last >= name) {
                return None;
            }
            let unsound = Row { level: *level, is_sound: false, is_branch: false, step: 0, leaves: 0, end: 0 };
            let row = if got == *hash { self.refer(*level, rlp) } else { None };
            let end = u32::try_from(self.references.len()).ok()?;
            self.names.push(name);
            self.rows.push(Row { end, ..row.unwrap_or(unsound) });
        }
        Some(())
    }

    /// Notes what a node refers to whose hash is right. `None` if it is no node for this level.
    fn refer(&mut self, level: Level, rlp: &[u8]) -> Option<Row> {
        let (kind, depth) = level.place()?;
        // Which nibbles lead to it does not matter, only how many.
        let Links { children, leaves } = decode(kind, &Nibbles::zeros(depth)?, false, rlp).ok()?;
        let step = children.first().map_or(0, |child| child.path.len() - depth);
        let row = u32::try_from(self.rows.len()).ok()?;
        self.references.extend(children.iter().map(|child| name(&child.hash)));
        for leaf in &leaves {
            let Leaf::Account { account, .. } = leaf else { continue };
            self.references.extend(account.has_storage().then(|| name(&account.storage_root)));
            self.codes.extend(account.has_code().then_some((row, account.code_hash)));
        }
        let (step, leaves) = (u8::try_from(step).ok()?, u8::try_from(leaves.len()).ok()?);
        Some(Row { level, is_sound: true, is_branch: is_branch(rlp), step, leaves, end: 0 })
    }

    fn make_directory(&mut self) -> Option<()> {
        let entries = self.names.len() / ROWS_AN_ENTRY + 1;
        self.directory = Vec::with_capacity(entries + 1);
        for (row, name) in (0..).zip(&self.names) {
            self.directory.resize(self.directory.len().max(entry(*name, entries) + 1), row);
        }
        self.directory.resize(entries + 1, u32::try_from(self.names.len()).ok()?);
        Some(())
    }

    /// The row of this name.
    pub(super) fn find(&self, name: Name) -> Option<usize> {
        let entry = entry(name, self.directory.len().checked_sub(1)?);
        let bounds = self.directory.get(entry..)?.first_chunk()?;
        let [from, to] = bounds.map(|row| row as usize);
        let place = self.names.get(from..to)?.iter().position(|other| *other == name)?;
        Some(from + place)
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn references(&self, row: usize) -> Option<References<'_>> {
        let Row { level, is_branch, step, end, .. } = *self.rows.get(row)?;
        let before = row.checked_sub(1).and_then(|before| self.rows.get(before));
        let names = self.references.get(before.map_or(0, |row| row.end as usize)..end as usize)?;
        let below = Level::from_byte(level.byte().checked_add(step)?);
        let level = if step == 0 { Level::STORAGE_ROOT } else { below };
        Some(References { names, level, only_branches: step > 0 && !is_branch })
    }

    /// The codes of accounts, and the rows of these.
    pub(super) fn codes(&self) -> impl Iterator<Item = (usize, H256)> {
        self.codes.iter().map(|(row, hash)| (*row as usize, *hash))
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
