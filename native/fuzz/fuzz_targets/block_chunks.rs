//! libFuzzer over the target `block_chunks` (`../src/targets.rs`).
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::block_chunks(data));
