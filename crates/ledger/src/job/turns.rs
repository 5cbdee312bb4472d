//! The turns of a job: asked for, granted, taken up, committed.

use jiff::Timestamp;

use super::{Job, JobRefusal, later};
use crate::{
    JobNumber,
    policy::Policy,
    stage::{Claim, Commit, Stage, Turn, TurnAnswer},
};

impl Job {
    /// A task of an attempt waits for the turn to do a stage. A turn that was granted to an earlier token, taken up or
    /// not, is lost to whoever was told of it: it will be granted again, under another fence. Were it kept for the new
    /// token, a worker that outlived its task could still claim it, and this task would never be told.
    pub fn ask(
        &mut self,
        stage: Stage,
        attempt: u32,
        token: &str,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<Claim, JobRefusal> {
        if let Turn::Committed(commit) = self.turn(stage) {
            return Ok(Claim::Done(commit.clone()));
        }
        self.check_attempt(attempt)?;
        let turn = self.turn_mut(stage);
        match turn {
            // The task's question came twice, and was answered already.
            Turn::Granted { token: Some(told), .. } | Turn::Running { token: Some(told), .. } if told == token => {
                return Ok(Claim::Held);
            }
            _ => *turn = Turn::Waiting { token: token.to_owned() },
        }
        self.sign_of_life(now, policy);
        Ok(Claim::Held)
    }

    /// Grants a turn that is waited for. The first grant of prefetch fixes the snapshot, whatever happens later.
    pub(crate) fn grant(&mut self, stage: Stage, fence: u64, indexed: JobNumber, now: Timestamp, policy: &Policy) {
        let Turn::Waiting { token } = std::mem::take(self.turn_mut(stage)) else { return };
        *self.turn_mut(stage) = Turn::Granted { fence, token: Some(token) };
        if stage == Stage::Prefetch && self.snapshot.is_none() {
            self.snapshot = Some(indexed);
        }
        self.lease_until = later(now, policy.lease());
    }

    /// Nobody waits with this token: it is dropped, and the grant is kept.
    pub(crate) fn drop_token(&mut self, gone: &str) {
        for stage in Stage::ALL {
            let turn = self.turn_mut(stage);
            match turn {
                Turn::Granted { token, .. } if token.as_deref() == Some(gone) => *token = None,
                Turn::Waiting { token } if token == gone => *turn = Turn::Idle,
                _ => {}
            }
        }
    }

    /// A worker takes a turn up. Doing so twice under one fence is once: what counts is the commit.
    pub fn claim(
        &mut self,
        stage: Stage,
        attempt: u32,
        fence: u64,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<Claim, JobRefusal> {
        if let Turn::Committed(commit) = self.turn(stage) {
            return Ok(Claim::Done(commit.clone()));
        }
        self.check_attempt(attempt)?;
        let job = self.number();
        let turn = self.turn_mut(stage);
        match turn {
            Turn::Granted { fence: held, token } if *held == fence => {
                *turn = Turn::Running { fence, token: token.take() };
            }
            Turn::Running { fence: held, .. } if *held == fence => {}
            _ => return Err(JobRefusal::Fenced { job, stage, fence }),
        }
        self.sign_of_life(now, policy);
        Ok(Claim::Held)
    }

    /// A stage is done. Of several attempts the first counts, and the others are told what it made.
    pub fn commit(
        &mut self,
        stage: Stage,
        attempt: u32,
        fence: u64,
        manifest: &str,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<Claim, JobRefusal> {
        if let Turn::Committed(commit) = self.turn(stage) {
            return Ok(Claim::Done(commit.clone()));
        }
        self.check_attempt(attempt)?;
        match self.turn(stage) {
            Turn::Running { fence: held, .. } if *held == fence => {}
            _ => return Err(JobRefusal::Fenced { job: self.number(), stage, fence }),
        }
        *self.turn_mut(stage) = Turn::Committed(Commit { manifest: manifest.to_owned(), attempt, at: now });
        self.failures = 0;
        self.step_attempt = 1;
        self.sign_of_life(now, policy);
        Ok(Claim::Held)
    }

    /// What its waiting tasks are to be told: the token, and what to say.
    pub fn answers(&self) -> Vec<(&str, TurnAnswer)> {
        let void = self.is_void();
        let answer = |stage: Stage| match self.turn(stage) {
            Turn::Waiting { token } | Turn::Granted { token: Some(token), .. } if void => {
                Some((token.as_str(), TurnAnswer::Void))
            }
            Turn::Granted { token: Some(token), fence } => {
                let snapshot = self.snapshot.unwrap_or_default();
                Some((token.as_str(), TurnAnswer::Granted { attempt: self.attempt, fence: *fence, snapshot }))
            }
            _ => None,
        };
        Stage::ALL.into_iter().filter_map(answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::kit::{at, granted, policy};

    #[test]
    fn a_turn_is_waited_for_granted_taken_up_and_committed() {
        let mut job = granted();
        let told = TurnAnswer::Granted { attempt: 2, fence: 1, snapshot: JobNumber::new(4) };
        assert_eq!(job.answers(), [("token", told)]);
        for _ in 0..2 {
            assert_eq!(job.claim(Stage::Prefetch, 2, 1, at(1), &policy()), Ok(Claim::Held));
        }
        assert_eq!(job.answers(), []);
        assert_eq!(job.commit(Stage::Prefetch, 2, 1, "first", at(2), &policy()), Ok(Claim::Held));
        let Ok(Claim::Done(commit)) = job.commit(Stage::Prefetch, 1, 0, "second", at(3), &policy()) else {
            panic!("committed twice");
        };
        assert_eq!(commit.manifest, "first");
        assert!(job.is_ready_for(Stage::Apply) && !job.is_ready_for(Stage::Index));
    }

    #[test]
    fn a_grant_that_nobody_took_up_is_made_anew_for_the_next_token() {
        for told in [true, false] {
            let mut job = granted();
            if !told {
                job.drop_token("token");
                assert_eq!(job.answers(), []);
            }
            job.ask(Stage::Prefetch, 2, "new", at(1), &policy()).unwrap();
            assert_eq!(job.turn(Stage::Prefetch), &Turn::Waiting { token: "new".to_owned() });
            let outlived = job.claim(Stage::Prefetch, 2, 1, at(1), &policy());
            assert!(matches!(outlived, Err(JobRefusal::Fenced { fence: 1, .. })), "the task that waits is to have it");
            job.grant(Stage::Prefetch, 2, JobNumber::new(6), at(1), &policy());
            assert!(matches!(job.answers()[..], [("new", TurnAnswer::Granted { fence: 2, .. })]));
        }
    }

    #[test]
    fn a_question_that_comes_twice_takes_nothing_away_a_new_one_does() {
        let mut job = granted();
        job.ask(Stage::Prefetch, 2, "token", at(1), &policy()).unwrap();
        assert!(matches!(job.turn(Stage::Prefetch), Turn::Granted { fence: 1, .. }));
        job.claim(Stage::Prefetch, 2, 1, at(1), &policy()).unwrap();
        job.ask(Stage::Prefetch, 2, "token", at(2), &policy()).unwrap();
        assert!(matches!(job.turn(Stage::Prefetch), Turn::Running { fence: 1, .. }));
        job.ask(Stage::Prefetch, 2, "new", at(2), &policy()).unwrap();
        job.grant(Stage::Prefetch, 2, JobNumber::new(6), at(2), &policy());
        let fenced = JobRefusal::Fenced { job: job.number(), stage: Stage::Prefetch, fence: 1 };
        assert_eq!(job.commit(Stage::Prefetch, 2, 1, "late", at(3), &policy()), Err(fenced));
        assert_eq!(job.snapshot, Some(JobNumber::new(4)), "the first grant fixed it");
    }
}
