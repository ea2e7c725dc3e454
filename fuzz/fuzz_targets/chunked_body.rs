//! Fuzzes `portcullis_fuzz::chunked_body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::chunked_body::run(bytes));
