//! A ledger's worker that is well is never silent for as long as half the shortest lease.

use ledger::policy::LEASE_SECONDS_MIN;
use serde_json::Value;
use tests::{
    Project,
    cloudformation::list,
    machine::{self, State},
};

use crate::{
    edit, finds, finds_nothing,
    machines::{invoked, waits},
};

/// A function gives a sign of life when it begins. It may take as long as its task may; then everything that there is to
/// try again may come before the next invocation begins.
fn leases(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for name in ["stateless", "stateful"] {
        let definition = match project.deployed(name) {
            Ok(definition) => definition,
            Err(fault) => return vec![fault],
        };
        let states = machine::states(&definition);
        let longest = |of: &dyn Fn(&State<'_>) -> u64| states.iter().map(of).max().unwrap_or_default();
        // Whoever waits for a turn has nothing to say.
        let at_work = |state: &State<'_>| invoked(state.body).is_some() && !waits(state.body);
        let task = longest(&|state| if at_work(state) { seconds(state.body, "TimeoutSeconds") } else { 0 });
        let map = longest(&|state| if state.body["Type"] == "Map" { put_off(state.body) } else { 0 });
        let retries = longest(&|state| if at_work(state) { put_off(state.body) } else { 0 });
        let silence = task + map + retries;
        if 2 * silence >= LEASE_SECONDS_MIN.into() {
            faults.push(format!("{name}: a worker that is well may be silent for {silence} s"));
        }
    }
    faults
}

/// How long all retries of a state take at most, in seconds, less the tries themselves.
fn put_off(state: &Value) -> u64 {
    let all = list(&state["Retry"]).into_iter();
    let of_one = |retrier: &Value| {
        let most = retrier["MaxDelaySeconds"].as_u64().unwrap_or(u64::MAX);
        let grows = retrier["BackoffRate"].as_u64().unwrap_or(1);
        let delays = std::iter::successors(Some(seconds(retrier, "IntervalSeconds")), |delay| Some(delay * grows));
        delays
            .map(|delay| delay.min(most))
            .take(retrier["MaxAttempts"].as_u64().unwrap_or_default() as usize)
            .sum::<u64>()
    };
    all.map(of_one).sum()
}

fn seconds(of: &Value, key: &str) -> u64 {
    of[key].as_u64().unwrap_or_default()
}

#[test]
fn no_healthy_worker_outlasts_half_a_lease() {
    finds_nothing(leases);
    let longer = "stateless: a worker that is well may be silent for 1848 s";
    finds(leases, longer, |broken| {
        edit(broken, "stateless", r#""TimeoutSeconds": 960"#, r#""TimeoutSeconds": 1140"#);
    });
    finds(leases, "stateful: a worker that is well may be silent for 1908 s", |broken| {
        let text = broken.machines.get_mut("stateful").expect("there is stateful");
        *text = text.replace(r#""MaxAttempts": 8"#, r#""MaxAttempts": 10"#);
    });
}
