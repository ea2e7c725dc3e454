//! Times in log lines, always UTC. The calendar is worked out once a second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

/// Writes times; remembers the last second.
#[derive(Clone, Debug, Default)]
pub(super) struct Stamp {
    second: Option<u64>,
    rfc3339: String,
    common: String,
}

impl Stamp {
    /// RFC 3339 with milliseconds: `2026-11-21T01:57:47.123Z`.
    pub(super) fn rfc3339(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        let since = self.turn_to(time);
        out.extend_from_slice(self.rfc3339.as_bytes());
        out.push(b'.');
        let milliseconds = since.subsec_millis();
        out.extend([100, 10, 1].map(|place| b'0' + (milliseconds / place % 10) as u8));
        out.push(b'Z');
    }

    /// As the common log format has it: `21/Nov/2026:01:57:47 +0000`.
    pub(super) fn common(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        self.turn_to(time);
        out.extend_from_slice(self.common.as_bytes());
    }

    fn turn_to(&mut self, time: SystemTime) -> Duration {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            let t = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
            let (year, month, day) = t.to_calendar_date();
            let (hour, minute, second) = t.to_hms();
            let number = u8::from(month);
            let name = &month_name(number);
            self.rfc3339 = format!("{year:04}-{number:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
            self.common = format!("{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000");
        }
        since
    }
}

fn month_name(number: u8) -> &'static str {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    NAMES.get(usize::from(number.saturating_sub(1))).copied().unwrap_or("Jan")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_follow_the_clock() {
        let mut stamp = Stamp::default();
        let mut shown = |milliseconds: u64| {
            let time = UNIX_EPOCH + Duration::from_millis(milliseconds);
            let mut out = Vec::new();
            stamp.rfc3339(time, &mut out);
            out.push(b' ');
            stamp.common(time, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(1_709_210_096_007), "2024-02-29T12:34:56.007Z 29/Feb/2024:12:34:56 +0000");
        assert_eq!(shown(1_709_210_096_999), "2024-02-29T12:34:56.999Z 29/Feb/2024:12:34:56 +0000");
        assert_eq!(shown(0), "1970-01-01T00:00:00.000Z 01/Jan/1970:00:00:00 +0000");
    }
}
