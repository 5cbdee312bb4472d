//! Services that answer as they were told to, at once.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::pending,
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use serde_json::Value;
use tests::{
    Project,
    interpreter::{Failure, Machine, Services, Waiting},
};

#[derive(Default)]
pub(crate) struct Stage(Mutex<Told>);

#[derive(Default)]
struct Told {
    objects: BTreeMap<String, String>,
    /// What comes once, by function or action; nothing for never.
    once: BTreeMap<String, VecDeque<Option<Result<Value, Failure>>>>,
    always: BTreeMap<String, Value>,
    answers: BTreeMap<String, Value>,
    tokens: u32,
    calls: Vec<(String, Value)>,
    slept: Vec<u64>,
    now: u64,
    sleepers: u32,
    /// When each wakes, and its number.
    sleeping: BTreeSet<(u64, u32)>,
}

/// The machine of intake, as it is deployed to AWS.
pub(crate) fn intake() -> Machine {
    Machine::new("intake", Project::read().unwrap().deployed("intake").unwrap())
}

impl Stage {
    pub(crate) fn object(&self, at: &str, text: &str) {
        self.0.lock().unwrap().objects.insert(at.to_owned(), text.to_owned());
    }

    pub(crate) fn once(&self, who: &str, what: Result<Value, Failure>) {
        self.0.lock().unwrap().once.entry(who.to_owned()).or_default().push_back(Some(what));
    }

    /// Once, no answer comes.
    pub(crate) fn never(&self, who: &str) {
        self.0.lock().unwrap().once.entry(who.to_owned()).or_default().push_back(None);
    }

    pub(crate) fn always(&self, who: &str, what: Value) {
        self.0.lock().unwrap().always.insert(who.to_owned(), what);
    }

    pub(crate) fn answer(&self, token: &str, what: Value) {
        self.0.lock().unwrap().answers.insert(token.to_owned(), what);
    }

    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.0.lock().unwrap().calls.clone()
    }

    /// Seconds slept.
    pub(crate) fn slept(&self) -> Vec<u64> {
        self.0.lock().unwrap().slept.clone()
    }

    async fn tell(&self, who: &str, payload: Value) -> Result<Value, Failure> {
        let told = {
            let mut told = self.0.lock().unwrap();
            told.calls.push((who.to_owned(), payload));
            match told.once.get_mut(who).and_then(VecDeque::pop_front) {
                Some(once) => once,
                None => Some(Ok(told.always[who].clone())),
            }
        };
        match told {
            Some(told) => told,
            None => pending().await,
        }
    }
}

#[async_trait]
impl Services for Stage {
    async fn invoke(&self, function: &str, payload: Value) -> Result<Value, Failure> {
        self.tell(function, payload).await
    }

    async fn call(&self, action: &str, parameters: Value) -> Result<Value, Failure> {
        self.tell(action, parameters).await
    }

    async fn object(&self, bucket: &str, key: &str) -> Result<Bytes, Failure> {
        let told = self.0.lock().unwrap();
        Ok(told.objects[&format!("{bucket}/{key}")].clone().into())
    }

    fn wait(&self) -> Waiting {
        let mut told = self.0.lock().unwrap();
        told.tokens += 1;
        let token = format!("token-{}", told.tokens);
        let answer = told.answers.get(&token).cloned();
        let answer = async move {
            // Not before the function was called.
            tokio::task::yield_now().await;
            match answer {
                Some(answer) => Ok(answer),
                None => pending().await,
            }
        };
        Waiting { token, answer: answer.boxed() }
    }

    async fn sleep(&self, time: Duration) {
        let sleeper = {
            let mut told = self.0.lock().unwrap();
            told.sleepers += 1;
            let at = (told.now + time.as_secs(), told.sleepers);
            told.sleeping.insert(at);
            Sleeper { stage: self, at }
        };
        // Everything else is quicker, and who wakes first goes first.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        while self.0.lock().unwrap().sleeping.first() != Some(&sleeper.at) {
            tokio::task::yield_now().await;
        }
        let mut told = self.0.lock().unwrap();
        told.now = sleeper.at.0;
        told.slept.push(time.as_secs());
        drop(told);
    }

    fn jitter(&self, delay: Duration) -> Duration {
        delay
    }
}

/// Sleeps until it is dropped.
struct Sleeper<'a> {
    stage: &'a Stage,
    at: (u64, u32),
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        if let Ok(mut told) = self.stage.0.lock() {
            told.sleeping.remove(&self.at);
        }
    }
}
