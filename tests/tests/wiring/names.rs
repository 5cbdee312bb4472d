//! One word per stage: folder, binary, logical id, placeholder and event have the same name.

use std::collections::BTreeSet;

use serde_json::json;
use tests::{
    Project,
    cloudformation::{attribute, logical_id, resources},
    machine::placeholders,
    project::Function,
};

use crate::{edit, finds, finds_nothing, place, remove};

/// What the template calls and no pipeline: `tests/wiring/spark.rs` has its wiring.
const OF_THE_TEMPLATE: &str = "SparkUploader";

fn functions(project: &Project) -> Vec<String> {
    let mut faults: Vec<String> =
        project.functions.iter().flat_map(|function| of_function(project, function)).collect();
    let known: BTreeSet<String> = project.functions.iter().map(|function| logical_id(&function.name)).collect();
    for (id, _) in resources(&project.template, "AWS::Serverless::Function").filter(|(id, _)| !known.contains(*id)) {
        if id != OF_THE_TEMPLATE {
            faults.push(format!("{id} has no folder in functions/"));
        }
    }
    for event in project.events.keys() {
        let of = |function: &Function| {
            let name = format!("{}/{}", function.pipeline, function.name);
            event.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        if !project.functions.iter().any(of) {
            faults.push(format!("events/{event}.json is of no function"));
        }
    }
    faults
}

fn of_function(project: &Project, function: &Function) -> Vec<String> {
    let Function { pipeline, name, binaries, .. } = function;
    let id = logical_id(name);
    let resource = &project.template["Resources"][&id];
    let properties = &resource["Properties"];
    let mut faults = Vec::new();
    let mut expect = |holds: bool, fault: &str| {
        if !holds {
            faults.push(format!("{name}: {fault}"));
        }
    };
    expect(*binaries == [name.as_str()], "the workspace builds no binary of this name, or more than one");
    expect(resource["Type"] == "AWS::Serverless::Function", "the template has no function of this name");
    expect(properties["CodeUri"] == format!("dist/{name}"), "CodeUri is another folder");
    expect(properties["FunctionName"]["Fn::Sub"] == format!("${{AWS::StackName}}-{name}"), "FunctionName differs");
    expect(resource["Metadata"]["SkipBuild"] == true, "SAM would build it again");
    expect(project.events.contains_key(&format!("{pipeline}/{name}")), "it has no sample event");
    expect(is_called(project, &id), "nobody calls it");
    faults
}

/// Whether a state machine or a permission names the function.
fn is_called(project: &Project, id: &str) -> bool {
    let by_machine = resources(&project.template, "AWS::Serverless::StateMachine").any(|(_, machine)| {
        let substitutions = machine["Properties"]["DefinitionSubstitutions"].as_object();
        substitutions.into_iter().flatten().any(|(_, value)| attribute(value) == Some((id, "Arn")))
    });
    let mut permissions = resources(&project.template, "AWS::Lambda::Permission");
    by_machine || permissions.any(|(_, permission)| permission["Properties"]["FunctionName"]["Ref"] == id)
}

fn machines(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, text) in &project.machines {
        let properties = &project.template["Resources"][logical_id(name)]["Properties"];
        if properties["DefinitionUri"] != format!("state-machines/{name}.asl.json") {
            faults.push(format!("{name}: the template has no machine of this name, or with another definition"));
        }
        if properties["Name"]["Fn::Sub"] != format!("${{AWS::StackName}}-{name}") {
            faults.push(format!("{name}: Name differs"));
        }
        let filled = properties["DefinitionSubstitutions"].as_object().into_iter().flatten();
        let filled: BTreeSet<String> = filled.map(|(name, _)| name.clone()).collect();
        let asked = placeholders(text);
        faults.extend(asked.difference(&filled).map(|key| format!("{name}: ${{{key}}} is not filled in")));
        faults.extend(filled.difference(&asked).map(|key| format!("{name}: no ${{{key}}} is asked for")));
        for (key, value) in properties["DefinitionSubstitutions"].as_object().into_iter().flatten() {
            if attribute(value).is_some_and(|(id, attribute)| *key != format!("{id}{attribute}")) {
                faults.push(format!("{name}: ${{{key}}} is filled in with something of another name"));
            }
        }
    }
    for (id, _) in resources(&project.template, "AWS::Serverless::StateMachine") {
        if !project.machines.keys().any(|name| logical_id(name) == id) {
            faults.push(format!("{id} has no file in state-machines/"));
        }
    }
    faults
}

#[test]
fn functions_have_one_name_everywhere() {
    finds_nothing(functions);
    let properties = "Resources/Splitter/Properties";
    finds(functions, "splitter: CodeUri", |broken| {
        *place(broken, &format!("{properties}/CodeUri")) = json!("dist/merger");
    });
    finds(functions, "splitter: FunctionName", |broken| remove(broken, &format!("{properties}/FunctionName")));
    finds(functions, "splitter: SAM would build", |broken| remove(broken, "Resources/Splitter/Metadata"));
    finds(functions, "splitter: the template has no function", |broken| remove(broken, "Resources/Splitter"));
    finds(functions, "Joiner has no folder", |broken| {
        let splitter = place(broken, "Resources/Splitter").clone();
        place(broken, "Resources")["Joiner"] = splitter;
    });
    finds(functions, "splitter: it has no sample event", |broken| {
        broken.events.remove("intake/splitter");
    });
    finds(functions, "events/intake/splitters.json is of no function", |broken| {
        broken.events.insert("intake/splitters".into(), json!({}));
    });
    finds(functions, "file-arrival: nobody calls it", |broken| {
        remove(broken, "Resources/ObjectCreatedPermission");
        remove(broken, "Resources/SweepPermission");
    });
    finds(functions, "merger: nobody calls it", |broken| {
        remove(broken, "Resources/Intake/Properties/DefinitionSubstitutions/MergerArn");
    });
    finds(functions, "the workspace builds no binary", |broken| broken.functions[0].binaries = vec!["arrival".into()]);
}

#[test]
fn machines_are_filled_in_by_the_template() {
    finds_nothing(machines);
    let substitutions = "Resources/Intake/Properties/DefinitionSubstitutions";
    finds(machines, "${MergerArn} is not filled in", |broken| remove(broken, &format!("{substitutions}/MergerArn")));
    finds(machines, "no ${JoinerArn} is asked for", |broken| place(broken, substitutions)["JoinerArn"] = json!(""));
    finds(machines, "${Mergers} is not filled in", |broken| edit(broken, "intake", "${MergerArn}", "${Mergers}"));
    finds(machines, "${MergerArn} is filled in with something of another name", |broken| {
        *place(broken, &format!("{substitutions}/MergerArn")) = json!({"Fn::GetAtt": "Splitter.Arn"});
    });
    finds(machines, "intake: Name differs", |broken| remove(broken, "Resources/Intake/Properties/Name"));
    finds(machines, "intake: the template has no machine", |broken| remove(broken, "Resources/Intake"));
    finds(machines, "Intake has no file", |broken| {
        broken.machines.remove("intake");
    });
}
