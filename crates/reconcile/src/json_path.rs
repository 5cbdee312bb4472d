//! Where a value stands in the object of a line: for columns that are no members of the object itself.

use std::{borrow::Cow, collections::HashMap};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The way to a value, from the line's object inwards. Where there is nothing on the way, or null, the value is blank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonPath(pub Vec<JsonStep>);

/// A step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum JsonStep {
    /// The member of that name, of an object.
    Member(String),
    /// The entry of a list of objects that has this text as that member: the first of them.
    #[serde(rename_all = "camelCase")]
    Entry {
        /// The member.
        member: String,
        /// Its text.
        is: String,
    },
    /// The one entry of a list. A list with several is an error: none of them is the value.
    Only,
}

/// What stands where a way to a value cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misplaced {
    /// What was expected.
    expected: String,
    /// Of a list with an amount for each of several currencies: these.
    currencies: Vec<String>,
}

impl Misplaced {
    /// What is wrong with a column of that name, and which columns would do.
    pub fn told(&self, column: &str) -> String {
        let Self { expected, currencies } = self;
        let columns: Vec<String> = currencies.iter().map(|currency| format!("{column}.{currency}")).collect();
        match &columns[..] {
            [] => format!("expected {expected}"),
            _ => format!("expected {expected}: name a currency, {}", columns.join(" or ")),
        }
    }
}

impl From<&str> for Misplaced {
    fn from(expected: &str) -> Self {
        Self { expected: expected.to_owned(), currencies: Vec::new() }
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(PartialEq, Eq, Hash, Deserialize)]
struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

impl JsonPath {
    /// The value behind an object, as it is written there; `None` where it is blank. The error says what was expected.
    pub fn find<'a>(&self, object: &'a RawValue) -> Result<Option<&'a RawValue>, Misplaced> {
        Self::walk(&self.0, object)
    }

    /// What the line's object has as the first step's member, and the steps behind it.
    pub fn split(&self) -> Option<(&str, &[JsonStep])> {
        match self.0.split_first() {
            Some((JsonStep::Member(name), rest)) => Some((name, rest)),
            _ => None,
        }
    }

    /// The value that these steps lead to.
    pub fn walk<'a>(steps: &[JsonStep], from: &'a RawValue) -> Result<Option<&'a RawValue>, Misplaced> {
        let mut at = from;
        for step in steps {
            if at.get() == "null" {
                return Ok(None);
            }
            let next = match step {
                JsonStep::Member(name) => members(at)?.remove(&Name(name.into())),
                JsonStep::Entry { member, is } => {
                    entries(at)?.into_iter().find_map(|entry| is_of(entry, member, is).transpose()).transpose()?
                }
                JsonStep::Only => match entries(at)?.as_slice() {
                    [] => None,
                    [one] => Some(*one),
                    several => {
                        let currencies = several.iter().filter_map(|entry| currency(entry)).collect();
                        return Err(Misplaced { expected: format!("one entry of {}", several.len()), currencies });
                    }
                },
            };
            match next {
                Some(value) => at = value,
                None => return Ok(None),
            }
        }
        Ok(Some(at).filter(|value| value.get() != "null"))
    }
}

fn members(value: &RawValue) -> Result<HashMap<Name<'_>, &RawValue>, Misplaced> {
    serde_json::from_str(value.get()).map_err(|_| "an object".into())
}

fn entries(value: &RawValue) -> Result<Vec<&RawValue>, Misplaced> {
    serde_json::from_str(value.get()).map_err(|_| "a list".into())
}

/// The entry, if that text is its member.
fn is_of<'a>(entry: &'a RawValue, member: &str, is: &str) -> Result<Option<&'a RawValue>, Misplaced> {
    Ok(text_of(entry, member)?.is_some_and(|text| text == is).then_some(entry))
}

fn currency(entry: &RawValue) -> Option<String> {
    text_of(entry, "currency").ok()?.map(Cow::into_owned)
}

/// The text of an object's member, where it is one.
fn text_of<'a>(object: &'a RawValue, member: &str) -> Result<Option<Cow<'a, str>>, Misplaced> {
    let found = members(object)?.remove(&Name(member.into()));
    Ok(found.and_then(|value| serde_json::from_str::<Name<'_>>(value.get()).ok()).map(|name| name.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(steps: &str, line: &str) -> Result<Option<String>, String> {
        let path: JsonPath = serde_json::from_str(steps).unwrap();
        assert_eq!(serde_json::to_string(&path).unwrap(), steps);
        let line: Box<RawValue> = serde_json::from_str(line).unwrap();
        let found = path.find(&line).map_err(|misplaced| misplaced.told("paid"));
        found.map(|value| value.map(|value| value.get().to_owned()))
    }

    #[test]
    fn a_path_leads_to_a_value_as_it_is_written() {
        let line = r#"{"key": "a", "measures": {"p\u0061id": [{"currency": "EUR", "amount": "1.50"}, {"currency": null,
            "amount": 1.0e2}], "one": [{"amount": 7}], "none": [], "count": 3, "text": "x"}, "attributes": null}"#;
        let of = |steps: &str| find(&format!(r#"[{{"member":"measures"}},{steps}]"#), line);
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(of(r#"{"member":"count"}"#), some("3"));
        assert_eq!(
            of(r#"{"member":"paid"},{"entry":{"member":"currency","is":"EUR"}},{"member":"amount"}"#),
            some("\"1.50\"")
        );
        assert_eq!(of(r#"{"member":"one"},"only",{"member":"amount"}"#), some("7"));
        for blank in [
            r#"{"member":"other"}"#,
            r#"{"member":"none"},"only",{"member":"amount"}"#,
            r#"{"member":"paid"},{"entry":{"member":"currency","is":"USD"}},{"member":"amount"}"#,
            r#"{"member":"one"},"only",{"member":"currency"}"#,
        ] {
            assert_eq!(of(blank), Ok(None), "{blank}");
        }
        assert_eq!(find(r#"[{"member":"attributes"},{"member":"country"},{"member":"value"}]"#, line), Ok(None));
        for (steps, expected) in [
            (r#"{"member":"paid"},"only""#, "one entry of 2: name a currency, paid.EUR"),
            (r#"{"member":"count"},"only""#, "a list"),
            (r#"{"member":"count"},{"entry":{"member":"currency","is":"EUR"}}"#, "a list"),
            (r#"{"member":"text"},{"member":"x"}"#, "an object"),
        ] {
            assert_eq!(of(steps), Err(format!("expected {expected}")), "{steps}");
        }
    }
}
