//! libFuzzer over the target `saved_files` (`../src/targets.rs`).
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::saved_files(data));
