//! libFuzzer over the target `wal_replay` (`../src/targets.rs`).
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::wal_replay(data));
