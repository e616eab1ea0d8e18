//! How many items a peer takes in one request.

use super::reader::{Reader, Tally};
use crate::peers::Verdict;
use crate::trie::Item;

/// Requests to find it, each for half of what the one before asked for: from the default of 384 down to 12.
const TRIES: usize = 6;

/// How many items a peer takes in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchLimit {
    /// Items in the first request.
    pub asked: usize,
    /// Items in the largest that it answered in full; nothing if it answered none.
    pub accepted: Option<usize>,
    /// What it said to one that it did not.
    pub refused: Option<String>,
}

/// Finds how many it takes, up to `most`, by reading one item as often.
pub(super) async fn batch_limit(reader: &mut Reader, item: Item, most: usize) -> BatchLimit {
    let mut limit = BatchLimit { asked: most, accepted: None, refused: None };
    // The same item over and over says nothing about what the peer has.
    let tally = reader.tally.clone();
    let mut items = most;
    for _ in 0..TRIES {
        let Ok(checked) = reader.read(vec![item; items]).await else { break };
        let Some(objection) = checked.verdicts.iter().find_map(objection) else {
            limit.accepted = Some(items);
            break;
        };
        let ends = objection.whatever_the_size || items == 1;
        limit.refused.get_or_insert(objection.words);
        if ends {
            break;
        }
        items /= 2;
    }
    reader.tally = Tally { failure: reader.tally.failure.take(), ..tally };
    limit
}

/// What a peer has against a request.
struct Objection {
    words: String,
    whatever_the_size: bool,
}

fn objection(verdict: &Verdict) -> Option<Objection> {
    let (words, whatever_the_size) = match verdict {
        Verdict::Shrink => ("too large".into(), false),
        Verdict::Unanswered => ("not answered in full".into(), false),
        Verdict::RateLimited(_) => ("too often".into(), true),
        Verdict::Refused(why) | Verdict::Failed(why) => (why.clone(), true),
        Verdict::Found | Verdict::Absent | Verdict::Stale | Verdict::Corrupt | Verdict::Unsupported(_) => return None,
    };
    Some(Objection { words, whatever_the_size })
}
