//! libFuzzer over the target `write_batch` (`../src/targets.rs`).
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::write_batch(data));
