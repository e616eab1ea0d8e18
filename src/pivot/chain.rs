//! Headers that link a block to one that the user trusts.

use primitive_types::H256;

use super::PivotError;
use crate::peers::{BlockId, HEADERS_AT_ONCE, Header, Peer, header, headers};

/// The longest chain of headers that is fetched: a good two days of mainnet, and some 20 MB.
const LINKS_MAX: u64 = 16_384;

/// Checks that `pivot` is the trusted block, an ancestor of it, or a descendant: every header between hashes to what the
/// one above it names as its parent.
pub(super) async fn link(pivot: &Header, trusted: H256, peers: &[Peer]) -> Result<(), PivotError> {
    let untrusted = |why: String| PivotError::Untrusted { number: pivot.number, hash: pivot.hash, trusted, why };
    if pivot.rlp.is_none() {
        return Err(untrusted("no peer gives its raw header".into()));
    }
    if pivot.hash == trusted {
        return Ok(());
    }
    let mut why = "no peer to ask".to_owned();
    for peer in peers {
        match chain_from(peer, pivot, trusted).await {
            Ok(()) => return Ok(()),
            Err(reason) => why = format!("{}: {reason}", peer.client.url()),
        }
    }
    Err(untrusted(why))
}

async fn chain_from(peer: &Peer, pivot: &Header, trusted: H256) -> Result<(), String> {
    let trusted = header(&peer.client, &BlockId::Hash(trusted)).await?;
    if trusted.rlp.is_none() {
        return Err("it does not give raw headers".into());
    }
    let (upper, lower) = if trusted.number > pivot.number { (&trusted, pivot) } else { (pivot, &trusted) };
    if upper.number - lower.number > LINKS_MAX {
        return Err(format!("they are {} blocks apart; {LINKS_MAX} are looked at", upper.number - lower.number));
    }
    let (mut wanted, mut at) = (upper.parent, upper.number);
    while at > lower.number + 1 {
        let first = at.saturating_sub(HEADERS_AT_ONCE).max(lower.number + 1);
        let ids: Vec<BlockId> = (first..at).rev().map(BlockId::Number).collect();
        for header in headers(&peer.client, &ids).await.map_err(|error| error.to_string())? {
            let header = header?;
            if header.rlp.is_none() || header.hash != wanted {
                return Err(format!("the chain breaks below block {}", header.number + 1));
            }
            wanted = header.parent;
        }
        at = first;
    }
    if wanted == lower.hash { Ok(()) } else { Err("they are on different branches of the chain".into()) }
}
