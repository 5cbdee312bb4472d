//! Data is encrypted, sent over TLS alone, closed to the public and watched.

use serde_json::{Value, json};
use tests::{
    Project,
    cloudformation::{attribute, list, logical_id, reference, resources, statements},
};

use crate::{finds, finds_nothing, place, remove};

fn buckets(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, bucket) in resources(&project.template, "AWS::S3::Bucket") {
        let properties = &bucket["Properties"];
        let encryption = &properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
        let public = &properties["PublicAccessBlockConfiguration"];
        let switches = ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"];
        let rules = list(&properties["LifecycleConfiguration"]["Rules"]);
        let mut expect = |holds: bool, fault: &str| {
            if !holds {
                faults.push(format!("{id} {fault}"));
            }
        };
        expect(!encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"].is_null(), "is not encrypted");
        expect(switches.iter().all(|switch| public[switch] == true), "is not closed to the public");
        expect(properties["VersioningConfiguration"]["Status"] == "Enabled", "keeps no versions");
        expect(properties["OwnershipControls"]["Rules"][0]["ObjectOwnership"] == "BucketOwnerEnforced", "has ACLs");
        expect(
            rules.iter().any(|rule| rule["AbortIncompleteMultipartUpload"].is_object()),
            "keeps uploads that were never finished",
        );
        expect(refuses_plain_http(project, "AWS::S3::BucketPolicy", "s3:*", id), "can be reached without TLS");
    }
    faults
}

fn queues(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, queue) in resources(&project.template, "AWS::SQS::Queue") {
        if queue["Properties"]["SqsManagedSseEnabled"] != true {
            faults.push(format!("{id} is not encrypted"));
        }
        if !refuses_plain_http(project, "AWS::SQS::QueuePolicy", "sqs:*", id) {
            faults.push(format!("{id} can be reached without TLS"));
        }
    }
    faults
}

/// Whether a policy on the resource, in force on AWS, denies everything to everybody who comes without TLS.
fn refuses_plain_http(project: &Project, kind: &str, all_actions: &str, id: &str) -> bool {
    resources(&project.template, kind).any(|(_, policy)| {
        let of_it = [&policy["Properties"]["Bucket"], &policy["Properties"]["Queues"][0]];
        let on_aws = policy.get("Condition").is_none_or(|condition| condition == "IsAws");
        let covers = |statement: &Value| {
            let whole =
                list(&statement["Resource"]).into_iter().any(|resource| attribute(resource) == Some((id, "Arn")));
            let content = list(&statement["Resource"])
                .into_iter()
                .any(|resource| resource["Fn::Sub"] == format!("${{{id}.Arn}}/*"));
            whole && (content || kind != "AWS::S3::BucketPolicy")
        };
        on_aws
            && of_it.into_iter().any(|value| reference(value) == Some(id))
            && statements(&policy["Properties"]["PolicyDocument"]).into_iter().any(|statement| {
                statement["Effect"] == "Deny"
                    && statement["Principal"] == "*"
                    && statement["Action"] == all_actions
                    && statement["Condition"] == json!({"Bool": {"aws:SecureTransport": "false"}})
                    && covers(statement)
            })
    })
}

/// Tables with rows that say when they expire.
const EXPIRING: [&str; 3] = ["LedgersTable", "RejectsTable", "RunsTable"];

fn tables(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, table) in resources(&project.template, "AWS::DynamoDB::Table") {
        let properties = &table["Properties"];
        if properties["SSESpecification"]["SSEEnabled"] != true {
            faults.push(format!("{id} is not encrypted"));
        }
        if EXPIRING.contains(&id)
            && properties["TimeToLiveSpecification"] != json!({"AttributeName": "expires_at", "Enabled": true})
        {
            faults.push(format!("{id} keeps for ever what expires"));
        }
        if properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] != true {
            faults.push(format!("{id} cannot be brought back"));
        }
    }
    faults
}

/// Functions whose last failure fails the run, or the attempt at a job, which rings.
const FAILS_RUNS: [&str; 14] = [
    "splitter",
    "merger",
    "job-splitter",
    "reducer",
    "combiner",
    "stage-coordinator",
    "prefetcher",
    "state-engine",
    "index-coordinator",
    "index-worker",
    "job-planner",
    "transform-runner",
    "output-checker",
    "job-publisher",
];

fn watch(project: &Project) -> Vec<String> {
    let template = &project.template;
    let mut faults = Vec::new();
    let mut silent = Vec::new();
    let mut rings = |metric: &str, of: &str, dimension: &str, value: Value| {
        let dimensions = json!([{"Name": dimension, "Value": value}]);
        let on_it = |alarm: &Value| alarm["MetricName"] == metric && alarm["Dimensions"] == dimensions;
        if !resources(template, "AWS::CloudWatch::Alarm").any(|(_, alarm)| on_it(&alarm["Properties"])) {
            silent.push(format!("{of} has no alarm on {metric}"));
        }
    };
    for function in &project.functions {
        let id = logical_id(&function.name);
        let properties = &template["Resources"][&id]["Properties"];
        let group = reference(&properties["LoggingConfig"]["LogGroup"]).unwrap_or_default();
        let named = format!("/aws/lambda/${{AWS::StackName}}-{}", function.name);
        if template["Resources"][group]["Properties"]["LogGroupName"]["Fn::Sub"] != named {
            faults.push(format!("{id} has no log group of its own"));
        }
        if !FAILS_RUNS.contains(&function.name.as_str()) {
            rings("Errors", &id, "FunctionName", json!({"Ref": id}));
        }
    }
    for (id, _) in resources(template, "AWS::Serverless::StateMachine") {
        for metric in ["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"] {
            rings(metric, id, "StateMachineArn", json!({"Ref": id}));
        }
    }
    for (id, _) in resources(template, "AWS::SQS::Queue") {
        let name = json!({"Fn::GetAtt": format!("{id}.QueueName")});
        rings("ApproximateNumberOfMessagesVisible", id, "QueueName", name);
    }
    for mailing in ["Emailer", "JobCloser"] {
        rings("mails_failed", mailing, "function", json!({"Ref": mailing}));
    }
    for metric in ["jobs_parked", "ledgers_failed"] {
        rings(metric, "BacklogManager", "function", json!({"Ref": "BacklogManager"}));
    }
    faults.extend(silent);
    for (id, group) in resources(template, "AWS::Logs::LogGroup") {
        if group["Properties"]["RetentionInDays"].is_null() {
            faults.push(format!("{id} is kept for ever"));
        }
    }
    for (id, alarm) in resources(template, "AWS::CloudWatch::Alarm") {
        if alarm["Properties"]["AlarmActions"].is_null() {
            faults.push(format!("{id} tells nobody"));
        }
    }
    if template["Globals"]["Function"]["Tracing"] != "Active" {
        faults.push("functions are not traced".to_owned());
    }
    for (id, machine) in resources(template, "AWS::Serverless::StateMachine") {
        if machine["Properties"]["Tracing"]["Enabled"] != true || machine["Properties"]["Logging"].is_null() {
            faults.push(format!("{id} is not traced or not logged"));
        }
    }
    faults
}

#[test]
fn buckets_are_encrypted_closed_and_reached_over_tls() {
    finds_nothing(buckets);
    let properties = "Resources/WorkBucket/Properties";
    let without = |fault, path: &str| finds(buckets, fault, |broken| remove(broken, path));
    without("WorkBucket is not encrypted", &format!("{properties}/BucketEncryption"));
    without("WorkBucket is not closed", &format!("{properties}/PublicAccessBlockConfiguration/IgnorePublicAcls"));
    without("WorkBucket keeps no versions", &format!("{properties}/VersioningConfiguration"));
    without("WorkBucket has ACLs", &format!("{properties}/OwnershipControls"));
    without("WorkBucket keeps uploads", &format!("{properties}/LifecycleConfiguration"));
    without("WorkBucket can be reached without TLS", "Resources/WorkBucketPolicy");
    let statement = "Resources/WorkBucketPolicy/Properties/PolicyDocument/Statement/0";
    for (key, value) in [
        ("Action", json!("s3:GetObject")),
        ("Effect", json!("Allow")),
        ("Condition", json!({"Bool": {"aws:SecureTransport": "true"}})),
        ("Resource", json!([{"Fn::GetAtt": "WorkBucket.Arn"}])),
        ("Resource", json!([{"Fn::GetAtt": "DataBucket.Arn"}, {"Fn::Sub": "${DataBucket.Arn}/*"}])),
    ] {
        finds(buckets, "WorkBucket can be reached without TLS", |broken| place(broken, statement)[key] = value);
    }
    finds(buckets, "WorkBucket can be reached without TLS", |broken| {
        *place(broken, "Resources/WorkBucketPolicy/Condition") = json!("HasVpc");
    });
}

#[test]
fn queues_are_encrypted_and_reached_over_tls() {
    finds_nothing(queues);
    let queue = "Resources/FileArrivalDeadLetters";
    finds(queues, "is not encrypted", |broken| remove(broken, &format!("{queue}/Properties/SqsManagedSseEnabled")));
    finds(queues, "without TLS", |broken| remove(broken, &format!("{queue}Policy/Properties/PolicyDocument")));
}

#[test]
fn tables_are_encrypted_and_can_be_brought_back() {
    finds_nothing(tables);
    finds(tables, "RunsTable is not encrypted", |broken| {
        *place(broken, "Resources/RunsTable/Properties/SSESpecification/SSEEnabled") = json!(false);
    });
    finds(tables, "RunsTable keeps for ever", |broken| {
        place(broken, "Resources/RunsTable/Properties/TimeToLiveSpecification")["AttributeName"] = json!("expires");
    });
    finds(tables, "RunsTable cannot be brought back", |broken| {
        remove(broken, "Resources/RunsTable/Properties/PointInTimeRecoverySpecification");
    });
}

#[test]
fn everything_is_logged_traced_and_watched() {
    finds_nothing(watch);
    let without = |fault, path: &str| finds(watch, fault, |broken| remove(broken, path));
    without("Merger has no log group of its own", "Resources/Merger/Properties/LoggingConfig");
    without("MergerLogs is kept for ever", "Resources/MergerLogs/Properties/RetentionInDays");
    without("ChunkProcessor has no alarm on Errors", "Resources/ChunkProcessorErrorsAlarm");
    without("Emailer has no alarm on mails_failed", "Resources/MailsFailedAlarm");
    without("BacklogManager has no alarm on jobs_parked", "Resources/JobsParkedAlarm");
    without("BacklogManager has no alarm on ledgers_failed", "Resources/LedgersFailedAlarm");
    without("BacklogManager has no alarm on Errors", "Resources/BacklogManagerErrorsAlarm");
    without("Intake has no alarm on ExecutionsAborted", "Resources/RunsAbortedAlarm");
    without("EmailerDeadLetters has no alarm", "Resources/EmailerDeadLettersAlarm");
    without("RunsFailedAlarm tells nobody", "Resources/RunsFailedAlarm/Properties/AlarmActions");
    without("functions are not traced", "Globals/Function/Tracing");
    without("Intake is not traced", "Resources/Intake/Properties/Logging");
    finds(watch, "Merger has no log group of its own", |broken| {
        *place(broken, "Resources/Merger/Properties/LoggingConfig/LogGroup") = json!({"Ref": "SplitterLogs"});
    });
}
