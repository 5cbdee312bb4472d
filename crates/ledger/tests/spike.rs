//! A spike of traffic, simulated: what the grouping policy makes of it, and what would happen without it.
//!
//! `cargo test -p ledger --test spike -- --nocapture` prints the course of both.
#![expect(clippy::indexing_slicing, reason = "minutes and stages are in range")]

use std::collections::VecDeque;

use ledger::policy::{Grouping, Pending};

/// What a stage takes for a job, in milliseconds: the same few seconds for any, and a little for each thousand events.
const STAGE_MILLIS: [(u64, u64); 4] = [(6_000, 10), (4_000, 6), (4_000, 8), (4_000, 6)];
const TICK_MILLIS: u64 = 1_000;
/// A batch a minute of 20,000 events; for an hour, thirty times as many.
const EVENTS: u64 = 20_000;
const SPIKE_MINUTES: std::ops::Range<u64> = 30..90;
const MINUTES: u64 = 240;

/// A job, and when each of its batches arrived.
struct Job {
    arrivals: Vec<u64>,
    events: u64,
}

/// The course of a simulation, minute by minute.
#[derive(Debug, Default)]
struct Course {
    /// Batches that are not indexed.
    backlog: Vec<usize>,
    /// The longest time from arrival to indexed, in seconds, of the batches indexed in that minute.
    latency_seconds: Vec<u64>,
    /// Batches in the largest job made so far.
    largest_job: usize,
}

/// Runs batches through four stages, each of which works on one job at a time (stateless: on two), in order.
fn simulate(policy: Grouping) -> Course {
    let mut course = Course::default();
    let mut pending: VecDeque<u64> = VecDeque::new();
    let mut waiting: [VecDeque<Job>; 5] = Default::default();
    let mut working: [Vec<(u64, Job)>; 4] = Default::default();
    let (mut arrived, mut indexed, mut latency) = (0, 0, 0);
    for now in (0..MINUTES * 60_000).step_by(TICK_MILLIS as usize) {
        let every = if SPIKE_MINUTES.contains(&(now / 60_000)) { 2_000 } else { 60_000 };
        if now % every == 0 {
            pending.push_back(now);
            arrived += 1;
        }
        for stage in (0..4).rev() {
            // In order: a job leaves a stage only behind those before it.
            while working[stage].first().is_some_and(|(until, _)| *until <= now) {
                let (_, job) = working[stage].remove(0);
                waiting[stage + 1].push_back(job);
            }
            let (fixed, millis_a_thousand) = STAGE_MILLIS[stage];
            while working[stage].len() < if stage == 0 { 2 } else { 1 } {
                let Some(job) = waiting[stage].pop_front() else { break };
                working[stage].push((now + fixed + job.events * millis_a_thousand / 1_000, job));
            }
        }
        for job in waiting[4].drain(..) {
            indexed += job.arrivals.len();
            latency = job.arrivals.iter().map(|arrival| (now - arrival) / 1_000).max().unwrap_or(0).max(latency);
        }
        let live = waiting.iter().map(VecDeque::len).sum::<usize>() + working.iter().map(Vec::len).sum::<usize>();
        let sizes = vec![Pending { events: EVENTS, bytes: EVENTS * 200 }; pending.len()];
        let taken = policy.next(&sizes, live as u32);
        if taken > 0 {
            course.largest_job = course.largest_job.max(taken);
            let arrivals: Vec<u64> = pending.drain(..taken).collect();
            waiting[0].push_back(Job { events: EVENTS * arrivals.len() as u64, arrivals });
        }
        if now % 60_000 == 0 {
            course.backlog.push(arrived - indexed);
            course.latency_seconds.push(std::mem::take(&mut latency));
        }
    }
    course
}

#[test]
fn a_spike_is_absorbed_by_larger_jobs_and_passes() {
    // Thirty batches a minute are twice what jobs of one batch can carry: one takes four seconds of the slowest stage.
    let grouped = simulate(Grouping { events_base: 100_000, events_max: 800_000, ..Grouping::default() });
    let single = simulate(Grouping { batches_max: 1, ..Grouping::default() });
    println!("            grouped                single");
    println!("minute  backlog  latency s   backlog  latency s");
    for minute in (0..MINUTES as usize).step_by(10) {
        let at = |course: &Course| (course.backlog[minute], course.latency_seconds[minute]);
        let ((b, l), (sb, sl)) = (at(&grouped), at(&single));
        println!("{minute:>6}  {b:>7}  {l:>9}   {sb:>7}  {sl:>9}");
    }
    println!("largest job: {} batches", grouped.largest_job);

    let calm = SPIKE_MINUTES.start as usize;
    let usual = *grouped.latency_seconds[5..calm].iter().max().unwrap_or(&0);
    let peak = |course: &Course| course.backlog.iter().copied().max().unwrap_or(0);
    assert!(grouped.largest_job > 1 && grouped.largest_job <= 40);
    assert!(peak(&grouped) * 5 < peak(&single), "{} against {}", peak(&grouped), peak(&single));
    let after = SPIKE_MINUTES.end as usize + 10;
    assert!(grouped.backlog[after..].iter().all(|backlog| *backlog <= 2), "ten minutes later it is gone");
    assert!(grouped.latency_seconds[after..].iter().all(|latency| *latency <= usual), "and nobody waits longer");
    let worst = *grouped.latency_seconds.iter().max().unwrap_or(&0);
    assert!(worst < 3 * usual, "even at its worst: {worst} s against {usual} s");
    assert!(single.backlog[after] > 100, "without grouping it would not be");
}
