//! The two forms that name accounts and slots themselves, not by hash: lines of JSON that `reth init-state` takes, and a
//! genesis allocation.

use primitive_types::{H256, U256};

use super::ExportError;
use super::json::{Members, hex};
use super::names::Names;
use super::output::Output;
use super::tour::{Entry, Writer};
use crate::store::Store;

/// How the accounts are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// A line for the root, then one for each account.
    Lines,
    /// One object with the accounts by address.
    Alloc,
}

/// Writes accounts in the order of their keys.
pub(super) struct Plain<'a> {
    output: &'a mut Output,
    style: Style,
    names: Names<'a>,
    accounts: Members,
    storage: Members,
}

impl<'a> Plain<'a> {
    pub(super) fn new(store: &'a Store, output: &'a mut Output, style: Style) -> Self {
        let (accounts, storage) = (Members::default(), Members::default());
        Self { output, style, names: Names::new(store), accounts, storage }
    }

    /// Adds text, while all of the state can be named.
    fn put(&mut self, text: &str) -> Result<(), ExportError> {
        if self.names.are_known() { self.output.put(text.as_bytes()) } else { Ok(()) }
    }
}

impl Writer for Plain<'_> {
    fn begin(&mut self, root: H256) -> Result<(), ExportError> {
        match self.style {
            Style::Lines => self.put(&format!("{{\"root\":\"{root:?}\"}}\n")),
            Style::Alloc => self.put("{\"alloc\":{"),
        }
    }

    fn account(&mut self, entry: &Entry) -> Result<(), ExportError> {
        let Some(address) = self.names.address(&entry.key)?.filter(|_| self.names.are_known()) else { return Ok(()) };
        let address = hex(&address);
        match self.style {
            Style::Lines => self.put(&format!("{{\"address\":\"{address}\","))?,
            Style::Alloc => {
                self.accounts.next(self.output, "\n")?;
                self.put(&format!("\"{address}\":{{"))?;
            }
        }
        self.put(&format!("\"balance\":\"{:#x}\",\"nonce\":\"{:#x}\"", entry.account.balance, entry.account.nonce))?;
        if entry.code.is_empty() {
            return Ok(());
        }
        self.put(&format!(",\"code\":\"{}\"", hex(&entry.code)))
    }

    fn slot(&mut self, key: H256, value: U256) -> Result<(), ExportError> {
        let Some(slot) = self.names.slot(&key)?.filter(|_| self.names.are_known()) else { return Ok(()) };
        self.storage.next(self.output, ",\"storage\":{")?;
        self.put(&format!("\"{}\":\"{}\"", hex(&slot), hex(&value.to_big_endian())))
    }

    fn end_account(&mut self, _entry: &Entry) -> Result<(), ExportError> {
        if !self.names.are_known() {
            return Ok(());
        }
        self.storage.end(self.output)?;
        self.put(if self.style == Style::Lines { "}\n" } else { "}" })
    }

    fn end(&mut self) -> Result<(), ExportError> {
        self.names.check()?;
        if self.style == Style::Alloc { self.put("\n}}\n") } else { Ok(()) }
    }
}
