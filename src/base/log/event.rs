//! The event log: `tracing` events as lines on standard error.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use super::escape;
use super::queue::{Message, Queue};
use super::settings::{Format, Level, Settings};
use super::stamp::Stamp;
use crate::base::clock;

/// The most fields of one event that are written.
const MOST_FIELDS: usize = 32;

/// How a line is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) format: Format,
    /// Colours, for text on a terminal.
    pub(super) colour: bool,
}

/// What `tracing` hands its events to. Knows no spans: the code has none, and those of libraries are not asked for.
pub(super) struct Events {
    queue: Arc<Queue>,
    colour: bool,
}

impl Events {
    pub(super) fn new(queue: Arc<Queue>, colour: bool) -> Self {
        Self { queue, colour }
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let (_, settings) = self.queue.settings();
        metadata.is_event() && *metadata.level() <= most_detailed(&settings, is_ours(metadata))
    }
}

/// Libraries speak up from `warn`; below that only where everything is asked for.
fn most_detailed(settings: &Settings, ours: bool) -> LevelFilter {
    match settings.level {
        Level::Error => LevelFilter::ERROR,
        Level::Trace => LevelFilter::TRACE,
        _ if !ours => LevelFilter::WARN,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"))
}

impl Subscriber for Events {
    /// Decided once for each place in the code; [`super::Log::configure`] has it decided anew.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(most_detailed(&self.queue.settings().1, true))
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if !is_ours(event.metadata()) {
            fields.push("target", Value::Text(event.metadata().target().to_owned()));
        }
        let style = Style { format: self.queue.settings().1.format, colour: self.colour };
        let line = fields.line(style, level_of(event.metadata()), clock::now());
        if let Some(line) = self.queue.send(Message::Event(line), 1) {
            // The log thread has ended: these are the last words of the process.
            let _ = std::io::stderr().write_all(&line);
        }
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
    fn enter(&self, _span: &span::Id) {}
    fn exit(&self, _span: &span::Id) {}
}

fn level_of(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}

/// The value of a field.
#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    /// A number or truth value, as both formats write it.
    Bare(String),
}

/// The message and fields of one event.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) message: String,
    values: Vec<(&'static str, Value)>,
}

impl Fields {
    pub(super) fn push(&mut self, name: &'static str, value: Value) {
        match value {
            Value::Text(text) if name == "message" => self.message = text,
            value if self.values.len() < MOST_FIELDS => self.values.push((name, value)),
            _ => {}
        }
    }

    /// The finished line.
    pub(super) fn line(&self, style: Style, level: Level, time: SystemTime) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        match style.format {
            Format::Text => self.text(style.colour, level, time, &mut out),
            Format::Json => self.json(level, time, &mut out),
        }
        out.push(b'\n');
        out
    }

    fn text(&self, colour: bool, level: Level, time: SystemTime, out: &mut Vec<u8>) {
        let (name, paint) = match level {
            Level::Error => ("ERROR", "\x1b[31m"),
            Level::Warn => ("WARN ", "\x1b[33m"),
            Level::Info => ("INFO ", "\x1b[32m"),
            Level::Debug => ("DEBUG", "\x1b[34m"),
            Level::Trace => ("TRACE", "\x1b[35m"),
        };
        let (paint, dim, plain) = if colour { (paint, "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        Stamp::default().rfc3339(time, out);
        // Writing to a Vec cannot fail.
        let _ = write!(out, " {paint}{name}{plain} ");
        escape::message(&self.message, out);
        for (name, value) in &self.values {
            let _ = write!(out, " {dim}{name}={plain}");
            match value {
                Value::Text(text) => escape::value(text, out),
                Value::Bare(text) => out.extend_from_slice(text.as_bytes()),
            }
        }
    }

    fn json(&self, level: Level, time: SystemTime, out: &mut Vec<u8>) {
        let name = match level {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        };
        out.extend_from_slice(b"{\"ts\":\"");
        Stamp::default().rfc3339(time, out);
        let _ = write!(out, "\",\"level\":\"{name}\",\"msg\":");
        escape::json(self.message.as_bytes(), out);
        for (name, value) in &self.values {
            out.push(b',');
            // A field never takes the place of the three that every line has.
            let own = if matches!(*name, "ts" | "level" | "msg") { "_" } else { "" };
            let _ = write!(out, "\"{name}{own}\":");
            match value {
                Value::Text(text) => escape::json(text.as_bytes(), out),
                Value::Bare(text) => out.extend_from_slice(text.as_bytes()),
            }
        }
        out.push(b'}');
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field.name(), Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field.name(), Value::Text(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field.name(), Value::Bare(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field.name(), Value::Bare(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field.name(), Value::Bare(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = value.to_string();
        // JSON has no infinity and no NaN.
        self.push(field.name(), if value.is_finite() { Value::Bare(text) } else { Value::Text(text) });
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn fields() -> Fields {
        let mut fields = Fields::default();
        fields.push("message", Value::Text("listening\nforged".into()));
        fields.push("listener", Value::Text("web \"1\"\r\n\x1b[31m".into()));
        fields.push("port", Value::Bare("8443".into()));
        fields.push("level", Value::Text("é".into()));
        fields
    }

    fn line(format: Format, colour: bool) -> String {
        let time = UNIX_EPOCH + Duration::from_millis(1_709_210_096_007);
        String::from_utf8(fields().line(Style { format, colour }, Level::Info, time)).unwrap()
    }

    #[test]
    fn text_is_one_line_for_people() {
        assert_eq!(
            line(Format::Text, false),
            "2024-02-29T12:34:56.007Z INFO  listening\\u{a}forged listener=\"web \\\"1\\\"\\u{d}\\u{a}\\u{1b}[31m\" \
             port=8443 level=é\n"
        );
        assert!(line(Format::Text, true).contains(" \x1b[32mINFO \x1b[0m listening"));
    }

    #[test]
    fn json_is_flat() {
        let line: serde_json::Value = serde_json::from_str(&line(Format::Json, true)).unwrap();
        let expected = serde_json::json!({
            "ts": "2024-02-29T12:34:56.007Z", "level": "info", "msg": "listening\nforged",
            "listener": "web \"1\"\r\n\u{1b}[31m", "port": 8443, "level_": "é",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn libraries_are_quiet_below_warn() {
        let at = |level| Settings { level, ..Settings::default() };
        assert_eq!(most_detailed(&at(Level::Debug), true), LevelFilter::DEBUG);
        assert_eq!(most_detailed(&at(Level::Debug), false), LevelFilter::WARN);
        assert_eq!(most_detailed(&at(Level::Error), false), LevelFilter::ERROR);
        assert_eq!(most_detailed(&at(Level::Trace), false), LevelFilter::TRACE);
    }
}
