//! Batches get numbers, numbers become jobs: without gaps, without doubles, whoever calls at the same time.
//!
//! Rules 1, 3 and 17. Calls to register are made at once and may be repeated when their answer is lost; several
//! managers group at once; a job may be voided and its good batches requeued. A call reads, then transacts; a manager
//! reads, then transacts.

pub mod invariants;
mod steps;

use std::collections::BTreeMap;

use stateright::{Model, Property};

/// A batch's number, from 1.
pub type Number = u8;
/// What the sender calls a batch.
pub type Batch = u8;

/// The model.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The calls, all made at once.
    pub calls: Vec<Manifest>,
    /// How many managers group at once.
    pub managers: usize,
    /// What may go wrong.
    pub budget: Budget,
    /// The rule that is broken, if any.
    pub mutation: Option<Mutation>,
}

/// What a batch's manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Manifest {
    /// The batch.
    pub batch: Batch,
    /// Stands for the content.
    pub digest: u8,
    /// The first moment of the interval.
    pub from: u8,
    /// The first moment after it.
    pub to: u8,
}

/// What may go wrong, and how often: finite, so that every run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Answers lost on their way.
    pub losses: u8,
    /// Jobs voided, their good batches requeued.
    pub voids: u8,
}

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// Numbers come from an atomic counter (rule 1).
    AtomicCounter,
    /// Overlaps are looked for before N is read (rule 1).
    OverlapsCheckedFirst,
    /// `grouped` moves in a write of its own (rule 3).
    GroupedApart,
}

/// A ledger's registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The next number.
    pub next: Number,
    /// The last number that is in a job.
    pub grouped: Number,
    /// What each number was given to.
    pub numbers: BTreeMap<Number, Batch>,
    /// Registered batches.
    pub batches: BTreeMap<Batch, Registered>,
    /// Jobs, in the order of their making.
    pub jobs: Vec<Job>,
    /// How far the calls are.
    pub calls: Vec<Call>,
    /// What the managers are about to group: the first and the last number.
    pub managers: Vec<Option<(Number, Number)>>,
    /// What may still go wrong.
    pub budget: Budget,
}

/// A registered batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Registered {
    /// Its manifest.
    pub manifest: Manifest,
    /// Its number; none if it turned out bad.
    pub number: Option<Number>,
}

/// A run of consecutive numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Job {
    /// The first number.
    pub lo: Number,
    /// The last number: the job's own.
    pub hi: Number,
    /// Whether it was voided.
    pub void: bool,
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Nothing read.
    Start,
    /// Only mutated: no overlap found, N not read.
    Checked,
    /// N is read, and the batch may have it.
    Numbered(Number),
    /// The batch has this number, or had it before it was requeued.
    Told(Option<Number>),
    /// `InvalidInput`: an overlap, or the batch with another content.
    Refused,
}

/// What can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A call reads.
    Read(usize),
    /// A call transacts.
    Transact(usize),
    /// It does, and never hears how it went.
    TransactUnheard(usize),
    /// A manager reads, and means to group up to this number.
    Plan(usize, Number),
    /// A manager transacts.
    Group(usize),
    /// A job is voided; its batches but this one are requeued.
    Requeue(usize, Option<Batch>),
}

impl Model for Registration {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            next: 1,
            grouped: 0,
            numbers: BTreeMap::new(),
            batches: BTreeMap::new(),
            jobs: Vec::new(),
            calls: vec![Call::Start; self.calls.len()],
            managers: vec![None; self.managers],
            budget: self.budget,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (call, step) in state.calls.iter().enumerate() {
            match step {
                Call::Start | Call::Checked => actions.push(Action::Read(call)),
                Call::Numbered(_) => {
                    actions.push(Action::Transact(call));
                    actions.extend((state.budget.losses > 0).then_some(Action::TransactUnheard(call)));
                }
                Call::Told(_) | Call::Refused => {}
            }
        }
        for (manager, plan) in state.managers.iter().enumerate() {
            match plan {
                Some(_) => actions.push(Action::Group(manager)),
                None => actions.extend(state.groupable().map(|last| Action::Plan(manager, last))),
            }
        }
        for (index, job) in state.jobs.iter().enumerate() {
            if state.budget.voids > 0 && !job.void {
                actions.push(Action::Requeue(index, None));
                actions.extend(state.batches_of(*job).map(|bad| Action::Requeue(index, Some(bad))));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        match action {
            Action::Read(call) => self.read(&mut state, call),
            Action::Transact(call) => self.transact(&mut state, call),
            Action::TransactUnheard(call) => self.transact_unheard(&mut state, call),
            Action::Plan(manager, last) => state.managers[manager] = Some((state.grouped + 1, last)),
            Action::Group(manager) => self.group(&mut state, manager),
            Action::Requeue(job, bad) => state.requeue(job, bad),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        invariants::all()
    }
}
