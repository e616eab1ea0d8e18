//! The verify stage: reply bytes to verified nodes. Pure CPU work for rayon's threads.

use rayon::prelude::*;

use crate::peers::wire::{self, Answer};
use crate::peers::{Ask, Dialect, Verdict};
use crate::trie::{Item, NodeError, Origin, Reject, Verified};

/// Items checked by one rayon task. Large enough that the hand-over does not show and that the lanes of the hash are
/// full (a node takes about half a µs), small enough that one reply keeps all threads busy.
const CHUNK: usize = 128;

/// A reply, taken apart and checked.
#[derive(Debug, Default)]
pub struct Checked {
    /// What was found.
    pub nodes: Vec<Verified>,
    /// One verdict for each item asked.
    pub verdicts: Vec<Verdict>,
    /// A node that is what was asked for and breaks a rule.
    pub malformed: Option<(Item, NodeError)>,
}

/// Checks a reply against what was asked, and in which dialect.
#[must_use]
pub fn check(dialect: Dialect, asks: &[Ask], reply: &[u8]) -> Checked {
    let answers = match wire::answers(reply, asks.len()) {
        Ok(answers) => answers,
        Err(wire::ReplyError::Whole(error)) => return Checked::all(asks, &Verdict::of_error(&error)),
        Err(garbage) => return Checked::all(asks, &Verdict::Failed(garbage.to_string())),
    };
    let chunks = asks.par_chunks(CHUNK).zip(answers.par_chunks(CHUNK));
    let chunks: Vec<Checked> = chunks.map(|(asks, answers)| check_chunk(dialect, asks, answers)).collect();
    let mut checked = Checked::with_room_for(asks.len());
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

    fn with_room_for(items: usize) -> Self {
        Self { nodes: Vec::with_capacity(items), verdicts: Vec::with_capacity(items), malformed: None }
    }

    /// geth answers an over-long batch with one element that says so, and nothing for the others.
    fn spread_shrink(&mut self) {
        if self.verdicts.contains(&Verdict::Shrink) {
            let unanswered = |verdict: &&mut Verdict| **verdict == Verdict::Unanswered;
            self.verdicts.iter_mut().filter(unanswered).for_each(|verdict| *verdict = Verdict::Shrink);
        }
    }
}

fn check_chunk(dialect: Dialect, asks: &[Ask], answers: &[Answer<'_>]) -> Checked {
    let mut checked = Checked::with_room_for(asks.len());
    let mut values = Vec::with_capacity(asks.len());
    for (ask, answer) in asks.iter().zip(answers) {
        checked.verdicts.push(match answer {
            Answer::Hex(hex) => {
                values.push((ask.item, hex.bytes()));
                Verdict::Found
            }
            Answer::NotHex => Verdict::Corrupt,
            Answer::Null => Verdict::Absent,
            Answer::Error(error) => Verdict::of_error(error),
            Answer::Nonsense => Verdict::Failed("a result that is not a hex string".into()),
            Answer::Nothing => Verdict::Unanswered,
        });
    }
    let verdicts = asks.iter().zip(&mut checked.verdicts).filter(|(_, verdict)| **verdict == Verdict::Found);
    for ((ask, verdict), value) in verdicts.zip(Verified::check_all(values, Origin::Peer)) {
        match value {
            Ok(node) => checked.nodes.push(node),
            Err(Reject::WrongHash) if dialect.names_content(ask.item.key.kind) => *verdict = Verdict::Corrupt,
            Err(Reject::WrongHash) => *verdict = Verdict::Stale,
            Err(Reject::Malformed(rule)) => checked.malformed = Some((ask.item, rule)),
        }
    }
    checked
}
