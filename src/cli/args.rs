//! The arguments of all commands. Help, completions, the manual page and `docs/CLI.md` are made from here.

mod export;
mod preimages;
mod prune;
mod scope;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use primitive_types::H256;

pub(super) use self::export::{ExportArgs, Format as ExportFormat};
pub(super) use self::preimages::{FetchArgs, ImportArgs as ImportPreimagesArgs, PreimagesArgs, PreimagesCommand};
pub(super) use self::prune::PruneArgs;
pub(super) use self::scope::ScopeArgs;
use super::read_args::{DiffArgs, GetArgs, ProofArgs};
use crate::memory::Memory;
use crate::peers::{BlockId, Compression, Dialect, PoolLimits};
use crate::survey::SurveyOptions;
use crate::ui::Display;

/// Downloads the Ethereum world state at one block, node by node and by hash, from JSON-RPC peers, verifies every byte,
/// and stores it in RocksDB.
///
/// Exit codes: 0 complete and verified; 1 unexpected failure; 2 usage or configuration; 3 incomplete, run again to
/// resume; 4 verification failed; 10 no store there; 11 store locked by another process; 12 store of another chain or
/// format; 130 interrupted; 143 terminated. An unknown code is a failure.
#[derive(Debug, Parser)]
#[command(name = "statesync", version, propagate_version = true, max_term_width = 100)]
pub(super) struct Cli {
    /// Print the result as one JSON document on standard output, and progress as NDJSON on standard error
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) json: bool,

    /// Print the result and errors, nothing else
    #[arg(short, long, global = true, help_heading = "Output")]
    pub(super) quiet: bool,

    /// Log what happens on standard error; twice for every request. RUST_LOG gives finer control
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub(super) verbose: u8,

    /// Show no progress
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) no_progress: bool,

    /// Seconds between two lines of progress, where no terminal is
    #[arg(long, global = true, value_name = "SECONDS", default_value = "10", value_parser = seconds, help_heading = "Output")]
    pub(super) progress_interval: Duration,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Download the state at a block, or resume, or move to another block; verified and stored
    Sync(Box<SyncArgs>),
    /// Find out what peers are, which states they can serve, and how fast
    Peers(PeersArgs),
    /// Show what a store holds and how far its sync is
    Status(StatusArgs),
    /// Read back and re-hash every node, storage trie and code that a root reaches
    Verify(VerifyArgs),
    /// Verify a state and fetch what is missing or corrupt, and nothing else
    Repair(RepairArgs),
    /// Read one value of a state, found and checked from the root down
    Get(GetArgs),
    /// Prove an account and slots of it to whoever has the root (EIP-1186)
    Proof(ProofArgs),
    /// Show what changed from one state to another; with --json one line for each change
    Diff(DiffArgs),
    /// Build a state from a genesis allocation in geth's format
    Import(ImportArgs),
    /// Write a state in a form that another tool loads
    Export(ExportArgs),
    /// Drop what the states that stay do not need, and give the space back
    Prune(PruneArgs),
    /// Add the addresses and slot numbers that the state is the hash of, for exports that need them
    Preimages(PreimagesArgs),
    /// Serve states by JSON-RPC: to other syncs as a peer, to wallets and tools as an archive
    Serve(ServeArgs),
    /// Sync the real mainnet genesis state from an embedded peer, and verify it
    Demo(DemoArgs),
    /// Print a shell's completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Args)]
pub(super) struct SyncArgs {
    /// The state root to sync
    #[arg(long, value_name = "HASH", value_parser = hash, required_unless_present = "block", conflicts_with = "block")]
    pub(super) root: Option<H256>,

    /// The block whose state to sync: latest, safe, finalized, earliest, a number, or a block hash. For a tag whose state
    /// no peer can serve, the newest before it that one can; with a path-scheme peer, the one that it has on disk
    #[arg(long, value_name = "TAG|N|HASH")]
    pub(super) block: Option<BlockId>,

    /// A block hash that you trust, from your own node or a checkpoint provider: the block has to be this one, or be
    /// linked to it by headers
    #[arg(long, value_name = "HASH", value_parser = hash, requires = "block")]
    pub(super) trusted_block_hash: Option<H256>,

    /// How many peers have to agree on the block. Default: more than half of those that answer
    #[arg(long, value_name = "N", value_parser = positive, requires = "block")]
    pub(super) quorum: Option<usize>,

    /// Move to newer blocks by itself while the sync runs: when the peers no longer have the state, and when the block
    /// has fallen 64 behind. Needs a tag as --block
    #[arg(long, requires = "block")]
    pub(super) follow: bool,

    #[command(flatten)]
    pub(super) scope: ScopeArgs,

    /// The store's directory; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(super) datadir: PathBuf,

    /// Stop after this many seconds; the next run resumes
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(super) max_duration: Option<Duration>,

    /// Memory to stay within, in MiB
    #[arg(long, value_name = "MIB", default_value = "512", value_parser = memory)]
    pub(super) memory: Memory,

    /// Print what would be done, and do nothing
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,

    // Last, for its heading holds for all that follows.
    #[command(flatten)]
    pub(super) peers: PeerArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Peers")]
pub(super) struct PeerArgs {
    /// A peer's address: http://, https://, ws://, wss://, or the path of an IPC socket (with / or ./ at its beginning,
    /// .ipc at its end, or as ipc:PATH). Repeat it for more peers. Default: ETH_RPC_URL, separated by commas
    // Read later: clap repeats what it refuses, with the credentials in it.
    #[arg(short = 'r', long = "rpc-url", value_name = "URL")]
    pub(super) rpc_url: Vec<String>,

    /// A header for every request over HTTP and every WebSocket's handshake, to all peers; repeat it for more. A user
    /// and password are better in the address of their peer, as USER:PASSWORD@HOST
    // Read later too.
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub(super) rpc_header: Vec<String>,

    /// Send the tokens that geth's authenticated port wants, made from the secret in this file (64 hex digits)
    #[arg(long, value_name = "FILE")]
    pub(super) rpc_jwt_secret: Option<PathBuf>,

    /// Whether peers over HTTP may compress their replies. With auto those may that are neither on this machine nor in
    /// a private network
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = compression())]
    pub(super) rpc_compression: Compression,

    /// Seconds until a request's items are asked of another peer
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(super) rpc_timeout: Duration,

    /// Items in one request, at most; how many it really has is learnt from each peer's answers
    #[arg(long, value_name = "N", default_value_t = PoolLimits::default().batch_items, value_parser = positive)]
    pub(super) batch_size: usize,

    /// Requests in flight to one peer, at most; how many there really are is learnt from its answers
    #[arg(long, value_name = "N", default_value_t = PoolLimits::default().requests_per_peer, value_parser = positive)]
    pub(super) max_concurrent_requests: usize,

    /// Requests to one peer in a second, at most. Default: as many as it answers
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(super) requests_per_second: Option<f64>,

    /// How every peer names its nodes: hash, path, nethermind-halfpath, nethermind-hash or codes. Default: found out for
    /// each by asking
    #[arg(long, value_name = "DIALECT")]
    pub(super) dialect: Option<Dialect>,
}

#[derive(Debug, Args)]
pub(super) struct PeersArgs {
    /// Items that are read from each peer to measure its speed, at most; 0 measures nothing
    #[arg(long, value_name = "N", default_value_t = SurveyOptions::ITEMS)]
    pub(super) items: usize,

    // Last, for its heading holds for all that follows.
    #[command(flatten)]
    pub(super) peers: PeerArgs,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// The store's directory
    #[arg(long, value_name = "DIR")]
    pub(super) datadir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The store's directory
    #[arg(long, value_name = "DIR")]
    pub(super) datadir: PathBuf,

    /// The root to verify, which may be a partial one. Default: the complete root of the highest block
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub(super) root: Option<H256>,
}

#[derive(Debug, Args)]
pub(super) struct RepairArgs {
    /// The store's directory
    #[arg(long, value_name = "DIR")]
    pub(super) datadir: PathBuf,

    /// The root to repair, which may be a partial one. Default: one whose repair was begun, or the complete root of the
    /// highest block
    #[arg(long, value_name = "HASH", value_parser = hash)]
    pub(super) root: Option<H256>,

    // Last, for its heading holds for all that follows.
    #[command(flatten)]
    pub(super) peers: PeerArgs,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The genesis file, plain or compressed with zstd
    #[arg(long, value_name = "FILE")]
    pub(super) genesis: PathBuf,

    /// The store's directory; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(super) datadir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Serve the states of this store: those that are complete, and of partial ones what is there
    #[arg(long, value_name = "DIR", required_unless_present = "genesis", conflicts_with = "genesis")]
    pub(super) datadir: Option<PathBuf>,

    /// Serve the state of this genesis file, from memory
    #[arg(long, value_name = "FILE")]
    pub(super) genesis: Option<PathBuf>,

    /// Memory for what is read of the store again and again, in MiB
    #[arg(long, value_name = "MIB", default_value = "512", value_parser = mebibytes, conflicts_with = "genesis")]
    pub(super) cache: usize,

    /// The address to listen on. Anyone who reaches it can read the state
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8545")]
    pub(super) listen: SocketAddr,

    /// A host name that requests may be addressed to, besides localhost and every IP address; repeat it for more. *
    /// allows any, also a web page's that has made a browser take this machine for its own
    #[arg(long = "host", value_name = "NAME")]
    pub(super) host: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Keep the state in this directory. Default: a temporary one
    #[arg(long, value_name = "DIR")]
    pub(super) datadir: Option<PathBuf>,
}

impl Cli {
    pub(super) fn display(&self) -> Display {
        Display { json: self.json, hidden: self.quiet || self.no_progress, interval: self.progress_interval }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("not a positive number of seconds".into()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number")?;
    if number.is_finite() && number >= RATE_MIN { Ok(number) } else { Err(format!("not a number from {RATE_MIN} on")) }
}

/// One request in a quarter of an hour. Below it, no sync would ever end.
const RATE_MIN: f64 = 0.001;

fn compression() -> impl TypedValueParser<Value = Compression> {
    PossibleValuesParser::new(["auto", "on", "off"]).try_map(|text| text.parse::<Compression>())
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or("not a positive number".into())
}

fn memory(text: &str) -> Result<Memory, String> {
    const LEAST: usize = Memory::LEAST_BYTES >> 20;
    let bytes = mebibytes(text).ok().filter(|bytes| *bytes >= Memory::LEAST_BYTES);
    bytes.map(Memory::within).ok_or(format!("not a number from {LEAST} on"))
}

fn mebibytes(text: &str) -> Result<usize, String> {
    positive(text)?.checked_mul(1 << 20).ok_or("too large a number".into())
}

pub(super) fn hash(text: &str) -> Result<H256, String> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 64);
    digits.and_then(|digits| digits.parse().ok()).ok_or("not a 0x-prefixed 32-byte hash".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_root_has_a_prefix_and_32_bytes() {
        assert!(hash(&format!("0x{}", "ab".repeat(32))).is_ok());
        assert!(hash(&"ab".repeat(32)).is_err());
        assert!(hash("0xabcd").is_err());
    }

    #[test]
    fn a_duration_is_positive() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        assert!(seconds("0").is_err());
        assert!(seconds("-1").is_err());
        assert!(seconds("NaN").is_err());
    }
}
