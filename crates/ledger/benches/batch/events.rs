//! The events of a batch: a function of batch and event number alone, written as they come.

use std::io::{self, Write};

use money::{Amount, ColumnTotal, ControlTotals};

/// The header of every event file.
pub(crate) const HEADER: &str = "order_id,event_id,event_time,kind,amount,currency";

const CURRENCIES: [&str; 3] = ["USD", "EUR", "GBP"];
/// Of so many events the last is the same record as an earlier one.
const DUPLICATE_EVERY: u64 = 100;
const DUPLICATE_OF: u64 = 50;

/// A batch of events of a ledger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    /// The first brings every artifact its first event; each later one is events of `touched` artifacts.
    pub(crate) number: u64,
    /// How many records, duplicates among them.
    pub(crate) events: u64,
    /// How many artifacts the ledger holds.
    pub(crate) artifacts: u64,
    /// How many of them the batch touches.
    pub(crate) touched: u64,
}

impl Batch {
    /// The events numbered `from` up to `to`, one line each, below a header.
    pub(crate) fn write(&self, from: u64, to: u64, totals: &mut ControlTotals, out: &mut impl Write) -> io::Result<()> {
        let mut sums = [(0_i128, 0); CURRENCIES.len()];
        writeln!(out, "{HEADER}")?;
        for event in from..to {
            let event = self.source(event);
            let order = self.order(event);
            let dice = mixed(self.number << 48 | event);
            let cents = dice % 1_000_000;
            let currency = (order % 3) as usize;
            sums[currency] = (sums[currency].0 + i128::from(cents), sums[currency].1 + 1);
            let kind = if self.number == 1 || dice >> 20 & 3 == 0 { "invoice" } else { "payment" };
            let (minute, second) = (dice >> 24 & 31, dice >> 32 & 31);
            let (day, hour, number) = (self.number, event % 24, self.number);
            writeln!(
                out,
                "ORD-{order:09},EV-{number}-{event:010},2024-05-{day:02}T{hour:02}:{minute:02}:{second:02}Z,{kind},\
                 {}.{:02},{}",
                cents / 100,
                cents % 100,
                CURRENCIES[currency],
            )?;
        }
        for (currency, (sum, amounts)) in CURRENCIES.iter().zip(sums) {
            let total = ColumnTotal { sum: Amount::new(sum, 2).unwrap(), amounts, ..ColumnTotal::default() };
            totals.add_total("amount", Some(currency.parse().unwrap()), total).unwrap();
        }
        totals.add_records(to - from).unwrap();
        Ok(())
    }

    /// The event whose record this one is.
    fn source(&self, event: u64) -> u64 {
        let again = self.number > 1 && event % DUPLICATE_EVERY == DUPLICATE_EVERY - 1;
        if again { event - DUPLICATE_OF } else { event }
    }

    /// The order of an event: one of `touched`, which lie all over the ledger, met in no order.
    fn order(&self, event: u64) -> u64 {
        let touched = event.wrapping_mul(2_654_435_761) % self.touched;
        let stride = self.artifacts / self.touched;
        touched * stride + mixed(touched) % stride
    }
}

/// A number that looks like no other: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
fn mixed(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
