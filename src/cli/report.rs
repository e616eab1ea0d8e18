//! Results on standard output.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use crate::peers::{Dialect, Stats};
use crate::pipeline::{Outcome, Report};
use crate::pivot::Trust;
use crate::trie::Scope;
use crate::ui;

/// Prints what a sync did: the contract's fields as JSON, or a summary; and what vouches for the block.
pub(super) fn print(as_json: bool, report: &Report, trust: Option<Trust>) -> Result<Exit, Failure> {
    if as_json { document(&fields(report, trust)) } else { text(&summary(report, trust)) }
}

/// The fields of the contract.
pub(super) fn fields(report: &Report, trust: Option<Trust>) -> Value {
    let counts = &report.counts;
    let peers = report.peers.iter().map(|(url, stats)| {
        json!({
            "url": url,
            "nodes": stats.nodes,
            "requests": stats.requests,
            "errors": stats.errors,
            "corrupt": stats.corrupt,
            "absent": stats.absent,
            "stale": stats.stale,
            "dialect": stats.dialect.map(Dialect::name),
            "latency_ms": stats.latency.map(milliseconds),
        })
    });
    let mut fields = json!({
        "root": format!("{:?}", report.root),
        "block_number": report.block.as_ref().map(|block| block.number),
        "block_hash": report.block.as_ref().map(|block| format!("{:?}", block.hash)),
        "trust": trust.map(|trust| trust.name()),
        "moves": report.moves,
        "complete": report.is_complete(),
        "partial": matches!(report.outcome, Outcome::Partial),
        "accounts": counts.accounts,
        "slots": counts.slots,
        "codes": counts.codes,
        "nodes_fetched": counts.nodes,
        "nodes_reused": counts.nodes_reused,
        "codes_fetched": counts.codes,
        "bytes_downloaded": report.bytes_downloaded,
        "requests": report.requests,
        "retries": report.retries,
        "duration_ms": milliseconds(report.duration),
        "peers": peers.collect::<Vec<_>>(),
    });
    if let Some(scope) = part(report) {
        fields["scope"] = json!(scope);
    }
    fields
}

/// The part of the state that was wanted, where the whole did not come with it.
fn part(report: &Report) -> Option<&Scope> {
    report.scope.part().filter(|_| !report.is_complete())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn summary(report: &Report, trust: Option<Trust>) -> String {
    let counts = &report.counts;
    let state = match report.outcome {
        Outcome::Complete => "complete, every node and code verified".to_owned(),
        Outcome::Partial => "partial, every node and code of this part verified".to_owned(),
        _ if report.scope.is_whole() => format!("incomplete, {} of the key space", ui::percent(report.share)),
        _ => format!("incomplete, {} of this part", ui::percent(report.share)),
    };
    let mut lines = vec![format!("state     {:?}", report.root)];
    lines.extend(part(report).map(|scope| format!("part      {scope}")));
    if let Some(block) = &report.block {
        lines.push(format!("block     {} {:?}", block.number, block.hash));
    }
    if let Some(trust) = trust {
        lines.push(format!("trust     {trust}"));
    }
    if report.moves > 0 {
        lines.push(format!("moved     {} times to a newer block", report.moves));
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
        lines.push(format!("peer      {url}: {}", figures(stats)));
    }
    lines.join("\n")
}

/// What a peer did, in one line.
fn figures(stats: &Stats) -> String {
    let dialect = stats.dialect.map_or("unknown dialect", Dialect::name);
    let latency = stats.latency.map(|latency| format!(", {} ms a request", milliseconds(latency))).unwrap_or_default();
    let mut figures = format!(
        "{dialect}, {} delivered in {} requests{latency}, {} errors",
        ui::count(stats.nodes),
        ui::count(stats.requests),
        ui::count(stats.errors)
    );
    for (count, what) in [(stats.absent, "absent"), (stats.stale, "of another version"), (stats.corrupt, "corrupt")] {
        if count > 0 {
            figures = format!("{figures}, {} {what}", ui::count(count));
        }
    }
    figures
}

/// Prints one JSON document.
pub(super) fn document(value: &Value) -> Result<Exit, Failure> {
    text(&value.to_string())
}

/// Prints text. A reader that went away is no failure.
pub(super) fn text(text: &str) -> Result<Exit, Failure> {
    wrote(writeln!(std::io::stdout(), "{text}"))?;
    Ok(Exit::Complete)
}

/// Whether a result has been written and not lost with a reader that went away, which is no failure.
pub(super) fn wrote(written: std::io::Result<()>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(Exit::Failure, format!("cannot write the result: {error}"))),
    }
}
