//! A write and the head: [`Head::prepare`] resolves every series and judges every sample without
//! changing what anybody can read; [`Head::apply`] makes a logged write readable and cannot fail.
//!
//! Prepare reserves a slot for a label set that the map does not know; reserving is idempotent, and
//! a slot that no write ever fills is collected with the series that ended. Everything that could
//! be refused is refused in prepare.

use crate::error::{Error, ErrorCode, Result};
use crate::head::Head;
use crate::head::exemplars::{NewExemplar, Request};
use crate::head::floats::Group;
pub use crate::head::floats::{Addressed, Floats};
use crate::head::histograms;
use crate::head::metadata::Metadata;
use crate::head::series::Runs;
use crate::head::shard::{Found, shard_of};
use crate::head::tally::Tally;
use crate::histogram::Histogram;
use crate::labels::{Labels, LabelsHash};
use crate::refs::{Generation, SHARD_COUNT, SeriesRef, TenantId};
use crate::retention::Horizon;
use crate::sample::{Sample, TIMESTAMP_LIMIT, TimeRange, Times, TimestampMs, is_stale};
use crate::sync::{Arc, Ordering};
use crate::wal::record::BatchEncoder;
use crate::wal::record::exemplars::{ExemplarEncoder, ExemplarRecord};
use crate::wal::record::metadata::MetadataEncoder;
use crate::wire::histogram::WireHistogram;
use crate::wire::labels::canonicalize;
use crate::wire::{WireBatch, WireSeries};

/// Sentences that are kept of one reason of refusal; the rest is only counted.
const EXAMPLES_MAX: usize = 5;
/// Aliases per shard beyond one a series: a sender that shuffles its labels anew for every request
/// must not fill the memory. Without an alias a series is found through its canonical labels.
const SPARE_ALIASES: usize = 4096;

/// Samples of a request that were refused for one reason.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// Why.
    pub code: ErrorCode,
    /// How many samples, or for a series without samples how many series, or how many lines.
    pub count: u64,
    /// A few sentences.
    pub examples: Vec<String>,
}

/// What became of a write.
#[derive(Debug, Clone, Default)]
pub struct WriteOutcome {
    /// Float samples stored.
    pub samples: u64,
    /// Native histogram samples stored.
    pub histograms: u64,
    /// Exemplars stored, or there already.
    pub exemplars: u64,
    /// Samples that replaced another value, as far as seen without decoding.
    pub replaced: u64,
    /// What was refused.
    pub rejections: Vec<Rejection>,
    /// Exemplars that were dropped without a word to the sender.
    pub dropped_exemplars: u64,
    /// Metadata that was dropped without a word to the sender.
    pub dropped_metadata: u64,
}

impl WriteOutcome {
    pub(super) fn reject(&mut self, error: &Error, count: u64) {
        let code = error.code();
        let at = self.rejections.iter().position(|r| r.code == code).unwrap_or_else(|| {
            self.rejections.push(Rejection { code, count: 0, examples: Vec::new() });
            self.rejections.len() - 1
        });
        let rejection = &mut self.rejections[at];
        rejection.count += count;
        if rejection.examples.len() < EXAMPLES_MAX {
            rejection.examples.push(error.message().to_owned());
        }
    }
}

/// A series that the log of this generation does not define yet.
#[derive(Debug)]
struct Fresh {
    series: SeriesRef,
    /// The key under which the write found it.
    found_as: LabelsHash,
    labels: Labels,
}

/// A write that is ready to be logged: nobody can see it yet.
#[derive(Debug)]
pub struct Prepared {
    /// The generation it was prepared for.
    pub generation: Generation,
    /// The record for the log; empty when there is nothing to store.
    pub payload: Vec<u8>,
    /// What its sender will hear.
    pub outcome: WriteOutcome,
    tenant: TenantId,
    kept: Kept,
}

/// What is kept of a write to be applied.
#[derive(Debug)]
struct Kept {
    /// Grouped by shard, in the order of the request within a series: the order of the log.
    samples: Floats,
    /// In the order of the request; logged and applied after the samples.
    histograms: Vec<histograms::Addressed>,
    fresh: Vec<Fresh>,
    exemplars: Vec<NewExemplar>,
    metadata: Vec<Metadata>,
}

/// The bounds that a sample's time is held against.
struct Bounds {
    allowed: TimeRange,
    now_ms: TimestampMs,
    reject_non_finite: bool,
}

impl Bounds {
    fn judge(&self, at: Times, v: f64) -> Option<ErrorCode> {
        let Times { t, start } = at;
        if start.unsigned_abs() >= TIMESTAMP_LIMIT as u64 {
            return Some(ErrorCode::BadData);
        }
        if !self.allowed.contains(t) {
            return Some(if t.unsigned_abs() >= TIMESTAMP_LIMIT as u64 {
                ErrorCode::BadData
            } else if t > self.allowed.maxt {
                ErrorCode::TooFarAhead
            } else {
                ErrorCode::TooOld
            });
        }
        (self.reject_non_finite && !v.is_finite() && !is_stale(v)).then_some(ErrorCode::BadData)
    }

    /// What is stored of a histogram.
    fn judge_histogram(
        &self,
        sample: &WireHistogram,
        series: &WireSeries<'_>,
    ) -> Result<Arc<Histogram>> {
        let WireHistogram { t, start_t, value } = sample;
        let at = Times { t: *t, start: *start_t };
        if let Some(code) = self.judge(at, 0.0) {
            return Err(self.explain(code, at, 0.0, series));
        }
        histograms::judge(value, self.reject_non_finite).map_err(|error| {
            let text = error.message();
            Error::bad_data(format!("{}: {text} (at {t})", name_of(series)))
        })
    }

    fn explain(&self, code: ErrorCode, at: Times, v: f64, series: &WireSeries<'_>) -> Error {
        let Times { t, start } = at;
        let name = name_of(series);
        let TimeRange { mint, maxt } = self.allowed;
        let text = match code {
            ErrorCode::TooFarAhead => format!(
                "{name}: sample at {t} is {} ms ahead of the clock; at most {} are allowed",
                t - self.now_ms,
                maxt - self.now_ms
            ),
            ErrorCode::TooOld => {
                format!("{name}: sample at {t} is older than retention allows (oldest is {mint})")
            }
            _ if t.unsigned_abs() >= TIMESTAMP_LIMIT as u64 => {
                format!("{name}: timestamp {t} is not within ±2^53 milliseconds")
            }
            _ if start.unsigned_abs() >= TIMESTAMP_LIMIT as u64 => {
                format!("{name}: start timestamp {start} is not within ±2^53 milliseconds")
            }
            _ => format!("{name}: value {v} at {t} is not finite (ingest.rejectNonFinite)"),
        };
        Error::new(code, text)
    }
}

/// What a series is called in a sentence for its sender.
fn name_of(series: &WireSeries<'_>) -> String {
    match Labels::from_canonical(&series.labels) {
        Ok(labels) => labels.to_string(),
        Err(_) => "a series".to_owned(),
    }
}

/// Where each series of the request is, if it was accepted.
struct Resolved {
    found: Option<(Found, LabelsHash)>,
    labels: Option<Labels>,
}

impl Head {
    /// Resolves and judges a request; the result may be logged under `generation` and then applied.
    ///
    /// # Errors
    /// `internal`; what is wrong with a series or a sample is data in the outcome.
    pub fn prepare(
        &self,
        batch: &WireBatch<'_>,
        tenant: TenantId,
        generation: Generation,
        now_ms: TimestampMs,
    ) -> Result<Prepared> {
        let mut outcome = WriteOutcome::default();
        for refusal in &batch.refusals {
            outcome.reject(&refusal.error, refusal.count);
        }
        let resolved = self.resolve(batch, tenant, generation, &mut outcome);
        let horizon = self.horizon(now_ms);
        let common = self.bounds(now_ms, horizon.latest_cutoff());
        let mut accepted = Floats::with_capacity(batch.samples.len());
        let mut histograms = Vec::new();
        let mut used = vec![false; batch.series.len()];
        let newest_allowed = common.allowed.maxt;
        let request = Request { batch, tenant, newest_allowed, limits: &self.limits };
        let mut exemplars = Vec::new();
        for (i, series) in batch.series.iter().enumerate() {
            let spans = batch.spans(i);
            let Some((found, _)) = resolved[i].found else { continue };
            // Labels are held against the rules of retention only for a sample so old that some
            // rule refuses it: a write of today never pays for them.
            let floats = &batch.samples[spans.samples.clone()];
            let in_time = |t: TimestampMs| t >= common.allowed.mint;
            let histograms_here = &batch.histograms[spans.histograms];
            let old = !(floats.iter().all(|sample| in_time(sample.t))
                && histograms_here.iter().all(|sample| in_time(sample.t)));
            let own = old.then(|| self.bounds(now_ms, self.cutoff_of(series, &horizon)));
            let bounds = own.as_ref().unwrap_or(&common);
            for sample in histograms_here {
                match bounds.judge_histogram(sample, series) {
                    Err(error) => outcome.reject(&error, 1),
                    Ok(h) => {
                        used[i] = true;
                        let at = Times { t: sample.t, start: sample.start_t };
                        histograms.push(histograms::Addressed { series: found.series, at, h });
                    }
                }
            }
            for (place, Sample { t, v }) in spans.samples.zip(floats.iter().copied()) {
                let at = Times { t, start: batch.start_of(place) };
                if let Some(code) = bounds.judge(at, v) {
                    outcome.reject(&bounds.explain(code, at, v, series), 1);
                } else {
                    used[i] = true;
                    accepted.push(Addressed { series: found.series, t, v }, at.start);
                }
            }
            self.prepare_exemplars(&request, i, &mut outcome, &mut exemplars);
        }
        let metadata = self.prepare_metadata(batch, tenant, now_ms, &mut outcome);
        outcome.samples = accepted.len() as u64;
        outcome.histograms = histograms.len() as u64;
        let fresh = self.fresh_series(batch, resolved, &used)?;
        let samples = accepted.by_shard();
        let mut payload = encode(&fresh, &samples, &histograms, tenant);
        encode_exemplars(&exemplars, &mut payload);
        encode_metadata(&metadata, &mut payload);
        let kept = Kept { samples, histograms, fresh, exemplars, metadata };
        Ok(Prepared { generation, payload, outcome, tenant, kept })
    }

    /// The bounds of samples that are not older than `oldest`.
    fn bounds(&self, now_ms: TimestampMs, oldest: TimestampMs) -> Bounds {
        Bounds {
            allowed: TimeRange::new(
                oldest.max(1 - TIMESTAMP_LIMIT),
                now_ms.saturating_add(self.limits.max_future_ms).min(TIMESTAMP_LIMIT - 1),
            ),
            now_ms,
            reject_non_finite: self.limits.reject_non_finite,
        }
    }

    /// The oldest time that retention keeps of a series.
    fn cutoff_of(&self, series: &WireSeries<'_>, horizon: &Horizon) -> TimestampMs {
        let policy = horizon.policy();
        if policy.rules().is_empty() {
            return horizon.latest_cutoff();
        }
        let labels = Labels::from_canonical(&series.labels)
            .or_else(|_| canonicalize(&series.labels, &self.limits));
        // Malformed labels were refused before.
        horizon.cutoff(labels.map_or(policy.classes() - 1, |labels| policy.class_of(&labels)))
    }

    /// The series with an accepted sample that this generation's log does not define yet.
    fn fresh_series(
        &self,
        batch: &WireBatch<'_>,
        resolved: Vec<Resolved>,
        used: &[bool],
    ) -> Result<Vec<Fresh>> {
        let mut fresh = Vec::new();
        for (i, Resolved { found, labels }) in resolved.into_iter().enumerate() {
            let Some((Found { series, logged: false, alias }, found_as)) = found else { continue };
            if !used[i] {
                continue;
            }
            let raw = &batch.series[i].labels;
            let labels = match labels {
                Some(labels) => labels,
                None if alias => canonicalize(raw, &self.limits)?,
                None => Labels::from_canonical(raw)?,
            };
            fresh.push(Fresh { series, found_as, labels });
        }
        Ok(fresh)
    }

    /// Finds or reserves every series of the request, each map locked once.
    fn resolve(
        &self,
        batch: &WireBatch<'_>,
        tenant: TenantId,
        generation: Generation,
        outcome: &mut WriteOutcome,
    ) -> Vec<Resolved> {
        let hashes: Vec<LabelsHash> =
            batch.series.iter().map(|s| self.hasher.hash(tenant, &s.labels)).collect();
        let mut found: Vec<Option<Found>> = vec![None; hashes.len()];
        for (shard, members) in by_shard(&hashes).iter().enumerate() {
            if members.is_empty() {
                continue;
            }
            let mut map = self.shards[shard].map.lock();
            for i in members {
                found[*i as usize] = map.find(hashes[*i as usize], generation);
            }
        }
        let mut resolved = Vec::with_capacity(hashes.len());
        for (i, series) in batch.series.iter().enumerate() {
            resolved.push(match found[i] {
                Some(f) => Resolved { found: Some((f, hashes[i])), labels: None },
                None => self.admit(series, hashes[i], tenant, generation).unwrap_or_else(|error| {
                    let spans = batch.spans(i);
                    let refused = spans.samples.len() + spans.histograms.len();
                    outcome.reject(&error, refused.max(1) as u64);
                    Resolved { found: None, labels: None }
                }),
            });
        }
        resolved
    }

    /// A label set whose bytes the map does not know: checks it, finds its series by the canonical
    /// bytes or reserves one, and remembers the spelling.
    fn admit(
        &self,
        series: &WireSeries<'_>,
        raw: LabelsHash,
        tenant: TenantId,
        generation: Generation,
    ) -> Result<Resolved> {
        let labels = canonicalize(&series.labels, &self.limits)?;
        let canonical = self.hasher.hash(tenant, labels.as_bytes());
        let found = self.find_or_reserve(canonical, generation)?;
        if raw == canonical {
            return Ok(Resolved { found: Some((found, canonical)), labels: Some(labels) });
        }
        let mut map = self.shards[shard_of(raw)].map.lock();
        if let Some(alias) = map.find(raw, generation) {
            return Ok(Resolved { found: Some((alias, raw)), labels: Some(labels) });
        }
        let series_here = self.counters.series.load(Ordering::Relaxed) / SHARD_COUNT;
        if map.aliases() < series_here + SPARE_ALIASES {
            map.insert_alias(raw, found.series, generation);
        }
        Ok(Resolved { found: Some((found, canonical)), labels: Some(labels) })
    }

    pub(super) fn find_or_reserve(
        &self,
        canonical: LabelsHash,
        generation: Generation,
    ) -> Result<Found> {
        let shard_number = shard_of(canonical);
        let shard = &self.shards[shard_number];
        let mut map = shard.map.lock();
        if let Some(found) = map.find(canonical, generation) {
            return Ok(found);
        }
        let limit = self.limits.max_series;
        if limit > 0 && self.counters.series.load(Ordering::Relaxed) >= limit {
            return Err(Error::new(
                ErrorCode::LimitExceeded,
                format!("a new series would be more than limits.series ({limit}) allows"),
            ));
        }
        let full = || Error::new(ErrorCode::LimitExceeded, "the head has no room for a new series");
        let series = shard.slots.write().allocate(shard_number).ok_or_else(full)?;
        map.insert(canonical, series, generation);
        self.counters.series.fetch_add(1, Ordering::Relaxed);
        self.counters.series_created.fetch_add(1, Ordering::Relaxed);
        Ok(Found { series, logged: false, alias: false })
    }

    fn index_series(&self, tenant: TenantId, series: SeriesRef, labels: &Labels) {
        let mut slots = self.shards[series.shard()].slots.write();
        let Some(entry) = slots.get_mut(series.slot()) else { return };
        if !entry.indexed {
            entry.indexed = true;
            drop(slots);
            self.index_for_write(tenant).write().insert(series, labels);
        }
    }

    /// Makes a logged write readable and completes its outcome. Called in log order, on one thread.
    pub fn apply(&self, prepared: Prepared) -> WriteOutcome {
        let Prepared { generation, mut outcome, tenant, kept, .. } = prepared;
        let Kept { samples, histograms, fresh, exemplars, metadata } = kept;
        for fresh in &fresh {
            self.index_series(tenant, fresh.series, &fresh.labels);
            self.shards[shard_of(fresh.found_as)]
                .map
                .lock()
                .mark_logged(fresh.found_as, generation);
        }
        outcome.replaced += self.append_grouped(&samples, generation);
        outcome.replaced += self.append_histograms(&histograms, generation);
        if !exemplars.is_empty() {
            outcome.dropped_exemplars += self.exemplars().add(exemplars);
        }
        if !metadata.is_empty() {
            self.metadata().put(metadata);
        }
        outcome
    }

    /// Appends samples in any order of their shards, each shard locked once, and returns how many
    /// replaced another value.
    pub(super) fn append_all(&self, samples: &Floats, generation: Generation) -> u64 {
        self.append_grouped(&samples.by_shard(), generation)
    }

    fn append_grouped(&self, samples: &Floats, generation: Generation) -> u64 {
        samples.groups().map(|group| self.append_group(&group, generation)).sum()
    }

    /// Appends samples of one shard and returns how many replaced another value.
    fn append_group(&self, group: &Group<'_>, generation: Generation) -> u64 {
        let mut tally = Tally::new();
        let mut slots = self.shards[group.shard()].slots.write();
        for (sample, at) in group.iter() {
            if !slots.pending.is_empty() {
                self.make_way(&mut slots, sample.series, at.t);
            }
            let Some(series) = slots.get_mut(sample.series.slot()) else { continue };
            tally.touch(sample.series, series);
            tally.add(at.t, series.append(generation, at, sample.v));
        }
        drop(slots);
        self.count(&tally, group.len())
    }

    /// What generations `from..=to` hold of a series in `range`, without what is deleted.
    pub fn runs(&self, r: SeriesRef, from: Generation, to: Generation, range: TimeRange) -> Runs {
        let slots = self.shards[r.shard()].slots.read();
        let Some(series) = slots.get(r.slot()) else { return Runs::default() };
        if slots.pending.is_empty() {
            return series.runs(from, to, range);
        }
        let mut runs = Runs::default();
        for piece in range.without_all(slots.hidden(r)) {
            runs.append(series.runs(from, to, piece));
        }
        runs
    }

    /// See [`crate::head::series::Series::extent`].
    pub fn extent(&self, r: SeriesRef) -> (usize, TimeRange) {
        let slots = self.shards[r.shard()].slots.read();
        slots.get(r.slot()).map_or((0, TimeRange::EMPTY), |series| series.extent())
    }
}

/// Indexes of `hashes` by shard.
fn by_shard(hashes: &[LabelsHash]) -> [Vec<u32>; SHARD_COUNT] {
    let mut members: [Vec<u32>; SHARD_COUNT] = std::array::from_fn(|_| Vec::new());
    for (i, hash) in hashes.iter().enumerate() {
        members[shard_of(*hash)].push(i as u32);
    }
    members
}

fn encode(
    fresh: &[Fresh],
    samples: &Floats,
    histograms: &[histograms::Addressed],
    tenant: TenantId,
) -> Vec<u8> {
    if samples.is_empty() && histograms.is_empty() {
        return Vec::new();
    }
    let labels: usize = fresh.iter().map(|f| f.labels.as_bytes().len() + 16).sum();
    let mut encoder = BatchEncoder::with_capacity(labels + samples.len() * 14 + 16);
    for f in fresh {
        encoder.series(f.series, tenant, f.labels.as_bytes());
    }
    for (sample, at) in samples.iter() {
        encoder.sample(sample.series, at, sample.v);
    }
    for sample in histograms {
        encoder.histogram(sample.series, sample.at, &sample.h);
    }
    encoder.finish()
}

fn encode_exemplars(exemplars: &[NewExemplar], payload: &mut Vec<u8>) {
    let mut encoder = ExemplarEncoder::default();
    for NewExemplar { tenant, series, exemplar } in exemplars {
        encoder.add(&ExemplarRecord {
            tenant: *tenant,
            series: series.as_bytes(),
            labels: exemplar.labels.as_bytes(),
            t: exemplar.t,
            v: exemplar.v,
        });
    }
    encoder.append_to(payload);
}

fn encode_metadata(metadata: &[Metadata], payload: &mut Vec<u8>) {
    let mut encoder = MetadataEncoder::default();
    metadata.iter().for_each(|metadata| encoder.add(&metadata.record()));
    encoder.append_to(payload);
}
