//! The pool's decisions, under a clock of the test's own.

mod beyond_one;

use std::time::{Duration, Instant};

use primitive_types::H256;

use super::{Dispatch, Pool, PoolLimits, Trip};
use crate::peers::{Dialect, Verdict};
use crate::trie::{Item, Kind, Origin, Scheduler, TrieBuilder, Verified, keccak256};

/// A scheduler that wants nodes, and the bytes of those.
struct Wanted {
    scheduler: Scheduler,
    nodes: std::collections::HashMap<H256, Vec<u8>>,
}

impl Wanted {
    /// A storage-less state with 256 accounts, whose root and second level have been fetched: sixteen items and more
    /// are wanted at once.
    fn new() -> Self {
        let mut nodes = std::collections::HashMap::new();
        let mut builder = TrieBuilder::new(|_, hash, rlp: &[u8]| {
            nodes.insert(hash, rlp.to_vec());
            Ok::<_, std::convert::Infallible>(())
        });
        let account = crate::trie::Account {
            nonce: 1,
            balance: 1.into(),
            storage_root: crate::trie::EMPTY_ROOT,
            code_hash: crate::trie::EMPTY_CODE_HASH,
        };
        for byte in 0..=255 {
            builder.add(H256::repeat_byte(byte), &account.encode()).unwrap();
        }
        let root = builder.finish().unwrap();
        let mut wanted = Self { scheduler: Scheduler::new(root, usize::MAX), nodes };
        for _ in 0..2 {
            wanted.settle_lookups();
            for item in wanted.scheduler.missing(usize::MAX) {
                wanted.deliver(&item);
            }
        }
        wanted.settle_lookups();
        wanted
    }

    fn settle_lookups(&mut self) {
        for item in self.scheduler.lookups(usize::MAX) {
            self.scheduler.resolve(&item.key, false, false);
        }
    }

    fn deliver(&mut self, item: &Item) {
        let bytes = self.nodes[&item.key.hash].clone();
        self.scheduler.process(Verified::check(*item, bytes, Origin::Peer).unwrap()).unwrap();
    }
}

/// Small numbers that are easy to reason about.
fn limits() -> PoolLimits {
    PoolLimits {
        batch_items: 8,
        requests_per_peer: 2,
        requests_per_second: None,
        absent_rounds: 3,
        absent_delay: Duration::from_millis(100),
        failure_delay: Duration::from_millis(100),
        outage_patience: Duration::from_secs(10),
    }
}

fn pool(peers: usize) -> (Pool, Wanted, Instant) {
    let now = Instant::now();
    let mut pool = Pool::new(peers, limits(), now);
    (0..peers).for_each(|peer| pool.introduce(peer, Dialect::Hash, true));
    (pool, Wanted::new(), now)
}

/// Answers a request with one verdict for all its items; what is found is delivered.
fn answer(pool: &mut Pool, wanted: &mut Wanted, now: Instant, request: &Dispatch, verdict: &Verdict) {
    let sent = pool.take(request.id, Some(Trip { bytes: 1_000, time: ms(10) })).unwrap();
    if *verdict == Verdict::Found {
        sent.asks.iter().for_each(|ask| wanted.deliver(&ask.item));
    }
    let verdicts = vec![verdict.clone(); sent.asks.len()];
    pool.settle(now, &sent, &verdicts, |key| wanted.scheduler.is_fetching(key));
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn work_goes_in_turn_to_peers_with_room() {
    let (mut pool, mut wanted, now) = pool(3);
    let requests = pool.assign(now, usize::MAX, &mut wanted.scheduler);
    let peers: Vec<usize> = requests.iter().map(|request| request.peer).collect();
    assert_eq!(peers, [0, 1, 2, 0, 1, 2]);
    assert!(requests.iter().all(|request| request.asks.len() == 8));
    assert!(pool.assign(now, usize::MAX, &mut wanted.scheduler).is_empty(), "nobody has room");
    answer(&mut pool, &mut wanted, now, &requests[1], &Verdict::Found);
    let next = pool.assign(now, usize::MAX, &mut wanted.scheduler);
    assert_eq!(next.iter().map(|request| request.peer).collect::<Vec<_>>(), [1]);
}

#[test]
fn no_more_is_handed_out_than_there_is_room_for() {
    let (mut pool, mut wanted, now) = pool(2);
    let requests = pool.assign(now, 11, &mut wanted.scheduler);
    assert_eq!(requests.iter().map(|request| request.asks.len()).sum::<usize>(), 11);
    assert_eq!(pool.items(), 11);
}

#[test]
fn what_one_peer_lacks_is_asked_of_another_and_not_of_the_same() {
    let (mut pool, mut wanted, now) = pool(2);
    let requests = pool.assign(now, 8, &mut wanted.scheduler);
    let [request] = &requests[..] else { panic!("one request") };
    answer(&mut pool, &mut wanted, now, request, &Verdict::Absent);
    let again = pool.assign(now, 0, &mut wanted.scheduler);
    let [again] = &again[..] else { panic!("one request") };
    assert_ne!(again.peer, request.peer);
    assert_eq!(again.asks, request.asks);
    assert_eq!(pool.retries(), 8);
}

#[test]
fn a_lone_peer_is_asked_again_after_a_while_and_not_for_ever() {
    let (mut pool, mut wanted, mut now) = pool(1);
    let mut waits = Vec::new();
    let mut request = pool.assign(now, 1, &mut wanted.scheduler).remove(0);
    loop {
        answer(&mut pool, &mut wanted, now, &request, &Verdict::Absent);
        if let Some(lost) = pool.unavailable(now) {
            assert_eq!(lost.item, request.asks[0].item);
            assert_eq!(lost.answers, [(0, "absent", Duration::ZERO)]);
            break;
        }
        assert!(pool.assign(now, 0, &mut wanted.scheduler).is_empty(), "it is not asked at once");
        let wake = pool.wake_at(now).unwrap();
        waits.push(wake - now);
        now = wake;
        request = pool.assign(now, 0, &mut wanted.scheduler).remove(0);
    }
    assert_eq!(waits, [ms(100), ms(200), ms(400)]);
}

#[test]
fn one_empty_answer_of_a_lone_peer_does_not_end_the_sync() {
    let (mut pool, mut wanted, now) = pool(1);
    let request = pool.assign(now, 4, &mut wanted.scheduler).remove(0);
    answer(&mut pool, &mut wanted, now, &request, &Verdict::Absent);
    let now = pool.wake_at(now).unwrap();
    let again = pool.assign(now, 0, &mut wanted.scheduler).remove(0);
    answer(&mut pool, &mut wanted, now, &again, &Verdict::Found);
    assert_eq!(pool.unavailable(now), None);
    assert_eq!(pool.items(), 0);
}

#[test]
fn an_item_refused_by_all_that_are_left_moves_on_when_the_last_other_goes() {
    let (mut pool, mut wanted, now) = pool(2);
    let request = pool.assign(now, 1, &mut wanted.scheduler).remove(0);
    assert_eq!(request.peer, 0);
    answer(&mut pool, &mut wanted, now, &request, &Verdict::Absent);
    let other = pool.assign(now, 0, &mut wanted.scheduler).remove(0);
    assert_eq!(other.peer, 1);
    answer(&mut pool, &mut wanted, now, &other, &Verdict::Unsupported("gone".into()));
    assert!(pool.assign(now, 0, &mut wanted.scheduler).is_empty());
    let now = pool.wake_at(now).unwrap();
    assert_eq!(pool.assign(now, 0, &mut wanted.scheduler).len(), 1, "the one that refused it is asked again");
}

#[test]
fn a_late_request_gives_its_items_to_others_and_keeps_its_place() {
    let (mut pool, mut wanted, now) = pool(2);
    let requests = pool.assign(now, 16, &mut wanted.scheduler);
    pool.give_up(requests[0].id);
    let again = pool.assign(now, 0, &mut wanted.scheduler);
    let asked: Vec<_> = again.iter().flat_map(|request| request.asks.iter()).collect();
    assert_eq!(asked, requests[0].asks.iter().collect::<Vec<_>>());
    assert_eq!(pool.stats()[0].errors, 1);
    // The late reply comes first after all: it is used, and the other copy is nobody's any more.
    answer(&mut pool, &mut wanted, now, &requests[0], &Verdict::Found);
    assert!(requests[0].asks.iter().all(|ask| !wanted.scheduler.is_fetching(&ask.item.key)));
    for request in &again {
        let sent = pool.take(request.id, None).unwrap();
        let verdicts = vec![Verdict::Absent; sent.asks.len()];
        pool.settle(now, &sent, &verdicts, |key| wanted.scheduler.is_fetching(key));
    }
    assert!(pool.items() <= 8, "nothing that was found is asked for again");
}

#[test]
fn a_stalled_peer_is_not_flooded() {
    let (mut pool, mut wanted, now) = pool(1);
    for request in pool.assign(now, usize::MAX, &mut wanted.scheduler) {
        pool.give_up(request.id);
    }
    assert!(pool.assign(now, usize::MAX, &mut wanted.scheduler).is_empty());
}

#[test]
fn a_wrong_value_counts_against_the_peer_and_is_asked_elsewhere() {
    let (mut pool, mut wanted, now) = pool(2);
    let request = pool.assign(now, 3, &mut wanted.scheduler).remove(0);
    answer(&mut pool, &mut wanted, now, &request, &Verdict::Corrupt);
    assert_eq!(pool.stats()[request.peer].corrupt, 3);
    let again = pool.assign(now, 0, &mut wanted.scheduler).remove(0);
    assert_ne!(again.peer, request.peer);
}

#[test]
fn a_peer_that_mostly_lies_is_dismissed_and_one_that_seldom_errs_is_not() {
    let (mut pool, mut wanted, now) = pool(2);
    let mut requests = pool.assign(now, usize::MAX, &mut wanted.scheduler);
    requests.retain(|request| request.peer == 0);
    answer(&mut pool, &mut wanted, now, &requests[0], &Verdict::Corrupt);
    assert_eq!(pool.dismissed().count(), 0);
    answer(&mut pool, &mut wanted, now, &requests[1], &Verdict::Corrupt);
    assert_eq!(pool.dismissed().map(|(peer, _)| peer).collect::<Vec<_>>(), [0]);
}

#[test]
fn a_reply_too_large_halves_the_batch_and_good_ones_grow_it_back() {
    let (mut pool, mut wanted, now) = pool(1);
    let requests = pool.assign(now, 8, &mut wanted.scheduler);
    answer(&mut pool, &mut wanted, now, &requests[0], &Verdict::Shrink);
    let halves = pool.assign(now, 0, &mut wanted.scheduler);
    assert_eq!(halves.iter().map(|request| request.asks.len()).collect::<Vec<_>>(), [4, 4]);
    for half in &halves {
        answer(&mut pool, &mut wanted, now, half, &Verdict::Found);
    }
    let larger = pool.assign(now, usize::MAX, &mut wanted.scheduler);
    assert!(larger[0].asks.len() > 4);
}

#[test]
fn an_item_too_large_on_its_own_is_refused_and_not_asked_for_ever() {
    let (mut pool, mut wanted, mut now) = pool(1);
    let mut requests = pool.assign(now, 1, &mut wanted.scheduler);
    for _ in 0..20 {
        for request in &requests {
            answer(&mut pool, &mut wanted, now, request, &Verdict::Shrink);
        }
        if pool.unavailable(now).is_some() {
            return;
        }
        now = pool.wake_at(now).unwrap_or(now);
        requests = pool.assign(now, 0, &mut wanted.scheduler);
    }
    panic!("the item is asked for over and over");
}

#[test]
fn a_peer_that_asks_for_a_rest_gets_it() {
    let (mut pool, mut wanted, now) = pool(1);
    let request = pool.assign(now, 8, &mut wanted.scheduler).remove(0);
    answer(&mut pool, &mut wanted, now, &request, &Verdict::RateLimited(Some(Duration::from_secs(7))));
    assert!(pool.assign(now + ms(6_999), usize::MAX, &mut wanted.scheduler).is_empty());
    assert_eq!(pool.wake_at(now), Some(now + Duration::from_secs(7)));
    assert!(!pool.assign(now + Duration::from_secs(7), usize::MAX, &mut wanted.scheduler).is_empty());
}

#[test]
fn a_failing_peer_rests_longer_each_time_and_gets_one_request_at_a_time() {
    let (mut pool, mut wanted, mut now) = pool(1);
    let mut rests = Vec::new();
    let mut requests = pool.assign(now, 8, &mut wanted.scheduler);
    for _ in 0..4 {
        assert_eq!(requests.len(), 1);
        answer(&mut pool, &mut wanted, now, &requests[0], &Verdict::Failed("reset".into()));
        let wake = pool.wake_at(now).unwrap();
        rests.push(wake - now);
        now = wake;
        requests = pool.assign(now, usize::MAX, &mut wanted.scheduler);
    }
    assert_eq!(rests, [ms(100), ms(200), ms(400), ms(800)]);
}

#[test]
fn without_any_useful_peer_the_sync_gives_up_when_patience_ends() {
    let (mut pool, mut wanted, now) = pool(1);
    let request = pool.assign(now, 8, &mut wanted.scheduler).remove(0);
    answer(&mut pool, &mut wanted, now, &request, &Verdict::Failed("connection refused".into()));
    assert_eq!(pool.outage(now + Duration::from_secs(9)), None);
    let outage = pool.outage(now + Duration::from_secs(10)).unwrap();
    assert_eq!(outage.reasons, [(0, "connection refused".to_owned())]);
}

#[test]
fn a_peer_without_the_method_is_dismissed_at_once() {
    let (mut pool, mut wanted, now) = pool(1);
    let request = pool.assign(now, 8, &mut wanted.scheduler).remove(0);
    answer(&mut pool, &mut wanted, now, &request, &Verdict::Refused("no such method".into()));
    assert!(pool.outage(now).is_some());
}

#[test]
fn a_dead_peer_does_not_keep_the_others_word_from_counting() {
    let (mut pool, mut wanted, mut now) = pool(2);
    let mut requests = pool.assign(now, 1, &mut wanted.scheduler);
    for _ in 0..40 {
        for request in requests {
            let verdict = if request.peer == 0 { Verdict::Failed("refused".into()) } else { Verdict::Absent };
            answer(&mut pool, &mut wanted, now, &request, &verdict);
        }
        if pool.unavailable(now).is_some() {
            return;
        }
        now = pool.wake_at(now).unwrap_or(now + ms(1));
        requests = pool.assign(now, 0, &mut wanted.scheduler);
    }
    panic!("the absent item is never given up");
}

#[test]
fn codes_are_asked_by_their_prefix_first_and_by_the_bare_hash_then() {
    let code = b"\x60\x00".to_vec();
    let account = crate::trie::Account {
        nonce: 1,
        balance: 1.into(),
        storage_root: crate::trie::EMPTY_ROOT,
        code_hash: keccak256(&code),
    };
    let mut nodes = Vec::new();
    let mut builder = TrieBuilder::new(|_, hash, rlp: &[u8]| {
        nodes.push((hash, rlp.to_vec()));
        Ok::<_, std::convert::Infallible>(())
    });
    builder.add(H256::repeat_byte(7), &account.encode()).unwrap();
    let root = builder.finish().unwrap();
    let mut scheduler = Scheduler::new(root, usize::MAX);
    let lookup = scheduler.lookups(1).remove(0);
    scheduler.resolve(&lookup.key, false, false);
    let item = scheduler.missing(1).remove(0);
    scheduler.process(Verified::check(item, nodes[0].1.clone(), Origin::Peer).unwrap()).unwrap();
    let lookup = scheduler.lookups(1).remove(0);
    scheduler.resolve(&lookup.key, false, false);

    let now = Instant::now();
    let mut pool = Pool::new(1, limits(), now);
    pool.introduce(0, Dialect::Hash, true);
    let first = pool.assign(now, 1, &mut scheduler).remove(0);
    assert_eq!((first.asks[0].item.key.kind, first.asks[0].bare_code), (Kind::Code, false));
    let sent = pool.take(first.id, None).unwrap();
    pool.settle(now, &sent, &[Verdict::Absent], |key| scheduler.is_fetching(key));
    let second = pool.assign(now, 0, &mut scheduler).remove(0);
    assert!(second.asks[0].bare_code, "at once, by the old key");
}

#[test]
fn a_batch_of_codes_is_smaller_than_one_of_nodes() {
    // Each of 200 accounts has a code of its own.
    let mut nodes = std::collections::HashMap::new();
    let mut builder = TrieBuilder::new(|_, hash, rlp: &[u8]| {
        nodes.insert(hash, rlp.to_vec());
        Ok::<_, std::convert::Infallible>(())
    });
    for byte in 0..200 {
        let code_hash = keccak256(&[byte]);
        let account =
            crate::trie::Account { nonce: 1, balance: 1.into(), storage_root: crate::trie::EMPTY_ROOT, code_hash };
        builder.add(H256::repeat_byte(byte), &account.encode()).unwrap();
    }
    let root = builder.finish().unwrap();
    let mut wanted = Wanted { scheduler: Scheduler::new(root, usize::MAX), nodes };
    for _ in 0..3 {
        wanted.settle_lookups();
        for item in wanted.scheduler.missing(usize::MAX) {
            wanted.deliver(&item);
        }
    }
    wanted.settle_lookups();
    let mut pool = Pool::new(1, PoolLimits { batch_items: 384, ..limits() }, Instant::now());
    pool.introduce(0, Dialect::Hash, true);
    let requests = pool.assign(Instant::now(), usize::MAX, &mut wanted.scheduler);
    assert!(requests.iter().all(|request| request.asks.iter().all(|ask| ask.item.key.kind == Kind::Code)));
    assert!(requests[0].asks.len() < 100, "{} codes in one request", requests[0].asks.len());
}
