//! What the writers know, and whether what a reader finds agrees with it.
//!
//! Each sample (a series' name and a time) belongs to one writer, which sends one value after the
//! other. The book's own lock is no step of the scheduler, and is held for no step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metricstor_engine::cancel::Cancel;
use metricstor_engine::engine::Engine;
use metricstor_engine::error::{ErrorCode, Result};
use metricstor_engine::sample::TimeRange;
use metricstor_engine::source::Scope;

use crate::explore::pause;
use crate::support::{self, all};

/// The end of a value's history: so many of the values that were sent, from the first.
type Sent = usize;

#[derive(Debug, Default, Clone)]
struct Sample {
    sent: Vec<u64>,
    /// The last of these was acknowledged.
    acknowledged: Sent,
    /// An acknowledged delete has these.
    deleted: Sent,
    /// A delete may have these.
    at_risk: Sent,
    /// Retention may have it.
    expired: bool,
}

/// All samples, by series and time.
#[derive(Debug, Default, Clone)]
pub struct Page {
    samples: BTreeMap<(String, i64), Sample>,
    /// The series of which something is being deleted.
    deleting: Vec<String>,
}

/// The page as it is now; a clone is the same book.
#[derive(Debug, Default, Clone)]
pub struct Book(Arc<Mutex<Page>>);

/// The labels that [`all`] gives of a series of the book.
fn labels(series: &str) -> String {
    format!("__name__=m,series={series}")
}

impl Book {
    /// What is known now.
    pub fn page(&self) -> Page {
        self.0.lock().unwrap().clone()
    }

    fn change(&self, series: &str, samples: &[(i64, f64)], change: impl Fn(&mut Sample, f64)) {
        let mut page = self.0.lock().unwrap();
        let is_deleted = page.deleting.iter().any(|name| name == series);
        for (t, v) in samples {
            let sample = page.samples.entry((labels(series), *t)).or_default();
            change(sample, *v);
            if is_deleted {
                sample.at_risk = sample.sent.len();
            }
        }
    }

    /// Writes samples of a series of one metric, and takes note of it.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn write(&self, engine: &Engine, series: &str, samples: &[(i64, f64)]) -> Result<()> {
        self.change(series, samples, |sample, v| sample.sent.push(v.to_bits()));
        let labels = [("__name__", "m"), ("series", series)];
        let outcome = support::write(engine, &[(&labels, samples)])?;
        assert_eq!(outcome.samples, samples.len() as u64, "{outcome:?}");
        self.change(series, samples, |sample, _| sample.acknowledged = sample.sent.len());
        Ok(())
    }

    /// Deletes a series by `delete`, and takes note of it.
    ///
    /// # Errors
    /// Those of `delete`.
    pub fn delete(&self, series: &str, delete: impl FnOnce() -> Result<()>) -> Result<()> {
        let name = labels(series);
        let mut sure = BTreeMap::new();
        {
            let mut page = self.0.lock().unwrap();
            page.deleting.push(series.to_owned());
            for (key, sample) in page.samples.iter_mut().filter(|(key, _)| key.0 == name) {
                sample.at_risk = sample.sent.len();
                sure.insert(key.clone(), sample.acknowledged);
            }
        }
        let done = delete();
        let mut page = self.0.lock().unwrap();
        page.deleting.retain(|other| other != series);
        if done.is_ok() {
            for (key, acknowledged) in sure {
                page.samples.entry(key).or_default().deleted = acknowledged;
            }
        }
        done
    }

    /// Takes note that retention may have what is known of some series before a time.
    pub fn expire(&self, series: &[&str], before: i64) {
        let names: Vec<String> = series.iter().map(|name| labels(name)).collect();
        let mut page = self.0.lock().unwrap();
        for ((name, t), sample) in &mut page.samples {
            sample.expired |= *t < before && names.contains(name);
        }
    }

    /// Reads everything, and judges it by what was known before and after. Returns how many samples
    /// it found.
    pub fn check(&self, engine: &Engine) -> usize {
        let before = self.page();
        let found = all(engine);
        before.judge(&self.page(), found)
    }

    /// The same for a reader that finds the series, and takes its time until it reads them.
    pub fn check_slowly(&self, engine: &Engine) -> usize {
        let before = self.page();
        let mut session = engine.session(Scope::default(), Cancel::default());
        let mut selection = session.select(Vec::new(), TimeRange::ALL).unwrap();
        pause();
        let found = support::copy(&session, &mut selection);
        before.judge(&self.page(), found)
    }
}

impl Page {
    /// Judges what a reader found between this page and the one `after` it.
    pub fn judge(&self, after: &Self, found: Vec<(String, Vec<(i64, u64)>)>) -> usize {
        let mut values: BTreeMap<(String, i64), u64> = BTreeMap::new();
        for (name, samples) in found {
            for (t, v) in samples {
                let twice = values.insert((name.clone(), t), v);
                assert!(twice.is_none(), "{name} at {t} is there twice");
            }
        }
        for (key, value) in &values {
            let known = after.samples.get(key).cloned().unwrap_or_default();
            let number = known.sent.iter().position(|sent| sent == value).map(|place| place + 1);
            let number = number.unwrap_or_else(|| unreachable!("{key:?} is {value:x}: nobody's"));
            let before = self.samples.get(key).cloned().unwrap_or_default();
            // Blocks and the head hide what a delete names one after the other: until the delete is
            // answered, the later value may be gone and the earlier one not.
            let is_newest = number >= before.acknowledged;
            let may_be_half_gone = before.acknowledged <= known.at_risk;
            assert!(is_newest || may_be_half_gone, "{key:?} is an older value, of {before:?}");
            assert!(number > before.deleted, "{key:?} was deleted: {before:?}");
        }
        for (key, before) in self.samples.iter().filter(|(key, _)| !values.contains_key(key)) {
            let known = &after.samples[key];
            let may_be_gone = before.acknowledged <= known.at_risk || known.expired;
            assert!(may_be_gone, "{key:?} is lost: {before:?}");
        }
        values.len()
    }
}

/// Whether a write failed as it may on a disk that fails.
pub fn is_of_the_disk(outcome: &Result<()>) -> bool {
    outcome.as_ref().is_err_and(|error| error.code() == ErrorCode::Io)
}
