//! The newest state that the peers can serve, again and again.

use std::collections::HashMap;
use std::sync::Mutex;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use primitive_types::H256;

use super::{Instead, Pivot, Trust, Wish, resolve, root};
use crate::peers::{Dialect, Peer};
use crate::pipeline::{PivotSource, Target};

/// Asks the peers for the newest state they can serve.
#[derive(Debug)]
pub struct Newest {
    wish: Wish,
    peers: Vec<Peer>,
    /// Only what path-scheme peers have on disk is of interest, and nothing is asked while that stays where it is.
    on_disk: bool,
    last: Mutex<Option<(Vec<Option<u64>>, Target)>>,
    /// What vouches for each state that was found: not the same for all, and a sync may end with any of them. A hundred
    /// bytes for a state, and at most a few states a minute.
    trusts: Mutex<HashMap<H256, Trust>>,
}

impl Newest {
    /// A source that resolves a wish anew each time; after `first`, which was resolved so before.
    #[must_use]
    pub fn new(wish: Wish, peers: Vec<Peer>, first: &Pivot) -> Self {
        let mut with_nodes = peers.iter().filter_map(|peer| peer.dialect).filter(|dialect| *dialect != Dialect::Codes);
        let only_path = wish.block.moves() && with_nodes.all(|dialect| dialect == Dialect::Path);
        let on_disk = only_path || matches!(first.instead, Some(Instead::OnDisk { .. }));
        let trusts = Mutex::new(HashMap::from([(first.root, first.trust)]));
        Self { wish, peers, on_disk, last: Mutex::default(), trusts }
    }

    /// Whether the state that a path-scheme peer has on disk is all there is: when that moves, so must a sync.
    #[must_use]
    pub fn is_on_disk(&self) -> bool {
        self.on_disk
    }

    /// What vouches for a state that this source has named.
    #[must_use]
    pub fn trust(&self, root: &H256) -> Option<Trust> {
        self.trusts.lock().ok()?.get(root).copied()
    }

    async fn find(&self) -> Result<Target, String> {
        let ids = if self.on_disk { self.state_ids().await } else { Vec::new() };
        if self.on_disk
            && ids.iter().any(Option::is_some)
            && let Some((known, target)) = self.last()
            && known == ids
        {
            return Ok(target);
        }
        let pivot = resolve(&self.wish, &self.peers).await.map_err(|error| error.to_string())?;
        if let Ok(mut trusts) = self.trusts.lock() {
            trusts.insert(pivot.root, pivot.trust);
        }
        let target = Target { root: pivot.root, block: pivot.block, replaces: self.on_disk };
        if let Ok(mut last) = self.last.lock() {
            *last = Some((ids, target.clone()));
        }
        Ok(target)
    }

    fn last(&self) -> Option<(Vec<Option<u64>>, Target)> {
        self.last.lock().ok()?.clone()
    }

    /// The ids of the states that path-scheme peers have on disk.
    async fn state_ids(&self) -> Vec<Option<u64>> {
        let path = self.peers.iter().filter(|peer| peer.dialect == Some(Dialect::Path));
        let disks = join_all(path.map(|peer| root::on_disk(&peer.client))).await;
        disks.into_iter().map(|disk| Some(disk.ok()?.id)).collect()
    }
}

impl PivotSource for Newest {
    fn newest(&self) -> BoxFuture<'_, Result<Target, String>> {
        self.find().boxed()
    }
}
