//! What to sync: from the arguments to a root, and what is said of it.

use std::sync::Arc;
use std::time::Duration;

use primitive_types::H256;

use super::args::SyncArgs;
use super::connect::Connected;
use super::exit::{Exit, Failure};
use crate::peers::BlockId;
use crate::pipeline::Follow;
use crate::pivot::{Instead, Newest, Pivot, Trust, Wish, resolve};
use crate::store::Block;

/// How often the peers are asked for a newer state. A block comes every 12 seconds on mainnet; one call to a path-scheme
/// peer costs it some microseconds.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(12);
const DISK_INTERVAL: Duration = Duration::from_secs(2);

/// What to sync.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) root: H256,
    pub(super) block: Option<Block>,
    /// What vouches for the block, where one was given.
    pub(super) trust: Option<Trust>,
    /// Where newer states come from.
    pub(super) newest: Option<Arc<Newest>>,
    pub(super) follow: Option<Follow>,
    /// One line on the block and what vouches for it.
    pub(super) said: Option<String>,
}

/// What is wrong with the arguments before anything is asked.
pub(super) fn check(arguments: &SyncArgs) -> Result<(), Failure> {
    if arguments.follow && !arguments.block.as_ref().is_some_and(BlockId::moves) {
        return Err(Failure::new(Exit::Usage, "--follow needs a block that moves")
            .hint("give --block latest, safe or finalized"));
    }
    Ok(())
}

/// The root to sync and, where the user gave a block, that block.
pub(super) async fn goal(arguments: &SyncArgs, connected: &Connected) -> Result<Goal, Failure> {
    let block = match (arguments.root, arguments.block) {
        (Some(root), _) => return Ok(Goal { root, block: None, trust: None, newest: None, follow: None, said: None }),
        (None, Some(block)) => block,
        (None, None) => return Err(Failure::new(Exit::Usage, "give --root or --block")),
    };
    let wish = Wish { block, trusted: arguments.trusted_block_hash, quorum: arguments.quorum };
    let pivot = resolve(&wish, &connected.peers).await?;
    let newest = Arc::new(Newest::new(wish, connected.peers.clone(), &pivot));
    let on_disk = newest.is_on_disk();
    let newest = (arguments.follow || on_disk).then_some(newest);
    let interval = if on_disk { DISK_INTERVAL } else { FOLLOW_INTERVAL };
    let follow = newest.clone().map(|source| Follow { source, interval });
    let said = Some(describe(&pivot));
    let Pivot { root, block, trust, .. } = pivot;
    Ok(Goal { root, block, trust: Some(trust), newest, follow, said })
}

impl Goal {
    /// What vouches for the state that a sync ended with, which may be a newer one than it began with.
    pub(super) fn trust_in(&self, root: &H256) -> Option<Trust> {
        match &self.newest {
            Some(newest) => newest.trust(root),
            None => self.trust,
        }
    }
}

fn describe(pivot: &Pivot) -> String {
    let what = match &pivot.block {
        Some(block) => format!("block {} {:?} has state {:?}", block.number, block.hash, pivot.root),
        None => format!("state {:?} of an unknown block", pivot.root),
    };
    let why = match pivot.instead {
        Some(Instead::OnDisk { meant }) => {
            format!("; no peer can serve block {meant}, and this is the state that a path-scheme peer has on disk")
        }
        Some(Instead::Kept { meant }) => {
            format!("; no peer can serve block {meant}, and this is the newest state that one has kept")
        }
        None => String::new(),
    };
    format!("{what} ({}){why}", pivot.trust)
}
