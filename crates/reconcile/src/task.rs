//! The task: all that an engine is given. It names the plan, the objects to read and how, and where to write.
//!
//! It is stored as JSON and may be run later, by another engine and again: [`Task::VERSION`] changes whenever its meaning does.
//! An engine needs to know of no feed and no ledger: what they say stands here.
//!
//! What an engine writes under [`Output::prefix`]:
//!
//! * For each output of the plan its rows, in their order, over the parts: `<prefix>/<output>/part-00000.csv`, or `.jsonl` or
//!   `.parquet`. An output without rows has one part without rows, or, of CSV and JSON lines, none.
//! * CSV is UTF-8 as RFC 4180 has it: commas, quotes only where needed, CRLF behind every row, and no header. The cells are
//!   those of [`crate::Type::format`]; where the output has a `formulaGuard`, those of text as [`records::guard`] has them.
//! * A line of JSON is an object with all the columns, in their order, behind it LF. Decimals, dates and timestamps are texts as
//!   in CSV, integers are numbers, booleans are booleans, blanks are null.
//! * At last [`crate::report::Report`], as `<prefix>/report.json`: what it does not name does not count.

use std::collections::BTreeMap;

use records::{Dialect, DialectError, Encoding, FieldsMatch};
use serde::{Deserialize, Serialize};

use crate::{
    job::Format,
    json_path::{JsonPath, JsonStep},
    plan::{Plan, UnusablePlan},
    types::Type,
};

/// What an engine runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Task {
    /// [`Task::VERSION`].
    pub version: u32,
    /// Whose it is.
    pub job: TaskJob,
    /// What is done.
    pub plan: Plan,
    /// What the plan reads, by the names that it has there.
    pub inputs: BTreeMap<String, TaskInput>,
    /// Where parts and report go.
    pub output: Output,
}

/// The job that a task is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskJob {
    /// The tenant.
    pub tenant: String,
    /// The job's id.
    pub job: String,
    /// Which attempt at it; the first is 1.
    pub attempt: u32,
}

/// A data set, pinned: the same bytes whenever it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskInput {
    /// How it is written.
    pub format: TaskFormat,
    /// How CSV is to be read; of other formats there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<Csv>,
    /// Of JSON lines: where the values of columns stand that are no members of the line's object. A way begins with a member.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paths: BTreeMap<String, JsonPath>,
    /// Of JSON lines: the columns that may be missing in every row. Any other one that has no path is a member of one row at
    /// least, be it null; otherwise the task fails, unless there is no row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub optional: Vec<String>,
    /// Of Parquet: its rows, as the files' footers tell them. The planner reckons with them, and what an engine has read is held
    /// against them; engines pass them over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// For the planner, of Parquet: of each column the most bytes that are in memory while one of its row groups is read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<String, u64>,
    /// For people, of a ledger: how far it was read. Engines pass it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerRead>,
    /// The objects, in the order in which they are read.
    pub objects: Vec<TaskObject>,
}

impl TaskInput {
    /// An input whose columns stand under their names.
    pub const fn new(format: TaskFormat, csv: Option<Csv>, objects: Vec<TaskObject>) -> Self {
        let paths = BTreeMap::new();
        let held = BTreeMap::new();
        Self { format, csv, paths, optional: Vec::new(), rows: None, held, ledger: None, objects }
    }

    /// Whether one row at least must have the column.
    pub fn must_have(&self, column: &str) -> bool {
        let is_excused = || self.paths.contains_key(column) || self.optional.iter().any(|name| name == column);
        self.format == TaskFormat::JsonLines && !is_excused()
    }
}

/// How far a ledger was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LedgerRead {
    /// The ledger's name.
    pub ledger: String,
    /// The number of the last batch that was in it; 0 where there was none.
    pub through: u64,
    /// Every event before this instant was in it, as RFC 3339 has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<String>,
}

/// How an input is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TaskFormat {
    /// Separated values.
    Csv,
    /// A JSON object a line. A column that an object lacks is blank, as null is; a further key is passed over. A column stands
    /// under its name, or where [`TaskInput::paths`] says. Text, dates and timestamps are texts; numbers are numbers or texts, read exactly by their digits; booleans are booleans or texts.
    JsonLines,
    /// Apache Parquet.
    Parquet,
}

/// An object of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskObject {
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// The version that is read, where the bucket keeps versions. Without one, an object whose `etag` has changed is an
    /// error. An engine that cannot ask for versions ends with the same error where another one stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The store's tag of the content.
    pub etag: String,
    /// Its length.
    pub bytes: u64,
}

/// Where an engine writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Output {
    /// The bucket.
    pub bucket: String,
    /// Under which nothing stands yet: parts and report are its alone. Without a slash at its end.
    pub prefix: String,
}

/// How the CSV of an input is read, as its feed or descriptor says. Line ends may be LF, CRLF or CR; a byte order mark is
/// passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Csv {
    /// What separates cells: one ASCII character.
    pub delimiter: String,
    /// What quotes a cell: one ASCII character; null where nothing does.
    pub quote_char: Option<String>,
    /// Whether two quotes in a quoted cell stand for one. There is no escape character.
    pub double_quote: bool,
    /// Whether spaces at the beginning of a cell are not part of it.
    pub skip_initial_space: bool,
    /// How bytes become text: `utf-8`, `iso-8859-1` or `windows-1252`.
    pub encoding: Encoding,
    /// Whether the first row of each object has the names of the columns. Without, its cells are those of `columns`, in
    /// order.
    pub header: bool,
    /// Whether names in the header that differ in their case alone are different.
    pub case_sensitive_header: bool,
    /// How the header goes with `columns`: the same names in the same order, in any order, or others besides.
    pub fields_match: FieldsMatch,
    /// Texts that stand for a blank, besides no text at all.
    pub missing_values: Vec<String>,
    /// The columns of the file, in order; the plan needs not all of them.
    pub columns: Vec<CsvColumn>,
}

/// A column of a CSV file: its type, and how its cells are written. What is not said here is as in [`Type::parse`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsvColumn {
    /// Its name in the header.
    pub name: String,
    /// What its cells become. A cell that does not fit is an error.
    #[serde(rename = "type")]
    pub kind: Type,
    /// Of a number: the decimal sign, where it is not a point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal_char: Option<String>,
    /// Of a number: what groups its digits. Groups have three digits, those in the middle two or three, the first one to three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_char: Option<String>,
    /// Of a number: false where characters before and behind the digits (`$`, `%`, ` EUR`) are not part of it.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub bare_number: bool,
    /// Of a date or a timestamp: a pattern such as `%m/%d/%y`, where it is not ISO 8601. A timestamp without an offset is in
    /// UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Of a boolean: what means true, where it is not `true`, `True`, `TRUE` or `1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub true_values: Option<Vec<String>>,
    /// Of a boolean: what means false, where it is not `false`, `False`, `FALSE` or `0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub false_values: Option<Vec<String>>,
}

const fn yes() -> bool {
    true
}

impl Csv {
    /// How its bytes are cut into rows and cells.
    pub fn format(&self) -> Result<records::Format, DialectError> {
        let dialect = Dialect {
            delimiter: self.delimiter.clone(),
            quote_char: self.quote_char.clone(),
            double_quote: self.double_quote,
            skip_initial_space: self.skip_initial_space,
            header: self.header,
            case_sensitive_header: self.case_sensitive_header,
            ..Dialect::default()
        };
        records::Format::new(&dialect, self.encoding)
    }
}

impl Format {
    /// What the keys of its parts end with.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

impl Output {
    /// The key of a part of an output of the plan; the first part is 0.
    pub fn part_key(&self, output: &str, part: u32, format: Format) -> String {
        format!("{}/{output}/part-{part:05}.{}", self.prefix, format.extension())
    }

    /// The key of the report.
    pub fn report_key(&self) -> String {
        format!("{}/report.json", self.prefix)
    }
}

impl Task {
    /// The version of tasks that this code writes and reads.
    pub const VERSION: u32 = 1;

    /// Reads a stored task. Another version, an unsound plan, or one that reads what is not there, are errors: the task was
    /// not written by this code.
    pub fn from_json(text: &str) -> Result<Self, UnusableTask> {
        let task: Self = serde_json::from_str(text).map_err(|error| UnusableTask::Form(error.to_string()))?;
        task.check()?;
        Ok(task)
    }

    /// Whether it is of this version and hangs together.
    pub fn check(&self) -> Result<(), UnusableTask> {
        if self.version != Self::VERSION {
            return Err(UnusableTask::Version { found: self.version });
        }
        self.plan.check()?;
        for relation in &self.plan.relations {
            if let crate::plan::Body::Read { input } = &relation.body
                && !self.inputs.contains_key(input)
            {
                return Err(UnusableTask::Form(format!("it reads {input:?}, of which it names no objects")));
            }
        }
        if let Some((name, _)) =
            self.inputs.iter().find(|(_, input)| (input.format == TaskFormat::Csv) != input.csv.is_some())
        {
            return Err(UnusableTask::Form(format!("input {name:?}: `csv` goes with format `csv`")));
        }
        for (name, input) in &self.inputs {
            let strange = |path: &JsonPath| !matches!(path.0.first(), Some(JsonStep::Member(_)));
            if !input.paths.is_empty() && input.format != TaskFormat::JsonLines || input.paths.values().any(strange) {
                return Err(UnusableTask::Form(format!(
                    "input {name:?}: `paths` go with format `jsonLines`, and begin with a member"
                )));
            }
        }
        Ok(())
    }
}

/// A stored task that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableTask {
    /// It has another version.
    #[error("not a task that this version can run: it has version {found}, this is version {}", Task::VERSION)]
    Version {
        /// Its version.
        found: u32,
    },
    /// It is not as a task should be.
    #[error("not a task that this version can run: {0}")]
    Form(String),
    /// Its plan cannot be run.
    #[error(transparent)]
    Plan(#[from] UnusablePlan),
}

impl error_class::Classified for UnusableTask {
    fn class(&self) -> error_class::ErrorClass {
        error_class::ErrorClass::Bug
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::Job;

    fn task() -> Json {
        let job = json!({
            "version": 1,
            "inputs": {"a": {"format": "jsonLines", "objects": ["a"], "columns": [{"name": "n", "type": "integer"}]}},
            "outputs": [{"name": "out", "from": "a", "format": "csv"}],
        });
        let plan = Job::from_json(&job.to_string()).unwrap().plan(&BTreeMap::new()).unwrap().plan;
        json!({
            "version": 1,
            "job": {"tenant": "acme", "job": "close", "attempt": 1},
            "plan": plan,
            "inputs": {"a": {
                "format": "csv",
                "csv": {
                    "delimiter": ";", "quoteChar": "\"", "doubleQuote": true, "skipInitialSpace": false,
                    "encoding": "windows-1252", "header": true, "caseSensitiveHeader": false, "fieldsMatch": "subset",
                    "missingValues": ["", "-"],
                    "columns": [
                        {"name": "n", "type": "integer", "groupChar": "."},
                        {"name": "net", "type": "decimal(2)", "decimalChar": ",", "bareNumber": false},
                        {"name": "day", "type": "date", "format": "%d.%m.%Y"},
                        {"name": "paid", "type": "boolean", "trueValues": ["ja"], "falseValues": ["nein"]},
                    ],
                },
                "objects": [{"bucket": "data", "key": "acme/a.csv", "version": "3", "etag": "e", "bytes": 12}],
            }},
            "output": {"bucket": "work", "prefix": "acme/jobs/close/attempt=1/output"},
        })
    }

    #[test]
    fn a_task_is_stored_and_read_as_it_was() {
        let read = Task::from_json(&task().to_string()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), task());
        assert!(read.inputs["a"].csv.as_ref().unwrap().format().unwrap().has_header());
        assert_eq!(
            read.output.part_key("out", 7, Format::JsonLines),
            "acme/jobs/close/attempt=1/output/out/part-00007.jsonl"
        );
        assert_eq!(read.output.report_key(), "acme/jobs/close/attempt=1/output/report.json");
    }

    #[test]
    fn what_another_version_wrote_is_refused() {
        let changed = |change: &dyn Fn(&mut Json)| {
            let mut task = task();
            change(&mut task);
            Task::from_json(&task.to_string()).unwrap_err().to_string()
        };
        for (says, change) in [
            ("version 2, this is version 1", (&|task: &mut Json| task["version"] = json!(2)) as &dyn Fn(&mut Json)),
            ("version 9", &|task| task["plan"]["version"] = json!(9)),
            ("of which it names no objects", &|task| task["inputs"] = json!({})),
            ("unknown field `colour`", &|task| task["colour"] = json!("red")),
            ("goes with format `csv`", &|task| task["inputs"]["a"]["format"] = json!("parquet")),
            ("`paths` go with", &|task| task["inputs"]["a"]["paths"] = json!({"net": [{"member": "net"}]})),
            ("begin with a member", &|task| {
                task["inputs"]["a"] = json!({"format": "jsonLines", "objects": [], "paths": {"net": ["only"]}});
            }),
        ] {
            let error = changed(change);
            assert!(error.contains(says), "{error}");
        }
    }
}
