//! Nobody may do more than it has to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tests::{
    Project,
    cloudformation::{actions, attribute, list, logical_id, resources, role_statements, statements},
    machine,
};

use crate::{edit, finds, finds_nothing, machines::invoked, place, remove};

/// Actions that AWS allows on `*` alone.
const FORCED: [&str; 18] = [
    // A function that stands in a VPC.
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
    // A state machine that logs.
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    // Whatever is traced.
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
];

/// Families of actions that AWS itself writes with an asterisk.
const FAMILIES: [&str; 2] = ["kms:GenerateDataKey*", "kms:ReEncrypt*"];

fn breadth(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, statement) in allowing(&project.template) {
        let sid = statement["Sid"].as_str().unwrap_or("a statement without a Sid");
        let everywhere = on_aws(&statement["Resource"]).into_iter().any(|resource| resource == "*");
        for action in actions(statement) {
            if everywhere && !FORCED.contains(&action) {
                faults.push(format!("{id}, {sid}: {action} is allowed on everything"));
            }
            if action == "ses:SendEmail" && !names_a_sender(statement) {
                faults.push(format!("{id}, {sid}: mails may come from anybody"));
            }
            if action.contains('*') && !FAMILIES.contains(&action) {
                faults.push(format!("{id}, {sid}: {action} is more than one action"));
            }
        }
        if statement.get("NotAction").is_some() || statement.get("NotResource").is_some() {
            faults.push(format!("{id}, {sid}: allows whatever it does not name"));
        }
    }
    for (id, role) in resources(&project.template, "AWS::IAM::Role") {
        if role["Properties"].get("ManagedPolicyArns").is_some() {
            faults.push(format!("{id}: a policy that is not written here"));
        }
    }
    faults
}

fn names_a_sender(statement: &Value) -> bool {
    on_aws(&statement["Condition"]).into_iter().any(|condition| !condition["StringLike"]["ses:FromAddress"].is_null())
}

/// Writing to the input bucket starts a run: whoever did it while at a run could go on for ever. Merger alone changes
/// the bucket, by removing the versions that it has archived.
fn loops(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, statement) in allowing(&project.template) {
        let on_inputs = list(&statement["Resource"]).into_iter().any(|resource| {
            let address = address(resource);
            !["WorkBucket", "${WorkBucket.", "DataBucket", "${DataBucket."]
                .iter()
                .any(|other| address.starts_with(other))
        });
        for action in actions(statement).into_iter().filter(|_| on_inputs) {
            let reads = ["s3:Get", "s3:List"].iter().any(|reading| action.starts_with(reading));
            let archives = id == "MergerRole" && action == "s3:DeleteObjectVersion";
            if (action.starts_with("s3:") || action.starts_with('*')) && !reads && !archives {
                faults.push(format!("{id} may {action} where files are uploaded"));
            }
        }
    }
    faults
}

/// The resources of a statement, those under a condition too, but for what is in force on the local stack alone: the
/// emulator does not know every kind of resource.
fn on_aws(value: &Value) -> Vec<&Value> {
    match (value, value["Fn::If"].as_array().map(Vec::as_slice)) {
        (Value::Array(all), _) => all.iter().flat_map(on_aws).collect(),
        (_, Some([condition, there, _])) if condition == "IsAws" => on_aws(there),
        (_, Some([_, one, other])) => [on_aws(one), on_aws(other)].concat(),
        _ => vec![value],
    }
}

/// Every statement that allows something to a role, with the resource that it stands in.
fn allowing(template: &Value) -> Vec<(&str, &Value)> {
    let mut all: Vec<(&str, &Value)> = Vec::new();
    for (id, role) in resources(template, "AWS::IAM::Role") {
        all.extend(role_statements(role).into_iter().map(|statement| (id, statement)));
    }
    for kind in ["AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"] {
        for (id, policy) in resources(template, kind) {
            let document = &policy["Properties"]["PolicyDocument"];
            all.extend(statements(document).into_iter().map(|statement| (id, statement)));
        }
    }
    all.retain(|(_, statement)| statement["Effect"] == "Allow");
    all
}

fn own_roles(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    let template = &project.template;
    let functions = resources(template, "AWS::Serverless::Function").map(|found| (found, "lambda.amazonaws.com"));
    let machines = resources(template, "AWS::Serverless::StateMachine").map(|found| (found, "states.amazonaws.com"));
    for ((id, resource), service) in functions.chain(machines) {
        let own = format!("{id}Role");
        if attribute(&resource["Properties"]["Role"]) != Some((own.as_str(), "Arn")) {
            faults.push(format!("{id} has no role of its own"));
        }
        let trust = statements(&template["Resources"][&own]["Properties"]["AssumeRolePolicyDocument"]);
        if !matches!(trust[..], [only] if only["Principal"] == json!({"Service": service})) {
            faults.push(format!("{own} may be assumed by others than {service}"));
        }
    }
    faults
}

/// What a machine does, by action: on what. `None` where AWS allows no narrower choice than `*`.
type Needs = BTreeMap<&'static str, Option<BTreeSet<String>>>;

fn machine_roles(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for name in project.machines.keys() {
        let needed = match project.deployed(name).and_then(|definition| needs(project, name, &definition)) {
            Ok(needed) => needed,
            Err(fault) => return vec![fault],
        };
        let role = &project.template["Resources"][format!("{}Role", logical_id(name))];
        let mut allowed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for statement in role_statements(role) {
            for action in actions(statement) {
                let places = list(&statement["Resource"]).into_iter().map(address);
                allowed.entry(action).or_default().extend(places);
            }
        }
        for (action, places) in &needed {
            let Some(allowed) = allowed.get(action) else {
                faults.push(format!("{name} may not {action}"));
                continue;
            };
            let everywhere = BTreeSet::from(["*".to_owned()]);
            let places = places.as_ref().unwrap_or(&everywhere);
            if allowed != places {
                faults.push(format!("{name} may {action} on {allowed:?}, and does on {places:?}"));
            }
        }
        let idle = allowed.keys().filter(|action| !needed.contains_key(*action));
        faults.extend(idle.map(|action| format!("{name} may {action}, and never does")));
    }
    faults
}

fn address(resource: &Value) -> String {
    match (attribute(resource), resource["Fn::Sub"].as_str()) {
        (Some((id, _)), _) => id.to_owned(),
        (_, Some(text)) => text.replace("arn:${AWS::Partition}:", "").replace("${AWS::Region}:${AWS::AccountId}:", ""),
        _ => resource.as_str().map_or_else(|| resource.to_string(), str::to_owned),
    }
}

/// Where in the work bucket, behind the tenant, a map finds its items, by what names them in its input.
const ITEMS: [(&str, &str, &str); 7] = [
    ("intake", "$.split.ranges", "runs/*/ranges/*"),
    ("reconcile", "$.check.pieces", "jobs/*/check/pieces.json"),
    ("stateless", "$.split.ranges", "ledgers/*/job=*/split/*"),
    ("stateless", "$.reduced.partitions", "ledgers/*/job=*/reduced/*"),
    ("stateful", "$.prefetch.partitions", "ledgers/*/job=*/reduced/*"),
    ("stateful", "$.apply.partitions", "ledgers/*/job=*/reduced/*"),
    ("stateful", "$.index.tasks", "ledgers/*/job=*/index/*"),
];

fn needs(project: &Project, name: &str, definition: &Value) -> Result<Needs, String> {
    let mut needs = Needs::new();
    let mut need = |action, place: String| {
        needs.entry(action).or_insert_with(|| Some(BTreeSet::new())).get_or_insert_default().insert(place);
    };
    for state in machine::states(definition).iter().filter(|state| state.body["Type"] == "Task") {
        match (invoked(state.body), state.body["Resource"].as_str()) {
            (Some(function), _) => need("lambda:InvokeFunction", function.to_owned()),
            (None, Some("arn:aws:states:::events:putEvents")) => {
                let buses = list(&state.body["Parameters"]["Entries"]).into_iter();
                for bus in buses.filter_map(|entry| entry["EventBusName"].as_str()) {
                    need("events:PutEvents", format!("events:event-bus/{bus}"));
                }
            }
            (None, Some("arn:aws:states:::emr-serverless:startJobRun.sync")) => {
                let application = "emr-serverless:/applications/${SparkApplication}";
                need("emr-serverless:StartJobRun", application.to_owned());
                for action in ["emr-serverless:GetJobRun", "emr-serverless:CancelJobRun"] {
                    need(action, format!("{application}/jobruns/*"));
                }
                need("iam:PassRole", "SparkRole".to_owned());
                for action in ["events:PutTargets", "events:PutRule", "events:DescribeRule"] {
                    need(action, "events:rule/StepFunctionsGetEventsForEMRServerlessJobRule".to_owned());
                }
            }
            (None, other) => {
                return Err(format!("{name}, {}: {other:?} needs actions unknown to this test", state.name));
            }
        }
    }
    for state in machine::states(definition).iter().filter(|state| state.body["Type"] == "Map") {
        match state.body["ItemReader"]["Resource"].as_str() {
            Some("arn:aws:states:::s3:getObject") => {
                let items = &state.body["ItemReader"]["Parameters"]["Key.$"];
                let Some((_, _, place)) = ITEMS.iter().find(|(machine, path, _)| *machine == name && items == path)
                else {
                    return Err(format!("{name}, {}: it is unknown to this test where {items} leads", state.name));
                };
                need("s3:GetObject", format!("${{WorkBucket.Arn}}/*/{place}"));
            }
            None => {}
            Some(other) => return Err(format!("{name}, {}: {other} needs actions unknown to this test", state.name)),
        }
        if state.body["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED" {
            need("states:StartExecution", format!("states:stateMachine:${{AWS::StackName}}-{name}"));
            for action in ["states:DescribeExecution", "states:StopExecution"] {
                need(action, format!("states:execution:${{AWS::StackName}}-{name}:*"));
                need(action, format!("states:execution:${{AWS::StackName}}-{name}/*"));
            }
        }
    }
    let properties = &project.template["Resources"][logical_id(name)]["Properties"];
    let forced = |service: &'static str| FORCED.into_iter().filter(move |action| action.starts_with(service));
    if properties["Logging"].is_object() {
        needs.extend(forced("logs:").map(|action| (action, None)));
    }
    if properties["Tracing"]["Enabled"] == true {
        needs.extend(forced("xray:").map(|action| (action, None)));
    }
    Ok(needs)
}

const STATEMENT: &str = "Properties/Policies/0/PolicyDocument/Statement";

/// The statement of a role that has this Sid.
fn statement<'a>(project: &'a mut Project, role: &str, sid: &str) -> &'a mut Value {
    let all = place(project, &format!("Resources/{role}/{STATEMENT}")).as_array_mut().expect("a list of statements");
    all.iter_mut().find(|statement| statement["Sid"] == sid).expect("there is such a statement")
}

#[test]
fn nothing_is_allowed_on_everything_unless_aws_forces_it() {
    finds_nothing(breadth);
    finds(breadth, "SplitterRole, RecordRuns: dynamodb:PutItem is allowed on everything", |broken| {
        statement(broken, "SplitterRole", "RecordRuns")["Resource"] = json!(["*"]);
    });
    for hidden in [json!({"Fn::If": ["IsAws", ["*"], "x"]}), json!([{"Fn::If": ["HasVpc", "x", "*"]}])] {
        finds(breadth, "SplitterRole, RecordRuns: dynamodb:PutItem is allowed on everything", |broken| {
            statement(broken, "SplitterRole", "RecordRuns")["Resource"] = hidden;
        });
    }
    finds(breadth, "SplitterRole, RecordRuns: dynamodb:* is more than one action", |broken| {
        statement(broken, "SplitterRole", "RecordRuns")["Action"] = json!("dynamodb:*");
    });
    finds(breadth, "SplitterRole, RecordRuns: allows whatever it does not name", |broken| {
        statement(broken, "SplitterRole", "RecordRuns")["NotResource"] = json!("x");
    });
    finds(breadth, "KeyPolicy, UseKey: kms:Decrypt is allowed on everything", |broken| {
        *place(broken, "Resources/KeyPolicy/Properties/PolicyDocument/Statement/0/Resource") = json!("*");
    });
    finds(breadth, "ChunkProcessorRole, StandInVpc: ec2:RunInstances is allowed on everything", |broken| {
        let all = place(broken, &format!("Resources/ChunkProcessorRole/{STATEMENT}")).as_array_mut().expect("a list");
        let conditional = all.iter_mut().find(|statement| statement["Fn::If"].is_array()).expect("one is conditional");
        conditional["Fn::If"][1]["Action"] = json!("ec2:RunInstances");
    });
    for condition in [json!(null), json!({"Fn::If": ["IsAws", {"Ref": "AWS::NoValue"}, {"StringLike": {}}]})] {
        finds(breadth, "EmailerRole, SendMail: mails may come from anybody", |broken| {
            statement(broken, "EmailerRole", "SendMail")["Condition"] = condition;
        });
    }
    finds(breadth, "SplitterRole: a policy that is not written here", |broken| {
        place(broken, "Resources/SplitterRole/Properties")["ManagedPolicyArns"] = json!([]);
    });
}

#[test]
fn nobody_writes_where_writing_starts_a_run() {
    finds_nothing(loops);
    for (action, resource) in [
        ("s3:PutObject", json!({"Fn::Sub": "${InputBucket.Arn}/*/intake/*"})),
        ("s3:PutObject", json!([{"Fn::GetAtt": "DataBucket.Arn"}, {"Fn::Sub": "${InputBucket.Arn}/*"}])),
        ("s3:PutObject", json!({"Fn::Sub": "arn:aws:s3:::${AWS::StackName}-input-${AWS::AccountId}/*"})),
        ("s3:PutObject", json!("*")),
        ("s3:RestoreObject", json!({"Fn::GetAtt": "InputBucket.Arn"})),
        ("s3:*", json!({"Fn::GetAtt": "InputBucket.Arn"})),
    ] {
        finds(loops, &format!("SplitterRole may {action} where files are uploaded"), |broken| {
            let statement = statement(broken, "SplitterRole", "ReadInputs");
            statement["Action"] = json!(action);
            statement["Resource"] = resource;
        });
    }
    finds(loops, "MergerRole may s3:DeleteObject where files are uploaded", |broken| {
        statement(broken, "MergerRole", "ArchiveInputs")["Action"] = json!("s3:DeleteObject");
    });
    finds(loops, "EmailerRole may s3:DeleteObjectVersion where files are uploaded", |broken| {
        let statement = statement(broken, "EmailerRole", "ReadAndWriteEnds");
        statement["Action"] = json!("s3:DeleteObjectVersion");
        statement["Resource"] = json!({"Fn::Sub": "${InputBucket.Arn}/input/*"});
    });
}

#[test]
fn functions_and_machines_have_roles_of_their_own() {
    finds_nothing(own_roles);
    finds(own_roles, "Merger has no role of its own", |broken| {
        *place(broken, "Resources/Merger/Properties/Role") = json!({"Fn::GetAtt": "SplitterRole.Arn"});
    });
    finds(own_roles, "IntakeRole may be assumed by others", |broken| {
        let trust = "Resources/IntakeRole/Properties/AssumeRolePolicyDocument/Statement/0";
        place(broken, trust)["Principal"] = json!({"AWS": "*"});
    });
    finds(own_roles, "MergerRole may be assumed by others", |broken| remove(broken, "Resources/MergerRole"));
}

#[test]
fn machines_may_do_just_what_they_do() {
    finds_nothing(machine_roles);
    finds(machine_roles, "intake may not lambda:InvokeFunction", |broken| {
        statement(broken, "IntakeRole", "InvokeFunctions")["Action"] = json!("lambda:InvokeAsync");
    });
    finds(machine_roles, "intake may lambda:InvokeFunction on", |broken| {
        let functions = statement(broken, "IntakeRole", "InvokeFunctions")["Resource"].as_array_mut().expect("a list");
        functions.push(json!({"Fn::GetAtt": "FileArrival.Arn"}));
    });
    finds(machine_roles, "intake may sns:Publish, and never does", |broken| {
        statement(broken, "IntakeRole", "Announce")["Action"] = json!(["events:PutEvents", "sns:Publish"]);
    });
    finds(machine_roles, "intake may states:StartExecution on", |broken| {
        statement(broken, "IntakeRole", "StartChildren")["Resource"] = json!("*");
    });
    finds(machine_roles, "intake may not states:StopExecution", |broken| {
        statement(broken, "IntakeRole", "FollowChildren")["Action"] = json!("states:DescribeExecution");
    });
    finds(machine_roles, "intake may events:PutEvents, and never does", |broken| {
        edit(broken, "intake", "arn:${Partition}:states:::events:putEvents", "${EmailerArn}");
    });
    finds(machine_roles, "stateful may not lambda:InvokeFunction", |broken| {
        statement(broken, "StatefulRole", "InvokeFunctions")["Action"] = json!("lambda:InvokeAsync");
    });
    finds(machine_roles, "stateful may lambda:InvokeFunction on", |broken| {
        let all = statement(broken, "StatefulRole", "InvokeFunctions")["Resource"].as_array_mut().expect("a list");
        all.retain(|function| attribute(function) != Some(("BacklogManager", "Arn")));
    });
    finds(machine_roles, "stateless may s3:GetObject on", |broken| {
        statement(broken, "StatelessRole", "ReadItems")["Resource"] = json!({"Fn::Sub": "${WorkBucket.Arn}/*"});
    });
    finds(machine_roles, "it is unknown to this test where", |broken| {
        edit(broken, "stateless", "$.reduced.partitions", "$.reduced.sections");
    });
    finds(machine_roles, "needs actions unknown to this test", |broken| {
        edit(broken, "intake", "states:::events:putEvents", "states:::sns:publish");
    });
    finds(machine_roles, "intake may s3:GetObject, and never does", |broken| {
        edit(broken, "intake", "\"ItemReader\"", "\"Reader\"");
    });
    finds(machine_roles, "intake may logs:GetLogDelivery, and never does", |broken| {
        remove(broken, "Resources/Intake/Properties/Logging");
    });
}
