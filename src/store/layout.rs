//! Families and keys. `docs/STORE-FORMAT.md` describes the same to the byte.

use primitive_types::H256;

use crate::trie::Level;

/// The format this program writes; a change of meaning of any key or value raises it.
pub const FORMAT_VERSION: u32 = 3;
/// The oldest format that is read. A store of format 2 has no journal, and is one of format 3 once it is opened for
/// writing.
pub(super) const OLDEST_FORMAT: u32 = 2;

/// hash → level and RLP of a node whose whole subtree is present.
pub(super) const NODES: &str = "nodes";
/// hash → code.
pub(super) const CODES: &str = "codes";
/// hash → RLP of a verified node whose subtree is not complete.
pub(super) const STAGING: &str = "staging";
/// hash → the address or slot number that it is the hash of. Made with the first of them: a store without any can be
/// opened by programs that do not know the family.
pub(super) const PREIMAGES: &str = "preimages";
/// Format version, chain id, checkpoint, one record for each root.
pub(super) const META: &str = "meta";

/// → format version, 4 bytes big-endian.
pub(super) const KEY_FORMAT: &[u8] = b"format";
/// → chain id, 8 bytes big-endian; absent until a chain is known.
pub(super) const KEY_CHAIN_ID: &[u8] = b"chain_id";
/// → hash of the chain's first block, 32 bytes; absent until it is known.
pub(super) const KEY_GENESIS: &[u8] = b"genesis";
/// → JSON of the [`Checkpoint`](super::Checkpoint).
pub(super) const KEY_CHECKPOINT: &[u8] = b"checkpoint";
/// → the checkpoint that the last sync to the disk has made durable, with all that it counts.
pub(super) const KEY_SYNCED: &[u8] = b"checkpoint/synced";
/// → how far the journal was at the checkpoint: its round and the lengths of its files, 8 bytes big-endian each.
pub(super) const KEY_JOURNAL: &[u8] = b"journal";
/// → how far it was at the last sync to the disk, in the same way.
pub(super) const KEY_JOURNAL_SYNCED: &[u8] = b"journal/synced";
/// → JSON of how many preimages there are.
pub(super) const KEY_PREIMAGES: &[u8] = b"preimages";
/// There while rows have been removed whose space the disk does not have back yet.
pub(super) const KEY_PRUNED: &[u8] = b"pruned";
/// followed by a root's 32 bytes → JSON of its [`RootRecord`](super::RootRecord).
pub(super) const PREFIX_ROOT: &[u8] = b"root/";

pub(super) fn root_key(root: &H256) -> Vec<u8> {
    [PREFIX_ROOT, root.as_bytes()].concat()
}

/// The parts of a row of [`NODES`]: the level's byte, then the RLP. One without any byte is no node's; that shows in its hash.
pub(super) fn node(row: &[u8]) -> (Level, &[u8]) {
    row.split_first().map_or((Level::CODE, &[]), |(level, rlp)| (Level::from_byte(*level), rlp))
}
