//! libFuzzer over the target `prometheus_chunk` (`../src/targets.rs`).
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::prometheus_chunk(data));
