//! Exemplars: the newest of all series, in a ring of a fixed number.
//!
//! What is stored follows Prometheus 3.14, `tsdb/exemplar.go` (`validateExemplar`, `AddExemplar`
//! without a window for late ones): those of a series ascend by time, value and labels; the newest
//! one again is no news; an older one is late. What a sender hears of it follows
//! `storage/remote/write_handler.go`. One deviation: of equal times and values Prometheus orders
//! the labels by their hash, here it is their text.
//!
//! Because those of a series are stored in their order, the oldest entry of the ring is the oldest
//! of its series, and a list in one direction is enough to remove it.
//!
//! Judged on any thread, added on the thread that applies. Two writes that race may both be judged
//! fit; the one that comes second is then dropped and counted.

mod ring;

use crate::error::{Error, ErrorCode, Result};
use crate::head::Head;
use crate::head::append::WriteOutcome;
use crate::index::matcher::Matcher;
use crate::labels::Labels;
use crate::options::WriteLimits;
use crate::refs::TenantId;
use crate::sample::{TIMESTAMP_LIMIT, TimeRange, TimestampMs};
use crate::source::Scope;
use crate::sync::{AtomicU64, Ordering, RwLock};
use crate::wal::record::exemplars::{ExemplarEncoder, ExemplarRecord};
use crate::wire::labels::{canonicalize, canonicalize_exemplar};
use crate::wire::{LateExemplars, WireBatch, WireExemplar};
use ring::Ring;

/// Characters that the names and values of an exemplar's labels may have together.
///
/// Source: OpenMetrics 1.0, "Exemplars".
const LABEL_CHARACTERS_MAX: usize = 128;
/// Series looked at under one lock: 100 µs or so, for which writes may wait.
const SELECT_SLICE: usize = 256;

/// An exemplar.
#[derive(Debug, Clone)]
pub struct Exemplar {
    /// When.
    pub t: TimestampMs,
    /// The observation, by its bits.
    pub v: f64,
    /// What finds the trace; may be empty.
    pub labels: Labels,
}

/// An exemplar on its way to the ring.
#[derive(Debug, Clone)]
pub struct NewExemplar {
    /// Whose series.
    pub tenant: TenantId,
    /// Its series.
    pub series: Labels,
    /// What.
    pub exemplar: Exemplar,
}

/// What of one series was found.
#[derive(Debug, Clone)]
pub struct SeriesExemplars {
    /// The series.
    pub series: Labels,
    /// Ascending by time; never empty.
    pub exemplars: Vec<Exemplar>,
}

/// What the ring makes of an exemplar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It is news.
    Store,
    /// It is the newest of its series again.
    Known,
    /// Its series has a newer one, which has this time.
    Late(TimestampMs),
    /// The ring has no place at all.
    Off,
}

/// The exemplars of all tenants.
pub struct Exemplars {
    ring: RwLock<Ring>,
    /// Changes with every exemplar that is added.
    version: AtomicU64,
    added: AtomicU64,
}

impl Exemplars {
    /// A ring of `max` exemplars; 0 stores none.
    pub fn new(max: usize) -> Self {
        Self {
            ring: RwLock::new(Ring::new(max)),
            version: AtomicU64::new(0),
            added: AtomicU64::new(0),
        }
    }

    /// What the ring would make of an exemplar now.
    pub fn judge(&self, new: &NewExemplar) -> Judgement {
        self.ring.read().judge(new)
    }

    /// Adds exemplars, each if it is still news; returns how many were dropped for being late.
    pub fn add(&self, all: impl IntoIterator<Item = NewExemplar>) -> u64 {
        let (mut late, mut added) = (0, 0);
        let mut ring = self.ring.write();
        for new in all {
            match ring.judge(&new) {
                Judgement::Store => {
                    ring.push(new);
                    added += 1;
                }
                Judgement::Late(_) => late += 1,
                Judgement::Known | Judgement::Off => {}
            }
        }
        if added > 0 {
            self.version.fetch_add(1, Ordering::Relaxed);
            self.added.fetch_add(added, Ordering::Relaxed);
        }
        late
    }

    /// The exemplars in `range` of the series that satisfy one of `selectors` and the scope,
    /// ascending by the labels of the series.
    ///
    /// Cost: every series with an exemplar is looked at, in slices between which writes go on.
    pub fn select(
        &self,
        scope: &Scope,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Vec<SeriesExemplars> {
        let accepts = |tenant: TenantId, labels: &Labels| {
            let matches = |m: &Matcher| m.matches(labels.get(m.name()).unwrap_or_default());
            tenant == scope.tenant
                && scope.matchers.iter().all(matches)
                && selectors.iter().any(|selector| selector.iter().all(matches))
        };
        let mut found = Vec::new();
        let mut from = 0;
        loop {
            let ring = self.ring.read();
            let to = (from + SELECT_SLICE).min(ring.owners());
            ring.collect(from..to, range, accepts, &mut found);
            from = to;
            if from >= ring.owners() {
                break;
            }
        }
        // A series whose place changed between two slices may have been seen twice.
        found.sort_by(|a, b| a.series.cmp(&b.series));
        found.dedup_by(|later, first| later.series == first.series);
        found
    }

    /// Exemplars in the ring, and exemplars added since the start.
    pub fn counts(&self) -> (usize, u64) {
        (self.ring.read().len(), self.added.load(Ordering::Relaxed))
    }

    /// Changes whenever an exemplar is added.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// All of them as records of the log, in the order in which they were added.
    pub fn records(&self) -> Vec<u8> {
        let mut encoder = ExemplarEncoder::default();
        self.ring.read().visit(|tenant, series, exemplar| {
            encoder.add(&ExemplarRecord {
                tenant,
                series: series.as_bytes(),
                labels: exemplar.labels.as_bytes(),
                t: exemplar.t,
                v: exemplar.v,
            });
        });
        encoder.content()
    }

    /// Adds an exemplar of the replayed log, or of the file that the log was cut for. What is there
    /// already changes nothing.
    ///
    /// # Errors
    /// `bad_data` when its labels are not canonical.
    pub fn restore(&self, record: &ExemplarRecord<'_>) -> Result<()> {
        let ExemplarRecord { tenant, series, labels, t, v } = *record;
        let series = Labels::from_canonical(series)?;
        let exemplar = Exemplar { t, v, labels: Labels::from_canonical(labels)? };
        self.add([NewExemplar { tenant, series, exemplar }]);
        Ok(())
    }
}

impl Head {
    /// Checks and judges the exemplars of series `index` of a request; those to be stored go to
    /// `out`, the others into the outcome.
    pub(super) fn prepare_exemplars(
        &self,
        request: &Request<'_>,
        index: usize,
        outcome: &mut WriteOutcome,
        out: &mut Vec<NewExemplar>,
    ) {
        let exemplars = &request.batch.exemplars[request.batch.spans(index).exemplars];
        if exemplars.is_empty() {
            return;
        }
        // The series was found, so this is no error.
        let Ok(series) = canonicalize(&request.batch.series[index].labels, request.limits) else {
            return;
        };
        for wire in exemplars {
            let Some(exemplar) = understood(wire, request.newest_allowed) else {
                outcome.dropped_exemplars += 1;
                continue;
            };
            let new = NewExemplar { tenant: request.tenant, series: series.clone(), exemplar };
            match (self.exemplars().judge(&new), request.batch.late_exemplars) {
                (Judgement::Store, _) => {
                    outcome.exemplars += 1;
                    out.push(new);
                }
                (Judgement::Known | Judgement::Off, _) => outcome.exemplars += 1,
                (Judgement::Late(_), LateExemplars::Drop) => outcome.dropped_exemplars += 1,
                (Judgement::Late(newest), LateExemplars::Refuse) => {
                    let text = format!(
                        "{series}: exemplar at {} comes after a newer one, at {newest}",
                        wire.t
                    );
                    outcome.reject(&Error::new(ErrorCode::TooOld, text), 1);
                }
            }
        }
    }
}

/// What a request's exemplars are judged by.
pub(super) struct Request<'a> {
    /// The request.
    pub(super) batch: &'a WireBatch<'a>,
    /// Whose.
    pub(super) tenant: TenantId,
    /// The newest time that is not too far ahead.
    pub(super) newest_allowed: TimestampMs,
    /// Limits on labels.
    pub(super) limits: &'a WriteLimits,
}

/// An exemplar whose time and labels make sense; Prometheus drops others without a word.
fn understood(wire: &WireExemplar<'_>, newest_allowed: TimestampMs) -> Option<Exemplar> {
    if wire.t <= -TIMESTAMP_LIMIT || wire.t > newest_allowed {
        return None;
    }
    let labels = canonicalize_exemplar(&wire.labels, LABEL_CHARACTERS_MAX).ok()?;
    Some(Exemplar { t: wire.t, v: wire.v, labels })
}

#[cfg(test)]
mod tests;
