//! `statesync diff`: what changed from one state to another.

use std::io::{self, BufWriter, Write};

use primitive_types::{H256, U256};
use serde_json::{Value, json};

use super::args::Cli;
use super::exit::{Exit, Failure};
use super::read_args::DiffArgs;
use super::{reading, report};
use crate::state::{Change, Diff};
use crate::trie::{Account, EMPTY_CODE_HASH};
use crate::ui;

pub(super) fn run(cli: &Cli, arguments: &DiffArgs) -> Result<Exit, Failure> {
    let DiffArgs { old, new, datadir } = arguments;
    let store = reading::open_with(datadir, &[*old, *new])?;
    let mut counts = Counts::default();
    let mut out = BufWriter::new(io::stdout().lock());
    for change in Diff::new(&store, *old, *new) {
        let change = change?;
        counts.add(&change);
        // A reader that went away wants no more.
        if cli.json && !report::wrote(writeln!(out, "{}", line(&change)))? {
            return Ok(Exit::Complete);
        }
    }
    let last = if cli.json { counts.fields(*old, *new).to_string() } else { counts.summary(*old, *new) };
    report::wrote(writeln!(out, "{last}").and_then(|()| out.flush()))?;
    Ok(Exit::Complete)
}

/// How many things came, went and changed.
#[derive(Default)]
struct Counts {
    accounts: Kinds,
    slots: Kinds,
    /// Accounts that have another code than before, or one for the first time, or none any more.
    codes: u64,
}

#[derive(Default)]
struct Kinds {
    added: u64,
    removed: u64,
    changed: u64,
}

impl Counts {
    fn add(&mut self, change: &Change) {
        match change {
            Change::Account { old, new, .. } => {
                let code = |account: &Option<Account>| account.map_or(EMPTY_CODE_HASH, |account| account.code_hash);
                self.codes += u64::from(code(old) != code(new));
                self.accounts.add(old.is_some(), new.is_some());
            }
            Change::Slot { old, new, .. } => self.slots.add(old.is_some(), new.is_some()),
        }
    }

    fn fields(&self, old: H256, new: H256) -> Value {
        let kinds = |Kinds { added, removed, changed }: &Kinds| json!({ "added": added, "removed": removed, "changed": changed });
        json!({
            "kind": "summary",
            "old_root": format!("{old:?}"),
            "new_root": format!("{new:?}"),
            "accounts": kinds(&self.accounts),
            "slots": kinds(&self.slots),
            "codes": self.codes,
        })
    }

    fn summary(&self, old: H256, new: H256) -> String {
        let kinds = |Kinds { added, removed, changed }: &Kinds| {
            format!("{} added, {} removed, {} changed", ui::count(*added), ui::count(*removed), ui::count(*changed))
        };
        let (accounts, slots, codes) = (kinds(&self.accounts), kinds(&self.slots), ui::count(self.codes));
        format!(
            "from      {old:?}\nto        {new:?}\naccounts  {accounts}\nslots     {slots}\ncodes     {codes} accounts with another code"
        )
    }
}

impl Kinds {
    fn add(&mut self, was: bool, is: bool) {
        let count = match (was, is) {
            (false, _) => &mut self.added,
            (true, false) => &mut self.removed,
            (true, true) => &mut self.changed,
        };
        *count += 1;
    }
}

/// A change as one line of NDJSON.
fn line(change: &Change) -> Value {
    match change {
        Change::Account { key, old, new } => json!({
            "kind": "account",
            "account": format!("{key:?}"),
            "old": old.as_ref().map(account),
            "new": new.as_ref().map(account),
        }),
        Change::Slot { account, key, old, new } => json!({
            "kind": "slot",
            "account": format!("{account:?}"),
            "slot": format!("{key:?}"),
            "old": old.map(word),
            "new": new.map(word),
        }),
    }
}

fn account(account: &Account) -> Value {
    json!({
        "nonce": account.nonce,
        "balance": account.balance.to_string(),
        "storage_root": format!("{:?}", account.storage_root),
        "code_hash": format!("{:?}", account.code_hash),
    })
}

fn word(word: U256) -> String {
    format!("{:?}", H256(word.to_big_endian()))
}
