//! Runs a scenario under many seeds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use metricstor_engine::sync::random;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

/// Steps of a run that gets nowhere; the longest that does takes a fiftieth.
const STEPS_MAX: usize = 20_000_000;
/// Of a thread's stack; only what is used of it takes memory.
const STACK_BYTES: usize = 1 << 20;
/// Every so manieth seed keeps to one thread as long as it can, and changes its mind so often: that
/// finds what needs one thread far behind or ahead, the others what needs a quick exchange.
const STUBBORN: u64 = 4;
const CHANGES: usize = 5;
/// The longest pause is so many turns, as a power of two: about those of a run's longest thread.
const PAUSES: u64 = 12;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Runs `scenario` under `runs` seeds, the same every time; `METRICSTOR_SHUTTLE_RUNS` is how many
/// times as many, and `METRICSTOR_SHUTTLE_SEED` the only one.
pub fn explore(runs: u64, scenario: fn()) {
    let seeds = match number("METRICSTOR_SHUTTLE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..runs * number("METRICSTOR_SHUTTLE_RUNS").unwrap_or(1),
    };
    for seed in seeds {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if seed % STUBBORN == STUBBORN - 1 {
                run(PctScheduler::new_from_seed(seed, CHANGES, 1), scenario);
            } else {
                run(RandomScheduler::new_from_seed(seed, 1), scenario);
            }
        }));
        assert!(outcome.is_ok(), "again with METRICSTOR_SHUTTLE_SEED={seed} and this test's name");
    }
}

/// Lets the others go on for a moment, or until they are done, or anything between.
pub fn pause() {
    let at_most = 1 << (random() % PAUSES);
    (0..random() % at_most).for_each(|_| shuttle::thread::yield_now());
}

fn run(scheduler: impl Scheduler + 'static, scenario: fn()) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    // The seed says it all, in less than a megabyte.
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    config.ungraceful_shutdown_config.immediately_return_on_panic = true;
    Runner::new(scheduler, config).run(scenario);
}
