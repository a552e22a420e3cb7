//! The engine as its caller sees it: what was answered is read back, through flush and restart.

use std::sync::Arc;
use std::sync::mpsc::channel;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::commit::{WireFormat, WriteRequest};
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::error::{ErrorCode, Result};
use metricstor_engine::head::append::WriteOutcome;
use metricstor_engine::index::matcher::{MatchOp, Matcher};
use metricstor_engine::labels::encode_pair;
use metricstor_engine::options::Options;
use metricstor_engine::read::cancel::Cancel;
use metricstor_engine::read::selection::{Filled, Target};
use metricstor_engine::refs::TenantId;
use metricstor_engine::sample::{STALE_BITS, TimeRange};
use metricstor_engine::source::Scope;
use metricstor_engine::wire::compression::BodyEncoding;

const NOW_MS: i64 = 1_790_000_000_000;
const HOUR_MS: i64 = 3_600_000;

type Series<'a> = (&'a [(&'a str, &'a str)], &'a [(i64, f64)]);

/// A protobuf field of wire type 2.
fn field(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    let mut n = bytes.len();
    while n >= 128 {
        out.push(n as u8 | 128);
        n >>= 7;
    }
    out.push(n as u8);
    out.extend_from_slice(bytes);
}

fn write_request(series: &[Series<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (labels, samples) in series {
        let mut message = Vec::new();
        for (name, value) in *labels {
            encode_pair(&mut message, name, value);
        }
        for (t, v) in *samples {
            let mut sample = vec![0x09];
            sample.extend_from_slice(&v.to_le_bytes());
            sample.push(0x10);
            let mut t = *t as u64;
            while t >= 128 {
                sample.push(t as u8 | 128);
                t >>= 7;
            }
            sample.push(t as u8);
            field(&mut message, 0x12, &sample);
        }
        field(&mut body, 0x0A, &message);
    }
    body
}

struct Fixture {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Fixture {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), clock: Arc::new(ManualClock::new(NOW_MS)) }
    }

    fn open(&self) -> Engine {
        let options = Options::new(self.dir.path());
        Engine::open_with(options, Arc::new(OsDisk), self.clock.clone()).unwrap()
    }
}

fn write(engine: &Engine, series: &[Series<'_>]) -> Result<WriteOutcome> {
    let (send, receive) = channel();
    let request = WriteRequest {
        body: Box::new(write_request(series)),
        encoding: BodyEncoding::Identity,
        format: WireFormat::RemoteWrite1,
        tenant: TenantId(0),
    };
    engine.write(request, Box::new(move |result| send.send(result).unwrap()));
    receive.recv().unwrap()
}

fn flush(engine: &Engine) {
    let (send, receive) = channel();
    engine.flush(Box::new(move |result| send.send(result).unwrap()));
    receive.recv().unwrap().unwrap();
}

/// Labels as text and samples by bits of every series that matches.
fn read(
    engine: &Engine,
    matchers: Vec<Matcher>,
    range: TimeRange,
) -> Vec<(String, Vec<(i64, u64)>)> {
    let mut session = engine.session(Scope::default(), Cancel::default());
    let mut selection = session.select(matchers, range).unwrap();
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

fn all(engine: &Engine) -> Vec<(String, Vec<(i64, u64)>)> {
    let mut found = read(engine, Vec::new(), TimeRange::ALL);
    found.retain(|(_, samples)| !samples.is_empty());
    found
}

fn bits(samples: &[(i64, f64)]) -> Vec<(i64, u64)> {
    samples.iter().map(|(t, v)| (*t, v.to_bits())).collect()
}

const A: &[(&str, &str)] = &[("__name__", "m"), ("l", "a")];
const B: &[(&str, &str)] = &[("__name__", "m"), ("l", "b")];

#[test]
fn every_bit_comes_back_before_and_after_flush_and_restart() {
    let fixture = Fixture::new();
    let odd = [
        (NOW_MS - 5000, f64::from_bits(STALE_BITS)),
        (NOW_MS - 4000, f64::from_bits(0x7ff8_dead_beef_0001)),
        (NOW_MS - 3000, -0.0),
        (NOW_MS - 2000, f64::NEG_INFINITY),
        (NOW_MS - 1000, 5e-324),
    ];
    let want = vec![("__name__=m,l=a".to_owned(), bits(&odd))];
    let engine = fixture.open();
    assert_eq!(write(&engine, &[(A, &odd)]).unwrap().samples, 5);
    assert_eq!(all(&engine), want);
    engine.close().unwrap();
    let engine = fixture.open();
    assert_eq!(all(&engine), want, "after a restart that replays the log");
    flush(&engine);
    assert_eq!(all(&engine), want, "from a block");
    engine.close().unwrap();
    assert_eq!(all(&fixture.open()), want, "from a block after a restart");
}

#[test]
fn the_last_write_wins_across_head_and_blocks() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    let t = NOW_MS - HOUR_MS;
    write(&engine, &[(A, &[(t, 1.0), (t + 1000, 1.0), (t + 2000, 1.0)])]).unwrap();
    write(&engine, &[(A, &[(t, 2.0)])]).unwrap();
    flush(&engine);
    write(&engine, &[(A, &[(t + 1000, 3.0)]), (B, &[(t, 9.0)])]).unwrap();
    let want = vec![
        ("__name__=m,l=a".to_owned(), bits(&[(t, 2.0), (t + 1000, 3.0), (t + 2000, 1.0)])),
        ("__name__=m,l=b".to_owned(), bits(&[(t, 9.0)])),
    ];
    assert_eq!(all(&engine), want);
    flush(&engine);
    assert_eq!(all(&engine), want);
    engine.close().unwrap();
    assert_eq!(all(&fixture.open()), want);
}

#[test]
fn labels_in_another_order_are_the_same_series() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    let reversed: &[(&str, &str)] = &[("l", "a"), ("empty", ""), ("__name__", "m")];
    write(&engine, &[(A, &[(NOW_MS, 1.0)])]).unwrap();
    write(&engine, &[(reversed, &[(NOW_MS + 1, 2.0)])]).unwrap();
    write(&engine, &[(reversed, &[(NOW_MS + 2, 3.0)])]).unwrap();
    flush(&engine);
    write(&engine, &[(reversed, &[(NOW_MS + 3, 4.0)])]).unwrap();
    engine.close().unwrap();
    let engine = fixture.open();
    let want = bits(&[(NOW_MS, 1.0), (NOW_MS + 1, 2.0), (NOW_MS + 2, 3.0), (NOW_MS + 3, 4.0)]);
    assert_eq!(all(&engine), [("__name__=m,l=a".to_owned(), want)]);
}

#[test]
fn good_samples_of_a_bad_request_are_stored_and_the_bad_ones_named() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    let samples = [(NOW_MS - 16 * 24 * HOUR_MS, 1.0), (NOW_MS, 2.0), (NOW_MS + HOUR_MS, 3.0)];
    let nameless: &[(&str, &str)] = &[("l", "a")];
    let twice: &[(&str, &str)] = &[("__name__", "m"), ("l", "a"), ("l", "b")];
    let outcome = write(
        &engine,
        &[
            (A, &samples),
            (nameless, &[(NOW_MS, 1.0)]),
            (twice, &[(NOW_MS, 1.0), (NOW_MS + 1, 1.0)]),
        ],
    )
    .unwrap();
    assert_eq!(outcome.samples, 1);
    let rejected =
        |code| outcome.rejections.iter().filter(|r| r.code == code).map(|r| r.count).sum::<u64>();
    assert_eq!(rejected(ErrorCode::TooOld), 1);
    assert_eq!(rejected(ErrorCode::TooFarAhead), 1);
    assert_eq!(rejected(ErrorCode::BadData), 3);
    assert_eq!(all(&engine), [("__name__=m,l=a".to_owned(), bits(&[(NOW_MS, 2.0)]))]);
}

#[test]
fn selecting_in_a_range_gives_its_samples_only() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    let samples: Vec<(i64, f64)> = (0..1000).map(|i| (NOW_MS - i * 15_000, i as f64)).collect();
    for sample in &samples {
        write(&engine, &[(A, &[*sample])]).unwrap();
    }
    let range = TimeRange::new(NOW_MS - 300_000, NOW_MS - 100_000);
    let by_label = || vec![Matcher::new("l", MatchOp::Regex, "a|x").unwrap()];
    let mut want = bits(&samples);
    want.retain(|(t, _)| range.contains(*t));
    want.reverse();
    assert_eq!(read(&engine, by_label(), range)[0].1, want);
    flush(&engine);
    assert_eq!(read(&engine, by_label(), range)[0].1, want);
    assert!(
        read(&engine, vec![Matcher::new("l", MatchOp::NotEqual, "a").unwrap()], range).is_empty()
    );
}

#[test]
fn a_second_engine_on_the_directory_is_refused() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    let again = Engine::open(Options::new(fixture.dir.path()));
    assert_eq!(again.err().map(|e| e.code()), Some(ErrorCode::ReadOnly));
    engine.close().unwrap();
    assert!(Engine::open(Options::new(fixture.dir.path())).is_ok());
}

#[test]
fn series_that_ended_leave_the_head_and_stay_readable() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    write(&engine, &[(A, &[(NOW_MS, 1.0)])]).unwrap();
    flush(&engine);
    let head_series = || engine.stats().iter().find(|(n, _)| *n == "headSeries").unwrap().1;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while head_series() > 0.0 {
        assert!(std::time::Instant::now() < deadline, "the series is still in the head");
        std::thread::yield_now();
    }
    write(&engine, &[(B, &[(NOW_MS, 2.0)])]).unwrap();
    write(&engine, &[(A, &[(NOW_MS + 1, 3.0)])]).unwrap();
    let want = vec![
        ("__name__=m,l=a".to_owned(), bits(&[(NOW_MS, 1.0), (NOW_MS + 1, 3.0)])),
        ("__name__=m,l=b".to_owned(), bits(&[(NOW_MS, 2.0)])),
    ];
    assert_eq!(all(&engine), want);
    engine.close().unwrap();
    assert_eq!(all(&fixture.open()), want);
}
