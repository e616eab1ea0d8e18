//! What `geth snapshot dump` prints: one line for the root and one for each account, keyed by hash.

use primitive_types::{H256, U256};

use super::ExportError;
use super::json::{Members, hex, rlp_word};
use super::output::Output;
use super::tour::{Entry, Writer};

/// Writes the lines, in geth's order of the fields and with its spelling of the values.
pub(super) struct GethDump<'a> {
    output: &'a mut Output,
    storage: Members,
}

impl<'a> GethDump<'a> {
    pub(super) fn new(output: &'a mut Output) -> Self {
        Self { output, storage: Members::default() }
    }
}

impl Writer for GethDump<'_> {
    fn begin(&mut self, root: H256) -> Result<(), ExportError> {
        self.output.put(format!("{{\"root\":\"{root:?}\"}}\n").as_bytes())
    }

    fn account(&mut self, entry: &Entry) -> Result<(), ExportError> {
        let account = &entry.account;
        let fields = format!(
            "{{\"balance\":\"{}\",\"nonce\":{},\"root\":\"{:?}\",\"codeHash\":\"{:?}\"",
            account.balance, account.nonce, account.storage_root, account.code_hash
        );
        self.output.put(fields.as_bytes())?;
        if entry.code.is_empty() {
            return Ok(());
        }
        self.output.put(format!(",\"code\":\"{}\"", hex(&entry.code)).as_bytes())
    }

    fn slot(&mut self, key: H256, value: U256) -> Result<(), ExportError> {
        self.storage.next(self.output, ",\"storage\":{")?;
        // The value is the leaf's own bytes, without a prefix.
        let value = faster_hex::hex_string(&rlp_word(value));
        self.output.put(format!("\"{key:?}\":\"{value}\"").as_bytes())
    }

    fn end_account(&mut self, entry: &Entry) -> Result<(), ExportError> {
        self.storage.end(self.output)?;
        self.output.put(format!(",\"key\":\"{:?}\"}}\n", entry.key).as_bytes())
    }
}
