//! Generated events: a shop invoices and ships, and a bank pays, hour by hour.
//!
//! Batches alternate: those of the shop, `shop-0000`, `shop-0001` and so on, and after each that of the bank for the same
//! hour, which pays it. So neighbours share all their orders, and further ones share what chance brings: the fewer orders
//! there are for the events, the more.

use jiff::{Span, Timestamp, ToSpan, civil::date, tz::Offset};

use super::{Batch, Currency, EUR, Event, Fault, JPY, KWD, Kind, Money, Row, USD};
use crate::dice::{Dice, random};

/// The order that [`Plan::hot_lines`] go to.
pub const HOT: &str = "ORD-HOT";

const COUNTRIES: [&str; 6] = ["Germany", "Côte d'Ivoire", "Japan", "Korea, Republic of", "Saint \"Kitts\"", "Kuwait"];
const CHANNELS: [&str; 3] = ["Online", "Offline", ""];
const PRICE_MAX: u64 = 1_000_000;
const SECONDS: u64 = 3600;
/// Of so many rows of a shop the last is a shipment; of so many rows of a bank the last is the second payment of an
/// invoice, or a refund.
const GROUP: u64 = 5;

/// What is to be generated.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Other events for another seed.
    pub seed: u64,
    /// How many events in all, besides those of the lines below.
    pub events: u64,
    /// How many orders there are: the events are spread over them.
    pub artifacts: u64,
    /// How many batches.
    pub batches: u64,
    /// How many files each batch has.
    pub files: u64,
    /// How many further events the order [`HOT`] has, spread over all batches.
    pub hot_lines: u64,
    /// In each batch: how many rows come twice.
    pub duplicates: u64,
    /// In each batch: how many rows come again with other content.
    pub conflicts: u64,
    /// In each batch: how many rows cannot be taken.
    pub rejects: u64,
}

impl Default for Plan {
    /// A thousand events in four batches of one file, and nothing else.
    fn default() -> Self {
        Self {
            seed: 1,
            events: 1_000,
            artifacts: 300,
            batches: 4,
            files: 1,
            hot_lines: 0,
            duplicates: 0,
            conflicts: 0,
            rejects: 0,
        }
    }
}

/// What the shop and the bank do about a row of a shop's batch.
struct Deal {
    order: String,
    country: &'static str,
    channel: &'static str,
    currency: Currency,
    /// What is invoiced, in minor units.
    price: i64,
    /// By how much the payment is short of that; less than zero where it is too much.
    short: i64,
    units: u32,
}

impl Plan {
    /// The batches, in the order of their intervals; each is made when it is asked for.
    pub fn batches(&self) -> impl Iterator<Item = Batch> {
        (0..self.batches).map(|index| self.batch(index))
    }

    /// A late batch of the bank, for all its intervals: what was paid too little, or too much.
    pub fn correction(&self) -> Batch {
        let (mut rows, steps) = (Vec::new(), self.batches / 2);
        for step in 0..steps {
            for row in 0..self.rows(2 * step + 1) {
                let deal = self.deal(step, row);
                if row % GROUP == GROUP - 1 || deal.short == 0 {
                    continue;
                }
                let kind = if deal.short < 0 { Kind::Refund } else { Kind::Payment };
                let event = deal.event(format!("L{step}-{row}"), self.time(2 * step + 1, row), kind, deal.short);
                rows.push(event.into());
            }
        }
        let (from, _) = interval(0);
        let (_, to) = interval(steps.saturating_sub(1));
        let correction = Some("payments that were booked late".to_owned());
        Batch { name: "bank-late".to_owned(), source: "bank", from, to, correction, files: vec![rows] }
    }

    /// How many of the events are in a batch.
    fn rows(&self, batch: u64) -> u64 {
        share(self.events, batch, self.batches)
    }

    fn batch(&self, index: u64) -> Batch {
        let (step, source) = (index / 2, if index.is_multiple_of(2) { "shop" } else { "bank" });
        let count = self.rows(index);
        let mut rows: Vec<Row> = (0..count).map(|row| self.event(index, row).into()).collect();
        rows.extend((0..share(self.hot_lines, index, self.batches)).map(|row| Row::from(self.hot(index, row))));
        self.add_noise(index, &mut rows);
        let (from, to) = interval(step);
        let name = format!("{source}-{step:04}");
        Batch { name, source, from, to, correction: None, files: cut(rows, self.files) }
    }

    /// What the shop and the bank do about row `row` of the shop's batch `step`. The fifth row of five is about the fourth.
    fn deal(&self, step: u64, row: u64) -> Deal {
        let row = if row % GROUP == GROUP - 1 { row - 1 } else { row };
        let mut dice = Dice(random(self.seed, step << 32 | row));
        let order = dice.below(self.artifacts.max(1));
        let mut of_order = Dice(random(!self.seed, order));
        let currencies = [USD, USD, USD, USD, USD, USD, EUR, EUR, JPY, KWD];
        let usual = of_order.pick(&currencies);
        let country = of_order.pick(&COUNTRIES);
        let price = 1_000 + dice.below(PRICE_MAX) as i64;
        let short = match dice.below(100) {
            0..90 => 0,
            90..93 => 1 + dice.below(5) as i64,
            93..98 => 6 + dice.below(500) as i64,
            _ => -1 - dice.below(500) as i64,
        };
        Deal {
            order: format!("ORD-{order:09}"),
            country: if dice.below(8) == 0 { "" } else { country },
            channel: dice.pick(&CHANNELS),
            // Few orders are invoiced in more than one currency.
            currency: if dice.below(50) == 0 { dice.pick(&currencies) } else { usual },
            price,
            short,
            units: 1 + dice.below(20) as u32,
        }
    }

    fn event(&self, batch: u64, row: u64) -> Event {
        let (step, in_group) = (batch / 2, row % GROUP);
        let deal = self.deal(step, row);
        let (id, time) = (format!("E{batch}-{row}"), self.time(batch, row));
        if batch.is_multiple_of(2) {
            return match in_group {
                4 => Event { money: None, units: Some(deal.units), ..deal.event(id, time, Kind::Shipment, 0) },
                _ => deal.event(id, time, Kind::Invoice, deal.price),
            };
        }
        let paid = deal.price - deal.short;
        // Every third group has a refund of what was paid too much before.
        let refunded = if (row / GROUP).is_multiple_of(3) { Some(1 + deal.price / 10) } else { None };
        let (kind, minor) = match (in_group, refunded) {
            (3, Some(refunded)) => (Kind::Payment, paid + refunded),
            (4, Some(refunded)) => (Kind::Refund, -refunded),
            (3, None) => (Kind::Payment, paid - paid / 3),
            (4, None) => (Kind::Payment, paid / 3),
            _ => (Kind::Payment, paid),
        };
        deal.event(id, time, kind, minor)
    }

    /// An event of the hot order. What the bank pays is what the shop has invoiced.
    fn hot(&self, batch: u64, row: u64) -> Event {
        let minor = 1 + (random(self.seed ^ (batch / 2), row) % 10_000) as i64;
        let kind = if batch.is_multiple_of(2) { Kind::Invoice } else { Kind::Payment };
        Event {
            order: HOT.to_owned(),
            id: format!("H{batch}-{row}"),
            time: self.time(batch, row),
            kind,
            money: Some(Money { minor, currency: USD }),
            units: None,
            country: String::new(),
            channel: "Online",
        }
    }

    /// Within the batch's interval; many events have the same.
    fn time(&self, batch: u64, row: u64) -> Timestamp {
        let (from, _) = interval(batch / 2);
        let mut dice = Dice(random(self.seed.rotate_left(32) ^ batch, row));
        let (seconds, millis) = (dice.below(SECONDS), if dice.below(8) == 0 { dice.below(1000) } else { 0 });
        from + Span::new().seconds(seconds as i64).milliseconds(millis as i64)
    }

    /// What a careless sender adds: behind the good rows, so that it is in other ranges and files than they are.
    fn add_noise(&self, batch: u64, rows: &mut Vec<Row>) {
        let good = rows.len() as u64;
        if good == 0 {
            return;
        }
        let mut dice = Dice(random(self.seed.rotate_left(16), batch));
        for number in 0..self.duplicates + self.conflicts + self.rejects {
            let Some(mut row) = rows.get(dice.below(good) as usize).cloned() else { continue };
            if number < self.duplicates {
            } else if number < self.duplicates + self.conflicts {
                row.event.country.push_str(" (new)");
            } else {
                row.event.id = format!("R{batch}-{number}");
                if row.event.money.is_some() && number.is_multiple_of(2) {
                    row.fault = Some(Fault::Amount);
                } else {
                    row.event.time += 24.hours();
                    row.fault = Some(Fault::Interval);
                }
            }
            rows.push(row);
        }
    }
}

impl Deal {
    fn event(&self, id: String, time: Timestamp, kind: Kind, minor: i64) -> Event {
        Event {
            order: self.order.clone(),
            id,
            time,
            kind,
            money: Some(Money { minor, currency: self.currency }),
            units: None,
            country: self.country.to_owned(),
            channel: self.channel,
        }
    }
}

/// The hour of a step.
fn interval(step: u64) -> (Timestamp, Timestamp) {
    let start = Offset::UTC.to_timestamp(date(2016, 1, 1).at(0, 0, 0, 0)).unwrap_or_default();
    let at = |step: u64| start + (step as i64).hours();
    (at(step), at(step + 1))
}

/// How many of `all` things the `index`-th of `parts` gets.
fn share(all: u64, index: u64, parts: u64) -> u64 {
    let before = |index: u64| (all as u128 * index as u128 / parts as u128) as u64;
    before(index + 1) - before(index)
}

/// Cuts rows into so many files of about the same length.
fn cut(mut rows: Vec<Row>, files: u64) -> Vec<Vec<Row>> {
    let (all, files) = (rows.len() as u64, files.max(1));
    let mut cut: Vec<Vec<Row>> = Vec::new();
    for file in (0..files).rev() {
        let rest = rows.len() - share(all, file, files) as usize;
        cut.push(rows.split_off(rest));
    }
    cut.reverse();
    cut
}
