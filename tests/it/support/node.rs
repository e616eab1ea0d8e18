//! A node behind a peer's socket: its database, its blocks, and the methods over them.

use std::sync::Arc;

use primitive_types::H256;
use serde_json::{Value, json};
use statesync::serve::{MemoryState, Source};

use super::answer::{Call, Outcome};
use super::chain::Chain;
use super::content::{Content, Speaks};

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) chain: Chain,
    pub(super) setup: Setup,
}

/// What a node is told when it is started.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) speaks: Speaks,
    /// The root at some numbers; the blocks between them change nothing.
    pub(super) roots: Vec<(u64, H256)>,
    /// How far the finalized block is behind the head.
    pub(super) finality: u64,
    /// Of a path peer: the root of the state on its disk; otherwise the head's.
    pub(super) disk: Option<H256>,
    /// What it calls itself, if not as its like do.
    pub(super) client: Option<String>,
    /// Whether it offers the debug namespace.
    pub(super) debug: bool,
    /// Whether it offers `debug_getRawHeader`.
    pub(super) raw_headers: bool,
}

impl Node {
    pub(super) fn new(memory: &Arc<MemoryState>, setup: Setup) -> Self {
        let genesis = memory.blocks().unwrap().into_iter().find(|block| block.header.is_some() && block.number == 0);
        let chain = Chain::new(&setup.roots, genesis, setup.finality);
        let disk = setup.disk.or_else(|| chain.block(chain.head()).map(|block| block.root));
        let disk = disk.map(|root| (root, chain.state_id(root).unwrap_or(1)));
        let content = Content::new(memory, setup.speaks, &chain.roots(), disk);
        Self { content, chain, setup }
    }

    /// The answer to a call.
    pub(super) fn answer(&self, call: &Call) -> Outcome {
        let (method, params) = (call.method.as_str(), &call.params);
        let hidden = method.starts_with("debug_") && !self.setup.debug;
        let unknown = (method == "debug_getRawHeader" && !self.setup.raw_headers) || hidden;
        let answered = (!unknown).then(|| {
            let about = || self.about(method);
            self.content.read(method, params).or_else(|| self.about_blocks(method, params)).or_else(about)
        });
        answered.flatten().unwrap_or_else(|| self.no_method(method))
    }

    /// Swaps what is on a path peer's disk for the state at `root`, once `reads` more keys have been read.
    pub(super) fn flush(&self, root: H256, reads: u64) {
        let last = self.content.disk().lock().unwrap().last_id();
        let id = self.chain.state_id(root).unwrap_or(last + 1);
        let state = self.content.state_by_path(root, id);
        let mut disk = self.content.disk().lock().unwrap();
        if reads == 0 { disk.flush(state) } else { disk.flush_after(reads, state) }
    }

    /// Removes what only the states at these roots have.
    pub(super) fn prune(&self, roots: &[H256]) {
        self.content.prune(roots, self.chain.roots());
    }

    fn about_blocks(&self, method: &str, params: &Value) -> Option<Outcome> {
        if self.chain.is_empty() {
            return None;
        }
        match (method, self.setup.speaks) {
            ("debug_getAccessibleState", Speaks::Hash) => {
                Some(self.chain.accessible(params, |root| self.content.has(root)))
            }
            ("debug_getAccessibleState", Speaks::Path) => {
                Some(Outcome::Error(-32000, "state history is not yet available in path-based scheme"))
            }
            _ => self.chain.answer(method, params),
        }
    }

    fn about(&self, method: &str) -> Option<Outcome> {
        let chain_id = self.content.memory().chain_id().unwrap().unwrap_or(1);
        Some(Outcome::Json(match method {
            "eth_chainId" => json!(format!("{chain_id:#x}")),
            "net_version" => json!(chain_id.to_string()),
            "eth_syncing" => json!(false),
            "web3_clientVersion" => json!(self.setup.client.as_deref().unwrap_or(self.usual_client())),
            _ => return None,
        }))
    }

    fn usual_client(&self) -> &'static str {
        match self.setup.speaks {
            Speaks::Hash | Speaks::Path => "Geth/v1.17.10-stable-4bd3e6f1/linux-amd64/go1.26.1",
            Speaks::HalfPath | Speaks::NethermindHash => "Nethermind/v1.39.0+9f2c41d7/linux-x64/dotnet10.0.1",
            Speaks::CodesOnly => "reth/v2.5.1-7b3432d/x86_64-unknown-linux-gnu",
        }
    }

    fn no_method(&self, method: &str) -> Outcome {
        let text = match self.setup.speaks {
            _ if method.is_empty() => return Outcome::Error(-32600, "invalid request"),
            Speaks::Hash | Speaks::Path => format!("the method {method} does not exist/is not available"),
            Speaks::HalfPath | Speaks::NethermindHash => format!("The method '{method}' is not supported."),
            Speaks::CodesOnly => "Method not found".into(),
        };
        Outcome::failure(-32601, text)
    }
}
