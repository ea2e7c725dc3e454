//! Fuzzes `portcullis_fuzz::h2_to_h1`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::h2_to_h1::run(bytes));
