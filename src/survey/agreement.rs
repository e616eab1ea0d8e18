//! Whether peers are of one chain.

use primitive_types::H256;

use super::peer::PeerSurvey;
use crate::peers::{Chain, Header};

/// Whether peers are of one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Whether they have the same chain id and the same first block, as far as they tell.
    pub on_chain: bool,
    /// What they say of the highest block that all of them have.
    pub on_block: Option<CommonBlock>,
}

/// A block that several peers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommonBlock {
    /// Its number.
    pub number: u64,
    /// Its hash; nothing if they name different ones.
    pub hash: Option<H256>,
}

/// The highest block that all peers have got to, by their heads; nothing for one peer alone.
pub(super) fn common_number(heads: impl Iterator<Item = u64>) -> Option<u64> {
    let heads: Vec<u64> = heads.collect();
    heads.iter().min().copied().filter(|_| heads.len() > 1)
}

impl Agreement {
    /// What the peers say of themselves, put side by side; nothing if fewer than two say anything.
    pub(super) fn of(peers: &[PeerSurvey]) -> Option<Self> {
        let chains: Vec<Chain> = peers.iter().filter_map(|peer| Some(peer.about.as_ref()?.chain)).collect();
        let blocks: Vec<&Header> = peers.iter().filter_map(|peer| peer.common.as_ref()).collect();
        // Each with each: what one does not know may be where two others differ.
        let on_chain = chains.iter().all(|one| chains.iter().all(|other| one.agrees_with(other)));
        let on_block = match blocks.as_slice() {
            [first, others @ ..] if !others.is_empty() => {
                let same = others.iter().all(|other| other.hash == first.hash);
                Some(CommonBlock { number: first.number, hash: same.then_some(first.hash) })
            }
            _ => None,
        };
        (chains.len() > 1).then_some(Self { on_chain, on_block })
    }

    /// Whether nothing speaks against using the peers together.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.on_chain && self.on_block.is_none_or(|block| block.hash.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_block_is_the_lowest_head_of_several() {
        assert_eq!(common_number([7, 5, 9].into_iter()), Some(5));
        assert_eq!(common_number([7].into_iter()), None);
        assert_eq!(common_number([].into_iter()), None);
    }

    #[test]
    fn agreement_on_the_chain_is_not_enough() {
        let block = |hash| Some(CommonBlock { number: 5, hash });
        assert!(Agreement { on_chain: true, on_block: None }.holds());
        assert!(Agreement { on_chain: true, on_block: block(Some(H256::zero())) }.holds());
        assert!(!Agreement { on_chain: true, on_block: block(None) }.holds());
        assert!(!Agreement { on_chain: false, on_block: block(Some(H256::zero())) }.holds());
    }
}
