//! State machines: their text with placeholders, as the template fills it in, and their states.

#![expect(clippy::indexing_slicing, reason = "a JSON value is null where it lacks a key")]

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use crate::cloudformation::{attribute, reference};

/// The placeholders in a definition: `${Name}`.
pub fn placeholders(text: &str) -> BTreeSet<String> {
    let Ok(pattern) = Regex::new(r"\$\{([A-Za-z0-9]+)\}") else { return BTreeSet::new() };
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// The definition as it is deployed to AWS, with the template's defaults, in an account and a region of no meaning. A
/// placeholder that the template does not fill in stays.
pub fn render(text: &str, template: &Value, substitutions: &Value) -> String {
    let filled = substitutions.as_object().into_iter().flatten();
    filled
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), &rendered(template, value)))
}

fn rendered(template: &Value, value: &Value) -> String {
    match attribute(value) {
        Some((id, "Arn")) => return format!("arn:aws:lambda:us-east-1:123456789012:function:{id}"),
        Some((id, other)) => return format!("{id}.{other}"),
        None => {}
    }
    match (reference(value), value["Fn::If"].as_array().map(Vec::as_slice)) {
        (Some("AWS::Partition"), _) => "aws".to_owned(),
        (Some(parameter), _) => plain(&template["Parameters"][parameter]["Default"]),
        (None, Some([_, on_aws, _])) => rendered(template, on_aws),
        (None, _) => plain(value),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A state, with its name and whether it is one of a map's children.
pub struct State<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it says.
    pub body: &'a Value,
    /// Whether it runs inside a map.
    pub in_map: bool,
}

/// All states of a definition, those inside maps too.
pub fn states(definition: &Value) -> Vec<State<'_>> {
    collect(definition, false)
}

fn collect(machine: &Value, in_map: bool) -> Vec<State<'_>> {
    let mut all = Vec::new();
    for (name, body) in machine["States"].as_object().into_iter().flatten() {
        all.push(State { name, body, in_map });
        all.extend(collect(&body["ItemProcessor"], true));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn placeholders_are_filled_in_as_on_aws() {
        let template = json!({"Parameters": {"Width": {"Default": 500}}});
        let substitutions = json!({
            "FooArn": {"Fn::GetAtt": "Foo.Arn"},
            "Place": {"Fn::If": ["HasPlace", {"Fn::GetAtt": "Foo.Place"}, "none"]},
            "Width": {"Ref": "Width"},
            "Seconds": {"Fn::If": ["IsAws", 10, 1]},
            "Partition": {"Ref": "AWS::Partition"},
        });
        let text = r#"{"a": "${FooArn}", "b": ${Width}, "c": ${Seconds}, "d": "${Partition}", "e": "${Other}", "f": "${Place}"}"#;
        let rendered: Value = serde_json::from_str(&render(text, &template, &substitutions)).unwrap();
        assert_eq!(
            rendered,
            json!({
                "a": "arn:aws:lambda:us-east-1:123456789012:function:Foo", "b": 500, "c": 10, "d": "aws",
                "e": "${Other}", "f": "Foo.Place",
            })
        );
        assert_eq!(
            placeholders(text).into_iter().collect::<Vec<_>>(),
            ["FooArn", "Other", "Partition", "Place", "Seconds", "Width"]
        );
    }

    #[test]
    fn states_inside_maps_are_found() {
        let definition = json!({"States": {"A": {"ItemProcessor": {"States": {"B": {}}}}, "C": {}}});
        let found: Vec<_> = states(&definition).iter().map(|state| (state.name, state.in_map)).collect();
        assert_eq!(found, [("A", false), ("B", true), ("C", false)]);
    }
}
