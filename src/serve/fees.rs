//! What a header says of the price of gas.

use primitive_types::{U256, U512};
use rlp::Rlp;
use serde_json::{Value, json};

use super::reply::Refusal;

/// EIP-1559: a block may use this many times the gas that leaves the base fee as it is,
const ELASTICITY: u64 = 2;
/// and the base fee changes by at most one part in so many.
const CHANGE_DENOMINATOR: u64 = 8;

/// The figures of a header that tell the price of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fees {
    pub(super) number: u64,
    gas_limit: u64,
    gas_used: u64,
    /// None before London.
    base_fee: Option<U256>,
}

impl Fees {
    pub(super) fn read(header: &[u8]) -> Result<Self, Refusal> {
        let header = Rlp::new(header);
        let read = || -> Result<Self, rlp::DecoderError> {
            let base_fee = if header.item_count()? > 15 { Some(header.val_at(15)?) } else { None };
            Ok(Self { number: header.val_at(8)?, gas_limit: header.val_at(9)?, gas_used: header.val_at(10)?, base_fee })
        };
        read().map_err(|error| Refusal::failed(format!("the header cannot be read: {error}")))
    }

    /// Wei for each unit of gas; zero before London, when there was no such fee.
    pub(super) fn base_fee(&self) -> U256 {
        self.base_fee.unwrap_or_default()
    }

    /// The base fee of the block after it (EIP-1559).
    fn next_base_fee(&self) -> U256 {
        let (base_fee, target) = (self.base_fee(), self.gas_limit / ELASTICITY);
        if target == 0 || self.base_fee.is_none() {
            return base_fee;
        }
        // Of a made-up header the product may need more than 256 bits.
        let part = U512::from(base_fee) * U512::from(self.gas_used.abs_diff(target));
        let change = part / U512::from(target) / U512::from(CHANGE_DENOMINATOR);
        let change = U256::try_from(change).unwrap_or(U256::MAX);
        if self.gas_used > target {
            base_fee.saturating_add(change.max(U256::one()))
        } else {
            base_fee.saturating_sub(change)
        }
    }

    /// The result of `eth_feeHistory` over this block alone: of others the headers are not known, and of the tips in it
    /// neither.
    pub(super) fn history(&self) -> Value {
        #[expect(clippy::cast_precision_loss, reason = "it is a ratio")]
        let ratio = if self.gas_limit == 0 { 0.0 } else { self.gas_used as f64 / self.gas_limit as f64 };
        json!({
            "oldestBlock": format!("{:#x}", self.number),
            "baseFeePerGas": [format!("{:#x}", self.base_fee()), format!("{:#x}", self.next_base_fee())],
            "gasUsedRatio": [ratio],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(base_fee: u64, gas_used: u64) -> U256 {
        let fees = Fees { number: 1, gas_limit: 60_000_000, gas_used, base_fee: Some(base_fee.into()) };
        fees.next_base_fee()
    }

    #[test]
    fn the_next_base_fee_is_that_of_a_real_chain() {
        // Block 10 of the chain that scripts/geth makes, and what geth gives for block 11.
        assert_eq!(next(0x14f5_4a30, 0x17_b06a), 0x1279_55c7.into());
        assert_eq!(next(1_000_000_000, 30_000_000), 1_000_000_000.into());
        assert_eq!(next(1_000_000_000, 60_000_000), 1_125_000_000.into());
        assert_eq!(next(1, 30_000_001), 2.into());
    }

    #[test]
    fn before_london_there_is_no_base_fee() {
        let fees = Fees { number: 1, gas_limit: 0, gas_used: 1, base_fee: None };
        assert_eq!((fees.base_fee(), fees.next_base_fee()), (U256::zero(), U256::zero()));
        assert_eq!(fees.history()["gasUsedRatio"], json!([0.0]));
    }
}
