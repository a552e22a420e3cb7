//! Label matchers.
//!
/// Placeholder until index lands.
#[derive(Debug, Clone)]
pub struct Matcher;
