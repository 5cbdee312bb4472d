//! What is to be done next, by what the book says: a plain function.

use jiff::Timestamp;

use crate::{
    JobNumber, OnStuck,
    book::{NumberedBatch, View},
    job::{Job, JobStatus, Run},
    policy::{PASSES_MAX, Pending, Terms},
    stage::{Stage, Turn},
};

/// How many jobs behind `indexed` may prefetch, apply and index at once: each further one would have one more part-file
/// to overlay, and while an index is parked they would be without bound.
pub const JOBS_IN_FLIGHT: usize = 3;

/// The most objects of a job, but for one of a single batch: each is in documents that steps read whole.
const JOB_OBJECTS_MAX: u64 = 4_000;

/// A move: something that the book says is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// A cursor goes past a void job.
    StepOver {
        /// The cursor.
        stage: Stage,
        /// The job.
        job: JobNumber,
    },
    /// A turn is granted.
    Grant {
        /// The stage.
        stage: Stage,
        /// The job.
        job: JobNumber,
    },
    /// An attempt is taken for dead.
    TakeForDead {
        /// The job.
        job: JobNumber,
    },
    /// A job whose pause is over is started again.
    StartAgain {
        /// The job.
        job: JobNumber,
    },
    /// A parked job lets others overtake it.
    Pass {
        /// The job.
        job: JobNumber,
    },
    /// Pending batches become a job.
    Group {
        /// How many.
        batches: usize,
    },
}

/// The next move that the book calls for, if any. Nearest to the end first, so that what is in flight gets out of it.
pub fn plan(view: &View, pending: &[NumberedBatch], terms: &Terms, now: Timestamp) -> Option<Move> {
    let mut stages = Stage::ALL.into_iter().rev();
    stages
        .find_map(|stage| at_cursor(view, stage))
        .or_else(|| view.jobs.iter().find_map(|job| of_job(view, pending, job, terms, now)))
        .or_else(|| grouping(view, pending, terms))
}

/// What is to be done about the job that a cursor has come to.
fn at_cursor(view: &View, stage: Stage) -> Option<Move> {
    let cursor = view.head.cursor(stage);
    let job = view.jobs.iter().find(|job| job.predecessor() == cursor)?;
    let number = job.number();
    if job.is_void() {
        let cursor_before = stage.previous().map_or(view.head.grouped, |previous| view.head.cursor(previous));
        // The last cursor waits until every task has been told: behind it nobody looks at the job again.
        let told = stage != Stage::Index || job.answers().is_empty();
        return (number <= cursor_before && told).then_some(Move::StepOver { stage, job: number });
    }
    let waits = matches!(job.turn(stage), Turn::Waiting { .. });
    let mut in_flight = view.jobs.iter().filter(|job| !job.is_void()).take(JOBS_IN_FLIGHT);
    let near = stage != Stage::Prefetch || in_flight.any(|near| near.number() == number);
    (job.is_live() && waits && near && job.is_ready_for(stage)).then_some(Move::Grant { stage, job: number })
}

/// What is to be done about a job wherever it is.
fn of_job(view: &View, pending: &[NumberedBatch], job: &Job, terms: &Terms, now: Timestamp) -> Option<Move> {
    let number = job.number();
    match &job.status {
        JobStatus::Live if job.is_silent(now) => Some(Move::TakeForDead { job: number }),
        JobStatus::Live if matches!(job.run, Run::Resting(until) if until <= now) => {
            Some(Move::StartAgain { job: number })
        }
        JobStatus::Parked(_) if terms.on_stuck == OnStuck::Pass => {
            let waits = |other: &Job| other.number() > number && !other.is_void() && other.passes < PASSES_MAX;
            let others = view.jobs.iter().any(waits) || pending.iter().any(|batch| batch.passes < PASSES_MAX);
            let may = job.passes < PASSES_MAX && !job.is_committed(Stage::Apply);
            (others && may).then_some(Move::Pass { job: number })
        }
        _ => None,
    }
}

fn grouping(view: &View, pending: &[NumberedBatch], terms: &Terms) -> Option<Move> {
    let live = view.jobs.iter().filter(|job| !job.is_void()).count();
    let batches = terms.policy.grouping.next(&sizes(pending), u32::try_from(live).unwrap_or(u32::MAX));
    (batches > 0 && !is_stale(view, terms)).then_some(Move::Group { batches })
}

/// Whether a job was made under a later definition than these terms are of.
pub(super) fn is_stale(view: &View, terms: &Terms) -> bool {
    terms.definition < view.head.definition
}

/// The sizes of batches, as far as one job can hold them.
pub(super) fn sizes(pending: &[NumberedBatch]) -> Vec<Pending> {
    let mut objects = 0_u64;
    let holds = |(index, batch): &(usize, &NumberedBatch)| {
        objects = objects.saturating_add(batch.objects);
        *index == 0 || objects <= JOB_OBJECTS_MAX
    };
    let held = pending.iter().enumerate().take_while(holds);
    held.map(|(_, batch)| Pending { events: batch.events, bytes: batch.bytes }).collect()
}

#[cfg(test)]
mod tests {
    use error_class::ErrorClass;

    use super::*;
    use crate::{
        BatchSequence, Interval, JobBatches, PartitionBits,
        head::Head,
        job::Failure,
        manifest::LedgerId,
        policy::{Grouping, Policy},
    };

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn terms(on_stuck: OnStuck) -> Terms {
        Terms {
            ledger: LedgerId { tenant: "t".repeat(32), ledger: "l".repeat(64) },
            definition: 1,
            partition_bits: PartitionBits::ZERO,
            sources: std::collections::BTreeMap::new(),
            on_stuck,
            duplicates: crate::DuplicateScope::Batch,
            policy: Policy { grouping: Grouping { live_jobs_max: 8, ..Grouping::default() }, ..Policy::default() },
        }
    }

    /// Jobs 1 to `count`, of one batch each, all of them waiting for the turn to prefetch.
    fn waiting(count: u64) -> View {
        let policy = Policy::default();
        let job = |number| {
            let mut job = Job::new(JobBatches::one(BatchSequence::new(number)), now(), &policy);
            job.commit_stateless(1, "combined", now(), &policy).unwrap();
            job.ask(Stage::Prefetch, 2, "token", now(), &policy).unwrap();
            job
        };
        let mut head = Head::default();
        (head.next, head.grouped) = (BatchSequence::new(count + 1), JobNumber::new(count));
        View { head, jobs: (1..=count).map(job).collect() }
    }

    fn planned(view: &View, on_stuck: OnStuck) -> Option<Move> {
        plan(view, &[], &terms(on_stuck), now())
    }

    #[test]
    fn turns_are_granted_in_order_to_the_first_three_live_jobs() {
        let mut view = waiting(5);
        let granted = |job| Some(Move::Grant { stage: Stage::Prefetch, job: JobNumber::new(job) });
        assert_eq!(planned(&view, OnStuck::Wait), granted(1));
        for (prefetched, next) in [(1, granted(2)), (2, granted(3)), (3, None)] {
            view.head.prefetched = JobNumber::new(prefetched);
            assert_eq!(planned(&view, OnStuck::Wait), next);
        }
        view.jobs[1].void("out", None).unwrap();
        assert_eq!(planned(&view, OnStuck::Wait), granted(4), "a void job is none of the three");
    }

    #[test]
    fn cursors_step_over_void_jobs_one_behind_the_other_once_all_are_told() {
        let mut view = waiting(1);
        view.jobs[0].void("out", None).unwrap();
        let over = |stage| Some(Move::StepOver { stage, job: JobNumber::new(1) });
        assert_eq!(planned(&view, OnStuck::Wait), over(Stage::Prefetch));
        view.head.prefetched = JobNumber::new(1);
        assert_eq!(planned(&view, OnStuck::Wait), over(Stage::Apply));
        view.head.applied = JobNumber::new(1);
        assert_eq!(planned(&view, OnStuck::Wait), None, "its task has not been told");
        view.jobs[0].drop_token("token");
        assert_eq!(planned(&view, OnStuck::Wait), over(Stage::Index));
    }

    #[test]
    fn a_parked_job_lets_others_by_where_they_may_and_not_for_ever() {
        let mut view = waiting(2);
        view.jobs[0].status = JobStatus::Parked(Failure { class: ErrorClass::Bug, message: "poison".to_owned() });
        assert_eq!(planned(&view, OnStuck::Wait), None);
        assert_eq!(planned(&view, OnStuck::Pass), Some(Move::Pass { job: JobNumber::new(1) }));
        view.jobs[0].passes = PASSES_MAX;
        assert_eq!(planned(&view, OnStuck::Pass), None);
        view.jobs[0].passes = 0;
        view.jobs.truncate(1);
        assert_eq!(planned(&view, OnStuck::Pass), None, "nobody is behind it");
    }

    fn batch() -> NumberedBatch {
        NumberedBatch {
            number: BatchSequence::FIRST,
            batch: "b".to_owned(),
            source: "shop".to_owned(),
            interval: Interval::new(Timestamp::MIN, Timestamp::MAX).unwrap(),
            correction: false,
            events: 1,
            bytes: 1,
            objects: 1,
            pinned: String::new(),
            passes: 0,
            job: None,
        }
    }

    #[test]
    fn what_has_arrived_is_grouped_when_nothing_else_is_to_be_done() {
        let batch = batch();
        let grouped = plan(&waiting(0), &[batch.clone(), batch], &terms(OnStuck::Wait), now());
        assert_eq!(grouped, Some(Move::Group { batches: 2 }));
    }

    #[test]
    fn a_job_has_no_more_objects_than_its_documents_can_name() {
        let batch = |objects| NumberedBatch { objects, ..batch() };
        for (objects, most) in [(vec![9_999, 1], 1), (vec![1_000; 5], 4), (vec![1, 4_000], 1), (vec![100; 40], 40)] {
            let pending: Vec<_> = objects.into_iter().map(batch).collect();
            let grouped = plan(&waiting(0), &pending, &terms(OnStuck::Wait), now());
            assert_eq!(grouped, Some(Move::Group { batches: most }));
        }
    }

    #[test]
    fn no_job_goes_by_an_older_definition_than_the_one_before() {
        let mut view = waiting(0);
        for (last, grouped) in [(1, Some(Move::Group { batches: 1 })), (2, None)] {
            view.head.definition = last;
            assert_eq!(plan(&view, &[batch()], &terms(OnStuck::Wait), now()), grouped);
        }
    }
}
