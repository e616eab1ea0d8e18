//! Nodes that are put together by hand: right by their hashes, and whatever else a test wants them to be.

use primitive_types::H256;
use rlp::RlpStream;
use statesync::genesis::StateSink;
use statesync::serve::MemoryState;
use statesync::trie::{EMPTY_CODE_HASH, EMPTY_ROOT, Level, keccak256};

/// Nodes and codes made by hand.
#[derive(Default)]
pub(crate) struct Forge(pub(crate) MemoryState);

impl Forge {
    pub(crate) fn node(&mut self, rlp: &[u8]) -> H256 {
        let Ok(()) = StateSink::node(&mut self.0, Level::ROOT, keccak256(rlp), rlp);
        keccak256(rlp)
    }

    pub(crate) fn code(&mut self, code: &[u8]) -> H256 {
        let Ok(()) = StateSink::code(&mut self.0, keccak256(code), code);
        keccak256(code)
    }

    /// A root whose first child is this node, and whose second is an account.
    pub(crate) fn root_over(&mut self, node: &[u8]) -> H256 {
        let (child, other) = (self.node(node), self.node(&leaf(63, &plain_account())));
        self.node(&branch(&[(0, &string(&child.0)), (1, &string(&other.0))]))
    }

    /// A root whose only accounts have these storage roots.
    pub(crate) fn root_of(&mut self, storage_roots: &[H256]) -> H256 {
        let leaves: Vec<Vec<u8>> = storage_roots
            .iter()
            .map(|storage| string(&self.node(&leaf(63, &account(storage, &EMPTY_CODE_HASH))).0))
            .collect();
        let other = string(&self.node(&leaf(63, &plain_account())).0);
        let children: Vec<(usize, &[u8])> = (0..).zip(leaves.iter().map(Vec::as_slice)).collect();
        self.node(&branch(&[children.as_slice(), &[(15, &other)]].concat()))
    }

    /// Branches above nodes, a power of 16 of them, to one.
    pub(crate) fn pyramid(&mut self, mut level: Vec<H256>) -> H256 {
        while level.len() > 1 {
            let hashes: Vec<Vec<u8>> = level.iter().map(|hash| string(&hash.0)).collect();
            let parent = |children: &[Vec<u8>]| {
                let children: Vec<(usize, &[u8])> = children.iter().map(Vec::as_slice).enumerate().collect();
                branch(&children)
            };
            level = hashes.chunks(16).map(|children| self.node(&parent(children))).collect();
        }
        level[0]
    }

    /// Branches above a node at this depth, each with the next one for all of its children: 16 to the power of the
    /// depth places hold the node.
    pub(crate) fn tower(&mut self, node: &[u8], depth: usize) -> H256 {
        let reference = |rlp: &[u8]| if rlp.len() < 32 { rlp.to_vec() } else { string(&keccak256(rlp).0) };
        let mut top = node.to_vec();
        for _ in 0..depth {
            self.node(&top);
            let child = reference(&top);
            top = branch(&std::array::from_fn::<_, 16, _>(|nibble| (nibble, child.as_slice())));
        }
        self.node(&top)
    }
}

pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    rlp::encode(&bytes).to_vec()
}

/// A list of items that are RLP already.
pub(crate) fn list(items: &[&[u8]]) -> Vec<u8> {
    let mut stream = RlpStream::new_list(items.len());
    for item in items {
        stream.append_raw(item, 1);
    }
    stream.out().to_vec()
}

/// A path as it stands in a leaf or an extension.
pub(crate) fn hex_prefix(nibbles: &[u8], leaf: bool) -> Vec<u8> {
    let flag = if leaf { 2 } else { 0 };
    let (first, rest) = match nibbles.split_first() {
        Some((first, rest)) if nibbles.len() % 2 == 1 => ((flag + 1) << 4 | first, rest),
        _ => (flag << 4, nibbles),
    };
    [&[first][..], &rest.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<_>>()].concat()
}

/// A leaf with so many nibbles left.
pub(crate) fn leaf(nibbles: usize, value: &[u8]) -> Vec<u8> {
    list(&[&string(&hex_prefix(&vec![7; nibbles], true)), &string(value)])
}

pub(crate) fn extension(nibbles: usize, child: &H256) -> Vec<u8> {
    list(&[&string(&hex_prefix(&vec![7; nibbles], false)), &string(&child.0)])
}

/// A branch with these children, which are RLP already.
pub(crate) fn branch(children: &[(usize, &[u8])]) -> Vec<u8> {
    branch_with(children, &[0x80])
}

pub(crate) fn branch_with(children: &[(usize, &[u8])], value: &[u8]) -> Vec<u8> {
    let mut all = [[0x80].as_slice(); 17];
    children.iter().for_each(|(nibble, child)| all[*nibble] = child);
    all[16] = value;
    list(&all)
}

pub(crate) fn account(storage_root: &H256, code_hash: &H256) -> Vec<u8> {
    list(&[&[0x01], &[0x02], &string(&storage_root.0), &string(&code_hash.0)])
}

pub(crate) fn plain_account() -> Vec<u8> {
    account(&EMPTY_ROOT, &EMPTY_CODE_HASH)
}
