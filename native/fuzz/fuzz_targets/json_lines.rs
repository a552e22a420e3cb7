//! libFuzzer over the target `json_lines` (`../src/targets.rs`).
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::json_lines(data));
