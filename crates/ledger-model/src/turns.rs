//! Who may work: grants, callbacks, claims, leases, ticks, skip and pass.
//!
//! Rules 5 and 14 to 17, for the turns of one stage. Each job has a row, which the manager and the workers change by
//! conditional writes, and an execution for each attempt. An execution waits with a token until it is called back; its
//! worker claims the grant, works, commits. Executions die, are taken for dead and live, and retry a task whose worker
//! lives on: zombies of two kinds. What a manager does in one write is one action; between the write and the callback it
//! may crash. Several workers of one task are one here: between them, first partition commits decide (see
//! [`stages`](crate::stages)).

pub mod invariants;
mod steps;

use std::collections::BTreeSet;

use stateright::{Model, Property};

/// A job by its number, from 1.
pub type Number = u8;

/// The model.
#[derive(Debug, Clone)]
pub struct Turns {
    /// How many jobs wait for their turn.
    pub jobs: Number,
    /// What may go wrong.
    pub budget: Budget,
    /// The rule that is broken, if any.
    pub mutation: Option<Mutation>,
}

/// What may go wrong, and how often: finite, so that every run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Executions that die, or are taken for dead.
    pub deaths: u8,
    /// Waits that time out although they would be answered, and workers that outlive their task.
    pub timeouts: u8,
    /// Callbacks and answers that are lost.
    pub losses: u8,
    /// Jobs skipped or passed.
    pub voids: u8,
}

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// Claims and commits do not ask for the fence (rule 15).
    NoFence,
    /// Claims and commits do not ask for the attempt.
    NoAttempt,
    /// A commit has no condition but that the job is not void (rule 5).
    UnconditionalCommit,
    /// A tick does not send unclaimed grants again (rule 14).
    GrantNotSentAgain,
    /// A grant that nobody has claimed is kept for the next token (rule 14).
    GrantKept,
    /// A wait that nobody will answer does not time out (rule 14).
    EndlessWait,
}

/// A stage's turns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The last job whose stage has committed, or that was stepped over.
    pub cursor: Number,
    /// The jobs, in line.
    pub rows: Vec<Row>,
    /// Executions that live, and workers that outlived their task.
    pub executions: BTreeSet<Execution>,
    /// What may still go wrong.
    pub budget: Budget,
}

/// A job's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// How its turn stands.
    pub turn: Turn,
    /// Grows with each grant.
    pub fence: u8,
    /// The attempt that counts.
    pub attempt: u8,
    /// Who is to be called back.
    pub token: Option<Token>,
    /// Whether the manager that granted is about to call.
    pub calling: bool,
    /// How often its stage was committed.
    pub commits: u8,
}

/// How a turn stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Turn {
    /// For the cursor to come, and for a token.
    Waiting,
    /// Nobody has claimed it.
    Granted,
    /// Claimed.
    Running,
    /// The stage is done.
    Committed,
    /// Skipped, or requeued.
    Void,
}

/// A wait of an execution, to be called back once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    /// The execution's attempt.
    pub attempt: u8,
    /// Which of its waits.
    pub wait: u8,
}

/// An execution of a job with the worker of its task, or such a worker alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Execution {
    /// The job.
    pub job: Number,
    /// The token of its present wait.
    pub token: Token,
    /// Whether this is an execution, or but a worker that outlived its task.
    pub live: bool,
    /// How far it is.
    pub step: Step,
}

/// How far an execution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// About to register its token.
    Start,
    /// Registered.
    Waiting,
    /// Called back with this fence.
    Called(u8),
    /// Its claim was granted, with this fence.
    Working(u8),
}

/// What can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// An execution registers its token.
    Register(Execution),
    /// The manager grants a turn.
    Grant(Number),
    /// The manager that granted calls back.
    Call(Number),
    /// The manager that granted crashes before it calls.
    LoseCall(Number),
    /// A tick sends an unclaimed grant.
    SendAgain(Number),
    /// A worker claims what it was called for.
    Claim(Execution),
    /// It does, and never hears that it has.
    ClaimUnheard(Execution),
    /// A worker commits its stage.
    Commit(Execution),
    /// An execution and its worker die.
    Die(Execution),
    /// A task is retried; its worker lives on.
    Outlive(Execution),
    /// An execution's wait times out; it waits again.
    TimeOut(Execution),
    /// A lease has expired, rightly: the next attempt starts.
    Restart(Number),
    /// A lease has expired although the execution lives.
    TakeForDead(Number),
    /// The operator skips a job.
    Skip(Number),
    /// A job lets the others pass.
    Pass(Number),
    /// A tick sends home what waits for a void job.
    Dismiss(Execution),
    /// The cursor steps over a void job.
    StepOver,
}

impl Model for Turns {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State { cursor: 0, rows: Vec::new(), executions: BTreeSet::new(), budget: self.budget };
        (0..self.jobs).for_each(|_| state.enqueue());
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for number in 1..=state.last() {
            let row = state.row(number);
            let unclaimed = row.turn == Turn::Granted;
            let mut offer = |when: bool, action| actions.extend(when.then_some(action));
            offer(state.can_grant(number), Action::Grant(number));
            offer(row.calling, Action::Call(number));
            offer(row.calling && state.budget.losses > 0, Action::LoseCall(number));
            offer(unclaimed && !row.calling && self.sends_again(row), Action::SendAgain(number));
            offer(state.silent(number) && !state.lives(number), Action::Restart(number));
            let wrongly = state.silent(number) && state.lives(number) && state.budget.deaths > 0;
            offer(wrongly, Action::TakeForDead(number));
            offer(state.can_void(number), Action::Skip(number));
            offer(state.can_void(number), Action::Pass(number));
        }
        for &execution in &state.executions {
            self.execution_actions(state, execution, actions);
        }
        actions.extend(state.can_step_over().then_some(Action::StepOver));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        match action {
            Action::Register(execution) => {
                state.register(execution, self.mutation == Some(Mutation::GrantKept));
            }
            Action::Grant(number) => state.grant(number),
            Action::Call(number) | Action::SendAgain(number) => state.call(number),
            Action::LoseCall(number) => state.lose_call(number),
            Action::Claim(execution) => self.claim(&mut state, execution),
            Action::ClaimUnheard(execution) => self.claim_unheard(&mut state, execution),
            Action::Commit(execution) => self.commit(&mut state, execution),
            Action::Die(execution) => state.die(execution),
            Action::Outlive(execution) => state.outlive(execution),
            Action::TimeOut(execution) => state.time_out(execution),
            Action::Restart(number) => state.restart(number),
            Action::TakeForDead(number) => state.take_for_dead(number),
            Action::Skip(number) => state.skip(number),
            Action::Pass(number) => state.pass(number),
            Action::Dismiss(execution) => state.leave(execution),
            Action::StepOver => state.cursor += 1,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        invariants::all(&self.budget)
    }
}

impl State {
    fn last(&self) -> Number {
        Number::try_from(self.rows.len()).unwrap_or(Number::MAX)
    }

    /// A job's row.
    pub fn row(&self, number: Number) -> &Row {
        &self.rows[usize::from(number) - 1]
    }

    fn row_mut(&mut self, number: Number) -> &mut Row {
        &mut self.rows[usize::from(number) - 1]
    }
}
