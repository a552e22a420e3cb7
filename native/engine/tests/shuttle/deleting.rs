//! Deletes beside writers, readers, flush, checkpoint and compaction: what was there before a
//! delete is gone when it is answered, what is written afterwards stays.

use metricstor_engine::deletes::Mode;
use metricstor_engine::disk::faulty::FaultyDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::sample::TimeRange;
use metricstor_engine::sync::{random, thread};

use crate::book::Book;
use crate::explore::explore;
use crate::losing_power::{End, end_at_some_moment};
use crate::publishing::{MINUTE_MS, NOW_MS, beside_reader, open};
use crate::support::{self, all, checkpoint, clean, compact, flush, like};

fn write(engine: &Engine, book: &Book, series: &str, minutes: std::ops::Range<i64>) {
    for minute in minutes {
        let samples = [(NOW_MS - minute * MINUTE_MS, random() as f64)];
        book.write(engine, series, &samples).unwrap();
    }
}

fn delete(engine: &Engine, book: &Book, series: &str) {
    let matchers = vec![like("series", series)];
    let delete = || support::delete(engine, matchers, TimeRange::ALL, Mode::Delete).map(drop);
    book.delete(series, delete).unwrap();
    book.check(engine);
}

/// Deletes two of three series beside those who write them, read and do `work`; at some moment the
/// power fails, for another start alone.
fn delete_beside(work: fn(&Engine)) {
    let disk = FaultyDisk::new();
    let (engine, book) = (open(&disk), Book::default());
    let series = ["deleted-once", "deleted-twice", "kept"];
    series.iter().for_each(|name| write(&engine, &book, name, 0..3));
    thread::scope(|scope| {
        for name in series {
            let (engine, book) = (&engine, &book);
            // Some anew, some at other times, and some older than all.
            scope.spawn(move || {
                write(engine, book, name, 1..5);
                write(engine, book, name, 0..2);
            });
        }
        scope.spawn(|| {
            delete(&engine, &book, "deleted-twice");
            delete(&engine, &book, "deleted-once");
            delete(&engine, &book, "deleted-twice");
        });
        scope.spawn(|| end_at_some_moment(&disk, &book, End::PowerLoss));
        beside_reader(&engine, &book, || work(&engine));
    });
    book.check(&engine);
    let found = all(&engine);
    let (before, killed, crashed) = (book.page(), disk.kill(), disk.crash(random()));
    drop(engine);
    for left in [killed, crashed, disk] {
        let again = all(&open(&left));
        before.judge(&before, again.clone());
        assert_eq!(again, found, "another start finds the same");
    }
}

#[test]
fn deletes_beside_writers_and_checkpoints() {
    explore(20, || delete_beside(|engine| checkpoint(engine).unwrap()));
}

#[test]
fn deletes_beside_writers_and_flushes() {
    explore(20, || {
        delete_beside(|engine| {
            flush(engine).unwrap();
            flush(engine).unwrap();
        });
    });
}

#[test]
fn deletes_beside_writers_and_compaction() {
    explore(20, || {
        delete_beside(|engine| {
            flush(engine).unwrap();
            clean(engine).unwrap();
            flush(engine).unwrap();
            compact(engine).unwrap();
        });
    });
}

#[test]
fn deletes_beside_writers_flushes_checkpoints_and_cleaning_at_once() {
    explore(40, || {
        delete_beside(|engine| {
            thread::scope(|scope| {
                scope.spawn(|| (0..12).for_each(|_| clean(engine).unwrap()));
                for _ in 0..2 {
                    flush(engine).unwrap();
                    checkpoint(engine).unwrap();
                }
            });
        });
    });
}
