//! Faults by a plan: the same seed makes the same faults, whatever the order in which things are asked.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use primitive_types::H256;
use serde_json::{Value, json};
use statesync::trie::keccak256;

use super::answer::{Answer, Call, Element, Outcome, Request};
use super::rng::{Rng, Seed};

/// How often what goes wrong. The dice are thrown anew for each key, and each time that it is asked for: a key that
/// gets a lie at first gets its value later.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) seed: u64,
    /// Of all keys, how many get other bytes,
    pub(crate) lie_percent: u64,
    /// the word that they are not there,
    pub(crate) absent_percent: u64,
    /// a null,
    pub(crate) null_percent: u64,
    /// and, of a path peer that has flushed, what was there before. Together at most 100.
    pub(crate) stale_percent: u64,
    /// Of so many requests, the last one's connection breaks.
    pub(crate) drop_every: Option<u64>,
    /// Of all requests, how many get a web page,
    pub(crate) html_percent: u64,
    /// and how many a reply that ends before its end.
    pub(crate) truncate_percent: u64,
    /// Elements come in any order.
    pub(crate) reorder: bool,
    /// Every element comes again, with other bytes.
    pub(crate) duplicate_ids: bool,
    /// Elements come that nobody asked for.
    pub(crate) foreign_ids: bool,
}

impl Faults {
    /// No faults yet, but the seed for them.
    pub(crate) fn of(seed: &Seed) -> Self {
        Self { seed: seed.0, ..Self::default() }
    }
}

/// The faults at work.
#[derive(Debug)]
pub(super) struct Plan {
    faults: Faults,
    requests: AtomicU64,
    /// How often each thing has been asked for.
    asked: Mutex<HashMap<u64, u64>>,
}

/// What goes wrong with a whole request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mishap {
    Drop,
    Html,
    Truncate,
}

/// Keeps the throws for requests apart from those for the keys in them.
const REQUEST: u64 = 0x7265_7175_6573_7473;

impl Plan {
    pub(super) fn new(faults: Faults) -> Self {
        let Faults { lie_percent, absent_percent, null_percent, stale_percent, .. } = faults;
        assert!(lie_percent + absent_percent + null_percent + stale_percent <= 100);
        Self { faults, requests: AtomicU64::new(0), asked: Mutex::default() }
    }

    /// What goes wrong with a request; it is known by what it asks for.
    pub(super) fn mishap(&self, messages: &[Value]) -> Option<Mishap> {
        let number = 1 + self.requests.fetch_add(1, Ordering::Relaxed);
        if self.faults.drop_every.is_some_and(|every| number.is_multiple_of(every)) {
            return Some(Mishap::Drop);
        }
        let [method, params] = ["method", "params"].map(|name| messages[0][name].to_string());
        let Faults { html_percent, truncate_percent, .. } = self.faults;
        match self.rng(REQUEST ^ name(&method, &params)).below(100) {
            throw if throw < html_percent => Some(Mishap::Html),
            throw if throw < html_percent + truncate_percent => Some(Mishap::Truncate),
            _ => None,
        }
    }

    /// Spoils the elements that hold what is under keys.
    pub(super) fn spoil(&self, request: &Request<'_>, elements: &mut [Element]) {
        let calls: HashMap<String, &Call> = request.calls.iter().map(|call| (call.id.to_string(), call)).collect();
        for element in elements {
            if let (Some(call), Outcome::Value(hash, bytes)) = (calls.get(&element.id.to_string()), &element.result) {
                let other = self.other(request, call, *hash, bytes);
                element.result = other.unwrap_or_else(|| element.result.clone());
            }
        }
    }

    /// Changes which elements a reply has.
    pub(super) fn shuffle(&self, elements: &mut Vec<Element>) {
        let Some(first) = elements.first() else { return };
        let mut rng = self.rng(name(&first.id.to_string(), &first.result.member().1));
        if self.faults.reorder {
            for place in 1..elements.len() {
                elements.swap(place, usize::try_from(rng.below(place as u64 + 1)).unwrap());
            }
        }
        let lie = |id: Value| Element { id, result: Outcome::Lie(vec![7; 40]) };
        if self.faults.duplicate_ids {
            let twice = |element: Element| [element.clone(), lie(element.id)];
            *elements = std::mem::take(elements).into_iter().flat_map(twice).collect();
        }
        if self.faults.foreign_ids {
            let strangers =
                [json!(1_000_000 + rng.below(1_000)), json!("stranger"), json!(-1), json!(1.5), Value::Null];
            for id in strangers {
                let place = usize::try_from(rng.below(elements.len() as u64 + 1)).unwrap();
                elements.insert(place, lie(id));
            }
        }
    }

    /// What a key gets in place of its value, if anything.
    fn other(&self, request: &Request<'_>, call: &Call, hash: H256, honest: &[u8]) -> Option<Outcome> {
        let Faults { lie_percent, absent_percent, null_percent, stale_percent, .. } = self.faults;
        let mut rng = self.rng(name(&call.method, &call.params.to_string()));
        let absent = lie_percent + absent_percent;
        match rng.below(100) {
            throw if throw < lie_percent => Some(request.lie_about(hash, honest.to_vec(), &mut rng)),
            throw if throw < absent => Some(call.absent().result),
            throw if throw < absent + null_percent => Some(Outcome::Result("null")),
            throw if throw < absent + null_percent + stale_percent => {
                request.node.content.read_stale(&call.params, hash).map(Outcome::Lie)
            }
            _ => None,
        }
    }

    /// The dice for one thing, this time.
    fn rng(&self, name: u64) -> Rng {
        let mut asked = self.asked.lock().unwrap();
        let times = asked.entry(name).or_default();
        *times += 1;
        Rng::new(Rng::new(self.faults.seed ^ name).next().wrapping_add(*times))
    }
}

impl Mishap {
    /// The answer, made of the right one where it needs that.
    pub(super) fn answer(self, text: &str) -> Answer {
        match self {
            Self::Drop => Answer::Drop,
            Self::Html => Answer::status(200, None, "<html><body><h1>502 Bad Gateway</h1></body></html>"),
            Self::Truncate => Answer::status(200, None, &text[..text.len() / 2]),
        }
    }
}

fn name(method: &str, params: &str) -> u64 {
    let hash = keccak256(format!("{method} {params}").as_bytes());
    u64::from_be_bytes(hash.as_bytes()[24..].try_into().unwrap())
}
