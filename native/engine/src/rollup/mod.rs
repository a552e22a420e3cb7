//! Windows over samples: `rate`, `max_over_time` and their like, and the newest sample within a
//! lookback, for one series after the other.
//!
//! A [`Rollup`] says what is to be reckoned at which steps; an [`Evaluator`] does it, on one
//! thread, with memory that it uses again for each series. Only floats are evaluated here: whoever
//! has a series with native histograms gives it to somebody else.
//!
//! | file | functions |
//! |---|---|
//! | [`windows`] | which samples lie in which window |
//! | `rate` | `rate`, `increase`, `delta`, `irate`, `idelta`, `changes`, `resets` |
//! | `regression` | `deriv`, `predict_linear` |
//! | `over_time` | sums, means, variances, `double_exponential_smoothing` |
//! | `extremes` | largest and smallest values, and their times |
//! | `quantile` | `quantile_over_time`, `mad_over_time` |
//! | `aggregate` | `sum`, `avg` and their like, of rows |

mod aggregate;
mod evaluator;
mod extremes;
mod function;
mod kahan;
mod over_time;
mod quantile;
mod rate;
mod regression;
#[cfg(test)]
mod tests;
pub mod windows;

pub use aggregate::{AggregateOp, Aggregation};
pub use evaluator::Evaluator;
use evaluator::Row;
pub use function::{Function, Rollup};
