//! libFuzzer over the target `histogram_chunk` (`../src/targets.rs`).
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::histogram_chunk(data));
