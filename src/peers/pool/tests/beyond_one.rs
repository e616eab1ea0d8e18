//! Dialects, paces, and what peers take over from each other.

use super::*;

#[test]
fn a_peer_is_not_asked_before_it_has_said_what_it_is() {
    let now = Instant::now();
    let (mut pool, mut wanted) = (Pool::new(1, limits(), now), Wanted::new());
    assert!(pool.assign(now, usize::MAX, &mut wanted.scheduler).is_empty());
    assert_eq!(pool.to_probe(now), [0]);
    assert!(pool.to_probe(now).is_empty(), "it is being asked");
    pool.probe_failed(now, 0, "refused".into());
    assert!(pool.to_probe(now).is_empty());
    let now = pool.wake_at(now).unwrap();
    assert_eq!(pool.to_probe(now), [0], "again after a rest");
    pool.introduce(0, Dialect::Path, false);
    let requests = pool.assign(now, 8, &mut wanted.scheduler);
    assert_eq!(requests[0].dialect, Dialect::Path);
}

#[test]
fn a_peer_that_was_away_is_asked_anew_what_it_is() {
    let now = Instant::now();
    let (mut pool, mut wanted, mut now) = (Pool::new(1, limits(), now), Wanted::new(), now);
    pool.introduce(0, Dialect::Hash, false);
    for _ in 0..3 {
        let request = pool.assign(now, 8, &mut wanted.scheduler).remove(0);
        answer(&mut pool, &mut wanted, now, &request, &Verdict::Failed("refused".into()));
        now = pool.wake_at(now).unwrap();
    }
    assert!(pool.assign(now, 8, &mut wanted.scheduler).is_empty());
    assert_eq!(pool.to_probe(now), [0]);
}

#[test]
fn another_version_is_nobodys_fault_and_is_asked_elsewhere() {
    let (mut pool, mut wanted, now) = pool(2);
    pool.introduce(0, Dialect::Path, true);
    let requests = pool.assign(now, usize::MAX, &mut wanted.scheduler);
    let stale: Vec<_> = requests.iter().filter(|request| request.peer == 0).collect();
    for request in &stale {
        answer(&mut pool, &mut wanted, now, request, &Verdict::Stale);
    }
    assert_eq!((pool.stats()[0].stale, pool.stats()[0].corrupt), (16, 0));
    assert_eq!(pool.dismissed().count(), 0);
    let other = requests.iter().find(|request| request.peer == 1).unwrap();
    answer(&mut pool, &mut wanted, now, other, &Verdict::Found);
    let again = pool.assign(now, 0, &mut wanted.scheduler);
    assert!(again.iter().all(|request| request.peer == 1) && !again.is_empty());
}

#[test]
fn a_peer_of_codes_gets_codes_only() {
    let (mut pool, mut wanted, now) = pool(1);
    pool.introduce(0, Dialect::Codes, true);
    assert!(pool.assign(now, usize::MAX, &mut wanted.scheduler).is_empty(), "nodes are wanted, no codes");
    let outage = pool.outage(now).unwrap();
    assert_eq!(outage.reasons, [(0, "it serves codes only".to_owned())]);
}

#[test]
fn what_a_slow_peer_was_asked_last_is_asked_of_an_idle_one() {
    let (mut pool, mut wanted, now) = pool(2);
    let requests = pool.assign(now, usize::MAX, &mut wanted.scheduler);
    let (fast, slow): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.peer == 1);
    // Until nothing is left but what the slow one holds.
    let mut todo: Vec<Dispatch> = fast.into_iter().cloned().collect();
    let mut now = now + ms(10);
    while let Some(request) = todo.pop() {
        answer(&mut pool, &mut wanted, now, &request, &Verdict::Found);
        wanted.settle_lookups();
        todo.extend(pool.assign(now, usize::MAX, &mut wanted.scheduler));
    }
    now = pool.wake_at(now).unwrap();
    let hedges = pool.assign(now, usize::MAX, &mut wanted.scheduler);
    let [hedge] = &hedges[..] else { panic!("one at a time: {}", hedges.len()) };
    assert_eq!((hedge.peer, &hedge.asks), (1, &slow[0].asks));
    assert_eq!(pool.in_time(), slow.len(), "nothing waits for the copy");
    answer(&mut pool, &mut wanted, now, hedge, &Verdict::Found);
    // The slow one's own answer comes too late to matter, whatever it is.
    answer(&mut pool, &mut wanted, now, slow[0], &Verdict::Absent);
    assert!(slow[0].asks.iter().all(|ask| !wanted.scheduler.is_fetching(&ask.item.key)));
    assert_eq!(pool.unavailable(now), None);
}

#[test]
fn a_state_that_everyone_has_pruned_shows() {
    let (mut pool, mut wanted, mut now) = pool(2);
    let start = now;
    while now < start + Duration::from_secs(2) {
        for request in pool.assign(now, 32, &mut wanted.scheduler) {
            answer(&mut pool, &mut wanted, now, &request, &Verdict::Absent);
        }
        now += ms(50);
    }
    assert_eq!(pool.pruned(now), Some(1.0));
    pool.forget_retries();
    assert_eq!(pool.pruned(now), None, "that was the other root's");
}

#[test]
fn a_limit_on_requests_a_second_is_kept() {
    let now = Instant::now();
    let limits = PoolLimits { requests_per_second: Some(10.0), ..limits() };
    let (mut pool, mut wanted) = (Pool::new(1, limits, now), Wanted::new());
    pool.introduce(0, Dialect::Hash, true);
    let mut sent = 0;
    for step in 0..100 {
        let now = now + ms(10) * step;
        for request in pool.assign(now, 1, &mut wanted.scheduler) {
            sent += 1;
            answer(&mut pool, &mut wanted, now, &request, &Verdict::Found);
            wanted.settle_lookups();
        }
    }
    assert_eq!(sent, 10);
}

#[test]
fn only_beside_others_is_a_peer_late_by_its_own_measure() {
    for (peers, is_late) in [(1, false), (2, true)] {
        let (mut pool, mut wanted, now) = pool(peers);
        let first = pool.assign(now, 8, &mut wanted.scheduler).remove(0);
        answer(&mut pool, &mut wanted, now, &first, &Verdict::Found);
        wanted.settle_lookups();
        let requests = pool.assign(now, usize::MAX, &mut wanted.scheduler);
        let again = requests.iter().find(|request| request.peer == first.peer).unwrap();
        assert_eq!(again.late_after.is_some(), is_late);
    }
}
