//! What the engine's tests share: requests in, samples out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod beside;
pub mod fixture;
pub mod protobuf;
pub mod random;
pub mod values;

use metricstor_engine::commit::{Answer, WireFormat, WriteRequest};
use metricstor_engine::deletes::{DeleteRequest, Mode};
use metricstor_engine::engine::Engine;
use metricstor_engine::error::Result;
use metricstor_engine::head::append::WriteOutcome;
use metricstor_engine::index::matcher::{MatchOp, Matcher};
use metricstor_engine::read::cancel::Cancel;
use metricstor_engine::read::count::Counted;
use metricstor_engine::read::selection::{Filled, Selection, Target};
use metricstor_engine::read::session::Session;
use metricstor_engine::refs::TenantId;
use metricstor_engine::sample::TimeRange;
use metricstor_engine::source::Scope;
use metricstor_engine::sync::channel::unbounded as channel;
use metricstor_engine::wire::compression::BodyEncoding;

/// Labels and samples of one series.
pub type Series<'a> = (&'a [(&'a str, &'a str)], &'a [(i64, f64)]);

/// A request of remote_write 1.0.
fn write_request(all: &[Series<'_>]) -> Vec<u8> {
    let message = |(labels, samples): &Series<'_>| {
        let mut series = protobuf::labels(labels);
        samples.iter().for_each(|(t, v)| series.extend(protobuf::sample(*t, *v)));
        protobuf::bytes(1, &series)
    };
    all.iter().flat_map(message).collect()
}

/// Writes and waits for the answer.
pub fn write(engine: &Engine, series: &[Series<'_>]) -> Result<WriteOutcome> {
    write_body(engine, WireFormat::RemoteWrite1, write_request(series))
}

/// Writes and goes on; `answer` is called on the log's thread.
pub fn write_and_go_on(engine: &Engine, series: &[Series<'_>], answer: Answer) {
    engine.write(plain(WireFormat::RemoteWrite1, write_request(series)), answer);
}

/// Writes a body as it is and waits for the answer.
pub fn write_body(engine: &Engine, format: WireFormat, body: Vec<u8>) -> Result<WriteOutcome> {
    let (send, receive) = channel();
    engine.write(plain(format, body), Box::new(move |result| send.send(result).unwrap()));
    receive.recv().unwrap()
}

fn plain(format: WireFormat, body: Vec<u8>) -> WriteRequest {
    let (body, encoding) = (Box::new(body), BodyEncoding::Identity);
    WriteRequest { body, encoding, format, tenant: TenantId(0) }
}

/// Flushes and waits.
pub fn flush(engine: &Engine) -> Result<()> {
    let (send, receive) = channel();
    engine.flush(Box::new(move |result| send.send(result).unwrap()));
    receive.recv().unwrap()
}

/// A matcher of a regular expression.
pub fn like(name: &str, pattern: &str) -> Matcher {
    Matcher::new(name, MatchOp::Regex, pattern).unwrap()
}

/// Deletes (or counts) what one selector finds, and waits.
pub fn delete(
    engine: &Engine,
    matchers: Vec<Matcher>,
    range: TimeRange,
    mode: Mode,
) -> Result<Counted> {
    let (send, receive) = channel();
    let request = DeleteRequest { scope: Scope::default(), selectors: vec![matchers], range };
    engine.delete(request, mode, Box::new(move |result| send.send(result).unwrap()));
    receive.recv().unwrap()
}

/// Has the blocks written anew without what is deleted, and waits.
pub fn clean(engine: &Engine) -> Result<()> {
    let (send, receive) = channel();
    engine.clean_tombstones(Box::new(move |result| send.send(result).unwrap()));
    receive.recv().unwrap()
}

/// Waits until `what` holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "still not so: {what}");
        std::thread::yield_now();
    }
}

/// Writes the head down and waits.
pub fn checkpoint(engine: &Engine) -> Result<()> {
    let (send, receive) = channel();
    engine.checkpoint(Box::new(move |result| send.send(result).unwrap()));
    receive.recv().unwrap()
}

/// Merges what may be merged, and waits.
pub fn compact(engine: &Engine) -> Result<()> {
    let (send, receive) = channel();
    engine.compact(Box::new(move |result| send.send(result).unwrap()));
    receive.recv().unwrap()
}

/// One of the engine's numbers.
pub fn stat(engine: &Engine, name: &str) -> f64 {
    let stats = engine.stats();
    stats.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name}")).1
}

/// Labels as text and samples by bits of every series that matches.
pub fn read(
    engine: &Engine,
    matchers: Vec<Matcher>,
    range: TimeRange,
) -> Vec<(String, Vec<(i64, u64)>)> {
    let mut session = engine.session(Scope::default(), Cancel::default());
    let mut selection = session.select(matchers, range).unwrap();
    copy(&session, &mut selection)
}

/// Labels as text and samples by bits of every series of a selection.
pub fn copy(session: &Session, selection: &mut Selection) -> Vec<(String, Vec<(i64, u64)>)> {
    let mut out = Vec::new();
    let (mut ts, mut vs) = (vec![0.0; 100_000], vec![0.0; 100_000]);
    let mut offsets = vec![0u32; 8];
    while out.len() < selection.len() {
        let first = out.len();
        let mut target = Target { timestamps: &mut ts, values: &mut vs, offsets: &mut offsets };
        let Filled::Series(n) = selection.read(first, &mut target).unwrap() else {
            panic!("does not fit")
        };
        for k in 0..n {
            let span = offsets[k] as usize..offsets[k + 1] as usize;
            let samples = span.map(|i| (ts[i] as i64, vs[i].to_bits())).collect();
            let ids = selection.labels(first + k);
            let text: Vec<String> = ids
                .chunks(2)
                .map(|p| {
                    let (name, value) =
                        (session.dictionary.text(p[0]), session.dictionary.text(p[1]));
                    format!("{name}={value}")
                })
                .collect();
            out.push((text.join(","), samples));
        }
    }
    out.sort();
    out
}

/// Every series that has samples.
pub fn all(engine: &Engine) -> Vec<(String, Vec<(i64, u64)>)> {
    let mut found = read(engine, Vec::new(), TimeRange::ALL);
    found.retain(|(_, samples)| !samples.is_empty());
    found
}

/// Samples by bits.
pub fn bits(samples: &[(i64, f64)]) -> Vec<(i64, u64)> {
    samples.iter().map(|(t, v)| (*t, v.to_bits())).collect()
}
