//! The names of backends: asked for again and again, so that pools follow their addresses.
//!
//! What was answered well is held until there is another good answer, for as long as the config has the name: a name server
//! that fails, or says that a name is gone, costs nothing that works. Times are the config's, not those of the records:
//! a name server that says "for ten minutes" of a container's address must not hide the next one from us, and one that says
//! "for no time at all" must not have us ask without end.

mod answer;
mod dns;
mod lookup;
mod schedule;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use crate::control::config::Config;
use crate::proxy::balance::{Found, Question, Resolution};
use answer::{Answer, MOST_FOUND};
use dns::Dns;
use schedule::{News, Schedule};

/// How long names that are new may take before a config goes live without their addresses.
const NEW_NAMES: Duration = Duration::from_secs(3);

/// How many names are asked for at once.
const MOST_AT_ONCE: usize = 16;

/// How many addresses are written into one line of the log.
const MOST_TOLD: usize = 16;

type Asked = Pin<Box<dyn Future<Output = (Question, Result<Answer, String>)>>>;

/// The names that the backends of the live config have.
pub struct Names {
    dns: Dns,
    schedule: Schedule,
    running: FuturesUnordered<Asked>,
    untold: Vec<Untold>,
}

/// What is to be logged once it is live.
struct Untold {
    question: Question,
    result: Result<Answer, String>,
    news: News,
    /// How many addresses it had before.
    before: usize,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            dns: Dns::default(),
            schedule: Schedule::new(fastrand::Rng::new()),
            running: FuturesUnordered::new(),
            untold: Vec::new(),
        }
    }
}

impl Names {
    /// Takes up the names of a config and forgets all others. New ones have no addresses until they are answered.
    pub fn follow(&mut self, config: &Config) {
        let wanted = config.pools.iter().flat_map(|pool| {
            let questions = pool.backends.iter().filter_map(|backend| backend.url.question());
            questions.map(|question| (question, pool.resolve.0))
        });
        self.schedule.follow(wanted, Instant::now());
        let servers: Vec<_> = config.server.resolver.iter().map(|server| server.0).collect();
        if self.dns.set_servers(&servers) {
            self.ask_all();
        }
    }

    /// Makes every name due, whatever its interval.
    pub fn ask_all(&mut self) {
        self.schedule.ask_all(Instant::now());
    }

    /// Waits until every name was answered or refused once, or long enough for a config to go live without.
    pub async fn settle(&mut self) {
        let settled = async {
            while !self.schedule.is_settled() {
                self.changed().await;
            }
        };
        // Whatever was not answered by then is asked for meanwhile.
        let _ = tokio::time::timeout(NEW_NAMES, settled).await;
    }

    /// Waits until names have other addresses or other problems. To be awaited all the time, or nothing is asked. Cancel-safe.
    pub async fn changed(&mut self) {
        loop {
            self.begin();
            let mut changed = false;
            // All that have ended by now, so that many changes at once make one snapshot.
            while let Some(Some((question, result))) = self.running.next().now_or_never() {
                changed |= self.ended(question, result);
            }
            if changed {
                return;
            }
            let due = self.schedule.next_due().filter(|_| self.running.len() < MOST_AT_ONCE);
            tokio::select! {
                Some((question, result)) = self.running.next(), if !self.running.is_empty() => {
                    if self.ended(question, result) {
                        return;
                    }
                }
                () = at(due) => {}
            }
        }
    }

    /// The last good answers.
    pub fn resolution(&self) -> Resolution {
        self.schedule.answers().collect()
    }

    /// The names that do not resolve now, and why.
    pub fn problems(&self) -> impl Iterator<Item = (Question, String)> {
        self.schedule.problems()
    }

    /// Asks for what is due.
    fn begin(&mut self) {
        while self.running.len() < MOST_AT_ONCE
            && let Some((question, last)) = self.schedule.begin(Instant::now())
        {
            let asking = self.dns.asking();
            self.running.push(Box::pin(async move {
                let asked = async { asking?.look_up(&question, &last).await };
                // What a stranger answers must not end the process, whatever the library makes of it.
                let result = AssertUnwindSafe(asked).catch_unwind().await;
                let result =
                    result.unwrap_or_else(|_| Err("asking for it panicked: a bug, please report it".to_owned()));
                (question, result)
            }));
        }
    }

    /// Takes up an answer. Whether anything changed for pools or for the status.
    fn ended(&mut self, question: Question, result: Result<Answer, String>) -> bool {
        let before = self.schedule.found(&question).map_or(0, |found| found.len());
        let news = self.schedule.ended(&question, result.clone(), Instant::now());
        let changed = news != News::default();
        if changed {
            self.untold.push(Untold { question, result, news, before });
        }
        changed
    }

    /// Logs what has changed. To be called once it is live, so that whoever reads it can rely on it.
    pub fn tell(&mut self) {
        for Untold { question, result, news, before } in self.untold.drain(..) {
            match result {
                Ok(answer) => tell_answer(&question, &answer, &news),
                Err(problem) => tell_failure(&question, &problem, before),
            }
        }
    }
}

fn tell_failure(question: &Question, problem: &str, addresses: usize) {
    let advice = match addresses {
        0 => "until it resolves its backend gets no requests; check the name, and server.resolver or /etc/resolv.conf",
        _ => "its last addresses serve on; check the name server",
    };
    tracing::warn!(name = question.name, problem, addresses, advice, "backend name does not resolve");
}

fn tell_answer(question: &Question, answer: &Answer, news: &News) {
    let name = &question.name;
    if news.mended {
        tracing::info!(name, addresses = answer.found.len(), "backend name resolves again");
    }
    if !news.changed {
        return;
    }
    tracing::info!(name, addresses = shown(&answer.found), "backend name resolved");
    if answer.undialable > 0 {
        let left_out = answer.undialable;
        tracing::warn!(name, left_out, "backend name has addresses at which nobody can be; check its records");
    }
    if answer.total > MOST_FOUND {
        let (total, taken) = (answer.total, MOST_FOUND);
        tracing::warn!(name, total, taken, "backend name has too many addresses; use several names");
    }
}

fn shown(found: &[Found]) -> String {
    let one = |found: &Found| match found.port {
        Some(port) => std::net::SocketAddr::new(found.address, port).to_string(),
        None => found.address.to_string(),
    };
    let told = found.iter().take(MOST_TOLD).map(one).collect::<Vec<_>>().join(", ");
    match found.len().saturating_sub(MOST_TOLD) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
