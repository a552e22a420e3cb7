//! libFuzzer over the target `labels` (`../src/targets.rs`).
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::labels(data));
