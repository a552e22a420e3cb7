//! Reading: result columns, and what is made of them.

pub mod cancel;
pub mod count;
pub mod json;
pub mod selection;
pub mod session;
pub mod view;
