//! Sums the amount columns of records into control totals.

use money::{ControlTotals, Currency, Overflow};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    header::Header,
    kind::Kind,
    number::NumberFormat,
    read::Record,
    schema::{CompiledSchema, SchemaError},
};

/// A column that is declared to hold amounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AmountColumn {
    /// The column's name.
    pub column: String,
    /// Its currency, when it has one for all records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// The column that holds each record's currency, as an ISO 4217 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency_column: Option<String>,
}

/// The declared amount columns of a file, ready to sum records.
#[derive(Debug, Clone)]
pub struct AmountColumns {
    columns: Vec<Column>,
    missing: CompiledSchema,
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    index: usize,
    number: NumberFormat,
    currency: CurrencyOf,
}

#[derive(Debug, Clone)]
enum CurrencyOf {
    All(Option<Currency>),
    Column(usize),
}

impl AmountColumns {
    /// Finds the declared columns in a file with this header. Their numbers are written as the schema says; a column
    /// that the schema does not have (one that enrichment adds) has plain numbers.
    ///
    /// # Errors
    ///
    /// A column that the header lacks, that is no number in the schema, or that has two currencies.
    pub fn new(declared: &[AmountColumn], schema: &CompiledSchema, header: &Header) -> Result<Self, SchemaError> {
        let mut columns = Vec::with_capacity(declared.len());
        for amount in declared {
            let problem = |key, problem: String| SchemaError::Field { field: amount.column.clone(), key, problem };
            let index = header.position(&amount.column);
            let index = index.ok_or_else(|| problem("amount", "the file has no such column".to_owned()))?;
            let number = match schema.field(&amount.column).map(|field| &field.kind) {
                None | Some(Kind::Any) => NumberFormat::default(),
                Some(Kind::Number(format)) => format.clone(),
                Some(_) => return Err(problem("type", "an amount column must be a number or an integer".to_owned())),
            };
            let currency = match (amount.currency, &amount.currency_column) {
                (Some(_), Some(_)) => {
                    return Err(problem("currencyColumn", "there is a currency for all records too".to_owned()));
                }
                (currency, None) => CurrencyOf::All(currency),
                (None, Some(column)) => CurrencyOf::Column(
                    header
                        .position(column)
                        .ok_or_else(|| problem("currencyColumn", format!("the file has no column {column:?}")))?,
                ),
            };
            columns.push(Column { name: amount.column.clone(), index, number, currency });
        }
        Ok(Self { columns, missing: schema.clone() })
    }

    /// Counts a record, good or bad, and adds its amounts.
    ///
    /// A missing value (an empty cell, or one of the schema's `missingValues`) and a cell that the record is too short
    /// to have are not counted. An amount whose currency is no ISO 4217 code is summed without currency.
    pub fn add(&self, record: &Record<'_>, totals: &mut ControlTotals) -> Result<(), Overflow> {
        self.add_cells(|index| record.get(index), totals)
    }

    /// The same for a record that is about to be written, by the cells of its columns.
    pub fn add_cells<'c>(
        &self,
        cells: impl Fn(usize) -> Option<&'c str>,
        totals: &mut ControlTotals,
    ) -> Result<(), Overflow> {
        totals.add_record()?;
        let present = |cell: &&str| !cell.is_empty() && !self.missing.is_missing(cell);
        for column in &self.columns {
            let Some(cell) = cells(column.index).filter(present) else { continue };
            let currency = match column.currency {
                CurrencyOf::All(currency) => currency,
                CurrencyOf::Column(index) => cells(index).and_then(|code| code.parse().ok()),
            };
            match column.number.parse(cell) {
                Some(amount) => totals.add(&column.name, currency, amount)?,
                None => totals.add_unparsed(&column.name, currency)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{descriptor::Schema, dialect::Format, read::RecordReader};

    fn schema() -> CompiledSchema {
        let json = serde_json::json!({ "missingValues": ["", "n/a"], "fields": [
            {"name": "id"},
            {"name": "net", "type": "number", "decimalChar": ",", "groupChar": "."},
            {"name": "fee", "type": "number"},
            {"name": "currency"},
        ]});
        serde_json::from_value::<Schema>(json).unwrap().compile().unwrap()
    }

    fn declared(json: serde_json::Value) -> Vec<AmountColumn> {
        serde_json::from_value(json).unwrap()
    }

    fn header() -> Header {
        Header::parse(b"id;net;fee;currency;added", &Format { delimiter: b';', ..Format::default() }).unwrap()
    }

    #[test]
    fn every_record_is_summed_whether_good_or_bad() {
        let declared = declared(serde_json::json!([
            {"column": "net", "currencyColumn": "currency"},
            {"column": "fee", "currency": "EUR"},
            {"column": "added"},
        ]));
        let columns = AmountColumns::new(&declared, &schema(), &header()).unwrap();
        let format = Format { delimiter: b';', ..Format::default() };
        let input = b"1;1.000,50;0.1;USD;7\n2;0,25;0.2;USD;-0.5\n3;1.5;n/a;JPY;\n4;8;x;euro;1\n5\n\"6\"x;5;;USD;1;1\n";
        let (mut totals, mut reader) = (ControlTotals::default(), RecordReader::new(input, &format, 0, 1));
        while let Some(record) = reader.next_record().unwrap() {
            columns.add(&record, &mut totals).unwrap();
        }
        assert_eq!(
            totals.to_string(),
            "6 records\n\
             added: 8.5 in 4 amounts\n\
             fee in EUR: 0.3 in 2 amounts, 1 unparsed\n\
             net: 8 in 1 amounts\n\
             net in JPY: 0 in 0 amounts, 1 unparsed\n\
             net in USD: 1005.75 in 3 amounts"
        );
    }

    #[test]
    fn declarations_are_checked() {
        for (json, says) in [
            (serde_json::json!([{"column": "gross"}]), "field \"gross\": amount: the file has no such column"),
            (serde_json::json!([{"column": "id"}]), "field \"id\": type: an amount column must be a number"),
            (
                serde_json::json!([{"column": "fee", "currencyColumn": "x"}]),
                "currencyColumn: the file has no column \"x\"",
            ),
            (
                serde_json::json!([{"column": "fee", "currency": "EUR", "currencyColumn": "currency"}]),
                "for all records too",
            ),
        ] {
            let error = AmountColumns::new(&declared(json), &schema(), &header()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
