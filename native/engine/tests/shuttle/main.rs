//! The engine under a scheduler that tries many orders of its threads' steps, with all of its real
//! threads, on a disk in memory: writers, readers, the log, flush, checkpoint, compaction, deletes,
//! retention, the pipeline of a start, and the helpers of a query.
//!
//! `explore.rs` runs a scenario once for each of some seeds, `book.rs` keeps what the writers know
//! and judges what the readers find. With the feature `shuttle` alone: `sync.rs` of the engine says
//! what that does. A lost wake-up or a deadlock ends a run as an error, and so does one that takes
//! more steps than any that gets anywhere.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod book;
mod deleting;
mod evaluating;
mod expiring;
mod explore;
mod losing_power;
mod publishing;
mod saving;
