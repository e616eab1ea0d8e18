//! What peers are, what they serve and how fast: found out before a sync, and without a store.
//!
//! ```text
//! every peer: who is it? ─▶ the lowest head ─▶ every peer: roots ─▶ limits ─▶ speed ─▶ verdict
//! ```
//!
//! Some dozens of requests go to each peer, all of them such as a sync sends too, and none while the peer asks for a
//! rest. What one peer does is never the others' loss.

mod agreement;
mod gate;
mod limits;
mod peer;
mod reader;
mod roots;
mod speed;
mod verdict;

use std::time::Duration;

use futures_util::future::join_all;

pub use self::agreement::{Agreement, CommonBlock};
pub use self::gate::RateLimit;
pub use self::limits::BatchLimit;
pub use self::peer::PeerSurvey;
pub use self::reader::Tally;
pub use self::roots::{NamedState, OnDisk, States};
pub use self::speed::{Rate, Speed};
pub use self::verdict::Usability;
use crate::peers::{Client, Dialect, PoolLimits};

/// What was found out about some peers.
#[derive(Debug)]
pub struct Survey {
    /// Each of them, in the order they were given.
    pub peers: Vec<PeerSurvey>,
    /// Whether they are of one chain; nothing where fewer than two say what they are.
    pub agreement: Option<Agreement>,
}

/// How peers are surveyed.
#[derive(Clone, Copy, Debug)]
pub struct SurveyOptions {
    /// The dialect of every peer; found out if it is not said.
    pub dialect: Option<Dialect>,
    /// What is asked of a peer at once, at most; of these only the sizes and the rate count here.
    pub limits: PoolLimits,
    /// How long a reply is waited for.
    pub request_timeout: Duration,
    /// How many items are read at most to measure the speed; with 0 it is not measured.
    pub items: usize,
}

impl SurveyOptions {
    /// Items that are enough for some requests side by side: in the state of mainnet, the topmost three levels.
    pub const ITEMS: usize = 2_000;
}

impl Default for SurveyOptions {
    fn default() -> Self {
        Self {
            dialect: None,
            limits: PoolLimits::default(),
            request_timeout: Duration::from_secs(10),
            items: Self::ITEMS,
        }
    }
}

impl Survey {
    /// Surveys peers, all at the same time.
    pub async fn of(clients: Vec<Client>, options: &SurveyOptions) -> Self {
        let met = join_all(clients.into_iter().map(|client| peer::meet(client, options))).await;
        let common = agreement::common_number(met.iter().filter_map(peer::Met::head));
        let peers = join_all(met.into_iter().map(|met| met.survey(common, options))).await;
        let agreement = Agreement::of(&peers);
        Self { peers, agreement }
    }

    /// How many of the peers are of full use.
    #[must_use]
    pub fn usable(&self) -> usize {
        self.peers.iter().filter(|peer| peer.usability == Usability::Usable).count()
    }
}
