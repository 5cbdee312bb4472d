//! The reference of all operations, as Markdown: `docs/operations-reference.md` is what this writes.

use std::fmt::Write as _;

use schemars::SchemaGenerator;
use serde_json::Value as Json;

use crate::{
    cases::{Case, CaseTable, Expected, cells, header},
    operations::{self, OperationKind},
};

const HEAD: &str = "# Operations

Written by `UPDATE_DOCS=1 cargo test -p reconcile --test documentation` from the code; every example is a test.

What holds for all of them:

- **Types**: `text`, `integer` (64 bits), `decimal(s)` (exact, `s` decimals, 0 to 20; 38 digits with them), `date`, `timestamp` (UTC,
  microseconds), `boolean`. A decimal stays a decimal: nothing becomes a float. A number that does not fit its type is an error, never another
  number. Types are checked through the whole job before any data is read.
- **Blank**: an empty cell. There is no empty text: a text without characters is blank.
- **Keys**: in lookups, joins and matching a blank key equals nothing. In groups and duplicates blank is a value like others.
- **Text** compares by code points. Where case does not count, texts are compared in Unicode lower case; parts of texts with
  σ for ς, which stands where a word ends.
- **Order**: the order of rows is part of a result, as in a sheet. Sorting puts blanks last, both ways.
- **Values** in a job are JSON text, whole numbers, `true` or `false`; a decimal is text, `\"12.50\"`.
- **Names**: column names are unique in a table, and case counts. A new column stands beside the others, and a name that is taken is an error;
  only operations that go row by row replace the column that is called so, where they say it.
";

/// The whole reference.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("\n| operation | |\n|---|---|\n");
    for kind in operations::all() {
        line(&mut text, format_args!("| [`{0}`](#{0}) | {1} |", kind.name.to_owned(), kind.reference.summary));
    }
    let mut generator = SchemaGenerator::default();
    for kind in operations::all() {
        text.push('\n');
        text.push_str(&entry(kind, &mut generator));
    }
    text.push_str("\n## Values of parameters\n");
    text.push_str(&definitions(&generator));
    text
}

/// The reference of one operation, and of the values that its parameters have.
pub fn operation(kind: &OperationKind) -> String {
    let mut generator = SchemaGenerator::default();
    let mut text = entry(kind, &mut generator);
    let values = definitions(&generator);
    if !values.is_empty() {
        text.push_str("\n## Values of its parameters\n");
        text.push_str(&values);
    }
    text
}

fn definitions(generator: &SchemaGenerator) -> String {
    generator.definitions().iter().map(|(name, schema)| definition(name, schema)).collect()
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a text cannot fail.
    let _ = writeln!(text, "{what}");
}

fn entry(kind: &OperationKind, generator: &mut SchemaGenerator) -> String {
    let about = kind.reference;
    let mut text = format!("## {}\n\n**{}**. {}\n\n", kind.name, about.title, about.summary);
    text.push_str(&parameters(&(kind.schema)(generator).to_value()));
    if !kind.results.is_empty() {
        text.push_str("\nResults:\n\n");
        for (name, what) in kind.results {
            line(&mut text, format_args!("- `<step>.{name}`: {what}"));
        }
    }
    text.push('\n');
    for (title, what) in
        [("Types", about.types), ("Blanks", about.blanks), ("Rows", about.rows), ("Spreadsheets", about.spreadsheet)]
    {
        line(&mut text, format_args!("- **{title}**: {what}"));
    }
    for case in (kind.cases)() {
        text.push_str(&example(&case));
    }
    text
}

fn parameters(schema: &Json) -> String {
    let mut text = "| parameter | is | |\n|---|---|---|\n".to_owned();
    let required: Vec<&str> =
        schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    for (name, property) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
        let about = property.get("description").and_then(Json::as_str).unwrap_or_default().replace('\n', " ");
        let default = match property.get("default") {
            Some(Json::Null) | None => String::new(),
            Some(default) => format!(" Default: `{default}`."),
        };
        let must = if required.contains(&name.as_str()) { "" } else { ", optional" };
        line(&mut text, format_args!("| `{name}` | {}{must} | {about}{default} |", shape(property)));
    }
    text
}

/// What a value is, in a few words.
fn shape(schema: &Json) -> String {
    if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(any) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Json::as_array) {
        let shapes: Vec<String> =
            any.iter().filter(|one| one.get("type") != Some(&Json::from("null"))).map(shape).collect();
        return shapes.join(" or ");
    }
    if schema.get("type") == Some(&Json::from("array")) {
        return schema.get("items").map_or_else(|| "list".to_owned(), |items| format!("list of {}", shape(items)));
    }
    let kind = |kind: &Json| match kind.as_str() {
        Some("string") => Some("text"),
        Some("integer") => Some("whole number"),
        Some("boolean") => Some("true or false"),
        Some("object") => Some("object"),
        _ => None,
    };
    match schema.get("type") {
        Some(Json::Array(kinds)) => kinds.iter().find_map(kind).unwrap_or("value").to_owned(),
        Some(one) => kind(one).unwrap_or("value").to_owned(),
        None => "value".to_owned(),
    }
}

fn definition(name: &str, schema: &Json) -> String {
    let about = |schema: &Json| schema.get("description").and_then(Json::as_str).unwrap_or_default().replace('\n', " ");
    let mut text = format!("\n### {name}\n\n{}\n", about(schema));
    let variants = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Json::as_array);
    let variants: Vec<String> =
        variants.into_iter().flatten().map(|variant| variant_line(variant, &about(variant))).collect();
    if !variants.is_empty() {
        line(&mut text, format_args!("\n{}", variants.join("\n")));
    }
    if schema.get("properties").is_some() {
        text.push('\n');
        text.push_str(&parameters(schema));
    }
    text
}

fn variant_line(variant: &Json, about: &str) -> String {
    if let Some(constant) = variant.get("const") {
        return format!("- `{constant}`: {about}");
    }
    if let Some(values) = variant.get("enum").and_then(Json::as_array) {
        let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
        return format!(
            "- {}{}",
            values.join(", "),
            if about.is_empty() { String::new() } else { format!(": {about}") }
        );
    }
    let properties = variant.get("properties").and_then(Json::as_object);
    let keys: Vec<String> =
        properties.into_iter().flatten().map(|(key, one)| format!("`{key}` ({})", shape(one))).collect();
    let form = if keys.is_empty() { shape(variant) } else { keys.join(", ") };
    if about.is_empty() { format!("- {form}") } else { format!("- {form}: {about}") }
}

fn example(case: &Case) -> String {
    let mut text = format!("\n*{}*\n\n", capitalised(case.title));
    for (name, table) in &case.inputs {
        line(&mut text, format_args!("`{name}`\n\n{}", markdown(table)));
    }
    for step in case.before.iter().chain([&case.parameters]) {
        let step = step.split_whitespace().collect::<Vec<_>>().join(" ");
        line(&mut text, format_args!("```json\n{step}\n```\n"));
    }
    match &case.expected {
        Expected::Tables(tables) => {
            for (name, table) in tables {
                let name = if name.is_empty() { "Result".to_owned() } else { format!("`step.{name}`") };
                line(&mut text, format_args!("{name}\n\n{}", markdown(table)));
            }
        }
        Expected::Refused(words) => line(&mut text, format_args!("The job is refused: … {words} …")),
        Expected::Fails(words) => line(&mut text, format_args!("The job fails: … {words} …")),
    }
    text
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), chars.as_str()))
}

fn markdown(table: &CaseTable) -> String {
    let columns = header(table.header).unwrap_or_default();
    let names: Vec<String> = columns.iter().map(|column| format!("{} *{}*", column.name, column.kind)).collect();
    let mut text = format!("| {} |\n|{}\n", names.join(" | "), "---|".repeat(columns.len()));
    for row in table.rows {
        let cell = |cell: &str| {
            let spaced = cell.starts_with(' ') || cell.ends_with(' ') || cell.contains("  ");
            if spaced { format!("`{cell}`") } else { cell.to_owned() }
        };
        line(&mut text, format_args!("| {} |", cells(row).into_iter().map(cell).collect::<Vec<_>>().join(" | ")));
    }
    text
}
