//! libFuzzer over the target `block_meta` (`../src/targets.rs`).
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::block_meta(data));
