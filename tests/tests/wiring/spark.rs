//! The distributed engine: its scripts are uploaded where Spark reads them, by a function that may do just that.

use regex::Regex;
use serde_json::{Value, json};
use storage::names::is_tenant;
use tests::{
    Project,
    cloudformation::{actions, list, logical_id, resources, role_statements},
};

use crate::{PROJECT, edit, finds, finds_nothing, place};

const FUNCTION: &str = "spark-uploader";
/// The top folder of the data bucket in which the scripts are; `spark/upload.py` names it.
const FOLDER: &str = "spark-scripts";

fn uploaded(project: &Project) -> Vec<String> {
    let template = &project.template["Resources"];
    let uploader = &template[logical_id(FUNCTION)];
    let scripts = &template["SparkScripts"]["Properties"];
    let role = &template[format!("{}Role", logical_id(FUNCTION))];
    let group = &template[format!("{}Logs", logical_id(FUNCTION))]["Properties"]["LogGroupName"];
    let machine = &template["Reconcile"]["Properties"]["DefinitionSubstitutions"]["SparkScripts"];
    let mut faults = Vec::new();
    let mut expect = |holds: bool, fault: &str| {
        if !holds {
            faults.push(fault.to_owned());
        }
    };
    let properties = &uploader["Properties"];
    let named = |prefix: &str| json!({"Fn::Sub": format!("{prefix}${{AWS::StackName}}-{FUNCTION}")});
    expect(properties["CodeUri"] == format!("dist/{FUNCTION}"), "what make packs is not what is called");
    expect(properties["FunctionName"] == named("") && *group == named("/aws/lambda/"), "its log has another name");
    expect(properties["LoggingConfig"]["LogGroup"] == json!({"Ref": "SparkUploaderLogs"}), "it logs elsewhere");
    expect(properties["Timeout"].as_u64() < seconds(&scripts["ServiceTimeout"]), "the stack waits for ever");
    expect(scripts["ServiceToken"] == json!({"Fn::GetAtt": "SparkUploader.Arn"}), "another function is called");
    expect(scripts["Bucket"] == json!({"Ref": "DataBucket"}), "another bucket is written to");
    let version = json!({"Ref": "SparkUploader.Version"});
    expect(
        scripts["Version"] == version && properties["AutoPublishAlias"].is_string(),
        "other scripts are not uploaded when a stack is updated",
    );
    let place = json!({"Fn::If": ["HasSpark", {"Fn::GetAtt": "SparkScripts.Folder"}, "none"]});
    expect(*machine == place, "Spark runs what was not uploaded");
    let written = json!({"Fn::Sub": format!("${{DataBucket.Arn}}/{FOLDER}/*")});
    for statement in role_statements(role) {
        match (&actions(statement)[..], &statement["Resource"]) {
            (["s3:PutObject"], resource) => expect(*resource == written, "it may write elsewhere"),
            (["logs:CreateLogStream", "logs:PutLogEvents"], _) => {}
            (["xray:PutTraceSegments", "xray:PutTelemetryRecords"], _) => {}
            (other, _) => expect(false, &format!("it may {}", other.join(", "))),
        }
    }
    let kept = list(&template["DataBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]);
    expect(kept.iter().all(|rule| rule.get("ExpirationInDays").is_none()), "what is uploaded expires");
    for kind in ["AWS::EMRServerless::Application", "Custom::SparkScripts"] {
        for (id, resource) in resources(&project.template, kind) {
            expect(resource["Condition"] == "HasSpark", &format!("{id} is there without Spark"));
        }
    }
    expect(uploader["Condition"] == "HasSpark", "it is there without Spark");
    faults
}

fn seconds(text: &Value) -> Option<u64> {
    text.as_str()?.parse().ok()
}

/// Roles, but for the uploader's, that may change what Spark runs.
fn tampering(project: &Project) -> Vec<String> {
    let script = format!("${{DataBucket.Arn}}/{FOLDER}/0123/run_task.py");
    let covers = |resource: &Value| {
        let address = resource.as_str().or_else(|| resource["Fn::Sub"].as_str()).unwrap_or_default();
        let pattern = format!("^{}$", regex::escape(address).replace(r"\*", ".*"));
        Regex::new(&pattern).expect("a pattern").is_match(&script)
    };
    let writes = |action: &&str| !action.starts_with("s3:Get") && !action.starts_with("s3:List");
    let mut faults = Vec::new();
    for (id, role) in resources(&project.template, "AWS::IAM::Role").filter(|(id, _)| *id != "SparkUploaderRole") {
        for statement in role_statements(role) {
            let on_scripts = list(&statement["Resource"]).into_iter().any(&covers);
            let wrong = actions(statement).into_iter().filter(|action| action.starts_with("s3:") && on_scripts);
            faults.extend(wrong.filter(writes).map(|action| format!("{id} may {action} on what Spark runs")));
        }
    }
    faults
}

#[test]
fn nobody_else_writes_what_spark_runs() {
    finds_nothing(tampering);
    let statement = "Resources/MergerRole/Properties/Policies/0/PolicyDocument/Statement";
    for resource in ["*", "${DataBucket.Arn}/*", "${DataBucket.Arn}/*/run_task.py"] {
        finds(tampering, "MergerRole may s3:PutObject on what Spark runs", |broken| {
            let allowed = json!({"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": [{"Fn::Sub": resource}]});
            place(broken, statement).as_array_mut().expect("statements").push(allowed);
        });
    }
}

#[test]
fn spark_runs_what_the_template_uploads() {
    finds_nothing(uploaded);
    let broken_by = |fault: &str, path: &str, value: Value| {
        finds(uploaded, fault, |broken| *place(broken, &format!("Resources/{path}")) = value);
    };
    broken_by("what make packs", "SparkUploader/Properties/CodeUri", json!("dist/spark"));
    broken_by("the stack waits", "SparkScripts/Properties/ServiceTimeout", json!("60"));
    broken_by("another bucket", "SparkScripts/Properties/Bucket", json!({"Ref": "WorkBucket"}));
    broken_by("other scripts are not", "SparkScripts/Properties/Version", json!("1"));
    broken_by("Spark runs what", "Reconcile/Properties/DefinitionSubstitutions/SparkScripts", json!("s3://x"));
    broken_by("it is there without", "SparkUploader/Condition", json!("IsAws"));
    broken_by("SparkScripts is there without", "SparkScripts/Condition", json!("IsAws"));
    let statement = "SparkUploaderRole/Properties/Policies/0/PolicyDocument/Statement/2";
    broken_by("it may write elsewhere", &format!("{statement}/Resource"), json!({"Fn::Sub": "${DataBucket.Arn}/*"}));
    broken_by("it may s3:GetObject", &format!("{statement}/Action"), json!("s3:GetObject"));
    finds(uploaded, "what is uploaded expires", |broken| {
        let rule = "Resources/DataBucket/Properties/LifecycleConfiguration/Rules/0";
        place(broken, rule)["ExpirationInDays"] = json!(1);
    });
}

/// Jobs fit into what the application may have, and wait and run no longer than somebody waits for them.
fn sizes(project: &Project) -> Vec<String> {
    let parameter = |name: &str| number(&project.template["Parameters"][name]["Default"]);
    let application = &project.template["Resources"]["SparkApplication"]["Properties"];
    let settings = &application["RuntimeConfiguration"][0]["Properties"];
    let mut faults = Vec::new();
    let mut expect = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault);
        }
    };
    for (processors, worker) in project.template["Mappings"]["SparkMemory"].as_object().into_iter().flatten() {
        let memory = gigabytes(&worker["Java"]) + gigabytes(&worker["Other"]);
        let expected = 4 * processors.parse::<u64>().unwrap_or_default();
        expect(memory == expected, format!("a worker of {processors} processors has {memory} GB"));
    }
    let driver = number(&settings["spark.driver.cores"]);
    let memory = gigabytes(&settings["spark.driver.memory"]) + gigabytes(&settings["spark.driver.memoryOverhead"]);
    expect(memory == 4 * driver, format!("the driver has {memory} GB"));
    let needed = parameter("SparkJobs") * (driver + parameter("SparkWorkers") * parameter("SparkWorkerVcpus"));
    let (processors, memory) = (parameter("SparkVcpus"), parameter("SparkMemoryGb"));
    expect(needed <= processors, format!("jobs need {needed} processors, and there are {processors}"));
    expect(memory == 4 * processors, format!("{processors} processors have {memory} GB"));
    match project.deployed("reconcile") {
        Err(fault) => expect(false, fault),
        Ok(machine) => {
            let task = &machine["States"]["Distribute"];
            let (waited, run) =
                (number(&task["TimeoutSeconds"]), number(&task["Parameters"]["ExecutionTimeoutMinutes"]));
            let queued = number(&application["SchedulerConfiguration"]["QueueTimeoutMinutes"]);
            expect(waited <= 60 * run, "a job run that takes too long is begun again".to_owned());
            expect(waited <= 60 * queued, "a job that waits too long is begun again".to_owned());
            // A job run may fail at its very end, and be begun again once; each function may take all its time in all its tries.
            let others = ["Plan", "Transform", "Check", "Publish"].map(|name| {
                let state = &machine["States"][name];
                let late = |retry: &&Value| array_of(&retry["ErrorEquals"]).any(|error| error == "States.Timeout");
                let again = array_of(&state["Retry"]).find(late).map_or(0, |retry| number(&retry["MaxAttempts"]));
                (1 + again) * number(&state["TimeoutSeconds"])
            });
            let needed = 2 * waited + others.iter().sum::<u64>();
            let allowed = number(&machine["TimeoutSeconds"]);
            expect(needed <= allowed, format!("the execution needs {needed} s, and ends after {allowed}"));
        }
    }
    faults
}

fn array_of(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

fn gigabytes(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.strip_suffix('g')?.parse().ok()).unwrap_or_default()
}

#[test]
fn jobs_fit_into_what_spark_has() {
    finds_nothing(sizes);
    let broken_by = |fault: &str, path: &str, value: Value| finds(sizes, fault, |broken| *place(broken, path) = value);
    broken_by("a worker of 8 processors has 31 GB", "Mappings/SparkMemory/8/Java", json!("21g"));
    broken_by("jobs need 20 processors", "Parameters/SparkWorkers/Default", json!(4));
    broken_by("jobs need 32 processors", "Parameters/SparkJobs/Default", json!(2));
    broken_by("16 processors have 60 GB", "Parameters/SparkMemoryGb/Default", json!(60));
    let application = "Resources/SparkApplication/Properties";
    let properties = format!("{application}/RuntimeConfiguration/0/Properties");
    broken_by("the driver has 15 GB", &format!("{properties}/spark.driver.memory"), json!("10g"));
    let queued = format!("{application}/SchedulerConfiguration/QueueTimeoutMinutes");
    broken_by("a job that waits too long is begun again", &queued, json!(239));
    let machine = |fault: &str, from: &str, to: &str| finds(sizes, fault, |broken| edit(broken, "reconcile", from, to));
    machine(
        "a job run that takes too long is begun again",
        r#""ExecutionTimeoutMinutes": 240"#,
        r#""ExecutionTimeoutMinutes": 239"#,
    );
    machine("the execution needs", r#""TimeoutSeconds": 39600"#, r#""TimeoutSeconds": 32400"#);
}

#[test]
fn no_tenant_has_the_folder_of_the_scripts() {
    assert!(!is_tenant(FOLDER));
    let function = std::fs::read_to_string(tests::project::root().join("spark/upload.py")).expect("it can be read");
    assert!(function.contains(&format!("FOLDER = \"{FOLDER}\"\n")));
    assert!(PROJECT.template["Resources"]["SparkUploader"]["Properties"]["Handler"] == "upload.handler");
}
