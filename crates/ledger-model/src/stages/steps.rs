//! What each action does, and when it can happen.

use super::{Action, Fault, Job, KEYS, Mutation, Place, Stage, Stages, State, Step, Touch, Version, WINDOW, Worker};

impl Stages {
    fn broken(&self, rule: Mutation) -> bool {
        self.mutation == Some(rule)
    }

    /// Whether the version of one job is newer than that of another: by number (rule 8).
    pub(super) fn newer(&self, state: &State, one: Place, other: Place) -> bool {
        let number = |place: Place| if place == 0 { 0 } else { state.job(place).number };
        if self.broken(Mutation::SequencesAsText) {
            let text = |place: Place| if place == 0 { String::new() } else { (number(place) + 8).to_string() };
            return text(one) > text(other);
        }
        number(one) > number(other)
    }

    /// Rule 16: the cursor stands at the predecessor, the job's previous stage has committed, and it is among the
    /// first three live jobs after `indexed`.
    pub(super) fn can_grant(&self, state: &State, stage: Stage) -> bool {
        let place = state.cursor(stage) + 1;
        let live = |place: &Place| !state.job(*place).void;
        place <= state.last()
            && live(&place)
            && state.stage(place) == Some(stage)
            && state.job(place).attempt == 0
            && (state.cursor(Stage::Index) + 1..=place).filter(live).count() <= WINDOW
    }

    /// Rule 6: s is stored by the transaction that grants prefetch.
    pub(super) fn grant(&self, state: &mut State, stage: Stage) {
        let place = state.cursor(stage) + 1;
        let indexed = state.cursor(Stage::Index);
        let job = state.job_mut(place);
        if stage == Stage::Prefetch {
            job.snapshot = indexed;
        }
        job.attempt = 1;
        self.start_workers(state, place, stage);
    }

    fn start_workers(&self, state: &mut State, job: Place, stage: Stage) {
        let attempt = state.job(job).attempt;
        let keys: Vec<usize> = state.job(job).undone(stage).collect();
        state.workers.extend(keys.into_iter().map(|key| Worker { job, stage, key, attempt, step: Step::Start }));
    }

    /// What the index may answer (rule 7: the truth, and nothing else).
    pub(super) fn answers(&self, state: &State, key: usize) -> impl Iterator<Item = Place> + use<> {
        let found = state.index[key];
        let before = || state.job(found).versions[key].map_or(0, |version| version.previous);
        let stale = (self.broken(Mutation::EventualReads) && found != 0).then(before);
        let absent = (self.broken(Mutation::UnprocessedAsAbsent) && found != 0).then_some(0);
        [Some(found), stale, absent].into_iter().flatten()
    }

    /// Prefetch, first step. Finding the job's own version, or a later one, tells a zombie what it is (rule 8).
    pub(super) fn look_up(&self, state: &mut State, worker: Worker, found: Place) {
        state.workers.remove(&worker);
        if found == 0 || self.newer(state, worker.job, found) {
            state.workers.insert(Worker { step: Step::Read(found), ..worker });
        }
    }

    pub(super) fn step(&self, state: &mut State, worker: Worker) {
        state.workers.remove(&worker);
        match (worker.stage, worker.step) {
            (_, Step::Read(found)) => {
                state.job_mut(worker.job).prefetched[worker.key].get_or_insert(found);
            }
            (_, Step::Wrote(version)) => {
                state.job_mut(worker.job).versions[worker.key].get_or_insert(version);
            }
            (Stage::Index, Step::Start) if self.broken(Mutation::CursorAheadOfAcknowledgement) => {
                self.confirm(state, worker);
                state.workers.insert(Worker { step: Step::Put, ..worker });
            }
            (_, Step::Put) if self.broken(Mutation::CursorAheadOfAcknowledgement) => {
                self.put(state, worker);
            }
            (_, Step::Start) if worker.stage == Stage::Index => {
                if self.put(state, worker) {
                    state.workers.insert(Worker { step: Step::Put, ..worker });
                }
            }
            (_, Step::Start) => self.write(state, worker),
            (_, Step::Put) => self.confirm(state, worker),
        }
    }

    /// Apply, first step: merges, and writes under a path of its own (rule 5).
    fn write(&self, state: &mut State, worker: Worker) {
        match self.base(state, worker.job, worker.key) {
            Ok(base) => {
                let version = Version::on(state, base, worker.job, worker.key);
                state.workers.insert(Worker { step: Step::Wrote(version), ..worker });
            }
            Err(fault) => state.fault = state.fault.or(Some(fault)),
        }
        if let Some(committed) = &mut state.job_mut(worker.job).versions[worker.key]
            && self.broken(Mutation::SharedOutputPath)
        {
            committed.intact = false;
        }
    }

    /// Rule 8: the newest of the prefetched version and those of the jobs that were in flight.
    fn base(&self, state: &State, place: Place, key: usize) -> Result<Place, Fault> {
        let job = state.job(place);
        let prefetched = job.prefetched[key].unwrap_or_default();
        let overlay = self.overlay(state, job, place, key);
        if prefetched > job.snapshot && !overlay.contains(&prefetched) {
            return Err(Fault::OverlayIncomplete);
        }
        if self.broken(Mutation::PrefetchedAlwaysWins) && prefetched != 0 {
            return Ok(prefetched);
        }
        let newest = |one, other| if self.newer(state, other, one) { other } else { one };
        let base = overlay.into_iter().fold(prefetched, newest);
        if base != 0 && state.job(base).number >= job.number { Err(Fault::BaseNotOlder) } else { Ok(base) }
    }

    /// The live jobs after s and before this one that have a version of the key.
    fn overlay(&self, state: &State, job: &Job, place: Place, key: usize) -> Vec<Place> {
        let first = match self.mutation {
            Some(Mutation::NoOverlay) => place,
            Some(Mutation::OverlayFromSnapshotPlusTwo) => job.snapshot + 2,
            _ => job.snapshot + 1,
        };
        (first..place).filter(|&other| !state.job(other).void && state.job(other).versions[key].is_some()).collect()
    }

    /// Rule 11. Returns whether the index now names this version.
    fn put(&self, state: &mut State, Worker { job: place, key, .. }: Worker) -> bool {
        let current = state.index[key];
        let previous = state.job(place).versions[key].map_or(0, |version| version.previous);
        let superseded = self.newer(state, current, place);
        let wins = if self.broken(Mutation::UnconditionalPut) {
            true
        } else if self.greater_wins {
            !superseded
        } else {
            current == previous
        };
        if wins {
            if superseded {
                state.fault = state.fault.or(Some(Fault::IndexWentBack));
            }
            state.index[key] = place;
            return true;
        }
        let committed = place <= state.cursor(Stage::Index);
        if current != place && !(superseded && committed) && !self.greater_wins {
            state.fault = state.fault.or(Some(Fault::LostUpdate));
        }
        current == place
    }

    /// Rule 12: the cursor covers acknowledged writes only.
    fn confirm(&self, state: &mut State, worker: Worker) {
        state.job_mut(worker.job).confirmed[worker.key] = true;
    }

    pub(super) fn repeat(&self, state: &mut State, worker: Worker) {
        state.budget.repeats -= 1;
        state.workers.remove(&worker);
        state.workers.insert(Worker { step: Step::Start, ..worker });
    }

    /// Rule 5: the turn is held, the job is not void, the cursor stands at the predecessor, all partitions are there.
    /// Whose fence it is, is the business of the model of turns.
    pub(super) fn can_commit(&self, state: &State, stage: Stage) -> bool {
        let place = state.cursor(stage) + 1;
        place <= state.last()
            && state.stage(place) == Some(stage)
            && state.job(place).attempt > 0
            && !state.job(place).void
            && state.job(place).undone(stage).next().is_none()
    }

    pub(super) fn commit(&self, state: &mut State, stage: Stage) {
        let place = state.cursor(stage) + 1;
        let indexed = state.cursor(Stage::Index);
        state.cursors[stage as usize] = place;
        let job = state.job_mut(place);
        job.attempt = 0;
        if stage == Stage::Prefetch && self.broken(Mutation::SnapshotAfterLookUps) {
            job.snapshot = indexed;
        }
    }

    pub(super) fn can_restart(&self, state: &State, place: Place) -> bool {
        let job = state.job(place);
        let unfinished = |stage| job.undone(stage).next().is_some();
        state.budget.restarts > 0 && job.attempt == 1 && state.stage(place).is_some_and(unfinished)
    }

    /// The workers of the first attempt may be alive: they stay, as zombies (rule 15).
    pub(super) fn restart(&self, state: &mut State, place: Place) {
        state.budget.restarts -= 1;
        state.job_mut(place).attempt += 1;
        if let Some(stage) = state.stage(place) {
            self.start_workers(state, place, stage);
        }
    }

    /// Rule 17: only while apply is not committed.
    pub(super) fn can_void(&self, state: &State, place: Place) -> bool {
        let until = if self.broken(Mutation::LateSkip) { Stage::Index } else { Stage::Apply };
        state.budget.voids > 0 && !state.job(place).void && state.cursor(until) < place
    }

    pub(super) fn skip(&self, state: &mut State, place: Place) {
        state.budget.voids -= 1;
        let job = state.job_mut(place);
        job.void = true;
        job.attempt = 0;
    }

    /// Rule 17: void, and requeued under a new number, in one transaction.
    pub(super) fn pass(&self, state: &mut State, place: Place) {
        self.skip(state, place);
        let keeps = self.broken(Mutation::PassKeepsNumber);
        let number = if keeps { state.job(place).number } else { state.last() + 1 };
        state.jobs.push(Job::new(number, state.job(place).keys));
    }

    pub(super) fn can_step_over(&self, state: &State, stage: Stage) -> bool {
        let place = state.cursor(stage) + 1;
        place <= state.last() && state.job(place).void && state.stage(place) == Some(stage)
    }

    pub(super) fn can_apply_again(&self, state: &State, place: Place) -> bool {
        self.broken(Mutation::ApplyAgain)
            && state.budget.restarts > 0
            && state.stage(place) == Some(Stage::Index)
            && (0..KEYS).any(|key| state.index[key] == place)
    }

    /// In one step: even if nothing comes between, the job is added to what already holds it.
    pub(super) fn apply_again(&self, state: &mut State, place: Place) {
        state.budget.restarts -= 1;
        for key in 0..KEYS {
            if state.job(place).keys[key] == Touch::New {
                let version = Version::on(state, state.index[key], place, key);
                state.job_mut(place).versions[key] = Some(version);
            }
        }
    }

    /// Whether nothing can happen any more.
    pub(super) fn ended(&self, state: &State) -> bool {
        let mut actions: Vec<Action> = Vec::new();
        stateright::Model::actions(self, state, &mut actions);
        actions.is_empty()
    }
}

impl Version {
    /// The version of a key that a job makes of the base.
    fn on(state: &State, base: Place, job: Place, key: usize) -> Self {
        let before = (base != 0).then(|| state.job(base).versions[key]).flatten();
        let contributions = before.map_or(0, |version| version.contributions) + Self::once(job);
        Self { contributions, previous: base, intact: true }
    }

    /// One contribution of a job.
    pub(super) fn once(job: Place) -> u16 {
        1 << (2 * (job - 1))
    }
}
