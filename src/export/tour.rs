//! A whole state, account by account, to whoever writes it down.

use std::sync::atomic::Ordering;

use primitive_types::{H256, U256};

use super::bound::Bound;
use super::ordered::Found;
use super::{ExportError, Exported, Watch};
use crate::store::Store;
use crate::trie::{Account, Fault, Leaf, Place, Target, keccak256};

/// Writes a state down, in one format. What a format has no use for it leaves out.
pub(super) trait Writer {
    /// Before all.
    fn begin(&mut self, _root: H256) -> Result<(), ExportError> {
        Ok(())
    }

    /// A node, before what it refers to.
    fn node(&mut self, _place: &Place, _rlp: &[u8]) -> Result<(), ExportError> {
        Ok(())
    }

    /// An account, later than those of smaller keys; its storage comes before the next.
    fn account(&mut self, _entry: &Entry) -> Result<(), ExportError> {
        Ok(())
    }

    /// A slot of the account that came last, later than those of smaller keys.
    fn slot(&mut self, _key: H256, _value: U256) -> Result<(), ExportError> {
        Ok(())
    }

    /// After an account's last slot.
    fn end_account(&mut self, _entry: &Entry) -> Result<(), ExportError> {
        Ok(())
    }

    /// After all.
    fn end(&mut self) -> Result<(), ExportError> {
        Ok(())
    }
}

/// An account with what is beside its storage.
#[derive(Debug)]
pub(super) struct Entry {
    /// keccak256 of its address.
    pub(super) key: H256,
    pub(super) account: Account,
    /// Empty where it has none.
    pub(super) code: Vec<u8>,
}

/// Gives all of a state to a writer.
pub(super) fn tour(
    store: &Store,
    root: H256,
    writer: &mut impl Writer,
    watch: Watch<'_>,
) -> Result<Exported, ExportError> {
    let (mut counts, mut bound) = (Exported::default(), Bound::of(store)?);
    for found in bound.accounts(store, root) {
        match found? {
            Found::Node(place, rlp) => writer.node(&place, &rlp)?,
            Found::Leaf(Leaf::Account { key, account }) => {
                let entry = Entry { key, account, code: code(store, key, &account)? };
                counts.accounts += 1;
                counts.contracts += u64::from(account.has_code());
                writer.account(&entry)?;
                counts.slots += storage(store, &entry, writer, &mut bound, watch)?;
                writer.end_account(&entry)?;
                bound.leaf()?;
                watch.tick()?;
            }
            // An account trie has none.
            Found::Leaf(Leaf::Slot { .. }) => {}
        }
    }
    Ok(counts)
}

fn storage(
    store: &Store,
    entry: &Entry,
    writer: &mut impl Writer,
    bound: &mut Bound,
    watch: Watch<'_>,
) -> Result<u64, ExportError> {
    let mut slots = 0;
    for found in bound.storage(store, entry.key, entry.account.storage_root) {
        match found? {
            Found::Node(place, rlp) => writer.node(&place, &rlp)?,
            Found::Leaf(Leaf::Slot { key, value }) => {
                writer.slot(key, value)?;
                slots += 1;
                bound.leaf()?;
                watch.tick()?;
            }
            // A storage trie has none.
            Found::Leaf(Leaf::Account { .. }) => {}
        }
    }
    Ok(slots)
}

fn code(store: &Store, owner: H256, account: &Account) -> Result<Vec<u8>, ExportError> {
    if !account.has_code() {
        return Ok(Vec::new());
    }
    let hash = account.code_hash;
    let unsound = |fault| ExportError::NotSound { target: Box::new(Target::Code { owner, hash }), fault };
    let code = store.code(&hash)?.ok_or_else(|| unsound(None))?;
    let got = keccak256(&code);
    if got == hash { Ok(code) } else { Err(unsound(Some(Fault::Hash { got }))) }
}

impl Watch<'_> {
    /// Counts one more, and ends where that is wanted.
    pub(crate) fn tick(self) -> Result<(), ExportError> {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.check()
    }

    /// Ends where that is wanted.
    pub(crate) fn check(self) -> Result<(), ExportError> {
        if self.stop.load(Ordering::Relaxed) { Err(ExportError::Stopped) } else { Ok(()) }
    }
}
