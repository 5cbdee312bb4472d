//! Lambda and Step Functions: workers, executions, and how they fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use error_class::{Classified, ErrorClass, chain};
use futures::{
    FutureExt,
    channel::oneshot,
    future::{BoxFuture, Either, select},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use storage::{
    Location, Objects, StorageError, Workflows,
    memory::MemoryObjects,
    objects::read_all,
    workflows::{Answer, Start, check_answer, check_start},
};
use tests::interpreter::{Ending, Failure, Machine, Services, Waiting};

use crate::scheduler::{Scene, lock};

type Handler = Arc<dyn Fn(Value) -> BoxFuture<'static, Result<Value, Failure>> + Send + Sync>;

/// Functions, by logical id, as one warm instance of each has them.
#[derive(Default)]
pub(crate) struct Functions(BTreeMap<&'static str, Handler>);

impl Functions {
    /// Adds a function: what its `main` does.
    pub(crate) fn add<H, Request, Reply, E, F>(&mut self, name: &'static str, worker: H, call: fn(Arc<H>, Request) -> F)
    where
        H: Send + Sync + 'static,
        Request: DeserializeOwned + 'static,
        Reply: Serialize,
        E: Classified + 'static,
        F: Future<Output = Result<Reply, E>> + Send + 'static,
    {
        let worker = Arc::new(worker);
        let handler = move |payload: Value| {
            let request = serde_json::from_value(payload.clone());
            let request = request.unwrap_or_else(|error| panic!("{name} is told {payload}: {error}"));
            let done = call(worker.clone(), request);
            async move { done.await.map(|reply| json!(reply)).map_err(|error| failure(name, &error)) }.boxed()
        };
        self.0.insert(name, Arc::new(handler));
    }
}

/// What Step Functions is told of an error of a function. None of ours has a fault, whatever happens to it.
fn failure(function: &str, error: &(impl Classified + 'static)) -> Failure {
    let (class, message) = (error.class(), chain(error));
    let fault = matches!(class, ErrorClass::Bug | ErrorClass::ControlTotalMismatch);
    assert!(!fault, "{function}: {class}: {message}");
    let told = json!({ "errorType": class.as_str(), "errorMessage": message });
    Failure::new(class.as_str(), told.to_string())
}

/// Everything that runs.
#[derive(Clone)]
pub(crate) struct Cloud(Arc<Inner>);

struct Inner {
    scene: Scene,
    objects: Arc<MemoryObjects>,
    /// By ARN.
    machines: &'static BTreeMap<&'static str, Machine>,
    /// Two warm instances of each; they are made after this, because some of them start executions.
    instances: Mutex<Option<[Functions; 2]>>,
    executions: Mutex<BTreeSet<String>>,
    waiting: Mutex<BTreeMap<String, oneshot::Sender<Value>>>,
    running: Mutex<u64>,
}

impl Cloud {
    pub(crate) fn new(
        scene: &Scene,
        objects: Arc<MemoryObjects>,
        machines: &'static BTreeMap<&'static str, Machine>,
    ) -> Self {
        Self(Arc::new(Inner {
            scene: scene.clone(),
            objects,
            machines,
            instances: Mutex::default(),
            executions: Mutex::default(),
            waiting: Mutex::default(),
            running: Mutex::default(),
        }))
    }

    pub(crate) fn deploy(&self, instances: [Functions; 2]) {
        *lock(&self.0.instances) = Some(instances);
    }

    /// Takes the functions away, which hold on to this as this does to them.
    pub(crate) fn close(&self) {
        lock(&self.0.instances).take();
    }

    /// How many workers are at work, those that nobody waits for among them.
    pub(crate) fn workers(&self) -> u64 {
        *lock(&self.0.running)
    }

    /// A worker begins; what it says at the end, if anybody still listens, and nothing if it dies.
    fn begin(&self, function: &str, payload: Value) -> oneshot::Receiver<Result<Value, Failure>> {
        let scene = self.0.scene.clone();
        let instance = scene.below(2) as usize;
        let handler = lock(&self.0.instances).as_ref().and_then(|all| all[instance].0.get(function).cloned());
        let handler = handler.unwrap_or_else(|| panic!("{function} is not deployed"));
        let (tell, told) = oneshot::channel();
        let at_work = AtWork::new(self.clone());
        self.0.scene.begin(true, async move {
            let said = handler(payload).await;
            if let Err(Err(unheard)) = tell.send(said) {
                scene.saw("a worker outlived its task");
                if unheard.error == "Conflict" {
                    scene.saw("a zombie was refused");
                }
            }
            drop(at_work);
        });
        told
    }

    /// An event for a function: Lambda tries three times.
    pub(crate) async fn deliver(&self, function: &str, event: Value) -> Result<Value, Failure> {
        let mut tries = 3;
        loop {
            tries -= 1;
            match self.invoke(function, event.clone()).await {
                Err(_) if tries > 0 => self.0.scene.sleep(Duration::from_secs(60)).await,
                ended => return ended,
            }
        }
    }

    async fn execute(self, arn: String, name: String, input: Value) {
        let scene = &self.0.scene;
        let run = self.0.machines[arn.as_str()].run(&self, &name, input.clone());
        let ended = if scene.mischief(10, |budget| &mut budget.aborts) {
            let seconds = scene.below(600);
            match select(run.boxed(), scene.sleep(Duration::from_secs(seconds)).boxed()).await {
                Either::Left((ended, _)) => Some(ended),
                Either::Right(_) => None,
            }
        } else {
            Some(run.await)
        };
        let (status, failure) = match ended {
            Some(Ending::Succeeded(_)) => return,
            Some(Ending::Failed(failure)) => ("FAILED", Some(failure)),
            Some(Ending::TimedOut) => ("TIMED_OUT", None),
            None => ("ABORTED", None),
        };
        scene.saw(if status == "ABORTED" { "an execution was stopped" } else { "an execution failed" });
        // Sometimes nobody is told.
        if !scene.once_in(4) {
            let _ = self.deliver("BacklogManager", execution_ended(&name, status, failure.as_ref(), &input)).await;
        }
    }
}

/// EventBridge's event of an execution that ended otherwise than well.
fn execution_ended(name: &str, status: &str, failure: Option<&Failure>, input: &Value) -> Value {
    json!({
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {
            "name": name,
            "status": status,
            "input": input.to_string(),
            "error": failure.map(|failure| &failure.error),
            "cause": failure.map(|failure| &failure.cause),
        },
    })
}

/// Counts one more worker while it lives.
struct AtWork(Cloud);

impl AtWork {
    fn new(cloud: Cloud) -> Self {
        *lock(&cloud.0.running) += 1;
        Self(cloud)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        *lock(&self.0.0.running) -= 1;
    }
}

#[async_trait]
impl Services for Cloud {
    async fn invoke(&self, function: &str, payload: Value) -> Result<Value, Failure> {
        let scene = &self.0.scene;
        if scene.mischief(20, |budget| &mut budget.mishaps) {
            match scene.below(3) {
                0 => return Err(Failure::new("Lambda.TooManyRequestsException", "rate exceeded")),
                1 => {
                    scene.saw("an invocation came twice");
                    drop(self.begin(function, payload.clone()));
                }
                _ => {
                    scene.saw("a reply was lost");
                    drop(self.begin(function, payload));
                    scene.sleep(Duration::from_millis(scene.below(3000))).await;
                    return Err(Failure::new("Lambda.Unknown", "the reply was lost"));
                }
            }
        }
        let told = self.begin(function, payload).await;
        told.unwrap_or_else(|_| Err(Failure::new("Runtime.ExitError", "the worker died")))
    }

    async fn call(&self, action: &str, parameters: Value) -> Result<Value, Failure> {
        panic!("{action} is called with {parameters}");
    }

    async fn object(&self, bucket: &str, key: &str) -> Result<Bytes, Failure> {
        let at = Location::new(bucket, key);
        let read = async { read_all(self.0.objects.read(&at, None, None).await?, &at, u64::MAX).await };
        read.await.map_err(|error: StorageError| Failure::new("S3.S3Exception", error.to_string()))
    }

    fn wait(&self) -> Waiting {
        let token = format!("token-{}", self.0.scene.below(u64::MAX));
        let (tell, told) = oneshot::channel();
        lock(&self.0.waiting).insert(token.clone(), tell);
        let wait = Wait { token: token.clone(), cloud: self.clone() };
        let answer = async move {
            let told = told.await;
            drop(wait);
            told.map_err(|_| Failure::new("States.Runtime", "nobody can answer"))
        };
        Waiting { token, answer: answer.boxed() }
    }

    async fn sleep(&self, time: Duration) {
        self.0.scene.sleep(time).await;
    }

    fn jitter(&self, delay: Duration) -> Duration {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(self.0.scene.below(millis + 1))
    }
}

/// A task that waits; when it does not any more, its token is gone.
struct Wait {
    token: String,
    cloud: Cloud,
}

impl Drop for Wait {
    fn drop(&mut self) {
        lock(&self.cloud.0.waiting).remove(&self.token);
    }
}

#[async_trait]
impl Workflows for Cloud {
    async fn start(&self, machine: &str, name: &str, input: &str) -> Result<Start, StorageError> {
        check_start(machine, name, input)?;
        if !lock(&self.0.executions).insert(format!("{machine} {name}")) {
            return Ok(Start::Exists);
        }
        let input = serde_json::from_str(input).unwrap();
        self.0.scene.begin(false, self.clone().execute(machine.to_owned(), name.to_owned(), input));
        Ok(Start::Started)
    }

    async fn answer(&self, token: &str, output: &str) -> Result<Answer, StorageError> {
        check_answer(token, output)?;
        let waiting = lock(&self.0.waiting).remove(token);
        let taken = waiting.is_some_and(|tell| tell.send(serde_json::from_str(output).unwrap()).is_ok());
        Ok(if taken { Answer::Taken } else { Answer::Gone })
    }
}
