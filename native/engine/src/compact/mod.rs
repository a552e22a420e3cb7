//! What becomes of blocks: which window a sample is flushed into, and which blocks have expired.
//! The decisions are pure functions of times and descriptions; nothing here touches a disk.

pub mod plan;
pub mod retention;
