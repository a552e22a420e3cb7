//! Reading: result columns, and what is made of them.

pub mod cancel;
pub mod cardinality;
pub mod count;
pub mod exponential;
pub mod json;
pub mod json_lines;
pub mod packed;
pub mod selection;
pub mod session;
pub mod view;
