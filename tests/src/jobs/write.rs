//! Examples as files: tasks as engines are given them, the objects that they read, and what is to come of them.

#![expect(clippy::indexing_slicing, reason = "a key that a JSON object lacks is added")]

use std::{fs, io, path::Path};

use reconcile::{Type, Value, reference::OutputRows};
use serde_json::{Map, Value as Json, json};

use super::{Data, Example, Outcome, parquet};
use crate::dice::Dice;

/// Writes an example into a folder that several can share:
///
/// * `tasks/<name>.json`: the task. Its inputs are in the bucket `data`, its outputs go to the bucket `work`, under its name.
/// * `data/<name>/…`: the objects.
/// * `expected/<name>.json`: the outputs by name, each with `columns` and `rows` of texts and nulls, and whether the rows come in
///   this order; or `failures`, the places of which one is to be told.
pub fn write(example: &Example, folder: &Path) -> io::Result<()> {
    let mut dice = Dice(u64::from(crc(&example.name)));
    let mut inputs = Map::new();
    for (name, data) in &example.data {
        inputs.insert(name.clone(), input(&mut dice, data, &format!("{}/{name}", example.name), &folder.join("data"))?);
    }
    let task = json!({
        "version": 1,
        "job": {"tenant": "tests", "job": example.name, "attempt": 1},
        "plan": example.plan,
        "inputs": inputs,
        "output": {"bucket": "work", "prefix": example.name},
    });
    put(&folder.join("tasks").join(format!("{}.json", example.name)), task.to_string().as_bytes())?;
    put(&folder.join("jobs").join(format!("{}.json", example.name)), format!("{:#}", example.job).as_bytes())?;
    put(&folder.join("expected").join(format!("{}.json", example.name)), expected(example).to_string().as_bytes())
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, bytes)
}

/// A number of a name: nothing but different for different names.
fn crc(name: &str) -> u32 {
    name.bytes().fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)))
}

fn expected(example: &Example) -> Json {
    match example.outcome() {
        Outcome::Fails(places) => {
            let place = |place: super::Failure| json!({"step": place.step, "operation": place.operation, "column": place.column});
            json!({"failures": places.into_iter().map(place).collect::<Vec<_>>()})
        }
        Outcome::Outputs(outputs) => {
            let ordered = |name: &str| example.plan.outputs.iter().any(|one| one.name == name && !one.order.is_empty());
            let guards = |name: &str| example.plan.outputs.iter().any(|one| one.name == name && one.formula_guard);
            let written = outputs.iter().map(|(name, rows)| (name.clone(), table(rows, ordered(name), guards(name))));
            json!({"outputs": written.collect::<Map<_, _>>()})
        }
    }
}

fn table(output: &OutputRows, ordered: bool, guards: bool) -> Json {
    let columns: Vec<Json> = output.columns.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    let cell = |((_, kind), value): (&(String, Type), &Value)| match kind.format(value) {
        _ if value.is_blank() => Json::Null,
        text if guards && *kind == Type::Text => json!(records::guard(&text)),
        text => json!(text),
    };
    let rows: Vec<Vec<Json>> =
        output.rows.iter().map(|row| output.columns.iter().zip(row).map(cell).collect()).collect();
    json!({"columns": columns, "rows": rows, "ordered": ordered})
}

/// Writes an input's objects; the input as a task names it.
fn input(dice: &mut Dice, data: &Data, prefix: &str, bucket: &Path) -> io::Result<Json> {
    let (format, csv) = match dice.below(9) {
        0..3 => ("parquet", None),
        3..5 => ("jsonLines", None),
        _ => ("csv", Some(Csv::random(dice, data))),
    };
    let mut objects = Vec::new();
    for (index, rows) in data.objects.iter().enumerate() {
        let bytes = match &csv {
            Some(csv) => csv.bytes(dice, data, rows),
            None if format == "parquet" => parquet::bytes(dice, data, rows)?,
            None => lines(dice, data, rows),
        };
        let key = format!("{prefix}-{index}.{format}");
        put(&bucket.join(&key), &bytes)?;
        objects.push(json!({"bucket": "data", "key": key, "etag": "0", "bytes": bytes.len()}));
    }
    let mut input = json!({"format": format, "objects": objects});
    if let Some(csv) = csv {
        input["csv"] = csv.described;
    }
    Ok(input)
}

/// JSON lines: blanks as null or, behind the first row, not at all, numbers as numbers or texts.
fn lines(dice: &mut Dice, data: &Data, rows: &[Vec<Value>]) -> Vec<u8> {
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        let mut cells: Vec<String> = Vec::new();
        for ((name, kind), value) in data.columns.iter().zip(row) {
            let cell = match (kind, value) {
                (_, Value::Blank) if at > 0 && dice.below(2) == 0 => continue,
                (_, Value::Blank) => dice.pick(&["null", "\"\""]).to_owned(),
                (Type::Integer | Type::Decimal(_) | Type::Boolean, _) if dice.below(2) == 0 => kind.format(value),
                _ => json!(kind.format(value)).to_string(),
            };
            cells.push(format!("{}:{cell}", json!(name)));
        }
        if dice.below(4) == 0 {
            cells.reverse();
            cells.push("\"another\":[1,{\"k\":2}]".to_owned());
        }
        text.push_str(&format!("{{{}}}", cells.join(",")));
        text.push_str(dice.pick(&["\n", "\n", "\r\n"]));
    }
    text.into_bytes()
}

/// How an input's CSV is written.
struct Csv {
    described: Json,
    delimiter: char,
    quote: char,
    line_end: &'static str,
    blank: String,
    comma: bool,
    date: String,
    words: (&'static str, &'static str),
    header: bool,
    /// Whether columns may stand in another order, with others between them.
    free: bool,
    byte_order_mark: bool,
}

const DATE_FORMAT: &str = "%d.%m.%Y";

impl Csv {
    fn random(dice: &mut Dice, data: &Data) -> Self {
        let (comma, header) = (dice.below(3) == 0, dice.below(6) > 0);
        let free = header && dice.below(3) == 0;
        let delimiter = if comma { ';' } else { dice.pick(&[',', ',', '\t', '|']) };
        let quote = dice.pick(&['"', '"', '\'']);
        let cells = data.objects.iter().flatten().flatten();
        let mut texts = cells.filter_map(|cell| if let Value::Text(text) = cell { Some(text.as_str()) } else { None });
        let blank = dice.pick(&["", "", "-", "n/a"]);
        let blank = if texts.any(|text| text == blank) { String::new() } else { blank.to_owned() };
        let date = dice.pick(&["default", DATE_FORMAT]).to_owned();
        let words = dice.pick(&[("true", "false"), ("ja", "nein"), ("1", "0")]);
        let column = |(name, kind): &(String, Type)| {
            let mut column = json!({"name": name, "type": kind});
            match kind {
                Type::Integer | Type::Decimal(_) if comma => {
                    column["decimalChar"] = json!(",");
                    column["groupChar"] = json!(".");
                }
                Type::Date if date != "default" => column["format"] = json!(date),
                Type::Boolean if words.0 != "true" => {
                    column["trueValues"] = json!([words.0]);
                    column["falseValues"] = json!([words.1]);
                }
                _ => {}
            }
            column
        };
        let columns: Vec<Json> = data.columns.iter().map(column).collect();
        let described = json!({
            "delimiter": delimiter.to_string(), "quoteChar": quote.to_string(), "doubleQuote": true, "skipInitialSpace": false,
            "encoding": "utf-8", "header": header, "caseSensitiveHeader": false,
            "fieldsMatch": if free { "subset" } else { "exact" }, "missingValues": ["", blank], "columns": columns,
        });
        let byte_order_mark = dice.below(4) == 0;
        let line_end = dice.pick(&["\n", "\r\n", "\r\n", "\r"]);
        Self { described, delimiter, quote, line_end, blank, comma, date, words, header, free, byte_order_mark }
    }

    fn bytes(&self, dice: &mut Dice, data: &Data, rows: &[Vec<Value>]) -> Vec<u8> {
        let mut order: Vec<Option<usize>> = (0..data.columns.len()).map(Some).collect();
        if self.free {
            order.insert(dice.below(data.columns.len() as u64 + 1) as usize, None);
            let turn = dice.below(order.len() as u64) as usize;
            order.rotate_left(turn);
        }
        let mut lines = Vec::new();
        if self.header {
            let name = |at: &Option<usize>| {
                let name = at.and_then(|at| data.columns.get(at)).map_or("Another", |(name, _)| name);
                if self.free { name.to_uppercase() } else { name.to_owned() }
            };
            lines.push(order.iter().map(|at| self.quoted(&name(at), false)).collect::<Vec<_>>());
        }
        for row in rows {
            let cell = |at: &Option<usize>| match at.and_then(|at| data.columns.get(at).zip(row.get(at))) {
                Some(((_, kind), value)) => self.cell(*kind, value),
                None => "anything".to_owned(),
            };
            let cells: Vec<String> = order.iter().map(cell).collect();
            lines.push(cells.iter().map(|cell| self.quoted(cell, cells.len() == 1 || dice.below(8) == 0)).collect());
        }
        let delimiter = self.delimiter.to_string();
        let joined: Vec<String> = lines.iter().map(|cells| cells.join(&delimiter)).collect();
        let mut text = if self.byte_order_mark { "\u{feff}".to_owned() } else { String::new() };
        // Empty lines are none.
        text.push_str(&joined.join(&self.line_end.repeat(1 + usize::from(dice.below(6) == 0))));
        if dice.below(3) > 0 {
            text.push_str(self.line_end);
        }
        text.into_bytes()
    }

    fn cell(&self, kind: Type, value: &Value) -> String {
        let text = kind.format(value);
        match (kind, value) {
            (_, Value::Blank) => self.blank.clone(),
            (Type::Decimal(_) | Type::Integer, _) if self.comma => self.grouped(&text),
            (Type::Date, Value::Date(days)) if self.date == DATE_FORMAT => Value::calendar(*days)
                .map_or(text, |date| format!("{:02}.{:02}.{:04}", date.day(), date.month(), date.year())),
            (Type::Boolean, Value::Boolean(truth)) => (if *truth { self.words.0 } else { self.words.1 }).to_owned(),
            _ => text,
        }
    }

    /// The number with a comma for its point, and points between groups where it has no more than two.
    fn grouped(&self, text: &str) -> String {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
        let (head, tail) = digits.split_at_checked(digits.len().saturating_sub(3)).unwrap_or((digits, ""));
        let dotted = if (1..=3).contains(&head.len()) { format!("{head}.{tail}") } else { digits.to_owned() };
        if decimals.is_empty() { format!("{sign}{dotted}") } else { format!("{sign}{dotted},{decimals}") }
    }

    fn quoted(&self, cell: &str, always: bool) -> String {
        let special = |char: char| char == self.delimiter || char == self.quote || matches!(char, '\r' | '\n');
        if !always && !cell.contains(special) {
            return cell.to_owned();
        }
        let quote = self.quote.to_string();
        format!("{quote}{}{quote}", cell.replace(self.quote, &quote.repeat(2)))
    }
}
