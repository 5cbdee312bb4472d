//! What a job's inputs are: which versions of which objects, how they are read, and what columns they have.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use intake::{
    feed::Feed,
    layout::{feeds_partition, is_published},
};
use reconcile::{
    Input, InputColumn, InputFormat, Job, PlanError, Type, columns_of,
    footer::{FOOTER_BYTES_MAX, TAIL_BYTES, footer_bytes},
    task::{Csv, CsvColumn, TaskFormat, TaskInput, TaskObject},
};
use records::{Constraints, Field, FieldType, FieldsMatch, Resource};
use storage::{ByteRange, Key, Location, Objects, StorageError, Tables, objects::read_range};

use crate::{
    error::JobError,
    footer::{self, Footer},
    layout,
    ledgers::LedgerInput,
};

/// The most objects of a job, over all its inputs.
pub const OBJECTS_MAX: usize = 10_000;
/// Objects looked at side by side.
const LOOKS_AT_ONCE: usize = 32;
/// Footers of Parquet files read side by side: each may have [`FOOTER_BYTES_MAX`].
const FOOTERS_AT_ONCE: usize = 8;

/// The inputs of a job, pinned.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The columns that feeds and files are found to have, where the job does not say them itself.
    pub found: BTreeMap<String, Vec<InputColumn>>,
    /// What an engine reads.
    pub pinned: BTreeMap<String, TaskInput>,
    /// What of the descriptors is not applied: for people.
    pub warnings: Vec<String>,
}

/// Finds the inputs of a tenant's jobs.
pub struct Finder<'a> {
    /// Where objects are.
    pub objects: &'a Arc<dyn Objects>,
    /// Where feeds are.
    pub tables: &'a Arc<dyn Tables>,
    /// The table of feeds.
    pub feeds_table: &'a str,
    /// The table of ledgers.
    pub ledgers_table: &'a str,
    /// The bucket that jobs read.
    pub bucket: &'a str,
    /// Whose job it is.
    pub tenant: &'a str,
}

impl Finder<'_> {
    /// Finds all of them. What is not there, or cannot be read as it says, is an error that names the input.
    pub async fn find(&self, job: &Job) -> Result<Inputs, JobError> {
        let mut inputs = Inputs::default();
        let mut objects = 0;
        for (name, input) in &job.inputs {
            let one = self.one(name, input, &mut inputs).await?;
            objects += one.objects.len();
            if objects > OBJECTS_MAX {
                return Err(wrong(name, format!("the job has more than {OBJECTS_MAX} objects")));
            }
            inputs.pinned.insert(name.clone(), one);
        }
        Ok(inputs)
    }

    async fn one(
        &self,
        name: &str,
        input: &Input,
        Inputs { found, warnings, .. }: &mut Inputs,
    ) -> Result<TaskInput, JobError> {
        let format = match input.format {
            InputFormat::Csv => TaskFormat::Csv,
            InputFormat::JsonLines => TaskFormat::JsonLines,
            InputFormat::Parquet => TaskFormat::Parquet,
            InputFormat::Ledger => return self.artifacts(name, input, found).await,
        };
        let feed = match &input.feed {
            Some(feed) => Some(self.feed(name, feed, are_published(name, input)?).await?),
            None => None,
        };
        if let Some(feed) = &feed {
            found.insert(name.to_owned(), columns_of(name, feed)?);
        }
        // What the document itself has wrong is said before anything is looked for.
        if format != TaskFormat::Parquet {
            input.schema(name, found.get(name).map(Vec::as_slice))?;
        }
        let objects = self.objects(name, input).await?;
        if format != TaskFormat::Parquet {
            unpacked(name, &objects)?;
        }
        let (mut rows, mut held) = (None, BTreeMap::new());
        if format == TaskFormat::Parquet {
            let footer = self.footers(name, input, &objects).await?;
            found.insert(name.to_owned(), footer.columns.read);
            (rows, held) = (Some(footer.rows), footer.held);
        }
        let csv = match format {
            TaskFormat::Csv => {
                let descriptor = feed.or_else(|| input.descriptor.clone()).unwrap_or_default();
                let columns = input.schema(name, found.get(name).map(Vec::as_slice))?;
                warnings.extend(not_applied(name, &descriptor));
                Some(csv(name, descriptor, columns)?)
            }
            TaskFormat::JsonLines | TaskFormat::Parquet => None,
        };
        let optional = input.columns.iter().filter(|column| column.optional).map(|column| column.name.clone());
        Ok(TaskInput { optional: optional.collect(), rows, held, ..TaskInput::new(format, csv, objects) })
    }

    /// A ledger's part-files, in the versions that there are of them: as JSON lines.
    async fn artifacts(
        &self,
        name: &str,
        input: &Input,
        found: &mut BTreeMap<String, Vec<InputColumn>>,
    ) -> Result<TaskInput, JobError> {
        // What the document itself has wrong is said before anything is looked for.
        input.check(name)?;
        let LedgerInput { columns, paths, read, keys } = self.ledger(name, input).await?;
        // What artifacts may lack is known: a ledger that asks for something else was refused above.
        let optional = columns.iter().map(|column| column.name.clone()).collect();
        found.insert(name.to_owned(), columns);
        if keys.len() > OBJECTS_MAX {
            let problem = format!("ledger {:?} has {} part-files, more than {OBJECTS_MAX}", read.ledger, keys.len());
            return Err(wrong(name, problem));
        }
        let objects = self.pinned(name, keys).await?;
        Ok(TaskInput { paths, optional, ledger: Some(read), ..TaskInput::new(TaskFormat::JsonLines, None, objects) })
    }

    /// A feed's descriptor: of the files that are sent to it, or of what intake has published of them.
    async fn feed(&self, input: &str, feed: &str, published: bool) -> Result<Resource, JobError> {
        let key = Key::sorted(feeds_partition(self.tenant), feed);
        let item = self.tables.get(self.feeds_table, &key).await?;
        let item = item.ok_or_else(|| {
            wrong(input, format!("there is no feed {feed:?}: describe it with `tieout feed put <descriptor.json>`"))
        })?;
        let descriptor = item.get("descriptor").and_then(|text| text.as_str()).unwrap_or_default();
        let found = Feed::from_json(descriptor);
        let found = found.map_err(|error| wrong(input, format!("feed {feed:?} cannot be read: {error}")))?;
        Ok(if published { found.published() } else { found.resource })
    }

    /// The objects that an input names, in their order, each in the version that is now the latest.
    async fn objects(&self, name: &str, input: &Input) -> Result<Vec<TaskObject>, JobError> {
        let keys = match &input.prefix {
            Some(prefix) => self.under(name, prefix, input.format).await?,
            None => input.objects.iter().map(|key| layout::input_key(self.tenant, key)).collect(),
        };
        self.pinned(name, keys).await
    }

    async fn pinned(&self, name: &str, keys: Vec<String>) -> Result<Vec<TaskObject>, JobError> {
        stream::iter(keys).map(|key| self.pin(name, key)).buffered(LOOKS_AT_ONCE).try_collect().await
    }

    async fn under(&self, name: &str, prefix: &str, format: InputFormat) -> Result<Vec<String>, JobError> {
        let whole = layout::input_key(self.tenant, prefix);
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = self.objects.list(self.bucket, &whole, after.as_deref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            keys.extend(page.into_iter().map(|listed| listed.key).filter(|key| !is_passed_over(key)));
            if keys.len() > OBJECTS_MAX {
                return Err(wrong(name, format!("more than {OBJECTS_MAX} objects lie under {prefix:?}")));
            }
        }
        if let Some(other) = keys.iter().find(|key| is_other(key, format) || is_in_hidden_folder(key, &whole)) {
            let advice = "give a longer prefix, or list `objects`";
            return Err(wrong(name, format!("{other} lies under {prefix:?}, and is no data by its name: {advice}")));
        }
        if keys.is_empty() {
            return Err(wrong(name, format!("no object's key begins with {prefix:?}{}", self.hint(prefix))));
        }
        Ok(keys)
    }

    async fn pin(&self, name: &str, key: String) -> Result<TaskObject, JobError> {
        let at = Location::new(self.bucket, key);
        let info = self.objects.head(&at, None).await.map_err(|error| match error {
            StorageError::NotFound { what } => {
                let given = at.key.strip_prefix(self.tenant).and_then(|key| key.strip_prefix('/')).unwrap_or(&at.key);
                wrong(name, format!("{what} does not exist{}", self.hint(given)))
            }
            other => other.into(),
        })?;
        let Location { bucket, key } = at;
        if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
            let problem =
                "has a part that is empty, `.` or `..`: programs that take keys for paths would read another object";
            return Err(wrong(name, format!("{key} {problem}")));
        }
        if key.rsplit('/').next().is_some_and(|file| file.starts_with(['_', '.']) || file.ends_with("._COPYING_")) {
            let problem =
                "Spark passes over files whose names begin with _ or . or end with ._COPYING_: give it another";
            return Err(wrong(name, format!("{key}: {problem}")));
        }
        Ok(TaskObject { bucket, key, version: info.version, etag: info.etag, bytes: info.bytes })
    }

    /// The columns that all of an input's files have, by the first, their rows together, and the most that is held of each
    /// column. A file with other columns is an error, and so is a column that cannot be read, unless the job lists others.
    async fn footers(&self, name: &str, input: &Input, objects: &[TaskObject]) -> Result<Footer, JobError> {
        let read = stream::iter(objects)
            .map(|object| async move { Ok::<_, JobError>((object, self.footer(name, object).await?)) });
        let read: Vec<(&TaskObject, Footer)> = read.buffered(FOOTERS_AT_ONCE).try_collect::<Vec<_>>().await?;
        let rows = read.iter().fold(0, |sum: u64, (_, footer)| sum.saturating_add(footer.rows));
        let mut read = read.into_iter();
        let (first, mut all) = read.next().ok_or_else(|| wrong(name, "it has no objects"))?;
        all.rows = rows;
        read.as_slice().iter().for_each(|(_, footer)| all.hold(&footer.held));
        let columns = &all.columns;
        let mut differing =
            read.filter_map(|(other, found)| Some((other, columns.differing(&found.columns)?.to_owned())));
        if let Some((other, column)) = differing.next() {
            let problem =
                format!("{} has other columns than {}: {column:?} is not the same in both", other.key, first.key);
            return Err(wrong(name, problem));
        }
        let is_wanted =
            |unread: &&String| input.columns.is_empty() || input.columns.iter().any(|column| column.name == **unread);
        if let Some(unread) = columns.unread.iter().find(is_wanted) {
            let expected = "integers, decimals, text, dates, timestamps and booleans are; list the columns that the job \
                            needs in `columns`, or write it as one of these";
            return Err(wrong(
                name,
                format!("column {unread:?} of {} is of a type that is not read: {expected}", first.key),
            ));
        }
        let other = |found: &InputColumn| {
            let said = input.columns.iter().find(|column| column.name == found.name)?;
            (!footer::is_read_as(found.kind, said.kind)).then(|| (found.clone(), said.kind))
        };
        if let Some((InputColumn { name: column, kind, .. }, wanted)) = columns.read.iter().find_map(other) {
            let problem = format!("column {column:?} of {} is {kind}, and cannot be read as {wanted}", first.key);
            return Err(wrong(name, problem));
        }
        Ok(all)
    }

    /// What may be meant by a key under which there is nothing.
    fn hint(&self, given: &str) -> String {
        let key = given.strip_prefix("s3://").map(|rest| rest.split_once('/').map_or("", |(_, key)| key));
        let bare = key.unwrap_or(given).trim_start_matches('/');
        let bare = bare.strip_prefix(self.tenant).and_then(|rest| rest.strip_prefix('/')).unwrap_or(bare);
        if bare == given {
            return String::new();
        }
        format!(": keys are those of {}, under the tenant, and neither is written; is {bare:?} meant?", self.bucket)
    }

    async fn footer(&self, name: &str, object: &TaskObject) -> Result<Footer, JobError> {
        let no_parquet = |reason: &str| wrong(name, format!("{} is no Parquet file: {reason}", object.key));
        let at = Location::new(&object.bucket, &object.key);
        let read = async |range: ByteRange| {
            read_range(&**self.objects, &at, object.version.as_deref(), range).await.map_err(JobError::from)
        };
        let end = object.bytes;
        if end < TAIL_BYTES {
            return Err(no_parquet("it is too short"));
        }
        let tail = read(ByteRange::new(end - TAIL_BYTES, end)).await?;
        let length = footer_bytes(&tail).ok_or_else(|| no_parquet("it does not end as one"))?;
        if length > FOOTER_BYTES_MAX {
            let problem = format!("the footer of {} has {length} bytes, more than {FOOTER_BYTES_MAX}", object.key);
            return Err(wrong(name, problem));
        }
        let start = (end - TAIL_BYTES).checked_sub(length);
        let start = start.ok_or_else(|| no_parquet("its footer is longer than the file"))?;
        let bytes = read(ByteRange::new(start, start + length)).await?;
        footer::read(&bytes).map_err(|reason| no_parquet(&reason))
    }
}

/// Whether the objects of an input are what intake has published, by their keys.
fn are_published(name: &str, input: &Input) -> Result<bool, JobError> {
    let mut keys = input.prefix.iter().chain(&input.objects);
    let published = keys.next().is_some_and(|key| is_published(key));
    match keys.find(|key| is_published(key) != published) {
        Some(other) => {
            let problem = "intake publishes files in another form than they were sent in: read what it has published and \
                           what it has not as two inputs";
            Err(wrong(name, format!("{other} is of another kind than the object before it; {problem}")))
        }
        None => Ok(published),
    }
}

/// Whether an object under a prefix is none of its data: a folder that was made by hand, and what programs are known to put
/// beside what they write. Whatever else has such a name could be somebody's data.
fn is_passed_over(key: &str) -> bool {
    let file = key.rsplit('/').next().unwrap_or_default();
    let is_transaction = ["_committed_", "_started_"]
        .iter()
        .any(|begin| file.strip_prefix(begin).is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())));
    let is_mark = matches!(file, "_SUCCESS" | "_metadata" | "_common_metadata") || is_transaction;
    file.is_empty() || is_mark || (file.starts_with('.') && file.ends_with(".crc"))
}

/// Whether an object lies below the prefix in a folder that programs keep to themselves: what a writer has not committed
/// (`_temporary/`), or the log of a table (`_delta_log/`).
fn is_in_hidden_folder(key: &str, prefix: &str) -> bool {
    // What the prefix names itself is meant.
    let Some(below) = key.strip_prefix(prefix) else { return false };
    let folders = below.rsplit_once('/').map_or("", |(folders, _)| folders);
    let named = usize::from(!prefix.ends_with('/'));
    folders.split('/').skip(named).any(|folder| folder.starts_with(['_', '.']))
}

/// Whether a key's name says that there is something else than data of that format.
fn is_other(key: &str, format: InputFormat) -> bool {
    let file = key.rsplit('/').next().unwrap_or_default();
    let end = file.rsplit_once('.').map(|(_, end)| end.to_lowercase());
    let others: &[&str] = match format {
        InputFormat::Csv => &["html", "htm", "pdf", "xls", "xlsx", "json", "jsonl", "parquet"],
        InputFormat::Parquet => &["html", "htm", "pdf", "xls", "xlsx", "json", "jsonl", "csv"],
        InputFormat::JsonLines | InputFormat::Ledger => &["html", "htm", "pdf", "xls", "xlsx", "csv", "parquet"],
    };
    // Spark reads nothing of a name that begins so.
    file.starts_with(['_', '.']) || end.is_some_and(|end| others.contains(&end.as_str()))
}

/// Packed files are told by their names: their bytes would be taken for bad rows.
const PACKED: [&str; 8] = [".gz", ".bz2", ".zip", ".zst", ".lz4", ".xz", ".snappy", ".deflate"];

fn unpacked(name: &str, objects: &[TaskObject]) -> Result<(), JobError> {
    let is_packed = |object: &&TaskObject| {
        let key = object.key.to_lowercase();
        PACKED.iter().any(|end| key.ends_with(end))
    };
    match objects.iter().find(is_packed) {
        Some(object) => Err(wrong(name, format!("{} is packed, by its name: unpack it first", object.key))),
        None => Ok(()),
    }
}

pub(crate) fn wrong(input: &str, problem: impl Into<String>) -> JobError {
    JobError::Input { input: input.to_owned(), problem: problem.into() }
}

/// The most columns of which a note tells: it stands in the job's row.
const NAMES_TOLD: usize = 20;

/// That the constraints of a descriptor are not, where it has any.
fn not_applied(name: &str, descriptor: &Resource) -> Option<String> {
    let fields = descriptor.schema.iter().flat_map(|schema| &schema.fields);
    let constrained = fields.filter(|field| field.constraints != Constraints::default());
    let (told, more): (Vec<_>, Vec<_>) = constrained.enumerate().partition(|(at, _)| *at < NAMES_TOLD);
    let mut names: Vec<String> = told.into_iter().map(|(_, field)| format!("{:?}", field.name)).collect();
    names.extend((!more.is_empty()).then(|| format!("{} more", more.len())));
    let advice = "intake rejects what does not meet them, a job reads it; a step `filter` leaves it out";
    let columns = names.join(", ");
    (!names.is_empty()).then(|| format!("input {name:?}: the constraints of {columns} are not applied: {advice}"))
}

/// How CSV is read as a descriptor says, its columns being of these types.
fn csv(name: &str, descriptor: Resource, columns: Vec<(String, Type)>) -> Result<Csv, JobError> {
    let bad = |problem: String| -> JobError { PlanError::Input { input: name.to_owned(), problem }.into() };
    descriptor.format().map_err(|error| bad(error.to_string()))?;
    let Resource { encoding, dialect, schema, .. } = descriptor;
    if let Some(schema) = &schema {
        schema.compile().map_err(|error| bad(error.to_string()))?;
    } else if !dialect.header {
        return Err(bad("its descriptor needs a schema, which names the columns: its files have no header".to_owned()));
    }
    let fields: &[Field] = schema.as_ref().map(|schema| schema.fields.as_slice()).unwrap_or_default();
    let field = |name: &str| fields.iter().find(|field| field.name == name);
    let columns = columns.into_iter().map(|(name, kind)| column(field(&name), name, kind)).collect();
    Ok(Csv {
        delimiter: dialect.delimiter,
        quote_char: dialect.quote_char,
        double_quote: dialect.double_quote,
        skip_initial_space: dialect.skip_initial_space,
        encoding,
        header: dialect.header,
        case_sensitive_header: dialect.case_sensitive_header,
        // Without a schema the job names the columns that it wants, and files may have others.
        fields_match: schema.as_ref().map_or(FieldsMatch::Subset, |schema| schema.fields_match),
        missing_values: schema.map_or_else(Vec::new, |schema| schema.missing_values),
        columns,
    })
}

/// A column of that type; how its cells are written is as its field says, where that is about such a type.
fn column(field: Option<&Field>, name: String, kind: Type) -> CsvColumn {
    let like = |kinds: &[FieldType]| field.filter(|field| kinds.contains(&field.kind));
    let number = like(&[FieldType::Integer, FieldType::Number]).filter(|_| kind.is_number());
    let boolean = like(&[FieldType::Boolean]).filter(|_| kind == Type::Boolean);
    let temporal = match kind {
        Type::Date => like(&[FieldType::Date]),
        Type::Timestamp => like(&[FieldType::DateTime]),
        _ => None,
    };
    let character = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    CsvColumn {
        name,
        kind,
        decimal_char: number.and_then(|field| character(&field.decimal_char)).filter(|char| char != "."),
        group_char: number.and_then(|field| character(&field.group_char)),
        bare_number: number.and_then(|field| field.bare_number).unwrap_or(true),
        format: temporal.and_then(|field| field.format.clone()).filter(|format| format != "default"),
        true_values: boolean.and_then(|field| field.true_values.clone()),
        false_values: boolean.and_then(|field| field.false_values.clone()),
    }
}
