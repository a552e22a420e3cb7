//! libFuzzer over the target `go_regex` (`../src/targets.rs`).
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::regex(data));
