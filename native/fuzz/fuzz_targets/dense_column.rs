//! `targets.rs` says what this is.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::dense_column(data));
