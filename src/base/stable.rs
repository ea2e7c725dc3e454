//! A hash that is the same on every machine, in every run and every version: for choices that several gateways have to make alike.
//! Not for tables that strangers can fill: whoever knows it can make it collide.

/// The hash of `bytes`, another one for each `seed`.
pub fn hash(seed: u64, bytes: &[u8]) -> u64 {
    // FNV-1a (draft-eastlake-fnv), whose weak upper bits the mixing mends.
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325 ^ seed, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mixed(sum)
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): every bit of the number decides over every bit of the result.
fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_what_it_is() {
        assert_eq!(
            [hash(0, b""), hash(0, b"a"), hash(1, b"a")],
            [0xf52a_15e9_a9b5_e89b, 0x02c0_bdbf_4814_20f8, 0x270a_eb36_a957_26cf]
        );
    }

    #[test]
    fn it_spreads_evenly() {
        let mut counts = [0u32; 16];
        for number in 0..160_000u32 {
            counts[(hash(7, &number.to_be_bytes()) >> 60) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
    }
}
