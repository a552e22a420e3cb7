//! Blocks from the head, and what becomes of blocks: planning and retention are pure, flush and
//! rewrite write.

pub mod flush;
pub mod plan;
pub mod retention;
pub mod rewrite;
