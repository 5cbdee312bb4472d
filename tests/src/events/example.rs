//! The events of the example (`examples/ledger/events/`), made of the example's orders and their financials.
//!
//! An order of 2016 or 2017 is invoiced when it is made, at its `totalRevenue`; shipped on its ship date, with its
//! `unitsSold`; and paid some weeks later: in full or in parts, by some cents too little, by more than that, twice over
//! a refund, or never. What was paid too little comes late, for some of the orders.

use std::collections::HashMap;

use jiff::{Timestamp, ToSpan, civil::Date, tz::Offset};

use super::{Batch, Event, Kind, Money, Row, USD};
use crate::dice::{Dice, random};

const SEED: u64 = 2016;
/// The intervals: name, first day, first day behind it.
const HALVES: [(&str, [i16; 2], [i16; 2]); 4] = [
    ("2016-h1", [2016, 1], [2016, 7]),
    ("2016-h2", [2016, 7], [2017, 1]),
    ("2017-h1", [2017, 1], [2017, 7]),
    ("2017-h2", [2017, 7], [2018, 1]),
];

/// The example's orders cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable(String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the example's orders have something that cannot be read: {}", self.0)
    }
}

impl std::error::Error for Unreadable {}

/// What orders.csv and financials.csv say of an order.
struct Order {
    uuid: String,
    country: String,
    channel: &'static str,
    ordered: Date,
    shipped: Date,
    units: u32,
    revenue_cents: i64,
}

/// The batches of shop and bank, in the order of their intervals, and the bank's late one behind them.
pub fn batches(orders: &str, financials: &str) -> Result<Vec<Batch>, Unreadable> {
    let (mut shop, mut bank, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for order in read(orders, financials)? {
        if order.ordered.year() >= 2016 {
            order.tell(&mut shop, &mut bank, &mut late);
        }
    }
    let mut batches = Vec::new();
    for (half, from, to) in HALVES {
        let (from, to) = (first_day(from), first_day(to));
        for (source, events) in [("shop", &shop), ("bank", &bank)] {
            let mut rows: Vec<Row> =
                events.iter().filter(|row| (from..to).contains(&row.event.time)).cloned().collect();
            rows.sort_by(|one, other| (one.event.time, &one.event.id).cmp(&(other.event.time, &other.event.id)));
            if source == "bank" {
                repeat_some(&mut rows);
            }
            let name = format!("{source}-{half}");
            batches.push(Batch { name, source, from, to, correction: None, files: vec![rows] });
        }
    }
    late.sort_by(|one, other| (one.event.time, &one.event.id).cmp(&(other.event.time, &other.event.id)));
    batches.push(Batch {
        name: "bank-late".to_owned(),
        source: "bank",
        from: first_day([2016, 1]),
        to: first_day([2018, 1]),
        correction: Some("payments that were found on another account".to_owned()),
        files: vec![late],
    });
    Ok(batches)
}

/// Banks send a line again now and then.
fn repeat_some(rows: &mut Vec<Row>) {
    let again: Vec<Row> = rows.iter().skip(10).step_by(60).cloned().collect();
    rows.extend(again);
}

impl Order {
    fn tell(&self, shop: &mut Vec<Row>, bank: &mut Vec<Row>, late: &mut Vec<Row>) {
        let uuid = self.uuid.bytes().fold(0, |number, digit| number * 10 + u64::from(digit.wrapping_sub(b'0')));
        let mut dice = Dice(random(SEED, uuid));
        let due = self.revenue_cents;
        shop.push(self.event("I1", self.ordered, &mut dice, Kind::Invoice, Some(due)));
        let shipment = self.event("S1", self.shipped, &mut dice, Kind::Shipment, None);
        shop.push(Row { event: Event { units: Some(self.units), ..shipment.event }, fault: None });

        let first_days = 10 + dice.below(50) as i64;
        let paid_on = |days: i64| self.ordered.saturating_add((first_days + days).days());
        let mut pay = |number: &str, days: i64, kind: Kind, cents: i64| {
            bank.push(self.event(number, paid_on(days), &mut dice, kind, Some(cents)));
        };
        // Nine digits look like dice enough for what happens to an order.
        match random(!SEED, uuid) % 100 {
            0..55 => pay("P1", 0, Kind::Payment, due),
            55..72 => {
                pay("P1", 0, Kind::Payment, due / 2);
                pay("P2", 14, Kind::Payment, due - due / 2);
            }
            72..80 => {
                pay("P1", 0, Kind::Payment, due / 3);
                pay("P2", 14, Kind::Payment, due / 3);
                pay("P3", 28, Kind::Payment, due - due / 3 * 2);
            }
            80..85 => pay("P1", 0, Kind::Payment, due - 1 - (uuid % 5) as i64),
            85..92 => {
                let missing = (100 + (uuid % 25_000) as i64).min(due - 1);
                pay("P1", 0, Kind::Payment, due - missing);
                if uuid.is_multiple_of(2) {
                    late.push(self.event("L1", paid_on(1), &mut dice, Kind::Payment, Some(missing)));
                }
            }
            92..96 => {
                let excess = 500 + (uuid % 100_000) as i64;
                pay("P1", 0, Kind::Payment, due + excess);
                pay("R1", 20, Kind::Refund, -excess);
            }
            _ => {}
        }
    }

    fn event(&self, number: &str, day: Date, dice: &mut Dice, kind: Kind, cents: Option<i64>) -> Row {
        let seconds = 6 * 3600 + dice.below(14 * 3600) as i64;
        Row::from(Event {
            order: self.uuid.clone(),
            id: number.to_owned(),
            time: midnight(day) + seconds.seconds(),
            kind,
            money: cents.map(|minor| Money { minor, currency: USD }),
            units: None,
            country: if kind == Kind::Invoice { self.country.clone() } else { String::new() },
            channel: if kind == Kind::Invoice { self.channel } else { "" },
        })
    }
}

fn first_day([year, month]: [i16; 2]) -> Timestamp {
    midnight(Date::new(year, month as i8, 1).unwrap_or_default())
}

fn midnight(day: Date) -> Timestamp {
    Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).unwrap_or_default()
}

fn read(orders: &str, financials: &str) -> Result<Vec<Order>, Unreadable> {
    let mut figures: HashMap<String, (u32, i64)> = HashMap::new();
    for record in csv::Reader::from_reader(financials.as_bytes()).records() {
        let record = record.map_err(|error| Unreadable(error.to_string()))?;
        let cell = |index: usize| record.get(index).unwrap_or_default();
        let (Ok(units), Some(cents)) = (cell(1).parse(), cents(cell(4))) else {
            return Err(Unreadable(format!("{record:?}")));
        };
        figures.insert(cell(0).to_owned(), (units, cents));
    }
    let records = csv::Reader::from_reader(orders.as_bytes()).into_records();
    let order = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.map_err(|error| Unreadable(error.to_string()))?;
        Order::parse(&record, &figures).ok_or_else(|| Unreadable(format!("{record:?}")))
    };
    records.map(order).collect()
}

impl Order {
    fn parse(record: &csv::StringRecord, figures: &HashMap<String, (u32, i64)>) -> Option<Self> {
        let uuid = record.get(0)?;
        let (units, revenue_cents) = *figures.get(uuid)?;
        let channel = if record.get(3)? == "Online" { "Online" } else { "Offline" };
        Some(Self {
            uuid: uuid.to_owned(),
            country: record.get(1)?.trim().to_owned(),
            channel,
            ordered: day(record.get(5)?)?,
            shipped: day(record.get(7)?)?,
            units,
            revenue_cents,
        })
    }
}

/// Month, day and two-digit year.
fn day(text: &str) -> Option<Date> {
    Date::strptime("%m/%d/%y", text).ok()
}

/// `437.2` is 43,720 cents.
fn cents(text: &str) -> Option<i64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{rest:0<2}").parse().ok()
}
