//! The thread that writes both logs.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use super::event::{Fields, Style, Value};
use super::queue::{Message, Queue};
use super::settings::{Level, Settings, Target};
use super::sink::{News, Sink};
use crate::base::clock;

/// Starts it. What it returns is disconnected when the thread has ended.
pub(super) fn start(
    queue: Arc<Queue>,
    messages: Receiver<Message>,
    events: Box<dyn Write + Send>,
    colour: bool,
) -> io::Result<Receiver<()>> {
    let (running, ended) = channel();
    let (version, settings) = queue.settings();
    let reopens = queue.reopens();
    let access = access_sink(&settings);
    let thread = Thread { queue, messages, version, settings, reopens, events, colour, access, _running: running };
    std::thread::Builder::new().name("log".into()).spawn(move || thread.run())?;
    Ok(ended)
}

struct Thread {
    queue: Arc<Queue>,
    messages: Receiver<Message>,
    version: u64,
    settings: Arc<Settings>,
    reopens: u64,
    events: Box<dyn Write + Send>,
    colour: bool,
    access: Sink,
    _running: Sender<()>,
}

impl Thread {
    fn run(mut self) {
        while let Some(message) = self.next() {
            self.refresh();
            match message {
                Message::Event(line) => self.write_event(&line),
                Message::Access(lines) => self.write_access(&lines),
                Message::Wake => {}
            }
        }
    }

    /// The next message; none when the log was closed and everything is written.
    fn next(&self) -> Option<Message> {
        if self.queue.is_closing() { self.messages.try_recv().ok() } else { self.messages.recv().ok() }
    }

    /// Takes up changed settings and the wish to reopen.
    fn refresh(&mut self) {
        if self.version != self.queue.version() {
            (self.version, self.settings) = self.queue.settings();
            let access = access_sink(&self.settings);
            if self.settings.access.is_some() && access.target() != self.access.target() {
                self.access = access;
            }
        }
        let reopens = self.queue.reopens();
        if self.reopens != reopens {
            self.reopens = reopens;
            self.access.reopen();
        }
    }

    fn write_event(&mut self, line: &[u8]) {
        if self.events.write_all(line).is_err() {
            self.queue.count_dropped(1);
        }
    }

    fn write_access(&mut self, lines: &[u8]) {
        let (dropped, news) = self.access.write(lines, Instant::now());
        if dropped > 0 {
            self.queue.count_dropped(dropped);
        }
        if let Some(news) = news {
            self.tell(news);
        }
    }

    /// Writes an event by itself: through the queue it might be dropped.
    fn tell(&mut self, news: News) {
        let mut fields = Fields::default();
        let level = match news {
            News::Failed(error) => {
                fields.message = "cannot write the access log; its lines are dropped and counted until it can: make \
                                  space or the path writable"
                    .into();
                fields.push("error", Value::Text(error.to_string()));
                Level::Error
            }
            News::Recovered(lost) => {
                fields.message = "the access log is written again".into();
                fields.push("lines_dropped", Value::Bare(lost.to_string()));
                Level::Warn
            }
        };
        let path = match self.access.target() {
            Target::Stdout => "standard output".into(),
            Target::File(path) => path.display().to_string(),
        };
        fields.push("path", Value::Text(path));
        let style = Style { format: self.settings.format, colour: self.colour };
        self.write_event(&fields.line(style, level, clock::now()));
    }
}

fn access_sink(settings: &Settings) -> Sink {
    Sink::new(settings.access.as_ref().map_or(Target::Stdout, |access| access.path.clone()))
}
