//! Events, as their files have them: read, checked and brought into the form in which they travel.

use std::fmt::Write as _;

use jiff::Timestamp;
use money::{Amount, Currency};
use records::{Accepted, Header, HeaderError, Record, Validator, Values, Violation};
use twox_hash::XxHash3_64;

use crate::{
    compiled::{AmountOf, CurrencyOf, Ledger},
    measure::Currencies,
    run::{Origin, put_event},
    sequence::Interval,
};

/// The names of the rules that an event can break, besides those of [`records::rule`]. They are part of reject files and
/// do not change.
pub mod rule {
    /// The artifact key is empty or too long.
    pub const ARTIFACT_KEY: &str = "artifact-key";
    /// The event id is empty or too long.
    pub const EVENT_ID: &str = "event-id";
    /// There is no event time.
    pub const EVENT_TIME: &str = "event-time";
    /// The event happened outside its batch's interval.
    pub const INTERVAL: &str = "interval";
    /// An amount whose currency is no ISO 4217 code.
    pub const CURRENCY: &str = "currency";
    /// An amount with more decimals than its currency has.
    pub const MINOR_UNITS: &str = "minor-units";
    /// A line that is no JSON object.
    pub const JSON: &str = "json";
    /// An event with the id of an earlier one and different content.
    pub const EVENT_CONFLICT: &str = "event-conflict";
}

/// The longest artifact key, in bytes: what an index can hold.
pub const KEY_BYTES_MAX: usize = 1024;
/// The longest event id, in bytes.
pub const EVENT_ID_BYTES_MAX: usize = 256;

/// Makes events of the records of one file.
#[derive(Debug)]
pub(crate) struct EventParser<'l> {
    ledger: &'l Ledger,
    validator: Validator,
    interval: Interval,
    currencies: Currencies,
    key: String,
    /// The amounts of the present event, by amount column.
    amounts: Vec<(usize, Option<Currency>, Amount)>,
    values: Values,
    buffers: Buffers,
}

/// What is used again for every event.
#[derive(Debug, Default)]
struct Buffers {
    /// The cells that travel, one behind the other, and where each ends.
    cells: String,
    ends: Vec<usize>,
    /// All cells, joined by commas.
    joined: String,
}

impl<'l> EventParser<'l> {
    pub(crate) fn new(
        ledger: &'l Ledger,
        header: &Header,
        format: &records::Format,
        interval: Interval,
    ) -> Result<Self, HeaderError> {
        Ok(Self {
            ledger,
            validator: Validator::new(&ledger.schema, header, format)?,
            interval,
            currencies: Currencies::default(),
            key: String::new(),
            amounts: Vec::new(),
            values: Values::default(),
            buffers: Buffers::default(),
        })
    }

    /// The amounts of the event that was parsed last, by amount column.
    pub(crate) fn amounts(&self) -> &[(usize, Option<Currency>, Amount)] {
        &self.amounts
    }

    /// Writes a record's event behind what `out` has for its key, or says what is wrong with it.
    #[inline]
    pub(crate) fn parse<'o>(
        &mut self,
        record: &Record<'_>,
        origin: Origin,
        out: impl FnOnce(&str) -> Option<&'o mut Vec<u8>>,
    ) -> Result<(), Vec<Violation>> {
        // Taken out, so that each can be written while the parser is looked at.
        let (mut key, mut amounts, mut buffers) =
            (std::mem::take(&mut self.key), std::mem::take(&mut self.amounts), std::mem::take(&mut self.buffers));
        let checked = self.validator.check_and_keep(record, &mut self.values);
        let parsed = checked.and_then(|accepted| {
            let event = Fields { ledger: self.ledger, accepted, values: &self.values };
            event.key(&mut key)?;
            let (id, time) = (event.id()?, event.time(self.interval)?);
            event.cells(&mut self.currencies, &mut amounts, &mut buffers)?;
            if let Some(out) = out(&key) {
                let digest = event.digest(&mut buffers.joined);
                put_event(out, (time, id), origin, digest, &buffers.cells, &buffers.ends);
            }
            Ok(())
        });
        (self.key, self.amounts, self.buffers) = (key, amounts, buffers);
        parsed
    }
}

struct Fields<'r, 'l> {
    ledger: &'l Ledger,
    accepted: Accepted<'r>,
    values: &'r Values,
}

type Broken<T> = Result<T, Vec<Violation>>;

impl<'r> Fields<'r, '_> {
    fn get(&self, field: usize) -> &'r str {
        self.accepted.get(field).unwrap_or_default()
    }

    fn wrong<T>(&self, field: usize, rule: &str, message: String) -> Broken<T> {
        let column = self.ledger.schema.names().nth(field);
        Err(vec![Violation::new(self.accepted.record(), column, self.get(field), rule, message)])
    }

    fn key(&self, key: &mut String) -> Broken<()> {
        key.clear();
        let several = self.ledger.key.len() > 1;
        for (index, field) in self.ledger.key.iter().enumerate() {
            let value = self.get(*field);
            if value.is_empty() {
                return self.wrong(
                    *field,
                    rule::ARTIFACT_KEY,
                    "expected a value: it is part of the artifact key".into(),
                );
            }
            if index > 0 {
                key.push('|');
            }
            if several && value.contains(['|', '\\']) {
                key.push_str(&value.replace('\\', "\\\\").replace('|', "\\|"));
            } else {
                key.push_str(value);
            }
        }
        if key.len() > KEY_BYTES_MAX {
            let message = format!("expected an artifact key of at most {KEY_BYTES_MAX} bytes, found {}", key.len());
            return self.wrong(self.ledger.key.first().copied().unwrap_or_default(), rule::ARTIFACT_KEY, message);
        }
        Ok(())
    }

    fn id(&self) -> Broken<&'r str> {
        let id = self.get(self.ledger.event_id);
        if (1..=EVENT_ID_BYTES_MAX).contains(&id.len()) {
            return Ok(id);
        }
        let message = format!("expected an event id of 1 to {EVENT_ID_BYTES_MAX} bytes, found {}", id.len());
        self.wrong(self.ledger.event_id, rule::EVENT_ID, message)
    }

    fn time(&self, interval: Interval) -> Broken<Timestamp> {
        let field = self.ledger.event_time;
        let Some(time) = self.values.instant(field) else {
            return self.wrong(field, rule::EVENT_TIME, "expected the time of the event".into());
        };
        if interval.contains(time) {
            return Ok(time);
        }
        self.wrong(field, rule::INTERVAL, format!("expected a time within the batch's interval, {interval}"))
    }

    /// Of all columns of the schema as they are written: what differs anywhere is not the same event. How the file has
    /// them, in which order and with which quotes, does not count.
    fn digest(&self, joined: &mut String) -> u64 {
        let text = self.accepted.joined_by_commas().unwrap_or_else(|| {
            join(joined, || self.accepted.cells());
            joined
        });
        XxHash3_64::oneshot(text.as_bytes())
    }

    /// The cells that travel.
    fn cells(
        &self,
        currencies: &mut Currencies,
        amounts: &mut Vec<(usize, Option<Currency>, Amount)>,
        Buffers { cells, ends, .. }: &mut Buffers,
    ) -> Broken<()> {
        amounts.clear();
        cells.clear();
        ends.clear();
        for (index, column) in self.ledger.columns.iter().enumerate() {
            let cell = self.get(column.field);
            if !column.number || cell.is_empty() {
                cells.push_str(cell);
            } else {
                let written = self.values.number(column.field).unwrap_or_default();
                let amount = self.ledger.amounts.iter().enumerate().find(|(_, amount)| amount.column == index);
                let number = match amount {
                    None => written.normalise(),
                    Some((nth, amount)) => {
                        let (currency, number) = self.amount(column.field, amount, written, currencies)?;
                        amounts.push((nth, currency, number));
                        number
                    }
                };
                push_number(cells, cell, column.plain_number.then_some(written), number);
            }
            ends.push(cells.len());
        }
        Ok(())
    }

    /// An amount at its currency's scale, so that equal amounts have equal texts; without one, as short as it can be.
    fn amount(
        &self,
        field: usize,
        amount: &AmountOf,
        number: Amount,
        currencies: &mut Currencies,
    ) -> Broken<(Option<Currency>, Amount)> {
        let currency = match amount.currency {
            CurrencyOf::All(currency) => currency,
            CurrencyOf::Column(column) => {
                let field = self.ledger.columns.get(column).map_or(usize::MAX, |column| column.field);
                let Some(currency) = currencies.find(self.get(field)) else {
                    return self.wrong(field, rule::CURRENCY, "expected an ISO 4217 code, such as EUR".into());
                };
                Some(currency)
            }
        };
        let Some(units) = currency.and_then(Currency::minor_units) else { return Ok((currency, number.normalise())) };
        match number.rescale_exact(units) {
            Ok(number) => Ok((currency, number)),
            Err(_) => {
                let code = currency.map_or("", Currency::code);
                self.wrong(field, rule::MINOR_UNITS, format!("expected at most {units} decimals in {code}"))
            }
        }
    }
}

/// Joins cells by commas. Where one of them has a comma itself, the length of each follows, so that no two events have one
/// text.
fn join<'c, I: Iterator<Item = &'c str>>(joined: &mut String, cells: impl Fn() -> I) {
    joined.clear();
    let mut has_comma = false;
    for (index, cell) in cells().enumerate() {
        if index > 0 {
            joined.push(',');
        }
        joined.push_str(cell);
        has_comma |= cell.contains(',');
    }
    if has_comma {
        for cell in cells() {
            // Writing into memory does not fail.
            let _ = write!(joined, "\n{}", cell.len());
        }
    }
}

/// Writes a number as plain decimal text: that of its cell, where it says just this. `written` is what the cell says,
/// where that is known.
fn push_number(cells: &mut String, cell: &str, written: Option<Amount>, number: Amount) {
    let plain = written
        .or_else(|| Amount::parse(cell.as_bytes()).ok())
        .is_some_and(|as_it_is| (as_it_is.minor(), as_it_is.scale()) == (number.minor(), number.scale()));
    if plain && !cell.starts_with(['+', '.']) && !cell.ends_with('.') {
        cells.push_str(cell);
    } else {
        cells.push_str(&number.to_string());
    }
}

#[cfg(test)]
mod tests {
    use records::{Dialect, Format, RecordReader};

    use super::*;
    use crate::{run::Event, sequence::BatchSequence};

    /// The digests of the records of a file.
    fn digests(delimiter: &str, header: &[&str], records: &str) -> Vec<u64> {
        let definition = serde_json::json!({
            "name": "orders",
            "sources": { "shop": "2024-05-01T00:00:00Z" },
            "events": { "format": "csv", "fields": [
                { "name": "id" }, { "name": "event" }, { "name": "time", "type": "date" }, { "name": "text" },
            ] },
            "artifactKey": ["id"], "eventId": "event", "eventTime": "time",
            "measures": { "seen": { "measure": "count" } },
        });
        let ledger = Ledger::from_json(&definition.to_string()).unwrap();
        let dialect = Dialect { delimiter: delimiter.to_owned(), ..Dialect::default() };
        let format = Format::new(&dialect, Default::default()).unwrap();
        let header = Header::new(header.iter().copied(), &format).unwrap();
        let all = Interval::new(Timestamp::MIN, Timestamp::MAX).unwrap();
        let mut parser = EventParser::new(&ledger, &header, &format, all).unwrap();
        let mut reader = RecordReader::new(records.as_bytes(), &format, 0, 1);
        let origin = Origin { batch: BatchSequence::new(1), object: 0, row: 1 };
        let mut digests = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            let mut event = Vec::new();
            parser.parse(&record, origin, |_| Some(&mut event)).unwrap();
            digests.push(Event::read(&event).unwrap().digest);
        }
        digests
    }

    const HEADER: [&str; 4] = ["id", "event", "time", "text"];

    #[test]
    fn what_an_event_says_counts_and_not_how_its_file_has_it() {
        let [plain] = digests(",", &HEADER, "k,e,2024-05-01,né\n")[..] else { panic!() };
        for (delimiter, header, record) in [
            (",", HEADER, "k,\"e\",\"2024-05-01\",né\n"),
            (";", HEADER, "k;e;2024-05-01;né\n"),
            (",", ["text", "time", "id", "event"], "né,2024-05-01,k,e\n"),
        ] {
            assert_eq!(digests(delimiter, &header, record), [plain], "{record}");
        }
        let [comma] = digests(",", &HEADER, "\"k,e\",e,2024-05-01,x\n")[..] else { panic!() };
        assert_eq!(digests(";", &HEADER, "k,e;e;2024-05-01;x\n"), [comma]);
        assert_eq!(digests(";", &["time", "text", "event", "id"], "2024-05-01;x;e;k,e\n"), [comma]);
    }

    #[test]
    fn what_differs_anywhere_is_another_event() {
        let records = concat!(
            "k,e,2024-05-01,x\n",
            "k,e,2024-05-01,\n",
            "k,e,2024-05-01,X\n",
            "ke,e,2024-05-01,x\n",
            "e,k,2024-05-01,x\n",
            "\"k,e\",e,2024-05-01,x\n",
            "k,\"e,e\",2024-05-01,x\n",
            "k,e,2024-05-01,\"x,\"\n",
            "k,e,2024-05-01,\",x\"\n",
            "k,e,2024-05-01,\"x,\n1\n1\n10\n2\"\n",
        );
        let mut digests = digests(",", &HEADER, records);
        assert_eq!(digests.len(), 10);
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 10);
    }
}
