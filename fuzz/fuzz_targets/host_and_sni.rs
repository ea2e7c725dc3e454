//! Fuzzes `portcullis_fuzz::host_and_sni`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::host_and_sni::run(bytes));
