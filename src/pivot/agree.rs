//! Which block the peers agree on.

use std::collections::BTreeMap;

use crate::peers::Header;

/// The header that most of the peers name, and how many do. Headers with their RLP speak for their hash; those without
/// count only where they name the same root.
pub(super) fn most_named(headers: &[Header]) -> Option<(Header, usize)> {
    let mut named = BTreeMap::new();
    for header in headers {
        *named.entry((header.hash, header.state_root)).or_insert(0) += 1;
    }
    let agree = *named.values().max()?;
    let candidates = headers.iter().filter(|header| named.get(&(header.hash, header.state_root)) == Some(&agree));
    let best = candidates.max_by_key(|header| (header.rlp.is_some(), header.number))?;
    Some((best.clone(), agree))
}

/// How many of the peers that answered have to agree.
pub(super) fn needed(quorum: Option<usize>, answered: usize) -> usize {
    quorum.unwrap_or(answered / 2 + 1)
}

/// The highest block number that at least `needed` peers have reached.
pub(super) fn common_number(mut numbers: Vec<u64>, needed: usize) -> Option<u64> {
    numbers.sort_unstable_by(|one, two| two.cmp(one));
    numbers.get(needed.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use primitive_types::H256;

    use super::*;

    fn header(hash: u8, root: u8, rlp: bool) -> Header {
        let hash_of = H256::repeat_byte;
        let rlp = rlp.then(|| vec![1]);
        Header { number: 7, hash: hash_of(hash), parent: hash_of(0), state_root: hash_of(root), rlp }
    }

    #[test]
    fn the_block_that_most_name_counts() {
        let (header, agree) = most_named(&[header(1, 1, true), header(2, 2, true), header(1, 1, false)]).unwrap();
        assert_eq!((header.hash, agree), (H256::repeat_byte(1), 2));
        assert!(header.rlp.is_some(), "the one that proves itself");
        assert_eq!(most_named(&[]), None);
    }

    #[test]
    fn a_block_with_another_root_is_another_block() {
        let (header, agree) = most_named(&[header(1, 9, false), header(1, 1, true), header(1, 1, false)]).unwrap();
        assert_eq!((header.state_root, agree), (H256::repeat_byte(1), 2));
    }

    #[test]
    fn a_peer_that_lags_does_not_hold_the_others_back() {
        assert_eq!(needed(None, 3), 2);
        assert_eq!(common_number(vec![100, 7, 98], 2), Some(98));
        assert_eq!(common_number(vec![100], 1), Some(100));
        assert_eq!(common_number(vec![100], 2), None);
        assert_eq!((needed(None, 1), needed(None, 2), needed(Some(1), 5)), (1, 2, 1));
    }
}
