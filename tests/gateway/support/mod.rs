//! The parties of a test and how they meet: the gateway as a process, backends, clients.
//!
//! Nothing sleeps: every wait is for an event, with a deadline after which the test has failed.

pub(crate) mod answer;
pub(crate) mod authority;
pub(crate) mod backend;
pub(crate) mod cases;
pub(crate) mod client;
pub(crate) mod configs;
pub(crate) mod credentials;
pub(crate) mod curl;
pub(crate) mod dns;
pub(crate) mod echo;
pub(crate) mod events;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod haproxy;
pub(crate) mod http2;
pub(crate) mod lines;
pub(crate) mod load;
pub(crate) mod mount;
pub(crate) mod page;
pub(crate) mod patient;
pub(crate) mod peer;
pub(crate) mod process;
pub(crate) mod script;
pub(crate) mod secure;
pub(crate) mod served;
pub(crate) mod servers;
pub(crate) mod stoppable;
pub(crate) mod streams;
pub(crate) mod switched;

use std::time::Duration;

/// How long a test waits for what must happen. Long, since machines are busy; nothing waits for it to pass.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
