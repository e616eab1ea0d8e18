//! Eight hashes at once, one in each lane of a 512-bit register.

use core::arch::x86_64::{
    __m512i, _mm256_extract_epi64, _mm512_extracti64x4_epi64, _mm512_rol_epi64, _mm512_set_epi64, _mm512_set1_epi64,
    _mm512_shuffle_i64x2, _mm512_ternarylogic_epi64, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use primitive_types::H256;

use super::super::batch::Kernel;
use super::super::lane::{BLOCK, BLOCK_WORDS, Lane};

/// Proof that this processor has AVX-512F.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Avx512(());

impl Avx512 {
    pub(in super::super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

impl Kernel<8> for Avx512 {
    fn hash(self, lanes: &[Lane<'_>; 8]) -> [H256; 8] {
        // SAFETY: a `Self` is made only where the processor has the feature.
        unsafe { hash(lanes) }
    }
}

lanes_kernel!("avx512f", __m512i, 8);

#[target_feature(enable = "avx512f")]
#[inline]
fn splat(word: u64) -> __m512i {
    _mm512_set1_epi64(word.cast_signed())
}

#[target_feature(enable = "avx512f")]
#[inline]
fn xor(a: __m512i, b: __m512i) -> __m512i {
    _mm512_xor_si512(a, b)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    // The truth table of three operands' parity.
    _mm512_ternarylogic_epi64::<0x96>(a, b, c)
}

/// `a ^ (!b & c)`.
#[target_feature(enable = "avx512f")]
#[inline]
fn chi(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0xd2>(a, b, c)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn rotate<const BY: i32>(word: __m512i) -> __m512i {
    _mm512_rol_epi64::<BY>(word)
}

/// The lanes of a vector, the first one first.
#[target_feature(enable = "avx512f")]
#[inline]
fn words(vector: __m512i) -> [u64; 8] {
    let [low, high] = [_mm512_extracti64x4_epi64::<0>(vector), _mm512_extracti64x4_epi64::<1>(vector)];
    [
        _mm256_extract_epi64::<0>(low),
        _mm256_extract_epi64::<1>(low),
        _mm256_extract_epi64::<2>(low),
        _mm256_extract_epi64::<3>(low),
        _mm256_extract_epi64::<0>(high),
        _mm256_extract_epi64::<1>(high),
        _mm256_extract_epi64::<2>(high),
        _mm256_extract_epi64::<3>(high),
    ]
    .map(i64::cast_unsigned)
}

/// Word after word of the blocks, from every lane the same.
#[target_feature(enable = "avx512f")]
#[inline]
fn load(blocks: &[&[u8; BLOCK]; 8]) -> [__m512i; BLOCK_WORDS] {
    let mut last = [0; 8];
    for (word, block) in last.iter_mut().zip(blocks) {
        *word = i64::from_le_bytes(block.as_chunks().0[BLOCK_WORDS - 1]);
    }
    let mut words = [vector(last); BLOCK_WORDS];
    words[..8].copy_from_slice(&transposed::<0>(blocks));
    words[8..16].copy_from_slice(&transposed::<8>(blocks));
    words
}

#[target_feature(enable = "avx512f")]
#[inline]
fn vector(words: [i64; 8]) -> __m512i {
    _mm512_set_epi64(words[7], words[6], words[5], words[4], words[3], words[2], words[1], words[0])
}

/// The words `FROM..FROM + 8` of eight blocks: read block by block, and returned as a vector for each word.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed<const FROM: usize>(blocks: &[&[u8; BLOCK]; 8]) -> [__m512i; 8] {
    let mut rows = [splat(0); 8];
    for (row, block) in rows.iter_mut().zip(blocks) {
        let words = block.as_chunks().0[FROM..].first_chunk().copied().unwrap_or_default();
        *row = vector(words.map(i64::from_le_bytes));
    }
    // Two rows' words side by side: the even ones, the odd ones.
    let (mut even, mut odd) = ([splat(0); 4], [splat(0); 4]);
    for (pair, (even, odd)) in rows.as_chunks::<2>().0.iter().zip(even.iter_mut().zip(&mut odd)) {
        *even = _mm512_unpacklo_epi64(pair[0], pair[1]);
        *odd = _mm512_unpackhi_epi64(pair[0], pair[1]);
    }
    let (even, odd) = (columns(even), columns(odd));
    [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
}

/// Transposes four rows of four pairs.
#[target_feature(enable = "avx512f")]
#[inline]
fn columns([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    // Pairs 0 and 2 of both operands, pairs 1 and 3 of both.
    const EVEN: i32 = 0x88;
    const ODD: i32 = 0xdd;
    let (ab, cd) = (_mm512_shuffle_i64x2::<EVEN>(a, b), _mm512_shuffle_i64x2::<EVEN>(c, d));
    let (first, third) = (_mm512_shuffle_i64x2::<EVEN>(ab, cd), _mm512_shuffle_i64x2::<ODD>(ab, cd));
    let (ab, cd) = (_mm512_shuffle_i64x2::<ODD>(a, b), _mm512_shuffle_i64x2::<ODD>(c, d));
    let (second, fourth) = (_mm512_shuffle_i64x2::<EVEN>(ab, cd), _mm512_shuffle_i64x2::<ODD>(ab, cd));
    [first, second, third, fourth]
}
