//! What the tests share: peers that are any kind of node and misbehave on demand, made-up states, an oracle, and handles
//! on the program.

mod answer;
mod archive;
mod bridge;
mod builder;
mod chain;
mod content;
mod disk;
mod fail_io;
mod faults;
pub(crate) mod forge;
mod geth;
mod half_path;
mod journal;
mod limits;
mod node;
mod oracle;
mod path_state;
mod peer;
mod program;
mod rate;
mod read;
mod reply;
mod rng;
mod run;
mod service;
mod state;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpSocket;

pub(crate) use self::answer::{Answer, Call, Element, Gate, Outcome, Request};
pub(crate) use self::archive::{pack, unpack};
pub(crate) use self::bridge::{Bridge, KEY};
pub(crate) use self::builder::Builder;
pub(crate) use self::content::Speaks;
pub(crate) use self::disk::{
    CODES, Content, FAMILIES, NODES, References, STAGING, assert_all_hashes_are_right, copy, files, raw_rows, replace,
    rows,
};
pub(crate) use self::fail_io::{DiskFailure, DiskFault, FailIo, Traced};
pub(crate) use self::faults::Faults;
pub(crate) use self::geth::{Geth, geth_is_wanted};
pub(crate) use self::journal::{journal_files, records};
pub(crate) use self::limits::Limits;
pub(crate) use self::oracle::build as oracle;
pub(crate) use self::peer::{Counts, Peer};
pub(crate) use self::program::{Output, Served, Watched, end_by, ended, spawn, spawn_in, statesync, statesync_in};
pub(crate) use self::rate::{Rate, RateStyle};
pub(crate) use self::read::{ask, imported};
pub(crate) use self::rng::{Rng, Seed};
pub(crate) use self::run::{open, options, start, sync, verified};
pub(crate) use self::state::{InMemory, MEDIUM, SMALL, Shape, in_memory, items, state, successor};

/// How long a test waits for what has to come: nothing is decided by it but whether the test hangs or fails.
pub(crate) fn patience() -> Duration {
    Duration::from_secs(120)
}

/// A path to one of the repository's fixtures.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format!("{name}.json.zst"))
}

/// An address at which nobody listens, and nobody else can while this value lives.
pub(crate) struct DeadPort(TcpSocket);

impl DeadPort {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }
}
