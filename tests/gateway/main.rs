//! The gateway seen from outside: the real binary, real clients, real and scripted backends. One file per theme.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up has failed")]

mod backends;
mod deadlines;
mod demo;
mod first_light;
mod floods;
mod forwarding;
mod http2;
mod http2_ends;
mod limits;
mod observing;
mod readme;
mod refusals;
mod reload;
mod smuggling;
mod startup;
mod support;
