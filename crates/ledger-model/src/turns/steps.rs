//! What each action does, and when it can happen.

use super::{Action, Execution, Mutation, Number, Row, State, Step, Token, Turn, Turns};

impl Turns {
    /// What one execution, or its worker, can do.
    pub(super) fn execution_actions(&self, state: &State, execution: Execution, actions: &mut Vec<Action>) {
        let mut offer = |when: bool, action| actions.extend(when.then_some(action));
        let row = state.row(execution.job);
        let sent_home = self.mutation != Some(Mutation::NotSentHome);
        let told = sent_home && row.over() && row.token == Some(execution.token);
        let worker = matches!(execution.step, Step::Called(_) | Step::Working(_));
        offer(execution.step == Step::Start, Action::Register(execution));
        offer(execution.step == Step::Waiting && told, Action::Dismiss(execution));
        offer(execution.step == Step::Waiting && state.budget.timeouts > 0, Action::TimeOut(execution));
        offer(matches!(execution.step, Step::Called(_)), Action::Claim(execution));
        offer(self.wins(state, execution) && state.budget.losses > 0, Action::ClaimUnheard(execution));
        offer(matches!(execution.step, Step::Working(_)), Action::Commit(execution));
        offer(state.budget.deaths > 0, Action::Die(execution));
        offer(execution.live && worker && state.budget.deaths > 0, Action::Outlive(execution));
    }

    /// Rule 14: every tick sends unclaimed grants again.
    pub(super) fn sends_again(&self, row: &Row) -> bool {
        row.token.is_some() && self.mutation != Some(Mutation::GrantNotSentAgain)
    }

    /// Whether a claim changes the row: it is granted, with this fence.
    fn wins(&self, state: &State, execution: Execution) -> bool {
        let row = state.row(execution.job);
        let Step::Called(fence) = execution.step else { return false };
        match row.turn {
            Turn::Granted => row.fence == fence,
            Turn::Running(_) => self.mutation == Some(Mutation::NoFence),
            _ => false,
        }
    }

    /// Whether a claim finds that it has been made: by this attempt, with this fence.
    fn has_won(&self, state: &State, execution: Execution) -> bool {
        let row = state.row(execution.job);
        let mine = |by| by == execution.token.attempt || self.mutation == Some(Mutation::ClaimWithoutName);
        matches!(row.turn, Turn::Running(by) if mine(by)) && execution.step == Step::Called(row.fence)
    }

    pub(super) fn claim(&self, state: &mut State, execution: Execution) {
        let (wins, has_won) = (self.wins(state, execution), self.has_won(state, execution));
        if wins {
            state.run(execution);
        }
        let Step::Called(fence) = execution.step else { return };
        if wins || has_won {
            state.move_to(execution, Step::Working(fence));
        } else {
            state.leave(execution);
        }
    }

    pub(super) fn claim_unheard(&self, state: &mut State, execution: Execution) {
        state.budget.losses -= 1;
        state.run(execution);
    }

    /// Rule 5: the fence is mine, the job is not void, the cursor stands at the predecessor.
    pub(super) fn may_commit(&self, state: &State, execution: Execution) -> bool {
        let row = state.row(execution.job);
        let Step::Working(fence) = execution.step else { return false };
        if self.mutation == Some(Mutation::UnconditionalCommit) {
            return row.turn != Turn::Void;
        }
        let held = matches!(row.turn, Turn::Running(_)) && row.fence == fence;
        (held || !row.over() && self.mutation == Some(Mutation::NoFence)) && state.cursor + 1 == execution.job
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

    /// Rule 14: only the current attempt registers tokens.
    pub(super) fn register(&mut self, execution: Execution) {
        let row = self.row_mut(execution.job);
        if row.over() || execution.token.attempt != row.attempt {
            return self.leave(execution);
        }
        row.token = Some(execution.token);
        self.move_to(execution, Step::Waiting);
    }

    /// Rule 16, as far as one stage goes. A turn that runs is granted anew once another attempt waits for it: that
    /// attempt was started because no execution lived.
    pub(super) fn can_grant(&self, number: Number) -> bool {
        let row = self.row(number);
        let open = match row.turn {
            Turn::Waiting => true,
            Turn::Running(by) => row.token.is_some_and(|token| token.attempt != by),
            Turn::Granted | Turn::Committed | Turn::Void => false,
        };
        self.cursor + 1 == number && open && row.token.is_some()
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
        row.turn = Turn::Running(execution.token.attempt);
        row.token = row.token.filter(|token| *token != execution.token);
    }

    pub(super) fn die(&mut self, execution: Execution) {
        self.budget.deaths -= 1;
        self.leave(execution);
    }

    pub(super) fn outlive(&mut self, execution: Execution) {
        self.budget.deaths -= 1;
        self.leave(execution);
        self.executions.insert(Execution { live: false, ..execution });
    }

    pub(super) fn time_out(&mut self, execution: Execution) {
        self.budget.timeouts -= 1;
        self.leave(execution);
        let token = Token { wait: execution.token.wait + 1, ..execution.token };
        self.executions.insert(Execution { token, step: Step::Start, ..execution });
    }

    /// Rule 15: not an expired lease, but no live execution.
    pub(super) fn can_restart(&self, number: Number) -> bool {
        !self.row(number).over() && !self.executions.iter().any(|one| one.job == number && one.live)
    }

    pub(super) fn restart(&mut self, number: Number) {
        let row = self.row_mut(number);
        row.attempt += 1;
        let token = Token { attempt: row.attempt, wait: 0 };
        self.executions.insert(Execution { job: number, token, live: true, step: Step::Start });
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
