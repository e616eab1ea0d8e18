//! From a wish to a pivot.

use futures_util::future::join_all;

use super::agree::{common_number, most_named, needed};
use super::{Instead, Pivot, PivotError, Trust, Wish, chain, root};
use crate::peers::{BlockId, CallError, Dialect, Header, Peer, header};

/// A header, and how many of the peers that answered agree on it.
#[derive(Debug)]
struct Agreed {
    header: Header,
    agree: usize,
    of: usize,
}

/// Asks the peers for the block's header, and where it is one that moves, whether anyone can serve its state: if not, the
/// pivot is the newest one before it that somebody can.
///
/// The header comes raw where a peer offers `debug_getRawHeader`: then number, hash and root are what its RLP says for
/// any fork, and a block given by hash is proved by it. Otherwise they are the peers' word.
///
/// # Errors
/// [`PivotError`] when no peer knows the block, when they disagree, or when it is not linked to the trusted one.
pub async fn resolve(wish: &Wish, peers: &[Peer]) -> Result<Pivot, PivotError> {
    let agreed = agree(wish, wish.block, peers).await?;
    let (agreed, instead) = match wish.block {
        // Before the first block there is none to take instead.
        block if block.moves() => servable(wish, agreed, peers).await?,
        _ => (Ok(agreed), None),
    };
    match agreed {
        Ok(agreed) => {
            let trust = trust(wish, &agreed, peers).await?;
            Ok(Pivot { root: agreed.header.state_root, block: Some(agreed.header.into()), trust, instead })
        }
        Err(root) => match wish.trusted {
            None => Ok(Pivot { root, block: None, trust: Trust::Word, instead }),
            Some(trusted) => {
                let why = format!("the state {root:?} that the peer has on disk belongs to no block that it names");
                Err(PivotError::Untrusted { number: 0, hash: primitive_types::H256::zero(), trusted, why })
            }
        },
    }
}

/// The header that enough peers agree on.
async fn agree(wish: &Wish, block: BlockId, peers: &[Peer]) -> Result<Agreed, PivotError> {
    let answers = join_all(peers.iter().map(|peer| header(&peer.client, &block))).await;
    let mut said: Vec<(usize, Header)> = Vec::new();
    let mut reasons = Vec::new();
    for (place, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(header) => said.push((place, header)),
            Err(why) => reasons.push(format!("{}: {why}", url(peers, place))),
        }
    }
    let of = said.len();
    if of == 0 {
        return Err(PivotError::Unknown { block, reasons: reasons.join("; ") });
    }
    let needed = needed(wish.quorum, of);
    if matches!(block, BlockId::Tag(_)) {
        said = at_one_height(said, needed, peers).await;
    }
    let headers: Vec<Header> = said.iter().map(|(_, header)| header.clone()).collect();
    match most_named(&headers) {
        Some((header, agree)) if agree >= needed => Ok(Agreed { header, agree, of }),
        _ => {
            let said = said.iter().map(|(place, header)| {
                format!(
                    "{} says {} {:?} with state {:?}",
                    url(peers, *place),
                    header.number,
                    header.hash,
                    header.state_root
                )
            });
            let said = said.chain(reasons).collect::<Vec<_>>().join("; ");
            Err(PivotError::Disagreement { block, said, needed })
        }
    }
}

/// Peers are not at the same block at any moment: the highest that enough of them have reached is asked of those that
/// are ahead.
async fn at_one_height(said: Vec<(usize, Header)>, needed: usize, peers: &[Peer]) -> Vec<(usize, Header)> {
    let numbers = said.iter().map(|(_, header)| header.number).collect();
    let Some(number) = common_number(numbers, needed) else { return said };
    let reached = said.into_iter().filter(|(_, header)| header.number >= number);
    let headers = reached.map(|(place, known)| async move {
        if known.number == number {
            return Some((place, known));
        }
        let peer = peers.get(place)?;
        Some((place, header(&peer.client, &BlockId::Number(number)).await.ok()?))
    });
    join_all(headers).await.into_iter().flatten().collect()
}

/// The block itself if somebody can serve its state; else the newest before it that somebody can, or only a root.
async fn servable(
    wish: &Wish,
    meant: Agreed,
    peers: &[Peer],
) -> Result<(Result<Agreed, primitive_types::H256>, Option<Instead>), PivotError> {
    let root = meant.header.state_root;
    if join_all(peers.iter().map(|peer| root::serves(peer, root))).await.contains(&true) {
        return Ok((Ok(meant), None));
    }
    let number = meant.header.number;
    let mut reasons = Vec::new();
    let mut found = Vec::new();
    for peer in peers {
        match older(peer, number).await {
            Ok(older) => found.push(older),
            Err(why) => reasons.push(format!("{}: {why}", peer.client.url())),
        }
    }
    let known = found.iter().filter_map(|older| Some((older.block.as_ref()?, older.instead)));
    if let Some((block, instead)) = known.max_by_key(|(header, _)| header.number) {
        let agreed = agree(wish, BlockId::Number(block.number), peers).await?;
        if agreed.header.hash == block.hash {
            return Ok((Ok(agreed), Some(instead)));
        }
        reasons.push(format!("the others do not know block {} {:?}", block.number, block.hash));
    } else if let Some(older) = found.first() {
        return Ok((Err(older.root), Some(older.instead)));
    }
    Err(PivotError::NotServed { block: number, reasons: reasons.join("; ") })
}

/// A state that a peer has, older than the one that was meant.
#[derive(Debug)]
struct Older {
    root: primitive_types::H256,
    block: Option<Header>,
    instead: Instead,
}

async fn older(peer: &Peer, meant: u64) -> Result<Older, String> {
    let said = |error: CallError| error.to_string();
    match peer.dialect {
        Some(Dialect::Path) => {
            let disk = root::on_disk(&peer.client).await.map_err(|error| error.to_string())?;
            let block = root::block_of(&peer.client, disk.root, meant).await.map_err(said)?;
            // Where that one is not older but newer, it is not known to be safe or final, which was wanted.
            if block.is_none()
                && let Ok(head) = header(&peer.client, &BlockId::Tag("latest")).await
                && head.number > meant
                && let Some(newer) = root::block_of(&peer.client, disk.root, head.number).await.map_err(said)?
            {
                return Err(format!("the state on its disk is that of block {}, which comes after it", newer.number));
            }
            Ok(Older { root: disk.root, block, instead: Instead::OnDisk { meant } })
        }
        Some(Dialect::Hash) => {
            let number = root::kept(&peer.client, meant).await.map_err(said)?;
            let number = number.ok_or("it has kept no state of late")?;
            let header = header(&peer.client, &BlockId::Number(number)).await?;
            Ok(Older { root: header.state_root, block: Some(header), instead: Instead::Kept { meant } })
        }
        Some(dialect) => Err(format!("it does not have that state ({dialect})")),
        None => Err("it has not said what it is".into()),
    }
}

async fn trust(wish: &Wish, agreed: &Agreed, peers: &[Peer]) -> Result<Trust, PivotError> {
    let Agreed { header, agree, of } = agreed;
    let from_header = header.rlp.is_some();
    if let Some(trusted) = wish.trusted {
        chain::link(header, trusted, peers).await?;
        return Ok(if header.hash == trusted { Trust::Proved } else { Trust::Linked });
    }
    if matches!(wish.block, BlockId::Hash(_)) && from_header {
        return Ok(Trust::Proved);
    }
    Ok(Trust::Quorum { agree: *agree, of: *of, from_header })
}

fn url(peers: &[Peer], place: usize) -> String {
    peers.get(place).map_or_else(String::new, |peer| peer.client.url().to_string())
}
