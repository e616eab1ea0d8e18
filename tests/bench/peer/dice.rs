//! Numbers that are the same on every run.

/// A number for each pair: the finaliser of splitmix64, which is cheap and mixes well.
pub(crate) fn dice(seed: u64, index: u64) -> u64 {
    let mut mixed = seed.rotate_left(32) ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// From 0 to 1.
pub(crate) fn unit(number: u64) -> f64 {
    (number >> 11) as f64 / (1u64 << 53) as f64
}

/// As many bytes as `bytes` has room for.
pub(crate) fn fill(seed: u64, bytes: &mut [u8]) {
    for (index, piece) in (0..).zip(bytes.chunks_mut(8)) {
        piece.copy_from_slice(&dice(seed, index).to_be_bytes()[..piece.len()]);
    }
}
