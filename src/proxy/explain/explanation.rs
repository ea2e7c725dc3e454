//! What is told of a request that was not sent: plain values, which the admin API gives as JSON and the command line shows.
//!
//! Fields may be added; a reader takes what it knows, and what is missing has its default. No value of a header field stands
//! here, neither the asker's nor the config's: it may be a secret.

use serde::{Deserialize, Serialize};

/// What would become of one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Explanation {
    /// The request as the gateway reads it.
    pub request: Request,
    /// Who would take it.
    pub listener: Listener,
    /// The certificate that the client would be shown; none without TLS, or where the handshake would be refused.
    pub certificate: Option<Certificate>,
    /// The route that serves it, where one does and the request gets that far.
    pub route: Option<Route>,
    /// Routes that match host and path and would come first, but for a condition that does not hold.
    pub passed_over: Vec<PassedOver>,
    /// The route that would serve it if the other were not there.
    pub next_route: Option<String>,
    /// What each part of the gateway says to it, in the order in which they are asked. The last one may end it.
    pub verdicts: Vec<Verdict>,
    /// What a backend would get, where the request gets that far.
    pub backend: Option<Backend>,
    /// How it ends.
    pub outcome: Outcome,
}

impl Explanation {
    /// No route has a part in it.
    pub(super) fn forget_route(&mut self) {
        (self.route, self.next_route) = (None, None);
        self.passed_over.clear();
    }
}

/// The request as the gateway reads it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// As it was asked for.
    pub url: String,
    /// The method.
    pub method: String,
    /// Where the connection comes from, or whom its PROXY header names.
    pub from: String,
    /// The client that lists, limits and hashes go by.
    pub client: String,
    /// Whether what the peer says of its client is believed.
    pub trusted_peer: bool,
    /// The host, checked; empty where it is none.
    pub host: String,
    /// The path that routes and policies go by; empty where it is refused.
    pub path: String,
}

/// The listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Why it is this one.
    pub why: String,
    /// Where it accepts connections.
    pub addresses: Vec<String>,
}

/// The certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Certificate {
    /// Its name.
    pub name: String,
    /// What it is good for.
    pub names: String,
    /// Why it is this one.
    pub why: String,
}

/// The route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// Where it stands, `file:line`; empty where that is not known.
    pub place: String,
    /// What of it the request matches, in the order in which it counts.
    pub matched: Vec<String>,
}

/// A route that was passed over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PassedOver {
    /// Its name.
    pub name: String,
    /// What of the request is not as the route has it: `listener`, `method`, `header`, `query`.
    pub lack: String,
}

/// What one part of the gateway says to the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// Which part, by the name of its setting where it has one.
    pub by: String,
    /// What it says.
    pub says: Says,
    /// Why, in a sentence.
    pub why: String,
    /// The bucket of a rate limit.
    pub bucket: Option<Bucket>,
    /// The list of the ACL.
    pub list: Option<List>,
}

/// What a part of the gateway can say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// It goes on.
    #[default]
    Passes,
    /// It goes on, and it or its answer is changed.
    Changes,
    /// It goes on, since the part only observes; it would be refused otherwise.
    WouldRefuse,
    /// It is refused.
    Refuses,
    /// It is answered, without a backend.
    Answers,
    /// What it comes to is left to chance, or not known here.
    Open,
}

/// A bucket of a rate limit, as it is now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bucket {
    /// The limit, as `RateLimit` names it.
    pub limit: String,
    /// What has a bucket of its own.
    pub key: String,
    /// How many requests it lets through.
    pub rate: String,
    /// How many at once after a pause.
    pub burst: u32,
    /// How many are left.
    pub left: u32,
    /// How long the client would be told to wait; none where the request is let through.
    pub wait_seconds: Option<f64>,
}

/// A list of the ACL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct List {
    /// `global`, `rule` or `route`.
    pub of: String,
    /// The path of the rule, where it is one.
    pub path: String,
    /// The network that decides; none where the list has none for the client.
    pub network: Option<String>,
    /// Where that stands, `file:line`; empty where that is not known.
    pub place: String,
    /// Whether the client is denied.
    pub denies: bool,
}

/// What a backend would get.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backend {
    /// The path, and the query.
    pub target: String,
    /// The names of the header fields.
    pub fields: Vec<String>,
    /// The pools of a split; one, where there is none.
    pub pools: Vec<Pool>,
}

/// A pool that the request may go to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its share of a split; 1 without one.
    pub share: u64,
    /// How it chooses.
    pub balance: String,
    /// What the numbers of its candidates are; empty where it goes by weights alone.
    pub score: String,
    /// Its endpoints, up to a hundred.
    pub candidates: Vec<Candidate>,
    /// How many there are beside them.
    pub more: usize,
}

/// An endpoint that the request may go to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Candidate {
    /// As it is written in the config.
    pub url: String,
    /// Where it is.
    pub address: String,
    /// Its weight.
    pub weight: u32,
    /// Whether it is asked only where no other can be.
    pub backup: bool,
    /// In flight now.
    pub active: u32,
    /// Whether nothing keeps requests away from it.
    pub available: bool,
    /// What the algorithm goes by.
    pub score: Option<f32>,
    /// Whether the request would go there.
    pub picked: bool,
}

/// How it ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// In which way.
    pub kind: Kind,
    /// The status of the answer; none where the backend says, or nothing is answered.
    pub status: Option<u16>,
    /// Why it is refused, as in the access log and `refused_total`; empty where it is not.
    pub reason: String,
    /// The `Proxy-Status` of the answer; empty where there is none.
    pub proxy_status: String,
    /// Where it leads, for a redirect.
    pub location: String,
    /// What policies that only observe would have refused it for.
    pub observed: Vec<String>,
    /// The pool, where there is one for certain.
    pub pool: String,
}

/// In which way a request ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It goes to a backend.
    #[default]
    Forwarded,
    /// The gateway answers it.
    Answered,
    /// The gateway refuses it.
    Refused,
    /// The connection is closed without an answer: there is no request.
    HungUp,
}
