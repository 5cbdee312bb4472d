//! Feeds: what the files of one folder look like, and what is to be done with them.
//!
//! A feed is a [Frictionless Tabular Data Resource](https://datapackage.org/profiles/tabular-data-resource/) (schema,
//! dialect, encoding) with one key of ours, `tieout`: see [`Options`].

use std::{collections::BTreeMap, sync::Arc};

use records::{
    AmountColumn, CompiledSchema, Dialect, DialectError, Encoding, Field, FieldsMatch, Format, HeaderError, Resource,
    Schema, SchemaError,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use storage::{
    Condition, Key, StorageError, Tables,
    mail::{RECIPIENTS_MAX, is_address},
    tables::Query,
};

use crate::{
    error::IntakeError,
    layout::{DEFAULT_FEED, feeds_partition, is_name},
    shape::Shape,
};

/// A feed's descriptor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Feed {
    /// The standard part: name, encoding, dialect and schema.
    #[serde(flatten)]
    pub resource: Resource,
    /// Our part.
    #[serde(default)]
    pub tieout: Options,
}

/// What the standard has no word for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Options {
    /// How large a chunk is; 8 MiB where nothing is said.
    pub chunk: ChunkSize,
    /// The longest record taken, in bytes (1 MiB). It bounds what one stray quote can swallow.
    pub record_bytes_max: u64,
    /// The columns that are summed and proved at every boundary, of the input or brought in by the enrichment.
    pub amounts: Vec<AmountColumn>,
    /// What is looked up for each record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enrichment: Option<Enrichment>,
    /// Who is told how a run ended.
    pub mail: MailOptions,
    /// What is done when some records are rejected.
    pub on_reject: OnReject,
    /// Whether text cells of the output that a spreadsheet would run as formulas get a leading apostrophe.
    pub formula_guard: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            chunk: ChunkSize::default(),
            record_bytes_max: 1024 * 1024,
            amounts: Vec::new(),
            enrichment: None,
            mail: MailOptions::default(),
            on_reject: OnReject::default(),
            formula_guard: false,
        }
    }
}

/// How large a chunk is: it ends with the first record that reaches the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ChunkSize {
    /// So many bytes.
    Bytes(u64),
    /// So many records.
    Records(u64),
}

impl Default for ChunkSize {
    fn default() -> Self {
        Self::Bytes(8 * 1024 * 1024)
    }
}

/// Columns brought in from a reference table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrichment {
    /// The reference table.
    pub table: String,
    /// The column whose value is the table's key.
    pub key: String,
    /// The columns to bring in, in output order, after the feed's own.
    pub columns: Vec<EnrichedColumn>,
    /// What is done with a record whose key the table lacks.
    #[serde(default)]
    pub missing: Missing,
}

/// A column brought in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrichedColumn {
    /// Its name in the reference table.
    pub from: String,
    /// Its name in the output; the same where nothing is said.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl EnrichedColumn {
    /// Its name in the output.
    pub fn output_name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.from)
    }
}

/// What is done with a record whose key the reference table lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// It is rejected by the rule `reference`.
    #[default]
    Reject,
    /// It is passed on with empty values.
    Empty,
}

/// What is done when some records are rejected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnReject {
    /// The others are published; the rejects stand beside them.
    #[default]
    Publish,
    /// The run fails; nothing is published.
    Fail,
}

/// Who is told how a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MailOptions {
    /// The recipients, at most 50. Where the key is absent, the installation's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<String>>,
    /// The sender; where the key is absent, the installation's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// What is wrong with a descriptor.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// It is not JSON of the right shape.
    #[error("the descriptor is no feed: {0}")]
    Shape(String),
    /// Its schema is wrong.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// It has a key that means nothing.
    #[error(
        "there is no key {key:?}: expected the keys of a Tabular Data Resource (name, dialect, encoding, schema, …) and tieout"
    )]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// Its columns do not fit together.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Its dialect or encoding is wrong.
    #[error(transparent)]
    Dialect(#[from] DialectError),
    /// Its own part is wrong.
    #[error("{path}: {problem}")]
    Option {
        /// The key, as a path from the descriptor's top.
        path: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

fn wrong(path: &'static str, problem: impl Into<String>) -> FeedError {
    FeedError::Option { path, problem: problem.into() }
}

/// The key of a descriptor that is ours.
const OURS: &str = "tieout";

/// A chunk is held in memory, and so is what is made of it.
pub(crate) const CHUNK_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A record is parsed in one piece; 16 MiB is far beyond what a person would call a record.
const RECORD_BYTES_MAX: u64 = 16 * 1024 * 1024;

impl Feed {
    /// Reads and checks a descriptor.
    pub fn from_json(text: &str) -> Result<Self, FeedError> {
        let shape = |error: serde_json::Error| FeedError::Shape(error.to_string());
        let keys: BTreeMap<String, IgnoredAny> = serde_json::from_str(text).map_err(shape)?;
        // The standard allows keys of one's own. Here a mistyped `schema` or `tieout` would check and sum nothing.
        if let Some(unknown) = keys.keys().find(|key| *key != OURS && !Resource::KEYS.contains(&key.as_str())) {
            return Err(FeedError::UnknownKey { key: unknown.clone() });
        }
        let feed: Self = serde_json::from_str(text).map_err(shape)?;
        feed.check()?;
        Ok(feed)
    }

    /// The feed of files that no descriptor speaks of: any CSV with a header, every column text.
    pub fn undescribed(delimiter: u8, chunk_records: u64) -> Self {
        let dialect = Dialect { delimiter: char::from(delimiter).to_string(), ..Dialect::default() };
        let resource = Resource { name: Some(DEFAULT_FEED.to_owned()), dialect, ..Resource::default() };
        Self { resource, tieout: Options { chunk: ChunkSize::Records(chunk_records), ..Options::default() } }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.resource.name.as_deref().unwrap_or_default()
    }

    /// How its files are read.
    pub fn format(&self) -> Result<Format, DialectError> {
        self.resource.format()?.with_record_bytes_max(self.record_bytes_max())
    }

    /// What is published of its files, described as they are: RFC 4180 in UTF-8 with a header and the feed's delimiter,
    /// whatever the files have; the schema's columns, and those that were brought in, as text.
    pub fn published(&self) -> Resource {
        let dialect = Dialect { delimiter: self.resource.dialect.delimiter.clone(), ..Dialect::default() };
        let schema = self.resource.schema.clone().map(|schema| {
            let brought = self.brought().map(|name| Field { name: name.to_owned(), ..Field::default() });
            let fields = schema.fields.into_iter().chain(brought).collect();
            Schema { fields, missing_values: Vec::new(), fields_match: FieldsMatch::Exact, ..schema }
        });
        Resource { encoding: Encoding::Utf8, dialect, schema, ..self.resource.clone() }
    }

    /// The names of the columns that are brought in.
    pub(crate) fn brought(&self) -> impl Iterator<Item = &str> {
        self.tieout.enrichment.iter().flat_map(|enrichment| &enrichment.columns).map(EnrichedColumn::output_name)
    }

    /// The longest record taken, in bytes.
    pub(crate) fn record_bytes_max(&self) -> usize {
        // The bound of bounds is far below what a machine word holds.
        usize::try_from(self.tieout.record_bytes_max).unwrap_or(usize::MAX)
    }

    /// The schema, made ready; without one, that of a file with these columns.
    pub(crate) fn compiled_schema(&self, columns: &[String]) -> Result<CompiledSchema, SchemaError> {
        match &self.resource.schema {
            Some(schema) => schema.compile(),
            None => Ok(CompiledSchema::untyped(columns.iter().map(String::as_str))),
        }
    }

    /// Checks everything that can be checked without a file.
    pub fn check(&self) -> Result<(), FeedError> {
        let name = self.name();
        if !is_name(name) {
            return Err(wrong("name", format!("{name:?} is no name: lower-case letters, digits, '-', '_' and '.'")));
        }
        let format = self.format()?;
        self.check_bounds()?;
        self.check_mail()?;
        match &self.resource.schema {
            Some(schema) => {
                let columns: Vec<String> = schema.fields.iter().map(|field| field.name.clone()).collect();
                self.check_enrichment(&columns)?;
                Shape::new(self, &columns)?;
            }
            None if !format.has_header() => {
                return Err(wrong("schema", "is needed where files have no header: it names the columns"));
            }
            // Columns are known only when a file comes; splitter checks them then.
            None => {}
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), FeedError> {
        match self.tieout.chunk {
            ChunkSize::Bytes(bytes) if !(1..=CHUNK_BYTES_MAX).contains(&bytes) => {
                return Err(wrong("tieout.chunk.bytes", format!("must be from 1 to {CHUNK_BYTES_MAX}")));
            }
            ChunkSize::Records(0) => return Err(wrong("tieout.chunk.records", "must be at least 1")),
            ChunkSize::Bytes(_) | ChunkSize::Records(_) => {}
        }
        if !(1..=RECORD_BYTES_MAX).contains(&self.tieout.record_bytes_max) {
            return Err(wrong("tieout.recordBytesMax", format!("must be from 1 to {RECORD_BYTES_MAX}")));
        }
        Ok(())
    }

    /// Checks the enrichment against the columns of an input, as the schema or its header names them.
    pub(crate) fn check_enrichment(&self, columns: &[String]) -> Result<(), FeedError> {
        let Some(enrichment) = &self.tieout.enrichment else { return Ok(()) };
        if !is_name(&enrichment.table) {
            return Err(wrong("tieout.enrichment.table", format!("{:?} is no name of a table", enrichment.table)));
        }
        if !columns.contains(&enrichment.key) {
            return Err(wrong("tieout.enrichment.key", format!("there is no column {:?}", enrichment.key)));
        }
        if enrichment.columns.is_empty() {
            return Err(wrong("tieout.enrichment.columns", "names no column to bring in"));
        }
        Ok(())
    }

    fn check_mail(&self) -> Result<(), FeedError> {
        let to = self.tieout.mail.to.as_deref().unwrap_or_default();
        if to.len() > RECIPIENTS_MAX {
            return Err(wrong("tieout.mail.to", format!("has {} recipients; {RECIPIENTS_MAX} at most", to.len())));
        }
        match to.iter().chain(&self.tieout.mail.from).find(|address| !is_address(address)) {
            Some(address) => Err(wrong("tieout.mail", format!("{address:?} is no mail address"))),
            None => Ok(()),
        }
    }
}

/// The `feeds` table.
#[derive(Clone)]
pub struct Feeds {
    tables: Arc<dyn Tables>,
    table: String,
}

impl Feeds {
    /// The feeds kept in `table`.
    pub fn new(tables: Arc<dyn Tables>, table: impl Into<String>) -> Self {
        Self { tables, table: table.into() }
    }

    /// Keeps a feed under its name, in place of what was there. Runs that are under way keep the one they began with.
    pub async fn put(&self, tenant: &str, feed: &Feed) -> Result<(), IntakeError> {
        feed.check()?;
        let descriptor = serde_json::to_string(feed).map_err(|error| FeedError::Shape(error.to_string()))?;
        let mut item = storage::Item::new();
        item.insert("pk".into(), feeds_partition(tenant).into());
        item.insert("sk".into(), feed.name().into());
        item.insert("descriptor".into(), descriptor.into());
        self.tables.put(&self.table, item, Condition::Always).await?;
        Ok(())
    }

    /// The feed of that name.
    pub async fn get(&self, tenant: &str, name: &str) -> Result<Option<Feed>, IntakeError> {
        let key = Key::sorted(feeds_partition(tenant), name);
        self.tables.get(&self.table, &key).await?.map(|item| read(&item)).transpose()
    }

    /// The tenant's feeds, by name.
    pub async fn list(&self, tenant: &str) -> Result<Vec<Feed>, IntakeError> {
        let mut query = Query { table: self.table.clone(), partition: feeds_partition(tenant), ..Query::default() };
        let mut feeds = Vec::new();
        loop {
            let page = self.tables.query(&query).await?;
            for item in &page.items {
                feeds.push(read(item)?);
            }
            query.from = page.next;
            if query.from.is_none() {
                return Ok(feeds);
            }
        }
    }
}

fn read(item: &storage::Item) -> Result<Feed, IntakeError> {
    let Some(descriptor) = item.get("descriptor").and_then(|value| value.as_str()) else {
        let reason = "has no descriptor".to_owned();
        return Err(StorageError::Invalid { what: "an item of the feeds table".to_owned(), reason }.into());
    };
    Ok(Feed::from_json(descriptor)?)
}
