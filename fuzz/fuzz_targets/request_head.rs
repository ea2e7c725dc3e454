//! Fuzzes `portcullis_fuzz::request_head`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::request_head::run(bytes));
