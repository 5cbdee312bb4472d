//! Every task is bounded in time, retried by class, and caught; a class is retried alike everywhere.

use std::collections::BTreeSet;

use error_class::ErrorClass;
use serde_json::Value;
use tests::{
    Project,
    cloudformation::list,
    machine::{self, State},
};

use crate::{edit, finds, finds_nothing, place};

/// Names that Step Functions and Lambda give to errors of their own.
const SERVICE_ERRORS: [&str; 15] = [
    "EMRServerless.ConflictException",
    "EMRServerless.InternalServerException",
    "EMRServerless.ThrottlingException",
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Sandbox.Timedout",
    "States.ALL",
    "States.ItemReaderFailed",
    "States.TaskFailed",
    "States.Timeout",
];

/// What may pass if it is tried again. Everything else would end the same.
const PASSING: [ErrorClass; 3] = [ErrorClass::Throttled, ErrorClass::Unavailable, ErrorClass::WorkerLost];

/// States that retry a class otherwise than all others: emailer and job-closer wait for a mail that another worker has claimed.
const RETRIED_OTHERWISE: [(&str, ErrorClass); 3] = [
    ("Notify", ErrorClass::Unavailable),
    ("NotifyFailure", ErrorClass::Unavailable),
    ("Tell", ErrorClass::Unavailable),
];
/// Longer than a worker that died holds its claim, which is its function's timeout, a minute.
const PATIENCE_SECONDS: u64 = 90;
/// How often a task asks again that waits for a token: as often as Step Functions lets it.
const WITHOUT_END: u64 = 99_999_999;

fn tasks(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for name in project.machines.keys() {
        let definition = match project.deployed(name) {
            Ok(definition) => definition,
            Err(fault) => return vec![fault],
        };
        let mut names = BTreeSet::new();
        for state in machine::states(&definition) {
            // A map's children count: AWS takes no definition that names two states alike.
            if !names.insert(state.name) {
                faults.push(format!("{name}: there are two states {}", state.name));
            }
            let found = match state.body["Type"].as_str() {
                Some("Task") => of_task(project, &state),
                Some("Map") => of_map(&state),
                _ => Vec::new(),
            };
            let all = found.into_iter().chain(unknown_errors(&state));
            faults.extend(all.map(|fault| format!("{name}, {}: {fault}", state.name)));
        }
        if definition["TimeoutSeconds"].as_u64().is_none() {
            faults.push(format!("{name}: the execution has no timeout"));
        }
    }
    faults
}

fn of_task(project: &Project, state: &State<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let timeout = state.body["TimeoutSeconds"].as_u64();
    let function = invoked(state.body);
    let own = function.and_then(|id| project.template["Resources"][id]["Properties"]["Timeout"].as_u64());
    match (timeout, function, own) {
        (None, _, _) => faults.push("no timeout".to_owned()),
        (_, Some(id), None) => faults.push(format!("{id} has no timeout")),
        (Some(task), Some(id), Some(own)) if task <= own => {
            faults.push(format!("{task} s end before the {own} s of {id}"));
        }
        _ => {}
    }
    let retried: Vec<&str> = clauses(state.body, "Retry").into_iter().flat_map(errors).collect();
    if retried.is_empty() {
        faults.push("no retry".to_owned());
    }
    if function.is_some() {
        let wrong = ErrorClass::ALL.iter().filter(|class| retried.contains(&class.as_str()) != PASSING.contains(class));
        faults.extend(wrong.map(|class| format!("{class} is retried, and should not be, or the other way round")));
    }
    for retrier in clauses(state.body, "Retry") {
        for bound in ["IntervalSeconds", "MaxAttempts"] {
            if retrier[bound].as_u64().is_none() {
                faults.push(format!("a retry without {bound}"));
            }
        }
        if retrier["BackoffRate"].as_f64() > Some(1.0) && retrier["MaxDelaySeconds"].as_u64().is_none() {
            faults.push("a retry whose delay grows without bound".to_owned());
        }
    }
    if !state.in_map && !catches_all(state.body) {
        faults.push("not every error is caught".to_owned());
    }
    faults
}

fn of_map(state: &State<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    if !catches_all(state.body) {
        faults.push("not every error is caught".to_owned());
    }
    if state.body["MaxConcurrency"].as_u64().is_none_or(|width| width == 0) {
        faults.push("no bound on how many run at once".to_owned());
    }
    if state.body["ToleratedFailurePercentage"] != 0 {
        faults.push("a child may fail unnoticed".to_owned());
    }
    // Ten thousand results share one payload of 256 KiB: a child hands on what the function says, not what it was told.
    let children = machine::states(&state.body["ItemProcessor"]);
    for child in children.iter().filter(|child| child.body["End"] == true && child.body.get("ResultPath").is_some()) {
        faults.push(format!("{} hands its input on", child.name));
    }
    faults
}

fn unknown_errors(state: &State<'_>) -> Vec<String> {
    let clauses = ["Retry", "Catch"].into_iter().flat_map(|kind| clauses(state.body, kind));
    let known =
        |name: &str| SERVICE_ERRORS.contains(&name) || ErrorClass::ALL.iter().any(|class| class.as_str() == name);
    clauses.flat_map(errors).filter(|name| !known(name)).map(|name| format!("{name} is no error's name")).collect()
}

fn retries(project: &Project) -> Vec<String> {
    let mut machines = Vec::new();
    for name in project.machines.keys() {
        match project.deployed(name) {
            Ok(definition) => machines.push((name, definition)),
            Err(fault) => return vec![fault],
        }
    }
    let states =
        machines.iter().flat_map(|(name, machine)| machine::states(machine).into_iter().map(move |s| (name, s)));
    let tasks: Vec<_> = states.filter(|(_, state)| invoked(state.body).is_some()).collect();
    let mut faults = Vec::new();
    for class in PASSING {
        let (others, alike): (Vec<_>, Vec<_>) =
            tasks.iter().partition(|(_, state)| RETRIED_OTHERWISE.contains(&(state.name, class)));
        let rule = alike.first().and_then(|(_, state)| retrier(state.body, class));
        for (name, state) in alike {
            let own = retrier(state.body, class);
            let (own, rule) =
                if waits(state.body) { (own.cloned(), rule.map(untimed)) } else { (own.cloned(), rule.cloned()) };
            if own != rule {
                faults.push(format!("{name}, {}: retries {class} in a way of its own", state.name));
            }
        }
        for (name, state) in others {
            faults.extend(of_exception(state, class, rule).map(|fault| format!("{name}, {}: {fault}", state.name)));
        }
    }
    let waiting = tasks.iter().filter(|(_, state)| waits(state.body) && !asks_without_end(state.body));
    faults.extend(waiting.map(|(name, state)| format!("{name}, {}: takes a long wait for a failure", state.name)));
    faults
}

/// Whether a task waits until somebody answers its token.
pub(crate) fn waits(task: &Value) -> bool {
    task["Resource"].as_str().is_some_and(|resource| resource.ends_with(".waitForTaskToken"))
}

/// The rule of a class for tasks that wait for a token, whose time-out is no sign of a lost worker.
fn untimed(rule: &Value) -> Value {
    let mut rule = rule.clone();
    rule["ErrorEquals"] = errors(&rule).into_iter().filter(|error| *error != "States.Timeout").collect();
    rule
}

fn asks_without_end(task: &Value) -> bool {
    let timed_out = clauses(task, "Retry").into_iter().find(|retrier| errors(retrier).contains(&"States.Timeout"));
    timed_out.is_some_and(|retrier| errors(retrier) == ["States.Timeout"] && retrier["MaxAttempts"] == WITHOUT_END)
}

/// In a machine that tells backlog-manager how it ended, every failure is told, with its class; a conflict ends the
/// execution quietly: a child's is left to its parent, which tells it, in case the job lives and stands still.
fn told(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for name in project.machines.keys() {
        let definition = match project.deployed(name) {
            Ok(definition) => definition,
            Err(fault) => return vec![fault],
        };
        let states = machine::states(&definition);
        let tells = |state: &State<'_>| state.body["Parameters"]["action"] == "finished";
        if !states.iter().any(tells) {
            continue;
        }
        let reports = |next: &Value| {
            let next = states.iter().find(|state| state.name == *next);
            next.is_some_and(|next| tells(next) && next.body["Parameters"]["failure.$"] == "$.failure")
        };
        let find = |name: &Value| states.iter().find(|state| state.name == *name);
        let kind_of = |name: &Value| find(name).and_then(|state| state.body["Type"].as_str()).unwrap_or_default();
        let follows = |name: &Value| find(name).map_or("", |state| kind_of(&state.body["Next"]));
        let work = states.iter().filter(|state| matches!(state.body["Type"].as_str(), Some("Task" | "Map")));
        for state in work.filter(|state| !tells(state)) {
            let catchers = clauses(state.body, "Catch");
            let last = catchers.last();
            if !last.is_some_and(|all| all["ResultPath"] == "$.failure" && reports(&all["Next"])) {
                faults.push(format!("{name}, {}: nobody is told that it failed", state.name));
            }
            let conflict = catchers.iter().find(|catcher| errors(catcher) == ["Conflict"]);
            let quiet = |conflict: &&Value| match state.in_map {
                true => kind_of(&conflict["Next"]) == "Pass",
                false => reports(&conflict["Next"]) && follows(&conflict["Next"]) == "Succeed",
            };
            if state.body["Type"] == "Task" && !conflict.is_some_and(quiet) {
                faults.push(format!("{name}, {}: does not end quietly on a conflict", state.name));
            }
        }
    }
    faults
}

/// No child of a map hands back what it was given: all of them together, a map hands on at most 256 KiB.
fn handed_back(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for name in project.machines.keys() {
        let definition = match project.deployed(name) {
            Ok(definition) => definition,
            Err(fault) => return vec![fault],
        };
        for State { name: state, body, .. } in machine::states(&definition).iter().filter(|state| state.in_map) {
            let hands_back = match body["Type"].as_str() {
                Some("Succeed") => true,
                Some("Pass") => body["End"] == true && body["Result"] != serde_json::json!({}),
                _ => false,
            };
            if hands_back {
                faults.push(format!("{name}, {state}: a child hands back what it was given"));
            }
        }
    }
    faults
}

fn of_exception(state: &State<'_>, class: ErrorClass, rule: Option<&Value>) -> Option<String> {
    let own = retrier(state.body, class)?;
    // At least: on AWS each wait is longer than the one before it. Jitter would make any of them none.
    let waits = own["IntervalSeconds"].as_u64()? * own["MaxAttempts"].as_u64()?;
    if Some(own) == rule {
        Some(format!("retries {class} like all others, and is named as an exception"))
    } else if own["JitterStrategy"] == "FULL" || waits < PATIENCE_SECONDS {
        Some(format!("may give {class} up before {PATIENCE_SECONDS} s are over"))
    } else {
        None
    }
}

fn retrier(state: &Value, class: ErrorClass) -> Option<&Value> {
    clauses(state, "Retry").into_iter().find(|retrier| errors(retrier).contains(&class.as_str()))
}

fn clauses<'a>(state: &'a Value, kind: &str) -> Vec<&'a Value> {
    list(&state[kind])
}

fn errors(clause: &Value) -> Vec<&str> {
    list(&clause["ErrorEquals"]).into_iter().filter_map(Value::as_str).collect()
}

fn catches_all(state: &Value) -> bool {
    clauses(state, "Catch").last().is_some_and(|catcher| errors(catcher) == ["States.ALL"])
}

/// The logical id of the function that a task invokes, if it does: itself, or with a token to answer.
pub(crate) fn invoked(task: &Value) -> Option<&str> {
    let arn = match task["Resource"].as_str()? {
        "arn:aws:states:::lambda:invoke.waitForTaskToken" => task["Parameters"]["FunctionName"].as_str()?,
        resource => resource,
    };
    arn.starts_with("arn:aws:lambda:").then(|| arn.rsplit(':').next())?
}

#[test]
fn tasks_are_bounded_retried_and_caught() {
    finds_nothing(tasks);
    let broken_by = |fault: &str, from: &str, to: &str| finds(tasks, fault, |broken| edit(broken, "intake", from, to));
    broken_by("intake, Split: no timeout", r#""TimeoutSeconds": 960"#, r#""HeartbeatSeconds": 960"#);
    broken_by("intake, Split: 900 s end before the 900 s", r#""TimeoutSeconds": 960"#, r#""TimeoutSeconds": 900"#);
    broken_by("intake: the execution has no timeout", r#""TimeoutSeconds": 86400"#, r#""Version": "1.0""#);
    broken_by("intake, Split: no retry", r#""Retry""#, r#""Retries""#);
    broken_by("intake, Split: Throttled is retried", r#""Throttled", "#, "");
    broken_by("intake, Split: Bug is retried", r#""Throttled", "#, r#""Throttled", "Bug", "#);
    broken_by("intake, Split: Throtled is no error's name", r#""Throttled""#, r#""Throtled""#);
    broken_by("intake, Merge: Conflicts is no error's name", r#""Conflict""#, r#""Conflicts""#);
    broken_by(
        "intake, Split: not every error is caught",
        r#""ErrorEquals": ["States.ALL"]"#,
        r#""ErrorEquals": ["Bug"]"#,
    );
    broken_by("intake, Split: a retry without MaxAttempts", r#""MaxAttempts": 8"#, r#""Attempts": 8"#);
    broken_by("intake, Split: a retry whose delay grows", r#""MaxDelaySeconds""#, r#""MaxDelay""#);
    broken_by(
        "intake, ProcessChunks: a child may fail",
        r#""ToleratedFailurePercentage": 0"#,
        r#""ToleratedFailurePercentage": 5"#,
    );
    broken_by("intake, ProcessChunks: no bound", r#""MaxConcurrency": ${MapConcurrency}"#, r#""MaxConcurrency": 0"#);
    broken_by("intake is no JSON", r#""StartAt": "Split","#, r#""StartAt": "Split""#);
    broken_by(
        "intake, ProcessChunks: ProcessChunk hands its input on",
        r#""Resource": "${ChunkProcessorArn}""#,
        r#""Resource": "${ChunkProcessorArn}", "ResultPath": null"#,
    );
    let in_ledger =
        |fault: &str, from: &str, to: &str| finds(tasks, fault, |broken| edit(broken, "stateful", from, to));
    in_ledger("stateful: there are two states PlanIndex", r#""ApplyPartition": {"#, r#""PlanIndex": {"#);
    in_ledger("stateful, AwaitPrefetch: Bug is retried", r#""Throttled", "#, r#""Throttled", "Bug", "#);
    in_ledger(
        "stateful, AwaitPrefetch: 200 s end before",
        r#""TimeoutSeconds": ${TurnSeconds}"#,
        r#""TimeoutSeconds": 200"#,
    );
    finds(tasks, "intake, Merge: 960 s end before the 1000 s of Merger", |broken| {
        *place(broken, "Resources/Merger/Properties/Timeout") = 1000.into();
    });
}

#[test]
fn a_class_is_retried_alike_everywhere() {
    finds_nothing(retries);
    let in_machine = |machine: &str, state: &str, from: &str, to: &str, fault: &str| {
        finds(retries, fault, |broken| {
            let text = broken.machines.get_mut(machine).expect("there is such a machine");
            let (before, body) = text.split_once(&format!("\"{state}\": {{")).expect("there is such a state");
            assert!(body.contains(from), "{state} says {from}");
            *text = format!("{before}\"{state}\": {{{}", body.replacen(from, to, 1));
        });
    };
    let in_state = |state: &str, from: &str, to: &str, fault: &str| in_machine("intake", state, from, to, fault);
    in_state("Merge", r#""MaxAttempts": 8"#, r#""MaxAttempts": 9"#, "intake, Merge: retries Throttled");
    in_state("ProcessChunk", r#""Lambda.Unknown""#, r#""States.Timeout""#, "intake, ProcessChunk: retries Unavailable");
    in_state(
        "NotifyFailure",
        "\"MaxAttempts\": 2\n",
        "\"MaxAttempts\": 1\n",
        "intake, NotifyFailure: retries WorkerLost",
    );
    for (from, to) in [
        (r#""MaxAttempts": 20"#, r#""MaxAttempts": 17"#),
        (r#""IntervalSeconds": 5"#, r#""IntervalSeconds": 4"#),
        (r#""JitterStrategy": "NONE""#, r#""JitterStrategy": "FULL""#),
    ] {
        in_state("Notify", from, to, "intake, Notify: may give Unavailable up before 90 s");
    }
    finds(retries, "intake, NotifyFailure: retries Unavailable like all others", |broken| {
        let text = broken.machines.get_mut("intake").expect("there is intake");
        *text = text
            .replace(r#""IntervalSeconds": 5,"#, r#""IntervalSeconds": ${RetrySoonSeconds},"#)
            .replace(r#""MaxDelaySeconds": 30"#, r#""MaxDelaySeconds": 120"#)
            .replace(r#""MaxAttempts": 20"#, r#""MaxAttempts": 5"#)
            .replace(r#""NONE""#, r#""FULL""#);
    });
    let reducer = "stateless, ReduceRange: retries Unavailable in a way of its own";
    in_machine("stateless", "ReduceRange", r#""MaxAttempts": 5"#, r#""MaxAttempts": 6"#, reducer);
    let timeout = r#"{ "ErrorEquals": ["States.Timeout"], "IntervalSeconds": 1"#;
    for (from, to, fault) in [
        (r#""MaxAttempts": 99999999"#, r#""MaxAttempts": 99"#, "takes a long wait for a failure"),
        (timeout, &timeout.replace("States.Timeout", "States.TaskFailed"), "takes a long wait for a failure"),
        (
            r#""Runtime.ExitError""#,
            r#""Runtime.ExitError", "States.Timeout""#,
            "retries WorkerLost in a way of its own",
        ),
    ] {
        in_machine("stateful", "AwaitApply", from, to, &format!("stateful, AwaitApply: {fault}"));
    }
}

#[test]
fn failures_are_told_with_their_class() {
    finds_nothing(told);
    let in_state = |state: &str, from: &str, to: &str, fault: &str| {
        finds(told, &format!("stateful, {state}: {fault}"), |broken| {
            let text = broken.machines.get_mut("stateful").expect("there is stateful");
            let (before, body) = text.split_once(&format!("\"{state}\": {{")).expect("there is such a state");
            assert!(body.contains(from), "{state} says {from}");
            *text = format!("{before}\"{state}\": {{{}", body.replacen(from, to, 1));
        });
    };
    let (nobody, loud) = ("nobody is told that it failed", "does not end quietly on a conflict");
    in_state("ApplyPartition", r#""Next": "ReportApplyFailure""#, r#""Next": "ApplyFailed""#, nobody);
    in_state(
        "ApplyPartition",
        r#""ErrorEquals": ["States.ALL"], "ResultPath": "$.failure""#,
        r#""ErrorEquals": ["States.ALL"]"#,
        nobody,
    );
    in_state("CommitApply", r#""Next": "ReportFailure""#, r#""Next": "Advance""#, nobody);
    in_state("ApplyPartition", r#""ErrorEquals": ["Conflict"]"#, r#""ErrorEquals": ["Bug"]"#, loud);
    in_state("CommitApply", r#""Next": "ReportConflict""#, r#""Next": "ReportFailure""#, loud);
    in_state("CommitApply", r#""Next": "ReportConflict""#, r#""Next": "Advance""#, loud);
    in_state("ApplyPartition", r#""Next": "ApplySuperseded""#, r#""Next": "ApplyFailed""#, loud);
}

#[test]
fn children_hand_nothing_back() {
    finds_nothing(handed_back);
    for other in [r#""Type": "Succeed""#, r#""Type": "Pass", "End": true"#] {
        finds(handed_back, "stateless, ReduceSuperseded: a child hands back what it was given", |broken| {
            let text = broken.machines.get_mut("stateless").expect("there is stateless");
            let (before, behind) = text.split_once(r#""ReduceSuperseded": { "#).expect("there is such a state");
            let (_, behind) = behind.split_once(" }").expect("it ends");
            *text = format!(r#"{before}"ReduceSuperseded": {{ {other} }}{behind}"#);
        });
    }
}
