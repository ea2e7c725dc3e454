//! Fuzzes `portcullis_fuzz::h2_fragment`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::h2_fragment::run(bytes));
