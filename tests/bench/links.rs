//! What links and unequal peers cost: `scripts/bench links`. Prints figures; nothing is decided by them.
//!
//! A made-up state is served by this process, and synced through proxies that delay what comes back, or let through only
//! so much of it in a second. Each figure stands beside what it is to be compared with, from the same run.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement: it prints figures, and ends where something fails"
)]

#[path = "links/proxy.rs"]
mod proxy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use primitive_types::{H160, H256, U256};
use statesync::genesis::{Genesis, GenesisAccount};
use statesync::peers::{Client, PoolLimits};
use statesync::pipeline::{Report, Sync, SyncOptions};
use statesync::serve::{MemoryState, Options, Server};
use statesync::store::{Access, Store};
use statesync::trie::keccak256;

use self::proxy::{Link, proxy};

/// Accounts of the state: enough that the first and the last round trips do not count for much.
const ACCOUNTS: u32 = 400_000;

/// The delays of the links.
const DELAYS: [u64; 3] = [0, 50, 100];

/// What a good peer sends in a second, in bytes: so little that three of them, and not this machine, set the speed.
const GOOD_BYTES: u64 = 4_000_000;

#[tokio::main]
async fn main() {
    let (state, root, nodes) = state();
    let server = Server::bind("127.0.0.1:0", Options::default()).await.unwrap();
    let address = server.local_addr();
    tokio::spawn(server.run(state, std::future::pending()));
    println!("state: {nodes} nodes");

    let limits = PoolLimits::default();
    let window = limits.batch_items * limits.requests_per_peer;
    for delay in DELAYS {
        let link = Link { delay: Duration::from_millis(delay), bytes_per_second: None };
        let report = sync(root, &[proxy(address, link).await]).await;
        let rate = nodes as f64 / report.duration.as_secs_f64();
        print!("delay {delay:>3} ms: {:>6.2} s, {rate:>7.0} nodes/s, {} requests", seconds(&report), report.requests);
        if delay > 0 {
            let most = window as f64 * 1_000.0 / delay as f64;
            print!(", {:.0} % of the {most:.0} nodes/s that a window of {window} allows", 100.0 * rate / most);
        }
        println!();
    }

    let good = Link { delay: Duration::from_millis(5), bytes_per_second: Some(GOOD_BYTES) };
    let slow = Link { bytes_per_second: Some(GOOD_BYTES / 10), ..good };
    let mut times = Vec::new();
    for links in [[good, good, good].as_slice(), &[good, good, good, slow]] {
        let mut addresses = Vec::new();
        for link in links {
            addresses.push(proxy(address, *link).await);
        }
        let report = sync(root, &addresses).await;
        let each: Vec<u64> = report.peers.iter().map(|(_, stats)| stats.nodes).collect();
        println!("{} peers: {:.2} s, {each:?} nodes from each", links.len(), seconds(&report));
        times.push(seconds(&report));
    }
    println!("a fourth peer at a tenth of the speed: {:+.1} %", 100.0 * (times[1] / times[0] - 1.0));
}

fn seconds(report: &Report) -> f64 {
    report.duration.as_secs_f64()
}

async fn sync(root: H256, addresses: &[std::net::SocketAddr]) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path(), Access::Create).unwrap());
    let options = SyncOptions::new(root);
    let client = |address| Client::new(format!("http://{address}").parse().unwrap(), options.request_timeout).unwrap();
    let peers: Vec<Client> = addresses.iter().map(client).collect();
    let report = Sync::new(store, peers, options).run(|_| {}).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.outcome);
    report
}

fn state() -> (Arc<MemoryState>, H256, u64) {
    let mut alloc = BTreeMap::new();
    for number in 0..ACCOUNTS {
        let key = keccak256(&number.to_be_bytes());
        let mut account = GenesisAccount::new(H160::from_slice(&key.as_bytes()[..20]));
        account.balance = U256::from(number) << 40;
        alloc.insert(keccak256(account.address.as_bytes()), account);
    }
    let mut memory = MemoryState::new();
    let summary = memory.add(&Genesis { chain_id: Some(1), header: None, alloc }).unwrap();
    (Arc::new(memory), summary.root, summary.nodes)
}
