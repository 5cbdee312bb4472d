//! Orders in the format of the public sample (`examples/orders/`), as many as are wanted, with exact totals.
//!
//! An order is a function of seed and row alone: the same on every machine, and any row can be had without the others.

mod world;

use std::io::{self, Write};

use jiff::civil::{Date, date};
use world::{ITEMS, Item, REGIONS};

use crate::dice::{Dice, random};

/// The header of the orders.
pub const ORDERS_HEADER: &str = "uuid,Country,Item Type,Sales Channel,Order Priority,Order Date,Region,Ship Date";
/// The header of the reference rows.
pub const FINANCIALS_HEADER: &str = "uuid,unitsSold,unitPrice,unitCost,totalRevenue,totalCost,totalProfit";

/// An order's id has nine digits, the first of them not zero: there are no more than so many orders.
pub const ROWS_MAX: u64 = 900_000_000;
const FIRST_UUID: u64 = 100_000_000;

const FIRST_ORDER_DATE: Date = date(2010, 1, 1);
/// The sample's orders span so many days; an order is shipped up to `SHIP_DAYS_MAX` days later.
const ORDER_DAYS: u64 = 2_766;
const SHIP_DAYS_MAX: u64 = 50;
const UNITS_MAX: u64 = 9_999;
const CHANNELS: [&str; 2] = ["Offline", "Online"];
const PRIORITIES: [&str; 4] = ["C", "H", "L", "M"];

/// More orders than there are ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyOrders;

impl std::fmt::Display for TooManyOrders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no more than {ROWS_MAX} orders can be told apart by nine digits")
    }
}

impl std::error::Error for TooManyOrders {}

/// A set of orders.
pub struct Orders {
    seed: u64,
    rows: u64,
    uuid_step: u64,
    uuid_start: u64,
    /// (country, region)
    places: Vec<(&'static str, &'static str)>,
    /// Every day from the first order to the last shipment, as the sample writes it.
    dates: Vec<String>,
}

/// One order.
pub struct Order<'a> {
    /// Nine digits, unlike any other order's.
    pub uuid: u64,
    /// The country, as the sample spells it.
    pub country: &'a str,
    /// Its region.
    pub region: &'a str,
    /// `Offline` or `Online`.
    pub channel: &'a str,
    /// `C`, `H`, `L` or `M`.
    pub priority: &'a str,
    /// Month, day and two-digit year, without padding.
    pub order_date: &'a str,
    /// The same day or later.
    pub ship_date: &'a str,
    /// From 1 to 9,999.
    pub units_sold: i64,
    item: Item,
}

/// Exact sums over a set of orders; amounts in cents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many orders.
    pub rows: u64,
    /// `unitsSold`.
    pub units_sold: i128,
    /// `totalRevenue`.
    pub revenue_cents: i128,
    /// `totalCost`.
    pub cost_cents: i128,
    /// `totalProfit`.
    pub profit_cents: i128,
}

impl Orders {
    /// The orders of this seed: the first `rows` of them.
    pub fn new(seed: u64, rows: u64) -> Result<Self, TooManyOrders> {
        if rows > ROWS_MAX {
            return Err(TooManyOrders);
        }
        let places = REGIONS.iter().flat_map(|region| region.countries.iter().map(|country| (*country, region.name)));
        let days = FIRST_ORDER_DATE.series(jiff::Span::new().days(1));
        let last = (ORDER_DAYS + SHIP_DAYS_MAX) as usize;
        Ok(Self {
            seed,
            rows,
            uuid_step: step_through(ROWS_MAX, random(seed, u64::MAX)),
            uuid_start: random(seed, u64::MAX - 1) % ROWS_MAX,
            places: places.collect(),
            dates: days.take(last).map(as_in_the_sample).collect(),
        })
    }

    /// The order in a row, counted from 0. Any row can be asked for, also beyond the set.
    pub fn order(&self, row: u64) -> Order<'_> {
        let mut dice = Dice(random(self.seed, row));
        let item = dice.pick(&ITEMS);
        let (country, region) = dice.pick(&self.places);
        let ordered = dice.below(ORDER_DAYS);
        let shipped = ordered + dice.below(SHIP_DAYS_MAX);
        Order {
            uuid: FIRST_UUID + (self.uuid_start + self.uuid_step * (row % ROWS_MAX)) % ROWS_MAX,
            country,
            region,
            channel: dice.pick(&CHANNELS),
            priority: dice.pick(&PRIORITIES),
            order_date: self.date(ordered),
            ship_date: self.date(shipped),
            units_sold: 1 + dice.below(UNITS_MAX) as i64,
            item,
        }
    }

    fn date(&self, day: u64) -> &str {
        self.dates.get(day as usize).map_or("", String::as_str)
    }

    /// All orders, in row order.
    pub fn iter(&self) -> impl Iterator<Item = Order<'_>> {
        (0..self.rows).map(|row| self.order(row))
    }

    /// The exact sums.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.iter().for_each(|order| totals.add(&order));
        totals
    }

    /// Writes orders and reference rows as the two CSV files of the sample; both writers should be buffered.
    pub fn write(&self, orders: &mut impl Write, financials: &mut impl Write) -> io::Result<Totals> {
        write!(orders, "{ORDERS_HEADER}\r\n")?;
        write!(financials, "{FINANCIALS_HEADER}\r\n")?;
        let mut totals = Totals::default();
        for order in self.iter() {
            order.write(orders)?;
            order.write_financials(financials)?;
            totals.add(&order);
        }
        Ok(totals)
    }
}

impl Order<'_> {
    /// `Item Type`.
    pub fn item_type(&self) -> &'static str {
        self.item.name
    }

    /// `totalRevenue`, in cents.
    pub fn revenue_cents(&self) -> i64 {
        self.units_sold * self.item.unit_price_cents
    }

    /// `totalCost`, in cents.
    pub fn cost_cents(&self) -> i64 {
        self.units_sold * self.item.unit_cost_cents
    }

    /// `totalProfit`, in cents.
    pub fn profit_cents(&self) -> i64 {
        self.revenue_cents() - self.cost_cents()
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { uuid, country, region, channel, priority, order_date, ship_date, item, .. } = self;
        write!(out, "{uuid},{country},{},{channel},{priority},{order_date},{region},{ship_date}\r\n", item.name)
    }

    fn write_financials(&self, out: &mut impl Write) -> io::Result<()> {
        write!(
            out,
            "{},{},{},{},{},{},{}\r\n",
            self.uuid,
            self.units_sold,
            Decimal(self.item.unit_price_cents.into()),
            Decimal(self.item.unit_cost_cents.into()),
            Decimal(self.revenue_cents().into()),
            Decimal(self.cost_cents().into()),
            Decimal(self.profit_cents().into()),
        )
    }
}

impl Totals {
    fn add(&mut self, order: &Order<'_>) {
        self.rows += 1;
        self.units_sold += i128::from(order.units_sold);
        self.revenue_cents += i128::from(order.revenue_cents());
        self.cost_cents += i128::from(order.cost_cents());
        self.profit_cents += i128::from(order.profit_cents());
    }
}

/// Cents, written as the sample writes amounts: without zeros that say nothing (`437.2`, `30604`).
pub struct Decimal(pub i128);

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        let whole = cents / 100;
        match cents % 100 {
            0 => write!(f, "{sign}{whole}"),
            tens if tens % 10 == 0 => write!(f, "{sign}{whole}.{}", tens / 10),
            both => write!(f, "{sign}{whole}.{both:02}"),
        }
    }
}

fn as_in_the_sample(day: Date) -> String {
    format!("{}/{}/{}", day.month(), day.day(), day.year() % 100)
}

/// A step that, taken again and again modulo `modulus`, meets every number once: the next one up that has no factor in
/// common with it.
fn step_through(modulus: u64, from: u64) -> u64 {
    let mut step = from % modulus;
    while greatest_common_divisor(step, modulus) != 1 {
        step += 1;
    }
    step
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn generated(seed: u64, rows: u64) -> (String, String, Totals) {
        let (mut orders, mut financials) = (Vec::new(), Vec::new());
        let totals = Orders::new(seed, rows).unwrap().write(&mut orders, &mut financials).unwrap();
        (String::from_utf8(orders).unwrap(), String::from_utf8(financials).unwrap(), totals)
    }

    fn rows(text: &str) -> Vec<Vec<&str>> {
        text.split_terminator("\r\n").skip(1).map(|line| line.split(',').collect()).collect()
    }

    /// Reads an amount by itself, so that the writer is not its own witness.
    fn cents(text: &str) -> i128 {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        assert!(part.len() <= 2 && !part.ends_with('0'), "{text} is not minimal");
        format!("{whole}{part:0<2}").parse().unwrap()
    }

    #[test]
    fn seed_and_row_decide() {
        assert_eq!(generated(7, 500), generated(7, 500));
        assert_ne!(generated(7, 500).0, generated(8, 500).0);
        assert!(generated(7, 500).0.starts_with(&generated(7, 100).0), "fewer rows are the first rows");
    }

    #[test]
    fn headers_and_line_ends_are_the_samples() {
        let sample =
            |file| std::fs::read_to_string(format!("{}/../examples/orders/{file}", env!("CARGO_MANIFEST_DIR")));
        let (orders, financials, _) = generated(1, 10);
        for (generated, sample) in
            [(orders, sample("orders.csv").unwrap()), (financials, sample("financials.csv").unwrap())]
        {
            assert_eq!(generated.lines().next(), sample.lines().next());
            assert_eq!(generated.matches('\n').count(), generated.matches("\r\n").count());
            assert!(generated.ends_with("\r\n"));
        }
    }

    #[test]
    fn every_order_is_in_the_samples_format() {
        let (orders, financials, _) = generated(2, 20_000);
        let (orders, financials) = (rows(&orders), rows(&financials));
        assert_eq!((orders.len(), financials.len()), (20_000, 20_000));
        let lengths = [9, 50, 30, 10, 5, 10, 100, 10];
        for (order, reference) in orders.iter().zip(&financials) {
            assert_eq!(order.len(), 8, "{order:?}");
            assert!(order.iter().zip(lengths).all(|(value, most)| (1..=most).contains(&value.len())), "{order:?}");
            assert_eq!(order[0].len(), 9);
            assert_eq!(order[0], reference[0]);
            let (ordered, shipped) = (day(order[5]), day(order[7]));
            assert!(ordered <= shipped && date(2010, 1, 1) <= ordered && ordered <= date(2017, 7, 28), "{order:?}");
        }
        let ids: HashSet<_> = orders.iter().map(|order| order[0]).collect();
        assert_eq!(ids.len(), orders.len());
    }

    fn day(text: &str) -> Date {
        let numbers: Vec<i16> = text.split('/').map(|number| number.parse().unwrap()).collect();
        let day = date(2000 + numbers[2], numbers[0] as i8, numbers[1] as i8);
        assert_eq!(text, as_in_the_sample(day), "not padded");
        day
    }

    #[test]
    fn amounts_follow_the_formula_and_totals_are_their_sums() {
        let (_, financials, totals) = generated(3, 20_000);
        let mut sums = Totals::default();
        for row in rows(&financials) {
            let [units, price, cost] = [row[1].parse().unwrap(), cents(row[2]), cents(row[3])];
            assert!((1..=9_999).contains(&units));
            assert_eq!([units * price, units * cost, units * (price - cost)], [4, 5, 6].map(|at| cents(row[at])));
            sums.rows += 1;
            sums.units_sold += units;
            sums.revenue_cents += cents(row[4]);
            sums.cost_cents += cents(row[5]);
            sums.profit_cents += cents(row[6]);
        }
        assert_eq!(totals, sums);
        assert_eq!(totals, Orders::new(3, 20_000).unwrap().totals());
    }

    #[test]
    fn prices_and_costs_are_the_samples() {
        let read = |file| {
            std::fs::read_to_string(format!("{}/../examples/orders/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        };
        let (orders, financials) = (read("orders.csv"), read("financials.csv"));
        let known: HashSet<_> =
            ITEMS.iter().map(|item| (item.name, item.unit_price_cents, item.unit_cost_cents)).collect();
        let countries: HashSet<_> =
            REGIONS.iter().flat_map(|region| region.countries.iter().map(|country| (*country, region.name))).collect();
        let financials: std::collections::HashMap<_, _> =
            rows(&financials).into_iter().map(|row| (row[0], (cents(row[2]) as i64, cents(row[3]) as i64))).collect();
        for order in rows(&orders) {
            let (price, cost) = financials[order[0]];
            assert!(known.contains(&(order[2], price, cost)), "{order:?}");
            assert!(countries.contains(&(order[1], order[6])), "{order:?}");
        }
    }

    #[test]
    fn ids_stay_apart_to_the_last() {
        for seed in 0..20 {
            let orders = Orders::new(seed, ROWS_MAX).unwrap();
            let [first, last] = [0, ROWS_MAX - 1].map(|row| orders.order(row).uuid);
            assert_ne!(first, last);
            assert_eq!(greatest_common_divisor(orders.uuid_step, ROWS_MAX), 1);
        }
        assert_eq!(Orders::new(1, ROWS_MAX + 1).err(), Some(TooManyOrders));
    }

    #[test]
    fn decimals_are_minimal() {
        let text = |cents| Decimal(cents).to_string();
        assert_eq!([0, 5, 50, 100, 43_720, -5, -1_050].map(text), ["0", "0.05", "0.5", "1", "437.2", "-0.05", "-10.5"]);
    }
}
