//! The Prometheus text format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Name and value of the labels of a sample.
pub(super) type Labels<'a> = [(&'static str, &'a str)];

/// What the numbers of a family mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Gets every sample in turn, family by family.
pub(super) trait Visitor {
    /// The samples that follow belong to the family `name`.
    fn family(&mut self, name: &'static str, help: &'static str, kind: Kind);

    /// One value. `suffix` follows the family's name.
    fn sample(&mut self, suffix: &'static str, labels: &Labels<'_>, value: f64);
}

/// Writes what it visits as text.
#[derive(Default)]
pub(super) struct Exposition {
    pub(super) text: String,
    family: &'static str,
}

impl Visitor for Exposition {
    fn family(&mut self, name: &'static str, help: &'static str, kind: Kind) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.family = name;
        for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"] {
            self.text.push_str(part);
        }
    }

    fn sample(&mut self, suffix: &'static str, labels: &Labels<'_>, value: f64) {
        self.text.push_str(self.family);
        self.text.push_str(suffix);
        let mut mark = '{';
        for (name, text) in labels {
            self.text.push(mark);
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(text, &mut self.text);
            self.text.push('"');
            mark = ',';
        }
        if mark == ',' {
            self.text.push('}');
        }
        // Writing to a String cannot fail. Whole numbers come out without a point, which the format allows.
        let _ = match value {
            f64::INFINITY => writeln!(self.text, " +Inf"),
            value => writeln!(self.text, " {value}"),
        };
    }
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

/// Adds up the samples of one metric, apart by the values of certain labels.
pub(super) struct Totals<'a> {
    name: &'a str,
    by: &'a [&'a str],
    family: &'static str,
    pub(super) sums: BTreeMap<Vec<String>, f64>,
}

impl<'a> Totals<'a> {
    pub(super) fn new(name: &'a str, by: &'a [&'a str]) -> Self {
        Self { name, by, family: "", sums: BTreeMap::new() }
    }
}

impl Visitor for Totals<'_> {
    fn family(&mut self, name: &'static str, _help: &'static str, _kind: Kind) {
        self.family = name;
    }

    fn sample(&mut self, suffix: &'static str, labels: &Labels<'_>, value: f64) {
        if self.name.strip_prefix(self.family) != Some(suffix) {
            return;
        }
        let value_of = |wanted: &str| labels.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| *value);
        *self.sums.entry(self.by.iter().map(|name| value_of(name).to_owned()).collect()).or_default() += value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_never_ends_its_line() {
        let mut exposition = Exposition::default();
        exposition.family("x_total", "Some.", Kind::Counter);
        exposition.sample("", &[("a", "q\"\\\n} 1"), ("b", "")], 3.0);
        exposition.sample("", &[], 0.25);
        exposition.sample("", &[], f64::INFINITY);
        assert_eq!(
            exposition.text,
            "# HELP x_total Some.\n# TYPE x_total counter\nx_total{a=\"q\\\"\\\\\\n} 1\",b=\"\"} 3\nx_total 0.25\nx_total +Inf\n"
        );
    }
}
