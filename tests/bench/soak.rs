//! The program among peers that want to do harm, over and over: `scripts/soak`.
//!
//! Each round makes up a state, serves it over a slow link, starts some or all hostile peers beside it, and syncs with
//! the real binary. The round passes when the sync completes, `verify` agrees, and memory stayed within the budget.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement: it prints figures, and ends where something fails"
)]

#[path = "../hostile/mod.rs"]
mod hostile;
#[path = "links/proxy.rs"]
mod proxy;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use primitive_types::{H160, H256, U256};
use statesync::genesis::{Genesis, GenesisAccount};
use statesync::serve::{MemoryState, Options, Server};
use statesync::trie::keccak256;
use tokio::runtime::Runtime;

use self::hostile::{Harm, Hostile};
use self::proxy::{Link, proxy};

/// What a run may have in memory at most: the scheduler's 256 MiB, one write buffer of each kind (160 MiB), the block
/// cache (64 MiB), and 32 MiB for everything else, the replies among it. See docs/OPERATING.md, "Memory".
const BUDGET_BYTES: u64 = (256 + 160 + 64 + 32) << 20;

/// Accounts of a state.
const ACCOUNTS: u64 = 20_000;

/// What the honest peer sends in a second: a round takes some seconds.
const HONEST_BYTES: u64 = 2_000_000;

/// How long a round may take before it counts as hung.
const ROUND: Duration = Duration::from_secs(300);

fn main() {
    // cargo adds flags of its own.
    let minutes = std::env::var("SOAK_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(10.0);
    let first = std::env::var("SOAK_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let ends = Instant::now() + Duration::from_secs_f64(60.0 * minutes);
    let (mut peak, mut failures, mut rounds, mut items, mut harmed) = (0, 0, 0, 0, 0);
    for seed in first.. {
        let round = round(seed);
        println!("{round}");
        (peak, items, harmed) = (round.peak.max(peak), items + round.items, harmed + round.harmed);
        rounds += 1;
        failures += u64::from(!round.passed());
        if Instant::now() >= ends {
            break;
        }
    }
    let verdict = if failures == 0 { "PASS" } else { "FAIL" };
    println!(
        "{verdict}: {rounds} rounds, {failures} failed; {items} items synced, {harmed} requests met with harm; \
         {} MiB at the peak, of {} MiB allowed",
        peak >> 20,
        BUDGET_BYTES >> 20,
    );
    std::process::exit(i32::from(failures > 0));
}

/// What came of a round.
struct Round {
    seed: u64,
    hostile: usize,
    harmed: u64,
    items: u64,
    peak: u64,
    time: Duration,
    sync: Option<i32>,
    verify: Option<i32>,
    trapped: u64,
}

impl Round {
    fn passed(&self) -> bool {
        (self.sync, self.verify, self.trapped) == (Some(0), Some(0), 0) && self.peak <= BUDGET_BYTES
    }
}

impl std::fmt::Display for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, hostile, harmed, items, peak, time, sync, verify, .. } = self;
        let verdict = if self.passed() { "pass" } else { "FAIL" };
        write!(
            f,
            "seed {seed:>4}: {verdict}, {hostile:>2} hostile peers, {harmed:>5} requests met with harm, {items} items, \
             {:>3} MiB at the peak, {:>5.1} s, sync {sync:?}, verify {verify:?}",
            peak >> 20,
            time.as_secs_f64()
        )
    }
}

fn round(seed: u64) -> Round {
    let runtime = Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (state, root, items) = state(seed);
    let honest = runtime.block_on(async {
        let server = Server::bind("127.0.0.1:0", Options::default()).await.unwrap();
        let address = server.local_addr();
        tokio::spawn(server.run(state, std::future::pending()));
        let link = Link { delay: Duration::from_millis(seed % 20), bytes_per_second: Some(HONEST_BYTES) };
        proxy(address, link).await
    });
    let mut dice = dice(seed);
    // All of them every fourth time, otherwise about half.
    let harms = Harm::all().into_iter().filter(|_| seed.is_multiple_of(4) || dice() & 1 == 0);
    let hostile: Vec<Hostile> =
        harms.zip(seed..).map(|(harm, seed)| Hostile::start(harm, seed, seed & 1 == 0, dir.path())).collect();

    let (root, store, honest) = (format!("{root:?}"), dir.path().join("store"), format!("http://{honest}"));
    let mut arguments = vec!["sync", "--json", "--root", &root, "--rpc-timeout", "2", "-r", &honest];
    arguments.extend(["--rpc-compression", "on", "--progress-interval", "60"]);
    if seed & 2 == 0 {
        arguments.extend(["--dialect", "hash"]);
    }
    hostile.iter().for_each(|peer| arguments.extend(["-r", peer.url()]));
    let started = Instant::now();
    let (sync, peak) = run(&arguments, &store);
    let time = started.elapsed();
    let (verify, _) = run(&["verify", "--json"], &store);
    let harmed = hostile.iter().map(Hostile::harmed).sum();
    let trapped = hostile.iter().map(Hostile::trapped).sum();
    Round { seed, hostile: hostile.len(), harmed, items, peak, time, sync, verify, trapped }
}

/// Runs the program to its end, and says how much memory it had at most.
fn run(arguments: &[&str], store: &Path) -> (Option<i32>, u64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_statesync"));
    command.args(arguments).arg("--datadir").arg(store).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let (status, started) = (format!("/proc/{}/status", child.id()), Instant::now());
    let mut peak = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        peak = peak.max(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() << 10);
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), peak);
        }
        if started.elapsed() > ROUND {
            println!("it hangs");
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A state with codes and storage, its root, and how many nodes and codes it has.
fn state(seed: u64) -> (Arc<MemoryState>, H256, u64) {
    let mut dice = dice(seed ^ 0x736f_616b);
    let mut alloc = BTreeMap::new();
    for _ in 0..ACCOUNTS {
        let key = keccak256(&dice().to_be_bytes());
        let mut account = GenesisAccount::new(H160::from_slice(&key.as_bytes()[..20]));
        account.balance = U256::from(dice());
        if dice().is_multiple_of(8) {
            account.code = key.as_bytes().repeat(usize::try_from(dice() % 100).unwrap());
            let slots = (0..dice() % 16).map(|_| (keccak256(&dice().to_be_bytes()), U256::from(dice() | 1)));
            account.storage = slots.collect::<BTreeMap<_, _>>();
        }
        alloc.insert(keccak256(account.address.as_bytes()), account);
    }
    let mut memory = MemoryState::new();
    let summary = memory.add(&Genesis { chain_id: None, header: None, alloc }).unwrap();
    let items = (memory.nodes().len() + memory.codes().len()) as u64;
    (Arc::new(memory), summary.root, items)
}

/// Numbers that are the same for a seed on every run.
fn dice(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(1);
        let hash = keccak256(&state.to_be_bytes());
        u64::from_be_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|place| hash.0[place])) ^ seed
    }
}
