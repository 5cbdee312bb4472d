//! JSON ↔ DynamoDB's attribute values.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Number, Value};
use storage::{Item, Key, StorageError};

use super::Attributes;
use crate::error::unreadable;

pub(super) fn to_attributes(item: Item) -> Attributes {
    item.into_iter().map(|(name, value)| (name, to_attribute(value))).collect()
}

pub(super) fn key_attributes(key: &Key) -> Attributes {
    to_attributes(key.attributes())
}

pub(super) fn to_attribute(value: Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(truth) => AttributeValue::Bool(truth),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text),
        Value::Array(values) => AttributeValue::L(values.into_iter().map(to_attribute).collect()),
        Value::Object(map) => AttributeValue::M(to_attributes(map)),
    }
}

/// An item of `table`. Its attributes are in the order of their names, but for the key, which comes first: DynamoDB
/// keeps none.
pub(super) fn from_attributes(table: &str, attributes: Attributes) -> Result<Item, StorageError> {
    let mut pairs: Vec<_> = attributes.into_iter().collect();
    pairs.sort_by(|(a, _), (b, _)| {
        let rank = |name: &str| (name != "pk", name != "sk");
        rank(a).cmp(&rank(b)).then_with(|| a.cmp(b))
    });
    pairs.into_iter().map(|(name, value)| from_attribute(table, &name, value).map(|value| (name, value))).collect()
}

fn from_attribute(table: &str, name: &str, value: AttributeValue) -> Result<Value, StorageError> {
    Ok(match value {
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::Bool(truth) => truth.into(),
        AttributeValue::N(digits) => from_digits(&digits)
            .ok_or_else(|| unreadable(table, format!("attribute {name} is {digits}, no whole number of 64 bits")))?
            .into(),
        AttributeValue::S(text) => text.into(),
        AttributeValue::L(values) => {
            values.into_iter().map(|value| from_attribute(table, name, value)).collect::<Result<_, _>>()?
        }
        AttributeValue::M(map) => from_attributes(table, map)?.into(),
        other => return Err(unreadable(table, format!("attribute {name} has an unknown type: {other:?}"))),
    })
}

fn from_digits(digits: &str) -> Option<Number> {
    let unsigned = digits.parse::<u64>().map(Number::from);
    unsigned.or_else(|_| digits.parse::<i64>().map(Number::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: AttributeValue) -> Result<Item, StorageError> {
        from_attributes("table", [("pk".to_owned(), value)].into())
    }

    #[test]
    fn what_others_wrote_is_refused_where_it_does_not_fit() {
        for digits in ["1.5", "18446744073709551616", "-9223372036854775809", "1E2", ""] {
            let refused = read(AttributeValue::N(digits.to_owned()));
            assert!(matches!(refused, Err(StorageError::Invalid { .. })), "{digits}");
        }
        assert!(read(AttributeValue::Ss(vec!["text".to_owned()])).is_err());
        assert_eq!(read(AttributeValue::N("-0".to_owned())).unwrap()["pk"], 0);
    }

    #[test]
    fn the_key_comes_first() {
        let attributes = ["a", "sk", "z", "pk"].map(|name| (name.to_owned(), AttributeValue::Bool(true)));
        let item = from_attributes("table", attributes.into()).unwrap();
        assert!(item.keys().eq(["pk", "sk", "a", "z"]));
    }
}
