//! Amounts of bytes as people write them: `"16 MiB"`, `"8KiB"`, `"512"`.

use std::fmt;
use std::str::FromStr;

/// An amount of bytes from a config value. Units: `B`, `KiB`, `MiB`, `GiB`, `TiB` and the decimal `KB`, `MB`, `GB`, `TB`. `"0"` means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(pub u64);

impl Size {
    /// A whole number of KiB.
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// A whole number of MiB.
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// The amount, or nothing where `"0"` switched it off.
    pub fn limit(self) -> Option<u64> {
        (self.0 != 0).then_some(self.0)
    }
}

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size; write a number and a unit: \"8 KiB\", \"16 MiB\", \"1 GiB\"");
        let text = text.trim();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = text[digits..].trim();
        let factor = match unit {
            "" => 1,
            unit => UNITS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))
                .map(|(_, size)| *size)
                .ok_or_else(wrong)?,
        };
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS
            .iter()
            .filter(|(name, _)| name.ends_with("iB"))
            .find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size))
        {
            Some((name, size)) => write!(f, "{} {name}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_shows_what_people_write() {
        for (text, bytes, shown) in [
            ("16 MiB", 16 << 20, "16 MiB"),
            ("8kib", 8192, "8 KiB"),
            ("512", 512, "512"),
            ("2 MB", 2_000_000, "2000000"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown));
        }
    }

    #[test]
    fn refuses_what_is_no_amount() {
        for text in ["", "MiB", "-1", "1.5 MiB", "16 cups", "99999999 TiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
