//! Reading: a query's view of the store, its selections, and results as text.

pub mod cancel;
pub mod json;
pub mod label_order;
pub mod selection;
pub mod session;
pub mod view;
