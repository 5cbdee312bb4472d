//! Choices.

use serde_json::Value;

use super::{paths::Scope, text};

/// The state that is chosen, if any is.
pub(super) fn next<'a>(body: &'a Value, scope: &Scope<'_>) -> Option<&'a str> {
    let choices = body["Choices"].as_array()?;
    let chosen = choices.iter().find(|choice| holds(choice, scope));
    chosen.map(|choice| text(&choice["Next"])).or_else(|| body["Default"].as_str())
}

fn holds(rule: &Value, scope: &Scope<'_>) -> bool {
    let rules = |name: &str| rule[name].as_array().into_iter().flatten();
    if rule.get("And").is_some() {
        return rules("And").all(|rule| holds(rule, scope));
    }
    if rule.get("Or").is_some() {
        return rules("Or").any(|rule| holds(rule, scope));
    }
    if let Some(rule) = rule.get("Not") {
        return !holds(rule, scope);
    }
    let path = text(&rule["Variable"]);
    if let Some(present) = rule["IsPresent"].as_bool() {
        return scope.look(path).is_some() == present;
    }
    let found = scope.find(path);
    if let Some(expected) = rule.get("StringEquals").or(rule.get("BooleanEquals")) {
        return found == *expected;
    }
    match rule["NumericEquals"].as_i64() {
        Some(expected) => found.as_i64() == Some(expected),
        None => panic!("state {}: {rule} is not known here", scope.state),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_rule_that_holds_is_chosen() {
        let data = json!({"turn": "granted", "n": 2, "done": false});
        let scope = Scope { state: "S", data: &data, context: &Value::Null };
        let chosen = |rule: Value| {
            let mut choice = rule;
            choice["Next"] = "Yes".into();
            next(&json!({"Choices": [choice], "Default": "No"}), &scope) == Some("Yes")
        };
        assert!(chosen(json!({"Variable": "$.turn", "StringEquals": "granted"})));
        assert!(!chosen(json!({"Variable": "$.turn", "StringEquals": "void"})));
        assert!(chosen(json!({"Variable": "$.n", "NumericEquals": 2})));
        assert!(chosen(json!({"Variable": "$.done", "BooleanEquals": false})));
        assert!(chosen(json!({"Variable": "$.other", "IsPresent": false})));
        let both = json!([{"Variable": "$.n", "NumericEquals": 2}, {"Variable": "$.n", "NumericEquals": 3}]);
        assert!(!chosen(json!({"And": both})) && chosen(json!({"Or": both})));
        assert!(chosen(json!({"Not": {"Variable": "$.n", "NumericEquals": 3}})));
        assert_eq!(next(&json!({"Choices": []}), &scope), None);
    }
}
