//! Of what use a peer is.

use super::gate::Closed;
use super::peer::PeerSurvey;
use super::reader::Tally;
use crate::peers::{Dialect, ProbeError};

/// A peer of whose answers one in so many is something else is of no use: a sync leaves it, too.
const CORRUPT_SHARE: u64 = 4;

/// Of what use a peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usability {
    /// It serves a state.
    Usable,
    /// It serves codes: a help beside others.
    CodesOnly,
    /// It could serve states, and has none to serve or does not let itself be asked now.
    NoState(String),
    /// It cannot be used, unless somebody changes its configuration.
    Unusable(String),
    /// It does not answer.
    Unreachable(String),
}

impl Usability {
    /// One word for reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::CodesOnly => "codes_only",
            Self::NoState(_) => "no_state",
            Self::Unusable(_) => "unusable",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// Why it is of no use.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::NoState(why) | Self::Unusable(why) | Self::Unreachable(why) => Some(why),
            Self::Usable | Self::CodesOnly => None,
        }
    }

    /// Whether it may be of use later without anyone changing its configuration.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::NoState(_) | Self::Unreachable(_))
    }

    /// The verdict on a peer that did not say who it is, or how it is to be asked.
    pub(super) fn of_error(error: &ProbeError) -> Self {
        let why = error.to_string();
        if error.is_transient() { Self::Unreachable(why) } else { Self::Unusable(why) }
    }

    /// The verdict on a peer that can be asked for items.
    pub(super) fn of(peer: &PeerSurvey, closed: Option<Closed>) -> Self {
        let Tally { found, corrupt, refusal, failure, .. } = &peer.tally;
        if *corrupt > 0 && corrupt * CORRUPT_SHARE >= *found {
            return Self::Unusable(format!("{corrupt} of its {} answers are something else", found + corrupt));
        }
        if peer.dialect == Some(Dialect::Codes) {
            return Self::CodesOnly;
        }
        match (peer.states.best(), closed, refusal, failure) {
            (Some(_), ..) => Self::Usable,
            (None, Some(closed), ..) => Self::NoState(closed.to_string()),
            (None, None, Some(refusal), _) => Self::Unusable(refusal.clone()),
            (None, None, None, Some(failure)) => Self::NoState(failure.clone()),
            (None, None, None, None) => {
                Self::NoState("its database has the state of no block that it was asked for".into())
            }
        }
    }
}
