//! What the fuzz targets do, one file each: `run` takes any bytes and panics where the gateway breaks a promise.
//!
//! `fuzz_targets/` hands it libFuzzer's inputs, `tests/corpora/` those of `corpus/`, as part of `tests/run`. The oracles are
//! other readers (hyper, a plain model, a reference written from the grammar), so that a finding is a difference in meaning
//! and not only a crash.

pub mod auth;
pub mod chunked_body;
pub mod config;
pub mod forwarded;
pub mod h2_fragment;
pub mod h2_to_h1;
pub mod host_and_sni;
pub mod message_arena;
pub mod oracle;
pub mod path;
pub mod proxy_header;
pub mod request_head;
pub mod response_head;

/// A target by its name, which its folder in `corpus/` and its file in `fuzz_targets/` have too.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("auth", auth::run),
    ("chunked_body", chunked_body::run),
    ("config", config::run),
    ("forwarded", forwarded::run),
    ("h2_fragment", h2_fragment::run),
    ("h2_to_h1", h2_to_h1::run),
    ("host_and_sni", host_and_sni::run),
    ("message_arena", message_arena::run),
    ("path", path::run),
    ("proxy_header", proxy_header::run),
    ("request_head", request_head::run),
    ("response_head", response_head::run),
];
