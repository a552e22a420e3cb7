//! Other systems' files, read and written without them.

pub mod prometheus;
