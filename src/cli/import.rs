//! `statesync import`: a genesis allocation into a store.

use serde_json::json;

use super::args::{Cli, ImportArgs};
use super::exit::{Exit, Failure};
use super::report;
use super::signals::{outlive_file_limit, runtime};
use crate::genesis::{Genesis, StateSummary};
use crate::store::{Access, Store, Totals};
use crate::ui;

pub(super) fn run(cli: &Cli, arguments: &ImportArgs) -> Result<Exit, Failure> {
    let genesis = Genesis::read(&arguments.genesis)?;
    runtime()?.block_on(async { outlive_file_limit() })?;
    let store = Store::open(&arguments.datadir, Access::Create)?;
    let summary = crate::import::import(&genesis, &store)?;
    if cli.json {
        return report::document(&json!({
            "root": format!("{:?}", summary.root),
            "accounts": summary.accounts,
            "slots": summary.slots,
            "codes": summary.codes,
            "nodes": summary.nodes,
        }));
    }
    let StateSummary { root, accounts, slots, codes, nodes } = summary;
    let totals = ui::totals(&Totals { accounts, slots, codes, nodes });
    report::text(&format!("state     {root:?}\nholds     {totals}"))
}
