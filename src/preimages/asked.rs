//! A peer that is asked for preimages, until it has given its word on each.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use primitive_types::H256;
use serde_json::{Value, json};

use super::{PreimageError, file::PREIMAGE_PREFIX};
use crate::peers::wire::unhex;
use crate::peers::{CallError, Client, Verdict};

/// Calls in one request: half of what geth takes.
const BATCH: usize = 500;
/// Requests in flight to a peer. It reads from its disk for each call; a few keep it busy.
const AT_ONCE: usize = 4;
/// What is asked of a peer in one go.
pub(super) const ROUND: usize = BATCH * AT_ONCE;

/// Rounds in a row without a single answer, until a peer is not waited for any more.
const TRIES: u32 = 8;
/// The rest after the first of them, where the peer does not say how long it wants; twice as long after each further
/// one, half a minute in all: a node that was restarted is back by then.
const FIRST_REST: Duration = Duration::from_millis(250);
/// The longest rest that a peer gets. A sync gives as much.
const REST_MAX: Duration = Duration::from_secs(300);
/// How often a rest looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// geth's words, under its code for any plain error, for a preimage that it does not have.
const UNKNOWN: &str = "unknown preimage";

/// A peer, and how it is asked.
pub(super) struct Asked<'a> {
    client: &'a Client,
    /// Calls in one request.
    batch: usize,
    method: Method,
    /// Whether the last round of questions brought nothing: it is asked nothing more.
    lost: bool,
}

/// What gives preimages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    /// A row of the database: found by geth and those that keep its keys.
    DbGet,
    /// The method for it.
    Preimage,
}

/// What a peer had to say.
#[derive(Default)]
pub(super) struct Answers {
    /// What it gave, under what was asked for; not checked yet.
    pub(super) given: Vec<(H256, Vec<u8>)>,
    /// What it has not.
    pub(super) absent: Vec<H256>,
    /// What it gave no word on.
    pub(super) open: Vec<H256>,
    /// Why not.
    pub(super) why: Option<String>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self { client, batch: BATCH, method: Method::DbGet, lost: false }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Asks for all of these, and again for those that it gave no word on.
    pub(super) async fn ask(&mut self, hashes: Vec<H256>, stop: &AtomicBool) -> Result<Answers, PreimageError> {
        let mut answers = Answers { open: hashes, ..Answers::default() };
        let mut in_vain = 0;
        while !answers.open.is_empty() {
            let words = answers.words();
            let trouble = self.round(&mut answers).await;
            if answers.words() > words {
                in_vain = 0;
            }
            let Some(trouble) = trouble else { continue };
            let (rest, why) = match trouble {
                Verdict::Shrink if self.batch > 1 => {
                    self.batch /= 2;
                    continue;
                }
                Verdict::Refused(_) | Verdict::Unsupported(_) if self.method == Method::DbGet => {
                    self.method = Method::Preimage;
                    continue;
                }
                Verdict::RateLimited(wait) => (wait, "it limits how often it is asked".to_owned()),
                Verdict::Failed(why) => (None, why),
                Verdict::Refused(why) | Verdict::Unsupported(why) => {
                    in_vain = TRIES;
                    (None, why)
                }
                _ => (None, "it leaves out answers".to_owned()),
            };
            in_vain += 1;
            if in_vain >= TRIES {
                answers.why = Some(format!("{}: {why}", self.client.url()));
                self.lost = answers.words() == 0;
                break;
            }
            let doubled = FIRST_REST * 2_u32.pow(in_vain - 1);
            pause(rest.unwrap_or(doubled).min(REST_MAX), stop).await?;
        }
        Ok(answers)
    }

    /// Asks for the first of what is open, and sorts what comes; what was in the way, if anything was.
    async fn round(&self, answers: &mut Answers) -> Option<Verdict> {
        let now: Vec<H256> = answers.open.drain(..answers.open.len().min(self.batch * AT_ONCE)).collect();
        let requests = now.chunks(self.batch).map(|hashes| self.request(hashes));
        let mut trouble = None;
        for (hashes, reply) in now.chunks(self.batch).zip(join_all(requests).await) {
            let elements = match reply {
                Ok(elements) => elements,
                Err(error) => {
                    answers.open.extend(hashes);
                    trouble = Some(verdict(error));
                    continue;
                }
            };
            for (hash, element) in hashes.iter().zip(elements) {
                match element.map_err(verdict) {
                    // "Nothing" is what some have to say of what they do not have.
                    Ok(value) if value.is_null() || value == "0x" => answers.absent.push(*hash),
                    Ok(value) => answers.given.push((*hash, bytes(&value))),
                    Err(Verdict::Absent) => answers.absent.push(*hash),
                    Err(other) => {
                        answers.open.push(*hash);
                        trouble = Some(other);
                    }
                }
            }
        }
        trouble
    }

    /// A peer's preimages of some hashes, in their order.
    async fn request(&self, hashes: &[H256]) -> Result<Vec<Result<Value, CallError>>, CallError> {
        let call = |hash: &H256| match self.method {
            Method::DbGet => {
                let key = [PREIMAGE_PREFIX, hash.as_bytes()].concat();
                ("debug_dbGet", json!([format!("0x{}", faster_hex::hex_string(&key))]))
            }
            Method::Preimage => ("debug_preimage", json!([format!("{hash:?}")])),
        };
        self.client.batch(&hashes.iter().map(call).collect::<Vec<_>>()).await
    }
}

impl Answers {
    /// On how many it gave its word.
    fn words(&self) -> usize {
        self.given.len() + self.absent.len()
    }
}

/// What is no hex has no bytes, and so is not what was asked for.
fn bytes(value: &Value) -> Vec<u8> {
    value.as_str().and_then(unhex).unwrap_or_default()
}

fn verdict(error: CallError) -> Verdict {
    match error {
        CallError::Rpc(error) if error.message == UNKNOWN => Verdict::Absent,
        CallError::Rpc(error) => Verdict::of_error(&error),
        CallError::Transport(error) => Verdict::of_transport(&error),
        error @ CallError::Garbage { .. } => Verdict::Failed(error.to_string()),
    }
}

/// Waits, unless it is told to stop.
async fn pause(rest: Duration, stop: &AtomicBool) -> Result<(), PreimageError> {
    let until = tokio::time::Instant::now() + rest;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(PreimageError::Stopped);
        }
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        tokio::time::sleep(left.min(LOOK)).await;
    }
}
