//! A peer as a test describes it.

use std::sync::{Arc, Condvar, Mutex};

use primitive_types::H256;
use statesync::serve::MemoryState;
use tokio::sync::watch;

use super::answer::{Answer, Request};
use super::content::Speaks;
use super::faults::{Faults, Plan};
use super::limits::{Limiter, Limits};
use super::node::{Node, Setup};
use super::peer::Peer;
use super::service::Service;

pub(super) type Behaviour = Box<dyn Fn(&Request<'_>) -> Answer + Send + Sync>;

/// A peer before it is started.
pub(crate) struct Builder {
    memory: Arc<MemoryState>,
    setup: Setup,
    behaviour: Behaviour,
    limits: Limits,
    faults: Option<Faults>,
}

impl Builder {
    pub(super) fn new(memory: &Arc<MemoryState>) -> Self {
        let setup = Setup {
            speaks: Speaks::Hash,
            roots: Vec::new(),
            finality: 0,
            disk: None,
            client: None,
            debug: true,
            raw_headers: true,
        };
        let behaviour = Box::new(|request: &Request<'_>| request.honest());
        Self { memory: memory.clone(), setup, behaviour, limits: Limits::default(), faults: None }
    }

    /// How it keeps what it has; by hash unless this is said.
    pub(crate) fn speaks(mut self, speaks: Speaks) -> Self {
        self.setup.speaks = speaks;
        self
    }

    /// Its blocks, from number zero on: those with these roots and between them such as change nothing. The last one
    /// is the head. A half-path peer has the nodes of these states.
    pub(crate) fn blocks(mut self, roots: impl IntoIterator<Item = (u64, H256)>) -> Self {
        self.setup.roots.extend(roots);
        self
    }

    /// How many blocks the safe and the finalized one are behind the head.
    pub(crate) fn finality(mut self, blocks: u64) -> Self {
        self.setup.finality = blocks;
        self
    }

    /// The state on the disk of a path peer; that of the head unless this is said.
    pub(crate) fn disk(mut self, root: H256) -> Self {
        self.setup.disk = Some(root);
        self
    }

    /// What it calls itself.
    pub(crate) fn client(mut self, name: &str) -> Self {
        self.setup.client = Some(name.into());
        self
    }

    /// Leaves out the debug namespace.
    pub(crate) fn without_debug(mut self) -> Self {
        self.setup.debug = false;
        self
    }

    /// Leaves out `debug_getRawHeader`.
    pub(crate) fn without_raw_headers(mut self) -> Self {
        self.setup.raw_headers = false;
        self
    }

    /// What it does with batches in which keys are read; the right thing unless this is said.
    pub(crate) fn behaves(mut self, behaviour: impl Fn(&Request<'_>) -> Answer + Send + Sync + 'static) -> Self {
        self.behaviour = Box::new(behaviour);
        self
    }

    /// Its limits; geth's unless this is said.
    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What goes wrong.
    pub(crate) fn faults(mut self, faults: Faults) -> Self {
        self.faults = Some(faults);
        self
    }

    pub(crate) fn start(self) -> Peer {
        Peer::start(Service {
            node: Node::new(&self.memory, self.setup),
            behaviour: self.behaviour,
            limiter: Limiter::new(self.limits),
            faults: self.faults.map(Plan::new),
            counts: Mutex::default(),
            changed: Condvar::new(),
            limit: watch::Sender::new(u64::MAX),
        })
    }
}
