//! Fuzzes `portcullis_fuzz::message_arena`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcullis_fuzz::message_arena::run(bytes));
