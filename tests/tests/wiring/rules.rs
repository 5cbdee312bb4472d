//! Events reach their functions, or a queue that somebody watches; no execution ends unheard.

use serde_json::{Value, json};
use tests::{
    Project,
    cloudformation::{actions, attribute, list, reference, resources, role_statements, statements},
};

use crate::{PROJECT, finds, finds_nothing, place, remove};

/// The ends of an execution that no state of its own may have seen.
const UNSEEN_ENDS: [&str; 3] = ["FAILED", "TIMED_OUT", "ABORTED"];

fn deliveries(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for (rule, body) in resources(&project.template, "AWS::Events::Rule") {
        let targets = list(&body["Properties"]["Targets"]);
        if targets.is_empty() {
            faults.push(format!("{rule} calls nobody"));
        }
        for target in targets {
            let Some((function, "Arn")) = attribute(&target["Arn"]) else {
                faults.push(format!("{rule} calls what is no function"));
                continue;
            };
            if !may_call(&project.template, rule, function) {
                faults.push(format!("{rule} may not call {function}"));
            }
            if !attribute(&target["DeadLetterConfig"]["Arn"])
                .is_some_and(|(queue, _)| may_leave(&project.template, rule, queue))
            {
                faults.push(format!("{rule}: what cannot be delivered to {function} is lost"));
            }
            if !keeps_what_fails(&project.template, function) {
                faults.push(format!("{function}: events that it cannot take are lost"));
            }
        }
    }
    faults
}

fn may_call(template: &Value, rule: &str, function: &str) -> bool {
    resources(template, "AWS::Lambda::Permission").any(|(_, permission)| {
        let properties = &permission["Properties"];
        properties["Action"] == "lambda:InvokeFunction"
            && properties["Principal"] == "events.amazonaws.com"
            && reference(&properties["FunctionName"]) == Some(function)
            && attribute(&properties["SourceArn"]) == Some((rule, "Arn"))
    })
}

/// Whether the queue takes what this rule could not deliver.
fn may_leave(template: &Value, rule: &str, queue: &str) -> bool {
    resources(template, "AWS::SQS::QueuePolicy").any(|(_, policy)| {
        list(&policy["Properties"]["Queues"]).into_iter().any(|of| reference(of) == Some(queue))
            && statements(&policy["Properties"]["PolicyDocument"]).into_iter().any(|statement| {
                let from = list(&statement["Condition"]["ArnEquals"]["aws:SourceArn"]);
                statement["Effect"] == "Allow"
                    && statement["Principal"] == json!({"Service": "events.amazonaws.com"})
                    && actions(statement) == ["sqs:SendMessage"]
                    && from.into_iter().any(|arn| attribute(arn) == Some((rule, "Arn")))
            })
    })
}

/// Whether Lambda puts the events on which the function failed to the last into a queue, as its role must allow.
fn keeps_what_fails(template: &Value, function: &str) -> bool {
    let properties = &template["Resources"][function]["Properties"];
    let Some((queue, _)) = attribute(&properties["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Destination"])
    else {
        return false;
    };
    let role = attribute(&properties["Role"]).map_or("", |(role, _)| role);
    role_statements(&template["Resources"][role]).into_iter().any(|statement| {
        actions(statement).contains(&"sqs:SendMessage") && attribute(&statement["Resource"]) == Some((queue, "Arn"))
    })
}

fn ends(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for (machine, _) in resources(&project.template, "AWS::Serverless::StateMachine") {
        let heard: Vec<&str> = resources(&project.template, "AWS::Events::Rule")
            .map(|(_, rule)| &rule["Properties"]["EventPattern"])
            .filter(|pattern| pattern["source"] == json!(["aws.states"]))
            .filter(|pattern| pattern["detail-type"] == json!(["Step Functions Execution Status Change"]))
            .map(|pattern| &pattern["detail"])
            // The very machine: a map's children have an ARN that only begins like it.
            .filter(|detail| list(&detail["stateMachineArn"]).contains(&&json!({"Ref": machine})))
            .flat_map(|detail| list(&detail["status"]))
            .filter_map(Value::as_str)
            .collect();
        let unheard = UNSEEN_ENDS.iter().filter(|end| !heard.contains(end));
        faults.extend(unheard.map(|end| format!("nobody hears when {machine} ends as {end}")));
    }
    faults
}

/// How late a function may be called for a minute that has passed, in seconds: others have passed since.
const TICK_AGE_SECONDS_MAX: u64 = 300;

fn ticks(project: &Project) -> Vec<String> {
    let rules = resources(&project.template, "AWS::Events::Rule")
        .filter(|(_, rule)| rule["Properties"]["ScheduleExpression"] == "rate(1 minute)");
    let mut faults = Vec::new();
    for (rule, body) in rules {
        for target in list(&body["Properties"]["Targets"]) {
            let (function, _) = attribute(&target["Arn"]).unwrap_or_default();
            let queued = &project.template["Resources"][function]["Properties"]["EventInvokeConfig"];
            for age in [&target["RetryPolicy"], queued].map(|policy| policy["MaximumEventAgeInSeconds"].as_u64()) {
                if age.is_none_or(|age| age > TICK_AGE_SECONDS_MAX) {
                    faults.push(format!("{rule}: its ticks gather while {function} cannot be called"));
                }
            }
        }
    }
    faults
}

/// Whom an object of this key in the input bucket wakes.
fn woken<'a>(project: &'a Project, key: &str) -> Vec<&'a str> {
    let rules = resources(&project.template, "AWS::Events::Rule").filter(|(_, rule)| {
        let pattern = &rule["Properties"]["EventPattern"];
        let keys = &pattern["detail"]["object"]["key"];
        pattern["source"] == json!(["aws.s3"]) && (keys.is_null() || list(keys).into_iter().any(|one| takes(one, key)))
    });
    rules
        .filter_map(|(_, rule)| attribute(&rule["Properties"]["Targets"][0]["Arn"]))
        .map(|(function, _)| function)
        .collect()
}

fn takes(pattern: &Value, key: &str) -> bool {
    match (&pattern["wildcard"], &pattern["anything-but"]) {
        (Value::String(wildcard), _) => matches(wildcard, key),
        (_, Value::Object(but)) => {
            !list(&but["wildcard"]).into_iter().filter_map(Value::as_str).any(|wildcard| matches(wildcard, key))
        }
        _ => panic!("{pattern} is not known here"),
    }
}

/// As EventBridge has it: `*` is any text, slashes too.
fn matches(wildcard: &str, text: &str) -> bool {
    match wildcard.split_once('*') {
        None => wildcard == text,
        Some((start, rest)) => text
            .strip_prefix(start)
            .is_some_and(|left| (0..=left.len()).filter_map(|at| left.get(at..)).any(|left| matches(rest, left))),
    }
}

#[test]
fn an_upload_wakes_whom_it_is_for() {
    for (key, functions) in [
        ("intake/orders/a.csv", &["FileArrival"][..]),
        ("acme/intake/orders/a.csv", &["FileArrival"]),
        ("acme/intake/orders/batches/a.csv", &["FileArrival"]),
        ("acme/intkae/orders/a.csv", &["FileArrival"]),
        ("batches/orders/b1/events.csv", &[]),
        ("acme/batches/orders/b1/events.csv", &[]),
        ("batches/orders/b1/manifest.json", &["BatchRegistrar"]),
        ("acme/batches/orders/b1/manifest.json", &["BatchRegistrar"]),
    ] {
        assert_eq!(woken(&PROJECT, key), functions, "{key}");
    }
}

#[test]
fn ticks_do_not_gather() {
    finds_nothing(ticks);
    finds(ticks, "TickRule: its ticks gather", |broken| {
        remove(broken, "Resources/TickRule/Properties/Targets/0/RetryPolicy");
    });
    finds(ticks, "TickRule: its ticks gather", |broken| {
        place(broken, "Resources/BacklogManager/Properties/EventInvokeConfig")["MaximumEventAgeInSeconds"] =
            21_600.into();
    });
}

#[test]
fn events_are_delivered_or_kept() {
    finds_nothing(deliveries);
    for rule in ["ObjectCreated", "Sweep", "RunEnded", "BatchClosed", "Tick", "JobEnded"] {
        finds(deliveries, &format!("{rule}Rule may not call"), |broken| {
            remove(broken, &format!("Resources/{rule}Permission"));
        });
        finds(deliveries, &format!("{rule}Rule: what cannot be delivered"), |broken| {
            remove(broken, &format!("Resources/{rule}Rule/Properties/Targets/0/DeadLetterConfig"));
        });
    }
    let policy = "Resources/FileArrivalDeadLettersPolicy/Properties/PolicyDocument/Statement/0";
    finds(deliveries, "SweepRule: what cannot be delivered", |broken| {
        place(broken, &format!("{policy}/Condition/ArnEquals"))["aws:SourceArn"] =
            json!({"Fn::GetAtt": "ObjectCreatedRule.Arn"});
    });
    finds(deliveries, "RunEndedRule may not call Emailer", |broken| {
        *place(broken, "Resources/RunEndedPermission/Properties/SourceArn") = json!({"Fn::GetAtt": "SweepRule.Arn"});
    });
    finds(deliveries, "Emailer: events that it cannot take are lost", |broken| {
        remove(broken, "Resources/Emailer/Properties/EventInvokeConfig");
    });
    finds(deliveries, "Emailer: events that it cannot take are lost", |broken| {
        *place(broken, "Resources/Emailer/Properties/Role") = json!({"Fn::GetAtt": "MergerRole.Arn"});
    });
    finds(deliveries, "SweepRule calls nobody", |broken| remove(broken, "Resources/SweepRule/Properties/Targets"));
    finds(deliveries, "SweepRule calls what is no function", |broken| {
        *place(broken, "Resources/SweepRule/Properties/Targets/0/Arn") = json!("arn:aws:sns:us-east-1:1:x");
    });
}

#[test]
fn no_execution_ends_unheard() {
    finds_nothing(ends);
    let detail = "Resources/RunEndedRule/Properties/EventPattern/detail";
    finds(ends, "nobody hears when Intake ends as ABORTED", |broken| {
        place(broken, detail)["status"] = json!(["FAILED", "TIMED_OUT"]);
    });
    for machines in [json!([{"prefix": {"Ref": "Intake"}}]), json!(null)] {
        finds(ends, "nobody hears when Intake ends as FAILED", |broken| {
            place(broken, detail)["stateMachineArn"] = machines;
        });
    }
    finds(ends, "nobody hears when Stateless ends as TIMED_OUT", |broken| {
        let detail = "Resources/JobEndedRule/Properties/EventPattern/detail";
        place(broken, detail)["stateMachineArn"] = json!([{"Ref": "Stateful"}]);
    });
    finds(ends, "nobody hears when Intake ends as TIMED_OUT", |broken| remove(broken, "Resources/RunEndedRule"));
}
