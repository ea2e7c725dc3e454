//! After a response: the connection goes on, or ends without taking its last answer with it.

use std::task::Poll;
use std::time::Duration;

use super::Server;
use crate::base::alarm::Alarm;
use crate::proxy::http::body::Progress;

/// How much of an unread request body is read and dropped to keep a connection.
pub(super) const DRAIN: u64 = 256 << 10;

/// How long that may take, and how long a closing connection is listened to so that its last answer is not reset away.
const LINGER: Duration = Duration::from_secs(2);

/// How much a closing connection is listened to. A client that sends all it has before it reads, as most do, learns only then
/// why it was refused; dropping what it sends costs next to nothing.
const LINGER_BYTES: usize = 64 << 20;

impl Server {
    /// After a response: reads what is left of the request within bounds. Whether the connection can carry another request.
    pub async fn settle(&mut self, alarm: &Alarm) -> bool {
        if self.aborted || !self.keeps || self.started_at.is_none() {
            return false;
        }
        let mut dropped = Vec::new();
        let mut budget = DRAIN;
        let due = alarm.alarms().after(Some(LINGER));
        std::future::poll_fn(|cx| {
            loop {
                if self.stream.is_read() {
                    return Poll::Ready(true);
                }
                match self.stream.poll_body(cx, &mut dropped, DRAIN as usize) {
                    Poll::Ready(Ok(Progress::Data(count))) if budget > count as u64 => budget -= count as u64,
                    Poll::Ready(Ok(Progress::End)) => return Poll::Ready(true),
                    Poll::Ready(_) => return Poll::Ready(false),
                    Poll::Pending => return alarm.poll(cx, due).map(|()| false),
                }
                dropped.clear();
            }
        })
        .await
    }

    /// Closes: what was answered is delivered, then for a bounded while what still comes is dropped, because a close with
    /// unread input resets the connection and takes the answer with it.
    pub async fn close(mut self, alarm: &Alarm) {
        if self.aborted {
            return;
        }
        let due = alarm.alarms().after(Some(LINGER));
        let mut budget = LINGER_BYTES;
        std::future::poll_fn(|cx| match self.stream.channel.poll_linger(cx, &mut budget) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => alarm.poll(cx, due),
        })
        .await;
    }

    /// Closes a connection on which nothing is under way: inside TLS that is said, so that nobody takes it for a cut.
    pub async fn leave(mut self) {
        std::future::poll_fn(|cx| {
            // What the kernel does not take at once is not waited for.
            let _ = self.stream.channel.poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
    }
}
