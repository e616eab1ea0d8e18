//! The verify stage: reply bytes to verified nodes. Pure CPU work for rayon's threads.

use rayon::prelude::*;

use crate::peers::{Ask, Dialect, Verdict, wire};
use crate::trie::{Item, NodeError, Origin, Reject, Verified};

/// Items checked by one rayon task. Large enough that the hand-over does not show (a node takes about 1 µs), small
/// enough that one reply keeps all threads busy.
const CHUNK: usize = 64;

/// A reply, taken apart and checked.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// What was found.
    pub(crate) nodes: Vec<Verified>,
    /// One verdict for each item asked.
    pub(crate) verdicts: Vec<Verdict>,
    /// A node that is what was asked for and breaks a rule.
    pub(crate) malformed: Option<(Item, NodeError)>,
}

/// Checks a reply against what was asked, and in which dialect.
pub(crate) fn check(dialect: Dialect, asks: &[Ask], reply: &[u8]) -> Checked {
    let answers = match wire::answers(reply, asks.len()) {
        Ok(answers) => answers,
        Err(wire::ReplyError::Whole(error)) => return Checked::all(asks, &Verdict::of_error(&error)),
        Err(garbage) => return Checked::all(asks, &Verdict::Failed(garbage.to_string())),
    };
    let pairs: Vec<(&Ask, wire::Answer<'_>)> = asks.iter().zip(answers).collect();
    let chunks: Vec<Checked> = pairs.par_chunks(CHUNK).map(|pairs| check_chunk(dialect, pairs)).collect();
    let mut checked = Checked::default();
    for chunk in chunks {
        checked.nodes.extend(chunk.nodes);
        checked.verdicts.extend(chunk.verdicts);
        checked.malformed = checked.malformed.or(chunk.malformed);
    }
    checked.spread_shrink();
    checked
}

impl Checked {
    /// The same verdict for all that was asked.
    pub(crate) fn all(asks: &[Ask], verdict: &Verdict) -> Self {
        Self { verdicts: vec![verdict.clone(); asks.len()], ..Self::default() }
    }

    /// geth answers an over-long batch with one element that says so, and nothing for the others.
    fn spread_shrink(&mut self) {
        if self.verdicts.contains(&Verdict::Shrink) {
            let unanswered = |verdict: &&mut Verdict| **verdict == Verdict::Unanswered;
            self.verdicts.iter_mut().filter(unanswered).for_each(|verdict| *verdict = Verdict::Shrink);
        }
    }
}

fn check_chunk(dialect: Dialect, pairs: &[(&Ask, wire::Answer<'_>)]) -> Checked {
    let mut checked = Checked::default();
    for (ask, answer) in pairs {
        let verdict = match answer {
            wire::Answer::Hex(hex) => checked.check_value(dialect, ask, hex),
            wire::Answer::Null => Verdict::Absent,
            wire::Answer::Error(error) => Verdict::of_error(error),
            wire::Answer::Nonsense => Verdict::Failed("a result that is not a hex string".into()),
            wire::Answer::Nothing => Verdict::Unanswered,
        };
        checked.verdicts.push(verdict);
    }
    checked
}

impl Checked {
    fn check_value(&mut self, dialect: Dialect, ask: &Ask, hex: &str) -> Verdict {
        let Some(bytes) = wire::unhex(hex) else { return Verdict::Corrupt };
        match Verified::check(ask.item, bytes, Origin::Peer) {
            Ok(node) => self.nodes.push(node),
            Err(Reject::WrongHash) if dialect.names_content(ask.item.key.kind) => return Verdict::Corrupt,
            Err(Reject::WrongHash) => return Verdict::Stale,
            Err(Reject::Malformed(rule)) => self.malformed = Some((ask.item, rule)),
        }
        Verdict::Found
    }
}
