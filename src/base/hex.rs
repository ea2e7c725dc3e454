//! Numbers in hex without the machinery of `write!`.

/// The 16 lower-case hex digits of a number.
pub fn hex(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    digits[..8].copy_from_slice(&half((number >> 32) as u32));
    digits[8..].copy_from_slice(&half(number as u32));
    digits
}

/// Eight digits at one go: each of the half's nibbles becomes a byte, and the bytes become digits side by side.
fn half(number: u32) -> [u8; 8] {
    let wide = u64::from(number);
    let pairs = (wide | wide << 16) & 0x0000_ffff_0000_ffff;
    let bytes = (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (bytes | bytes << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // 6 more than a digit carries into the upper half of its byte where it is a letter: those are 39 further on in ASCII.
    let letters = (nibbles + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (nibbles + 0x3030_3030_3030_3030 + letters * 39).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_as_format_has_them() {
        for number in [0, 1, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX, 0x9a00_0000_0000_00a9] {
            assert_eq!(hex(number).to_vec(), format!("{number:016x}").into_bytes());
        }
    }
}
