//! What is to be reckoned: a function, its other arguments, and the windows.

use super::rate::RateKind;
use super::windows::Windows;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::run::Needs;
use crate::sync::Arc;

/// The functions, by their names in PromQL unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `value`: of an instant selector.
    Value,
    /// `timestamp` of an instant selector, in seconds.
    Timestamp,
    /// `rate`.
    Rate,
    /// `increase`.
    Increase,
    /// `delta`.
    Delta,
    /// `irate`.
    Irate,
    /// `idelta`.
    Idelta,
    /// `changes`.
    Changes,
    /// `resets`.
    Resets,
    /// `deriv`.
    Deriv,
    /// `predict_linear`: seconds ahead, and the evaluation time in milliseconds.
    PredictLinear,
    /// `avg_over_time`.
    Avg,
    /// `sum_over_time`.
    Sum,
    /// `min_over_time`.
    Min,
    /// `max_over_time`.
    Max,
    /// `count_over_time`.
    Count,
    /// `present_over_time`.
    Present,
    /// `last_over_time`.
    Last,
    /// `first_over_time`.
    First,
    /// `ts_of_last_over_time`.
    TimeOfLast,
    /// `ts_of_first_over_time`.
    TimeOfFirst,
    /// `ts_of_max_over_time`.
    TimeOfMax,
    /// `ts_of_min_over_time`.
    TimeOfMin,
    /// `stddev_over_time`.
    Stddev,
    /// `stdvar_over_time`.
    Stdvar,
    /// `quantile_over_time`: the quantile.
    Quantile,
    /// `mad_over_time`.
    Mad,
    /// `double_exponential_smoothing`: smoothing factor and trend factor.
    Smoothing,
}

const NAMES: [(&str, Function); 28] = [
    ("value", Function::Value),
    ("timestamp", Function::Timestamp),
    ("rate", Function::Rate),
    ("increase", Function::Increase),
    ("delta", Function::Delta),
    ("irate", Function::Irate),
    ("idelta", Function::Idelta),
    ("changes", Function::Changes),
    ("resets", Function::Resets),
    ("deriv", Function::Deriv),
    ("predict_linear", Function::PredictLinear),
    ("avg_over_time", Function::Avg),
    ("sum_over_time", Function::Sum),
    ("min_over_time", Function::Min),
    ("max_over_time", Function::Max),
    ("count_over_time", Function::Count),
    ("present_over_time", Function::Present),
    ("last_over_time", Function::Last),
    ("first_over_time", Function::First),
    ("ts_of_last_over_time", Function::TimeOfLast),
    ("ts_of_first_over_time", Function::TimeOfFirst),
    ("ts_of_max_over_time", Function::TimeOfMax),
    ("ts_of_min_over_time", Function::TimeOfMin),
    ("stddev_over_time", Function::Stddev),
    ("stdvar_over_time", Function::Stdvar),
    ("quantile_over_time", Function::Quantile),
    ("mad_over_time", Function::Mad),
    ("double_exponential_smoothing", Function::Smoothing),
];

/// All there are.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = Function> {
    NAMES.iter().map(|(_, function)| *function)
}

impl Function {
    /// The function of a name.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
    }

    /// How many arguments it has besides the range: each has a value a step.
    pub fn parameters(self) -> usize {
        match self {
            Self::PredictLinear | Self::Smoothing => 2,
            Self::Quantile => 1,
            _ => 0,
        }
    }

    pub(super) fn rate_kind(self) -> Option<RateKind> {
        match self {
            Self::Rate => Some(RateKind { counter: true, per_second: true }),
            Self::Increase => Some(RateKind { counter: true, per_second: false }),
            Self::Delta => Some(RateKind { counter: false, per_second: false }),
            _ => None,
        }
    }

    /// Whether stale markers are left out; a lookback that finds one has no value.
    pub(super) fn drops_stale(self) -> bool {
        !matches!(self, Self::Value | Self::Timestamp)
    }

    /// What it looks at: those that give times or count samples never see a value.
    fn needs(self) -> Needs {
        match self {
            Self::Timestamp
            | Self::Count
            | Self::Present
            | Self::TimeOfFirst
            | Self::TimeOfLast => Needs::Staleness,
            _ => Needs::Values,
        }
    }
}

/// See the front page.
#[derive(Debug, Clone)]
pub struct Rollup {
    pub(super) function: Function,
    pub(super) windows: Windows,
    /// The arguments one after the other, a value a step.
    parameters: Vec<f64>,
    pub(super) cancel: Cancel,
    /// What is evaluated with it, from the same samples: its cells follow in a row.
    pub(super) next: Option<Arc<Rollup>>,
}

impl Rollup {
    /// `parameters` has each argument's values at all steps, one argument after the other. Once
    /// `cancel` is set, rows are of no use.
    ///
    /// # Errors
    /// `internal` when they are of another length.
    pub fn new(
        function: Function,
        windows: Windows,
        parameters: Vec<f64>,
        cancel: Cancel,
    ) -> Result<Self> {
        let want = function.parameters() * windows.steps;
        if parameters.len() != want {
            let got = parameters.len();
            return Err(Error::internal(format!("{function:?}: {got} parameters, want {want}")));
        }
        Ok(Self { function, windows, parameters, cancel, next: None })
    }

    /// The same with another one, so that samples are decoded once for both: a row has the cells of
    /// this one, and those of `next` behind them.
    #[must_use]
    pub fn followed_by(self, next: Arc<Self>) -> Self {
        Self { next: Some(next), ..self }
    }

    /// Number of windows, those of all that follow included: cells of a row.
    pub fn steps(&self) -> usize {
        self.windows.steps + self.next.as_ref().map_or(0, |next| next.steps())
    }

    /// What it needs to know of values.
    pub fn needs(&self) -> Needs {
        match (self.function.needs(), &self.next) {
            (Needs::Staleness, Some(next)) => next.needs(),
            (needs, _) => needs,
        }
    }

    /// The values of an argument.
    pub(super) fn parameter(&self, index: usize) -> &[f64] {
        let steps = self.windows.steps;
        &self.parameters[index * steps..(index + 1) * steps]
    }
}
