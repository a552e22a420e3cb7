//! Evaluates windows over the series of a selection, by several threads where there is much to do.
//!
//! Threads take chunks of neighbouring series. Whoever has finished a chunk waits for its turn and
//! hands the rows on, so that they arrive in the order of the series whatever thread made them:
//! floating-point sums depend on it.

use crate::error::Result;
use crate::read::reader::{Layout, Reader};
use crate::read::selection::Selection;
use crate::rollup::{Evaluator, Rollup};
use crate::run::Needs;
use crate::sync::{Arc, Condvar, Mutex, thread};

/// Samples, and cells of rows, of a chunk, about: what a core's cache holds.
const CHUNK_SAMPLES: usize = 32 << 10;
const CHUNK_CELLS: usize = 32 << 10;
/// Most series of a chunk, and of the first one, whose samples nobody has counted.
const CHUNK_SERIES: usize = 512;
const FIRST_SERIES: usize = 8;
/// Samples and cells for which a thread is started: a few milliseconds of work to its 50 µs.
const HELPER_WORK: usize = 1 << 18;

/// Rows of neighbouring series.
pub struct Rows<'a> {
    /// The first series.
    pub first: usize,
    /// Cells of a row.
    pub steps: usize,
    /// How many cells of each series have a value: `counts.len()` is the number of series.
    pub counts: &'a [u32],
    /// Series `first + i` owns `[i * steps, (i + 1) * steps)`.
    pub values: &'a [f64],
    /// The same cells: 1 where there is a value.
    pub present: &'a [u8],
}

/// Takes rows in the order of their series.
pub type RowsSink<'a> = &'a mut (dyn FnMut(&Rows<'_>) + Send);

/// What is to be evaluated.
pub struct Evaluation<'a> {
    /// The function and its windows.
    pub rollup: &'a Arc<Rollup>,
    /// The series from the first one to before the second.
    pub series: (usize, usize),
    /// After so many samples no further chunk is begun.
    pub samples: usize,
}

/// How far an evaluation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evaluated {
    /// Series that were evaluated.
    pub series: usize,
    /// Their samples.
    pub samples: usize,
    /// Those of the series that has most.
    pub longest: usize,
    /// Whether it ended because the next series has a histogram.
    pub histogram: bool,
}

/// What the threads of one evaluation share.
struct Shared<'s> {
    state: Mutex<State<'s>>,
    turned: Condvar,
}

struct State<'s> {
    sink: RowsSink<'s>,
    /// The first series that nobody has taken, and the end.
    next: usize,
    end: usize,
    /// Series of the next chunk.
    chunk: usize,
    /// The series whose rows are to be handed on next.
    turn: usize,
    stopped: bool,
    samples_left: usize,
    done: Evaluated,
}

impl Selection {
    /// Evaluates series from the first one on and hands their rows to `sink`. Ends before a series
    /// with a histogram, and once enough samples were decoded; at least one chunk is evaluated.
    ///
    /// # Errors
    /// `canceled`, `corruption`.
    pub fn evaluate(
        &mut self,
        evaluation: &Evaluation<'_>,
        sink: RowsSink<'_>,
    ) -> Result<Evaluated> {
        let helpers = self.helpers.clone();
        let (first, last) = evaluation.series;
        let (first, end) = (first.min(self.len()), last.min(self.len()));
        let steps = evaluation.rollup.steps();
        let state = State {
            sink,
            next: first,
            end,
            chunk: self.chunk_series.map_or(FIRST_SERIES, |chunk| chunk.clamp(1, CHUNK_SERIES)),
            turn: first,
            stopped: first == end,
            samples_left: evaluation.samples,
            done: Evaluated::default(),
        };
        let shared = Shared { state: Mutex::new(state), turned: Condvar::new() };
        let (layout, reader) = self.reading();
        let mut worker = Worker::new(layout, reader, evaluation.rollup);
        // The first chunk shows what a series costs.
        let mut more = worker.work_once(&shared)?;
        if more {
            let wanted = shared.helpers_wanted(steps);
            let taken = helpers.take(wanted);
            let forks: Vec<Reader> =
                (0..taken.count()).map_while(|_| worker.reader.fork()).collect();
            thread::scope(|scope| -> Result<()> {
                let mut threads = Vec::new();
                for mut fork in forks {
                    let shared = &shared;
                    let help =
                        move || Worker::new(layout, &mut fork, evaluation.rollup).work(shared);
                    let builder = thread::Builder::new().name("query helper".into());
                    // Without a helper it only takes longer.
                    threads.extend(builder.spawn_scoped(scope, help));
                }
                while more {
                    more = worker.work_once(&shared)?;
                }
                for thread in threads {
                    match thread.join() {
                        Ok(result) => result?,
                        Err(panic) => std::panic::resume_unwind(panic),
                    }
                }
                Ok(())
            })?;
        }
        let state = shared.state.into_inner();
        self.chunk_series = Some(state.chunk);
        Ok(state.done)
    }
}

impl Shared<'_> {
    /// How many threads are worth it for what is left.
    fn helpers_wanted(&self, steps: usize) -> usize {
        let state = self.state.lock();
        let series = state.end - state.next;
        let per_series = state.done.samples / state.done.series.max(1) + steps;
        let left = (series * per_series).min(state.samples_left.saturating_mul(2));
        (left / HELPER_WORK).min(series / state.chunk.max(1))
    }

    /// Takes a chunk of series, if there is one to take.
    fn take(&self) -> Option<(usize, usize)> {
        let mut state = self.state.lock();
        let over = state.stopped || state.next == state.end || state.samples_left == 0;
        if over {
            return None;
        }
        let first = state.next;
        state.next = (first + state.chunk).min(state.end);
        Some((first, state.next))
    }

    /// Ends the evaluation for all threads.
    fn stop(&self) {
        self.state.lock().stopped = true;
        self.turned.notify_all();
    }

    /// Waits until all series before are handed on, and hands on what `rows` has.
    fn hand_on(&self, chunk: (usize, usize), rows: &Rows<'_>, seen: Evaluated) {
        let mut state = self.state.lock();
        while state.turn != chunk.0 && !state.stopped {
            self.turned.wait(&mut state);
        }
        if state.stopped {
            return;
        }
        (state.sink)(rows);
        state.turn = chunk.1;
        state.done.series += seen.series;
        state.done.samples += seen.samples;
        state.done.longest = state.done.longest.max(seen.longest);
        state.done.histogram = seen.histogram;
        state.stopped = seen.histogram;
        state.samples_left = state.samples_left.saturating_sub(seen.samples);
        let per_series = (seen.samples / seen.series.max(1)).max(1);
        let series = (CHUNK_SAMPLES / per_series).min(CHUNK_CELLS / rows.steps.max(1));
        state.chunk = series.clamp(1, CHUNK_SERIES);
        self.turned.notify_all();
    }
}

/// Stops the others when its thread does not come to an end by itself.
struct StopUnlessDone<'a, 's>(&'a Shared<'s>);

impl Drop for StopUnlessDone<'_, '_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// One thread's part.
struct Worker<'a> {
    layout: &'a Layout,
    reader: &'a mut Reader,
    evaluator: Evaluator,
    needs: Needs,
    steps: usize,
    counts: Vec<u32>,
    values: Vec<f64>,
    present: Vec<u8>,
}

impl<'a> Worker<'a> {
    fn new(layout: &'a Layout, reader: &'a mut Reader, rollup: &Arc<Rollup>) -> Self {
        Self {
            layout,
            reader,
            evaluator: Evaluator::new(rollup.clone()),
            needs: rollup.needs(),
            steps: rollup.steps(),
            counts: Vec::new(),
            values: Vec::new(),
            present: Vec::new(),
        }
    }

    fn work(&mut self, shared: &Shared<'_>) -> Result<()> {
        while self.work_once(shared)? {}
        Ok(())
    }

    /// Evaluates a chunk; false when there was none left.
    fn work_once(&mut self, shared: &Shared<'_>) -> Result<bool> {
        let Some(chunk) = shared.take() else { return Ok(false) };
        let unless_done = StopUnlessDone(shared);
        let seen = self.evaluate(chunk)?;
        let rows = Rows {
            first: chunk.0,
            steps: self.steps,
            counts: &self.counts,
            values: &self.values[..self.counts.len() * self.steps],
            present: &self.present[..self.counts.len() * self.steps],
        };
        shared.hand_on(chunk, &rows, seen);
        std::mem::forget(unless_done);
        Ok(true)
    }

    fn evaluate(&mut self, (first, end): (usize, usize)) -> Result<Evaluated> {
        let Self { layout, reader, evaluator, needs, steps, counts, values, present } = self;
        reader.decode(layout, (first, end), *needs)?;
        let cells = (end - first) * *steps;
        if values.len() < cells {
            values.resize(cells, 0.0);
            present.resize(cells, 0);
        }
        counts.clear();
        let (mut seen, mut failed) = (Evaluated::default(), Ok(()));
        reader.for_each(layout, first, end, |samples| {
            if samples.histograms.iter().any(Option::is_some) {
                seen.histogram = true;
                return false;
            }
            let span = counts.len() * *steps..(counts.len() + 1) * *steps;
            let cells = (&mut values[span.clone()], &mut present[span]);
            match evaluator.evaluate(samples, cells.0, cells.1) {
                Ok(count) => counts.push(count as u32),
                Err(error) => {
                    failed = Err(error);
                    return false;
                }
            }
            seen.series += 1;
            seen.samples += samples.timestamps.len();
            seen.longest = seen.longest.max(samples.timestamps.len());
            true
        });
        failed.map(|()| seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::Cancel;
    use crate::dictionary::Dictionary;
    use crate::histogram::Histogram;
    use crate::read::threads::Helpers;
    use crate::rollup::Function;
    use crate::rollup::windows::Windows;
    use crate::sample::TimeRange;
    use crate::source::{Columns, SourceSelection};

    /// Series `i` has `i % 7 * 100` samples of value `i`; one has a histogram.
    struct Made {
        series: usize,
        histogram: Option<u32>,
    }

    impl SourceSelection for Made {
        fn len(&self) -> usize {
            self.series
        }

        fn labels(&mut self, i: usize, words: &mut Dictionary, out: &mut Vec<u32>) -> Result<()> {
            out.extend([words.intern("n"), words.intern(&format!("{i:06}"))]);
            Ok(())
        }

        fn read(&mut self, which: &[u32], _: TimeRange, out: &mut Columns) -> Result<()> {
            for i in which {
                for t in 0..i64::from(i % 7 * 100) {
                    out.push(t * 1000, f64::from(*i));
                }
                if self.histogram == Some(*i) {
                    out.histograms.resize(out.timestamps.len(), None);
                    out.push(9_000_000, 1.0);
                    out.histograms.push(Some(Arc::new(Histogram::stale())));
                }
                out.end_series();
            }
            Ok(())
        }

        fn fork(&self) -> Option<Box<dyn SourceSelection>> {
            Some(Box::new(Self { ..*self }))
        }
    }

    fn evaluate(made: Made, helpers: usize, samples: usize) -> (Evaluated, Vec<(usize, f64)>) {
        let range = TimeRange::ALL;
        let (series, mut words) = (made.series, Dictionary::default());
        let parts: Vec<Box<dyn SourceSelection>> = vec![Box::new(made)];
        let selection = Selection::new(parts, range, &mut words, Cancel::default());
        let mut selection = selection.expect("labels").with_helpers(Helpers::new(helpers));
        let windows = Windows { first_end: 60_000, stride_ms: 60_000, range_ms: 600_000, steps: 9 };
        let rollup = Rollup::new(Function::Last, windows, Vec::new(), Cancel::default());
        let rollup = Arc::new(rollup.expect("no parameters"));
        let mut seen = Vec::new();
        let evaluation = Evaluation { rollup: &rollup, series: (0, series), samples };
        let done = selection.evaluate(&evaluation, &mut |rows| {
            assert_eq!(rows.first, seen.len(), "rows come in order");
            for (i, count) in rows.counts.iter().enumerate() {
                let row = &rows.values[i * rows.steps..(i + 1) * rows.steps];
                seen.push((*count as usize, row[0]));
            }
        });
        (done.expect("no damage"), seen)
    }

    #[test]
    fn rows_are_those_of_their_series_whatever_thread_makes_them() {
        for helpers in [0, 3] {
            let made = Made { series: 5000, histogram: None };
            let (done, rows) = evaluate(made, helpers, usize::MAX);
            assert_eq!((done.series, done.histogram, done.longest), (5000, false, 600));
            for (i, (count, value)) in rows.iter().enumerate() {
                assert_eq!(*count, if i % 7 == 0 { 0 } else { 9 }, "series {i}");
                assert!(i % 7 == 0 || *value == i as f64, "series {i}: {value}");
            }
        }
    }

    #[test]
    fn it_ends_before_a_histogram_and_after_enough_samples() {
        let made = Made { series: 5000, histogram: Some(3333) };
        let (done, rows) = evaluate(made, 2, usize::MAX);
        assert_eq!((done.series, done.histogram, rows.len()), (3333, true, 3333));
        let (done, _) = evaluate(Made { series: 5000, histogram: None }, 2, 1000);
        assert!(done.series > 0 && done.series < 5000 && !done.histogram, "{done:?}");
    }
}
