//! CloudFormation templates as JSON.

#![expect(clippy::indexing_slicing, reason = "a JSON value is null where it lacks a key")]

use std::error::Error;

use serde_json::{Map, Value, json};

/// Reads a YAML template. Short forms become long ones: `!Ref x` is `{"Ref": "x"}`, `!Sub x` is `{"Fn::Sub": "x"}`,
/// `!GetAtt x.Arn` is `{"Fn::GetAtt": "x.Arn"}`.
pub fn parse(yaml: &str) -> Result<Value, Box<dyn Error>> {
    to_json(serde_norway::from_str(yaml)?)
}

fn to_json(value: serde_norway::Value) -> Result<Value, Box<dyn Error>> {
    use serde_norway::Value as Yaml;
    Ok(match value {
        Yaml::Sequence(items) => items.into_iter().map(to_json).collect::<Result<_, _>>()?,
        Yaml::Mapping(entries) => {
            let entry = |(key, value)| Ok((serde_norway::from_value(key)?, to_json(value)?));
            Value::Object(entries.into_iter().map(entry).collect::<Result<Map<_, _>, Box<dyn Error>>>()?)
        }
        Yaml::Tagged(tagged) => {
            let name = tagged.tag.to_string();
            let name = match name.trim_start_matches('!') {
                plain @ ("Ref" | "Condition") => plain.to_owned(),
                function => format!("Fn::{function}"),
            };
            json!({ name: to_json(tagged.value)? })
        }
        scalar => serde_json::to_value(scalar)?,
    })
}

/// A resource, with its logical id.
pub type Resource<'a> = (&'a str, &'a Value);

/// The resources of a type.
pub fn resources<'a>(template: &'a Value, kind: &'a str) -> impl Iterator<Item = Resource<'a>> {
    let all = template["Resources"].as_object().into_iter().flatten();
    all.filter(move |(_, resource)| resource["Type"] == kind).map(|(id, resource)| (id.as_str(), resource))
}

/// What a `!Ref` refers to.
pub fn reference(value: &Value) -> Option<&str> {
    value["Ref"].as_str()
}

/// The logical id and the attribute of a `!GetAtt`.
pub fn attribute(value: &Value) -> Option<(&str, &str)> {
    value["Fn::GetAtt"].as_str()?.split_once('.')
}

/// One value or a list of them, as a list.
pub fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

/// The statements of a policy document, those under a condition too.
pub fn statements(document: &Value) -> Vec<&Value> {
    let branches = |value| -> Vec<&Value> {
        let value: &Value = value;
        match value["Fn::If"].as_array() {
            Some(parts) => parts.iter().skip(1).filter(|part| part["Effect"].is_string()).collect(),
            None => vec![value],
        }
    };
    list(&document["Statement"]).into_iter().flat_map(branches).collect()
}

/// The statements of a role's own policies.
pub fn role_statements(role: &Value) -> Vec<&Value> {
    list(&role["Properties"]["Policies"]).into_iter().flat_map(|policy| statements(&policy["PolicyDocument"])).collect()
}

/// A statement's actions.
pub fn actions(statement: &Value) -> Vec<&str> {
    list(&statement["Action"]).into_iter().filter_map(Value::as_str).collect()
}

/// `chunk-processor` → `ChunkProcessor`.
pub fn logical_id(name: &str) -> String {
    let capitalised = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    name.split('-').map(capitalised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_become_long_ones() {
        let template = parse(
            "Resources:\n  A: { Type: T, X: !Ref B, Y: !Sub 'a-${B}', Z: !GetAtt B.Arn }\n  B: { Type: U }\n\
             Conditions:\n  C: !Not [!Condition D]\n",
        )
        .unwrap();
        assert_eq!(
            template["Resources"]["A"],
            json!({"Type": "T", "X": {"Ref": "B"}, "Y": {"Fn::Sub": "a-${B}"}, "Z": {"Fn::GetAtt": "B.Arn"}})
        );
        assert_eq!(template["Conditions"]["C"], json!({"Fn::Not": [{"Condition": "D"}]}));
        assert_eq!(resources(&template, "U").map(|(id, _)| id).collect::<Vec<_>>(), ["B"]);
        assert_eq!(attribute(&template["Resources"]["A"]["Z"]), Some(("B", "Arn")));
    }

    #[test]
    fn statements_under_a_condition_count() {
        let document = json!({"Statement": [
            {"Effect": "Allow", "Action": "a:b"},
            {"Fn::If": ["C", {"Effect": "Allow", "Action": ["c:d", "e:f"]}, {"Ref": "AWS::NoValue"}]},
        ]});
        let all: Vec<&str> = statements(&document).into_iter().flat_map(actions).collect();
        assert_eq!(all, ["a:b", "c:d", "e:f"]);
    }

    #[test]
    fn logical_ids_are_names_in_pascal_case() {
        assert_eq!(logical_id("chunk-processor"), "ChunkProcessor");
    }
}
