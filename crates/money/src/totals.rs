//! Control totals: what is counted and summed on both sides of every handover.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Amount, Currency};

/// The number of records, and for each amount column and currency the exact sum, the number of amounts, and the number
/// of values that are no amounts. An empty cell is counted neither as an amount nor as unparsed.
///
/// Equal totals have equal figures; an entry without figures is the same as no entry. The order in which records were
/// added, or totals merged, does not matter.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Entries", into = "Entries")]
#[schemars(with = "Entries")]
pub struct ControlTotals {
    records: u64,
    columns: BTreeMap<String, BTreeMap<Option<Currency>, ColumnTotal>>,
}

/// The figures of one column in one currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ColumnTotal {
    /// The exact sum of the amounts.
    pub sum: Amount,
    /// How many values were amounts.
    pub amounts: u64,
    /// How many values were neither empty nor amounts.
    pub unparsed: u64,
}

/// One column of control totals, as serialised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TotalsEntry {
    /// The column's name.
    pub column: String,
    /// The currency; absent where none is declared, or none could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Its figures.
    #[serde(flatten)]
    pub total: ColumnTotal,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ControlTotals")]
struct Entries {
    /// The number of records.
    records: u64,
    /// The amount columns, sorted by name and currency.
    #[serde(default)]
    columns: Vec<TotalsEntry>,
}

/// A figure that differs between two totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The numbers of records.
    Records {
        /// In the totals that were asked.
        left: u64,
        /// In those that they were compared with.
        right: u64,
    },
    /// The figures of a column in a currency.
    Column {
        /// The column.
        column: String,
        /// The currency, if there is one.
        currency: Option<Currency>,
        /// In the totals that were asked.
        left: ColumnTotal,
        /// In those that they were compared with.
        right: ColumnTotal,
    },
}

/// A sum or a count that cannot be held exactly. The totals are as they were before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the control total of {what} has too many digits to be held exactly")]
pub struct Overflow {
    what: String,
}

impl ControlTotals {
    /// The number of records.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Counts one record.
    pub fn add_record(&mut self) -> Result<(), Overflow> {
        self.add_records(1)
    }

    /// Counts records.
    pub fn add_records(&mut self, records: u64) -> Result<(), Overflow> {
        self.records = self.records.checked_add(records).ok_or_else(|| Overflow { what: "records".to_owned() })?;
        Ok(())
    }

    /// Adds one amount of a column.
    pub fn add(&mut self, column: &str, currency: Option<Currency>, amount: Amount) -> Result<(), Overflow> {
        self.add_total(column, currency, ColumnTotal { sum: amount, amounts: 1, unparsed: 0 })
    }

    /// Counts a value of a column that is neither empty nor an amount.
    pub fn add_unparsed(&mut self, column: &str, currency: Option<Currency>) -> Result<(), Overflow> {
        self.add_total(column, currency, ColumnTotal { sum: Amount::ZERO, amounts: 0, unparsed: 1 })
    }

    /// Adds all figures of `other`.
    pub fn merge(&mut self, other: &Self) -> Result<(), Overflow> {
        let mut merged = self.clone();
        merged.add_records(other.records)?;
        for entry in other.entries() {
            merged.add_total(&entry.column, entry.currency, entry.total)?;
        }
        *self = merged;
        Ok(())
    }

    /// The figures of a column in a currency; zeros when there are none.
    pub fn column(&self, column: &str, currency: Option<Currency>) -> ColumnTotal {
        self.columns.get(column).and_then(|currencies| currencies.get(&currency)).copied().unwrap_or_default()
    }

    /// All columns, by name and currency.
    pub fn entries(&self) -> impl Iterator<Item = TotalsEntry> + '_ {
        self.columns.iter().flat_map(|(column, currencies)| {
            currencies.iter().map(|(currency, total)| TotalsEntry {
                column: column.clone(),
                currency: *currency,
                total: *total,
            })
        })
    }

    /// Every figure in which `other` differs; nothing when both tie out.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        if self.records != other.records {
            differences.push(Difference::Records { left: self.records, right: other.records });
        }
        let keys = self.entries().chain(other.entries()).map(|entry| (entry.column, entry.currency));
        for (column, currency) in keys.collect::<std::collections::BTreeSet<_>>() {
            let (left, right) = (self.column(&column, currency), other.column(&column, currency));
            if left != right {
                differences.push(Difference::Column { column, currency, left, right });
            }
        }
        differences
    }

    /// Adds figures of a column in a currency.
    pub fn add_total(&mut self, column: &str, currency: Option<Currency>, more: ColumnTotal) -> Result<(), Overflow> {
        // Looked up by reference first: this is done for every amount, and the column is nearly always known.
        let held = match self.columns.get_mut(column) {
            Some(currencies) => currencies.entry(currency).or_default(),
            None => self.columns.entry(column.to_owned()).or_default().entry(currency).or_default(),
        };
        *held = held.plus(more).ok_or_else(|| Overflow { what: Label(column, currency).to_string() })?;
        Ok(())
    }
}

impl ColumnTotal {
    fn plus(self, more: Self) -> Option<Self> {
        Some(Self {
            sum: self.sum.checked_add(more.sum).ok()?,
            amounts: self.amounts.checked_add(more.amounts)?,
            unparsed: self.unparsed.checked_add(more.unparsed)?,
        })
    }
}

impl PartialEq for ControlTotals {
    fn eq(&self, other: &Self) -> bool {
        self.differences(other).is_empty()
    }
}

impl Eq for ControlTotals {}

impl From<ControlTotals> for Entries {
    fn from(totals: ControlTotals) -> Self {
        Self { records: totals.records, columns: totals.entries().collect() }
    }
}

impl TryFrom<Entries> for ControlTotals {
    type Error = Overflow;

    fn try_from(entries: Entries) -> Result<Self, Overflow> {
        let mut totals = Self { records: entries.records, ..Self::default() };
        for entry in entries.columns {
            totals.add_total(&entry.column, entry.currency, entry.total)?;
        }
        Ok(totals)
    }
}

/// `Total Revenue in USD`, or the column alone.
struct Label<'a>(&'a str, Option<Currency>);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(currency) => write!(f, "{} in {currency}", self.0),
            None => f.write_str(self.0),
        }
    }
}

/// `12.50 in 3 amounts, 1 unparsed`.
impl fmt::Display for ColumnTotal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} amounts", self.sum, self.amounts)?;
        if self.unparsed > 0 { write!(f, ", {} unparsed", self.unparsed) } else { Ok(()) }
    }
}

/// One line for the records, and one for each column.
impl fmt::Display for ControlTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records", self.records)?;
        for entry in self.entries() {
            write!(f, "\n{}: {}", Label(&entry.column, entry.currency), entry.total)?;
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records { left, right } => write!(f, "{left} records against {right}"),
            Self::Column { column, currency, left, right } => {
                write!(f, "{}: {left} against {right}", Label(column, *currency))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    fn usd() -> Option<Currency> {
        Some("USD".parse().unwrap())
    }

    fn sample() -> ControlTotals {
        let mut totals = ControlTotals::default();
        totals.add_records(3).unwrap();
        totals.add("net", usd(), amount("10.10")).unwrap();
        totals.add("net", usd(), amount("0.005")).unwrap();
        totals.add("net", None, amount("7")).unwrap();
        totals.add_unparsed("net", usd()).unwrap();
        totals
    }

    #[test]
    fn prints_for_people() {
        assert_eq!(sample().to_string(), "3 records\nnet: 7 in 1 amounts\nnet in USD: 10.105 in 2 amounts, 1 unparsed");
    }

    #[test]
    fn in_json_sums_are_text() {
        let json = serde_json::to_value(sample()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({ "records": 3, "columns": [
                { "column": "net", "sum": "7", "amounts": 1, "unparsed": 0 },
                { "column": "net", "currency": "USD", "sum": "10.105", "amounts": 2, "unparsed": 1 },
            ] })
        );
        assert_eq!(serde_json::from_value::<ControlTotals>(json).unwrap(), sample());
    }

    #[test]
    fn differences_name_column_currency_and_both_sides() {
        let mut other = sample();
        other.add_record().unwrap();
        other.add("net", usd(), amount("0.01")).unwrap();
        other.add("tax", None, amount("1")).unwrap();
        let texts: Vec<_> = sample().differences(&other).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "3 records against 4",
                "net in USD: 10.105 in 2 amounts, 1 unparsed against 10.115 in 3 amounts, 1 unparsed",
                "tax: 0 in 0 amounts against 1 in 1 amounts",
            ]
        );
        assert!(sample() != other && sample() == sample());
    }

    /// Swapping a cent between two currencies, or an amount and an unparsed value, is not hidden by equal sums.
    #[test]
    fn compensating_errors_are_seen() {
        let (mut left, mut right) = (ControlTotals::default(), ControlTotals::default());
        left.add("net", usd(), amount("0")).unwrap();
        right.add_unparsed("net", usd()).unwrap();
        assert_eq!(left.differences(&right).len(), 1);
        let mut elsewhere = ControlTotals::default();
        elsewhere.add("net", None, amount("0")).unwrap();
        assert_eq!(left.differences(&elsewhere).len(), 2);
    }

    #[test]
    fn overflow_leaves_the_totals_as_they_were() {
        let mut totals = sample();
        let most = Amount::new(i128::MAX, 0).unwrap();
        let error = totals.add("net", usd(), most).unwrap_err();
        assert_eq!(error.to_string(), "the control total of net in USD has too many digits to be held exactly");
        assert_eq!(totals, sample());
        let mut other = ControlTotals::default();
        other.add_records(1).unwrap();
        other.add("net", usd(), most).unwrap();
        assert!(totals.merge(&other).is_err());
        assert_eq!(totals, sample());
        assert!(totals.add_records(u64::MAX).is_err());
    }

    type Entry = (u8, bool, Option<(i32, u8)>);

    fn totals(entries: &[Entry]) -> ControlTotals {
        let mut totals = ControlTotals::default();
        for (column, with_currency, value) in entries {
            let (column, currency) = (format!("c{}", column % 3), if *with_currency { usd() } else { None });
            totals.add_record().unwrap();
            match value {
                Some((minor, scale)) => {
                    totals.add(&column, currency, Amount::new((*minor).into(), scale % 9).unwrap()).unwrap();
                }
                None => totals.add_unparsed(&column, currency).unwrap(),
            }
        }
        totals
    }

    proptest! {
        #[test]
        fn adding_and_merging_are_free_of_order(
            (entries, shuffled) in proptest::collection::vec(any::<Entry>(), 0..40)
                .prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle())),
            cut in any::<proptest::sample::Index>(),
        ) {
            prop_assert_eq!(totals(&entries).differences(&totals(&shuffled)), vec![]);
            let (left, right) = shuffled.split_at(cut.index(shuffled.len() + 1));
            for (first, second) in [(left, right), (right, left)] {
                let mut merged = totals(first);
                merged.merge(&totals(second)).unwrap();
                prop_assert_eq!(&merged, &totals(&entries));
            }
        }

        #[test]
        fn serialising_keeps_every_figure(entries in proptest::collection::vec(any::<Entry>(), 0..20)) {
            let json = serde_json::to_string(&totals(&entries)).unwrap();
            prop_assert_eq!(serde_json::from_str::<ControlTotals>(&json).unwrap(), totals(&entries));
        }
    }
}
