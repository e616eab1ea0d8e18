//! What an account-trie leaf holds.

use primitive_types::{H256, U256};
use rlp::RlpStream;

use super::error::AccountError;
use super::keccak::{EMPTY_CODE_HASH, EMPTY_ROOT};
use super::rlp_reader::{items, single_list};

/// An account (yellow paper, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Transactions sent, or contracts created. EIP-2681 limits it to 64 bits.
    pub nonce: u64,
    /// Wei owned.
    pub balance: U256,
    /// Root of the account's storage trie; [`EMPTY_ROOT`] when it has none.
    pub storage_root: H256,
    /// keccak256 of the account's code; [`EMPTY_CODE_HASH`] when it has none.
    pub code_hash: H256,
}

impl Account {
    /// Whether there is a storage trie to fetch.
    #[must_use]
    pub fn has_storage(&self) -> bool {
        self.storage_root != EMPTY_ROOT
    }

    /// Whether there is code to fetch.
    #[must_use]
    pub fn has_code(&self) -> bool {
        self.code_hash != EMPTY_CODE_HASH
    }

    /// The leaf value: the RLP list of nonce, balance, storage root, code hash.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut list = RlpStream::new_list(4);
        list.append(&self.nonce).append(&self.balance);
        list.append(&self.storage_root).append(&self.code_hash);
        list.out().into()
    }

    /// Reads a leaf value.
    ///
    /// # Errors
    /// [`AccountError`] unless the bytes are exactly what [`Account::encode`] writes for some
    /// account.
    pub fn decode(value: &[u8]) -> Result<Self, AccountError> {
        let (fields, got) = items(single_list(value)?)?;
        let [nonce, balance, storage_root, code_hash] = fields;
        if got != fields.len() {
            return Err(AccountError::FieldCount { got });
        }
        let nonce = nonce.integer(size_of::<u64>()).map_err(AccountError::Nonce)?;
        let balance = balance.integer(size_of::<U256>()).map_err(AccountError::Balance)?;
        Ok(Self {
            nonce: nonce.iter().fold(0, |nonce, &byte| nonce << 8 | u64::from(byte)),
            balance: U256::from_big_endian(balance),
            storage_root: storage_root.hash().map_err(AccountError::StorageRoot)?,
            code_hash: code_hash.hash().map_err(AccountError::CodeHash)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trie::error::RlpError;

    const ROOT: H256 = H256([0x11; 32]);
    const CODE: H256 = H256([0x22; 32]);

    fn account(nonce: u64, balance: U256) -> Account {
        Account { nonce, balance, storage_root: ROOT, code_hash: CODE }
    }

    /// An account value with these nonce and balance bytes, and hashes of these lengths.
    fn raw(nonce: &[u8], balance: &[u8], root: usize, code: usize) -> Vec<u8> {
        let mut list = RlpStream::new_list(4);
        list.append(&nonce).append(&balance).append(&vec![0x11; root]).append(&vec![0x22; code]);
        list.out().into()
    }

    #[test]
    fn an_account_reads_back_as_written() {
        for nonce in [0, 1, 0x7f, 0x80, 0x100, u64::MAX] {
            for balance in [U256::zero(), U256::one(), U256::from(0x80), U256::MAX] {
                let account = account(nonce, balance);
                assert_eq!(Account::decode(&account.encode()), Ok(account));
            }
        }
        assert_eq!(account(1, 2.into()).encode(), raw(&[1], &[2], 32, 32));
    }

    #[test]
    fn an_account_has_its_four_fields_and_no_more() {
        let fields = |count: usize| {
            let mut list = RlpStream::new_list(count);
            list.append_raw(&rlp::encode(&ROOT).repeat(count), count);
            list.out()
        };
        for got in [0, 3, 5] {
            assert_eq!(Account::decode(&fields(got)), Err(AccountError::FieldCount { got }));
        }
    }

    #[test]
    fn integers_are_canonical_and_fit() {
        use RlpError::{IntegerTooLong, LeadingZero};
        let nonce = |bytes: &[u8]| Account::decode(&raw(bytes, &[], 32, 32)).unwrap_err();
        assert_eq!(nonce(&[0]), AccountError::Nonce(LeadingZero));
        assert_eq!(nonce(&[0, 1]), AccountError::Nonce(LeadingZero));
        assert_eq!(nonce(&[1; 9]), AccountError::Nonce(IntegerTooLong { got: 9, max: 8 }));
        let balance = |bytes: &[u8]| Account::decode(&raw(&[], bytes, 32, 32)).unwrap_err();
        assert_eq!(balance(&[0]), AccountError::Balance(LeadingZero));
        assert_eq!(balance(&[1; 33]), AccountError::Balance(IntegerTooLong { got: 33, max: 32 }));
    }

    #[test]
    fn hashes_have_32_bytes() {
        for got in [0, 31, 33] {
            let not_hash = RlpError::NotAHash { got };
            let root = Account::decode(&raw(&[], &[], got, 32));
            assert_eq!(root, Err(AccountError::StorageRoot(not_hash)));
            let code = Account::decode(&raw(&[], &[], 32, got));
            assert_eq!(code, Err(AccountError::CodeHash(not_hash)));
        }
    }

    #[test]
    fn an_account_value_is_one_canonical_list() {
        let value = account(1, U256::one()).encode();
        let trailing = [&value[..], &[0]].concat();
        let string = rlp::encode(&value);
        let refused = |bytes: &[u8]| Account::decode(bytes).unwrap_err();
        assert_eq!(refused(&trailing), AccountError::Rlp(RlpError::TrailingBytes { extra: 1 }));
        assert_eq!(refused(&string), AccountError::Rlp(RlpError::NotAList));
        assert_eq!(refused(&[]), AccountError::Rlp(RlpError::Truncated));
    }

    #[test]
    fn empty_storage_and_code_are_known_by_their_hashes() {
        let full = account(0, U256::zero());
        assert!(full.has_storage() && full.has_code());
        let empty = Account { storage_root: EMPTY_ROOT, code_hash: EMPTY_CODE_HASH, ..full };
        assert!(!empty.has_storage() && !empty.has_code());
    }
}
