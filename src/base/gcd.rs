//! What weights have in common.

/// The greatest common divisor; that of a number and 0 is the number.
pub fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_numbers_have_in_common_is_found() {
        for (a, b, common) in [(12, 18, 6), (18, 12, 6), (0, 7, 7), (7, 0, 7), (0, 0, 0), (5, 3, 1)] {
            assert_eq!(gcd(a, b), common, "{a} {b}");
        }
    }
}
