//! The peer of `scripts/bench`: makes up a state and serves it at next to no cost, so that what is measured is the
//! program that syncs from it. Also what needs the same state: the floor, and the load for a server.
//!
//! Prints one JSON line when it is ready, then serves until its standard input closes.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a measurement: it prints figures, and ends where something fails"
)]

#[path = "peer/dice.rs"]
mod dice;
#[path = "peer/floor.rs"]
mod floor;
#[path = "peer/http.rs"]
mod http;
#[path = "peer/load.rs"]
mod load;
#[path = "peer/state.rs"]
mod state;
#[path = "peer/table.rs"]
mod table;

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};

use self::state::{Shape, Summary};
use self::table::Table;

/// What it is to be.
#[derive(Parser)]
struct Arguments {
    /// About how many trie nodes the state has.
    #[arg(long, default_value_t = 1_000_000)]
    nodes: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Shares of the accounts that are changed: one more state for each.
    #[arg(long, value_delimiter = ',')]
    churn: Vec<f64>,
    /// How long each reply is held back, in milliseconds.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// How many ports the state is served on.
    #[arg(long, default_value_t = 1)]
    ports: usize,
    /// Measures what no sync can do without, and ends.
    #[arg(long)]
    floor: bool,
    /// Asks the server at this address for the state, and ends.
    #[arg(long, value_name = "HOST:PORT")]
    load: Option<String>,
    #[arg(long, default_value_t = 8)]
    connections: usize,
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// cargo gives it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let shape = Shape { nodes: arguments.nodes, seed: arguments.seed };
    let mut table = Table::default();
    let first = shape.build(None, &mut table);
    if arguments.floor {
        println!("{}", floor::measure(&table));
        return;
    }
    if let Some(address) = &arguments.load {
        let Arguments { connections, batch, seconds, .. } = arguments;
        println!("{}", load::run(&table, address, connections, batch, Duration::from_secs_f64(seconds)));
        return;
    }
    let others = arguments.churn.iter().map(|share| (*share, shape.build(Some(*share), &mut table)));
    let others: Vec<Value> = others.map(|(share, summary)| described(Some(share), &summary)).collect();
    let listeners: Vec<TcpListener> = (0..arguments.ports).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let urls: Vec<String> =
        listeners.iter().map(|listener| format!("http://{}", listener.local_addr().unwrap())).collect();
    let table = Arc::new(table);
    for listener in listeners {
        http::serve(listener, table.clone(), Duration::from_millis(arguments.delay_ms));
    }
    println!("{}", json!({ "urls": urls, "state": described(None, &first), "churned": others }));
    // Its end is the end of whoever started this.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// A state in figures. Of a churned one, `nodes`, `codes` and `bytes` are what the first does not have.
fn described(churn: Option<f64>, summary: &Summary) -> Value {
    let Summary { root, accounts, contracts, slots, largest, nodes, codes, bytes } = summary;
    json!({
        "churn": churn, "root": format!("{root:?}"), "accounts": accounts, "contracts": contracts, "slots": slots,
        "largest": largest, "nodes": nodes, "codes": codes, "bytes": bytes,
    })
}
