//! A connection to a backend: opened, driven by its own task, and its end.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::client::Builder;
use h2::{Ping, PingPong};

use super::guard::{Guard, fault_of};
use super::handle::{Handle, MOST_STREAMS, PATIENCE, State};
use super::head::LIMITS;
use super::pings::RARELY;
use crate::base::alarm::{Alarm, Alarms, Moment};
use crate::base::buffers::Buffers;
use crate::proxy::fault::Fault;
use crate::proxy::http::h1::channel::Channel;
use crate::proxy::http::h2::frames::PREFACE;
use crate::proxy::http::h2::piece::Piece;
use crate::proxy::http::h2::wire::{End, Wire};

/// What a backend may send of one body before it is taken.
const STREAM_WINDOW: u32 = 64 << 10;

/// What it may send of all bodies: as much as all streams together, so that no client that reads slowly stops the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MOST_STREAMS as u32;

/// What `h2` reads of an answer's head, so that one over our limit is told from one that is malformed. One over this is no more.
const LARGEST_HEAD: u32 = 2 * LIMITS.fields_size as u32;

/// Streams that were given up and are still known, so that what comes late for them is no error. What `h2` has forgotten counts as
/// the backend's errors, and clients that leave must not add up to the end of a connection that carries others.
const MOST_RESETS: usize = 1_000;

/// How long they are known.
const RESET_MEMORY: Duration = Duration::from_secs(5);

/// What small frames that nobody has read may be short of 256 bytes each, in all: a quarter of a million messages of gRPC for clients
/// that read slowly, whose stop is not to be that of the others.
const SMALL_FRAMES: usize = 64 << 20;

/// A connection with streams and nothing heard for so long is asked for a sign of life.
const SILENCE: Duration = RARELY;

/// How long it may take to give one before it gets no more streams.
const PROBE: Duration = Duration::from_secs(1);

/// How long the backend may take nothing of what is written.
const WRITE_IDLE: Duration = Duration::from_secs(30);

/// A connection, to be driven by a task of its own.
pub struct Connection {
    inner: h2::client::Connection<End<Guard>, Piece>,
    wire: Rc<RefCell<Wire<Guard>>>,
    state: Rc<State>,
    ping: Option<PingPong>,
    alarm: Alarm,
    /// When a sign of life that was asked for is late, and when it will not come any more.
    late: Moment,
    pong: Moment,
    /// When the backend must have taken something of what is written.
    write: Moment,
    sent: u64,
}

/// Opens a connection over `channel`, on which nothing was said yet, before `due`. It is open when the backend has sent its
/// SETTINGS: one that speaks another protocol has got no request then.
///
/// # Errors
/// [`Fault::BackendMalformed`] where it speaks another protocol, [`Fault::BackendReset`] where it closed,
/// [`Fault::ConnectTimeout`] where it took too long.
pub async fn open(
    channel: Channel,
    (alarms, buffers): (&Rc<Alarms>, &Rc<Buffers>),
    due: Moment,
) -> Result<(Handle, Connection), Fault> {
    let wire = Wire::new(channel, Guard::default(), (0, PREFACE));
    let handshake = builder().handshake::<_, Piece>(End(Rc::clone(&wire)));
    let (send, mut inner) = handshake.await.map_err(|error| fault_of(&error))?;
    let state = State::new(alarms, buffers);
    let ping = inner.ping_pong();
    let (alarm, never) = (alarms.alarm(), Moment::NEVER);
    let mut connection = Connection {
        inner,
        wire,
        state: Rc::clone(&state),
        ping,
        alarm,
        late: never,
        pong: never,
        write: never,
        sent: 0,
    };
    std::future::poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.poll_turn(cx) {
            return Poll::Ready(Err(ended.err().unwrap_or(Fault::BackendReset)));
        }
        if connection.wire.borrow().watch.settled {
            return Poll::Ready(Ok(()));
        }
        connection.alarm.poll(cx, due).map(|()| Err(Fault::ConnectTimeout))
    })
    .await?;
    Ok((Handle { send, state }, connection))
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(LARGEST_HEAD)
        .max_concurrent_reset_streams(MOST_RESETS)
        .reset_stream_duration(RESET_MEMORY)
        .max_local_error_reset_streams(None)
        .data_frame_budget(SMALL_FRAMES)
        .max_send_buffer_size(STREAM_WINDOW as usize);
    builder
}

impl Connection {
    /// Moves the connection's bytes until it is over. Streams that are still open then learn of it.
    pub async fn drive(mut self) {
        std::future::poll_fn(|cx| {
            if self.poll_turn(cx).is_ready() || self.poll_clocks(cx).is_ready() {
                self.leave(cx);
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }

    /// Says goodbye, as far as the kernel takes it at once.
    fn leave(&self, cx: &mut Context<'_>) {
        let channel = &mut self.wire.borrow_mut().channel;
        if let Poll::Ready(Ok(())) = channel.poll_flush(cx) {
            let _ = channel.poll_shutdown(cx);
        }
    }

    /// One turn: reads and hands out what has come, takes what the streams have, writes all of it at once.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.wire.borrow_mut().begin(self.state.alarms.now());
        self.state.set_task(cx);
        self.ask(cx);
        let polled = std::pin::Pin::new(&mut self.inner).poll(cx);
        let (heard, leaving) = self.wire.borrow_mut().watch.take_news();
        self.state.pings.set(self.wire.borrow().watch.pings);
        if heard {
            (self.late, self.pong) = (Moment::NEVER, Moment::NEVER);
            self.state.hear();
        }
        if leaving {
            self.state.end();
        }
        if let Poll::Ready(done) = polled {
            self.state.end();
            return Poll::Ready(done.map_err(|error| fault_of(&error)));
        }
        let mut wire = self.wire.borrow_mut();
        let flushed = wire.poll_flush(cx);
        let sent = wire.channel.sent();
        match &flushed {
            Poll::Ready(Ok(())) => self.write = Moment::NEVER,
            Poll::Ready(Err(_)) => {
                self.state.end();
                return Poll::Ready(Err(Fault::BackendReset));
            }
            Poll::Pending if sent > self.sent || self.write == Moment::NEVER => {
                self.write = self.state.alarms.after(Some(WRITE_IDLE));
            }
            Poll::Pending => {}
        }
        self.sent = sent;
        Poll::Pending
    }

    /// Asks for a sign of life where somebody wants one.
    fn ask(&mut self, cx: &mut Context<'_>) {
        let Some(ping) = &mut self.ping else { return };
        while let Poll::Ready(Ok(_)) = ping.poll_pong(cx) {}
        // With a ping under way another one is refused; its answer serves both.
        if self.state.asked.get() && self.pong == Moment::NEVER {
            let _ = ping.send_ping(Ping::opaque());
            self.late = self.state.alarms.after(Some(PROBE));
            self.pong = self.state.alarms.after(Some(PATIENCE));
        }
    }

    /// Ready when the backend has been silent or has taken nothing for too long. Late, it gets no more streams.
    fn poll_clocks(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.state.alarms.now();
        let busy = self.state.streams.get() > 0;
        let silent = if busy { self.state.heard.get().plus(SILENCE) } else { Moment::NEVER };
        if now >= self.pong.min(self.write) {
            self.state.end();
            return Poll::Ready(());
        }
        if now >= self.late {
            self.late = Moment::NEVER;
            self.state.end();
        }
        if now >= silent && self.pong == Moment::NEVER {
            self.state.asked.set(true);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let silent = if self.pong == Moment::NEVER { silent } else { Moment::NEVER };
        let due = self.late.min(self.pong).min(self.write).min(silent);
        self.alarm.poll(cx, due)
    }
}
