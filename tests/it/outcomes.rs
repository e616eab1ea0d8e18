//! The table of what nodes and providers say when they do not answer, each row in its own bytes over a socket.

use std::time::Duration;

use statesync::pipeline::{Report, SyncOptions};
use tempfile::TempDir;

use crate::support::{Answer, Peer, Request, SMALL, Seed, in_memory, items, open, options, state, sync, verified};

/// What a row has to lead to.
#[derive(Clone, Copy, Debug)]
enum Leads {
    /// The rest of the batch is asked again in smaller ones; it was not the peer's fault.
    SmallerBatches,
    /// The peer gets a rest of at least so many milliseconds.
    Rest(u64),
    /// It is asked again; the failure is counted.
    AnotherTry,
}

use Leads::{AnotherTry, Rest, SmallerBatches};

/// Who says it, with which status and `Retry-After`, in which words, and what follows.
type Row = (&'static str, u16, Option<&'static str>, &'static str, Leads);

/// Rows for a whole reply.
const ROWS: [Row; 26] = [
    (
        "geth, batch",
        200,
        None,
        r#"[{"jsonrpc":"2.0","id":0,"error":{"code":-32600,"message":"batch too large"}}]"#,
        SmallerBatches,
    ),
    (
        "Erigon, batch",
        200,
        None,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch limit 100 exceeded (can increase by --rpc.batch.limit). Requested batch of size: 384"}}"#,
        SmallerBatches,
    ),
    (
        "Besu, batch",
        200,
        None,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"Number of requests exceeds max batch size"}}"#,
        SmallerBatches,
    ),
    (
        "Nethermind, batch",
        503,
        None,
        r#"{"jsonrpc":"2.0","error":{"code":-32005,"message":"Batch size limit exceeded"},"id":null}"#,
        SmallerBatches,
    ),
    (
        "reth, request",
        200,
        None,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32010,"message":"The batch request was too large","data":"Exceeded max limit of 100"}}"#,
        SmallerBatches,
    ),
    (
        "reth, response",
        200,
        None,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32011,"message":"The batch response was too large","data":"Exceeded max limit of 167772160"}}"#,
        SmallerBatches,
    ),
    (
        "reth, one response",
        200,
        None,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32008,"message":"Response is too big"}}"#,
        SmallerBatches,
    ),
    (
        "anvil, body",
        200,
        None,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid request"}}"#,
        SmallerBatches,
    ),
    ("geth, body", 413, None, "content length too large (6000000>5242880)", SmallerBatches),
    ("nginx, body", 413, None, "<html><head><title>413 Request Entity Too Large</title></head></html>", SmallerBatches),
    ("any, rate", 429, Some("1"), "slow down", Rest(1_000)),
    ("any, rate without a wait", 429, None, "Too Many Requests", Rest(1_000)),
    ("any, overload", 503, Some("1"), "Service Unavailable", Rest(1_000)),
    (
        "Alchemy, rate",
        200,
        None,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":429,"message":"Your app has exceeded its compute units per second capacity. Try again in 700ms"}}"#,
        Rest(700),
    ),
    (
        "Infura, rate",
        200,
        None,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"project ID request rate exceeded","data":{"rate":{"backoff_seconds":0.6}}}}"#,
        Rest(600),
    ),
    (
        "QuickNode, rate",
        200,
        None,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32007,"message":"50/second request limit reached - reduce calls per second or upgrade your account"}}"#,
        Rest(1_000),
    ),
    (
        "QuickNode, credits",
        200,
        None,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32012,"message":"credits limited to 50/sec"}}"#,
        Rest(1_000),
    ),
    (
        "a gateway, rate",
        200,
        None,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32016,"message":"over rate limit"}}"#,
        Rest(1_000),
    ),
    (
        "Erigon, overload",
        503,
        None,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"server overloaded"}}"#,
        Rest(1_000),
    ),
    (
        "a gateway, rate in words only",
        200,
        None,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"too many requests, slow down"}}"#,
        Rest(1_000),
    ),
    ("a proxy's page", 200, None, "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>", AnotherTry),
    ("a proxy, upstream", 502, None, "<html><head><title>502 Bad Gateway</title></head></html>", AnotherTry),
    ("a proxy, time", 504, None, "", AnotherTry),
    (
        "any, internal",
        200,
        None,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"Internal error"}}"#,
        AnotherTry,
    ),
    ("nothing at all", 200, None, "", AnotherTry),
    ("an empty batch", 200, None, "[]", AnotherTry),
];

/// Syncs from a peer that answers some requests as it does.
fn syncs(seed: &Seed, behaviour: impl Fn(&Request<'_>) -> Answer + Send + Sync + 'static) -> (Report, Duration) {
    let (memory, [summary]) = in_memory([&state(seed.0, SMALL)]);
    let peer = Peer::new(&memory, behaviour);
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let report = sync(&store, &[peer.url()], SyncOptions { ..options(summary.root) });
    assert!(report.is_complete(), "{:?}", report.outcome);
    assert_eq!(verified(&store, summary.root).nodes, summary.nodes);
    assert_eq!(report.counts.nodes + report.counts.codes, items(&memory), "everything came once");
    let counts = peer.counts();
    let gap = counts.arrivals.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap_or_default();
    (report, gap)
}

#[test]
fn every_row_of_the_table_leads_to_its_consequence() {
    let seed = Seed::or(100);
    for (who, status, retry_after, body, leads) in ROWS {
        let (report, gap) = syncs(&seed, move |request| {
            let refused = match leads {
                // As long as the batch is over-long.
                SmallerBatches => request.calls.len() > 24,
                Rest(_) | AnotherTry => request.number == 1,
            };
            if refused { Answer::status(status, retry_after, body) } else { request.honest() }
        });
        let stats = report.peers[0].1;
        assert!(report.retries > 0 && stats.corrupt == 0, "{who}: {stats:?}");
        match leads {
            SmallerBatches => assert_eq!(stats.errors, 0, "{who}: {stats:?}"),
            AnotherTry => assert_eq!(stats.errors, 1, "{who}: {stats:?}"),
            Rest(wait) => {
                assert_eq!(stats.errors, 1, "{who}: {stats:?}");
                assert!(gap >= Duration::from_millis(wait), "{who}: a rest of {gap:?}");
            }
        }
    }
}

#[test]
fn a_peer_that_refuses_for_good_is_left_and_says_why() {
    let seed = Seed::or(101);
    let (memory, [summary]) = in_memory([&state(seed.0, SMALL)]);
    for (status, body) in [
        (401, "missing token"),
        (402, r#"{"code":402,"event":-33000,"message":"daily request count exceeded, request rate limited"}"#),
        (403, "invalid host specified"),
        (
            200,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"the method debug_dbGet does not exist/is not available"}}"#,
        ),
    ] {
        let refusing = Peer::new(&memory, move |_| Answer::status(status, None, body));
        let dir = TempDir::new().unwrap();
        let report = sync(&open(dir.path()), &[refusing.url()], options(summary.root));
        assert_eq!(report.requests, 1, "{body}");
        let said = format!("{:?}", report.outcome);
        let words = body.split('"').max_by_key(|part| part.len()).unwrap();
        assert!(said.contains("NoPeers") && said.contains(words), "{said}");
    }
}
