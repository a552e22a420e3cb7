//! Running aggregates over rows: cell `group * steps + k` takes the values of a group's series at
//! step `k`, series by series in the order in which they come.
//!
//! Follows `aggregation` in Prometheus' `promql/engine.go` (3.14), compensation included.

use super::kahan::lost;
use crate::error::{Error, Result};

/// The aggregations that need one pass and a fixed number of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateOp {
    /// `sum`.
    Sum,
    /// `avg`.
    Avg,
    /// `count`.
    Count,
    /// `group`.
    Group,
    /// `min`.
    Min,
    /// `max`.
    Max,
    /// `stddev`.
    Stddev,
    /// `stdvar`.
    Stdvar,
}

impl AggregateOp {
    /// The aggregation of a name in PromQL.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            "count" => Self::Count,
            "group" => Self::Group,
            "min" => Self::Min,
            "max" => Self::Max,
            "stddev" => Self::Stddev,
            "stdvar" => Self::Stdvar,
            _ => return None,
        })
    }

    /// Columns besides that of the values.
    fn columns(self) -> usize {
        match self {
            Self::Group | Self::Count | Self::Min | Self::Max => 0,
            Self::Sum => 1,
            Self::Avg | Self::Stddev | Self::Stdvar => 2,
        }
    }
}

/// Groups of series whose rows are added up.
#[derive(Debug)]
pub struct Aggregation {
    op: AggregateOp,
    steps: usize,
    /// The group of each series.
    groups: Vec<u32>,
    /// Sums, counts, extremes; of a variance the squares.
    values: Vec<f64>,
    /// What rounding took from the values; of a variance the means.
    comps: Vec<f64>,
    counts: Vec<f64>,
    /// 1 where a value came; of a mean 2 once its sum would overflow.
    seen: Vec<u8>,
}

/// The cells of one group.
struct Cells<'a> {
    values: &'a mut [f64],
    comps: &'a mut [f64],
    counts: &'a mut [f64],
    seen: &'a mut [u8],
}

impl Aggregation {
    /// Aggregates series `i` into group `groups[i]`, each of which is below `count`.
    ///
    /// # Errors
    /// `internal` for a group that is not.
    pub fn new(op: AggregateOp, steps: usize, groups: Vec<u32>, count: usize) -> Result<Self> {
        if let Some(group) = groups.iter().find(|group| **group as usize >= count) {
            return Err(Error::internal(format!("group {group} of {count}")));
        }
        let cells = count * steps;
        let column = |nth: usize| vec![0.0; if op.columns() > nth { cells } else { 0 }];
        Ok(Self {
            op,
            steps,
            groups,
            values: vec![0.0; cells],
            comps: column(0),
            counts: column(1),
            seen: vec![0; cells],
        })
    }

    /// Number of series that have a group.
    pub fn series(&self) -> usize {
        self.groups.len()
    }

    /// Adds the row of a series: `present` is 1 where it has a value.
    pub fn add(&mut self, series: usize, values: &[f64], present: &[u8]) {
        let Some(group) = self.groups.get(series) else { return };
        let span = *group as usize * self.steps..(*group as usize + 1) * self.steps;
        let part = |column: usize| if self.op.columns() > column { span.clone() } else { 0..0 };
        let (comps, counts) = (part(0), part(1));
        let mut cells = Cells {
            values: &mut self.values[span.clone()],
            comps: &mut self.comps[comps],
            counts: &mut self.counts[counts],
            seen: &mut self.seen[span],
        };
        match self.op {
            AggregateOp::Sum => cells.sum(values, present),
            AggregateOp::Avg => cells.average(values, present),
            AggregateOp::Count => cells.count(present),
            AggregateOp::Group => cells.see(present),
            AggregateOp::Min => cells.extreme(values, present, |known, value| known > value),
            AggregateOp::Max => cells.extreme(values, present, |known, value| known < value),
            AggregateOp::Stddev | AggregateOp::Stdvar => cells.variance(values, present),
        }
    }

    /// Writes the results of all cells, and 1 where there is one. Both are as long as there are
    /// cells.
    ///
    /// # Errors
    /// `internal` for columns of another length.
    pub fn finish(&self, values: &mut [f64], present: &mut [u8]) -> Result<()> {
        let cells = self.values.len();
        if values.len() != cells || present.len() != cells {
            return Err(Error::internal(format!("an aggregation has {cells} cells")));
        }
        for (to, seen) in present.iter_mut().zip(&self.seen) {
            *to = u8::from(*seen != 0);
        }
        match self.op {
            AggregateOp::Sum => {
                for (to, (sum, comp)) in values.iter_mut().zip(self.values.iter().zip(&self.comps))
                {
                    *to = sum + comp;
                }
            }
            AggregateOp::Group => values.fill(1.0),
            AggregateOp::Count | AggregateOp::Min | AggregateOp::Max => {
                values.copy_from_slice(&self.values);
            }
            AggregateOp::Avg => {
                for (i, to) in values.iter_mut().enumerate() {
                    let (sum, comp, count) = (self.values[i], self.comps[i], self.counts[i]);
                    let is_mean = self.seen[i] == INCREMENTAL;
                    *to = if is_mean { sum + comp } else { sum / count + comp / count };
                }
            }
            AggregateOp::Stddev | AggregateOp::Stdvar => {
                let root = self.op == AggregateOp::Stddev;
                for (i, to) in values.iter_mut().enumerate() {
                    let variance = self.values[i] / self.counts[i];
                    *to = if root { variance.sqrt() } else { variance };
                }
            }
        }
        Ok(())
    }
}

/// In `seen`: the value is a mean, no sum.
const INCREMENTAL: u8 = 2;

impl Cells<'_> {
    fn sum(&mut self, values: &[f64], present: &[u8]) {
        let of_group = self.values.iter_mut().zip(self.comps.iter_mut()).zip(self.seen.iter_mut());
        for (((sum, comp), seen), (value, present)) in of_group.zip(values.iter().zip(present)) {
            if *present == 0 {
                continue;
            }
            let total = *sum + value;
            *comp = if total.is_finite() { *comp + lost(*sum, *value, total) } else { 0.0 };
            *sum = total;
            *seen = 1;
        }
    }

    /// Sum over count; an incremental mean from the value on where the sum would overflow.
    fn average(&mut self, values: &[f64], present: &[u8]) {
        for (k, (value, present)) in values.iter().zip(present).enumerate() {
            if *present == 0 {
                continue;
            }
            self.counts[k] += 1.0;
            let sum = self.values[k];
            let total = sum + value;
            if self.seen[k] == 0 {
                self.values[k] = *value;
                self.seen[k] = 1;
            } else if self.seen[k] == INCREMENTAL || total.is_infinite() {
                self.average_on(k, *value);
            } else {
                self.comps[k] += lost(sum, *value, total);
                self.values[k] = total;
            }
        }
    }

    #[cold]
    fn average_on(&mut self, k: usize, value: f64) {
        let count = self.counts[k];
        if self.seen[k] != INCREMENTAL {
            self.seen[k] = INCREMENTAL;
            self.values[k] /= count - 1.0;
            self.comps[k] /= count - 1.0;
        }
        let share = (count - 1.0) / count;
        let (mean, part) = (self.values[k] * share, value / count);
        let total = mean + part;
        let comp = self.comps[k] * share;
        self.comps[k] = if total.is_finite() { comp + lost(mean, part, total) } else { 0.0 };
        self.values[k] = total;
    }

    fn count(&mut self, present: &[u8]) {
        for (count, present) in self.values.iter_mut().zip(present) {
            *count += f64::from(*present);
        }
        self.see(present);
    }

    fn see(&mut self, present: &[u8]) {
        for (seen, present) in self.seen.iter_mut().zip(present) {
            *seen |= present;
        }
    }

    /// NaN stays only where a group has nothing else.
    fn extreme(&mut self, values: &[f64], present: &[u8], yields: impl Fn(f64, f64) -> bool) {
        let of_group = self.values.iter_mut().zip(self.seen.iter_mut());
        for ((best, seen), (value, present)) in of_group.zip(values.iter().zip(present)) {
            if *present != 0 && (*seen == 0 || yields(*best, *value) || best.is_nan()) {
                *best = *value;
                *seen = 1;
            }
        }
    }

    /// Welford's method, without compensation as in Prometheus.
    fn variance(&mut self, values: &[f64], present: &[u8]) {
        for (k, (value, present)) in values.iter().zip(present).enumerate() {
            if *present == 0 {
                continue;
            }
            self.counts[k] += 1.0;
            if self.seen[k] == 0 {
                self.seen[k] = 1;
                self.comps[k] = *value;
                self.values[k] = if value.is_finite() { 0.0 } else { f64::NAN };
                continue;
            }
            let delta = value - self.comps[k];
            self.comps[k] += delta / self.counts[k];
            self.values[k] += delta * (value - self.comps[k]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aggregate(op: AggregateOp, rows: &[(u32, [f64; 2], [u8; 2])]) -> Vec<Option<f64>> {
        let groups = rows.iter().map(|(group, ..)| *group).collect();
        let mut all = Aggregation::new(op, 2, groups, 2).expect("groups 0 and 1");
        for (series, (_, values, present)) in rows.iter().enumerate() {
            all.add(series, values, present);
        }
        let (mut values, mut present) = ([0.0; 4], [7; 4]);
        all.finish(&mut values, &mut present).expect("four cells");
        values.iter().zip(present).map(|(v, p)| (p == 1).then_some(*v)).collect()
    }

    #[test]
    fn each_group_takes_its_own_values() {
        let rows = [
            (0, [1.0, 5.0], [1, 0]),
            (1, [10.0, 20.0], [1, 1]),
            (0, [4.0, 9.0], [1, 0]),
            (1, [f64::NAN, 40.0], [1, 1]),
        ];
        let max = aggregate(AggregateOp::Max, &rows);
        assert_eq!(max, [Some(4.0), None, Some(10.0), Some(40.0)]);
        assert_eq!(aggregate(AggregateOp::Min, &rows)[2..], [Some(10.0), Some(20.0)]);
        assert_eq!(aggregate(AggregateOp::Count, &rows)[0..3], [Some(2.0), None, Some(2.0)]);
        assert_eq!(aggregate(AggregateOp::Group, &rows)[1..3], [None, Some(1.0)]);
        assert_eq!(aggregate(AggregateOp::Sum, &rows)[..2], [Some(5.0), None]);
        assert_eq!(aggregate(AggregateOp::Avg, &rows)[3], Some(30.0));
        assert_eq!(aggregate(AggregateOp::Stddev, &rows)[3], Some(10.0));
        assert_eq!(aggregate(AggregateOp::Stdvar, &rows)[0], Some(2.25));
    }

    #[test]
    fn sums_are_compensated_and_means_do_not_overflow() {
        let of = |values: [f64; 4]| values.map(|v| (0, [v, 0.0], [1, 0]));
        let sum = |values| aggregate(AggregateOp::Sum, &of(values))[0];
        assert_eq!(sum([1.0, 1e100, 1.0, -1e100]), Some(2.0));
        assert_eq!(sum([f64::INFINITY, 1.0, 1.0, 1.0]), Some(f64::INFINITY));
        let mean = aggregate(AggregateOp::Avg, &of([f64::MAX, f64::MAX, -f64::MAX, -f64::MAX]))[0];
        assert!(mean.is_some_and(|mean| mean.abs() < f64::MAX / 1e15), "{mean:?}");
    }

    #[test]
    fn a_group_out_of_bounds_is_refused() {
        assert!(Aggregation::new(AggregateOp::Sum, 2, vec![0, 2], 2).is_err());
    }
}
