//! Fuzzes `portcullis_fuzz::auth`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::auth::run(bytes));
