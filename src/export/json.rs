//! JSON that is written piece by piece: one contract may have more storage than there is memory.

use primitive_types::U256;

use super::ExportError;
use super::output::Output;

/// Bytes as 0x-prefixed hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    format!("0x{}", faster_hex::hex_string(bytes))
}

/// The members of an object of which each is written on its own.
#[derive(Debug, Default)]
pub(super) struct Members {
    open: bool,
}

impl Members {
    /// Begins the next member; `opening` stands before the first.
    pub(super) fn next(&mut self, output: &mut Output, opening: &str) -> Result<(), ExportError> {
        let before = if self.open { "," } else { opening };
        self.open = true;
        output.put(before.as_bytes())
    }

    /// Ends the object, if it was begun.
    pub(super) fn end(&mut self, output: &mut Output) -> Result<(), ExportError> {
        if std::mem::take(&mut self.open) { output.put(b"}") } else { Ok(()) }
    }
}

/// The RLP of a word.
pub(super) fn rlp_word(word: U256) -> Vec<u8> {
    rlp::encode(&word).into()
}
