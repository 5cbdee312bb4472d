//! A field as the descriptor has it, made ready to check cells by.

use regex::Regex;
use serde_json::Value as Json;

use super::field::{Allowed, Bound, CompiledField};
use crate::{
    descriptor::{Constraints, Field, FieldType},
    kind::{Kind, json_text, order},
    number::NumberFormat,
    temporal::TemporalFormat,
};

/// The key that is wrong, and what is wrong with it.
pub(super) type Problem = (&'static str, String);

pub(super) fn compile_field(field: &Field) -> Result<CompiledField, Problem> {
    let constraints = &field.constraints;
    if constraints.unique {
        let problem = "not supported: records are checked one by one, so that a file can be of any size";
        return Err(("unique", problem.to_owned()));
    }
    let kind = compile_kind(field)?;
    let length = |length: Option<u64>| length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let (min_length, max_length) = (length(constraints.min_length), length(constraints.max_length));
    if min_length > max_length && max_length.is_some() {
        return Err(("maxLength", "is less than minLength".to_owned()));
    }
    let minimum = compile_bound(&kind, "minimum", constraints.minimum.as_ref())?;
    let maximum = compile_bound(&kind, "maximum", constraints.maximum.as_ref())?;
    if let (Some(minimum), Some(maximum)) = (&minimum, &maximum)
        && minimum.value > maximum.value
    {
        return Err(("maximum", "is less than minimum".to_owned()));
    }
    Ok(CompiledField {
        name: field.name.clone(),
        required: constraints.required,
        min_length,
        max_length,
        minimum,
        maximum,
        pattern: compile_pattern(constraints)?,
        values: compile_values(&kind, constraints)?,
        kind,
    })
}

fn compile_kind(field: &Field) -> Result<Kind, Problem> {
    let kind = match &field.kind {
        FieldType::String => Kind::Text,
        FieldType::Any => Kind::Any,
        FieldType::Integer => Kind::Number(number_format(field, true)?),
        FieldType::Number => Kind::Number(number_format(field, false)?),
        FieldType::Boolean => {
            let texts = |given: &Option<Vec<String>>, default: [&str; 4]| {
                given.clone().unwrap_or_else(|| default.map(str::to_owned).to_vec())
            };
            let yes = texts(&field.true_values, ["true", "True", "TRUE", "1"]);
            let no = texts(&field.false_values, ["false", "False", "FALSE", "0"]);
            if let Some(both) = yes.iter().find(|value| no.contains(value)) {
                return Err(("trueValues", format!("{both:?} is among the falseValues too")));
            }
            Kind::Boolean { yes, no }
        }
        FieldType::Date => {
            let (format, name) = temporal_format(field, TemporalFormat::iso_date(), "YYYY-MM-DD")?;
            if !format.has_date() {
                return Err(("format", format!("{name:?} does not say year, month and day")));
            }
            Kind::Date(format, name)
        }
        FieldType::DateTime => {
            let (format, name) = temporal_format(field, TemporalFormat::iso_date_time(), "YYYY-MM-DDThh:mm:ssZ")?;
            if !format.has_date() || !format.has_time() {
                return Err(("format", format!("{name:?} does not say year, month, day and hour")));
            }
            Kind::DateTime(format, name)
        }
        FieldType::Time => {
            let (format, name) = temporal_format(field, TemporalFormat::iso_time(), "hh:mm:ss")?;
            if !format.has_time() {
                return Err(("format", format!("{name:?} does not say the hour")));
            }
            Kind::Time(format, name)
        }
        FieldType::Year => Kind::Year,
        FieldType::Other(name) => {
            let known = "string, integer, number, boolean, date, datetime, time, year or any";
            return Err(("type", format!("{name:?} is not supported: expected {known}")));
        }
    };
    refuse_foreign_keys(field, &kind)?;
    Ok(kind)
}

/// Keys that belong to another type would check nothing.
fn refuse_foreign_keys(field: &Field, kind: &Kind) -> Result<(), Problem> {
    let number = matches!(kind, Kind::Number(_));
    let boolean = matches!(kind, Kind::Boolean { .. });
    let temporal = matches!(kind, Kind::Date(..) | Kind::DateTime(..) | Kind::Time(..));
    let format = field.format.as_deref().is_some_and(|format| format != "default");
    for (key, misplaced, instead) in [
        ("decimalChar", field.decimal_char.is_some() && !number, "is for numbers"),
        ("groupChar", field.group_char.is_some() && !number, "is for numbers and integers"),
        ("bareNumber", field.bare_number.is_some() && !number, "is for numbers and integers"),
        ("trueValues", field.true_values.is_some() && !boolean, "is for booleans"),
        ("falseValues", field.false_values.is_some() && !boolean, "is for booleans"),
        ("format", format && !temporal, "is for dates and times; a pattern can say what a text looks like"),
    ] {
        if misplaced {
            return Err((key, instead.to_owned()));
        }
    }
    Ok(())
}

fn number_format(field: &Field, whole: bool) -> Result<NumberFormat, Problem> {
    let character = |key: &'static str, text: &Option<String>| match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) if !char.is_ascii_digit() && !matches!(char, '-' | '+') => Ok(Some(char)),
                _ => Err((key, format!("is {text:?}: expected one character that is neither digit nor sign"))),
            }
        }
    };
    let decimal_char = character("decimalChar", &field.decimal_char)?.unwrap_or('.');
    let group_char = character("groupChar", &field.group_char)?;
    if group_char == Some(decimal_char) {
        return Err(("groupChar", "is the decimalChar too".to_owned()));
    }
    Ok(NumberFormat { decimal_char, group_char, bare: field.bare_number.unwrap_or(true), whole })
}

fn temporal_format(field: &Field, iso: TemporalFormat, name: &str) -> Result<(TemporalFormat, String), Problem> {
    match field.format.as_deref() {
        None | Some("default") => Ok((iso, name.to_owned())),
        Some("any") => {
            Err(("format", "\"any\" would guess: say how the dates are written, such as \"%m/%d/%y\"".to_owned()))
        }
        Some(pattern) => match TemporalFormat::compile(pattern) {
            Ok(format) => Ok((format, pattern.to_owned())),
            Err(directive) => Err(("format", format!("{directive} in {pattern:?} is not supported"))),
        },
    }
}

fn compile_bound(kind: &Kind, key: &'static str, json: Option<&Json>) -> Result<Option<Bound>, Problem> {
    let Some(json) = json else { return Ok(None) };
    if matches!(kind, Kind::Any | Kind::Text | Kind::Boolean { .. }) {
        return Err((key, "is for numbers, dates, times and years".to_owned()));
    }
    let value = kind.constant(json).ok_or_else(|| (key, format!("{json} is not {}", kind.expected())))?;
    Ok(Some(Bound { value, text: json_text(json) }))
}

fn compile_pattern(constraints: &Constraints) -> Result<Option<(Regex, String)>, Problem> {
    let Some(pattern) = &constraints.pattern else { return Ok(None) };
    // Alone first: only then do the anchors hold for all of it.
    let compiled = Regex::new(pattern).and_then(|_| Regex::new(&format!("^(?:{pattern})$")));
    match compiled {
        Ok(regex) => Ok(Some((regex, pattern.clone()))),
        Err(error) => Err(("pattern", error.to_string())),
    }
}

fn compile_values(kind: &Kind, constraints: &Constraints) -> Result<Option<(Allowed, String)>, Problem> {
    let Some(listed) = &constraints.values else { return Ok(None) };
    if listed.is_empty() {
        return Err(("enum", "there must be at least one value".to_owned()));
    }
    let allowed = if matches!(kind, Kind::Any | Kind::Text) {
        let mut texts: Vec<String> = listed.iter().map(json_text).collect();
        texts.sort();
        Allowed::Texts(texts)
    } else {
        let mut values = Vec::with_capacity(listed.len());
        for json in listed {
            let value = kind.constant(json);
            values.push(value.ok_or_else(|| ("enum", format!("{json} is not {}", kind.expected())))?);
        }
        values.sort_by(order);
        Allowed::Values(values)
    };
    let names: Vec<String> = listed.iter().take(20).map(json_text).collect();
    let more = if listed.len() > 20 { ", …" } else { "" };
    Ok(Some((allowed, format!("{}{more}", names.join(", ")))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::schema::kit::compile;

    #[test]
    fn what_cannot_be_checked_is_refused_by_field_and_key() {
        for (field, says) in [
            (json!({"type": "geopoint"}), "field \"c\": type: \"geopoint\" is not supported: expected string, integer"),
            (
                json!({"constraints": {"unique": true}}),
                "field \"c\": unique: not supported: records are checked one by one",
            ),
            (json!({"constraints": {"requried": true}}), "unknown field `requried`"),
            (json!({"constraints": {"pattern": "(a"}}), "field \"c\": pattern: regex parse error"),
            (json!({"constraints": {"pattern": "a)|(b"}}), "field \"c\": pattern: regex parse error"),
            (json!({"constraints": {"minimum": 1}}), "field \"c\": minimum: is for numbers"),
            (json!({"constraints": {"minLength": 3, "maxLength": 2}}), "maxLength: is less than minLength"),
            (json!({"constraints": {"enum": []}}), "enum: there must be at least one"),
            (json!({"type": "integer", "constraints": {"minimum": 1.5}}), "minimum: 1.5 is not a whole number"),
            (json!({"type": "integer", "constraints": {"minimum": 5, "maximum": 4}}), "maximum: is less than minimum"),
            (json!({"type": "integer", "constraints": {"enum": ["x"]}}), "enum: \"x\" is not a whole number"),
            (json!({"type": "date", "format": "any"}), "format: \"any\" would guess"),
            (json!({"type": "date", "format": "%m/%y"}), "format: \"%m/%y\" does not say year, month and day"),
            (json!({"type": "date", "format": "%Q"}), "format: %Q in \"%Q\" is not supported"),
            (json!({"format": "email"}), "format: is for dates and times"),
            (json!({"decimalChar": ","}), "decimalChar: is for numbers"),
            (json!({"type": "number", "decimalChar": ",", "groupChar": ","}), "groupChar: is the decimalChar too"),
            (json!({"type": "number", "decimalChar": "--"}), "decimalChar: is \"--\""),
            (json!({"type": "boolean", "trueValues": ["0"]}), "trueValues: \"0\" is among the falseValues too"),
        ] {
            let mut named = field.clone();
            named["name"] = "c".into();
            let error = compile(named).unwrap_err();
            assert!(error.contains(says), "{field}: {error}");
        }
    }
}
