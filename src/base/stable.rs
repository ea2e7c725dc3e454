//! A hash that is the same on every machine, in every run and every version: for choices that several gateways have to make alike.
//! Not for tables that strangers can fill: whoever knows it can make it collide.

/// Of the same bytes the same number, in every process, of every version and on every machine: changed, it would move every
/// client of everybody to another backend.
pub fn hash(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<8>();
    let start = mix(bytes.len() as u64 + 1);
    let hash = blocks.iter().fold(start, |hash, block| mix(hash ^ u64::from_le_bytes(*block)));
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    mix(hash ^ u64::from_le_bytes(last))
}

/// Spreads every bit over all (Stafford's variant 13 of MurmurHash3's finalizer). Different numbers stay different.
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_key_never_changes() {
        for (key, number) in [
            (&b""[..], 0x7ab4_0e09_0f36_3a7d_u64),
            (b"a", 0xe2a0_9a98_04f6_3bff),
            (b"12345678", 0xd9f6_920f_221a_755b),
            (b"a longer key than one block", 0xf427_5189_9f01_db01),
        ] {
            assert_eq!(hash(key), number, "{key:?} is {:#x}", hash(key));
        }
    }

    #[test]
    fn it_spreads_evenly() {
        let mut counts = [0u32; 16];
        for number in 0..160_000u32 {
            counts[(hash(&number.to_be_bytes()) >> 60) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
    }
}
