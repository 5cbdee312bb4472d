//! What each action does, and when it can happen.

use super::{Batch, Call, Job, Manifest, Mutation, Number, Registered, Registration, State};

impl Registration {
    fn broken(&self, rule: Mutation) -> bool {
        self.mutation == Some(rule)
    }

    /// Rule 1: reads N, then the batch and the intervals of all numbers before N.
    pub(super) fn read(&self, state: &mut State, call: usize) {
        let manifest = self.calls[call];
        let fresh = state.calls[call] == Call::Start;
        state.calls[call] = match state.batches.get(&manifest.batch) {
            Some(known) if known.manifest.digest == manifest.digest => Call::Told(known.number),
            Some(_) => Call::Refused,
            None if fresh && state.overlaps(&manifest) => Call::Refused,
            None if fresh && self.broken(Mutation::OverlapsCheckedFirst) => Call::Checked,
            None if self.broken(Mutation::AtomicCounter) => Call::Numbered(state.count()),
            None => Call::Numbered(state.next),
        };
    }

    /// Rule 1: the batch if absent, number N if absent, `next` from N to N + 1. Cancelled: read again.
    pub(super) fn transact(&self, state: &mut State, call: usize) {
        let Call::Numbered(number) = state.calls[call] else { return };
        let manifest = self.calls[call];
        let counted = self.broken(Mutation::AtomicCounter);
        let absent = !state.batches.contains_key(&manifest.batch);
        if absent && (counted || state.next == number) {
            state.next = state.next.max(number + 1);
            state.register(manifest, number);
            state.calls[call] = Call::Told(Some(number));
        } else {
            state.calls[call] = Call::Start;
        }
    }

    /// The call is made again from the start: by the SDK, by Step Functions, or by the sender.
    pub(super) fn transact_unheard(&self, state: &mut State, call: usize) {
        state.budget.losses -= 1;
        self.transact(state, call);
        state.calls[call] = Call::Start;
    }

    /// Rule 3: the job and `grouped` in one transaction, if `grouped` is what was read.
    pub(super) fn group(&self, state: &mut State, manager: usize) {
        let Some((lo, hi)) = state.managers[manager].take() else { return };
        if state.grouped + 1 == lo || self.broken(Mutation::GroupedApart) {
            state.grouped = state.grouped.max(hi);
            state.jobs.push(Job { lo, hi, void: false });
        }
    }
}

impl State {
    fn overlaps(&self, manifest: &Manifest) -> bool {
        let live = self.batches.values().filter(|known| known.number.is_some());
        live.map(|known| known.manifest).any(|other| other.from < manifest.to && manifest.from < other.to)
    }

    /// An atomic counter: each call of it gives a number away.
    fn count(&mut self) -> Number {
        self.next += 1;
        self.next - 1
    }

    fn register(&mut self, manifest: Manifest, number: Number) {
        self.numbers.insert(number, manifest.batch);
        self.batches.insert(manifest.batch, Registered { manifest, number: Some(number) });
    }

    /// Up to where a job may reach: numbers that are given, without a gap.
    pub(super) fn groupable(&self) -> impl Iterator<Item = Number> {
        (self.grouped + 1..self.next).take_while(|number| self.numbers.contains_key(number))
    }

    pub(super) fn batches_of(&self, job: Job) -> impl Iterator<Item = Batch> {
        (job.lo..=job.hi).filter_map(|number| self.numbers.get(&number).copied())
    }

    /// Rules 3 and 17: void, and new numbers for the good batches, in one transaction.
    pub(super) fn requeue(&mut self, job: usize, bad: Option<Batch>) {
        self.budget.voids -= 1;
        self.jobs[job].void = true;
        let batches: Vec<Batch> = self.batches_of(self.jobs[job]).collect();
        for batch in batches {
            let number = (Some(batch) != bad).then(|| self.count());
            if let Some(number) = number {
                self.numbers.insert(number, batch);
            }
            if let Some(registered) = self.batches.get_mut(&batch) {
                registered.number = number;
            }
        }
    }
}
