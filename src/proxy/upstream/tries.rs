//! The attempts of one request: which endpoint is next, whether there is a next one, and how long that waits.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::asked::{Asked, retry_after};
use super::backend::Broken;
use super::forward::{Call, Trip};
use crate::base::clock;
use crate::proxy::balance::{Active, Asking, Endpoint, Nobody, Pool, RetryOn, Retrying};
use crate::proxy::fault::Fault;
use crate::proxy::http::body::{Downstream, Gone};
use crate::proxy::message::Response;

/// How often a request is sent again without that being counted as a retry.
const MOST_UNCOUNTED: u32 = 3;

/// A backend that asks for a longer time is not waited for (`Retry-After`): its answer is passed on.
const MOST_WAITED: Duration = Duration::from_secs(2);

/// How often who waits for a backend with room looks whether one has some without having been told: it may have come back.
const LOOK: Duration = Duration::from_millis(100);

/// The shortest pause between two looks at the budget.
const SHORTEST: Duration = Duration::from_millis(1);

/// What is known of a request that is being sent.
pub(super) struct Tries<'a> {
    call: &'a Call<'a>,
    /// Whether it may be repeated although its backend may have seen it.
    replayable: bool,
    /// Where it was.
    tried: Vec<u64>,
    /// Where it is to go once more.
    same: Option<Arc<Endpoint>>,
    uncounted: u32,
    /// That it may be sent again, until it is.
    permit: Option<Retrying>,
}

/// How a request goes on whose attempt broke.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// At the same endpoint, over a new connection.
    Same,
    /// At another one, whatever the connection.
    Other,
    /// Not at all.
    None,
}

impl<'a> Tries<'a> {
    pub(super) fn new(call: &'a Call<'a>, replayable: bool) -> Self {
        Self { call, replayable, tried: Vec::new(), same: None, uncounted: 0, permit: None }
    }

    /// Begins the next attempt. Waits, where every backend has as many requests as it may have.
    pub(super) async fn begin<D: Downstream>(&mut self, client: &mut D) -> Result<Asked, Fault> {
        let now = Instant::now();
        let most = self.call.pool.queue.max_requests;
        let active = match self.same.take().and_then(|endpoint| endpoint.begin(most)) {
            Some(active) => active,
            None => match self.pick(now)? {
                Some(active) => active,
                None => Box::pin(self.queue(client, now)).await?,
            },
        };
        Ok(Asked::begin(self.call, active, self.permit.take(), now))
    }

    /// An endpoint; none where every one has as many requests as it may have, or others wait for that.
    fn pick(&self, now: Instant) -> Result<Option<Active>, Fault> {
        if self.call.pool.waiting() > 0 { Ok(None) } else { self.try_pick(now) }
    }

    /// An endpoint, as soon as one has room and it is this request's turn.
    async fn queue<D: Downstream>(&self, client: &mut D, now: Instant) -> Result<Active, Fault> {
        let pool = self.call.pool;
        let others = pool.waiting() > 0;
        let place = pool.join_queue().ok_or(Fault::QueueFull)?;
        let _counted = Queued::begin(self.call);
        let end = now + pool.queue.queue_timeout.0;
        // Somebody may have left meanwhile. Who waits already comes first.
        if !others && let Some(active) = self.try_pick(now)? {
            return Ok(active);
        }
        let mut room = pin!(place.room());
        let mut was_roomy = false;
        loop {
            let look = (Instant::now() + LOOK).min(end);
            let told = self.wait(client, look, room.as_mut()).await?;
            let now = Instant::now();
            if told || now >= end {
                if let Some(active) = self.try_pick(now)? {
                    return Ok(active);
                }
                if now >= end {
                    return Err(Fault::QueueTimeout);
                }
                room.set(place.room());
                continue;
            }
            let roomy = pool.pick(&self.asking(now)).is_ok();
            if roomy && was_roomy {
                // For so long, somebody who was told of it would have taken it.
                place.pass_on();
            }
            was_roomy = roomy;
        }
    }

    /// An endpoint; none where every one has as many requests as it may have.
    fn try_pick(&self, now: Instant) -> Result<Option<Active>, Fault> {
        match self.call.pool.begin(&self.asking(now)) {
            Ok(active) => Ok(Some(active)),
            Err(Nobody::Full) => Ok(None),
            Err(Nobody::Absent) => Err(Fault::NoBackend),
        }
    }

    fn asking(&self, now: Instant) -> Asking<'_> {
        Asking { tried: &self.tried, client: self.call.from, request: self.call.request, now }
    }

    /// What follows an attempt at `endpoint` that broke. `resumable`: nothing of the request is lost.
    pub(super) async fn after<D: Downstream>(
        &mut self,
        client: &mut D,
        (endpoint, broken, resumable): (&Arc<Endpoint>, &Broken, bool),
        trip: &mut Trip,
    ) -> Result<Next, Fault> {
        if !(resumable && may_repeat(broken, self.replayable, &self.call.pool.retry.on)) {
            return Ok(Next::None);
        }
        if self.uncounted < MOST_UNCOUNTED && (broken.stale || is_declined(broken)) {
            // Not a failure of the backend, which closed an unused connection or declined in time: not counted as a retry.
            self.uncounted += 1;
            if broken.stale {
                self.same = Some(Arc::clone(endpoint));
                return Ok(Next::Same);
            }
            self.tried.push(endpoint.id);
            return Ok(Next::Other);
        }
        self.tried.push(endpoint.id);
        let again = self.retry(client, broken.fault, None, trip).await?;
        Ok(if again { Next::Other } else { Next::None })
    }

    /// Whether a better answer may be had from another backend.
    pub(super) fn repeats(&self, response: &Response) -> bool {
        response.status >= 400 && self.replayable && self.call.pool.retry.on.statuses.contains(&response.status)
    }

    /// Whether the request is sent again after such an answer of `endpoint`.
    pub(super) async fn after_answer<D: Downstream>(
        &mut self,
        client: &mut D,
        (endpoint, response): (&Arc<Endpoint>, &Response),
        trip: &mut Trip,
    ) -> Result<bool, Fault> {
        self.tried.push(endpoint.id);
        let wait = retry_after(response, clock::now());
        self.retry(client, Fault::BackendStatus, wait, trip).await
    }

    /// Waits for a while, and then until the pool's budget has room. Whether the request is sent again.
    async fn retry<D: Downstream>(
        &mut self,
        client: &mut D,
        why: Fault,
        asked_to_wait: Option<Duration>,
        trip: &mut Trip,
    ) -> Result<bool, Fault> {
        let Call { pool, metrics, .. } = *self.call;
        let retry = &pool.retry;
        if trip.retries >= u32::from(retry.attempts) {
            return Ok(false);
        }
        let mut pause = retry.pause(trip.retries, fastrand::f64());
        if let Some(asked) = asked_to_wait.filter(|_| self.is_alone(pool)) {
            if asked > MOST_WAITED {
                return Ok(false);
            }
            pause += asked;
        }
        let end = Instant::now() + pause + retry.max_backoff.0;
        loop {
            self.wait(client, Instant::now() + pause, std::future::pending()).await?;
            if let Some(permit) = pool.begin_retry() {
                self.permit = Some(permit);
                trip.retries += 1;
                trip.retried_for = Some(why);
                return Ok(true);
            }
            if Instant::now() >= end {
                metrics.retried(pool.label, "over_budget");
                return Ok(false);
            }
            pause = retry.pause(0, fastrand::f64()).max(SHORTEST);
        }
    }

    /// Whether it would be sent to a backend where it was already.
    fn is_alone(&self, pool: &Pool) -> bool {
        pool.pick(&self.asking(Instant::now())).is_ok_and(|endpoint| self.tried.contains(&endpoint.id))
    }

    /// Waits for `event`, but not beyond `end`. Whether it came.
    async fn wait<D: Downstream>(
        &self,
        client: &mut D,
        end: Instant,
        event: impl Future<Output = ()>,
    ) -> Result<bool, Fault> {
        let Call { alarm, total, .. } = *self.call;
        let (mut event, mut slept) = (pin!(event), pin!(tokio::time::sleep_until(end.into())));
        let mut listening = true;
        std::future::poll_fn(|cx| {
            if event.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(true));
            }
            if slept.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(false));
            }
            if listening && let Poll::Ready(gone) = client.poll_gone(cx) {
                if gone == Gone::Surely {
                    return Poll::Ready(Err(Fault::ClientGone));
                }
                listening = false;
            }
            alarm.poll(cx, total).map(|()| Err(Fault::TotalTimeout))
        })
        .await
    }
}

/// A request that waits, for the gauge.
struct Queued<'a>(&'a Call<'a>);

impl<'a> Queued<'a> {
    fn begin(call: &'a Call<'a>) -> Self {
        call.metrics.queued(call.pool.label);
        Self(call)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.metrics.left_queue(self.0.pool.label);
    }
}

/// The backend has certainly done nothing of the request, which it told over HTTP/2 by GOAWAY or a stream refused, or of which a
/// connection of HTTP/1.1 broke before it took a byte.
fn is_declined(broken: &Broken) -> bool {
    broken.unseen && broken.fault == Fault::BackendReset
}

/// Whether another attempt may follow. One that took too long or was answered badly is no reason to ask twice: the backend got
/// the request, and the client would wait twice as long as its route allows.
fn may_repeat(broken: &Broken, replayable: bool, on: &RetryOn) -> bool {
    match broken.fault {
        Fault::ConnectFailed | Fault::ConnectTimeout | Fault::BackendTls(_) => on.connect,
        Fault::BackendReset => broken.unseen || replayable,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKEN: Broken = Broken { fault: Fault::BackendReset, unseen: false, stale: false };

    #[test]
    fn only_what_the_backend_has_not_seen_or_what_is_safe_is_sent_again() {
        let on = RetryOn::default();
        for (broken, replayable, expected) in [
            (BROKEN, false, false),
            (BROKEN, true, true),
            (Broken { stale: true, ..BROKEN }, false, false),
            (Broken { unseen: true, ..BROKEN }, false, true),
            (Broken { fault: Fault::ConnectFailed, ..BROKEN }, false, true),
            (Broken { fault: Fault::ConnectTimeout, ..BROKEN }, false, true),
            (Broken { fault: Fault::ResponseTimeout, ..BROKEN }, true, false),
            (Broken { fault: Fault::BackendMalformed, unseen: true, ..BROKEN }, true, false),
            (Broken { fault: Fault::TotalTimeout, unseen: true, ..BROKEN }, true, false),
        ] {
            assert_eq!(may_repeat(&broken, replayable, &on), expected, "{broken:?}, replayable: {replayable}");
        }
        let on = RetryOn { connect: false, ..on };
        assert!(!may_repeat(&Broken { fault: Fault::ConnectFailed, ..BROKEN }, true, &on));
        assert!(may_repeat(&BROKEN, true, &on));
    }
}
