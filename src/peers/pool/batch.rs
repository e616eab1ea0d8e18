//! A batch being filled.

use super::Ask;
use crate::trie::Kind;

/// JSON bytes of a full branch node, the largest common node: 532 bytes as hex, and its envelope.
const NODE_REPLY_BYTES: usize = 1_200;

/// JSON bytes of a code at mainnet's size limit (EIP-170: 24,576 bytes).
const CODE_REPLY_BYTES: usize = 49_300;

/// A batch being filled, up to a number of items and an estimate of the reply's size.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) asks: Vec<Ask>,
    most_items: usize,
    most_bytes: usize,
    bytes: usize,
}

impl Batch {
    pub(super) fn new(most_items: usize, most_bytes: usize) -> Self {
        Self { asks: Vec::with_capacity(most_items), most_items, most_bytes, bytes: 0 }
    }

    pub(super) fn push(&mut self, ask: Ask) {
        self.bytes += bytes_of(&ask);
        self.asks.push(ask);
    }

    pub(super) fn is_full(&self) -> bool {
        self.step() == 0
    }

    /// How many items fit in any case; a batch with nothing in it takes one.
    pub(super) fn step(&self) -> usize {
        let by_bytes = self.most_bytes.saturating_sub(self.bytes) / CODE_REPLY_BYTES;
        let by_bytes = if self.asks.is_empty() { by_bytes.max(1) } else { by_bytes };
        self.most_items.saturating_sub(self.asks.len()).min(by_bytes)
    }
}

/// About how many bytes the replies bring, at most.
pub(super) fn reply_bytes(asks: &[Ask]) -> usize {
    asks.iter().map(bytes_of).sum()
}

fn bytes_of(ask: &Ask) -> usize {
    if ask.item.key.kind == Kind::Code { CODE_REPLY_BYTES } else { NODE_REPLY_BYTES }
}
