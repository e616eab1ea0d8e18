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

/// Word after word of the blocks, from every lane the same. Four words of four lanes are read at a time and transposed.
#[target_feature(enable = "avx2")]
#[inline]
fn load(blocks: &[&[u8; BLOCK]; 4]) -> [__m256i; BLOCK_WORDS] {
    let rows = blocks.map(|block| block.as_chunks().0);
    let last = vector(rows.map(|row| row[16]));
    let mut words = [last; BLOCK_WORDS];
    words[..4].copy_from_slice(&transposed(rows, 0));
    words[4..8].copy_from_slice(&transposed(rows, 4));
    words[8..12].copy_from_slice(&transposed(rows, 8));
    words[12..16].copy_from_slice(&transposed(rows, 12));
    words
}

/// A vector of words in their byte order.
#[target_feature(enable = "avx2")]
#[inline]
fn vector(words: [[u8; 8]; 4]) -> __m256i {
    let words = words.map(i64::from_le_bytes);
    _mm256_set_epi64x(words[3], words[2], words[1], words[0])
}

/// The words `from..from + 4` of four rows, as four columns.
#[target_feature(enable = "avx2")]
#[inline]
fn transposed(rows: [&[[u8; 8]]; 4], from: usize) -> [__m256i; 4] {
    // The lower halves of both operands, the upper halves of both.
    const LOWER: i32 = 0x20;
    const UPPER: i32 = 0x31;
    let row = |row: &[[u8; 8]]| vector([0, 1, 2, 3].map(|word| row[from + word]));
    let [a, b, c, d] = rows.map(row);
    let (ab, cd) = (_mm256_unpacklo_epi64(a, b), _mm256_unpacklo_epi64(c, d));
    let (first, third) = (_mm256_permute2x128_si256::<LOWER>(ab, cd), _mm256_permute2x128_si256::<UPPER>(ab, cd));
    let (ab, cd) = (_mm256_unpackhi_epi64(a, b), _mm256_unpackhi_epi64(c, d));
    let (second, fourth) = (_mm256_permute2x128_si256::<LOWER>(ab, cd), _mm256_permute2x128_si256::<UPPER>(ab, cd));
    [first, second, third, fourth]
}
