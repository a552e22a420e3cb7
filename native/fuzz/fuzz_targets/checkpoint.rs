//! libFuzzer over the target `checkpoint` (`../src/targets.rs`).
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::checkpoint(data));
