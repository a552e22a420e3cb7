//! How fast a background thread may go: its share of the machine's processors, and its priority.

use std::time::Duration;

use crate::sync::{Instant, thread};

/// Processor time that a thread may be ahead of its share, so that it waits seldom and not for
/// every millisecond.
const BURST: Duration = Duration::from_millis(50);

/// Holds the thread that made it to a share of the machine.
///
/// The share is an allowance of processor time that grows with time. What the thread used is taken
/// off; while it has used more than there was, it is to wait.
pub struct Pace {
    /// Processor seconds for each second; from 1 on a single thread is never held back.
    rate: f64,
    allowance: f64,
    seen: Instant,
    used: Duration,
}

impl Pace {
    /// `share` of all processors of the machine, from 0 to 1.
    pub fn new(share: f64) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self { rate: share * cores as f64, allowance: 0.0, seen: Instant::now(), used: used() }
    }

    /// How long the thread must wait now to stay within its share; zero while it is.
    pub fn owed(&mut self) -> Duration {
        let (now, used) = (Instant::now(), used());
        let passed = (now - self.seen).as_secs_f64();
        let spent = used.saturating_sub(self.used).as_secs_f64();
        (self.seen, self.used) = (now, used);
        self.after(passed, spent)
    }

    /// The wait after `passed` seconds in which the thread used `spent` seconds of a processor.
    fn after(&mut self, passed: f64, spent: f64) -> Duration {
        let most = BURST.as_secs_f64();
        self.allowance = (self.allowance + passed * self.rate - spent).min(most);
        if self.rate >= 1.0 || self.allowance >= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64((-self.allowance / self.rate.max(1e-3)).min(3600.0))
    }
}

/// Processor time that the calling thread has used.
fn used() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes into `time`, which outlives it, and nothing else.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } != 0;
    if failed {
        return Duration::ZERO;
    }
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Lets every other thread of the machine go before the calling one, where the system has
/// priorities of threads (Linux: its nice value). Where it has none or refuses, nothing happens.
pub fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        const NICE: libc::c_int = 10;
        // SAFETY: takes numbers only; 0 is the calling thread.
        let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: f64) -> Pace {
        Pace { rate, allowance: 0.0, seen: Instant::now(), used: Duration::ZERO }
    }

    #[test]
    fn over_time_a_thread_gets_its_share_and_no_more() {
        let mut pace = pace(0.5);
        let (mut wall, mut used) = (0.0, 0.0);
        let mut waited = 0.0;
        for _ in 0..1000 {
            wall += 0.01 + waited;
            used += 0.01;
            waited = pace.after(0.01 + waited, 0.01).as_secs_f64();
        }
        let share = used / (wall + waited);
        assert!((0.49..0.51).contains(&share), "{share}");
    }

    #[test]
    fn a_pause_is_no_credit_for_later() {
        let mut pace = pace(0.5);
        assert_eq!(pace.after(1000.0, 0.0), Duration::ZERO);
        assert!(pace.after(1.0, 1.0) > Duration::from_millis(500));
    }

    #[test]
    fn a_share_of_a_whole_processor_is_never_held_back() {
        assert_eq!(pace(1.0).after(0.0, 5.0), Duration::ZERO);
    }

    #[test]
    fn work_is_seen_as_processor_time() {
        let before = used();
        let mut sum = 0u64;
        while used() < before + Duration::from_millis(5) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let busy = used();
        std::thread::sleep(Duration::from_millis(20));
        assert!(used() - busy < Duration::from_millis(10), "sleeping is none");
    }
}
