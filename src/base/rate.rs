//! Rates as people write them: `"100/s"`, `"30/m"`, `"100/minute"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// So many in a unit of time, from a config value: 1 to 1,000,000 per second, minute or hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unit {
    Second,
    Minute,
    Hour,
}

/// The most in one unit of time.
const MOST: u32 = 1_000_000;

impl Rate {
    /// How many in one unit of time.
    pub fn count(self) -> u32 {
        self.count
    }

    /// The unit of time, in seconds.
    pub fn seconds(self) -> u64 {
        match self.unit {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3_600,
        }
    }

    /// From one to the next, rounded up to whole nanoseconds, so that there are never more than the rate says.
    pub fn interval(self) -> Duration {
        Duration::from_nanos((self.seconds() * 1_000_000_000).div_ceil(u64::from(self.count)))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a rate; write a whole number and a unit: \"100/s\", \"30/m\", \"1000/hour\"");
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let digits = count.trim();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let unit = match unit.trim() {
            "s" | "sec" | "second" => Unit::Second,
            "m" | "min" | "minute" => Unit::Minute,
            "h" | "hour" => Unit::Hour,
            unknown => {
                return Err(format!(
                    "`{unknown}` is not a unit of a rate; write one of \"/s\", \"/m\", \"/h\", or in full: \"/minute\""
                ));
            }
        };
        match digits.parse() {
            Ok(0) => Err(format!("`{text}` lets nothing through; write 1 or more, or leave the limit out")),
            Ok(count @ 1..=MOST) => Ok(Self { count, unit }),
            _ => Err(format!("`{text}` is out of range; write a number from 1 to {MOST}")),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => "s",
            Unit::Minute => "m",
            Unit::Hour => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_shows_what_people_write() {
        for (text, shown, interval) in [
            ("100/s", "100/s", 10_000_000),
            ("100/second", "100/s", 10_000_000),
            (" 30 / min ", "30/m", 2_000_000_000),
            ("100/minute", "100/m", 600_000_000),
            ("1/h", "1/h", 3_600_000_000_000),
            ("1000/hour", "1000/h", 3_600_000_000),
            ("1000000/s", "1000000/s", 1_000),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.to_string().as_str(), rate.interval().as_nanos()), (shown, interval), "{text}");
        }
    }

    #[test]
    fn an_interval_is_never_short() {
        for count in [3, 7, 999_999] {
            let rate = Rate { count, unit: Unit::Second };
            assert!(rate.interval() * count >= Duration::from_secs(1), "{rate}");
        }
    }

    #[test]
    fn refuses_what_is_no_rate() {
        for text in
            ["", "100", "/s", "x/s", "-1/s", "+1/s", "0.5/s", "0/s", "1/fortnight", "1/", "1000001/s", "99999999999/s"]
        {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
