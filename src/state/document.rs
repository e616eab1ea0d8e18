//! A proof as `eth_getProof` tells it.

use primitive_types::{H160, H256, U256};
use serde::Serialize;

use super::{AccountProof, Slot};

/// The result of `eth_getProof` (EIP-1186), as JSON with serde. What is not in the EIP is as in go-ethereum: an account
/// that is not there has hashes of zeros, and a slot is named as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProofDocument {
    address: String,
    account_proof: Vec<String>,
    balance: String,
    code_hash: String,
    nonce: String,
    storage_hash: String,
    storage_proof: Vec<SlotDocument>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct SlotDocument {
    key: String,
    value: String,
    proof: Vec<String>,
}

impl ProofDocument {
    /// The proof of the account with this address and of these of its slots, in the order in which they were proved.
    #[must_use]
    pub fn new(address: H160, slots: &[Slot], proof: &AccountProof) -> Self {
        let account = proof.account.as_ref();
        let hash = |hash: Option<H256>| format!("{:?}", hash.unwrap_or_default());
        let slots = slots.iter().zip(&proof.slots).map(|(name, slot)| SlotDocument {
            key: name.to_string(),
            value: format!("{:#x}", slot.value),
            proof: slot.nodes.iter().map(hex).collect(),
        });
        Self {
            address: format!("{address:?}"),
            account_proof: proof.nodes.iter().map(hex).collect(),
            balance: format!("{:#x}", account.map_or(U256::zero(), |account| account.balance)),
            code_hash: hash(account.map(|account| account.code_hash)),
            nonce: format!("{:#x}", account.map_or(0, |account| account.nonce)),
            storage_hash: hash(account.map(|account| account.storage_root)),
            storage_proof: slots.collect(),
        }
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", faster_hex::hex_string(bytes.as_ref()))
}
