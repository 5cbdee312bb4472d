//! prefetch → apply → index: what a job reads, what it commits, and what a zombie can do to it.
//!
//! Rules 5 to 9, 11, 12, 16 and 17. Jobs touch keys; a *version* of a key counts how often each job went into it. Each
//! key is a partition with a worker of its own for every stage, and each worker takes two steps: it reads or writes,
//! then it commits its partition. Between any two steps anything else may happen: another stage, another attempt, a
//! skip. A worker whose attempt was replaced goes on as a zombie.

pub mod invariants;
mod steps;

use std::collections::BTreeSet;

use stateright::{Model, Property};

/// How many keys there are.
pub const KEYS: usize = 2;
/// How many live jobs after `indexed` may be worked on (rule 16).
const WINDOW: usize = 3;

/// A job by its place in line, from 1; 0 stands for none.
pub type Place = u8;
/// What a job has for each key.
pub type Keys = [Touch; KEYS];

/// What a job has for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Touch {
    /// Nothing.
    No,
    /// Something new: apply makes a version of it.
    New,
    /// Only what the artifact has taken before: it is looked up, and apply makes no version.
    Known,
}

/// The model.
#[derive(Debug, Clone)]
pub struct Stages {
    /// What runs, and how much may go wrong.
    pub bounds: Bounds,
    /// The rule that is broken, if any.
    pub mutation: Option<Mutation>,
    /// Rule 11 weakened: an index put wins if its sequence is greater. Shows what rule 11 catches in the act.
    pub greater_wins: bool,
}

/// What runs, and how much may go wrong: finite, so that every run ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// The jobs, by what they touch.
    pub jobs: Vec<Keys>,
    /// Attempts started while their predecessor may be alive.
    pub restarts: u8,
    /// Jobs skipped or passed.
    pub voids: u8,
    /// Index puts repeated because their answer was lost.
    pub repeats: u8,
}

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// Apply takes the prefetched version, whatever was in flight (rule 8).
    NoOverlay,
    /// The overlay begins at s + 2 (rule 8).
    OverlayFromSnapshotPlusTwo,
    /// The overlay is asked only for keys that the index did not have (rule 8).
    PrefetchedAlwaysWins,
    /// Sequences are compared as text; the first is 9 (rule 8).
    SequencesAsText,
    /// s is read when the look-ups are done (rule 6).
    SnapshotAfterLookUps,
    /// A look-up may miss the latest put (rule 7).
    EventualReads,
    /// An unprocessed key counts as absent (rule 7).
    UnprocessedAsAbsent,
    /// An index put has no condition (rule 11).
    UnconditionalPut,
    /// Attempts write to one path (rule 5).
    SharedOutputPath,
    /// A job runs again from prefetch although it is being indexed (rule 9).
    ApplyAgain,
    /// A job is skipped although apply has committed (rule 17).
    LateSkip,
    /// A job that lets others pass keeps its number (rule 17).
    PassKeepsNumber,
    /// A worker's cursor moves before its write is acknowledged (rule 12).
    CursorAheadOfAcknowledgement,
}

/// A stage, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Takes from the index what the job's keys were.
    Prefetch,
    /// Makes the new versions.
    Apply,
    /// Makes the index name them.
    Index,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Prefetch, Self::Apply, Self::Index];
}

/// A ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The last job whose stage has committed: `prefetched`, `applied`, `indexed`.
    pub cursors: [Place; 3],
    /// The jobs, in line.
    pub jobs: Vec<Job>,
    /// The job whose version the index names, for each key.
    pub index: [Place; KEYS],
    /// Workers that are alive, zombies among them.
    pub workers: BTreeSet<Worker>,
    /// What may still go wrong.
    pub budget: Budget,
    /// The first guard that reported a bug.
    pub fault: Option<Fault>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Job {
    /// Its sequence number: its place in line, unless a mutation keeps an older one.
    pub number: u8,
    /// What it touches.
    pub keys: Keys,
    /// Skipped, or requeued under another number.
    pub void: bool,
    /// s.
    pub snapshot: Place,
    /// The attempt that holds the turn of the job's present stage; 0 if none does.
    pub attempt: u8,
    /// Partition commits of prefetch: the version that the index named.
    pub prefetched: [Option<Place>; KEYS],
    /// Partition commits of apply.
    pub versions: [Option<Version>; KEYS],
    /// Acknowledged writes of index.
    pub confirmed: [bool; KEYS],
}

/// What apply makes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// How often each job went into it: two bits a job.
    pub contributions: u16,
    /// The job whose version it was computed from.
    pub previous: Place,
    /// Whether the bytes are those that the committed sidecar describes.
    pub intact: bool,
}

/// One attempt at one partition of one job's stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Worker {
    /// The job.
    pub job: Place,
    /// The stage.
    pub stage: Stage,
    /// The partition.
    pub key: usize,
    /// The attempt.
    pub attempt: u8,
    /// How far it is.
    pub step: Step,
}

/// How far a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Nothing done.
    Start,
    /// Prefetch: looked up.
    Read(Place),
    /// Apply: written, not committed.
    Wrote(Version),
    /// Index: put, the answer on its way.
    Put,
}

/// What may still go wrong: see [`Bounds`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Attempts.
    pub restarts: u8,
    /// Skips and passes.
    pub voids: u8,
    /// Puts.
    pub repeats: u8,
}

/// What a guard of the protocol reports as a bug, and one that no guard can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Rule 8: the overlay lacks the prefetched version, which is newer than s.
    OverlayIncomplete,
    /// Rule 8: the base is not older than the job.
    BaseNotOlder,
    /// Rule 11: the index names something else than this put was computed from.
    LostUpdate,
    /// An older version has replaced a newer one.
    IndexWentBack,
}

/// What can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The manager grants the turn of a stage to the next job.
    Grant(Stage),
    /// A worker of prefetch looks its key up, and is told this.
    LookUp(Worker, Place),
    /// A worker takes its next step.
    Step(Worker),
    /// The answer to an index put is lost; the SDK puts again.
    Repeat(Worker),
    /// The holder of the turn commits its stage.
    Commit(Stage),
    /// The holder's lease has expired: the next attempt starts.
    Restart(Place),
    /// The operator skips a job.
    Skip(Place),
    /// A job lets the others pass.
    Pass(Place),
    /// A cursor steps over a void job.
    StepOver(Stage),
    /// Only mutated: a job runs prefetch and apply again.
    ApplyAgain(Place),
}

impl Model for Stages {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let Bounds { restarts, voids, repeats, .. } = self.bounds;
        let jobs = (1..).zip(&self.bounds.jobs).map(|(number, keys)| Job::new(number, *keys)).collect();
        vec![State {
            cursors: [0; 3],
            jobs,
            index: [0; KEYS],
            workers: BTreeSet::new(),
            budget: Budget { restarts, voids, repeats },
            fault: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for stage in Stage::ALL {
            actions.extend(self.can_grant(state, stage).then_some(Action::Grant(stage)));
            actions.extend(self.can_commit(state, stage).then_some(Action::Commit(stage)));
            actions.extend(self.can_step_over(state, stage).then_some(Action::StepOver(stage)));
        }
        for &worker in &state.workers {
            if (worker.stage, worker.step) == (Stage::Prefetch, Step::Start) {
                actions.extend(self.answers(state, worker.key).map(|found| Action::LookUp(worker, found)));
            } else {
                actions.push(Action::Step(worker));
            }
            actions.extend((worker.step == Step::Put && state.budget.repeats > 0).then_some(Action::Repeat(worker)));
        }
        for place in state.places() {
            actions.extend(self.can_restart(state, place).then_some(Action::Restart(place)));
            actions.extend(self.can_void(state, place).then_some(Action::Skip(place)));
            actions.extend(self.can_void(state, place).then_some(Action::Pass(place)));
            actions.extend(self.can_apply_again(state, place).then_some(Action::ApplyAgain(place)));
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        match action {
            Action::Grant(stage) => self.grant(&mut state, stage),
            Action::LookUp(worker, found) => self.look_up(&mut state, worker, found),
            Action::Step(worker) => self.step(&mut state, worker),
            Action::Repeat(worker) => self.repeat(&mut state, worker),
            Action::Commit(stage) => self.commit(&mut state, stage),
            Action::Restart(place) => self.restart(&mut state, place),
            Action::Skip(place) => self.skip(&mut state, place),
            Action::Pass(place) => self.pass(&mut state, place),
            Action::StepOver(stage) => state.cursors[stage as usize] += 1,
            Action::ApplyAgain(place) => self.apply_again(&mut state, place),
        }
        state.forget(self.mutation);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        invariants::all(&self.bounds)
    }
}

impl Job {
    fn new(number: u8, keys: Keys) -> Self {
        Self {
            number,
            keys,
            void: false,
            snapshot: 0,
            attempt: 0,
            prefetched: [None; KEYS],
            versions: [None; KEYS],
            confirmed: [false; KEYS],
        }
    }

    /// Whether a partition of a stage is committed.
    fn done(&self, stage: Stage, key: usize) -> bool {
        match stage {
            Stage::Prefetch => self.prefetched[key].is_some(),
            Stage::Apply => self.versions[key].is_some(),
            Stage::Index => self.confirmed[key],
        }
    }

    /// Whether a stage has something to do for a key.
    fn works_on(&self, stage: Stage, key: usize) -> bool {
        match self.keys[key] {
            Touch::No => false,
            Touch::New => true,
            Touch::Known => stage == Stage::Prefetch,
        }
    }

    /// The partitions of a stage that are not committed.
    fn undone(&self, stage: Stage) -> impl Iterator<Item = usize> {
        (0..KEYS).filter(move |&key| self.works_on(stage, key) && !self.done(stage, key))
    }
}

impl State {
    /// Where the cursor of a stage stands.
    pub fn cursor(&self, stage: Stage) -> Place {
        self.cursors[stage as usize]
    }

    /// All jobs, in line.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        1..=self.last()
    }

    fn last(&self) -> Place {
        Place::try_from(self.jobs.len()).unwrap_or(Place::MAX)
    }

    /// A job.
    pub fn job(&self, place: Place) -> &Job {
        &self.jobs[usize::from(place) - 1]
    }

    fn job_mut(&mut self, place: Place) -> &mut Job {
        &mut self.jobs[usize::from(place) - 1]
    }

    /// The stage that a job is at, or waits for; none when it is indexed.
    fn stage(&self, place: Place) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| self.cursor(*stage) < place)
    }

    /// Drops what can have no effect any more, so that states that differ only there are one: workers whose commit
    /// would find another's, and what no worker will read again. Zombies of index stay, to be refused.
    fn forget(&mut self, mutation: Option<Mutation>) {
        let Self { cursors, jobs, workers, .. } = self;
        let [_, applied, indexed] = *cursors;
        workers.retain(|worker| {
            let job = &jobs[usize::from(worker.job) - 1];
            match worker.step {
                Step::Put => worker.job > indexed,
                Step::Start if worker.stage == Stage::Index => true,
                Step::Start if mutation == Some(Mutation::SharedOutputPath) => true,
                _ => !job.void && !job.done(worker.stage, worker.key),
            }
        });
        for (place, job) in (1..).zip(jobs) {
            if place <= applied || job.void {
                job.snapshot = 0;
                job.prefetched = [None; KEYS];
            }
            if place > applied && job.void {
                job.versions = [None; KEYS];
            }
            if place <= indexed {
                job.confirmed = [false; KEYS];
            }
        }
    }
}
