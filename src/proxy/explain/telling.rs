//! What has been told so far, and how it ends.

use super::explanation::{Explanation, Kind, Outcome, PassedOver, Says, Verdict};
use crate::base::mode::Mode;
use crate::proxy::fault::Fault;
use crate::proxy::http::answer;
use crate::proxy::message::{Name, Response};
use crate::proxy::route::Lack;

/// The explanation in the making.
#[derive(Debug, Default)]
pub(super) struct Telling {
    pub(super) explanation: Explanation,
    pub(super) observed: Vec<Fault>,
}

/// Why it goes no further.
#[derive(Debug)]
pub(super) enum Stop {
    /// The request is refused.
    Fault(Fault),
    /// There is no request: the reason, as it is counted.
    HungUp(&'static str),
}

/// How it ends where nothing is wrong.
#[derive(Debug)]
pub(super) enum End {
    /// By an answer of the gateway's own.
    Answered { status: u16, location: String },
    /// At a backend of this pool, or of one of several.
    Forwarded { pool: Option<String> },
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl End {
    /// By this answer.
    pub(super) fn of(response: &Response) -> Self {
        let location = response.fields.first(Name::Location).unwrap_or_default();
        Self::Answered { status: response.status, location: String::from_utf8_lossy(location).into_owned() }
    }
}

impl Telling {
    /// Adds what a part of the gateway says.
    pub(super) fn say(&mut self, by: &str, says: Says, why: impl Into<String>) -> &mut Verdict {
        self.explanation.verdicts.push(Verdict { by: by.to_owned(), says, why: why.into(), ..Verdict::default() });
        let last = self.explanation.verdicts.len() - 1;
        &mut self.explanation.verdicts[last]
    }

    pub(super) fn answers(&mut self, by: &str, why: &str) {
        self.say(by, Says::Answers, why);
    }

    pub(super) fn changes(&mut self, by: &str, why: impl Into<String>) {
        self.say(by, Says::Changes, why);
    }

    pub(super) fn refuses(&mut self, by: &str, why: String) {
        self.say(by, Says::Refuses, why);
    }

    /// A part refuses for `fault`.
    pub(super) fn refused(&mut self, by: &str, why: &str, fault: Fault) -> Stop {
        self.say(by, Says::Refuses, why);
        Stop::Fault(fault)
    }

    /// The connection is closed for `fault`, without a word.
    pub(super) fn hang_up(&mut self, by: &str, why: String, fault: Fault) -> Stop {
        self.say(by, Says::Refuses, why);
        Stop::HungUp(fault.reason())
    }

    /// There is no handshake.
    pub(super) fn no_handshake(&mut self, why: String, cause: &'static str) -> Stop {
        self.say("tls", Says::Refuses, why);
        Stop::HungUp(cause)
    }

    /// What a policy in this mode does to what it objects to. Says so; the caller adds why.
    pub(super) fn object(&mut self, fault: Fault, mode: Mode) -> Result<(), Stop> {
        match mode {
            Mode::Enforce => Err(Stop::Fault(fault)),
            Mode::Observe => {
                self.observed.push(fault);
                Ok(())
            }
        }
    }

    /// The whole.
    pub(super) fn ended(self, ended: Result<End, Stop>) -> Explanation {
        let Self { mut explanation, observed } = self;
        let observed = observed.iter().map(|fault| fault.reason().to_owned()).collect();
        let outcome = match ended {
            Ok(End::Answered { status, location }) => {
                Outcome { kind: Kind::Answered, status: Some(status), location, ..Outcome::default() }
            }
            Ok(End::Forwarded { pool }) => {
                Outcome { kind: Kind::Forwarded, pool: pool.unwrap_or_default(), ..Outcome::default() }
            }
            Err(Stop::HungUp(reason)) => {
                Outcome { kind: Kind::HungUp, reason: reason.to_owned(), ..Outcome::default() }
            }
            Err(Stop::Fault(fault)) => refusal(fault),
        };
        explanation.outcome = Outcome { observed, ..outcome };
        explanation
    }
}

/// What a refusal answers.
fn refusal(fault: Fault) -> Outcome {
    let mut response = Response::default();
    answer::refusal(fault, &mut response, &mut Vec::new());
    let proxy_status = response.fields.values(b"proxy-status").next().unwrap_or_default();
    Outcome {
        kind: Kind::Refused,
        status: Some(response.status),
        reason: fault.reason().to_owned(),
        proxy_status: String::from_utf8_lossy(proxy_status).into_owned(),
        ..Outcome::default()
    }
}

/// A route that is passed over for that.
pub(super) fn passed_over(name: &str, lack: Lack) -> PassedOver {
    let lack = match lack {
        Lack::Listener => "listener",
        Lack::Method => "method",
        Lack::Header => "header",
        Lack::Query => "query",
    };
    PassedOver { name: name.to_owned(), lack: lack.to_owned() }
}
