//! Fuzzes `portcullis_fuzz::forwarded`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::forwarded::run(bytes));
