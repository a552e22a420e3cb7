//! Series by label: matchers, postings, and the two indexes that hold them (the head's in memory,
//! a block's in a file).

pub mod file;
pub mod go_regex;
pub mod label_regex;
pub mod matcher;
pub mod memory;
mod pattern;
pub mod postings;
pub mod select;
pub mod symbols;
