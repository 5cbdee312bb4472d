//! What artifacts must be: all events in memory, added up in the plainest way, in whole minor units.
//!
//! It knows the example's definition (`examples/ledger/ledger.json`) and nothing of how the ledger works.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::{Batch, Currency, Event, Fault, Kind, Money, decimal};

/// The tolerance of the example's balance rule, in hundredths of a currency's unit.
const TOLERANCE_HUNDREDTHS: i128 = 5;

/// Which event lines artifacts keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All.
    All,
    /// The last so many.
    Last(usize),
}

/// What became of a batch's records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// All records.
    pub records: u64,
    /// Those that were added to artifacts.
    pub applied: u64,
    /// Those that were there before.
    pub duplicates: u64,
    /// Those with the id of an earlier event and other content.
    pub conflicts: u64,
    /// Those that break a rule.
    pub rejected: u64,
}

/// How all artifacts stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many there are.
    pub artifacts: u64,
    /// How many have seen only one side.
    pub open: u64,
    /// How many are within the tolerance.
    pub reconciled: u64,
    /// How many are not.
    pub breaks: u64,
    /// What was due, by currency, in minor units.
    pub due: BTreeMap<Currency, i128>,
    /// What was settled.
    pub settled: BTreeMap<Currency, i128>,
}

/// Everything that was ever sent.
#[derive(Debug)]
pub struct Oracle {
    keep: Keep,
    artifacts: BTreeMap<String, Vec<Taken>>,
    batches: BTreeMap<u64, Figures>,
    /// Every event that counts, by order and id, where an id counts once for ever.
    ever: Option<HashMap<(String, String), Event>>,
}

/// An event that counts, and where it stood.
#[derive(Debug)]
struct Taken {
    batch: u64,
    object: usize,
    row: usize,
    event: Event,
}

type Sums = BTreeMap<Currency, i128>;

impl Oracle {
    /// Nothing was sent yet.
    pub const fn new(keep: Keep) -> Self {
        Self { keep, artifacts: BTreeMap::new(), batches: BTreeMap::new(), ever: None }
    }

    /// The same, where an id counts once for ever in its order, and not once in each batch.
    #[must_use]
    pub fn once_for_ever(self) -> Self {
        Self { ever: Some(HashMap::new()), ..self }
    }

    /// Takes a batch that was registered under this number. Batches can come in any order, or, where an id counts once
    /// for ever, in that of their numbers.
    pub fn take(&mut self, number: u64, batch: &Batch) -> Figures {
        let mut figures = Figures { records: batch.records(), ..Figures::default() };
        let mut seen: HashMap<(&str, &str), &Event> = HashMap::new();
        for (object, rows) in batch.files.iter().enumerate() {
            for (index, row) in rows.iter().enumerate() {
                let event = &row.event;
                let outside = event.time < batch.from || event.time >= batch.to;
                assert_eq!(outside, row.fault == Some(Fault::Interval), "{row:?}");
                let known = || self.ever.as_ref()?.get(&(event.order.clone(), event.id.clone()));
                match seen.get(&(event.order.as_str(), event.id.as_str())).copied().or_else(known) {
                    _ if row.fault.is_some() => figures.rejected += 1,
                    Some(earlier) if earlier == event => figures.duplicates += 1,
                    Some(_) => figures.conflicts += 1,
                    None => {
                        seen.insert((&event.order, &event.id), event);
                        figures.applied += 1;
                        let taken = Taken { batch: number, object, row: index + 1, event: event.clone() };
                        self.artifacts.entry(event.order.clone()).or_default().push(taken);
                    }
                }
            }
        }
        if let Some(ever) = &mut self.ever {
            ever.extend(
                seen.into_iter().map(|((order, id), event)| ((order.to_owned(), id.to_owned()), event.clone())),
            );
        }
        self.batches.insert(number, figures);
        figures
    }

    /// What became of a batch.
    pub fn figures(&self, number: u64) -> Figures {
        self.batches.get(&number).copied().unwrap_or_default()
    }

    /// All artifacts' keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.artifacts.keys().map(String::as_str)
    }

    /// How many batches have brought an artifact something, by their numbers.
    pub fn batches_of(&self, key: &str) -> Vec<u64> {
        let mut batches: Vec<u64> = self.taken(key).iter().map(|taken| taken.batch).collect();
        batches.sort_unstable();
        batches.dedup();
        batches
    }

    /// How many events of these batches count in an artifact.
    pub fn events_of(&self, key: &str, batches: &[u64]) -> u64 {
        self.taken(key).iter().filter(|taken| batches.contains(&taken.batch)).count() as u64
    }

    /// How all artifacts stand.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for taken in self.artifacts.values() {
            let balance = Balance::of(taken);
            totals.artifacts += 1;
            *match balance.status() {
                "open" => &mut totals.open,
                "reconciled" => &mut totals.reconciled,
                _ => &mut totals.breaks,
            } += 1;
            add(&mut totals.due, &balance.due);
            add(&mut totals.settled, &balance.settled);
        }
        totals
    }

    /// An artifact's status.
    pub fn status(&self, key: &str) -> &'static str {
        Balance::of(self.taken(key)).status()
    }

    /// An artifact as its line must be, but for `applied_through`, `previous` and side files, which are not about events.
    pub fn artifact(&self, key: &str) -> Value {
        let mut taken: Vec<&Taken> = self.taken(key).iter().collect();
        taken.sort_by_key(|taken| (taken.event.time, &taken.event.id, taken.batch, taken.object, taken.row));
        let skipped = match self.keep {
            Keep::All => 0,
            Keep::Last(count) => taken.len().saturating_sub(count),
        };
        let balance = Balance::of(self.taken(key));
        json!({
            "key": key,
            "status": balance.status(),
            "difference": shown(&balance.difference()),
            "events": taken.len(),
            "measures": measures(&taken),
            "attributes": {
                "country": latest(&taken, |event| &event.country),
                "channel": latest(&taken, |event| event.channel),
            },
            "lines": taken.iter().skip(skipped).map(|taken| taken.line()).collect::<Value>(),
        })
    }

    /// Says how an artifact's line differs from what it must be, if it does.
    pub fn fault(&self, line: &Value) -> Option<String> {
        let key = line.get("key").and_then(Value::as_str).unwrap_or_default();
        if self.taken(key).is_empty() {
            return Some(format!("nobody has sent anything of {key:?}"));
        }
        let (mut found, mut expected) = (line.clone(), self.artifact(key));
        let in_side_file = line.get("lines_file").is_some_and(|file| !file.is_null());
        let (found_of, expected_of) = (found.as_object_mut()?, expected.as_object_mut()?);
        for other in ["applied_through", "previous", "lines_file", "ids"] {
            found_of.shift_remove(other);
        }
        if in_side_file {
            found_of.shift_remove("lines");
            expected_of.shift_remove("lines");
        }
        (found != expected).then(|| format!("found {found:#}\nexpected {expected:#}"))
    }

    fn taken(&self, key: &str) -> &[Taken] {
        self.artifacts.get(key).map_or(&[], Vec::as_slice)
    }
}

/// Both sides of an artifact's balance.
struct Balance {
    due: Sums,
    settled: Sums,
}

impl Balance {
    fn of(taken: &[Taken]) -> Self {
        let side = |side: &str| sums(taken.iter(), |event| event.kind.side() == side);
        Self { due: side("due"), settled: side("settled") }
    }

    fn difference(&self) -> Sums {
        let mut difference = self.due.clone();
        for (currency, settled) in &self.settled {
            *difference.entry(*currency).or_default() -= settled;
        }
        difference.retain(|_, minor| *minor != 0);
        difference
    }

    fn status(&self) -> &'static str {
        let within = |(currency, minor): (&Currency, &i128)| {
            minor.abs() * 100 <= TOLERANCE_HUNDREDTHS * 10_i128.pow(currency.decimals)
        };
        if self.due.is_empty() || self.settled.is_empty() {
            "open"
        } else if self.difference().iter().all(within) {
            "reconciled"
        } else {
            "break"
        }
    }
}

impl Taken {
    fn dated(&self, mut value: Map<String, Value>) -> Value {
        value.insert("event_time".to_owned(), self.event.time.to_string().into());
        value.insert("event_id".to_owned(), self.event.id.as_str().into());
        value.into()
    }

    fn line(&self) -> Value {
        let Event { kind, money, units, .. } = &self.event;
        json!({
            "event_id": self.event.id,
            "event_time": self.event.time.to_string(),
            "batch": self.batch,
            "object": self.object,
            "row": self.row,
            "values": {
                "kind": kind.name(),
                "amount": money.map(|money| decimal(money.minor.into(), money.currency.decimals)),
                "currency": money.map(|money| money.currency.code),
                "units": units.map(|units| units.to_string()),
            },
        })
    }
}

fn measures(taken: &[&Taken]) -> Value {
    let of = |kind: Kind| sums(taken.iter().copied(), |event| event.kind == kind);
    let side = |side: &str| sums(taken.iter().copied(), |event| event.kind.side() == side);
    let mut largest = Sums::new();
    for Money { minor, currency } in payments(taken).filter_map(|event| event.money) {
        let largest = largest.entry(currency).or_insert(i128::MIN);
        *largest = (*largest).max(minor.into());
    }
    let units: Vec<u64> = taken.iter().filter_map(|taken| taken.event.units.map(u64::from)).collect();
    let units = units.iter().copied().reduce(|sum, units| sum + units);
    let kind = |taken: Option<&&Taken>| -> Value {
        let kind = |taken: &&Taken| {
            let value = [("currency", Value::Null), ("value", taken.event.kind.name().into())];
            taken.dated(value.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())
        };
        taken.map(kind).into_iter().collect()
    };
    json!({
        "due": shown(&side("due")),
        "settled": shown(&side("settled")),
        "invoiced": shown(&of(Kind::Invoice)),
        "paid": shown(&of(Kind::Payment)),
        "refunded": shown(&of(Kind::Refund)),
        "payments": payments(taken).count(),
        "largest_payment": shown(&largest),
        "units_shipped": units.iter().map(|units| json!({ "currency": null, "amount": units.to_string() })).collect::<Value>(),
        "first_event": kind(taken.first()),
        "last_event": kind(taken.last()),
    })
}

fn payments<'t>(taken: &'t [&Taken]) -> impl Iterator<Item = &'t Event> {
    taken.iter().map(|taken| &taken.event).filter(|event| event.kind == Kind::Payment)
}

/// The value of the last event that has one.
fn latest<'t>(taken: &[&'t Taken], value: impl Fn(&'t Event) -> &'t str) -> Value {
    let last = taken.iter().rev().find(|taken| !value(&taken.event).is_empty());
    last.map_or(Value::Null, |taken| {
        taken.dated([("value".to_owned(), value(&taken.event).into())].into_iter().collect())
    })
}

fn sums<'t>(taken: impl Iterator<Item = &'t Taken>, counts: impl Fn(&Event) -> bool) -> Sums {
    let mut sums = Sums::new();
    for Money { minor, currency } in taken.filter(|taken| counts(&taken.event)).filter_map(|taken| taken.event.money) {
        *sums.entry(currency).or_default() += i128::from(minor);
    }
    sums
}

fn add(to: &mut Sums, sums: &Sums) {
    for (currency, minor) in sums {
        *to.entry(*currency).or_default() += minor;
    }
}

/// Sums as artifacts show them.
fn shown(sums: &Sums) -> Value {
    let entry = |(currency, minor): (&Currency, &i128)| json!({ "currency": currency.code, "amount": decimal(*minor, currency.decimals) });
    sums.iter().map(entry).collect()
}

impl Totals {
    /// As JSON: counts are numbers, sums are texts by currency.
    pub fn json(&self) -> Value {
        let by_currency = |sums: &Sums| -> Map<String, Value> {
            let text = |(currency, minor): (&Currency, &i128)| {
                (currency.code.to_owned(), decimal(*minor, currency.decimals).into())
            };
            sums.iter().map(text).collect()
        };
        json!({
            "artifacts": self.artifacts,
            "open": self.open,
            "reconciled": self.reconciled,
            "breaks": self.breaks,
            "due": by_currency(&self.due),
            "settled": by_currency(&self.settled),
        })
    }
}
