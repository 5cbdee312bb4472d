//! A definition, checked and made ready to work by.

use std::{collections::BTreeSet, sync::Arc};

use money::{Amount, Currency};
use records::{CompiledSchema, FieldsMatch, Format, Schema};

use crate::{
    definition::{
        Definition, DefinitionError, DuplicateScope, EventFormat, KeepLines, LAST_LINES_MAX, MeasureKind, StatusRule,
    },
    policy::{Grouping, JOB_BATCHES_MAX, LEASE_SECONDS_MIN, Policy},
    rule::{BusinessRule, RuleVersion, Rules},
};

/// A ledger definition ready to work by: what it names has been found, and no stage checks it again.
#[derive(Debug, Clone)]
pub struct Ledger {
    definition: Definition,
    pub(crate) schema: CompiledSchema,
    pub(crate) format: Format,
    pub(crate) key: Vec<usize>,
    pub(crate) event_id: usize,
    pub(crate) event_time: usize,
    /// The columns that travel with an event, in the schema's order.
    pub(crate) columns: Vec<Column>,
    pub(crate) amounts: Vec<AmountOf>,
    pub(crate) measures: Vec<CompiledMeasure>,
    pub(crate) attributes: Vec<(String, usize)>,
    pub(crate) line_columns: Vec<usize>,
    pub(crate) status: Option<CompiledStatus>,
}

/// A column that travels with an event.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Its index in the schema.
    pub(crate) field: usize,
    pub(crate) number: bool,
    /// Whether its cells are numbers as [`Amount`] reads them.
    pub(crate) plain_number: bool,
}

/// An amount column, by the indices of columns that travel.
#[derive(Debug, Clone)]
pub(crate) struct AmountOf {
    pub(crate) column: usize,
    pub(crate) currency: CurrencyOf,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum CurrencyOf {
    All(Option<Currency>),
    Column(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct CompiledMeasure {
    pub(crate) name: String,
    pub(crate) kind: MeasureKind,
    pub(crate) column: Option<usize>,
    /// Which of the ledger's amount columns it is; of other columns no currency is known.
    pub(crate) amount: Option<usize>,
    pub(crate) filter: Vec<(usize, Wanted)>,
}

/// What a cell has to be for a measure to take its event.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// Just this text.
    Text(String),
    /// This number, however it is written.
    Number(Amount),
}

impl Wanted {
    pub(crate) fn is(&self, cell: &str) -> bool {
        match self {
            Self::Text(text) => cell == text,
            Self::Number(number) => Amount::parse(cell.as_bytes()).is_ok_and(|cell| cell == *number),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum CompiledStatus {
    Balance { add: Vec<usize>, subtract: Vec<usize>, tolerance: Amount },
    Rule(Arc<dyn BusinessRule>),
}

type Checked<T> = Result<T, DefinitionError>;

fn wrong<T>(path: impl Into<String>, problem: impl Into<String>) -> Checked<T> {
    Err(DefinitionError::at(path, problem))
}

impl Ledger {
    /// Checks a definition; `rules` are the business rules that it may name.
    ///
    /// # Errors
    ///
    /// The first thing wrong, with its path.
    pub fn new(definition: Definition, rules: &Rules) -> Result<Self, DefinitionError> {
        check_names(&definition)?;
        let (schema, format) = compile_events(&definition)?;
        let names = Names { names: schema.names().map(str::to_owned).collect() };
        let mut key = Vec::new();
        for (index, column) in definition.artifact_key.iter().enumerate() {
            key.push(names.field(column, || format!("artifactKey[{index}]"))?);
        }
        let event_id = names.field(&definition.event_id, || "eventId".to_owned())?;
        let event_time = names.field(&definition.event_time, || "eventTime".to_owned())?;
        if !schema.is_instant(event_time) {
            return wrong("eventTime", format!("column {:?} must be a date or a datetime", definition.event_time));
        }
        let columns = travelling(&definition, &names, &schema)?;
        let mut ledger = Self {
            schema,
            format,
            key,
            event_id,
            event_time,
            columns,
            amounts: Vec::new(),
            measures: Vec::new(),
            attributes: Vec::new(),
            line_columns: Vec::new(),
            status: None,
            definition,
        };
        ledger.amounts = ledger.compile_amounts()?;
        ledger.measures = ledger.compile_measures()?;
        ledger.attributes = ledger
            .definition
            .attributes
            .iter()
            .filter_map(|(name, column)| Some((name.clone(), ledger.column(column)?)))
            .collect();
        ledger.line_columns = match (&ledger.definition.event_lines.columns, ledger.definition.event_lines.keep) {
            (_, KeepLines::None) => Vec::new(),
            (Some(columns), _) => columns.iter().filter_map(|column| ledger.column(column)).collect(),
            (None, _) => (0..ledger.columns.len()).collect(),
        };
        ledger.status = ledger.compile_status(rules)?;
        Ok(ledger)
    }

    /// The business rule that it judges by, if it does.
    pub(crate) fn rule_version(&self) -> Option<RuleVersion> {
        match &self.status {
            Some(CompiledStatus::Rule(rule)) => {
                Some(RuleVersion { name: rule.name().to_owned(), version: rule.version() })
            }
            _ => None,
        }
    }

    /// Reads and checks a document that names no business rule.
    pub fn from_json(text: &str) -> Result<Self, DefinitionError> {
        Self::new(Definition::from_json(text)?, &Rules::built_in())
    }

    /// The document.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// How CSV files of events are read.
    pub fn format(&self) -> &Format {
        &self.format
    }

    pub(crate) fn record_bytes_max(&self) -> usize {
        usize::try_from(self.definition.events.record_bytes_max).unwrap_or(usize::MAX)
    }

    pub(crate) fn keep_lines(&self) -> KeepLines {
        self.definition.event_lines.keep
    }

    pub(crate) fn keeps_ids(&self) -> bool {
        self.definition.duplicates.scope == DuplicateScope::Artifact
    }

    pub(crate) fn ids_max(&self) -> usize {
        usize::try_from(self.definition.duplicates.ids_max).unwrap_or(usize::MAX)
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    fn compile_amounts(&self) -> Checked<Vec<AmountOf>> {
        let mut amounts: Vec<AmountOf> = Vec::new();
        for (index, amount) in self.definition.amounts.iter().enumerate() {
            let path = |key: &str| format!("amounts[{index}].{key}");
            let column = self.column(&amount.column).filter(|column| self.is_number(*column));
            let Some(column) = column else {
                return wrong(path("column"), format!("column {:?} must be a number or an integer", amount.column));
            };
            if amounts.iter().any(|other| other.column == column) {
                return wrong(path("column"), format!("column {:?} is named twice", amount.column));
            }
            let currency = match (amount.currency, &amount.currency_column) {
                (Some(_), Some(_)) => return wrong(path("currencyColumn"), "there is a currency for all events too"),
                (currency, None) => CurrencyOf::All(currency),
                (None, Some(name)) => match self.column(name) {
                    Some(column) if !self.is_number(column) => CurrencyOf::Column(column),
                    _ => return wrong(path("currencyColumn"), format!("column {name:?} cannot hold currencies")),
                },
            };
            amounts.push(AmountOf { column, currency });
        }
        Ok(amounts)
    }

    fn compile_measures(&self) -> Checked<Vec<CompiledMeasure>> {
        let mut measures = Vec::new();
        for (name, measure) in &self.definition.measures {
            let path = |key: &str| format!("measures.{name}.{key}");
            let column = match (&measure.column, measure.kind) {
                (None, MeasureKind::Count) => None,
                (Some(_), MeasureKind::Count) => {
                    return wrong(path("column"), "count counts events: say with where which ones");
                }
                (None, _) => return wrong(path("column"), "is missing"),
                (Some(column), _) => self.column(column),
            };
            let numbers = matches!(measure.kind, MeasureKind::Sum | MeasureKind::Min | MeasureKind::Max);
            if let Some(index) = column.filter(|index| numbers && !self.is_number(*index)) {
                let name = self.columns.get(index).map_or("", |column| &column.name);
                return wrong(path("column"), format!("column {name:?} must be a number or an integer"));
            }
            let amount = self.amounts.iter().position(|amount| Some(amount.column) == column);
            let wanted = measure.filter.iter().filter_map(|(name, value)| {
                let column = self.column(name)?;
                Some(self.wanted(column, value, || path(&format!("where.{name}"))).map(|wanted| (column, wanted)))
            });
            let filter = wanted.collect::<Checked<_>>()?;
            measures.push(CompiledMeasure { name: name.clone(), kind: measure.kind, column, amount, filter });
        }
        Ok(measures)
    }

    fn wanted(&self, column: usize, value: &str, path: impl Fn() -> String) -> Checked<Wanted> {
        if !self.is_number(column) || value.is_empty() {
            return Ok(Wanted::Text(value.to_owned()));
        }
        let no_number = |_| DefinitionError::at(path(), format!("{value:?} is no number such as -1250.5"));
        Amount::parse(value.as_bytes()).map(Wanted::Number).map_err(no_number)
    }

    fn compile_status(&self, rules: &Rules) -> Checked<Option<CompiledStatus>> {
        let balance = match &self.definition.status {
            None => return Ok(None),
            Some(StatusRule::Rule(name)) => {
                return match rules.get(name) {
                    Some(rule) => Ok(Some(CompiledStatus::Rule(rule))),
                    None => wrong("status.rule", format!("there is no business rule {name:?}; known: {rules}")),
                };
            }
            Some(StatusRule::Balance(balance)) => balance,
        };
        let side = |key: &str, names: &[String]| {
            let path = format!("status.balance.{key}");
            if names.is_empty() {
                return wrong(path, "names no measure");
            }
            let mut side = Vec::new();
            for (index, name) in names.iter().enumerate() {
                let is_sum = |measure: &CompiledMeasure| measure.name == *name && measure.kind == MeasureKind::Sum;
                match self.measures.iter().position(is_sum) {
                    Some(measure) => side.push(measure),
                    None => return wrong(format!("{path}[{index}]"), format!("there is no sum measure {name:?}")),
                }
            }
            Ok(side)
        };
        let (add, subtract) = (side("add", &balance.add)?, side("subtract", &balance.subtract)?);
        if balance.tolerance.is_negative() {
            return wrong("status.balance.tolerance", "cannot be less than 0");
        }
        Ok(Some(CompiledStatus::Balance { add, subtract, tolerance: balance.tolerance }))
    }

    fn is_number(&self, column: usize) -> bool {
        self.columns.get(column).is_some_and(|column| column.number)
    }
}

/// The names of the schema's fields.
struct Names {
    names: Vec<String>,
}

impl Names {
    fn field(&self, name: &str, path: impl Fn() -> String) -> Checked<usize> {
        let found = self.names.iter().position(|other| other == name);
        found.ok_or_else(|| DefinitionError::at(path(), format!("there is no column {name:?}")))
    }
}

const NAME_BYTES_MAX: usize = 64;

fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

fn check_names(definition: &Definition) -> Checked<()> {
    let expected = "expected lower-case letters, digits, '-' and '_', at most 64";
    let name_at = |path: String, name: &str| {
        if is_name(name) { Ok(()) } else { wrong(path, format!("{name:?} is no name: {expected}")) }
    };
    name_at("name".to_owned(), &definition.name)?;
    definition.sources.keys().try_for_each(|name| name_at(format!("sources.{name}"), name))?;
    definition.measures.keys().try_for_each(|name| name_at(format!("measures.{name}"), name))?;
    definition.attributes.keys().try_for_each(|name| name_at(format!("attributes.{name}"), name))?;
    if definition.sources.is_empty() {
        return wrong("sources", "names no source");
    }
    if definition.artifact_key.is_empty() {
        return wrong("artifactKey", "names no column");
    }
    if matches!(definition.event_lines.keep, KeepLines::Last(count) if count == 0 || count > LAST_LINES_MAX) {
        return wrong("eventLines.keep.last", format!("must be from 1 to {LAST_LINES_MAX}"));
    }
    if definition.duplicates.ids_max == 0 {
        return wrong("duplicates.idsMax", "must be at least 1");
    }
    check_policy(&definition.policy)
}

fn check_policy(policy: &Policy) -> Checked<()> {
    let Grouping { events_base, events_max, bytes_base, bytes_max, batches_max, live_jobs_max } = policy.grouping;
    for (key, value, range) in [
        ("policy.leaseSeconds", u64::from(policy.lease_seconds), LEASE_SECONDS_MIN.into()..=u64::from(u32::MAX)),
        ("policy.grouping.batchesMax", batches_max, 1..=JOB_BATCHES_MAX),
        ("policy.grouping.liveJobsMax", u64::from(live_jobs_max), 1..=64),
        ("policy.grouping.eventsBase", events_base, 1..=events_max),
        ("policy.grouping.bytesBase", bytes_base, 1..=bytes_max),
    ] {
        if !range.contains(&value) {
            return wrong(key, format!("is {value}: must be from {} to {}", range.start(), range.end()));
        }
    }
    Ok(())
}

fn compile_events(definition: &Definition) -> Checked<(CompiledSchema, Format)> {
    let events = &definition.events;
    let schema = Schema {
        fields: events.fields.clone(),
        missing_values: events.missing_values.clone(),
        fields_match: FieldsMatch::Subset,
        primary_key: None,
        unique_keys: None,
        foreign_keys: None,
        name: None,
        title: None,
        description: None,
        profile: None,
    };
    let schema = schema.compile().map_err(|error| DefinitionError::at("events.fields", error.to_string()))?;
    let format = Format::new(&events.dialect, events.encoding);
    let format = format.map_err(|error| DefinitionError::at("events.dialect", error.to_string()))?;
    let bytes_max = usize::try_from(events.record_bytes_max).unwrap_or(usize::MAX);
    let format = format
        .with_record_bytes_max(bytes_max)
        .map_err(|error| DefinitionError::at("events.recordBytesMax", error.to_string()))?;
    if events.format == EventFormat::JsonLines {
        if events.dialect != Default::default() || events.encoding != Default::default() {
            return wrong("events.dialect", "dialect and encoding are for CSV");
        }
        let signs = |field: &records::Field| field.decimal_char.is_some() || field.group_char.is_some();
        if let Some(index) = events.fields.iter().position(signs) {
            return wrong(format!("events.fields[{index}]"), "decimalChar and groupChar are for CSV");
        }
    }
    Ok((schema, format))
}

/// The columns that something is made of: only they travel with an event.
fn travelling(definition: &Definition, names: &Names, schema: &CompiledSchema) -> Checked<Vec<Column>> {
    let mut fields = BTreeSet::new();
    for (index, amount) in definition.amounts.iter().enumerate() {
        fields.insert(names.field(&amount.column, || format!("amounts[{index}].column"))?);
        if let Some(column) = &amount.currency_column {
            fields.insert(names.field(column, || format!("amounts[{index}].currencyColumn"))?);
        }
    }
    for (name, measure) in &definition.measures {
        if let Some(column) = &measure.column {
            fields.insert(names.field(column, || format!("measures.{name}.column"))?);
        }
        for column in measure.filter.keys() {
            fields.insert(names.field(column, || format!("measures.{name}.where.{column}"))?);
        }
    }
    for (name, column) in &definition.attributes {
        fields.insert(names.field(column, || format!("attributes.{name}"))?);
    }
    match (&definition.event_lines.columns, definition.event_lines.keep) {
        (Some(_), KeepLines::None) => return wrong("eventLines.columns", "no lines are kept: see eventLines.keep"),
        (None, KeepLines::None) => {}
        (None, _) => fields.extend(0..names.names.len()),
        (Some(columns), _) => {
            for (index, column) in columns.iter().enumerate() {
                fields.insert(names.field(column, || format!("eventLines.columns[{index}]"))?);
            }
        }
    }
    let column = |field: usize| {
        let name = names.names.get(field)?.clone();
        let (number, plain_number) = (schema.is_number(field), schema.is_plain_number(field));
        Some(Column { name, field, number, plain_number })
    };
    Ok(fields.into_iter().filter_map(column).collect())
}
