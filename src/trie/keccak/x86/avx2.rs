//! Four hashes at once, one in each lane of a 256-bit register.

use core::arch::x86_64::{
    __m256i, _mm_cvtsi32_si128, _mm256_andnot_si256, _mm256_extract_epi64, _mm256_or_si256, _mm256_permute2x128_si256,
    _mm256_set_epi64x, _mm256_set1_epi64x, _mm256_slli_epi64, _mm256_srl_epi64, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use primitive_types::H256;

use super::super::batch::Kernel;
use super::super::lane::{BLOCK, BLOCK_WORDS, Lane};

/// Proof that this processor has AVX2.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Avx2(());

impl Avx2 {
    pub(in super::super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

impl Kernel<4> for Avx2 {
    fn hash(self, lanes: &[Lane<'_>; 4]) -> [H256; 4] {
        // SAFETY: a `Self` is made only where the processor has the feature.
        unsafe { hash(lanes) }
    }
}

lanes_kernel!("avx2", __m256i, 4);

#[target_feature(enable = "avx2")]
#[inline]
fn splat(word: u64) -> __m256i {
    _mm256_set1_epi64x(word.cast_signed())
}

#[target_feature(enable = "avx2")]
#[inline]
fn xor(a: __m256i, b: __m256i) -> __m256i {
    _mm256_xor_si256(a, b)
}

#[target_feature(enable = "avx2")]
#[inline]
fn xor3(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    xor(xor(a, b), c)
}

/// `a ^ (!b & c)`.
#[target_feature(enable = "avx2")]
#[inline]
fn chi(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    xor(a, _mm256_andnot_si256(b, c))
}

#[target_feature(enable = "avx2")]
#[inline]
fn rotate<const BY: i32>(word: __m256i) -> __m256i {
    let low = _mm256_srl_epi64(word, _mm_cvtsi32_si128(64 - BY));
    _mm256_or_si256(_mm256_slli_epi64::<BY>(word), low)
}

/// The lanes of a vector, the first one first.
#[target_feature(enable = "avx2")]
#[inline]
fn words(vector: __m256i) -> [u64; 4] {
    [
        _mm256_extract_epi64::<0>(vector),
        _mm256_extract_epi64::<1>(vector),
        _mm256_extract_epi64::<2>(vector),
        _mm256_extract_epi64::<3>(vector),
    ]
    .map(i64::cast_unsigned)
}

/// Word after word of the blocks, from every lane the same.
#[target_feature(enable = "avx2")]
#[inline]
fn load(blocks: &[&[u8; BLOCK]; 4]) -> [__m256i; BLOCK_WORDS] {
    let mut last = [0; 4];
    for (word, block) in last.iter_mut().zip(blocks) {
        *word = i64::from_le_bytes(block.as_chunks().0[BLOCK_WORDS - 1]);
    }
    let mut words = [vector(last); BLOCK_WORDS];
    words[..4].copy_from_slice(&transposed::<0>(blocks));
    words[4..8].copy_from_slice(&transposed::<4>(blocks));
    words[8..12].copy_from_slice(&transposed::<8>(blocks));
    words[12..16].copy_from_slice(&transposed::<12>(blocks));
    words
}

#[target_feature(enable = "avx2")]
#[inline]
fn vector(words: [i64; 4]) -> __m256i {
    _mm256_set_epi64x(words[3], words[2], words[1], words[0])
}

/// The words `FROM..FROM + 4` of four blocks: read block by block, and returned as a vector for each word.
#[target_feature(enable = "avx2")]
#[inline]
fn transposed<const FROM: usize>(blocks: &[&[u8; BLOCK]; 4]) -> [__m256i; 4] {
    // The lower halves of both operands, the upper halves of both.
    const LOWER: i32 = 0x20;
    const UPPER: i32 = 0x31;
    let mut rows = [splat(0); 4];
    for (row, block) in rows.iter_mut().zip(blocks) {
        let words = block.as_chunks().0[FROM..].first_chunk().copied().unwrap_or_default();
        *row = vector(words.map(i64::from_le_bytes));
    }
    let [a, b, c, d] = rows;
    let (ab, cd) = (_mm256_unpacklo_epi64(a, b), _mm256_unpacklo_epi64(c, d));
    let (first, third) = (_mm256_permute2x128_si256::<LOWER>(ab, cd), _mm256_permute2x128_si256::<UPPER>(ab, cd));
    let (ab, cd) = (_mm256_unpackhi_epi64(a, b), _mm256_unpackhi_epi64(c, d));
    let (second, fourth) = (_mm256_permute2x128_si256::<LOWER>(ab, cd), _mm256_permute2x128_si256::<UPPER>(ab, cd));
    [first, second, third, fourth]
}
