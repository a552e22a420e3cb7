//! Group commit, checkpoint and the cutting of the log, with an end at any moment: what was
//! acknowledged until then is there after the next start.

use metricstor_engine::disk::faulty::{Fault, FaultyDisk};
use metricstor_engine::engine::Engine;
use metricstor_engine::sync::{AtomicBool, Ordering, random, thread};

use crate::book::{Book, is_of_the_disk};
use crate::explore::{explore, pause};
use crate::publishing::{MINUTE_MS, NOW_MS, open};
use crate::support::{all, checkpoint, flush};

/// How the machine or the process ends.
#[derive(Clone, Copy)]
pub enum End {
    /// Unsynced sectors and names are there or not.
    PowerLoss,
    /// All that the process wrote is there.
    Kill,
}

/// What the next process finds, and what it must find.
fn end(disk: &FaultyDisk, book: &Book, how: End) {
    let before = book.page();
    let left = match how {
        End::PowerLoss => disk.crash(random()),
        End::Kill => disk.kill(),
    };
    let after = book.page();
    let engine = open(&left);
    before.judge(&after, all(&engine));
    drop(engine);
    // A start that begins to clean up is not the last one.
    before.judge(&after, all(&open(&left.crash(random()))));
}

/// The same after a while: left to itself, a scheduler that draws lots begins with this.
pub fn end_at_some_moment(disk: &FaultyDisk, book: &Book, how: End) {
    pause();
    end(disk, book, how);
}

fn write(engine: &Engine, book: &Book, writer: i64) {
    let own = format!("of-{writer}");
    for n in 0..6 {
        let t = NOW_MS - n * MINUTE_MS;
        let outcome = book.write(engine, &own, &[(t, n as f64), (t + 1, -1.0)]);
        assert!(outcome.is_ok() || is_of_the_disk(&outcome), "{outcome:?}");
    }
}

/// Writers beside `work`; at some moment the end comes, and to those who go on meanwhile another.
fn write_beside(how: End, work: fn(&Engine)) {
    let disk = FaultyDisk::new();
    let (engine, book) = (open(&disk), Book::default());
    let worked = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..3 {
            let (engine, book) = (&engine, &book);
            scope.spawn(move || write(engine, book, writer));
        }
        scope.spawn(|| {
            work(&engine);
            worked.store(true, Ordering::SeqCst);
        });
        end_at_some_moment(&disk, &book, how);
    });
    assert!(worked.load(Ordering::SeqCst));
    end(&disk, &book, how);
}

#[test]
fn a_power_loss_beside_writers_takes_nothing_acknowledged() {
    explore(60, || write_beside(End::PowerLoss, |_| ()));
}

#[test]
fn a_power_loss_while_the_log_is_cut_takes_nothing_acknowledged() {
    explore(60, || {
        write_beside(End::PowerLoss, |engine| {
            checkpoint(engine).unwrap();
            flush(engine).unwrap();
            checkpoint(engine).unwrap();
        });
    });
}

#[test]
fn a_kill_beside_a_checkpoint_takes_nothing_acknowledged() {
    explore(60, || {
        write_beside(End::Kill, |engine| {
            for _ in 0..3 {
                checkpoint(engine).unwrap();
            }
        });
    });
}

#[test]
fn what_was_acknowledged_before_or_after_a_failed_call_of_the_disk_outlives_a_power_loss() {
    explore(60, || {
        let disk = FaultyDisk::new();
        let (engine, book) = (open(&disk), Book::default());
        thread::scope(|scope| {
            for writer in 0..3 {
                let (engine, book) = (&engine, &book);
                scope.spawn(move || write(engine, book, writer));
            }
            disk.fail_in(random() % 20, Fault::Io);
            disk.fail_in(20 + random() % 20, Fault::Io);
            end_at_some_moment(&disk, &book, End::PowerLoss);
        });
        disk.clear_faults();
        book.check(&engine);
        end(&disk, &book, End::PowerLoss);
    });
}
