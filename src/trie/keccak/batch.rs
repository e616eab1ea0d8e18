//! Many inputs hashed side by side, by the widest kernel that the processor has.

use primitive_types::H256;

use super::keccak256;
#[cfg(target_arch = "x86_64")]
use super::lane::{Lane, blocks};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};

/// A way to hash many inputs at once.
#[derive(Clone, Copy, Debug)]
pub struct Keccak(Width);

#[derive(Clone, Copy, Debug)]
enum Width {
    One,
    #[cfg(target_arch = "x86_64")]
    Four(Avx2),
    #[cfg(target_arch = "x86_64")]
    Eight(Avx512),
}

/// Code that hashes `N` inputs side by side.
#[cfg(target_arch = "x86_64")]
pub(super) trait Kernel<const N: usize>: Copy {
    fn hash(self, lanes: &[Lane<'_>; N]) -> [H256; N];
}

/// Keccak-256 of each of the inputs, in their order: several times faster than one by one.
#[must_use]
pub fn keccak256_batch<B: AsRef<[u8]>>(inputs: &[B]) -> Vec<H256> {
    Keccak::best().hash_all(inputs)
}

impl Keccak {
    /// The fastest that this processor has.
    #[must_use]
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(width) = Avx512::detect().map(Width::Eight).or_else(|| Avx2::detect().map(Width::Four)) {
            return Self(width);
        }
        Self(Width::One)
    }

    /// All that this processor has, for comparisons.
    #[must_use]
    pub fn all() -> Vec<Self> {
        [
            Some(Width::One),
            #[cfg(target_arch = "x86_64")]
            Avx2::detect().map(Width::Four),
            #[cfg(target_arch = "x86_64")]
            Avx512::detect().map(Width::Eight),
        ]
        .into_iter()
        .flatten()
        .map(Self)
        .collect()
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Width::One => "portable",
            #[cfg(target_arch = "x86_64")]
            Width::Four(_) => "AVX2, 4 at once",
            #[cfg(target_arch = "x86_64")]
            Width::Eight(_) => "AVX-512, 8 at once",
        }
    }

    /// Keccak-256 of each of the inputs, in their order.
    #[must_use]
    pub fn hash_all<B: AsRef<[u8]>>(self, inputs: &[B]) -> Vec<H256> {
        match self.0 {
            Width::One => inputs.iter().map(|input| keccak256(input.as_ref())).collect(),
            #[cfg(target_arch = "x86_64")]
            Width::Four(kernel) => side_by_side(kernel, inputs),
            #[cfg(target_arch = "x86_64")]
            Width::Eight(kernel) => side_by_side(kernel, inputs),
        }
    }
}

/// Inputs of about the same length share a run of the kernel, so that its lanes are full from beginning to end.
#[cfg(target_arch = "x86_64")]
fn side_by_side<const N: usize, B: AsRef<[u8]>>(kernel: impl Kernel<N>, inputs: &[B]) -> Vec<H256> {
    let mut hashes = vec![H256::zero(); inputs.len()];
    let lengths = inputs.iter().map(|input| blocks(input.as_ref().len()));
    let mut order: Vec<(usize, usize)> = lengths.zip(0..).collect();
    order.sort_unstable_by(|one, other| other.cmp(one));
    let mut rest = order.as_slice();
    while let [(longest, place), others @ ..] = rest {
        let beside = &others[..others.len().min(N - 1)];
        // A run takes as long as its longest input, and some 1.5 times as long as that input alone.
        if 2 * beside.iter().map(|(blocks, _)| blocks).sum::<usize>() < *longest {
            hashes[*place] = keccak256(inputs[*place].as_ref());
            rest = others;
            continue;
        }
        let (group, after) = rest.split_at(1 + beside.len());
        let mut lanes = [const { Lane::IDLE }; N];
        for (lane, (_, place)) in lanes.iter_mut().zip(group) {
            lane.set(inputs[*place].as_ref());
        }
        let found = kernel.hash(&lanes);
        group.iter().zip(found).for_each(|((_, place), found)| hashes[*place] = found);
        rest = after;
    }
    hashes
}
