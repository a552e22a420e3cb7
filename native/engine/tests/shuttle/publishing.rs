//! Writers and readers beside flush, checkpoint and compaction: a reader sees each acknowledged
//! sample once, wherever it is on its way.

use std::path::Path;
use std::sync::Arc;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::disk::faulty::FaultyDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::options::Options;
use metricstor_engine::sync::{AtomicBool, Ordering, thread};

use crate::book::Book;
use crate::explore::explore;
use crate::support::{self, checkpoint, compact, flush};

pub const NOW_MS: i64 = 1_790_000_000_000;
pub const MINUTE_MS: i64 = 60_000;

/// Short blocks and short segments, and merging when it is asked for.
pub fn options() -> Options {
    let mut options = Options::new(Path::new("/data"));
    options.block_range_ms = 10 * MINUTE_MS;
    options.wal_segment_bytes = 512;
    options.compact_cpu_share = 0.0;
    options
}

/// An engine with these options, whose clock stands still.
pub fn open(disk: &FaultyDisk) -> Engine {
    let clock = Arc::new(ManualClock::new(NOW_MS));
    Engine::open_with(options(), Arc::new(disk.clone()), clock).unwrap()
}

/// Writes a series of its own, and every other time of one that all writers share; then some of
/// its samples in both anew.
fn write(engine: &Engine, book: &Book, writer: i64, minutes: std::ops::Range<i64>) {
    let own = format!("of-{writer}");
    for minute in minutes.clone() {
        let t = NOW_MS - minute * MINUTE_MS;
        book.write(engine, &own, &[(t, minute as f64), (t + 7, -1.0)]).unwrap();
        book.write(engine, "shared", &[(t + writer, minute as f64)]).unwrap();
    }
    let t = NOW_MS - minutes.start * MINUTE_MS;
    book.write(engine, &own, &[(t, 1e9 + writer as f64)]).unwrap();
    book.write(engine, "shared", &[(t + writer, 2e9 + writer as f64)]).unwrap();
}

/// How often a reader looks at most: those who work are in its way more often than not.
const LOOKS: usize = 40;

/// Does `work`, with a reader that looks until it is done and the head has let go of it.
pub fn beside_reader(engine: &Engine, book: &Book, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..LOOKS {
                if done.load(Ordering::SeqCst) {
                    break;
                }
                book.check(engine);
                book.check_slowly(engine);
                // A scheduler that keeps to one thread would keep to this one.
                shuttle::thread::yield_now();
            }
        });
        work();
        // Each is answered before the thread goes on with its other work.
        (0..3).for_each(|_| checkpoint(engine).unwrap());
        done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_reader_sees_what_was_acknowledged_once_while_blocks_are_published() {
    explore(40, || {
        let disk = FaultyDisk::new();
        let (engine, book) = (open(&disk), Book::default());
        thread::scope(|scope| {
            for writer in 0..2 {
                let (engine, book) = (&engine, &book);
                scope.spawn(move || write(engine, book, writer, 0..4));
            }
            beside_reader(&engine, &book, || {
                for _ in 0..2 {
                    flush(&engine).unwrap();
                }
            });
        });
        assert_eq!(book.check(&engine), 2 * (4 * 2 + 4));
        engine.close().unwrap();
        drop(engine);
        assert_eq!(book.check(&open(&disk)), 2 * (4 * 2 + 4), "after another start");
    });
}

#[test]
fn a_reader_sees_no_series_samples_as_those_of_another_that_had_its_place() {
    explore(40, || {
        let disk = FaultyDisk::new();
        let (engine, book) = (open(&disk), Book::default());
        let write = |n: i64| book.write(&engine, &format!("{n}"), &[(NOW_MS, n as f64)]).unwrap();
        beside_reader(&engine, &book, || {
            for first in [0, 16, 32] {
                (first..first + 16).for_each(write);
                flush(&engine).unwrap();
            }
            (48..64).for_each(write);
        });
        assert_eq!(book.check(&engine), 64);
    });
}

#[test]
fn series_that_two_writers_begin_at_once_are_one() {
    explore(40, || {
        let disk = FaultyDisk::new();
        let (engine, book) = (open(&disk), Book::default());
        thread::scope(|scope| {
            for writer in 0..2 {
                let (engine, book) = (&engine, &book);
                scope.spawn(move || {
                    for n in 0..8 {
                        let samples = [(NOW_MS + writer, f64::from(n))];
                        book.write(engine, &format!("{n}"), &samples).unwrap();
                    }
                });
            }
        });
        assert_eq!((support::stat(&engine, "headSeries"), book.check(&engine)), (8.0, 16));
    });
}

#[test]
fn a_reader_sees_what_was_acknowledged_once_while_blocks_are_merged() {
    explore(20, || {
        let disk = FaultyDisk::new();
        let (engine, book) = (open(&disk), Book::default());
        write(&engine, &book, 0, 0..12);
        flush(&engine).unwrap();
        write(&engine, &book, 1, 3..15);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2 {
                    compact(&engine).unwrap();
                }
            });
            scope.spawn(|| {
                beside_reader(&engine, &book, || {
                    flush(&engine).unwrap();
                    checkpoint(&engine).unwrap();
                });
            });
            scope.spawn(|| write(&engine, &book, 2, 0..3));
        });
        compact(&engine).unwrap();
        assert!(support::stat(&engine, "compactions") > 0.0, "something was merged");
        book.check(&engine);
    });
}

#[test]
fn closing_answers_whoever_still_asks() {
    explore(60, || {
        let disk = FaultyDisk::new();
        let (engine, book) = (open(&disk), Book::default());
        let mut next = None;
        thread::scope(|scope| {
            scope.spawn(|| {
                // The first that is refused is the last.
                (0..20).try_for_each(|n| book.write(&engine, "a", &[(NOW_MS - n, 1.0)])).err()
            });
            scope.spawn(|| flush(&engine).and_then(|()| compact(&engine)).err());
            scope.spawn(|| checkpoint(&engine).err());
            engine.close().unwrap();
            // Nobody is answered by the one and missed by the other.
            next = Some(open(&disk));
        });
        book.check(&next.unwrap());
    });
}
