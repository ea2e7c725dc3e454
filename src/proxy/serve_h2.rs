//! Serves a connection of HTTP/2: every stream's exchange is a future of the connection's one task.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::task::Poll;

use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, future};

use crate::base::alarm::Alarm;
use crate::proxy::connection::Connection;
use crate::proxy::exchange::{self, Caller, Messages};
use crate::proxy::fault::Fault;
use crate::proxy::http::body::Downstream;
use crate::proxy::http::h1::channel::Channel;
use crate::proxy::http::h2::incoming::Incoming;
use crate::proxy::http::h2::server::{Rules, Server};
use crate::proxy::http::h2::turn::Turn;
use crate::proxy::io::Io;
use crate::proxy::message::Version;

/// Serves streams until the connection ends, and the exchanges under way to their ends.
pub async fn http2(connection: &Connection, io: Io, alarm: &Alarm) {
    let worker = &connection.worker;
    let listener = connection.listener();
    let rules = Rules {
        limits: listener.limits,
        streams: listener.h2_streams,
        headers: listener.timeouts.headers.0,
        keep_alive: listener.timeouts.keep_alive.0,
        write_idle: listener.timeouts.write_idle.0,
        alarm,
        draining: &connection.port.draining,
        buffers: Rc::clone(&worker.buffers),
    };
    // A stream that was reset is no longer open, but its exchange may still have to find out.
    let most = listener.h2_streams as usize;
    let mut server = match Server::open(Channel::new(io, Rc::clone(&worker.buffers)), rules).await {
        Ok(server) => server,
        Err(refused) => return refused.into_iter().for_each(|fault| turn_away(connection, fault)),
    };
    let turn = Turn::default();
    let mut streams = FuturesUnordered::new();
    std::future::poll_fn(|cx| {
        server.begin();
        let polled = turn.poll(cx, |cx| {
            let mut over = false;
            while !over && streams.len() < most {
                match server.poll_incoming(cx) {
                    Poll::Ready(Some(incoming)) => streams.push(serve(connection, incoming)),
                    Poll::Ready(None) => over = true,
                    Poll::Pending => break,
                }
            }
            if !over && streams.len() >= most {
                over = server.poll_open(cx).is_ready();
            }
            let full = streams.len() >= most;
            while let Poll::Ready(Some(())) = streams.poll_next_unpin(cx) {}
            if over {
                return Poll::Ready(());
            }
            if full && streams.len() < most {
                cx.waker().wake_by_ref();
            }
            if turn.is_over() { server.poll_end(cx, streams.len()) } else { Poll::Pending }
        });
        for fault in server.refused_streams() {
            turn_away(connection, fault);
        }
        polled
    })
    .await;
    if let Some(fault) = server.refused() {
        turn_away(connection, fault);
    }
    // The exchanges learn that their streams are gone; each still has its line to write.
    future::join(server.close(), async { while streams.next().await.is_some() {} }).await;
}

/// Tells of a stream or of the connection itself, which `h2` or we have ended before there was a request.
fn turn_away(connection: &Connection, fault: Fault) {
    let caller = Caller {
        client: connection.ends.peer.ip(),
        listener: &connection.port.listener,
        protocol: Version::Http2.as_str(),
        tls: connection.tls.as_ref().map(|tls| tls.version),
    };
    exchange::refused(&connection.worker, &caller, fault);
}

/// Runs one stream's exchange. A panic costs the stream and nothing else.
async fn serve(connection: &Connection, incoming: Incoming) {
    let worker = &connection.worker;
    let mut set = worker.spare.take(&worker.alarms);
    let (mut stream, arrived) = incoming.read(&mut set.request);
    let listener = connection.listener();
    let messages = Messages { request: &mut set.request, response: &mut set.response };
    let exchange = exchange::exchange(connection, &listener, &mut stream, messages, (&set.alarm, arrived));
    if AssertUnwindSafe(exchange).catch_unwind().await.is_err() {
        worker.metrics.panicked();
        tracing::error!("panicked; this is a bug, and it has cost one stream");
        return stream.abort();
    }
    worker.spare.give(set);
}
