//! libFuzzer over the target `index_open` (`../src/targets.rs`).
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::index_open(data));
