//! Whole syncs in a simulation: the core that runs them for real, among peers, a store and crashes that a seed decides.
//!
//! After every write and every crash the store is compared with states that another trie implementation has built. The
//! same seed gives the same log, byte for byte. `scripts/sim` runs as many as you like and replays one.

mod check;
mod peer;
mod rng;
mod run;
mod store;
mod world;

use std::time::Instant;

use rayon::prelude::*;

use self::run::run;

/// Seeds that are part of the test suite: some seconds.
const SUITE_SEEDS: u64 = 400;

/// How often a run is made twice, to compare the logs.
const TWICE: u64 = 16;

#[test]
fn no_seed_breaks_a_promise() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("STATESYNC_SIM_REPLAY") {
        match run(seed) {
            Ok(ran) => println!("{}", ran.log),
            Err(violation) => panic!("seed {seed}: {violation}"),
        }
        return;
    }
    let (first, seeds) =
        (number("STATESYNC_SIM_FROM").unwrap_or(0), number("STATESYNC_SIM_SEEDS").unwrap_or(SUITE_SEEDS));
    let started = Instant::now();
    let sums = (first..first + seeds).into_par_iter().map(|seed| {
        let ran = std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|_| Err("it panicked".into()));
        let ran = ran.unwrap_or_else(|violation| panic!("replay with scripts/sim --replay {seed}: {violation}"));
        if seed % TWICE == 0 {
            assert_eq!(run(seed).unwrap().log, ran.log, "seed {seed} gives another log the second time");
        }
        (u64::from(ran.crashes), u64::from(ran.commits), ran.log.lines().count() as u64)
    });
    let (crashes, commits, lines) = sums.reduce(|| (0, 0, 0), |one, two| (one.0 + two.0, one.1 + two.1, one.2 + two.2));
    println!(
        "{seeds} seeds from {first}: {crashes} crashes, {commits} commits, {lines} events, no violation, {:.1} s",
        started.elapsed().as_secs_f64()
    );
}
