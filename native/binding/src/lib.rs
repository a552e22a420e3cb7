//! The add-on: the engine's verbs for Node, and what else is too slow there.
//!
//! ```text
//! admin.rs      deletes
//! engine.rs     class Engine: one method per verb
//! session.rs    class Session and Selection: one query's reading, synchronous
//! rollup.rs     windows evaluated over a selection, and what is added up at once
//! registry.rs   open engines and cancel tokens of this process, so that worker threads attach
//! export.rs     class JsonExport: an export as text, piece by piece
//! compress.rs   answers, compressed
//! tools.rs     verbs over directories; snapshots, imports and exports of an open engine
//! settle.rs     engine callbacks to promises
//! error.rs      engine errors to JS errors with a code
//! guard.rs      a reader's panic becomes an error
//! columns.rs    typed arrays in and out
//! ```

#![allow(clippy::needless_pass_by_value, reason = "napi-rs hands arguments over by value")]

mod admin;
mod columns;
mod compress;
mod engine;
mod error;
mod export;
mod guard;
mod registry;
mod rollup;
mod session;
mod settle;
mod tools;
