//! Which statuses of an answer are good: `200`, `"200"` or `"200-299"`.

use std::ops::RangeInclusive;

use crate::base::settings::{Node, Scalar, Setting, Shape};

/// What an answer can end with: interim ones (1xx) are none of it.
const STATUSES: RangeInclusive<u16> = 200..=599;

/// One status, or all from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    low: u16,
    high: u16,
}

impl StatusRange {
    /// 2xx and 3xx.
    pub const FINE: Self = Self { low: 200, high: 399 };

    /// Whether `status` is among them.
    pub fn contains(self, status: u16) -> bool {
        (self.low..=self.high).contains(&status)
    }

    fn parse(text: &str) -> Option<Self> {
        let status = |text: &str| {
            let digits = text.trim();
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|status| is_number && STATUSES.contains(status))
        };
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let range = Self { low: status(low)?, high: status(high)? };
        (range.low <= range.high).then_some(range)
    }
}

impl Setting for StatusRange {
    fn shape() -> Shape {
        let text = Shape::Text {
            what: "a status or a range of them",
            example: "200-299",
            pattern: Some(r"^\s*[2-5][0-9]{2}\s*(-\s*[2-5][0-9]{2}\s*)?$|\$\{"),
        };
        Shape::OneOf(vec![text, Shape::Integer((*STATUSES.start()).into(), (*STATUSES.end()).into())])
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        let written = match node.scalar()? {
            Scalar::Integer(number) => number.map(|number| number.to_string()).unwrap_or_default(),
            Scalar::Text(text) | Scalar::Filled(text) => text.into_owned(),
            other => return node.mismatch::<Self, _>(&other),
        };
        let wrong = || {
            let message = format!("`{written}` is not a status or a range of them");
            node.problem(message, "write statuses from 200 to 599: 200, \"200-299\"")
        };
        Self::parse(&written).or_else(wrong)
    }

    fn shown(&self) -> serde_json::Value {
        if self.low == self.high { self.low.into() } else { format!("{}-{}", self.low, self.high).into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_status_or_a_range() {
        for (text, low, high) in [("200", 200, 200), ("200-299", 200, 299), (" 300 - 599 ", 300, 599)] {
            let range = StatusRange::parse(text).unwrap();
            assert!(range.contains(low) && range.contains(high), "{text}");
            assert!(!range.contains(low - 1) && !range.contains(high + 1), "{text}");
        }
        for wrong in ["", "2xx", "199", "600", "299-200", "200-", "-200", "200-299-300", "+200", "200,204"] {
            assert_eq!(StatusRange::parse(wrong), None, "{wrong}");
        }
    }
}
