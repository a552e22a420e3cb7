//! What comes beside samples: requests with exemplars and metadata in, both out.

use metricstor_engine::engine::Engine;
use metricstor_engine::read::cancel::Cancel;
use metricstor_engine::sample::TimeRange;
use metricstor_engine::source::Scope;

use super::protobuf::{bytes, double, labels, number};

/// An exemplar of remote_write 1.0.
pub fn exemplar(trace: &str, t: i64, v: f64) -> Vec<u8> {
    bytes(3, &[labels(&[("trace_id", trace)]), double(2, v), number(3, t as u64)].concat())
}

/// A request of 1.0 with a series of exemplars alone.
pub fn exemplars_of(name: &str, exemplars: &[Vec<u8>]) -> Vec<u8> {
    bytes(1, &[labels(&[("__name__", name)]), exemplars.concat()].concat())
}

/// A request of 1.0 with the metadata of a family.
pub fn metadata_of(family: &str, kind: u64, help: &str) -> Vec<u8> {
    let (family, help) = (bytes(2, family.as_bytes()), bytes(4, help.as_bytes()));
    bytes(3, &[number(1, kind), family, help].concat())
}

/// Series, and the traces and times of its exemplars.
pub fn traces(engine: &Engine) -> Vec<(String, Vec<(String, i64)>)> {
    let session = engine.session(Scope::default(), Cancel::default());
    let found = session.exemplars(&[vec![]], TimeRange::ALL);
    let trace = |labels: &metricstor_engine::labels::Labels| {
        labels.get("trace_id").unwrap_or_default().to_owned()
    };
    found
        .iter()
        .map(|s| {
            let exemplars = s.exemplars.iter().map(|e| (trace(&e.labels), e.t)).collect();
            (s.series.get("__name__").unwrap().to_owned(), exemplars)
        })
        .collect()
}

/// The metadata that the engine has.
pub fn families(engine: &Engine) -> Vec<(String, &'static str, String)> {
    let session = engine.session(Scope::default(), Cancel::default());
    let found = session.metadata(None, usize::MAX);
    found.iter().map(|m| (m.family.to_string(), m.kind.as_str(), m.help.to_string())).collect()
}

/// What [`traces`] gives of one series.
pub fn named(name: &str, exemplars: &[(&str, i64)]) -> (String, Vec<(String, i64)>) {
    (name.to_owned(), exemplars.iter().map(|(trace, t)| ((*trace).to_owned(), *t)).collect())
}
