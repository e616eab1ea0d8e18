//! A survey as JSON.

use std::time::Duration;

use primitive_types::H256;
use serde_json::{Value, json};

use crate::peers::{Dialect, Header};
use crate::survey::{Agreement, PeerSurvey, Rate, Survey};

/// The document.
pub(super) fn of(survey: &Survey) -> Value {
    json!({
        "peers": survey.peers.iter().map(peer).collect::<Vec<_>>(),
        "agree": survey.agreement.as_ref().map(Agreement::holds),
    })
}

fn peer(peer: &PeerSurvey) -> Value {
    let about = peer.about.as_ref();
    let chain = about.map(|about| about.chain).unwrap_or_default();
    let head = about.and_then(|about| about.head.as_ref());
    let roots = peer.states.named.iter().map(|state| {
        let block = state.block.as_ref();
        json!({
            "name": state.name,
            "block_number": block.map(|block| block.number),
            "block_hash": block.map(|block| hash(&block.hash)),
            "root": block.map(|block| hash(&block.state_root)),
            "served": state.served,
        })
    });
    let disk = peer.states.disk.as_ref().map(|disk| {
        json!({
            "root": hash(&disk.root),
            "state_id": disk.id,
            "block_number": disk.block.as_ref().map(|block| block.number),
            "blocks_behind": disk.behind,
        })
    });
    let batch = peer.batch.as_ref();
    let speed = peer.speed.as_ref().map(|speed| {
        json!({
            "one_at_a_time": rate(&speed.one_at_a_time),
            "side_by_side": speed.side_by_side.as_ref().map(rate),
            "requests_at_once": speed.requests_at_once,
        })
    });
    let rate_limit = peer.rate_limit.map(
        |limit| json!({ "times": limit.times, "wait_ms": limit.wait.map(milliseconds), "cut_short": limit.cut_short }),
    );
    json!({
        "url": peer.url.to_string(),
        "transport": peer.url.transport(),
        "verdict": peer.usability.name(),
        "reason": peer.usability.reason(),
        "client": about.and_then(|about| about.client.as_ref()),
        "chain_id": chain.id,
        "genesis_hash": chain.genesis.as_ref().map(hash),
        "dialect": peer.dialect.map(Dialect::name),
        "head_number": head.map(|head| head.number),
        "head_hash": head.map(|head| hash(&head.hash)),
        "syncing": peer.syncing,
        "latency_ms": peer.latency.map(milliseconds),
        "roots": roots.collect::<Vec<_>>(),
        "disk": disk,
        "kept": peer.states.kept.as_ref().map(kept),
        "batch": batch.map(|batch| json!({ "asked": batch.asked, "accepted": batch.accepted, "refused": batch.refused })),
        "speed": speed,
        "rate_limit": rate_limit,
        "corrupt": peer.tally.corrupt,
        "notes": peer.notes,
    })
}

fn kept(block: &Header) -> Value {
    json!({
        "block_number": block.number,
        "block_hash": hash(&block.hash),
        "root": hash(&block.state_root),
    })
}

fn rate(rate: &Rate) -> Value {
    json!({
        "items_per_second": rate.items_per_second.round(),
        "bytes_per_second": rate.bytes_per_second.round(),
        "items": rate.items,
    })
}

fn hash(hash: &H256) -> String {
    format!("{hash:?}")
}

/// To the microsecond: a peer on this machine answers within a millisecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
