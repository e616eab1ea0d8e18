//! The methods that read the state: balances, codes, storage, proofs.

use std::borrow::Cow;

use primitive_types::{H160, H256, U256};

use super::block::BlockId;
use super::methods::Call;
use super::params::{Params, invalid, text};
use super::reply::{Refusal, push_data, push_number, push_quantity};
use super::{KnownBlock, Source, SourceError};
use crate::state::{ProofDocument, Slot, State, StateError};
use crate::trie::{Account, EMPTY_CODE_HASH, EMPTY_ROOT, NodeSource, StoredNode, keccak256};

/// Slots in one `eth_getProof`; geth's limit. Each takes a walk down from the storage root.
const PROOF_SLOTS: usize = 1_024;

/// The names of the methods here, and how many parameters each takes at most.
const METHODS: [(&str, usize); 6] = [
    ("eth_getBalance", 2),
    ("eth_getTransactionCount", 2),
    ("eth_getCode", 2),
    // Not geth's; what anvil and forge ask for first, and else ask for the three one by one.
    ("eth_getAccountInfo", 2),
    ("eth_getStorageAt", 3),
    ("eth_getProof", 3),
];

/// Runs a method and writes its result, if it is one of these.
pub(super) fn run(call: Call<'_>, out: &mut Vec<u8>) -> Result<bool, Refusal> {
    let Call { source, method, params } = call;
    let Some((_, most)) = METHODS.iter().find(|(name, _)| *name == method) else { return Ok(false) };
    let params = Params::read(params, *most)?;
    let address = address(&params)?;
    let slots = match method {
        "eth_getStorageAt" => vec![slot(&params.text(1)?)?],
        "eth_getProof" => slots(&params)?,
        _ => Vec::new(),
    };
    let key = keccak256(address.as_bytes());
    let block = block(source, &params, most - 1)?;
    if let Some(scope) = block.scope.filter(|scope| !scope.has(&key)) {
        let number = block.number;
        return Err(Refusal::failed(format!(
            "the state of block {number} is partial: account {key:?} is outside of what is here, {scope}"
        )));
    }
    let source = Reading(source);
    let state = State::at(&source, block.state_root);
    match method {
        "eth_getProof" => {
            let keys: Vec<H256> = slots.iter().map(Slot::key).collect();
            let proof = state.proof(&key, &keys)?;
            // Cannot fail: a Vec takes every write.
            let _ = serde_json::to_writer(out, &ProofDocument::new(address, &slots, &proof));
        }
        _ => value(&state, method, &key, slots.first(), out)?,
    }
    Ok(true)
}

/// Writes one value of an account; one that is not there has nothing in anything.
fn value(
    state: &State<'_, Reading<'_>>,
    method: &str,
    key: &H256,
    slot: Option<&Slot>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let account = state.account(key)?;
    match (method, slot) {
        (_, Some(slot)) => {
            let word = account.map(|account| state.slot(key, &account, &slot.key())).transpose()?;
            push_data(out, &word.unwrap_or_default().to_big_endian());
        }
        ("eth_getCode", _) => {
            let code = account.map(|account| state.code(&account.code_hash)).transpose()?;
            push_data(out, &code.unwrap_or_default());
        }
        ("eth_getAccountInfo", _) => {
            let Account { nonce, balance, code_hash, .. } = account.unwrap_or(NOBODY);
            let code = state.code(&code_hash)?;
            out.extend_from_slice(br#"{"balance":"#);
            push_number(out, &balance.to_big_endian());
            out.extend_from_slice(br#","nonce":"#);
            push_quantity(out, nonce);
            out.extend_from_slice(br#","code":"#);
            push_data(out, &code);
            out.push(b'}');
        }
        _ => {
            let Account { nonce, balance, .. } = account.unwrap_or(NOBODY);
            push_number(out, &if method == "eth_getBalance" { balance } else { nonce.into() }.to_big_endian());
        }
    }
    Ok(())
}

/// What an account that is not there has.
const NOBODY: Account =
    Account { nonce: 0, balance: U256::zero(), storage_root: EMPTY_ROOT, code_hash: EMPTY_CODE_HASH };

/// The block that is asked for; by default the latest. What is pending is the latest: nothing waits
/// here to be put into a block.
fn block(source: &dyn Source, params: &Params<'_>, place: usize) -> Result<KnownBlock, Refusal> {
    let id = match params.optional(place) {
        None => BlockId::Latest,
        Some(raw) => match BlockId::any(raw).ok_or_else(|| invalid(place, "a block number, tag or hash"))? {
            BlockId::Pending => BlockId::Latest,
            id => id,
        },
    };
    id.known(source)
}

/// Reads the address, with geth's texts.
fn address(params: &Params<'_>) -> Result<H160, Refusal> {
    let refused = |why: &str| Refusal::invalid_params(format!("invalid argument 0: {why}"));
    let json = |what| refused(&format!("json: cannot unmarshal {what} into Go value of type common.Address"));
    let text = text(params.required(0)?).ok_or_else(|| json("non-string"))?;
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let digits = digits.ok_or_else(|| json("hex string without 0x prefix"))?;
    let mut address = H160::zero();
    if digits.len() != 2 * address.0.len() {
        return Err(refused(&format!("hex string has length {}, want 40 for common.Address", digits.len())));
    }
    match faster_hex::hex_decode(digits.as_bytes(), &mut address.0) {
        Ok(()) => Ok(address),
        Err(_) => Err(json("invalid hex string")),
    }
}

fn slots(params: &Params<'_>) -> Result<Vec<Slot>, Refusal> {
    let Ok(slots) = serde_json::from_str::<Vec<String>>(params.required(1)?.get()) else {
        return Err(invalid(1, "an array of strings"));
    };
    if slots.len() > PROOF_SLOTS {
        let got = slots.len();
        let text = format!("too many storage keys requested (max {PROOF_SLOTS}, got {got})");
        return Err(Refusal::invalid_params(text));
    }
    slots.iter().map(|text| slot(text)).collect()
}

/// Reads a slot as geth does: up to 64 hex digits, with 0x before them or not, none for zero.
fn slot(text: &str) -> Result<Slot, Refusal> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.len() > 2 * size_of::<H256>() {
        let text = format!("storage key too long (want at most 32 bytes): {text:?}");
        return Err(Refusal::invalid_params(text));
    }
    let even = if digits.len().is_multiple_of(2) { digits.to_owned() } else { format!("0{digits}") };
    let mut bytes = vec![0; even.len() / 2];
    let read = faster_hex::hex_decode(even.as_bytes(), &mut bytes).ok().and_then(|()| Slot::from_bytes(&bytes));
    read.ok_or_else(|| Refusal::invalid_params(format!("invalid hex in storage key: {text:?}")))
}

/// A code by its hash, or null; as reth answers `debug_codeByHash`. Of a second parameter, the block, the answer does not
/// depend: a code is right by its hash.
pub(super) fn code_by_hash(source: &dyn Source, params: &Params<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let Some(BlockId::Hash(hash)) = BlockId::hash(&params.text(0)?) else {
        return Err(invalid(0, "a hash"));
    };
    match State::at(&Reading(source), H256::zero()).code(&hash) {
        Ok(code) => push_data(out, &code),
        Err(StateError::MissingCode { .. }) => out.extend_from_slice(b"null"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// A source as a state is read from it.
struct Reading<'a>(&'a dyn Source);

impl NodeSource for Reading<'_> {
    type Error = SourceError;

    fn node(&self, hash: &H256) -> Result<Option<StoredNode>, SourceError> {
        Ok(self.0.node(hash)?.map(|rlp| rlp.into_owned().into()))
    }

    fn code(&self, hash: &H256) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(self.0.code(hash)?.map(Cow::into_owned))
    }
}

impl From<StateError<SourceError>> for Refusal {
    fn from(error: StateError<SourceError>) -> Self {
        match error {
            StateError::Source(error) => error.into(),
            damage => Self::failed(format!("the state is partial or damaged: {damage}")),
        }
    }
}
