//! A script of groups, rotations and a cut, stopped at every single call of the disk.

use super::*;
use crate::disk::faulty::Fault;

/// What the script did before it was stopped.
struct Outcome {
    answers: Answers,
    /// Nothing below was needed any more.
    cut: Position,
}

/// Segments roll, groups have one to four entries, marks stand inside of groups.
fn script(disk: &FaultyDisk, policy: SyncPolicy) -> Outcome {
    let sizes = [20, 700, 8, 1500, 300, 2600];
    let mut cut = Position(0);
    let Ok(mut rig) = Rig::open(disk, policy) else {
        return Outcome { answers: Answers::default(), cut };
    };
    for round in 0..14usize {
        let mut group = Vec::new();
        for i in 0..=round % 4 {
            group.push(rig.entry(sizes[(round + i) % sizes.len()]));
        }
        if round % 5 == 3 {
            let mark = rig.mark();
            group.insert(group.len() / 2, mark);
        }
        rig.log.run(group);
        if round % 4 == 2 {
            rig.log.sync_if_due(later());
        }
        if round == 9
            && let Some(mark) = rig.mark_positions().first()
        {
            cut = *mark;
            let _ = rig.cut(disk, cut);
        }
    }
    let answers = rig.answers.clone();
    let _ = rig.log.close();
    Outcome { answers, cut }
}

/// The acknowledged entries that must be there; with `Policy::Always` or a mere kill all of them.
fn check(disk: &FaultyDisk, outcome: &Outcome, all: bool, context: &str) -> Vec<u64> {
    let found = replay_ids(disk, Position(0)).unwrap_or_else(|e| panic!("{context}: {e}")).0;
    assert!(found.is_sorted_by(|a, b| a < b), "{context}: out of order or twice: {found:?}");
    let needed = outcome.answers.logged().into_iter().filter(|(_, end)| *end > outcome.cut);
    let mut lost = None;
    for (id, end) in needed {
        match (found.binary_search(&id).is_ok(), lost) {
            (true, Some(lost)) => panic!("{context}: {lost} is lost but {id} is there"),
            (false, _) => lost = Some(id),
            _ => {}
        }
        assert!(!all || lost.is_none(), "{context}: {id} (end {end:?}) is lost: {found:?}");
    }
    found
}

/// Stops the script at every call with `fault`, then looks at what the next start finds.
fn stop_everywhere(policy: SyncPolicy, fault: Fault, seeds: u64) {
    let whole = disk();
    let before = whole.calls();
    script(&whole, policy);
    let calls = whole.calls() - before;
    for call in 0..calls {
        let disk = disk();
        disk.fail_in(call, fault);
        let outcome = script(&disk, policy);
        let context = format!("{policy:?}, {fault:?} at call {call}");
        // The machine stays up: nothing that was answered may be missing, under any policy.
        check(&disk.kill(), &outcome, true, &context);
        for seed in 0..seeds {
            let context = format!("{context}, seed {seed}");
            let after = disk.crash(seed);
            let always = policy == SyncPolicy::Always;
            let found = check(&after, &outcome, always, &context);
            // What was found once is found again, also when the power fails then.
            assert_eq!(ids(&after.crash(seed)), found, "{context}: second start");
        }
    }
    assert!(calls > 50, "the script must be worth it: {calls} calls");
}

#[test]
fn nothing_acknowledged_is_lost_when_power_fails_at_any_call() {
    stop_everywhere(SyncPolicy::Always, Fault::PowerLoss, 6);
}

#[test]
fn nothing_acknowledged_is_lost_when_any_call_fails_and_power_after_it() {
    stop_everywhere(SyncPolicy::Always, Fault::Io, 4);
    stop_everywhere(SyncPolicy::Always, Fault::DiskFull, 4);
}

#[test]
fn other_policies_lose_nothing_without_a_power_loss_and_only_the_end_with_one() {
    for policy in [INTERVAL, SyncPolicy::Off] {
        stop_everywhere(policy, Fault::PowerLoss, 4);
        stop_everywhere(policy, Fault::Io, 4);
        stop_everywhere(policy, Fault::DiskFull, 2);
    }
}

#[test]
fn recovery_can_be_interrupted_at_any_call_and_repeated() {
    for (stop, seed) in [(40, 1), (63, 2), (85, 3), (101, 4)] {
        let disk = disk();
        disk.fail_in(stop, Fault::PowerLoss);
        let outcome = script(&disk, SyncPolicy::Always);
        // After a power loss and after a kill, which leaves data that is only in the cache.
        for start in [disk.crash(seed), disk.kill()] {
            for call in 0..40 {
                let again = start.kill();
                again.fail_in(call, Fault::PowerLoss);
                let interrupted = Rig::open(&again, SyncPolicy::Always);
                let context = format!("stop {stop}, recovery stopped at call {call}");
                let after = again.crash(call);
                let found = check(&after, &outcome, true, &context);
                if interrupted.is_ok() {
                    assert_eq!(ids(&again.crash(call + 1)), found, "{context}");
                }
            }
        }
    }
}

#[test]
fn two_failures_in_a_row_lose_nothing_acknowledged() {
    for first in (0..90).step_by(3) {
        for gap in [0, 1, 2, 5, 9] {
            for policy in [SyncPolicy::Always, INTERVAL] {
                let disk = disk();
                disk.fail_in(first, Fault::Io);
                disk.fail_in(first + 1 + gap, Fault::Io);
                let outcome = script(&disk, policy);
                let context = format!("{policy:?}, calls {first} and {gap} after it");
                check(&disk.kill(), &outcome, true, &context);
                let always = policy == SyncPolicy::Always;
                check(&disk.crash(first), &outcome, always, &context);
            }
        }
    }
}
