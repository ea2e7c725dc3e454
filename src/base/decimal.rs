//! Numbers and addresses as text without the machinery of `write!`, for what every request writes.

use std::io::Write;
use std::net::IpAddr;

/// Appends a number in decimal.
pub fn number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let (mut at, mut rest) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends an address as its `Display` has it.
pub fn address(out: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(v4) = address else {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{address}");
        return;
    };
    // Four octets of at most three digits, and a dot after each.
    let mut text = [0; 16];
    let mut length = 0;
    for octet in v4.octets() {
        for (place, least) in [(100, 100), (10, 10), (1, 0)] {
            if octet >= least {
                text[length] = b'0' + octet / place % 10;
                length += 1;
            }
        }
        text[length] = b'.';
        length += 1;
    }
    out.extend_from_slice(&text[..length - 1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_display_has_them() {
        for value in [0, 7, 10, 99, 100, 65_535, u64::MAX] {
            let mut out = b"n=".to_vec();
            number(&mut out, value);
            assert_eq!(out, format!("n={value}").into_bytes());
        }
    }

    #[test]
    fn addresses_are_as_display_has_them() {
        for text in [
            "0.0.0.0",
            "1.20.101.9",
            "255.255.255.255",
            "127.0.0.1",
            "10.0.100.200",
            "::",
            "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff",
        ] {
            let mut out = Vec::new();
            address(&mut out, text.parse().unwrap());
            assert_eq!(out, text.as_bytes());
        }
    }
}
