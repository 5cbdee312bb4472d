//! What is decided by rule: how many batches make a job, what is tried again and when, who may overtake.
//!
//! Pure functions of what is known, so that a simulation can show what they lead to.

use std::{collections::BTreeMap, time::Duration};

use error_class::ErrorClass;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DuplicateScope, OnStuck, PartitionBits, manifest::LedgerId};

/// The most batches in one job: a job's batches are voided and numbered anew in one transaction, two writes for each.
pub const JOB_BATCHES_MAX: u64 = 40;

/// The shortest lease, in seconds. A function gives a sign of life when it begins. Then it may take as long as its task may,
/// 960 seconds, and the next invocation may be put off by every retry that its state has, 700 seconds; and a sign of
/// life is not written down while more than half of the lease is left.
pub const LEASE_SECONDS_MIN: u32 = 3_600;

/// What the coordination of a ledger goes by: the part of its definition that is not about events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The ledger.
    pub ledger: LedgerId,
    /// The version of the definition: jobs are pinned to it when they are made.
    pub definition: u64,
    /// How many partitions new jobs are cut into, unless an earlier job was cut into more.
    pub partition_bits: PartitionBits,
    /// The sources, and from when on each is expected to be complete.
    pub sources: BTreeMap<String, Timestamp>,
    /// What later batches do while a job is parked.
    pub on_stuck: OnStuck,
    /// Within what an event's id counts once.
    pub duplicates: DuplicateScope,
    /// The policies.
    pub policy: Policy,
}

/// A ledger's policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// How batches are grouped into jobs.
    pub grouping: Grouping,
    /// What is tried again.
    pub retry: Retry,
    /// A worker that gives no sign of life for this long is taken for dead. A sign of life is written down when less
    /// than half is left, so half of it outlasts the longest silence of a worker that is well: some 1,650 seconds.
    #[schemars(range(min = LEASE_SECONDS_MIN))]
    pub lease_seconds: u32,
}

impl Default for Policy {
    /// The shortest lease: usually the dead are known sooner, because a failure is reported, and an execution that ends
    /// is heard of.
    fn default() -> Self {
        Self { grouping: Grouping::default(), retry: Retry::default(), lease_seconds: LEASE_SECONDS_MIN }
    }
}

impl Policy {
    /// How long a lease holds.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.into())
    }
}

/// How often a batch is let behind others, where they may pass, before it parks for good.
pub const PASSES_MAX: u32 = 3;

/// How many batches make a job.
///
/// A job costs the same few seconds whatever is in it, so small jobs give the best latency and large ones the best
/// throughput. While nothing waits, a job takes what has arrived, up to the base. Each live job doubles the bound, up to
/// the maximum: that is the sign that a later stage is behind. At `live_jobs_max` no job is made, and batches gather.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Grouping {
    /// The most events in a job while nothing else is at work.
    pub events_base: u64,
    /// The most events in any job. A batch that alone has more is a job of its own.
    pub events_max: u64,
    /// The most bytes in a job while nothing else is at work.
    pub bytes_base: u64,
    /// The most bytes in any job. A batch that alone has more is a job of its own.
    pub bytes_max: u64,
    /// The most batches in any job, at most [`JOB_BATCHES_MAX`].
    #[schemars(range(min = 1, max = 40))]
    pub batches_max: u64,
    /// The most jobs that are live (grouped, neither indexed nor void) at once.
    #[schemars(range(min = 1, max = 64))]
    pub live_jobs_max: u32,
}

impl Default for Grouping {
    fn default() -> Self {
        Self {
            events_base: 500_000,
            events_max: 8_000_000,
            bytes_base: 256 << 20,
            bytes_max: 4 << 30,
            batches_max: JOB_BATCHES_MAX,
            live_jobs_max: 6,
        }
    }
}

/// A batch that waits to be grouped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    /// Its events.
    pub events: u64,
    /// The bytes of its objects.
    pub bytes: u64,
}

impl Grouping {
    /// How many of the first pending batches (in order of their numbers) make the next job now; 0 for none yet.
    pub fn next(&self, pending: &[Pending], live_jobs: u32) -> usize {
        if live_jobs >= self.live_jobs_max {
            return 0;
        }
        let grown =
            |base: u64, max: u64| base.saturating_mul(1_u64.checked_shl(live_jobs).unwrap_or(u64::MAX)).min(max);
        let events_max = grown(self.events_base, self.events_max);
        let bytes_max = grown(self.bytes_base, self.bytes_max);
        let batches_max = usize::try_from(self.batches_max.clamp(1, JOB_BATCHES_MAX)).unwrap_or(1);
        let mut sum = Pending::default();
        let fits = pending.iter().take(batches_max).take_while(|batch| {
            sum.events = sum.events.saturating_add(batch.events);
            sum.bytes = sum.bytes.saturating_add(batch.bytes);
            sum.events <= events_max && sum.bytes <= bytes_max
        });
        fits.count().max(1).min(pending.len())
    }
}

/// What is tried again, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// How many failures in a row a stage may have; the next one parks the job.
    pub failures_max: u32,
    /// The first pause after a service was unavailable; each further one is twice as long.
    pub unavailable_seconds: u32,
    /// The first pause after a service was throttled; each further one is twice as long.
    pub throttled_seconds: u32,
    /// The longest pause.
    pub pause_seconds_max: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { failures_max: 5, unavailable_seconds: 10, throttled_seconds: 60, pause_seconds_max: 3600 }
    }
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// Try again after this pause.
    Again(Duration),
    /// Park: trying again changes nothing, or was done often enough.
    Park,
}

impl Retry {
    /// What to do after the `failures`-th failure in a row (from 1), of this class.
    pub fn after(&self, class: ErrorClass, failures: u32) -> AfterFailure {
        if failures > self.failures_max {
            return AfterFailure::Park;
        }
        let first_seconds = match class {
            ErrorClass::WorkerLost => 0,
            // A conflict of the current attempt is with one that it has replaced and that is about to end.
            ErrorClass::Unavailable | ErrorClass::Conflict => self.unavailable_seconds,
            ErrorClass::Throttled => self.throttled_seconds,
            ErrorClass::InvalidInput | ErrorClass::TooLarge | ErrorClass::ControlTotalMismatch | ErrorClass::Bug => {
                return AfterFailure::Park;
            }
        };
        let doubled = 1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
        let seconds = u64::from(first_seconds).saturating_mul(doubled).min(self.pause_seconds_max.into());
        AfterFailure::Again(Duration::from_secs(seconds))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(events: u64) -> Pending {
        Pending { events, bytes: events * 100 }
    }

    fn small() -> Grouping {
        Grouping { events_base: 100, events_max: 400, live_jobs_max: 4, ..Grouping::default() }
    }

    #[test]
    fn bounds_double_with_every_live_job_up_to_the_maximum() {
        let pending = vec![events(50); 20];
        let taken: Vec<usize> = (0..=4).map(|live| small().next(&pending, live)).collect();
        assert_eq!(taken, [2, 4, 8, 8, 0]);
    }

    #[test]
    fn a_batch_beyond_the_bounds_is_a_job_of_its_own() {
        assert_eq!(small().next(&[events(5_000), events(1)], 0), 1);
        let heavy = Grouping { bytes_base: 10, bytes_max: 10, ..small() };
        assert_eq!(heavy.next(&[events(1), events(1)], 0), 1);
        assert_eq!(small().next(&[], 0), 0);
    }

    #[test]
    fn empty_batches_are_bounded_too() {
        assert_eq!(small().next(&vec![events(0); 100], 0), 40);
        let greedy = Grouping { batches_max: 1_000, ..small() };
        assert_eq!(greedy.next(&vec![events(0); 100], 0), 40);
    }

    proptest! {
        #[test]
        fn a_group_is_within_bounds_and_as_long_as_they_allow(
            pending in proptest::collection::vec(0..300_u64, 0..60),
            live in 0..6_u32,
        ) {
            let pending: Vec<_> = pending.into_iter().map(events).collect();
            let policy = small();
            let taken = policy.next(&pending, live);
            let sum = |count: usize| pending[..count].iter().map(|batch| batch.events).sum::<u64>();
            let bound = (100 << live).min(400);
            if live >= policy.live_jobs_max || pending.is_empty() {
                prop_assert_eq!(taken, 0);
            } else {
                prop_assert!(taken == 1 || sum(taken) <= bound);
                prop_assert!(taken == pending.len() || taken == 40 || sum(taken + 1) > bound);
            }
        }
    }

    #[test]
    fn classes_have_their_own_pauses_and_an_end() {
        let retry = Retry::default();
        let seconds = |class, failures| match retry.after(class, failures) {
            AfterFailure::Again(pause) => Some(pause.as_secs()),
            AfterFailure::Park => None,
        };
        assert_eq!(seconds(ErrorClass::WorkerLost, 5), Some(0));
        assert_eq!(seconds(ErrorClass::WorkerLost, 6), None);
        assert_eq!([1, 2, 3].map(|failures| seconds(ErrorClass::Unavailable, failures)), [10, 20, 40].map(Some));
        assert_eq!([1, 2, 3].map(|failures| seconds(ErrorClass::Throttled, failures)), [60, 120, 240].map(Some));
        let patient = Retry { failures_max: 200, ..retry };
        assert_eq!(patient.after(ErrorClass::Throttled, 150), AfterFailure::Again(Duration::from_secs(3600)));
        for class in [ErrorClass::InvalidInput, ErrorClass::ControlTotalMismatch, ErrorClass::Bug] {
            assert_eq!(seconds(class, 1), None, "{class}");
        }
    }
}
