//! What `DuckDB` reads in the tables of an export.

use std::path::Path;
use std::process::Command;

use primitive_types::U256;
use serde_json::Value;

use crate::export::Exporter;
use crate::support::{MEDIUM, Seed, state};

/// Runs each query of the standard input, in a directory, and prints the rows of each as JSON.
const RUN: &str = "
import duckdb, json, sys
for query in json.load(sys.stdin):
    print(json.dumps(duckdb.sql(query).fetchall()))
";

/// A Python that has `DuckDB`, by `scripts/duckdb`; says so if none is given.
fn python() -> Option<String> {
    let python = std::env::var("STATESYNC_TEST_DUCKDB").ok();
    if python.is_none() {
        eprintln!("left out: set STATESYNC_TEST_DUCKDB=$(scripts/duckdb install) to test with DuckDB");
    }
    python
}

fn query(python: &str, dir: &Path, queries: &[String]) -> Vec<Value> {
    let mut command = assert_cmd::Command::from_std(Command::new(python));
    let output = command.args(["-c", RUN]).current_dir(dir).write_stdin(serde_json::to_vec(queries).unwrap()).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The blocks of the document that are in this language.
fn blocks(language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/use/query-with-duckdb.md");
    let text = std::fs::read_to_string(path).unwrap();
    let begin = format!("```{language}\n");
    let blocks = text.split(&begin).skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_tables_add_up_to_the_state_and_the_documents_queries_run() {
    let Some(python) = python() else { return };
    let exporter = Exporter::new(state(Seed::or(71).0, MEDIUM));
    let dir = exporter.dir.path();
    let programs = Path::new(env!("CARGO_BIN_EXE_statesync")).parent().unwrap().to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    for block in blocks("sh") {
        let mut command = Command::new("sh");
        command.args(["-euxc", &block]).current_dir(dir).env("PATH", &path).env("STATE", exporter.store());
        assert!(command.status().unwrap().success(), "{block}");
    }
    let count = |what: &str, table: &str| format!("SELECT {what} FROM read_parquet('tables/{table}/**/*.parquet')");
    let totals = [
        count(
            "count(*), sum(nonce)::BIGINT, sum(right(balance_string, 9)::BIGINT)::BIGINT, count(DISTINCT address_hash)",
            "accounts",
        ),
        count("count(*)", "slots"),
        count("count(*), count(DISTINCT code_hash)", "codes"),
        "SELECT count(*) FROM read_parquet('tables/accounts/*/*.parquet', hive_partitioning = true)
         WHERE lower(hex(address_hash))[1] <> prefix::VARCHAR"
            .to_owned(),
    ];
    // No type of DuckDB is as wide as a balance; its last digits are as good.
    let digits = U256::from(1_000_000_000);
    let alloc = exporter.genesis.alloc.values();
    let (nonces, balances) = alloc.fold((0, 0), |(nonces, balances), account| {
        (nonces + account.nonce, balances + (account.balance % digits).as_u64())
    });
    let summary = exporter.summary;
    let found = query(&python, dir, &totals);
    assert_eq!(found[0], serde_json::json!([[summary.accounts, nonces, balances, summary.accounts]]));
    assert_eq!(found[1], serde_json::json!([[summary.slots]]));
    assert_eq!(found[2], serde_json::json!([[summary.codes, summary.codes]]));
    assert_eq!(found[3], serde_json::json!([[0]]));
    let answers = query(&python, dir, &blocks("sql"));
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|rows| rows.as_array().unwrap().len() == 5), "{answers:?}");
}
