//! The gateway seen from outside: the real binary, real clients, real and scripted backends. One file per theme.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod aborts;
mod backends;
mod churn;
mod deadlines;
mod demo;
mod first_light;
mod floods;
mod forwarding;
mod http2;
mod http2_ends;
mod idle;
mod keys;
mod keys_certificates;
mod keys_logs;
mod keys_process;
mod large;
mod limits;
mod listeners;
mod observing;
mod outage;
mod proxy_protocol;
mod readme;
mod reasons;
mod refusals;
mod reload;
mod reload_refused;
mod reuse;
mod sharing;
mod smuggling;
mod startup;
mod support;
mod unix_sockets;
mod upstream_tls;
mod websocket;
mod websocket_ends;
