//! Keccak-f\[1600\] over vectors of lanes: each vector holds one word of several states, one to a lane.

/// What round after round adds to the first word (FIPS 202, section 3.2.5).
pub(super) const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// The permutation and the hash over it for one kind of vector. The module that calls it has the operations, all for
/// processors with `$feature`: `splat`, `xor`, `xor3`, `chi`, `rotate`; `load`, which reads the same block of each lane; and
/// `words`, which takes a vector apart.
///
/// A macro and not a generic function: only code in a function with the feature can use the feature's instructions
/// inline.
macro_rules! lanes_kernel {
    ($feature:literal, $vector:ty, $lanes:literal) => {
        /// Word `x + 5 * y` of the state is the one that the standard calls (x, y).
        #[target_feature(enable = $feature)]
        fn permute(a: &mut [$vector; 25]) {
            for constant in super::rounds::ROUND_CONSTANTS {
                // Theta: each word takes in the parities of two columns beside it.
                let c0 = xor3(xor3(a[0], a[5], a[10]), a[15], a[20]);
                let c1 = xor3(xor3(a[1], a[6], a[11]), a[16], a[21]);
                let c2 = xor3(xor3(a[2], a[7], a[12]), a[17], a[22]);
                let c3 = xor3(xor3(a[3], a[8], a[13]), a[18], a[23]);
                let c4 = xor3(xor3(a[4], a[9], a[14]), a[19], a[24]);
                let d0 = rotate::<1>(c1);
                let d1 = rotate::<1>(c2);
                let d2 = rotate::<1>(c3);
                let d3 = rotate::<1>(c4);
                let d4 = rotate::<1>(c0);
                // Rho and pi: each word is rotated by its own distance and moves to its own place. Row by row, so that
                // chi can follow at once.
                let b0 = xor3(a[0], c4, d0);
                let b1 = rotate::<44>(xor3(a[6], c0, d1));
                let b2 = rotate::<43>(xor3(a[12], c1, d2));
                let b3 = rotate::<21>(xor3(a[18], c2, d3));
                let b4 = rotate::<14>(xor3(a[24], c3, d4));
                let b5 = rotate::<28>(xor3(a[3], c2, d3));
                let b6 = rotate::<20>(xor3(a[9], c3, d4));
                let b7 = rotate::<3>(xor3(a[10], c4, d0));
                let b8 = rotate::<45>(xor3(a[16], c0, d1));
                let b9 = rotate::<61>(xor3(a[22], c1, d2));
                let b10 = rotate::<1>(xor3(a[1], c0, d1));
                let b11 = rotate::<6>(xor3(a[7], c1, d2));
                let b12 = rotate::<25>(xor3(a[13], c2, d3));
                let b13 = rotate::<8>(xor3(a[19], c3, d4));
                let b14 = rotate::<18>(xor3(a[20], c4, d0));
                let b15 = rotate::<27>(xor3(a[4], c3, d4));
                let b16 = rotate::<36>(xor3(a[5], c4, d0));
                let b17 = rotate::<10>(xor3(a[11], c0, d1));
                let b18 = rotate::<15>(xor3(a[17], c1, d2));
                let b19 = rotate::<56>(xor3(a[23], c2, d3));
                let b20 = rotate::<62>(xor3(a[2], c1, d2));
                let b21 = rotate::<55>(xor3(a[8], c2, d3));
                let b22 = rotate::<39>(xor3(a[14], c3, d4));
                let b23 = rotate::<41>(xor3(a[15], c4, d0));
                let b24 = rotate::<2>(xor3(a[21], c0, d1));
                // Chi: the only step that is not linear. Iota: the round's constant.
                a[0] = xor(chi(b0, b1, b2), splat(constant));
                a[1] = chi(b1, b2, b3);
                a[2] = chi(b2, b3, b4);
                a[3] = chi(b3, b4, b0);
                a[4] = chi(b4, b0, b1);
                a[5] = chi(b5, b6, b7);
                a[6] = chi(b6, b7, b8);
                a[7] = chi(b7, b8, b9);
                a[8] = chi(b8, b9, b5);
                a[9] = chi(b9, b5, b6);
                a[10] = chi(b10, b11, b12);
                a[11] = chi(b11, b12, b13);
                a[12] = chi(b12, b13, b14);
                a[13] = chi(b13, b14, b10);
                a[14] = chi(b14, b10, b11);
                a[15] = chi(b15, b16, b17);
                a[16] = chi(b16, b17, b18);
                a[17] = chi(b17, b18, b19);
                a[18] = chi(b18, b19, b15);
                a[19] = chi(b19, b15, b16);
                a[20] = chi(b20, b21, b22);
                a[21] = chi(b21, b22, b23);
                a[22] = chi(b22, b23, b24);
                a[23] = chi(b23, b24, b20);
                a[24] = chi(b24, b20, b21);
            }
        }

        /// The hashes of the inputs in all lanes. It goes on to the end of the longest; the others' hashes are taken when
        /// they come to theirs.
        #[target_feature(enable = $feature)]
        fn hash(lanes: &[Lane<'_>; $lanes]) -> [H256; $lanes] {
            let mut hashes = [H256::zero(); $lanes];
            let mut state = [splat(0); 25];
            let longest = lanes.iter().map(Lane::blocks).max().unwrap_or_default();
            for index in 0..longest {
                let blocks = lanes.each_ref().map(|lane| lane.block(index));
                for (word, taken) in state.iter_mut().zip(load(&blocks)) {
                    *word = xor(*word, taken);
                }
                permute(&mut state);
                if lanes.iter().any(|lane| lane.blocks() == index + 1) {
                    let parts = [words(state[0]), words(state[1]), words(state[2]), words(state[3])];
                    for (number, (hash, lane)) in hashes.iter_mut().zip(lanes).enumerate() {
                        if lane.blocks() == index + 1 {
                            let (to, _) = hash.0.as_chunks_mut();
                            to.iter_mut().zip(&parts).for_each(|(to, part)| *to = part[number].to_le_bytes());
                        }
                    }
                }
            }
            hashes
        }
    };
}
