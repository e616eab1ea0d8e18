use super::*;

/// Bytes without a pattern, the same for the same seed.
fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// Every kernel's hashes are those of one input after the other.
fn agree(inputs: &[Vec<u8>]) {
    let expected: Vec<H256> = inputs.iter().map(|input| keccak256(input)).collect();
    for kernel in Keccak::all() {
        let lengths: Vec<usize> = inputs.iter().map(Vec::len).collect();
        assert_eq!(kernel.hash_all(inputs), expected, "{} on {lengths:?}", kernel.name());
    }
    assert_eq!(keccak256_batch(inputs), expected);
}

#[test]
fn the_empty_root_is_the_hash_of_the_empty_string_in_rlp() {
    assert_eq!(keccak256(&[0x80]), EMPTY_ROOT);
    assert_eq!(keccak256_batch(&[[0x80]; 9]), [EMPTY_ROOT; 9]);
}

#[test]
fn the_empty_code_hash_is_the_hash_of_nothing() {
    assert_eq!(keccak256(&[]), EMPTY_CODE_HASH);
    assert_eq!(keccak256_batch(&[[]; 9]), [EMPTY_CODE_HASH; 9]);
}

#[test]
fn every_length_hashes_alike_alone_beside_its_like_and_beside_others() {
    for length in 0..=700 {
        let seed = length as u64;
        agree(&[bytes(length, seed)]);
        agree(&(0..9).map(|number| bytes(length, seed * 10 + number)).collect::<Vec<_>>());
    }
    agree(&(0..=700).map(|length| bytes(length, 7)).collect::<Vec<_>>());
}

#[test]
fn lengths_about_the_end_of_a_block_hash_alike_in_every_lane() {
    let lengths = [134, 135, 136, 137, 270, 271, 272, 273, 407, 408, 543, 544];
    for turn in 0..lengths.len() {
        let mut inputs: Vec<Vec<u8>> = lengths.iter().map(|length| bytes(*length, 3)).collect();
        inputs.rotate_left(turn);
        agree(&inputs);
    }
}

#[test]
fn batches_of_any_size_come_back_in_order() {
    for count in 0..=40 {
        agree(&(0..count).map(|number| bytes(number * 37 % 600, number as u64)).collect::<Vec<_>>());
    }
}

#[test]
fn codes_hash_alike_beside_nodes() {
    let lengths = [24_576, 100, 532, 0, 9_000, 8_999, 135, 532, 110, 49_152, 136];
    agree(&lengths.map(|length| bytes(length, length as u64)));
}

#[test]
fn random_lengths_hash_alike() {
    let random = bytes(4_000, 11);
    let lengths = random.as_chunks().0.iter().map(|pair| usize::from(u16::from_le_bytes(*pair)) % 701);
    let inputs: Vec<Vec<u8>> = lengths.enumerate().map(|(number, length)| bytes(length, number as u64)).collect();
    inputs.chunks(131).for_each(agree);
    agree(&inputs);
}
