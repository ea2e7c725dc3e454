//! The attempts of one request: which endpoint is next, whether there is a next one, and how long that waits.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::asked::{Asked, retry_after};
use super::attempt::HALF_CLOSED;
use super::backend::Broken;
use super::forward::{Call, Trip};
use super::queued::Queued;
use super::repeat::{is_declined, may_repeat};
use crate::base::clock;
use crate::proxy::balance::{Admitted, Asking, Endpoint, Nobody, Retrying};
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
    /// How the last attempt failed.
    failed: Option<Fault>,
    /// When the client closed its sending side, which who gives up waiting does.
    closed: Cell<Option<Instant>>,
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
        Self {
            call,
            replayable,
            tried: Vec::new(),
            same: None,
            uncounted: 0,
            failed: None,
            closed: Cell::new(None),
            permit: None,
        }
    }

    /// Begins the next attempt. Waits, where every backend has as many requests as it may have.
    pub(super) async fn begin<D: Downstream>(&mut self, client: &mut D, trip: &mut Trip) -> Result<Asked, Fault> {
        let now = Instant::now();
        let (admitted, now) = match self.same.take().and_then(|endpoint| self.call.pool.begin_at(&endpoint, now)) {
            Some(admitted) => (admitted, now),
            None => match self.pick(now, trip)? {
                Some(admitted) => (admitted, now),
                // How long it waited says nothing of the backend.
                None => (Box::pin(self.queue(client, now, trip)).await?, Instant::now()),
            },
        };
        Ok(Asked::begin(self.call, admitted, self.permit.take(), now))
    }

    /// An endpoint; none where every one has as many requests as it may have, or others wait for that.
    fn pick(&self, now: Instant, trip: &mut Trip) -> Result<Option<Admitted>, Fault> {
        let pool = self.call.pool;
        let queues = pool.queue.max_requests.is_some() && pool.waiting() > 0;
        if queues { Ok(None) } else { self.try_pick(now, trip) }
    }

    /// An endpoint, as soon as one has room and it is this request's turn.
    async fn queue<D: Downstream>(&self, client: &mut D, now: Instant, trip: &mut Trip) -> Result<Admitted, Fault> {
        let pool = self.call.pool;
        let others = pool.waiting() > 0;
        let place = pool.join_queue().ok_or(Fault::QueueFull)?;
        let _counted = Queued::begin(self.call);
        let end = now + pool.queue.queue_timeout.0;
        // Somebody may have left meanwhile. Who waits already comes first.
        if !others && let Some(admitted) = self.try_pick(now, trip)? {
            return Ok(admitted);
        }
        let mut room = pin!(place.room());
        let mut was_roomy = false;
        loop {
            let look = (Instant::now() + LOOK).min(end);
            let told = self.wait(client, look, room.as_mut()).await?;
            let now = Instant::now();
            if told || now >= end {
                if let Some(admitted) = self.try_pick(now, trip)? {
                    if pool.has_any(&self.asking(now)) {
                        // There is room for another: where a backend has come back, nobody else would say so.
                        place.pass_on();
                    }
                    return Ok(admitted);
                }
                if now >= end {
                    return Err(Fault::QueueTimeout);
                }
                room.set(place.room());
                continue;
            }
            let roomy = pool.has_any(&self.asking(now));
            if roomy && was_roomy {
                // For so long, somebody who was told of it would have taken it.
                place.pass_on();
            }
            was_roomy = roomy;
        }
    }

    /// An endpoint; none where every one has as many requests as it may have.
    fn try_pick(&self, now: Instant, trip: &mut Trip) -> Result<Option<Admitted>, Fault> {
        match self.call.pool.begin(&self.asking(now)) {
            Ok(admitted) => Ok(Some(admitted)),
            Err(Nobody::Full) => Ok(None),
            Err(nobody) => Err(self.turned_away(nobody, trip)),
        }
    }

    /// What the client is told where nobody may be asked: how the last attempt failed, or, without one, why not.
    fn turned_away(&self, nobody: Nobody, trip: &mut Trip) -> Fault {
        self.failed.unwrap_or_else(|| {
            trip.retry_after = nobody.wait();
            nobody.fault()
        })
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
        self.failed = Some(broken.fault);
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
        // The answer that there is must not be given away for none.
        let before = (trip.retries, trip.retried_for, self.permit.is_some());
        let again = self.has_any() && self.retry(client, Fault::BackendStatus, wait, trip).await?;
        if again && !self.has_any() {
            (trip.retries, trip.retried_for, _) = before;
            self.permit = self.permit.take().filter(|_| before.2);
            return Ok(false);
        }
        Ok(again)
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
        if let Some(asked) = asked_to_wait.filter(|_| !pool.has_other(&self.asking(Instant::now()))) {
            if asked > MOST_WAITED {
                return Ok(false);
            }
            pause += asked;
        }
        let end = Instant::now() + pause + retry.max_backoff.0;
        loop {
            self.wait(client, Instant::now() + pause, std::future::pending()).await?;
            self.permit = self.permit.take().or_else(|| pool.begin_retry());
            if self.permit.is_some() {
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

    /// Whether there is somebody to send it to now.
    fn has_any(&self) -> bool {
        self.call.pool.has_any(&self.asking(Instant::now()))
    }

    /// That a request is sent again, which holds for its next attempt too.
    pub(super) fn permit(&mut self) -> &mut Option<Retrying> {
        &mut self.permit
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
                let closed = self.closed.get().unwrap_or_else(Instant::now);
                self.closed.set(Some(closed));
                if gone == Gone::Surely || closed.elapsed() >= HALF_CLOSED {
                    return Poll::Ready(Err(Fault::ClientGone));
                }
                listening = false;
            }
            alarm.poll(cx, total).map(|()| Err(Fault::TotalTimeout))
        })
        .await
    }
}
