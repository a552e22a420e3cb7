//! Reading: result columns, and what is made of them.
