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

/// Word after word of the blocks, from every lane the same. Eight words of eight lanes are read at a time and transposed.
#[target_feature(enable = "avx512f")]
#[inline]
fn load(blocks: &[&[u8; BLOCK]; 8]) -> [__m512i; BLOCK_WORDS] {
    let rows = blocks.map(|block| block.as_chunks().0);
    let (first, second) = (transposed(rows, 0), transposed(rows, 8));
    let last = vector(rows.map(|row| row[16]));
    let mut words = [last; BLOCK_WORDS];
    words[..8].copy_from_slice(&first);
    words[8..16].copy_from_slice(&second);
    words
}

/// A vector of words in their byte order.
#[target_feature(enable = "avx512f")]
#[inline]
fn vector(words: [[u8; 8]; 8]) -> __m512i {
    let words = words.map(i64::from_le_bytes);
    _mm512_set_epi64(words[7], words[6], words[5], words[4], words[3], words[2], words[1], words[0])
}

/// The words `from..from + 8` of eight rows, as eight columns.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed(rows: [&[[u8; 8]]; 8], from: usize) -> [__m512i; 8] {
    let row = |row: &[[u8; 8]]| vector([0, 1, 2, 3, 4, 5, 6, 7].map(|word| row[from + word]));
    let rows = rows.map(row);
    // Two rows' words side by side: the even ones, the odd ones.
    let even = |row: usize| _mm512_unpacklo_epi64(rows[row], rows[row + 1]);
    let odd = |row: usize| _mm512_unpackhi_epi64(rows[row], rows[row + 1]);
    let even = columns(even(0), even(2), even(4), even(6));
    let odd = columns(odd(0), odd(2), odd(4), odd(6));
    [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
}

/// Transposes four rows of four pairs.
#[target_feature(enable = "avx512f")]
#[inline]
fn columns(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> [__m512i; 4] {
    // Pairs 0 and 2 of both operands, pairs 1 and 3 of both.
    const EVEN: i32 = 0x88;
    const ODD: i32 = 0xdd;
    let (ab, cd) = (_mm512_shuffle_i64x2::<EVEN>(a, b), _mm512_shuffle_i64x2::<EVEN>(c, d));
    let (first, third) = (_mm512_shuffle_i64x2::<EVEN>(ab, cd), _mm512_shuffle_i64x2::<ODD>(ab, cd));
    let (ab, cd) = (_mm512_shuffle_i64x2::<ODD>(a, b), _mm512_shuffle_i64x2::<ODD>(c, d));
    let (second, fourth) = (_mm512_shuffle_i64x2::<EVEN>(ab, cd), _mm512_shuffle_i64x2::<ODD>(ab, cd));
    [first, second, third, fourth]
}
