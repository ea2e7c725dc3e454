//! A client's HTTP/2 connection: streams in, frames out, its deadlines and its end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::Reason;
use h2::server::{Builder, Connection};

use super::frames::PREFACE;
use super::guard::Guard;
use super::incoming::Incoming;
use super::piece::{Held, Piece};
use super::unseen;
use super::wire::{End, Wire};
use crate::base::alarm::{Alarm, Moment};
use crate::base::buffers::Buffers;
use crate::proxy::fault::Fault;
use crate::proxy::http::h1::channel::Channel;
use crate::proxy::http::h1::head::HeadLimits;

/// What a client may send of one body before it is taken.
const STREAM_WINDOW: u32 = 64 << 10;

/// What it may send of all of them.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Streams that the client reset before they were looked at; more than that at once is an attack.
const MOST_UNSEEN_RESETS: usize = 20;

/// Streams reset for what the client did wrong, over the life of a connection.
const MOST_ERRORS: usize = 256;

/// Streams that we have reset and still know, so that what comes late for them is no error.
const MOST_RESETS: usize = 1_000;

/// What is counted for a field beside its bytes (RFC 9113 §6.5.2).
const PER_FIELD: usize = 32;

/// A head up to so many times our own limits is still read, so that it is refused with a reason and has its line in the log.
/// Beyond it `h2` answers by itself, and four times beyond that it ends the connection.
const READ_BEYOND: usize = 4;

/// How long a connection that is closing is written to and listened to.
const LINGER: Duration = Duration::from_secs(2);

/// How much is dropped meanwhile.
const DRAIN: usize = CONNECTION_WINDOW as usize;

/// What a connection is bounded by.
pub struct Rules<'a> {
    /// Sizes of a request's head.
    pub limits: HeadLimits,
    /// Streams open at once.
    pub streams: u32,
    /// Until the client's first SETTINGS, and from the beginning of a header block to its end.
    pub headers: Duration,
    /// Without an open stream.
    pub keep_alive: Duration,
    /// While the socket takes nothing.
    pub write_idle: Duration,
    /// The connection's alarm.
    pub alarm: &'a Alarm,
    /// Whether the connection is to end once its streams have.
    pub draining: &'a Cell<bool>,
    /// Where buffers come from.
    pub buffers: Rc<Buffers>,
}

/// The connection.
pub struct Server<'a> {
    connection: Connection<End<Guard>, Piece>,
    wire: Rc<RefCell<Wire<Guard>>>,
    rules: Rules<'a>,
    held: Rc<Cell<usize>>,
    clocks: Clocks,
    sent: u64,
    leaving: bool,
    closing: bool,
    refused: Option<Fault>,
}

/// When what has to have happened. What is not waited for is due never.
struct Clocks {
    settings: Moment,
    block: Moment,
    idle: Moment,
    write: Moment,
    end: Moment,
}

impl<'a> Server<'a> {
    /// Waits for the client's preface.
    ///
    /// # Errors
    /// It did not come, and the client went away; or what came was something else, or not in time.
    pub async fn open(channel: Channel, rules: Rules<'a>) -> Result<Self, Option<Fault>> {
        let wire = Wire::new(channel, Guard::default(), (PREFACE, 0));
        let settings = rules.alarm.alarms().after(Some(rules.headers));
        let mut handshake = std::pin::pin!(builder(&rules).handshake(End(Rc::clone(&wire))));
        let connection = std::future::poll_fn(|cx| {
            let polled = handshake.as_mut().poll(cx);
            if let Poll::Ready(Err(_)) = wire.borrow_mut().poll_flush(cx) {
                return Poll::Ready(Err(None));
            }
            match polled {
                Poll::Ready(done) => Poll::Ready(done.map_err(|error| library_fault(&error))),
                Poll::Pending => rules.alarm.poll(cx, settings).map(|()| Err(Some(Fault::HeaderTimeout))),
            }
        });
        let connection = connection.await?;
        let never = Moment::NEVER;
        let clocks = Clocks { settings, block: never, idle: never, write: never, end: never };
        Ok(Self {
            connection,
            wire,
            rules,
            held: Rc::default(),
            clocks,
            sent: 0,
            leaving: false,
            closing: false,
            refused: None,
        })
    }

    /// Begins a turn of the connection's task.
    pub fn begin(&mut self) {
        self.wire.borrow_mut().begin(self.rules.alarm.alarms().now());
    }

    /// The next stream that the client has opened; none when the connection is over.
    pub fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        match ready!(self.connection.poll_accept(cx)) {
            Some(Ok((head, respond))) => {
                let (parts, body) = head.into_parts();
                let (limits, buffers) = (self.rules.limits, Rc::clone(&self.rules.buffers));
                let fragment = self.wire.borrow_mut().watch.unseen.accept(respond.stream_id().into());
                let held = Held::of(&self.held);
                Poll::Ready(Some(Incoming { parts, fragment, body, respond, limits, held, buffers }))
            }
            Some(Err(error)) => {
                self.note(&error);
                Poll::Ready(None)
            }
            None => Poll::Ready(None),
        }
    }

    /// Moves what is open without taking another stream. Ready when the connection is over.
    pub fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let closed = ready!(self.connection.poll_closed(cx));
        if let Err(error) = closed {
            self.note(&error);
        }
        Poll::Ready(())
    }

    /// Ends a turn, after which `streams` are under way: writes what it brought and looks at the clocks. Ready when the
    /// connection is over.
    pub fn poll_end(&mut self, cx: &mut Context<'_>, streams: usize) -> Poll<()> {
        let alarms = Rc::clone(self.rules.alarm.alarms());
        let after = |length| alarms.after(Some(length));
        if let Poll::Ready(Err(_)) = self.poll_flush(cx, after(self.rules.write_idle)) {
            return Poll::Ready(());
        }
        let wire = self.wire.borrow();
        let (within_block, exhausted) = (wire.is_within_block(), wire.watch.exhausted);
        if wire.watch.settled {
            self.clocks.settings = Moment::NEVER;
        }
        drop(wire);
        let now_open = |clock: &mut Moment, running: bool, length| match (running, *clock) {
            (false, _) => *clock = Moment::NEVER,
            (true, Moment::NEVER) => *clock = after(length),
            (true, _) => {}
        };
        now_open(&mut self.clocks.block, within_block, self.rules.headers);
        now_open(&mut self.clocks.idle, streams == 0, if self.leaving { LINGER } else { self.rules.keep_alive });
        if exhausted {
            self.close_with(cx, Reason::ENHANCE_YOUR_CALM, Some(Fault::Http2Flood));
        }
        if self.rules.draining.get() && !self.leaving {
            self.leave(cx);
        }
        self.poll_clocks(cx)
    }

    /// Writes; notes when the socket has to have taken something.
    fn poll_flush(&mut self, cx: &mut Context<'_>, due: Moment) -> Poll<std::io::Result<()>> {
        let mut wire = self.wire.borrow_mut();
        let flushed = wire.poll_flush(cx);
        let sent = wire.channel.sent();
        match &flushed {
            Poll::Ready(_) => self.clocks.write = Moment::NEVER,
            Poll::Pending if sent > self.sent || self.clocks.write == Moment::NEVER => self.clocks.write = due,
            Poll::Pending => {}
        }
        self.sent = sent;
        flushed
    }

    fn poll_clocks(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let clocks = &self.clocks;
        let open = clocks.settings.min(clocks.block).min(clocks.idle);
        // What runs out while the connection is closing changes nothing, and must not keep its end from being waited for.
        let due = clocks.write.min(clocks.end).min(if self.closing { Moment::NEVER } else { open });
        ready!(self.rules.alarm.poll(cx, due));
        let now = self.rules.alarm.alarms().now();
        if now >= clocks.write.min(clocks.end) {
            return Poll::Ready(());
        }
        if now >= clocks.settings {
            self.close_with(cx, Reason::SETTINGS_TIMEOUT, Some(Fault::HeaderTimeout));
        } else if now >= clocks.block {
            self.close_with(cx, Reason::ENHANCE_YOUR_CALM, Some(Fault::HeaderTimeout));
        } else {
            self.close_with(cx, Reason::NO_ERROR, None);
        }
        Poll::Pending
    }

    /// Tells the client to open no more streams; the connection ends with the last of them.
    fn leave(&mut self, cx: &Context<'_>) {
        self.leaving = true;
        self.clocks.idle = Moment::NEVER;
        self.connection.graceful_shutdown();
        cx.waker().wake_by_ref();
    }

    /// Tells the client that the connection is over, whatever is still open.
    fn close_with(&mut self, cx: &Context<'_>, reason: Reason, refused: Option<Fault>) {
        if self.closing {
            return;
        }
        (self.closing, self.leaving) = (true, true);
        self.refused = refused;
        let end = self.rules.alarm.alarms().after(Some(LINGER));
        let never = Moment::NEVER;
        self.clocks = Clocks { settings: never, block: never, idle: never, write: self.clocks.write, end };
        self.connection.abrupt_shutdown(reason);
        cx.waker().wake_by_ref();
    }

    fn note(&mut self, error: &h2::Error) {
        self.refused = self.refused.or_else(|| library_fault(error));
    }

    /// The streams that `h2` has refused by itself since this was last asked.
    pub fn refused_streams(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.wire.borrow_mut().watch.unseen.refused)
    }

    /// Why the client was sent away, where it was.
    pub fn refused(&self) -> Option<Fault> {
        // What we close ourselves says why with the same code.
        self.refused.or(self.wire.borrow().watch.unseen.ended)
    }

    /// Closes. Streams that are still open learn of it at once; what was written is delivered, within bounds.
    pub async fn close(self) {
        let Self { connection, wire, rules, .. } = self;
        drop(connection);
        let due = rules.alarm.alarms().after(Some(LINGER));
        let mut budget = DRAIN;
        std::future::poll_fn(|cx| match wire.borrow_mut().channel.poll_linger(cx, &mut budget) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => rules.alarm.poll(cx, due),
        })
        .await;
    }
}

/// Why `h2` ended the connection, where it was not the client that did.
fn library_fault(error: &h2::Error) -> Option<Fault> {
    error.is_library().then(|| unseen::of_connection(error.reason().unwrap_or(Reason::PROTOCOL_ERROR)))
}

fn builder(rules: &Rules<'_>) -> Builder {
    let limits = rules.limits;
    let list = READ_BEYOND * (limits.fields_size + limits.uri + PER_FIELD * (limits.fields + 8));
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(rules.streams)
        .max_header_list_size(list.try_into().unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(MOST_UNSEEN_RESETS)
        .max_concurrent_reset_streams(MOST_RESETS)
        .max_local_error_reset_streams(Some(MOST_ERRORS))
        .reset_stream_duration(LINGER)
        .enable_connect_protocol()
        .max_send_buffer_size(STREAM_WINDOW as usize);
    builder
}
