//! Presence means completeness: after every write, and so that any loss shows.

use std::collections::BTreeSet;

use super::drive::{Answers, Strategy, sync};
use super::model::Model;
use super::shapes;
use super::source::Source;
use super::states::accounts;
use crate::trie::{Event, Place, Target, Walk};

fn sources() -> impl Iterator<Item = Source> {
    shapes::all().into_iter().chain([Source::new(accounts(96))])
}

#[test]
fn after_every_write_each_node_there_heads_a_complete_subtree() {
    for source in sources() {
        let strategy = Strategy { batch: 8, answers: Answers::ShuffledHalf, ..Strategy::PLAIN };
        let log = sync(&source, strategy, 9).model.log;
        for writes in 0..=log.len() {
            let model = Model::replay(&log[..writes]);
            model.assert_closed(&source);
            model.assert_staged_nodes_wait(&source);
        }
    }
}

/// The targets that a walk over the state finds missing; each thing is visited once.
fn missing(model: &Model, source: &Source) -> Vec<Target> {
    let mut seen = BTreeSet::new();
    let enter = |target: &Target| match target {
        Target::Node(place) => seen.insert((true, place.hash)),
        Target::Code { hash, .. } => seen.insert((false, *hash)),
    };
    let events = Walk::new(model, Place::root(None, source.root), enter).map(|event| event.unwrap());
    let faults = events.filter_map(|event| match event {
        Event::Missing(target) => Some(target),
        Event::Corrupt { target, fault } => panic!("{target:?}: {fault}"),
        Event::Node { .. } | Event::Code { .. } => None,
    });
    faults.collect()
}

#[test]
fn the_loss_of_any_single_node_or_code_shows() {
    for source in sources() {
        let mut model = sync(&source, Strategy::PLAIN, 0).model;
        assert!(missing(&model, &source).is_empty());
        for hash in model.nodes.keys().copied().collect::<Vec<_>>() {
            let lost = model.nodes.remove(&hash).unwrap();
            assert!(matches!(missing(&model, &source)[..], [Target::Node(place)] if place.hash == hash));
            model.nodes.insert(hash, lost);
        }
        for hash in model.codes.keys().copied().collect::<Vec<_>>() {
            let lost = model.codes.remove(&hash).unwrap();
            assert!(matches!(missing(&model, &source)[..], [Target::Code { hash: missing, .. }] if missing == hash));
            model.codes.insert(hash, lost);
        }
    }
}
