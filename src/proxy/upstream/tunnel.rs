//! A tunnel: bytes both ways until both sides have ended, or nothing has moved for too long.

use std::task::{Context, Poll};
use std::time::Duration;

use super::attempt::Begun;
use super::backend::Backend;
use super::forward::{Call, Trip};
use crate::base::alarm::Moment;
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Downstream, Progress};
use crate::proxy::http::h1::channel::MOST_TURNS;
use crate::proxy::http::websocket::{Boundary, GOING_AWAY, GOING_AWAY_MASKED};

/// How long one side may stay silent after the other has ended, where `tunnel_idle` is not shorter.
const HALF_CLOSED: Duration = Duration::from_secs(60);

/// How long the last bytes of a tunnel that is cut may take.
const FAREWELL: Duration = Duration::from_millis(100);

/// Passes bytes on in both directions; the client's response has been started. An end of one side is passed on, and the other may
/// go on. A side that breaks ends the tunnel, and so do `tunnel_idle` without a byte, the exchange's deadline, and a drain that
/// has lasted for what `drain` says once it has begun: both sides are told that the gateway is going away, where no frame of theirs
/// is cut by it.
pub async fn tunnel<D: Downstream>(
    client: &mut D,
    call: &Call<'_>,
    begun: Begun,
    trip: &mut Trip,
    drain: impl Fn() -> Option<Duration>,
) -> Result<(), Fault> {
    let Begun { mut backend, mut asked, .. } = begun;
    let alarms = call.alarm.alarms();
    let mut tunnel = Tunnel::default();
    let mut idle = alarms.after(call.tunnel_idle);
    let (mut cut, mut end) = (Moment::NEVER, Moment::NEVER);
    let result = std::future::poll_fn(|cx| {
        match tunnel.poll(cx, client, &mut backend) {
            Poll::Ready(done) => return Poll::Ready(done),
            Poll::Pending if tunnel.take_moved() => {
                idle = alarms.after(tunnel.silence(call.tunnel_idle));
            }
            Poll::Pending => {}
        }
        if cut == Moment::NEVER
            && let Some(limit) = drain()
        {
            cut = alarms.after(Some(limit));
        }
        let now = alarms.now();
        if now >= cut && end == Moment::NEVER {
            end = alarms.after(Some(FAREWELL));
            tunnel.say_goodbye(client, &mut backend);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let cut = if end == Moment::NEVER { cut } else { end };
        call.alarm.poll(cx, idle.min(cut).min(call.total)).map(|()| match now {
            now if now >= end => Ok(()),
            now if now >= idle => Err(Fault::StreamTimeout),
            _ => Err(Fault::TotalTimeout),
        })
    })
    .await;
    (trip.request_bytes, trip.response_bytes) = (tunnel.up.bytes, tunnel.down.bytes);
    if let Err(fault) = result {
        asked.failed(fault);
        client.abort();
    }
    result
}

/// One direction.
#[derive(Default)]
struct Way {
    bytes: u64,
    frames: Boundary,
    /// Its sender has ended.
    ended: bool,
    /// The end has reached its receiver.
    closed: bool,
}

impl Way {
    /// The last `count` bytes in `room` are to be passed on.
    fn took(&mut self, room: &[u8], count: usize) {
        self.bytes += count as u64;
        self.frames.pass(&room[room.len() - count..]);
    }
}

/// Both directions.
#[derive(Default)]
struct Tunnel {
    up: Way,
    down: Way,
    moved: bool,
    /// The backend takes nothing more, before it has ended its own direction.
    hung_up: bool,
}

impl Tunnel {
    /// Moves what can be moved. Ready when both directions are over, or one broke.
    fn poll<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut D,
        backend: &mut Backend,
    ) -> Poll<Result<(), Fault>> {
        for _ in 0..MOST_TURNS {
            let again = self.poll_up(cx, client, backend)? | self.poll_down(cx, client, backend)?;
            if self.up.closed && self.down.closed {
                return Poll::Ready(if self.hung_up { Err(Fault::BackendReset) } else { Ok(()) });
            }
            if !again {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// From the client to the backend. Whether there may be more at once.
    fn poll_up<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut D,
        backend: &mut Backend,
    ) -> Result<bool, Fault> {
        let way = &mut self.up;
        if way.closed {
            return Ok(false);
        }
        let (full, mut gathered) = (backend.wants() == 0, false);
        while !way.ended && backend.wants() > 0 {
            let limit = backend.wants();
            match client.poll_body(cx, backend.room(), limit) {
                Poll::Ready(Ok(Progress::Data(count))) => {
                    way.took(backend.room(), count);
                    gathered = backend.appended(count);
                }
                Poll::Ready(Ok(Progress::End)) => {
                    (way.ended, self.moved) = (true, true);
                    backend.end_tunnel();
                }
                // Who has been told of the other side's end may leave as it likes.
                Poll::Ready(Err(_)) if self.down.ended => {
                    (way.ended, self.moved) = (true, true);
                    backend.end_tunnel();
                    self.down.closed = true;
                }
                Poll::Ready(Err(_)) => return Err(Fault::ClientGone),
                Poll::Pending => break,
            }
        }
        self.moved |= gathered;
        match backend.poll_flush(cx) {
            Poll::Ready(Ok(())) => way.closed = way.ended,
            Poll::Ready(Err(())) => {
                (way.ended, way.closed) = (true, true);
                // Its last words may have come already: why it hung up, as a rule.
                self.hung_up = !self.down.ended;
            }
            Poll::Pending => return Ok(false),
        }
        Ok(!way.closed && (gathered || full))
    }

    /// From the backend to the client. Whether there may be more at once.
    fn poll_down<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut D,
        backend: &mut Backend,
    ) -> Result<bool, Fault> {
        let way = &mut self.down;
        if way.closed {
            return Ok(false);
        }
        let (full, mut gathered) = (client.wants() == 0, false);
        while !way.ended && client.wants() > 0 {
            let limit = client.wants();
            match backend.poll_body(cx, client.room(), limit) {
                Poll::Ready(Ok(Progress::Data(count))) => {
                    way.took(client.room(), count);
                    client.appended(count);
                    gathered = true;
                }
                Poll::Ready(Ok(Progress::End)) => {
                    // Once it takes nothing more, this says no longer whether it closed or reset: all that it said is here.
                    (way.ended, self.moved, self.hung_up) = (true, true, false);
                    client.finish(None);
                }
                Poll::Ready(Err(_)) if self.up.ended => {
                    (way.ended, self.moved) = (true, true);
                    if !self.hung_up {
                        client.finish(None);
                    }
                    self.up.closed = true;
                }
                Poll::Ready(Err(fault)) => return Err(fault),
                Poll::Pending => break,
            }
        }
        self.moved |= gathered;
        match client.poll_flush(cx) {
            Poll::Ready(Ok(())) => way.closed = way.ended,
            Poll::Ready(Err(_)) if self.up.ended => (way.ended, way.closed) = (true, true),
            Poll::Ready(Err(fault)) => return Err(fault),
            Poll::Pending => return Ok(false),
        }
        Ok(!way.closed && (gathered || full))
    }

    /// Ends both directions, each with a word where it can be said.
    fn say_goodbye<D: Downstream>(&mut self, client: &mut D, backend: &mut Backend) {
        if !self.down.ended {
            if self.down.frames.is_between() {
                client.room().extend_from_slice(&GOING_AWAY);
                client.appended(GOING_AWAY.len());
            }
            client.finish(None);
        }
        if !self.up.ended {
            if self.up.frames.is_between() {
                backend.room().extend_from_slice(&GOING_AWAY_MASKED);
                // A tunnel has no length to exceed.
                let _ = backend.appended(GOING_AWAY_MASKED.len());
            }
            backend.end_tunnel();
        }
        (self.up.ended, self.down.ended) = (true, true);
    }

    /// How long it may be silent from here on.
    fn silence(&self, tunnel_idle: Option<Duration>) -> Option<Duration> {
        let half = (self.up.ended || self.down.ended).then_some(HALF_CLOSED);
        half.into_iter().chain(tunnel_idle).min()
    }

    /// Whether anything has moved, or a side has ended, since this was last asked.
    fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::alarm::Alarms;
    use crate::base::metrics::Label;
    use crate::proxy::balance::{Address, Endpoint};
    use crate::proxy::http::body::Length;
    use crate::proxy::http::h1::server::Server;
    use crate::proxy::http::h1::stream::Stream;
    use crate::proxy::http::h1::testing::plain;
    use crate::proxy::message::Response;
    use crate::proxy::upstream::client::Key;
    use crate::proxy::upstream::connection::Connection;
    use std::sync::Arc;
    use tokio::io::AsyncWriteExt;

    #[test]
    fn a_silence_is_bounded_once_a_side_has_ended() {
        let (long, short) = (Some(Duration::from_secs(3600)), Some(Duration::from_secs(5)));
        let mut tunnel = Tunnel::default();
        assert_eq!([None, long, short].map(|limit| tunnel.silence(limit)), [None, long, short]);
        tunnel.down.ended = true;
        let half = Some(HALF_CLOSED);
        assert_eq!([None, long, short].map(|limit| tunnel.silence(limit)), [half, half, short]);
    }

    #[tokio::test]
    async fn an_end_without_a_byte_is_a_move() {
        for client_ends in [true, false] {
            let ((near, mut client), (far, mut backend)) = (plain(), plain());
            let mut server = Server::new(near);
            server.start(&Response::default(), Length::Tunnel);
            let address = ("unix:b".parse().unwrap(), Address::Unix("b".into()));
            let endpoint = Arc::new(Endpoint::new(address, Label::NONE, None, (&Arc::default(), &Arc::default())));
            let (key, begun) = (Key { endpoint: endpoint.id, header: None }, (0, Alarms::start().now()));
            let mut connection = Connection::new(Stream::new(far), key, &endpoint, begun);
            connection.stream.become_tunnel();
            let (mut tunnel, mut far) = (Tunnel::default(), Backend::H1(Box::new(connection)));
            if client_ends { &mut client } else { &mut backend }.shutdown().await.unwrap();
            std::future::poll_fn(|cx| match tunnel.poll(cx, &mut server, &mut far) {
                Poll::Pending if tunnel.up.ended || tunnel.down.ended => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
                Poll::Ready(done) => panic!("over: {done:?}"),
            })
            .await;
            assert_eq!((tunnel.up.ended, tunnel.take_moved()), (client_ends, true));
            assert!(!tunnel.take_moved());
        }
    }
}
