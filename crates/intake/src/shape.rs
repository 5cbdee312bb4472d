//! What the records of a run look like, before and after.

use bytes::Bytes;
use money::{ControlTotals, Currency};
use records::{AmountColumn, AmountColumns, CompiledSchema, Format, Header, LineEnd, RecordReader, Validator, Writer};

use crate::{
    batch::Wrong,
    chunk::RULE_CURRENCY,
    error::IntakeError,
    feed::{Feed, FeedError},
};

/// The records of a run as they are read, and as they are written.
pub(crate) struct Shape {
    /// How the input is read.
    pub(crate) input: Format,
    /// What its records are held to.
    pub(crate) validator: Validator,
    /// Its amount columns, as they stand in the input.
    pub(crate) read_amounts: AmountColumns,
    /// The same columns, as they stand in a record that keeps the schema.
    pub(crate) kept_amounts: AmountColumns,
    /// How the output is written.
    pub(crate) output: OutputShape,
}

/// The records of an output.
pub(crate) struct OutputShape {
    format: Format,
    columns: Vec<String>,
    /// For each column, whether it is text to be guarded against spreadsheets.
    guarded: Vec<bool>,
    /// Its amount columns.
    pub(crate) amounts: AmountColumns,
    /// For each amount column that has a column of currencies, the indices of both.
    currencies: Vec<(usize, usize)>,
    /// The amount columns that the input lacks, or whose currency it lacks.
    pub(crate) brought: Vec<String>,
}

/// An output record is an input record with cells brought in: longer than any input record, but not by much.
const OUTPUT_RECORD_BYTES_MAX: usize = 1 << 30;

impl Shape {
    /// The shape of a feed's files that have these columns.
    pub(crate) fn new(feed: &Feed, columns: &[String]) -> Result<Self, FeedError> {
        let input = feed.format()?;
        let names = columns.iter().map(String::as_str);
        let schema = feed.compiled_schema(columns)?;
        let header = Header::new(names, &input)?;
        let validator = Validator::new(&schema, &header, &input)?;
        let own = own_amounts(feed, &schema);
        Ok(Self {
            read_amounts: AmountColumns::new(&own, &schema, &header)?,
            kept_amounts: AmountColumns::new(&own, &schema, &Header::of_schema(&schema))?,
            output: OutputShape::new(feed, &schema)?,
            input,
            validator,
        })
    }
}

impl OutputShape {
    fn new(feed: &Feed, schema: &CompiledSchema) -> Result<Self, FeedError> {
        let columns: Vec<String> = schema.names().chain(feed.brought()).map(str::to_owned).collect();
        let format = feed.published().format()?.with_record_bytes_max(OUTPUT_RECORD_BYTES_MAX)?;
        let header = Header::new(columns.iter().map(String::as_str), &format)?;
        let amounts = AmountColumns::new(&feed.tieout.amounts, schema, &header)?;
        let guarded = if feed.tieout.formula_guard { guarded(feed, schema, &columns) } else { Vec::new() };
        let with_currency = feed.tieout.amounts.iter();
        let currencies = with_currency.filter_map(|amount| {
            header.position(&amount.column).zip(header.position(amount.currency_column.as_deref()?))
        });
        let currencies = currencies.collect();
        let own = own_amounts(feed, schema);
        let brought = feed.tieout.amounts.iter().filter(|amount| !own.contains(amount));
        let brought = brought.map(|amount| amount.column.clone()).collect();
        Ok(Self { format, columns, guarded, amounts, currencies, brought })
    }

    /// What is wrong with a record, by the cells of its columns, if an amount of it has a currency that nobody knows.
    pub(crate) fn unknown_currency<'c>(&'c self, cell: impl Fn(usize) -> Option<&'c str>) -> Option<Wrong<'c>> {
        self.currencies.iter().find_map(|(amount, currency)| {
            let (amount, code) = (cell(*amount).unwrap_or_default(), cell(*currency).unwrap_or_default());
            let unknown = !amount.is_empty() && code.parse::<Currency>().is_err();
            let column = self.columns.get(*currency).map_or("", String::as_str);
            let expected = "expected a currency of ISO 4217, such as EUR".to_owned();
            unknown.then_some((RULE_CURRENCY, column, code, expected))
        })
    }

    /// The output's header line.
    pub(crate) fn header(&self) -> Bytes {
        let mut writer = self.writer();
        writer.write_header(self.columns.iter().map(String::as_str));
        writer.into_bytes().into()
    }

    /// A writer of the output's records.
    pub(crate) fn writer(&self) -> Writer {
        Writer::new(&self.format, LineEnd::Lf).guarding(self.guarded.clone())
    }

    /// The figures of whole output records, as a reader of the output gets them.
    pub(crate) fn totals(&self, bytes: &[u8]) -> Result<ControlTotals, IntakeError> {
        let mut reader = RecordReader::new(bytes, &self.format, 0, 1);
        let mut totals = ControlTotals::default();
        while let Some(record) = reader.next_record().map_err(IntakeError::OutputUnreadable)? {
            self.amounts.add(&record, &mut totals)?;
        }
        Ok(totals)
    }
}

/// The amount columns that the input has, with their currencies.
fn own_amounts(feed: &Feed, schema: &CompiledSchema) -> Vec<AmountColumn> {
    let own = |name: &str| schema.names().any(|column| column == name);
    let amounts = feed.tieout.amounts.iter();
    amounts.filter(|amount| own(&amount.column) && amount.currency_column.as_deref().is_none_or(own)).cloned().collect()
}

/// For each column, whether it is text. An amount is none, though it was brought in: its sum must be read again.
fn guarded(feed: &Feed, schema: &CompiledSchema, columns: &[String]) -> Vec<bool> {
    let text = schema.text_columns().into_iter().chain(std::iter::repeat(true));
    let is_amount = |column: &String| feed.tieout.amounts.iter().any(|amount| amount.column == *column);
    columns.iter().zip(text).map(|(column, text)| text && !is_amount(column)).collect()
}
