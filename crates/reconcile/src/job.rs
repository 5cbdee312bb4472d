//! The job document: what is read, what is done with it, what comes out.
//!
//! Its JSON Schema is published as `docs/reconcile-job.schema.json`.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use records::{FieldType, Resource};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::{
    error::PlanError,
    operations::{self, Operation},
    parameters::TableName,
    types::{SCALE_MAX, Type},
};

/// A job, read and known to be well-formed. [`Job::plan`] says whether it makes sense.
#[derive(Debug)]
pub struct Job {
    /// What is read, by name.
    pub inputs: BTreeMap<String, Input>,
    /// What is done, in any order.
    pub steps: Vec<Step>,
    /// What comes out.
    pub outputs: Vec<Output>,
    /// What holds for the whole job.
    pub options: JobOptions,
}

/// A step: an operation and its parameters, under a name.
#[derive(Debug)]
pub struct Step {
    /// The name, by which other steps and outputs call its result.
    pub name: String,
    /// The operation's name.
    pub operation: &'static str,
    /// What it does.
    pub work: Arc<dyn Operation>,
}

/// A job, as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "an object with `version`, `inputs`, `steps` and `outputs`"
)]
#[schemars(rename = "Job", title = "A tieout reconcile job")]
struct JobDocument {
    /// The version of this form: 1.
    #[schemars(range(min = 1, max = 1))]
    version: u32,
    /// What is read, by name.
    inputs: BTreeMap<String, Input>,
    /// What is done: in any order, but not in a circle.
    #[serde(default)]
    #[schemars(with = "Vec<AnyStep>")]
    steps: Vec<Map<String, Json>>,
    /// What comes out.
    outputs: Vec<Output>,
    /// What holds for the whole job.
    #[serde(default)]
    options: JobOptions,
}

/// A data set that is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an input as {\"format\": …}")]
pub struct Input {
    /// How it is written.
    pub format: InputFormat,
    /// The objects, read in this order.
    #[serde(default)]
    pub objects: Vec<String>,
    /// Instead of `objects`: all objects whose keys begin so, in the order of their keys.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Of CSV: a feed that says what its files look like.
    #[serde(default)]
    pub feed: Option<String>,
    /// Of CSV, instead of `feed`: the descriptor itself, a Tabular Data Resource.
    #[serde(default)]
    pub descriptor: Option<Resource>,
    /// Of format `ledger`: the ledger whose artifacts are read.
    #[serde(default)]
    pub ledger: Option<String>,
    /// The columns that are read, and their types. With a feed or a descriptor, further columns are read by the types that
    /// these give them (a `number` is decimal(2)); a Parquet file knows its own; JSON lines need them. Of a ledger, these
    /// are all that are read; without them, all that it has, its amounts as decimal(2).
    #[serde(default)]
    pub columns: Vec<InputColumn>,
}

/// A column of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "{\"name\": …, \"type\": …}")]
pub struct InputColumn {
    /// Its name in the file.
    pub name: String,
    /// The type of its cells. A cell that does not fit it is an error; nothing is rounded.
    #[serde(rename = "type")]
    pub kind: Type,
    /// Of JSON lines: whether all rows may lack it. Otherwise a column that no row has is an error: it may be misspelt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

impl InputColumn {
    /// A column of that name and type.
    pub const fn new(name: String, kind: Type) -> Self {
        Self { name, kind, optional: false }
    }
}

/// How an input is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum InputFormat {
    /// Separated values with a header.
    Csv,
    /// A JSON object a line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
    /// The artifacts of a ledger, each as it is now, in the order of their keys.
    Ledger,
}

/// How an output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// Comma-separated values with a header.
    Csv,
    /// A JSON object a line; decimals are text.
    JsonLines,
    /// Apache Parquet.
    Parquet,
}

/// A data set that comes out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "{\"name\": …, \"from\": …, \"format\": …}")]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Whose result it is.
    pub from: TableName,
    /// How it is written.
    pub format: Format,
    /// Of CSV: whether texts that a spreadsheet would run as formulas (they begin with `=`, `+`, `-`, `@`, a tab or a
    /// carriage return, and are no number) get an apostrophe before them.
    #[serde(default)]
    pub formula_guard: bool,
}

/// What holds for the whole job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JobOptions {
    /// Whether outputs keep the order of rows.
    pub row_order: RowOrder,
    /// What runs the job.
    pub engine: EngineChoice,
    /// Who is told by mail how it ended; at most 50 addresses.
    #[schemars(length(max = 50))]
    pub mail: Vec<String>,
}

/// What runs a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EngineChoice {
    /// What suits its size.
    #[default]
    Auto,
    /// The engine in a function, however large the job is.
    Embedded,
    /// The distributed engine, however small the job is.
    Spark,
}

/// Whether outputs keep the order of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RowOrder {
    /// They do: that of the inputs, or that which an operation makes.
    #[default]
    Kept,
    /// Any order will do; it may be quicker.
    Any,
}

/// The column of a ledger that has an artifact's key.
pub const LEDGER_KEY: &str = "key";
/// The column of a ledger by which the latest version of an artifact is known: the largest.
pub const LEDGER_SEQUENCE: &str = "applied_through";

/// The steps of every operation, for the schema.
struct AnyStep;

impl JsonSchema for AnyStep {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut step = |kind: &operations::OperationKind| -> Json {
            let mut schema = (kind.schema)(generator).to_value();
            if let Some(Json::Object(properties)) = schema.get_mut("properties") {
                let name = "The step's name, by which other steps and outputs call its result.";
                properties.insert("name".to_owned(), serde_json::json!({"type": "string", "description": name}));
                let operation = serde_json::json!({"const": kind.name, "description": kind.reference.summary});
                properties.insert("operation".to_owned(), operation);
            }
            if let Some(object) = schema.as_object_mut() {
                let required = object.entry("required").or_insert_with(|| Json::Array(Vec::new()));
                if let Json::Array(required) = required {
                    required.extend(["name", "operation"].map(Json::from));
                }
                object.insert("title".to_owned(), Json::from(kind.reference.title));
            }
            schema
        };
        let steps: Vec<Json> = operations::all().iter().map(&mut step).collect();
        json_schema!({"oneOf": steps})
    }
}

const NAME_CHARS_MAX: usize = 64;

fn name_problem(name: &str) -> Option<String> {
    let good = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    let fits = !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(good);
    (!fits).then(|| format!("{name:?} is no name: expected letters, digits, - and _, at most {NAME_CHARS_MAX} of them"))
}

/// Whether descriptors have the keys of one alone: feeds have a further one, so that their type takes whatever comes.
fn known_keys(text: &str) -> Result<(), PlanError> {
    #[derive(Deserialize)]
    struct Inputs {
        inputs: BTreeMap<String, Described>,
    }
    #[derive(Deserialize)]
    struct Described {
        #[serde(default)]
        descriptor: Option<Map<String, Json>>,
    }
    let Inputs { inputs } = serde_json::from_str(text).map_err(|error| unreadable("inputs", &error))?;
    for (name, Described { descriptor }) in inputs {
        let descriptor = descriptor.unwrap_or_default();
        if let Some(key) = descriptor.keys().find(|key| !Resource::KEYS.contains(&key.as_str())) {
            let problem = "it is no key of a Tabular Data Resource, such as `dialect`, `encoding`, `schema`";
            return Err(PlanError::document(format!("inputs.{name}.descriptor.{key}"), problem));
        }
    }
    Ok(())
}

impl Job {
    /// The version of the document that this code reads.
    pub const VERSION: u32 = 1;

    /// Reads a document.
    pub fn from_json(text: &str) -> Result<Self, PlanError> {
        crate::unique_keys(text)?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let document: JobDocument = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| unreadable(&error.path().to_string(), error.inner()))?;
        reader.end().map_err(|error| unreadable(".", &error))?;
        known_keys(text)?;
        if document.version != Self::VERSION {
            let problem = format!("expected {}, the version of job documents that is known", Self::VERSION);
            return Err(PlanError::document("version", problem));
        }
        let steps = document.steps.into_iter().enumerate().map(|(index, step)| read_step(index, step));
        let job = Self {
            inputs: document.inputs,
            steps: steps.collect::<Result<_, _>>()?,
            outputs: document.outputs,
            options: document.options,
        };
        job.names()?;
        Ok(job)
    }

    /// The JSON Schema of the document.
    pub fn json_schema() -> Json {
        schemars::schema_for!(JobDocument).to_value()
    }

    /// Every name is one, and nobody else's.
    fn names(&self) -> Result<(), PlanError> {
        let inputs = self.inputs.keys().map(|name| (format!("inputs.{name}"), name));
        let steps = self.steps.iter().enumerate().map(|(index, step)| (format!("steps[{index}].name"), &step.name));
        let mut seen = BTreeMap::new();
        for (path, name) in inputs.chain(steps) {
            if let Some(problem) = name_problem(name) {
                return Err(PlanError::document(path, problem));
            }
            if let Some(other) = seen.insert(name.clone(), path.clone()) {
                return Err(PlanError::document(path, format!("{name:?} is the name of {other} already")));
            }
        }
        if self.outputs.is_empty() {
            return Err(PlanError::document("outputs", "nothing would come out: name one output at least"));
        }
        let mut seen = BTreeMap::new();
        for (index, output) in self.outputs.iter().enumerate() {
            let path = format!("outputs[{index}].name");
            if let Some(problem) = name_problem(&output.name) {
                return Err(PlanError::document(path, problem));
            }
            if let Some(other) = seen.insert(&output.name, path.clone()) {
                return Err(PlanError::document(path, format!("{:?} is the name of {other} already", output.name)));
            }
            if output.formula_guard && output.format != Format::Csv {
                let path = format!("outputs[{index}].formulaGuard");
                return Err(PlanError::document(path, "goes with format `csv`: no spreadsheet runs the others' texts"));
            }
        }
        Ok(())
    }
}

/// What of a document cannot be read, and where.
fn unreadable(path: &str, error: &serde_json::Error) -> PlanError {
    const WHOLE: &str = "the document";
    if error.to_string().starts_with("recursion limit") {
        return PlanError::document(WHOLE, format!("is nested too deeply, at line {}", error.line()));
    }
    if !error.is_data() {
        return PlanError::document(WHOLE, format!("is no JSON: {error}"));
    }
    // A key that could not be read has no name.
    let known = path.trim_end_matches('?').trim_end_matches('.');
    PlanError::document(if known.is_empty() { WHOLE } else { known }, error.to_string())
}

fn read_step(index: usize, mut step: Map<String, Json>) -> Result<Step, PlanError> {
    let mut take = |key: &str| {
        let at = || format!("steps[{index}].{key}");
        let value = step.remove(key).ok_or_else(|| PlanError::document(at(), "is missing"))?;
        value.as_str().map(str::to_owned).ok_or_else(|| PlanError::document(at(), "expected text"))
    };
    let (name, operation) = (take("name")?, take("operation")?);
    let kind = operations::find(&operation).ok_or_else(|| {
        let problem = match operations::nearest(&operation) {
            Some(near) => format!("there is no operation {operation:?}; is {near:?} meant?"),
            None => format!("there is no operation {operation:?}; `tieout operations` lists them"),
        };
        PlanError::document(format!("steps[{index}].operation"), problem)
    })?;
    let work = (kind.read)(Json::Object(step)).map_err(|(path, problem)| {
        let path = if path == "." { format!("steps[{index}]") } else { format!("steps[{index}].{path}") };
        PlanError::document(path, format!("{problem} (step {name:?}, {operation})"))
    })?;
    Ok(Step { name, operation: kind.name, work })
}

/// The decimals of a descriptor's `number` whose column says no type.
const NUMBER_SCALE: u8 = 2;
const _: () = assert!(NUMBER_SCALE <= SCALE_MAX);

/// The most columns that are told of an input.
const NAMES_TOLD: usize = 20;

impl Input {
    /// The columns of the input. `found` are those that a feed or the file itself has, where the job says to look there.
    pub fn schema(&self, name: &str, found: Option<&[InputColumn]>) -> Result<Vec<(String, Type)>, PlanError> {
        self.check(name)?;
        let mut columns: Vec<(String, Type)> = match (&self.descriptor, found) {
            (Some(descriptor), _) => {
                columns_of(name, descriptor)?.into_iter().map(|one| (one.name, one.kind)).collect()
            }
            (None, Some(found)) => found.iter().map(|one| (one.name.clone(), one.kind)).collect(),
            (None, None) => Vec::new(),
        };
        let known = !columns.is_empty();
        let mut said = BTreeSet::new();
        for column in &self.columns {
            if !said.insert(&column.name) {
                return Err(PlanError::input(name, format!("two columns are called {:?}", column.name)));
            }
            match columns.iter_mut().find(|(name, _)| *name == column.name) {
                Some((_, kind)) => *kind = column.kind,
                None if known => {
                    let names = columns.iter().map(|(name, _)| name.as_str()).take(NAMES_TOLD).collect::<Vec<_>>();
                    let has = names.join(", ");
                    return Err(PlanError::input(name, format!("it has no column {:?}; it has {has}", column.name)));
                }
                None => columns.push((column.name.clone(), column.kind)),
            }
        }
        if columns.is_empty() {
            return Err(PlanError::input(name, "its columns are not known: list them in `columns`"));
        }
        for (index, (column, _)) in columns.iter().enumerate() {
            let problem = if column.is_empty() || column.starts_with('#') {
                format!("a column cannot be called {column:?}: a name has characters, and does not begin with #")
            } else if columns.iter().take(index).any(|(other, _)| other == column) {
                format!("two columns are called {column:?}")
            } else {
                continue;
            };
            return Err(PlanError::input(name, problem));
        }
        Ok(columns)
    }

    /// Whether what it says goes together.
    pub fn check(&self, name: &str) -> Result<(), PlanError> {
        let ledger = self.format == InputFormat::Ledger;
        let is_path = |prefix: &String| ["./", "../", "/"].iter().any(|begin| prefix.starts_with(begin));
        let problem = if self.prefix.as_ref().is_some_and(is_path) {
            "`prefix` is the beginning of keys in the data bucket, not a folder of a machine: leave `./`, `../` and `/` at its \
             beginning out, or list the files in `objects`"
        } else if ledger != self.ledger.is_some() {
            "`ledger` goes with format `ledger`"
        } else if ledger && (!self.objects.is_empty() || self.prefix.is_some()) {
            "a ledger has neither `objects` nor `prefix`"
        } else if !ledger && self.objects.is_empty() == self.prefix.is_none() {
            "expected either `objects` or `prefix`"
        } else if self.objects.iter().collect::<BTreeSet<_>>().len() < self.objects.len() {
            "`objects` has one twice: its rows would count twice"
        } else if self.format != InputFormat::Csv && (self.feed.is_some() || self.descriptor.is_some()) {
            "`feed` and `descriptor` go with format `csv`"
        } else if self.feed.is_some() && self.descriptor.is_some() {
            "expected either `feed` or `descriptor`"
        } else if self.format != InputFormat::JsonLines && self.columns.iter().any(|column| column.optional) {
            "`optional` goes with format `jsonLines`: other files name their columns once for all rows"
        } else {
            return Ok(());
        };
        Err(PlanError::input(name, problem))
    }
}

/// The columns of a descriptor, with the types that they have in a job.
pub fn columns_of(input: &str, descriptor: &Resource) -> Result<Vec<InputColumn>, PlanError> {
    let fields = descriptor.schema.as_ref().map(|schema| schema.fields.as_slice()).unwrap_or_default();
    let column = |field: &records::Field| {
        let kind = match field.kind {
            FieldType::Integer | FieldType::Year => Type::Integer,
            FieldType::Number => Type::Decimal(NUMBER_SCALE),
            FieldType::Boolean => Type::Boolean,
            FieldType::Date => Type::Date,
            FieldType::DateTime => Type::Timestamp,
            FieldType::String | FieldType::Time | FieldType::Any => Type::Text,
            FieldType::Other(ref other) => {
                return Err(PlanError::input(
                    input,
                    format!("column {:?} has a type that is not supported: {other}", field.name),
                ));
            }
        };
        Ok(InputColumn::new(field.name.clone(), kind))
    };
    fields.iter().map(column).collect()
}
