//! JSONPath, as far as machines use it: from the state's input (`$`) or the context (`$$`) down by names.

use serde_json::{Map, Value};

/// What paths of a state are looked up in.
pub(super) struct Scope<'a> {
    pub(super) state: &'a str,
    pub(super) data: &'a Value,
    pub(super) context: &'a Value,
}

impl Scope<'_> {
    /// What the path leads to. Step Functions would fail the execution where it leads nowhere: no machine of ours does
    /// that on purpose.
    pub(super) fn find(&self, path: &str) -> Value {
        let found = self.look(path);
        found.unwrap_or_else(|| panic!("state {}: {path} leads nowhere in {}", self.state, self.data)).clone()
    }

    /// What the path leads to, if anything.
    pub(super) fn look(&self, path: &str) -> Option<&Value> {
        let (from, names) = match path.strip_prefix("$$") {
            Some(names) => (self.context, names),
            None => (self.data, self.names(path)),
        };
        names.split('.').skip(1).try_fold(from, |value, name| value.get(self.plain(name, path)))
    }

    /// What a path leads to, or what a function of the language makes of its arguments: `States.Array` and
    /// `States.Format`, whose arguments are paths and texts in quotes.
    fn value(&self, of: &str) -> Value {
        let Some((function, arguments)) = of.strip_suffix(')').and_then(|call| call.split_once('(')) else {
            return self.find(of);
        };
        let argument = |argument: &str| match argument.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
            Some(text) => Value::from(text),
            None => self.find(argument),
        };
        let mut values = arguments.split(", ").map(argument);
        match function {
            "States.Array" => values.collect(),
            "States.Format" => {
                let form = values.next().unwrap_or_default();
                let plain = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                Value::from(values.fold(plain(form), |text, value| text.replacen("{}", &plain(value), 1)))
            }
            _ => panic!("state {}: {function} is not known here", self.state),
        }
    }

    fn names<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix('$').unwrap_or_else(|| panic!("state {}: {path} is not known here", self.state))
    }

    fn plain<'p>(&self, name: &'p str, path: &str) -> &'p str {
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if plain { name } else { panic!("state {}: {path} is not known here", self.state) }
    }
}

/// A template with its paths followed: the values of members whose name ends in `.$`.
pub(super) fn template(of: &Value, scope: &Scope<'_>) -> Value {
    let member = |(name, value): (&String, &Value)| match (name.strip_suffix(".$"), value) {
        (Some(name), Value::String(path)) => (name.to_owned(), scope.value(path)),
        (Some(_), _) => panic!("state {}: {name} has no path", scope.state),
        (None, value) => (name.clone(), template(value, scope)),
    };
    match of {
        Value::Object(members) => Value::Object(members.iter().map(member).collect()),
        Value::Array(items) => items.iter().map(|item| template(item, scope)).collect(),
        plain => plain.clone(),
    }
}

/// The input with the result at the path: in its place if there is no path, nowhere if the path is null.
pub(super) fn put(mut input: Value, path: Option<&Value>, result: Value) -> Value {
    let path = match path {
        None => return result,
        Some(Value::Null) => return input,
        Some(path) => super::text(path),
    };
    let Some(names) = path.strip_prefix('$') else { panic!("{path} is no ResultPath") };
    let mut place = &mut input;
    for name in names.split('.').skip(1) {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[name];
    }
    *place = result;
    input
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_into_input_and_context() {
        let (data, context) = (json!({"run": {"job": 7}}), json!({"Task": {"Token": "t"}}));
        let scope = Scope { state: "S", data: &data, context: &context };
        let told = template(
            &json!({"whole.$": "$", "in": [{"job.$": "$.run.job"}], "token.$": "$$.Task.Token", "n": 1}),
            &scope,
        );
        assert_eq!(told, json!({"whole": data, "in": [{"job": 7}], "token": "t", "n": 1}));
        assert_eq!(scope.look("$.run.other"), None);
        let made = json!({"list.$": "States.Array('--task', $.run.job)", "text.$": "States.Format('{}-{}', $$.Task.Token, $.run.job)"});
        assert_eq!(template(&made, &scope), json!({"list": ["--task", 7], "text": "t-7"}));
    }

    #[test]
    fn results_are_put_where_the_path_says() {
        let input = json!({"a": 1});
        assert_eq!(put(input.clone(), None, json!(2)), json!(2));
        assert_eq!(put(input.clone(), Some(&json!("$")), json!(2)), json!(2));
        assert_eq!(put(input.clone(), Some(&Value::Null), json!(2)), input);
        assert_eq!(put(input, Some(&json!("$.a.b")), json!(2)), json!({"a": {"b": 2}}));
    }

    #[test]
    #[should_panic(expected = "state S: $.b leads nowhere")]
    fn a_path_that_leads_nowhere_is_a_panic() {
        Scope { state: "S", data: &json!({}), context: &json!({}) }.find("$.b");
    }
}
