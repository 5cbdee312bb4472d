//! Events for ledgers: those of the example (`examples/ledger/`) and as many generated ones as are wanted, how they are
//! written, and what is to come of them.
//!
//! Everything is a function of its seed: the same on every machine.

pub mod example;
pub mod made;
pub mod oracle;
pub mod write;

use jiff::Timestamp;
use serde_json::Value;

/// The columns of every event file, in order.
pub const COLUMNS: [&str; 10] =
    ["order_id", "event_id", "event_time", "kind", "side", "amount", "currency", "units", "country", "channel"];

/// A currency, with its decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Currency {
    /// The ISO 4217 code.
    pub code: &'static str,
    /// How many decimals an amount has.
    pub decimals: u32,
}

/// US dollar: cents.
pub const USD: Currency = Currency { code: "USD", decimals: 2 };
/// Euro: cents.
pub const EUR: Currency = Currency { code: "EUR", decimals: 2 };
/// Yen: no decimals.
pub const JPY: Currency = Currency { code: "JPY", decimals: 0 };
/// Kuwaiti dinar: fils, a thousandth.
pub const KWD: Currency = Currency { code: "KWD", decimals: 3 };

/// What happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The shop asks for money.
    Invoice,
    /// The shop sends goods.
    Shipment,
    /// The bank has got money.
    Payment,
    /// The bank has given money back: a negative amount.
    Refund,
}

impl Kind {
    /// The word in the column `kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::Shipment => "shipment",
            Self::Payment => "payment",
            Self::Refund => "refund",
        }
    }

    /// The word in the column `side`: which side of the balance the amount is on.
    pub const fn side(self) -> &'static str {
        match self {
            Self::Invoice => "due",
            Self::Shipment => "",
            Self::Payment | Self::Refund => "settled",
        }
    }
}

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    /// In the currency's minor units.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The order: the artifact's key.
    pub order: String,
    /// The event's id, within its order.
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub kind: Kind,
    /// The amount, where it is about money.
    pub money: Option<Money>,
    /// How many units, where it is about goods.
    pub units: Option<u32>,
    /// The country; empty where the sender does not say.
    pub country: String,
    /// The sales channel; empty where the sender does not say.
    pub channel: &'static str,
}

/// Why a record cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It happened outside its batch's interval: its time is as it stands in the event.
    Interval,
    /// In place of the amount stands a text that is no number.
    Amount,
}

/// A record of an event file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The event that it says.
    pub event: Event,
    /// What is wrong with it, if anything is.
    pub fault: Option<Fault>,
}

impl From<Event> for Row {
    fn from(event: Event) -> Self {
        Self { event, fault: None }
    }
}

/// The events of a source and an interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its name: lower-case letters, digits, `-`.
    pub name: String,
    /// Who sends it.
    pub source: &'static str,
    /// The beginning of its interval.
    pub from: Timestamp,
    /// The first instant behind it.
    pub to: Timestamp,
    /// Why it comes after its interval was closed, if it does.
    pub correction: Option<String>,
    /// Its files, in order, with their records.
    pub files: Vec<Vec<Row>>,
}

impl Batch {
    /// How many records it has.
    pub fn records(&self) -> u64 {
        self.files.iter().map(|file| file.len() as u64).sum()
    }
}

impl Row {
    /// The cells, in the order of [`COLUMNS`], as every format has them.
    pub fn cells(&self) -> [String; COLUMNS.len()] {
        let Event { order, id, time, kind, money, units, country, channel } = &self.event;
        let amount = match self.fault {
            Some(Fault::Amount) => "n/a".to_owned(),
            _ => money.map_or_else(String::new, |money| decimal(money.minor.into(), money.currency.decimals)),
        };
        [
            order.clone(),
            id.clone(),
            time.to_string(),
            kind.name().to_owned(),
            kind.side().to_owned(),
            amount,
            money.map_or("", |money| money.currency.code).to_owned(),
            units.map_or_else(String::new, |units| units.to_string()),
            country.clone(),
            (*channel).to_owned(),
        ]
    }
}

/// Minor units as decimal text: `-1050` with two decimals is `-10.50`.
pub fn decimal(minor: i128, decimals: u32) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let digits = minor.unsigned_abs().to_string();
    let decimals = decimals as usize;
    let digits = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, rest) = digits.split_at(digits.len() - decimals);
    if decimals == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") }
}

/// The example's ledger definition, under another name.
pub fn definition(name: &str) -> Value {
    let mut definition: Value =
        serde_json::from_str(include_str!("../../examples/ledger/ledger.json")).unwrap_or_default();
    if let Some(document) = definition.as_object_mut() {
        document.insert("name".to_owned(), name.into());
    }
    definition
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_units_become_decimal_text() {
        let cases = [(0, 2), (5, 2), (-5, 2), (-1_050, 2), (7, 0), (-70, 0), (1, 3), (12_345, 3)];
        let texts = cases.map(|(minor, decimals)| decimal(minor, decimals));
        assert_eq!(texts, ["0.00", "0.05", "-0.05", "-10.50", "7", "-70", "0.001", "12.345"]);
    }

    #[test]
    fn the_definition_has_the_columns() {
        let definition = definition("other");
        assert_eq!(definition["name"], "other");
        let fields = definition["events"]["fields"].as_array().unwrap();
        assert_eq!(fields.iter().map(|field| field["name"].as_str().unwrap()).collect::<Vec<_>>(), COLUMNS);
    }
}
