//! Runs the project's own state machines, as AWS Step Functions would, on services that a test provides.
//!
//! The subset of the Amazon States Language (<https://states-language.net>) that `state-machines/` uses: JSONPath, tasks
//! that call a function or a service or wait for a token, distributed and inline maps, choices, retriers, catchers and
//! timeouts. A field that is not in this subset is a panic that names its state: nothing is passed over in silence.
//!
//! There is no wall clock and no thread: what takes time or can go wrong is asked of [`Services`], so that a simulation
//! decides what happens when, and the same decisions make the same run.

#![expect(clippy::panic, reason = "a machine that this cannot run must not pass for one that it has run")]
#![expect(clippy::indexing_slicing, reason = "a JSON value is null where it lacks a key")]

mod choice;
mod errors;
mod known;
mod map;
mod paths;
mod task;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    FutureExt,
    future::{BoxFuture, Either, select},
};
use serde_json::{Value, json};

use self::{
    errors::Retries,
    paths::{Scope, put, template},
};

/// The longest input or output of a state, in bytes.
const DATA_BYTES_MAX: usize = 256 * 1024;

/// An error as Step Functions passes it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its name, which retriers and catchers go by.
    pub error: String,
    /// What a person, or the next function, is told.
    pub cause: String,
}

impl Failure {
    /// An error of this name.
    pub fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { error: error.into(), cause: cause.into() }
    }

    fn timeout(state: &str) -> Self {
        Self::new("States.Timeout", format!("{state} took longer than its timeout"))
    }
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With this output.
    Succeeded(Value),
    /// With an error that nobody caught.
    Failed(Failure),
    /// The whole execution took longer than its timeout.
    TimedOut,
}

/// A task that waits for its token to be answered.
pub struct Waiting {
    /// The token, which no other task has.
    pub token: String,
    /// The answer. When it is dropped, nobody waits any more.
    pub answer: BoxFuture<'static, Result<Value, Failure>>,
}

/// What a machine asks of the world.
#[async_trait]
pub trait Services: Send + Sync {
    /// Invokes a function by the logical id at the end of its ARN. Dropped, it is no longer waited for: whether the
    /// function goes on is for the services to say.
    async fn invoke(&self, function: &str, payload: Value) -> Result<Value, Failure>;

    /// Calls an action of a service: `events:putEvents`.
    async fn call(&self, action: &str, parameters: Value) -> Result<Value, Failure>;

    /// Reads an object, for the items of a map.
    async fn object(&self, bucket: &str, key: &str) -> Result<Bytes, Failure>;

    /// A new token, and the wait for its answer.
    fn wait(&self) -> Waiting;

    /// Lets this much time pass.
    async fn sleep(&self, time: Duration);

    /// A delay from nothing up to this one: full jitter.
    fn jitter(&self, delay: Duration) -> Duration;
}

/// A state machine.
#[derive(Debug, Clone)]
pub struct Machine {
    name: String,
    definition: Value,
}

impl Machine {
    /// The machine of this definition, its placeholders filled in. Panics where it has what is not in the subset.
    pub fn new(name: &str, definition: Value) -> Self {
        known::check(name, &definition);
        Self { name: name.to_owned(), definition }
    }

    /// Runs an execution.
    pub async fn run(&self, services: &dyn Services, execution: &str, input: Value) -> Ending {
        let context = json!({
            "Execution": { "Id": format!("arn:{}:{execution}", self.name), "Name": execution, "Input": input },
            "StateMachine": { "Name": self.name },
        });
        let run = Run { services, machine: &self.definition };
        let ended = within(services, &self.definition["TimeoutSeconds"], run.states(input, context));
        match ended.await {
            None => Ending::TimedOut,
            Some(Ok(output)) => Ending::Succeeded(output),
            Some(Err(failure)) => Ending::Failed(failure),
        }
    }
}

/// What comes of `work`, or nothing where it takes longer than so many seconds; null is for ever.
async fn within<T>(services: &dyn Services, seconds: &Value, work: impl Future<Output = T> + Send) -> Option<T> {
    let work = std::pin::pin!(work);
    let Some(seconds) = seconds.as_u64() else { return Some(work.await) };
    match select(work, services.sleep(Duration::from_secs(seconds))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

/// States being run: those of a machine, or of a map's children.
struct Run<'a> {
    services: &'a dyn Services,
    machine: &'a Value,
}

/// A state that is being run.
struct Step<'a> {
    services: &'a dyn Services,
    name: &'a str,
    body: &'a Value,
    context: Value,
}

impl<'a> Run<'a> {
    /// Runs from the first state to one that ends. Boxed, because a map's children are states too.
    fn states(self, input: Value, context: Value) -> BoxFuture<'a, Result<Value, Failure>> {
        async move {
            let (mut name, mut data) = (text(&self.machine["StartAt"]), input);
            loop {
                let mut context = context.clone();
                context["State"] = json!({ "Name": name });
                let body = &self.machine["States"][name];
                let step = Step { services: self.services, name, body, context };
                let (next, output) = step.run(data).await?;
                if output.to_string().len() > DATA_BYTES_MAX {
                    return Err(Failure::new("States.DataLimitExceeded", format!("the output of {name} is too long")));
                }
                match next {
                    None => return Ok(output),
                    Some(next) => (name, data) = (next, output),
                }
            }
        }
        .boxed()
    }
}

impl<'a> Step<'a> {
    /// The state that comes next, if any, and its input.
    async fn run(&self, input: Value) -> Result<(Option<&'a str>, Value), Failure> {
        let scope = |data| Scope { state: self.name, data, context: &self.context };
        match text(&self.body["Type"]) {
            "Succeed" => Ok((None, input)),
            "Fail" => Err(self.fail(&scope(&input))),
            "Choice" => match choice::next(self.body, &scope(&input)) {
                Some(next) => Ok((Some(next), input)),
                None => Err(Failure::new("States.NoChoiceMatched", format!("no choice of {}", self.name))),
            },
            "Pass" => {
                let result = match (&self.body["Result"], &self.body["Parameters"]) {
                    (Value::Null, Value::Null) => input.clone(),
                    (Value::Null, parameters) => template(parameters, &scope(&input)),
                    (result, _) => result.clone(),
                };
                Ok((self.next(), self.put(input, result)))
            }
            _ => self.work(input).await,
        }
    }

    /// A task or a map: tried, tried again, caught.
    async fn work(&self, input: Value) -> Result<(Option<&'a str>, Value), Failure> {
        let mut retries = Retries::new(&self.body["Retry"]);
        loop {
            let attempt = async {
                match text(&self.body["Type"]) {
                    "Map" => self.map(&input).await,
                    _ => self.task(&input).await,
                }
            };
            let limit = if self.body["Type"] == "Task" { &self.body["TimeoutSeconds"] } else { &Value::Null };
            let tried = within(self.services, limit, attempt).await;
            let failure = match tried.unwrap_or_else(|| Err(Failure::timeout(self.name))) {
                Ok(result) => {
                    let result = match &self.body["ResultSelector"] {
                        Value::Null => result,
                        selector => {
                            template(selector, &Scope { state: self.name, data: &result, context: &self.context })
                        }
                    };
                    return Ok((self.next(), self.put(input, result)));
                }
                Err(failure) => failure,
            };
            if let Some(delay) = retries.delay(&failure, self.services) {
                self.services.sleep(delay).await;
                continue;
            }
            let Some(catcher) = errors::catcher(&self.body["Catch"], &failure) else { return Err(failure) };
            let told = json!({ "Error": failure.error, "Cause": failure.cause });
            return Ok((Some(text(&catcher["Next"])), put(input, catcher.get("ResultPath"), told)));
        }
    }

    fn fail(&self, scope: &Scope<'_>) -> Failure {
        let said = |plain: &str, path: &str| match &self.body[path] {
            Value::Null => self.body[plain].as_str().unwrap_or_default().to_owned(),
            path => text(&scope.find(text(path))).to_owned(),
        };
        Failure { error: said("Error", "ErrorPath"), cause: said("Cause", "CausePath") }
    }

    fn put(&self, input: Value, result: Value) -> Value {
        put(input, self.body.get("ResultPath"), result)
    }

    fn next(&self) -> Option<&'a str> {
        self.body["Next"].as_str()
    }
}

/// A text of a definition, which is known to be one.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}
