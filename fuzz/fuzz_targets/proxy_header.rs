//! Fuzzes `portcullis_fuzz::proxy_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::proxy_header::run(bytes));
