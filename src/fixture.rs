//! The real mainnet genesis, carried in the program so that `demo` and the tests need no network.
//!
//! Where the bytes come from is written in `fixtures/README.md`.

use primitive_types::{H160, H256};

use crate::genesis::{Genesis, GenesisError};

/// The state root of mainnet's genesis block.
pub const MAINNET_ROOT: H256 = H256([
    0xd7, 0xf8, 0x97, 0x4f, 0xb5, 0xac, 0x78, 0xd9, 0xac, 0x09, 0x9b, 0x9a, 0xd5, 0x01, 0x8b, 0xed, 0xc2, 0xce, 0x0a,
    0x72, 0xda, 0xd1, 0x82, 0x7a, 0x17, 0x09, 0xda, 0x30, 0x58, 0x0f, 0x05, 0x44,
]);
/// The hash of mainnet's genesis block.
pub const MAINNET_HASH: H256 = H256([
    0xd4, 0xe5, 0x67, 0x40, 0xf8, 0x76, 0xae, 0xf8, 0xc0, 0x10, 0xb8, 0x6a, 0x40, 0xd5, 0xf5, 0x67, 0x45, 0xa1, 0x18,
    0xd0, 0x90, 0x6a, 0x34, 0xe6, 0x9a, 0xec, 0x8c, 0x0d, 0xb1, 0xcb, 0x8f, 0xa3,
]);
/// Accounts in mainnet's genesis state; none has code or storage.
pub const MAINNET_ACCOUNTS: u64 = 8_893;
/// The state root of mainnet's block 1.
pub const MAINNET_BLOCK1_ROOT: H256 = H256([
    0xd6, 0x7e, 0x4d, 0x45, 0x03, 0x43, 0x04, 0x64, 0x25, 0xae, 0x42, 0x71, 0x47, 0x43, 0x53, 0x85, 0x7a, 0xb8, 0x60,
    0xdb, 0xc0, 0xa1, 0xdd, 0xe6, 0x4b, 0x41, 0xb5, 0xcd, 0x3a, 0x53, 0x2b, 0xf3,
]);
/// Accounts after mainnet's block 1: its miner's is new.
pub const MAINNET_BLOCK1_ACCOUNTS: u64 = 8_894;

/// The miner of mainnet's block 1.
const BLOCK1_MINER: H160 = H160([
    0x05, 0xa5, 0x6e, 0x2d, 0x52, 0xc8, 0x17, 0x16, 0x18, 0x83, 0xf5, 0x0c, 0x44, 0x1c, 0x32, 0x28, 0xcf, 0xe5, 0x4d,
    0x9f,
]);
/// The reward of a Frontier block: 5 ether (yellow paper, 11.3).
const FRONTIER_REWARD_WEI: u64 = 5_000_000_000_000_000_000;

/// Mainnet's genesis file as it is shipped: geth's JSON format, compressed with zstd.
#[must_use]
pub fn mainnet() -> &'static [u8] {
    include_bytes!("../fixtures/mainnet.json.zst")
}

/// Mainnet's genesis; its state root is [`MAINNET_ROOT`].
///
/// # Errors
/// None with the file that is shipped.
pub fn mainnet_genesis() -> Result<Genesis, GenesisError> {
    Genesis::parse("mainnet.json.zst", mainnet())
}

/// The state after mainnet's block 1, as an allocation without a header; its root is
/// [`MAINNET_BLOCK1_ROOT`].
///
/// The block has no transactions and no ommers, so it is genesis and the miner's reward.
///
/// # Errors
/// None with the file that is shipped.
pub fn mainnet_block1() -> Result<Genesis, GenesisError> {
    let mut state = mainnet_genesis()?;
    state.credit(BLOCK1_MINER, FRONTIER_REWARD_WEI.into());
    state.header = None;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::genesis::{StateSink, StateSummary};
    use crate::trie::{Level, keccak256};

    struct Discard;

    impl StateSink for Discard {
        type Error = Infallible;

        fn node(&mut self, _: Level, _: H256, _: &[u8]) -> Result<(), Infallible> {
            Ok(())
        }

        fn code(&mut self, _: H256, _: &[u8]) -> Result<(), Infallible> {
            Ok(())
        }
    }

    fn summary(genesis: &Genesis) -> StateSummary {
        genesis.build(&mut Discard).unwrap()
    }

    #[test]
    fn the_mainnet_genesis_has_its_known_root_hash_and_accounts() {
        let genesis = mainnet_genesis().unwrap();
        let summary = summary(&genesis);
        assert_eq!(summary.root, MAINNET_ROOT);
        assert_eq!(summary.accounts, MAINNET_ACCOUNTS);
        assert_eq!((summary.slots, summary.codes), (0, 0));
        assert_eq!(genesis.chain_id, Some(1));
        let header = genesis.header.unwrap().encode(summary.root);
        assert_eq!(keccak256(&header), MAINNET_HASH);
    }

    #[test]
    fn mainnet_block_1_is_genesis_and_the_miners_reward() {
        let summary = summary(&mainnet_block1().unwrap());
        assert_eq!(summary.root, MAINNET_BLOCK1_ROOT);
        assert_eq!(summary.accounts, MAINNET_BLOCK1_ACCOUNTS);
    }
}
