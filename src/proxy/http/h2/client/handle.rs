//! What exchanges know of a connection that they share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use h2::client::SendRequest;

use super::pings::Pings;
use crate::base::alarm::{Alarm, Alarms, Moment};
use crate::base::buffers::Buffers;
use crate::proxy::fault::Fault;
use crate::proxy::http::h2::piece::Piece;

/// Streams on one connection at most, whatever the backend allows: with more, one connection is one core's and one loss's.
pub(super) const MOST_STREAMS: usize = 100;

/// A connection that has been silent for longer may be dead: a backend that closes it may be about to say so. One second on the
/// coarse clock, which may be a tick behind.
const SILENT: Duration = Duration::from_millis(900);

/// How long a sign of life may take before the connection's streams are given up.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A connection as the pool keeps it: streams are opened through it. The connection ends when it is dropped and its streams are
/// over.
pub struct Handle {
    pub(super) send: SendRequest<Piece>,
    pub(super) state: Rc<State>,
}

/// How a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It takes streams.
    Open,
    /// It has as many streams as it may.
    Full,
    /// It takes no more streams: the backend said so, or it has ended.
    Over,
}

/// What the connection's task and its streams share.
pub(super) struct State {
    pub(super) alarms: Rc<Alarms>,
    pub(super) buffers: Rc<Buffers>,
    /// What all streams hold of requests' bodies.
    pub(super) held: Rc<Cell<usize>>,
    pub(super) streams: Cell<usize>,
    /// When something was last read.
    pub(super) heard: Cell<Moment>,
    /// Since when it has had no stream.
    pub(super) idle_since: Cell<Moment>,
    pub(super) opened: Moment,
    pub(super) over: Cell<bool>,
    /// It has carried a stream before.
    pub(super) used: Cell<bool>,
    /// Somebody wants to know whether the backend is still there.
    pub(super) asked: Cell<bool>,
    /// Whether it may be asked.
    pub(super) pings: Cell<Pings>,
    /// Who waits to hear from the backend.
    listening: RefCell<Vec<Waker>>,
    /// The connection's task.
    task: RefCell<Option<Waker>>,
}

impl State {
    pub(super) fn new(alarms: &Rc<Alarms>, buffers: &Rc<Buffers>) -> Rc<Self> {
        let now = alarms.now();
        Rc::new(Self {
            alarms: Rc::clone(alarms),
            buffers: Rc::clone(buffers),
            held: Rc::default(),
            streams: Cell::new(0),
            heard: Cell::new(now),
            idle_since: Cell::new(now),
            opened: now,
            over: Cell::new(false),
            used: Cell::new(false),
            asked: Cell::new(false),
            pings: Cell::default(),
            listening: RefCell::default(),
            task: RefCell::default(),
        })
    }

    /// Something was read.
    pub(super) fn hear(&self) {
        self.heard.set(self.alarms.now());
        self.asked.set(false);
        self.tell();
    }

    /// The connection has ended or takes no more streams.
    pub(super) fn end(&self) {
        self.over.set(true);
        self.tell();
    }

    /// Asks the backend for a sign of life, unless that is under way.
    fn ask(&self) {
        if !self.asked.replace(true)
            && let Some(task) = self.task.borrow().as_ref()
        {
            task.wake_by_ref();
        }
    }

    /// A stream that was opened at `opened` has ended without its whole answer: where nothing was heard either, the backend may be
    /// gone. It is asked, or, where it cannot be, gets no more streams.
    pub(super) fn doubt(&self, opened: Moment) {
        if self.over.get() || self.silence() <= SILENT {
            return;
        }
        if self.may_ask() {
            self.ask();
        } else if self.silence().min(self.alarms.now().since(opened)) >= PATIENCE {
            self.end();
        }
    }

    fn silence(&self) -> Duration {
        self.alarms.now().since(self.heard.get())
    }

    fn may_ask(&self) -> bool {
        self.pings.get().may_ask(self.alarms.now())
    }

    /// To be woken when something was read or the connection takes no more streams.
    fn listen(&self, cx: &Context<'_>) {
        let mut listening = self.listening.borrow_mut();
        if !listening.iter().any(|waker| waker.will_wake(cx.waker())) {
            listening.push(cx.waker().clone());
        }
    }

    fn tell(&self) {
        self.listening.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// To be woken when somebody asks.
    pub(super) fn set_task(&self, cx: &Context<'_>) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
    }
}

impl Handle {
    /// How it is.
    pub fn health(&self) -> Health {
        if self.state.over.get() {
            return Health::Over;
        }
        let most = self.send.current_max_send_streams().min(MOST_STREAMS);
        if self.state.streams.get() < most { Health::Open } else { Health::Full }
    }

    /// How many streams it may have at once.
    pub fn capacity(&self) -> usize {
        self.send.current_max_send_streams().min(MOST_STREAMS)
    }

    /// Whether a stream may become a tunnel (RFC 8441 §3).
    pub fn takes_tunnels(&self) -> bool {
        self.send.is_extended_connect_protocol_enabled()
    }

    /// How long it has had no stream; nothing where it has one.
    pub fn idle(&self) -> Option<Duration> {
        (self.state.streams.get() == 0).then(|| self.state.alarms.now().since(self.state.idle_since.get()))
    }

    /// When it was opened.
    pub fn opened(&self) -> Moment {
        self.state.opened
    }

    /// Whether a request is to wait for a sign of life: it cannot be sent again, and the connection may be dead; or another one
    /// waits for it already. A backend that cannot be asked now gets the request all the same.
    pub fn is_doubtful(&self, replayable: bool) -> bool {
        let state = &self.state;
        state.asked.get() || (!replayable && state.silence() > SILENT && state.may_ask())
    }

    /// A probe of the backend: [`Probe::wait`] asks for a sign of life.
    pub fn probe(&self) -> Probe {
        Probe(Rc::clone(&self.state))
    }
}

/// A question whether the backend is still there.
pub struct Probe(Rc<State>);

impl Probe {
    /// Waits, up to `due`, until it has said something or the connection takes no more streams, which is soon where it has not.
    /// What a request has left of its time says nothing of the connection.
    ///
    /// # Errors
    /// [`Fault::ConnectTimeout`] at `due`.
    pub async fn wait(self, alarm: &Alarm, due: Moment) -> Result<(), Fault> {
        let state = self.0;
        state.ask();
        std::future::poll_fn(|cx| {
            if state.over.get() || !state.asked.get() {
                return Poll::Ready(Ok(()));
            }
            state.listen(cx);
            alarm.poll(cx, due).map(|()| Err(Fault::ConnectTimeout))
        })
        .await
    }
}
