//! libFuzzer over the target `wal_record` (`../src/targets.rs`).
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| metricstor_fuzz::wal_record(data));
