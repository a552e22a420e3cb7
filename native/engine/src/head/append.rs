//! A write and the head: [`Head::prepare`] resolves every series and judges every sample without
//! changing what anybody can read; [`Head::apply`] makes a logged write readable and cannot fail.
//!
//! Prepare reserves a slot for a label set that the map does not know; reserving is idempotent, and
//! a slot that no write ever fills is collected with the series that ended. Everything that could
//! be refused is refused in prepare.

use crate::error::{Error, ErrorCode, Result};
use crate::head::Head;
use crate::head::series::{Appended, Runs};
use crate::head::shard::{Found, shard_of};
use crate::labels::{Labels, LabelsHash};
use crate::refs::{Generation, SHARD_COUNT, SeriesRef, TenantId};
use crate::sample::{TIMESTAMP_LIMIT, TimeRange, TimestampMs, is_stale};
use crate::sync::Ordering;
use crate::wal::record::BatchEncoder;
use crate::wire::labels::canonicalize;
use crate::wire::{Unsupported, WireBatch, WireSeries};

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
    /// How many samples, or for a series without samples how many series.
    pub count: u64,
    /// A few sentences.
    pub examples: Vec<String>,
}

/// What became of a write.
#[derive(Debug, Clone, Default)]
pub struct WriteOutcome {
    /// Samples stored.
    pub samples: u64,
    /// Samples that replaced another value, as far as seen without decoding.
    pub replaced: u64,
    /// What was refused.
    pub rejections: Vec<Rejection>,
    /// What was accepted and dropped, or refused for want of a place to store it.
    pub unsupported: Unsupported,
}

impl WriteOutcome {
    fn reject(&mut self, error: &Error, count: u64) {
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

/// A sample on its way to a series.
#[derive(Debug, Clone, Copy)]
pub struct Addressed {
    /// Whose.
    pub series: SeriesRef,
    /// When.
    pub t: TimestampMs,
    /// What.
    pub v: f64,
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
    /// Grouped by shard, in the order of the request within a series: the order of the log.
    samples: Vec<Addressed>,
    fresh: Vec<Fresh>,
}

/// The bounds that a sample's time is held against.
struct Bounds {
    allowed: TimeRange,
    now_ms: TimestampMs,
    reject_non_finite: bool,
}

impl Bounds {
    fn judge(&self, t: TimestampMs, v: f64) -> Option<ErrorCode> {
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

    fn explain(&self, code: ErrorCode, t: TimestampMs, v: f64, series: &WireSeries<'_>) -> Error {
        let name = match Labels::from_canonical(&series.labels) {
            Ok(labels) => labels.to_string(),
            Err(_) => "a series".to_owned(),
        };
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
            _ => format!("{name}: value {v} at {t} is not finite (ingest.rejectNonFinite)"),
        };
        Error::new(code, text)
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
        let mut outcome = WriteOutcome { unsupported: batch.unsupported, ..Default::default() };
        let resolved = self.resolve(batch, tenant, generation, &mut outcome);
        let bounds = Bounds {
            allowed: TimeRange::new(
                self.oldest_allowed(now_ms).max(1 - TIMESTAMP_LIMIT),
                now_ms.saturating_add(self.limits.max_future_ms).min(TIMESTAMP_LIMIT - 1),
            ),
            now_ms,
            reject_non_finite: self.limits.reject_non_finite,
        };
        let mut accepted = Vec::with_capacity(batch.samples.len());
        let mut used = vec![false; batch.series.len()];
        let mut start = 0usize;
        for (i, series) in batch.series.iter().enumerate() {
            let samples = &batch.samples[start..series.samples_end as usize];
            start = series.samples_end as usize;
            let Some((found, _)) = resolved[i].found else { continue };
            if series.histograms > 0 {
                let text = "native histogram samples are not stored by this version";
                outcome.reject(&Error::bad_data(text), u64::from(series.histograms));
            }
            for sample in samples {
                if let Some(code) = bounds.judge(sample.t, sample.v) {
                    outcome.reject(&bounds.explain(code, sample.t, sample.v, series), 1);
                } else {
                    used[i] = true;
                    accepted.push(Addressed { series: found.series, t: sample.t, v: sample.v });
                }
            }
        }
        outcome.samples = accepted.len() as u64;
        let fresh = self.fresh_series(batch, resolved, &used)?;
        let samples = group_by_shard(&accepted);
        let payload = encode(&fresh, &samples, tenant);
        Ok(Prepared { generation, payload, outcome, tenant, samples, fresh })
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
                    let start = if i == 0 { 0 } else { batch.series[i - 1].samples_end };
                    let refused = series.samples_end - start + series.histograms;
                    outcome.reject(&error, u64::from(refused.max(1)));
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
        let Prepared { generation, mut outcome, tenant, samples, fresh, .. } = prepared;
        for fresh in &fresh {
            self.index_series(tenant, fresh.series, &fresh.labels);
            self.shards[shard_of(fresh.found_as)]
                .map
                .lock()
                .mark_logged(fresh.found_as, generation);
        }
        outcome.replaced += self.append_grouped(&samples, generation);
        outcome
    }

    /// Appends samples in any order of their shards, each shard locked once, and returns how many
    /// replaced another value.
    pub(super) fn append_all(&self, samples: &[Addressed], generation: Generation) -> u64 {
        self.append_grouped(&group_by_shard(samples), generation)
    }

    fn append_grouped(&self, samples: &[Addressed], generation: Generation) -> u64 {
        let groups = samples.chunk_by(|a, b| a.series.shard() == b.series.shard());
        groups.map(|group| self.append_group(group[0].series.shard(), group, generation)).sum()
    }

    /// Appends samples of one shard and returns how many replaced another value.
    fn append_group(&self, shard: usize, group: &[Addressed], generation: Generation) -> u64 {
        let (mut late, mut replaced, mut duplicates, mut bytes) = (0u64, 0u64, 0u64, 0u64);
        let mut newest = TimestampMs::MIN;
        let mut slots = self.shards[shard].slots.write();
        for sample in group {
            let Some(series) = slots.get_mut(sample.series.slot()) else { continue };
            let (what, grown) = series.append(generation, sample.t, sample.v);
            bytes += grown as u64;
            newest = newest.max(sample.t);
            match what {
                Appended::InOrder => {}
                Appended::Late => late += 1,
                Appended::Replaced => replaced += 1,
                Appended::Duplicate => duplicates += 1,
            }
        }
        drop(slots);
        let c = &self.counters;
        if c.newest.fetch_max(newest, Ordering::Relaxed) == TimestampMs::MIN {
            c.first_newest.store(newest, Ordering::Relaxed);
        }
        c.newest_ever.fetch_max(newest, Ordering::Relaxed);
        c.samples.fetch_add(group.len() as u64, Ordering::Relaxed);
        c.applied.fetch_add(group.len() as u64, Ordering::Relaxed);
        c.bytes.fetch_add(bytes, Ordering::Relaxed);
        c.late.fetch_add(late, Ordering::Relaxed);
        c.replaced.fetch_add(replaced, Ordering::Relaxed);
        c.duplicates.fetch_add(duplicates, Ordering::Relaxed);
        replaced
    }

    /// What generations `from..=to` hold of a series in `range`.
    pub fn runs(&self, r: SeriesRef, from: Generation, to: Generation, range: TimeRange) -> Runs {
        let slots = self.shards[r.shard()].slots.read();
        slots.get(r.slot()).map(|s| s.runs(from, to, range)).unwrap_or_default()
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

/// A stable counting sort, so that apply takes each shard's lock once.
fn group_by_shard(samples: &[Addressed]) -> Vec<Addressed> {
    let mut next = [0usize; SHARD_COUNT + 1];
    for sample in samples {
        next[sample.series.shard() + 1] += 1;
    }
    for i in 1..next.len() {
        next[i] += next[i - 1];
    }
    let mut grouped = samples.to_vec();
    for sample in samples {
        let at = &mut next[sample.series.shard()];
        grouped[*at] = *sample;
        *at += 1;
    }
    grouped
}

fn encode(fresh: &[Fresh], samples: &[Addressed], tenant: TenantId) -> Vec<u8> {
    if samples.is_empty() {
        return Vec::new();
    }
    let labels: usize = fresh.iter().map(|f| f.labels.as_bytes().len() + 16).sum();
    let mut encoder = BatchEncoder::with_capacity(labels + samples.len() * 14 + 16);
    for f in fresh {
        encoder.series(f.series, tenant, f.labels.as_bytes());
    }
    for sample in samples {
        encoder.sample(sample.series, sample.t, sample.v);
    }
    encoder.finish()
}
