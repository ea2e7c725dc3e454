//! Durations as people write them: `"10s"`, `"250ms"`, `"1h30m"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time from a config value. Units: `ms`, `s`, `m`, `h`, `d`; several may follow each other. `"0s"` means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Period(pub Duration);

impl Period {
    /// A whole number of seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The length, or nothing where `"0s"` switched it off.
    pub fn limit(self) -> Option<Duration> {
        (!self.0.is_zero()).then_some(self.0)
    }
}

/// The longest period that is accepted: a hundred years, far from any overflow of a clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a duration; write a number and a unit: \"250ms\", \"10s\", \"5m\", \"1h30m\"");
        let mut rest = text.trim();
        let mut total = Duration::ZERO;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = rest[digits..].trim_start();
            let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let milliseconds = unit(&rest[..letters]).ok_or_else(wrong)?;
            rest = rest[letters..].trim_start();
            let part = number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(wrong)?;
            total = total.checked_add(part).filter(|total| *total <= LONGEST).ok_or_else(wrong)?;
        }
        Ok(Self(total))
    }
}

fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    })
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if rest >= size {
                write!(f, "{}{name}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_shows_what_people_write() {
        for (text, shown) in
            [("10s", "10s"), ("250ms", "250ms"), ("1h30m", "1h30m"), ("90 s", "1m30s"), ("0s", "0s"), ("365d", "365d")]
        {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn refuses_what_has_no_unit_or_no_end() {
        for text in ["", "10", "s", "10 parsecs", "-1s", "99999999999999999999s", "18446744073709551615d", "1s x"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
