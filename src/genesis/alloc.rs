//! The `alloc` object: the accounts a chain starts with.

use std::collections::BTreeMap;

use primitive_types::{H160, H256, U256};
use serde_json::value::RawValue;

use super::value::{self, FieldError, Object, ValueError, shown};
use crate::trie::keccak256;

/// One account of a genesis allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisAccount {
    /// The account's address.
    pub address: H160,
    /// Its nonce.
    pub nonce: u64,
    /// Its balance in wei.
    pub balance: U256,
    /// Its code; empty for none.
    pub code: Vec<u8>,
    /// Its storage by the keccak of the slot, which is the order of the storage trie; no zeros.
    pub storage: BTreeMap<H256, U256>,
}

impl GenesisAccount {
    /// An account that holds nothing.
    #[must_use]
    pub fn new(address: H160) -> Self {
        Self { address, nonce: 0, balance: U256::zero(), code: Vec::new(), storage: BTreeMap::new() }
    }

    /// Reads an account as geth does: the balance is required, fields it does not know are skipped.
    fn read(address: H160, raw: &RawValue) -> Result<Self, FieldError> {
        let fields = Object::new(raw).map_err(|problem| problem.at("entry"))?;
        let balance = fields.read("balance", value::quantity)?;
        let storage = match fields.get("storage")? {
            Some(raw) => read_storage(raw)?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            address,
            nonce: fields.read("nonce", value::number)?.unwrap_or_default(),
            balance: balance.ok_or(ValueError::Missing.at("balance"))?,
            code: fields.read("code", value::bytes)?.unwrap_or_default(),
            storage,
        })
    }
}

/// Reads an `alloc` object into accounts by hashed address.
pub(super) fn read(alloc: &Object<'_>) -> Result<BTreeMap<H256, GenesisAccount>, FieldError> {
    let mut accounts = BTreeMap::new();
    for (name, raw) in &alloc.entries {
        let place = || format!("account {}", shown(name));
        let address = value::fixed(name).map_err(|problem| problem.at(place()))?;
        let account = GenesisAccount::read(H160(address), raw).map_err(|error| error.within(&place()))?;
        if accounts.insert(keccak256(&address), account).is_some() {
            return Err(ValueError::Duplicate.at(place()));
        }
    }
    Ok(accounts)
}

/// The addresses and slot numbers of an `alloc` object.
pub(super) fn preimages(alloc: &Object<'_>) -> Result<Vec<Vec<u8>>, FieldError> {
    let mut preimages = Vec::new();
    for (name, raw) in &alloc.entries {
        let place = || format!("account {}", shown(name));
        preimages.push(value::fixed::<20>(name).map_err(|problem| problem.at(place()))?.into());
        let account = Object::new(raw).map_err(|problem| problem.at(place()))?;
        let Some(storage) = account.get("storage").map_err(|error| error.within(&place()))? else { continue };
        let storage = Object::new(storage).map_err(|problem| problem.at("storage").within(&place()))?;
        for (name, _) in &storage.entries {
            let slot = value::word(name).map_err(|problem| problem.at(format!("storage slot {}", shown(name))));
            preimages.push(slot.map_err(|error| error.within(&place()))?.to_big_endian().into());
        }
    }
    Ok(preimages)
}

/// Reads a `storage` object. A slot set to zero is no slot, as in the state itself.
fn read_storage(raw: &RawValue) -> Result<BTreeMap<H256, U256>, FieldError> {
    let object = Object::new(raw).map_err(|problem| problem.at("storage"))?;
    let mut storage = BTreeMap::new();
    for (name, raw) in &object.entries {
        let place = || format!("storage slot {}", shown(name));
        let slot = value::word(name).map_err(|problem| problem.at(place()))?;
        let value = value::word_value(raw).map_err(|problem| problem.at(place()))?;
        if storage.insert(keccak256(&slot.to_big_endian()), value).is_some() {
            return Err(ValueError::Duplicate.at(place()));
        }
    }
    storage.retain(|_, value| !value.is_zero());
    Ok(storage)
}
