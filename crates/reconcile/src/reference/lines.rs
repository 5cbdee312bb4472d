//! Inputs of JSON lines, as the reference engine reads them.

use serde_json::value::RawValue;

use super::InputRows;
use crate::{
    json_path::{JsonPath, JsonStep},
    plan::{Body, Plan},
    task::TaskInput,
    types::{Type, Value},
};

impl InputRows {
    /// What a plan reads of an input of JSON lines whose objects have these bytes. The error says which row it is about.
    pub fn of_json_lines(plan: &Plan, name: &str, input: &TaskInput, objects: &[Vec<u8>]) -> Result<Self, String> {
        let read = plan.relations.iter().find(|one| matches!(&one.body, Body::Read { input } if input == name));
        let columns = read.map(|relation| relation.columns.as_slice()).unwrap_or_default();
        let columns: Vec<(String, Type, JsonPath)> = columns
            .iter()
            .filter(|column| !column.name.starts_with('#'))
            .map(|column| {
                let own = || JsonPath(vec![JsonStep::Member(column.name.clone())]);
                let path = input.paths.get(&column.name).cloned().unwrap_or_else(own);
                (column.name.clone(), column.kind, path)
            })
            .collect();
        let line = |(number, line): (usize, &[u8])| {
            let object: &RawValue = serde_json::from_slice(line).map_err(|error| format!("row {number}: {error}"))?;
            let cell = |(name, kind, path): &(String, Type, JsonPath)| {
                cell(object, (name, *kind), path).map_err(|problem| format!("row {number}, column {name:?}: {problem}"))
            };
            columns.iter().map(cell).collect::<Result<Vec<Value>, String>>()
        };
        let object = |bytes: &Vec<u8>| {
            let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
            let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
            lines.filter(|(_, line)| !line.trim_ascii().is_empty()).map(line).collect::<Result<Vec<_>, String>>()
        };
        let objects = objects.iter().map(object).collect::<Result<_, String>>()?;
        Ok(Self { columns: columns.iter().map(|(name, ..)| name.clone()).collect(), objects })
    }
}

fn cell(object: &RawValue, (name, kind): (&str, Type), path: &JsonPath) -> Result<Value, String> {
    let Some(found) = path.find(object).map_err(|misplaced| misplaced.told(name))? else {
        return Ok(Value::Blank);
    };
    let raw = found.get();
    let text = match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(raw).ok(),
        Some(b'-' | b'0'..=b'9') if kind.is_number() => Some(raw.to_owned()),
        Some(b't' | b'f') if kind == Type::Boolean => Some(raw.to_owned()),
        _ => None,
    };
    text.and_then(|text| kind.parse(&text)).ok_or_else(|| format!("expected {}, found {raw}", kind.written()))
}
