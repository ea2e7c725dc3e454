//! New connections to backends. One that may speak HTTP/2 is opened once for all who wait for it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::client::{Idle, Kept, Key, Room, Shared, Wanted};
use super::connection::{Connection, Limits};
use super::dial::dial;
use super::forward::Call;
use crate::base::alarm::{Alarm, Moment};
use crate::proxy::balance::{Endpoint, Protocol};
use crate::proxy::fault::Fault;
use crate::proxy::http::h1::channel::Channel;
use crate::proxy::http::h1::stream::Stream;
use crate::proxy::http::h2::client;
use crate::proxy::io::Io;
use crate::proxy::listen::proxy_protocol::Header;
use crate::proxy::tls::Agreed;

/// How many requests wait for one connection before another is opened, while nothing is known of how many it will carry.
pub(super) const MOST_WAITING: usize = 100;

/// How long a backend that chose HTTP/1.1 is not asked again: it may have learnt HTTP/2 since.
const CHOSEN: Duration = Duration::from_secs(600);

/// A connection that is being opened.
#[derive(Default)]
pub(super) struct Opening {
    waiting: Cell<usize>,
    result: Cell<Option<Result<(), Fault>>>,
    wakers: RefCell<Vec<Waker>>,
}

impl Opening {
    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.get()
    }

    /// Waits for the connection, up to `due`. Cancel-safe: who leaves is counted no more.
    pub(super) async fn wait(&self, alarm: &Alarm, due: Moment) -> Result<(), Fault> {
        let _counted = Counted::among(&self.waiting);
        std::future::poll_fn(|cx| {
            if let Some(result) = self.result.get() {
                return Poll::Ready(result);
            }
            let mut wakers = self.wakers.borrow_mut();
            if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                wakers.push(cx.waker().clone());
            }
            alarm.poll(cx, due).map(|()| Err(Fault::ConnectTimeout))
        })
        .await
    }

    /// It is open or has failed.
    pub(super) fn end(&self, result: Result<(), Fault>) {
        self.result.set(Some(result));
        self.wakers.borrow_mut().drain(..).for_each(Waker::wake);
    }
}

/// One that waits.
struct Counted<'a>(&'a Cell<usize>);

impl<'a> Counted<'a> {
    fn among(waiting: &'a Cell<usize>) -> Self {
        waiting.set(waiting.get() + 1);
        Self(waiting)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Kept {
    /// Whether the backend has chosen HTTP/1.1 so lately that it need not be asked.
    pub(super) fn is_known_for_h1(&self, now: Moment) -> bool {
        self.chose_h1.is_some_and(|chosen| now < chosen.plus(CHOSEN))
    }
}

/// What a connection that took too long is to its exchange.
pub(super) fn late(call: &Call<'_>, fault: Fault) -> Fault {
    let over = call.alarm.alarms().now() >= call.total;
    if fault == Fault::ConnectTimeout && over { Fault::TotalTimeout } else { fault }
}

/// Opens a connection that speaks HTTP/1.1, and offers nothing else: a backend may have learnt HTTP/2 since it was asked.
pub(super) async fn h1(
    room: &Room,
    wanted: &Wanted<'_>,
    (key, alarm): (Key, &Alarm),
    due: Moment,
) -> Result<Box<Connection>, Fault> {
    let (io, _) = dial(wanted.endpoint, (Protocol::Http1, key.header), alarm, due).await?;
    Ok(connection(room, key, wanted.endpoint, io))
}

fn connection(room: &Room, key: Key, endpoint: &Arc<Endpoint>, io: Io) -> Box<Connection> {
    let stream = Stream::new(Channel::new(io, Rc::clone(&room.buffers)));
    Box::new(Connection::new(stream, key, endpoint, (room.next_serial(), room.alarms.now())))
}

/// The task of a connection that may speak HTTP/2: opens it, tells who waits, and drives it to its end.
pub(super) fn shared(
    room: &Rc<Room>,
    wanted: &Wanted<'_>,
    (key, opening): (Key, Rc<Opening>),
    due: Moment,
) -> impl Future<Output = ()> + 'static {
    let (room, endpoint, pool) = (Rc::clone(room), Arc::clone(wanted.endpoint), Arc::clone(wanted.call.pool));
    let limits = Limits::of(&pool);
    async move {
        let opened = open(&room, &endpoint, (pool.protocol, key.header), due).await;
        let mut driven = None;
        let result = opened.map(|opened| {
            let mut all = room.kept.borrow_mut();
            let kept: &mut Kept = all.entry(key).or_default();
            match opened {
                Opened::H1(io) => {
                    kept.chose_h1 = Some(room.alarms.now());
                    let connection = connection(&room, key, &endpoint, io);
                    let until = room.alarms.now().plus(limits.idle);
                    kept.idle.push(Idle { connection, until });
                }
                Opened::H2(handle, connection) => {
                    driven = Some(connection);
                    let endpoint = Arc::clone(&endpoint);
                    kept.shared.push(Shared { handle, endpoint, serial: room.next_serial(), limits });
                }
            }
        });
        room.end_opening(key, &opening, result);
        if let Some(connection) = driven {
            connection.drive().await;
        }
    }
}

/// What a connection turned out to be.
enum Opened {
    H1(Io),
    H2(client::Handle, Box<client::Connection>),
}

async fn open(
    room: &Room,
    endpoint: &Endpoint,
    begins: (Protocol, Option<Header>),
    due: Moment,
) -> Result<Opened, Fault> {
    let alarm = room.alarms.alarm();
    let (io, spoken) = dial(endpoint, begins, &alarm, due).await?;
    if spoken == Agreed::Http1 {
        return Ok(Opened::H1(io));
    }
    let channel = Channel::new(io, Rc::clone(&room.buffers));
    let opened = client::open(channel, (&room.alarms, &room.buffers), due).await;
    // Who accepts and closes at once is not there: nothing was declined.
    let refused = |fault| if fault == Fault::BackendReset { Fault::ConnectFailed } else { fault };
    let (handle, connection) = opened.map_err(refused)?;
    if handle.capacity() == 0 {
        // It takes no request at all, now: not one to wait for, and not a reason to open another.
        return Err(Fault::ConnectFailed);
    }
    Ok(Opened::H2(handle, Box::new(connection)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::alarm::Alarms;
    use std::pin::pin;
    use std::task::{Context, Wake};

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn all_who_wait_learn_what_became_of_it() {
        for result in [Ok(()), Err(Fault::ConnectFailed)] {
            let (opening, alarms) = (Opening::default(), Alarms::start());
            let alarm = alarms.alarm();
            let waker = Arc::new(Nobody).into();
            let mut cx = Context::from_waker(&waker);
            let mut first = pin!(opening.wait(&alarm, Moment::NEVER));
            let mut second = pin!(opening.wait(&alarm, Moment::NEVER));
            for _ in 0..100 {
                assert!(first.as_mut().poll(&mut cx).is_pending() && second.as_mut().poll(&mut cx).is_pending());
            }
            assert_eq!((opening.waiting(), opening.wakers.borrow().len()), (2, 1), "a waker is kept once");
            opening.end(result);
            assert_eq!(first.as_mut().poll(&mut cx), Poll::Ready(result));
            assert_eq!(second.as_mut().poll(&mut cx), Poll::Ready(result));
        }
    }

    #[test]
    fn who_leaves_makes_room_for_another() {
        let (opening, alarms) = (Opening::default(), Alarms::start());
        let alarm = alarms.alarm();
        let mut cx = Context::from_waker(Waker::noop());
        {
            let mut leaves = pin!(opening.wait(&alarm, Moment::NEVER));
            assert!(leaves.as_mut().poll(&mut cx).is_pending());
            assert_eq!(opening.waiting(), 1);
        }
        assert_eq!(opening.waiting(), 0);
        let mut late = pin!(opening.wait(&alarm, alarms.now()));
        assert_eq!(late.as_mut().poll(&mut cx), Poll::Ready(Err(Fault::ConnectTimeout)));
    }

    #[test]
    fn a_backend_of_http_1_is_asked_again_after_a_while() {
        let chosen = Alarms::start().now();
        let kept = Kept { chose_h1: Some(chosen), ..Kept::default() };
        assert!(kept.is_known_for_h1(chosen));
        assert!(!kept.is_known_for_h1(chosen.plus(CHOSEN)));
        assert!(!Kept::default().is_known_for_h1(chosen));
    }
}
