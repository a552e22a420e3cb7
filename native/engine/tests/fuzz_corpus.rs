//! Every input that a fuzzer ever found worth keeping (`native/fuzz/corpus/<target>/`), through the
//! decoder it was found for, without a fuzzer and on stable Rust.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(clippy::panic, missing_docs, reason = "the targets are written to panic on a mistake")]

use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/targets.rs"]
mod targets;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_kept_input_is_decoded_or_refused() {
    for (target, run) in targets::TARGETS {
        let dir = corpus().join(target);
        let inputs = names(&dir);
        assert!(!inputs.is_empty(), "{target} has no corpus");
        for input in inputs {
            let bytes = std::fs::read(dir.join(&input)).unwrap();
            let outcome = std::panic::catch_unwind(|| run(&bytes));
            assert!(outcome.is_ok(), "{target}/{input}");
        }
    }
}

#[test]
fn every_corpus_has_its_target() {
    for name in names(&corpus()) {
        assert!(targets::TARGETS.iter().any(|(target, _)| *target == name), "{name}");
    }
}

/// Cut anywhere and with any byte changed, some kept inputs are refused or decoded too; those that
/// our own encoders wrote come first, as they lead deepest.
#[test]
fn damaged_inputs_are_decoded_or_refused() {
    for (target, run) in targets::TARGETS {
        let dir = corpus().join(target);
        let mut inputs = names(&dir);
        inputs.sort_by_key(|name| !name.starts_with("seed-"));
        for input in inputs.into_iter().take(20) {
            let bytes = std::fs::read(dir.join(&input)).unwrap();
            let step = (bytes.len() / 40).max(1);
            for at in (0..bytes.len()).step_by(step) {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << (at % 8);
                let outcome = std::panic::catch_unwind(|| {
                    run(&bytes[..at]);
                    run(&changed);
                });
                assert!(outcome.is_ok(), "{target}/{input} changed or cut at {at}");
            }
        }
    }
}
