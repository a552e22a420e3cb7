//! Blocks from the head, and what becomes of blocks: planning and retention are pure, flush writes.

pub mod clean;
pub mod flush;
pub mod plan;
pub mod retention;
