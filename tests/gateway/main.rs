//! The gateway seen from outside: the real binary, real clients, real and scripted backends. One file per theme.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod aborts;
mod backends;
mod deadlines;
mod demo;
mod first_light;
mod floods;
mod forwarding;
mod http2;
mod http2_ends;
mod large;
mod limits;
mod observing;
mod readme;
mod refusals;
mod reload;
mod reuse;
mod smuggling;
mod startup;
mod support;
