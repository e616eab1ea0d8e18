//! Pruning with partial states among those that stay.

use std::collections::HashSet;

use primitive_types::H256;
use tempfile::TempDir;

use super::{World, address_and_key};
use crate::support::{Content, Peer, SMALL, Seed, in_memory, state, statesync, successor};

fn hashes(content: &Content) -> HashSet<H256> {
    content.hashes().into_iter().map(|(_, hash)| hash).collect()
}

/// A partial state and a later whole one that shares most of its nodes, in one store; and what the part has, and what the
/// whole has.
fn beside_a_whole_one(seed: u64) -> (World, String, [HashSet<H256>; 2]) {
    let seed = Seed::or(seed);
    let genesis = state(seed.0, SMALL);
    let later = successor(&genesis, seed.0 + 1, 40, SMALL);
    let (memory, [summary, whole]) = in_memory([&genesis, &later]);
    let (peer, dir) = (Peer::honest(&memory), TempDir::new().unwrap());
    let world = World { genesis, memory, summary, peer, dir, _seed: seed };
    let root = format!("{:?}", whole.root);
    statesync(["sync", "-r", &world.peer.url(), "--root", &root, "--datadir", world.path(), "--no-progress"]).exits(0);
    let (_, key) = address_and_key(world.contracts().next().unwrap());
    world.sync(&["--account", &key]);
    let (later, _) = in_memory([&later]);
    let all = later.nodes().keys().chain(later.codes().keys()).copied().collect();
    let part = world.part(&[&key]);
    (world, root, [part, all])
}

#[test]
fn of_a_partial_state_that_stays_alone_its_part_and_the_way_to_it_stay() {
    let (world, _, [part, _]) = beside_a_whole_one(480);
    let before = Content::read(world.dir.path());
    assert!(before.rows() > 2 * part.len() as u64);
    for _again in 0..2 {
        let done = world.run(&["prune", "--keep", &world.root(), "--json"]).exits(0).json();
        let content = Content::read(world.dir.path());
        assert_eq!(hashes(&content), part);
        assert!(content.staged.contains_key(&world.summary.root), "the root is not complete");
        assert_eq!(done["nodes_kept"], content.nodes.len());
        assert_eq!(done["staged_removed"], 0);
    }
    let contract = world.contracts().next().unwrap();
    let account = world.run(&["get", "account", &address_and_key(contract).0, "--json"]).exits(0).json();
    assert_eq!(account["balance"], contract.balance.to_string());
    let verified = world.run(&["verify", "--root", &world.root(), "--json"]).exits(0).json();
    assert_eq!((&verified["ok"], &verified["partial"]), (&true.into(), &true.into()));

    // It grows to the whole as it would have before.
    let report = world.sync(&[]);
    assert_eq!(report["complete"], true);
    world.run(&["verify", "--root", &world.root()]).exits(0);
}

#[test]
fn a_partial_and_a_whole_state_stay_side_by_side() {
    let (world, whole, [part, all]) = beside_a_whole_one(481);
    world.run(&["prune", "--keep", &whole, &world.root()]).exits(0);
    assert_eq!(hashes(&Content::read(world.dir.path())), &part | &all);
    world.run(&["verify", "--root", &whole]).exits(0);
    world.run(&["verify", "--root", &world.root()]).exits(0);

    world.run(&["prune", "--keep", &whole]).exits(0);
    let content = Content::read(world.dir.path());
    assert_eq!((hashes(&content), content.staged.len()), (all, 0));
}
