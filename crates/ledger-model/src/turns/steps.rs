//! What each action does, and when it can happen.

use super::{Action, Execution, Mutation, Number, Row, State, Step, Token, Turn, Turns};

impl Turns {
    /// What one execution, or its worker, can do.
    pub(super) fn execution_actions(&self, state: &State, execution: Execution, actions: &mut Vec<Action>) {
        let mut offer = |when: bool, action| actions.extend(when.then_some(action));
        let (budget, row) = (state.budget, state.row(execution.job));
        let waits = execution.step == Step::Waiting;
        let works = matches!(execution.step, Step::Called(_) | Step::Working(_));
        let known = row.awaits(execution);
        let times_out = if known { budget.timeouts > 0 } else { self.mutation != Some(Mutation::EndlessWait) };
        offer(execution.step == Step::Start, Action::Register(execution));
        offer(waits && known && row.over(), Action::Dismiss(execution));
        offer(waits && times_out, Action::TimeOut(execution));
        offer(matches!(execution.step, Step::Called(_)), Action::Claim(execution));
        offer(self.wins(state, execution) && budget.losses > 0, Action::ClaimUnheard(execution));
        offer(matches!(execution.step, Step::Working(_)), Action::Commit(execution));
        offer(budget.deaths > 0, Action::Die(execution));
        offer(execution.live && works && budget.timeouts > 0, Action::Outlive(execution));
    }

    /// Rule 14: every tick sends unclaimed grants again.
    pub(super) fn sends_again(&self, row: &Row) -> bool {
        row.token.is_some() && self.mutation != Some(Mutation::GrantNotSentAgain)
    }

    /// Whether an execution is of the attempt that counts.
    fn current(&self, state: &State, execution: Execution) -> bool {
        execution.token.attempt == state.row(execution.job).attempt || self.mutation == Some(Mutation::NoAttempt)
    }

    /// Whether this is the fence of the present grant.
    fn holds(&self, row: &Row, fence: u8) -> bool {
        fence == row.fence || self.mutation == Some(Mutation::NoFence)
    }

    /// Whether a claim takes effect: the turn is granted under this fence, or a claim under it was made and not heard.
    fn wins(&self, state: &State, execution: Execution) -> bool {
        let row = state.row(execution.job);
        let open = matches!(row.turn, Turn::Granted | Turn::Running);
        let Step::Called(fence) = execution.step else { return false };
        open && self.holds(row, fence) && self.current(state, execution)
    }

    pub(super) fn claim(&self, state: &mut State, execution: Execution) {
        match execution.step {
            Step::Called(fence) if self.wins(state, execution) => {
                state.run(execution);
                state.move_to(execution, Step::Working(fence));
            }
            _ => state.leave(execution),
        }
    }

    pub(super) fn claim_unheard(&self, state: &mut State, execution: Execution) {
        state.budget.losses -= 1;
        state.run(execution);
    }

    /// Rule 5: the turn is running under this fence, the job is not void, the cursor stands at the predecessor.
    pub(super) fn may_commit(&self, state: &State, execution: Execution) -> bool {
        let row = state.row(execution.job);
        let Step::Working(fence) = execution.step else { return false };
        if self.mutation == Some(Mutation::UnconditionalCommit) {
            return row.turn != Turn::Void;
        }
        let running = row.turn == Turn::Running || self.mutation == Some(Mutation::NoFence) && !row.over();
        running && self.holds(row, fence) && self.current(state, execution) && state.cursor + 1 == execution.job
    }

    pub(super) fn commit(&self, state: &mut State, execution: Execution) {
        if self.may_commit(state, execution) {
            let row = state.row_mut(execution.job);
            row.turn = Turn::Committed;
            row.commits += 1;
            state.cursor = execution.job;
        }
        state.leave(execution);
    }
}

impl Row {
    /// Whether nobody is to work on it any more.
    pub(super) fn over(&self) -> bool {
        matches!(self.turn, Turn::Committed | Turn::Void)
    }

    /// Whether a waiting execution will be answered.
    pub(super) fn awaits(&self, execution: Execution) -> bool {
        self.token == Some(execution.token) && matches!(self.turn, Turn::Waiting | Turn::Granted | Turn::Void)
    }
}

impl State {
    /// A new job, and its first execution.
    pub(super) fn enqueue(&mut self) {
        self.rows.push(Row { turn: Turn::Waiting, fence: 0, attempt: 0, token: None, calling: false, commits: 0 });
        self.restart(self.last());
    }

    fn move_to(&mut self, execution: Execution, step: Step) {
        self.executions.remove(&execution);
        self.executions.insert(Execution { step, ..execution });
    }

    pub(super) fn leave(&mut self, execution: Execution) {
        self.executions.remove(&execution);
    }

    /// Rule 14: only the current attempt registers tokens. A turn that was granted to an earlier token is granted anew:
    /// whoever was told of it has lost it, and so has the manager that is about to tell.
    pub(super) fn register(&mut self, execution: Execution, keeps_grant: bool) {
        let row = self.row_mut(execution.job);
        if row.over() || execution.token.attempt != row.attempt {
            return self.leave(execution);
        }
        row.token = Some(execution.token);
        if row.turn == Turn::Running || row.turn == Turn::Granted && !keeps_grant {
            row.turn = Turn::Waiting;
            row.calling = false;
        }
        self.move_to(execution, Step::Waiting);
    }

    /// Rule 16, as far as one stage goes.
    pub(super) fn can_grant(&self, number: Number) -> bool {
        let row = self.row(number);
        self.cursor + 1 == number && row.turn == Turn::Waiting && row.token.is_some()
    }

    pub(super) fn grant(&mut self, number: Number) {
        let row = self.row_mut(number);
        row.turn = Turn::Granted;
        row.fence += 1;
        row.calling = true;
    }

    /// Calls the token back. `TaskTimedOut` and `TaskDoesNotExist`: the token is dropped, the grant stays.
    pub(super) fn call(&mut self, number: Number) {
        let row = self.row_mut(number);
        let (granted, fence, token) = (row.turn == Turn::Granted, row.fence, row.token);
        row.calling = false;
        let waits = |one: &Execution| one.job == number && Some(one.token) == token && one.step == Step::Waiting;
        match self.executions.iter().copied().find(waits) {
            Some(execution) if granted => self.move_to(execution, Step::Called(fence)),
            _ => self.row_mut(number).token = None,
        }
    }

    pub(super) fn lose_call(&mut self, number: Number) {
        self.budget.losses -= 1;
        self.row_mut(number).calling = false;
    }

    fn run(&mut self, execution: Execution) {
        let row = self.row_mut(execution.job);
        row.turn = Turn::Running;
        row.token = row.token.filter(|token| *token != execution.token);
    }

    pub(super) fn die(&mut self, execution: Execution) {
        self.budget.deaths -= 1;
        self.leave(execution);
    }

    /// The task begins anew, with a new token; its worker goes on under the old fence.
    pub(super) fn outlive(&mut self, execution: Execution) {
        self.budget.timeouts -= 1;
        self.ask_anew(execution);
        self.executions.insert(Execution { live: false, ..execution });
    }

    /// Only a wait that might be answered yet is a fault.
    pub(super) fn time_out(&mut self, execution: Execution) {
        self.budget.timeouts -= u8::from(self.row(execution.job).awaits(execution));
        self.ask_anew(execution);
    }

    fn ask_anew(&mut self, execution: Execution) {
        self.leave(execution);
        let token = Token { wait: execution.token.wait + 1, ..execution.token };
        self.executions.insert(Execution { token, step: Step::Start, ..execution });
    }

    /// Whether the job's lease can expire. What waits for its turn has nothing to say.
    pub(super) fn silent(&self, number: Number) -> bool {
        let row = self.row(number);
        !row.over() && (row.turn != Turn::Waiting || row.token.is_none())
    }

    pub(super) fn lives(&self, number: Number) -> bool {
        let attempt = self.row(number).attempt;
        self.executions.iter().any(|one| one.job == number && one.token.attempt == attempt && one.live)
    }

    /// Rule 15: the next attempt starts, and the turn is the old one's no more.
    pub(super) fn restart(&mut self, number: Number) {
        let row = self.row_mut(number);
        *row = Row { turn: Turn::Waiting, token: None, calling: false, attempt: row.attempt + 1, ..*row };
        let token = Token { attempt: row.attempt, wait: 0 };
        self.executions.insert(Execution { job: number, token, live: true, step: Step::Start });
    }

    pub(super) fn take_for_dead(&mut self, number: Number) {
        self.budget.deaths -= 1;
        self.restart(number);
    }

    /// Rule 17: only while the stage is not committed.
    pub(super) fn can_void(&self, number: Number) -> bool {
        self.budget.voids > 0 && !self.row(number).over()
    }

    pub(super) fn skip(&mut self, number: Number) {
        self.budget.voids -= 1;
        let row = self.row_mut(number);
        row.turn = Turn::Void;
        row.calling = false;
    }

    /// Rule 17: void, and requeued under a new number, in one transaction.
    pub(super) fn pass(&mut self, number: Number) {
        self.skip(number);
        self.enqueue();
    }

    pub(super) fn can_step_over(&self) -> bool {
        self.rows.get(usize::from(self.cursor)).is_some_and(|row| row.turn == Turn::Void)
    }
}
