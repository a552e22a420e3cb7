//! Reading: result columns, and what is made of them.

pub mod cardinality;
pub mod count;
pub mod evaluate;
pub mod exponential;
pub mod json;
pub mod json_lines;
pub mod packed;
mod reader;
pub mod selection;
pub mod session;
pub mod threads;
pub mod view;
pub mod watch;

pub use crate::cancel;
