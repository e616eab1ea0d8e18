//! Results on standard output.

use std::io::Write;

use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use crate::pipeline::{Outcome, Report};
use crate::ui;

/// Prints what a sync did: the contract's fields as JSON, or a summary.
pub(super) fn print(as_json: bool, report: &Report) -> Result<Exit, Failure> {
    if as_json { document(&fields(report)) } else { text(&summary(report)) }
}

/// The fields of the contract.
pub(super) fn fields(report: &Report) -> Value {
    let counts = &report.counts;
    let peers = report.peers.iter().map(|(url, stats)| {
        json!({
            "url": url,
            "nodes": stats.nodes,
            "requests": stats.requests,
            "errors": stats.errors,
            "corrupt": stats.corrupt,
        })
    });
    json!({
        "root": format!("{:?}", report.root),
        "block_number": report.block.as_ref().map(|block| block.number),
        "block_hash": report.block.as_ref().map(|block| format!("{:?}", block.hash)),
        "complete": report.is_complete(),
        "accounts": counts.accounts,
        "slots": counts.slots,
        "codes": counts.codes,
        "nodes_fetched": counts.nodes,
        "nodes_reused": counts.nodes_reused,
        "codes_fetched": counts.codes,
        "bytes_downloaded": report.bytes_downloaded,
        "requests": report.requests,
        "retries": report.retries,
        "duration_ms": u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
        "peers": peers.collect::<Vec<_>>(),
    })
}

fn summary(report: &Report) -> String {
    let counts = &report.counts;
    let state = match report.outcome {
        Outcome::Complete => "complete, every node and code verified".to_owned(),
        _ => format!("incomplete, {} of the key space", ui::percent(report.share)),
    };
    let mut lines = vec![format!("state     {:?}", report.root)];
    if let Some(block) = &report.block {
        lines.push(format!("block     {} {:?}", block.number, block.hash));
    }
    lines.push(format!("result    {state}"));
    lines.push(format!(
        "added     {} accounts, {} slots, {} codes",
        ui::count(counts.accounts),
        ui::count(counts.slots),
        ui::count(counts.codes)
    ));
    lines.push(format!(
        "nodes     {} fetched, {} taken from an earlier run, walk stopped at {} present subtrees",
        ui::count(counts.nodes),
        ui::count(counts.nodes_staged),
        ui::count(counts.nodes_reused)
    ));
    lines.push(format!(
        "network   {} in {} requests, {} items asked again, {}",
        ui::bytes(report.bytes_downloaded),
        ui::count(report.requests),
        ui::count(report.retries),
        ui::time(report.duration)
    ));
    for (url, stats) in &report.peers {
        lines.push(format!(
            "peer      {url}: {} delivered, {} requests, {} errors, {} corrupt",
            ui::count(stats.nodes),
            ui::count(stats.requests),
            ui::count(stats.errors),
            ui::count(stats.corrupt)
        ));
    }
    lines.join("\n")
}

/// Prints one JSON document.
pub(super) fn document(value: &Value) -> Result<Exit, Failure> {
    text(&value.to_string())
}

/// Prints text. A reader that went away is no failure.
pub(super) fn text(text: &str) -> Result<Exit, Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failure, format!("cannot write the result: {error}")))
        }
        _ => Ok(Exit::Complete),
    }
}
