//! Keys of an issuer that are fetched: when a token wants them, and beside the exchange.

use std::path::Path;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::Exchange;
use super::aside::Aside;
use crate::proxy::balance::SendProxy;
use crate::proxy::fault::Fault;
use crate::proxy::listen::proxy_protocol::Header;
use crate::proxy::message::{Fields, Response};
use crate::proxy::policy::auth::{Due, Identity, Jwt, Keys, Remote, Unfit};
use crate::proxy::upstream::{self, Call, Timeouts, Trip};
use crate::proxy::worker::Worker;

/// How long fetching may take.
const LONGEST: Duration = Duration::from_secs(5);

/// How large a set of keys may be.
const LARGEST: usize = 1 << 20;

impl Exchange<'_> {
    /// The subject of the token in these fields.
    pub(super) async fn token(&mut self, jwt: &Jwt, fields: &Fields) -> Result<Option<String>, Fault> {
        let mut verified = jwt.verify(fields);
        // What is no token, or a bad one, is no reason to fetch anything.
        if let Some(remote) = jwt.remote().filter(|_| !matches!(verified, Err(Unfit::Bad(_)))) {
            let missed = matches!(verified, Err(Unfit::UnknownKey(_)));
            let waited = self.freshen(remote, missed).await;
            if waited {
                verified = jwt.verify(fields);
            }
        }
        verified.map_err(|unfit| match unfit {
            Unfit::Bad(challenge) | Unfit::UnknownKey(challenge) => self.challenge(challenge),
            Unfit::NoKeys => Fault::AuthUnavailable,
        })
    }

    /// Has keys fetched where that is due. Waits for them only where nothing can be said without; whether it did.
    async fn freshen(&self, remote: &Remote, missed: bool) -> bool {
        // Before it is looked at, so that no end is missed.
        let mut fetched = std::pin::pin!(remote.known.fetched());
        match remote.known.due(self.started, missed) {
            Due::No => return false,
            Due::Now => fetch(&self.connection.worker, remote.clone()),
            Due::Soon => {}
        }
        if remote.known.has_recent(self.started) && !missed {
            return false;
        }
        let due = self.alarm.alarms().after(Some(LONGEST));
        std::future::poll_fn(|cx| match fetched.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => self.alarm.poll(cx, due),
        })
        .await;
        true
    }
}

/// Fetches keys beside everything else. Who waits for them may leave.
fn fetch(worker: &Rc<Worker>, remote: Remote) {
    let settled = Settled(remote.clone());
    let on = Rc::clone(worker);
    let task = async move {
        let settled = settled;
        let fetched = ask(&on, &remote).await;
        if let Some(problem) = remote.known.take(fetched, Instant::now()) {
            tracing::warn!(pool = %remote.pool.name, %problem, "keys cannot be fetched; the last good ones are used on");
        }
        drop(settled);
    };
    worker.asides.start(task, |said| tracing::error!(said, "panicked on fetching keys; this is a bug"));
}

/// A fetch that ends, in whatever way.
struct Settled(Remote);

impl Drop for Settled {
    fn drop(&mut self) {
        self.0.known.settle();
    }
}

async fn ask(worker: &Rc<Worker>, remote: &Remote) -> Result<Keys, String> {
    let (question, alarm) = (remote.question(), worker.alarms.alarm());
    let (mut asking, mut answer, mut trip) = (Aside::asking(LARGEST), Response::default(), Trip::default());
    let limit = Some(LONGEST);
    let call = Call {
        request: &question,
        pool: &remote.pool,
        header: (remote.pool.send_proxy == SendProxy::V2).then_some(Header::Local),
        from: std::net::Ipv4Addr::LOCALHOST.into(),
        timeouts: Timeouts { connect: limit, response: limit, idle: limit },
        body_limit: None,
        body_idle: None,
        write_idle: LONGEST,
        tunnel_idle: None,
        patient: false,
        total: worker.alarms.after(limit),
        alarm: &alarm,
        identity: Identity::none(),
        client: &worker.upstream,
        metrics: &worker.metrics,
    };
    let failed = |fault: Fault| format!("the issuer cannot be asked ({})", fault.reason());
    let begun = upstream::forward(&mut asking, &call, &mut answer, &mut trip).await.map_err(failed)?;
    if answer.status != 200 {
        return Err(format!("the issuer answered with status {}", answer.status));
    }
    upstream::relay(&mut asking, &call, begun, &mut trip).await.map_err(failed)?;
    let body = asking.into_answer();
    Keys::parse(Path::new(&remote.pool.name), &body).map_err(|error| error.to_string())
}
