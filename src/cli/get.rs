//! `statesync get`: one value, read down from the root.

use primitive_types::{H256, U256};
use serde_json::json;

use super::args::{Cli, hash};
use super::exit::{Exit, Failure};
use super::read_args::{Get, GetArgs, ReadArgs, Whom};
use super::reading::Reading;
use super::report;
use crate::state::{Slot, StateError};
use crate::trie::Account;
use crate::ui;

pub(super) fn run(cli: &Cli, arguments: &GetArgs) -> Result<Exit, Failure> {
    match &arguments.what {
        Get::Account { account, from } => get_account(cli, account.key(), from),
        Get::Storage { account, slot, hashed, from } => get_storage(cli, account.key(), slot, *hashed, from),
        Get::Code { account, from } => get_code(cli, *account, from),
    }
}

fn get_account(cli: &Cli, key: H256, from: &ReadArgs) -> Result<Exit, Failure> {
    let reading = Reading::open(from)?;
    reading.check(&key)?;
    let account = reading.state().account(&key)?;
    if cli.json {
        return report::document(&json!({
            "root": format!("{:?}", reading.root),
            "account": format!("{key:?}"),
            "exists": account.is_some(),
            "nonce": account.map(|account| account.nonce),
            "balance": account.map(|account| account.balance.to_string()),
            "storage_root": account.map(|account| format!("{:?}", account.storage_root)),
            "code_hash": account.map(|account| format!("{:?}", account.code_hash)),
        }));
    }
    let Some(Account { nonce, balance, storage_root, code_hash }) = account else {
        return report::text(&format!("account   {key:?} is not in the state"));
    };
    report::text(&format!(
        "account   {key:?}\nnonce     {nonce}\nbalance   {balance} wei\nstorage   {storage_root:?}\ncode      {code_hash:?}"
    ))
}

fn get_storage(cli: &Cli, owner: H256, slot: &str, hashed: bool, from: &ReadArgs) -> Result<Exit, Failure> {
    let key = slot_key(slot, hashed)?;
    let reading = Reading::open(from)?;
    reading.check(&owner)?;
    let state = reading.state();
    let account = state.account(&owner)?;
    let word = match &account {
        Some(account) => state.slot(&owner, account, &key)?,
        None => U256::zero(),
    };
    let value = format!("{:?}", H256(word.to_big_endian()));
    if !cli.json {
        return report::text(&value);
    }
    report::document(&json!({
        "root": format!("{:?}", reading.root),
        "account": format!("{owner:?}"),
        "exists": account.is_some(),
        "slot": format!("{key:?}"),
        "value": value,
    }))
}

fn slot_key(slot: &str, hashed: bool) -> Result<H256, Failure> {
    let key =
        if hashed { hash(slot) } else { slot.parse().map(|slot: Slot| slot.key()).map_err(|error| error.to_string()) };
    key.map_err(|why| {
        Failure::new(Exit::Usage, format!("slot '{slot}': {why}"))
            .hint("a slot is a number, or 32 bytes in hex; with --hashed it is the hash of those")
    })
}

fn get_code(cli: &Cli, whom: Whom, from: &ReadArgs) -> Result<Exit, Failure> {
    let reading = Reading::open(from)?;
    let found = find_code(&reading, whom)?;
    if found.is_none() && !cli.json && !cli.quiet {
        ui::say("there is no such account in the state");
    }
    let (account, code_hash, code) =
        found.map_or((None, None, Vec::new()), |found| (found.account, Some(found.hash), found.code));
    let code = format!("0x{}", faster_hex::hex_string(&code));
    if !cli.json {
        return report::text(&code);
    }
    report::document(&json!({
        "root": format!("{:?}", reading.root),
        "account": account.map(|key| format!("{key:?}")),
        "exists": code_hash.is_some(),
        "code_hash": code_hash.map(|hash| format!("{hash:?}")),
        "code": code,
    }))
}

struct Found {
    /// The account that has it, if it was found by an account.
    account: Option<H256>,
    hash: H256,
    code: Vec<u8>,
}

/// The code of an account; of a hash that is no account's key, the code that it names. The latter is right by its hash,
/// whether the state has it or not.
fn find_code(reading: &Reading, whom: Whom) -> Result<Option<Found>, Failure> {
    let (state, key) = (reading.state(), whom.key());
    if !reading.has(&key) {
        // No account that is here; perhaps a code that is.
        return match (whom, state.code(&key)) {
            (Whom::Key(hash), Ok(code)) => Ok(Some(Found { account: None, hash, code })),
            _ => reading.check(&key).map(|()| None),
        };
    }
    if let Some(account) = state.account(&key)? {
        let hash = account.code_hash;
        return Ok(Some(Found { account: Some(key), hash, code: state.code(&hash)? }));
    }
    match (whom, state.code(&key)) {
        (Whom::Address(_), _) | (_, Err(StateError::MissingCode { .. })) => Ok(None),
        (Whom::Key(hash), Ok(code)) => Ok(Some(Found { account: None, hash, code })),
        (_, Err(error)) => Err(error.into()),
    }
}
