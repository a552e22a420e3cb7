//! The file of tombstones, under libFuzzer.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::tombstones(data));
