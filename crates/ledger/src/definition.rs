//! The ledger definition: the JSON document that says what events look like and what artifacts know.
//!
//! Its JSON Schema is published as `docs/ledger-definition.schema.json`; `docs/ledger.md` explains it with an example.
//! A [`Definition`] is the document as written; [`Ledger`](crate::Ledger) is the same, checked and ready to work by.

use std::collections::BTreeMap;

use error_class::{Classified, ErrorClass};
use jiff::Timestamp;
use money::Amount;
use records::{AmountColumn, Dialect, Encoding, Field, Packing, RECORD_BYTES_MAX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    manifest::LedgerId,
    partition::PartitionBits,
    policy::{Policy, Terms},
};

/// A ledger definition. An unknown key is an error: a mistyped `tolerence` would otherwise allow nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "tieout ledger definition")]
pub struct Definition {
    /// The ledger's name: lower-case letters, digits, `-` and `_`, at most 64.
    pub name: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who sends batches, and from when on each is expected to be complete. The watermark is the lowest of theirs.
    #[schemars(with = "BTreeMap<String, String>")]
    pub sources: BTreeMap<String, Timestamp>,
    /// What a file of events looks like.
    pub events: Events,
    /// The columns whose values name an artifact. With several, the key is their values joined by `|`, with `|` and `\`
    /// inside a value written as `\|` and `\\`. At most 1,024 bytes.
    pub artifact_key: Vec<String>,
    /// The column that names an event within its artifact.
    pub event_id: String,
    /// The column that says when the event happened: a date (its first instant in UTC) or a date and time.
    pub event_time: String,
    /// The columns that hold amounts: control totals are kept of them, and measures over them are kept by currency.
    #[serde(default)]
    pub amounts: Vec<AmountColumn>,
    /// What an artifact knows of its events, by name.
    #[serde(default)]
    pub measures: BTreeMap<String, Measure>,
    /// What makes an artifact reconciled, open or a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusRule>,
    /// Attributes that an artifact carries, by name: the latest value of a column that was not empty.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Which event lines an artifact keeps.
    #[serde(default)]
    pub event_lines: EventLines,
    /// When two events are the same one.
    #[serde(default)]
    pub duplicates: Duplicates,
    /// How many partitions there are: 2 to the power of this. It can grow on a live ledger; it never falls.
    #[serde(default = "default_bits")]
    pub partition_bits: PartitionBits,
    /// What is done with events that cannot be taken.
    #[serde(default)]
    pub on_reject: OnReject,
    /// What later batches do behind one that is stuck.
    #[serde(default)]
    pub on_stuck: OnStuck,
    /// How batches are grouped into jobs, and what is tried again.
    #[serde(default)]
    pub policy: Policy,
}

/// What a file of events looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Events {
    /// CSV or JSON lines.
    pub format: EventFormat,
    /// How the file is packed.
    #[serde(default)]
    pub compression: EventCompression,
    /// The columns, as Frictionless *Table Schema* fields; in JSON lines, the members of each line's object.
    pub fields: Vec<Field>,
    /// Texts that stand for an empty cell.
    #[serde(default = "default_missing")]
    pub missing_values: Vec<String>,
    /// CSV: how records and fields are marked (Frictionless *CSV Dialect*).
    #[serde(default)]
    pub dialect: Dialect,
    /// CSV: how bytes become text. JSON is UTF-8.
    #[serde(default)]
    pub encoding: Encoding,
    /// The longest record taken, in bytes.
    #[serde(default = "default_record_bytes_max")]
    pub record_bytes_max: u32,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EventFormat {
    /// CSV. Columns are found by the header, in any order; further columns are not looked at.
    Csv,
    /// One JSON object a line. Members are found by name; further members are not looked at.
    JsonLines,
}

/// How a file of events is packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventCompression {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl EventCompression {
    /// What unpacks it.
    pub const fn packing(self) -> Option<Packing> {
        match self {
            Self::None => None,
            Self::Gzip => Some(Packing::Gzip),
            Self::Zstd => Some(Packing::Zstd),
        }
    }
}

/// Something that an artifact knows of its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Measure {
    /// What is done with the values.
    #[serde(rename = "measure")]
    pub kind: MeasureKind,
    /// The column; not for `count`, which counts events. Events whose cell is empty add nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Only events whose cells have these values, by column: numbers are compared as numbers (`1` takes `1.0` too), all
    /// others as they are written. An empty text takes empty cells.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub filter: BTreeMap<String, String>,
}

/// What is done with the values of a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MeasureKind {
    /// The exact sum of a number column.
    Sum,
    /// The number of events.
    Count,
    /// The least value of a number column.
    Min,
    /// The greatest value of a number column.
    Max,
    /// The value of the earliest event, by event time and then event id.
    First,
    /// The value of the latest event, by event time and then event id.
    Last,
}

/// What decides an artifact's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum StatusRule {
    /// Sums that must balance.
    Balance(Balance),
    /// A business rule that is built in, by its name.
    Rule(String),
}

/// Measures that must balance: in each currency, what is added less what is subtracted.
///
/// Not every measure has a value yet: open. In each currency the difference is within the tolerance: reconciled. Else: break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Balance {
    /// The `sum` measures that are added.
    pub add: Vec<String>,
    /// The `sum` measures that are subtracted.
    pub subtract: Vec<String>,
    /// The greatest difference, either way, that still counts as none, in units of the currency.
    #[serde(default)]
    pub tolerance: Amount,
}

/// Which event lines an artifact keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct EventLines {
    /// Which ones.
    pub keep: KeepLines,
    /// The columns that a line shows; all where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
}

/// Which event lines an artifact keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum KeepLines {
    /// None: the artifact knows its measures alone.
    #[default]
    None,
    /// All of them; past a bound they go to a side file.
    All,
    /// The latest, by event time and then event id: at most [`LAST_LINES_MAX`].
    Last(u32),
}

/// The most lines that `last` keeps.
pub const LAST_LINES_MAX: u32 = 1000;

/// When two events of one artifact with one id are the same one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Duplicates {
    /// How far duplicates are looked for.
    pub scope: DuplicateScope,
    /// Scope `artifact`: how many ids an artifact can keep. Past this the job parks: an id is never forgotten.
    pub ids_max: u32,
}

impl Default for Duplicates {
    fn default() -> Self {
        Self { scope: DuplicateScope::default(), ids_max: 10_000 }
    }
}

/// How far duplicates are looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DuplicateScope {
    /// Within each batch.
    #[default]
    Batch,
    /// In everything that the artifact has ever taken.
    Artifact,
}

/// What is done with events that cannot be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnReject {
    /// They are counted and listed; the others are applied.
    #[default]
    Continue,
    /// The batch is refused.
    Refuse,
}

/// What later batches do behind one that is stuck.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnStuck {
    /// They wait for an operator.
    #[default]
    Wait,
    /// They pass: the stuck batch is queued again behind them, under a new number.
    Pass,
}

fn default_missing() -> Vec<String> {
    vec![String::new()]
}

fn default_record_bytes_max() -> u32 {
    u32::try_from(RECORD_BYTES_MAX).unwrap_or(u32::MAX)
}

/// 16 partitions.
fn default_bits() -> PartitionBits {
    PartitionBits::new(4).unwrap_or(PartitionBits::ZERO)
}

/// What is wrong with a definition, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct DefinitionError {
    /// The key, as a path from the document's top: `measures.paid.column`.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

impl DefinitionError {
    pub(crate) fn at(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

impl Classified for DefinitionError {
    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidInput
    }
}

impl Definition {
    /// Reads a document. Whether it makes sense is said by [`Ledger::new`](crate::Ledger::new).
    pub fn from_json(text: &str) -> Result<Self, DefinitionError> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let definition: Self = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| DefinitionError::at(error.path().to_string(), error.inner().to_string()))?;
        reader.end().map_err(|error| DefinitionError::at(".", error.to_string()))?;
        Ok(definition)
    }

    /// What coordination goes by: the part that is not about events. `version` is that of the document.
    pub fn terms(&self, ledger: LedgerId, version: u64) -> Terms {
        Terms {
            ledger,
            definition: version,
            partition_bits: self.partition_bits,
            sources: self.sources.clone(),
            on_stuck: self.on_stuck,
            duplicates: self.duplicates.scope,
            policy: self.policy,
        }
    }

    /// The JSON Schema of the document.
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Definition).to_value()
    }
}
