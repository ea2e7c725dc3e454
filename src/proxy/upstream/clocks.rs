//! The deadlines of one exchange: several may run, the earliest is set.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::base::alarm::{Alarm, Moment};
use crate::proxy::fault::Fault;

/// What runs. A clock that does not run is due never.
pub(super) struct Clocks<'a> {
    alarm: &'a Alarm,
    /// Until the client must have sent more of its body.
    pub(super) body: Moment,
    /// Until the client must have taken more of the response.
    pub(super) write: Moment,
    /// Until a client that seems to have left is taken to be gone.
    pub(super) gone: Moment,
    /// Until the backend must have moved.
    pub(super) backend: Moment,
    /// Until the client's body is asked for without the backend's `100 Continue`. Not a deadline.
    pub(super) hold: Moment,
    /// Until the whole exchange must be over.
    total: Moment,
    /// What it is when the backend does not move.
    pub(super) backend_fault: Fault,
}

impl<'a> Clocks<'a> {
    pub(super) fn new(alarm: &'a Alarm, total: Moment) -> Self {
        let never = Moment::NEVER;
        Self {
            alarm,
            body: never,
            write: never,
            gone: never,
            backend: never,
            hold: never,
            total,
            backend_fault: Fault::ResponseTimeout,
        }
    }

    pub(super) fn after(&self, limit: Option<Duration>) -> Moment {
        self.alarm.alarms().after(limit)
    }

    /// Whether the hold has just run out.
    pub(super) fn take_hold(&mut self) -> bool {
        let over = self.alarm.alarms().now() >= self.hold;
        if over {
            self.hold = Moment::NEVER;
        }
        over
    }

    /// Ready with the fault of the first clock that ran out.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Fault> {
        let due = self.body.min(self.write).min(self.gone).min(self.backend).min(self.hold).min(self.total);
        ready!(self.alarm.poll(cx, due));
        let now = self.alarm.alarms().now();
        Poll::Ready(match now {
            now if now >= self.body => Fault::BodyTimeout,
            now if now >= self.write.min(self.gone) => Fault::ClientGone,
            now if now >= self.backend => self.backend_fault,
            _ => Fault::TotalTimeout,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::alarm::Alarms;
    use std::task::Waker;

    #[test]
    fn the_clock_that_ran_out_names_the_fault() {
        let alarms = Alarms::start();
        let alarm = alarms.alarm();
        let (now, cx) = (alarms.now(), Context::from_waker(Waker::noop()));
        let ran_out = |set: fn(&mut Clocks<'_>, Moment)| {
            let mut clocks = Clocks::new(&alarm, Moment::NEVER);
            set(&mut clocks, now);
            clocks.poll(&cx)
        };
        assert!(ran_out(|_, _| ()).is_pending());
        assert_eq!(ran_out(|clocks, now| clocks.body = now), Poll::Ready(Fault::BodyTimeout));
        assert_eq!(ran_out(|clocks, now| clocks.write = now), Poll::Ready(Fault::ClientGone));
        assert_eq!(ran_out(|clocks, now| clocks.gone = now), Poll::Ready(Fault::ClientGone));
        assert_eq!(ran_out(|clocks, now| clocks.backend = now), Poll::Ready(Fault::ResponseTimeout));
        assert_eq!(Clocks::new(&alarm, now).poll(&cx), Poll::Ready(Fault::TotalTimeout));
    }

    #[test]
    fn a_hold_runs_out_once() {
        let alarms = Alarms::start();
        let alarm = alarms.alarm();
        let mut clocks = Clocks::new(&alarm, Moment::NEVER);
        assert!(!clocks.take_hold());
        clocks.hold = alarms.now();
        assert!(clocks.take_hold());
        assert!(!clocks.take_hold());
    }
}
