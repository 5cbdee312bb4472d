//! What an artifact knows of its events: the states of its measures, and how an event adds to them.

use jiff::Timestamp;
use money::{Amount, AmountError, Currency};
use serde::Deserialize;

use crate::{
    compiled::{CompiledMeasure, CurrencyOf, Ledger},
    definition::MeasureKind,
    run::Event,
};

/// The state of a measure. Empty states are those of an artifact without events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Count(u64),
    /// Sorted by currency.
    Amounts(Vec<(Option<Currency>, Amount)>),
    /// Sorted by currency.
    Dated(Vec<Dated>),
}

/// A value and the event that it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Dated {
    /// The currency, where the column holds amounts that have one.
    #[serde(default)]
    pub currency: Option<Currency>,
    /// The value, as text.
    pub value: String,
    /// When the event happened.
    pub event_time: Timestamp,
    /// The event's id.
    pub event_id: String,
}

/// The currencies met so far: there are few, and looking a code up in ISO 4217 costs more than reading an amount.
#[derive(Debug, Clone, Default)]
pub(crate) struct Currencies(Vec<Currency>);

impl Currencies {
    #[inline]
    pub(crate) fn find(&mut self, code: &str) -> Option<Currency> {
        if let Some(known) = self.0.iter().find(|known| known.is(code)) {
            return Some(*known);
        }
        let currency: Currency = code.parse().ok()?;
        self.0.push(currency);
        Some(currency)
    }

    #[inline]
    pub(crate) fn of(&mut self, currency: CurrencyOf, cells: &[&str]) -> Option<Currency> {
        match currency {
            CurrencyOf::All(currency) => currency,
            CurrencyOf::Column(column) => self.find(cells.get(column).copied().unwrap_or_default()),
        }
    }
}

/// The amounts of an event, by amount column; none where the cell is empty. They are read once for all that add them.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventAmounts(Vec<Option<(Option<Currency>, Amount)>>);

impl EventAmounts {
    /// Reads those of an event whose cells are `cells`.
    #[inline]
    pub(crate) fn read(
        &mut self,
        ledger: &Ledger,
        cells: &[&str],
        currencies: &mut Currencies,
    ) -> Result<(), AmountError> {
        self.0.clear();
        for amount in &ledger.amounts {
            let cell = cells.get(amount.column).copied().unwrap_or_default();
            self.0.push(match cell.is_empty() {
                true => None,
                false => Some((currencies.of(amount.currency, cells), Amount::parse(cell.as_bytes())?)),
            });
        }
        Ok(())
    }

    /// Those that there are, each with the index of its column.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, Option<Currency>, Amount)> {
        let amounts = self.0.iter().enumerate();
        amounts.filter_map(|(index, amount)| amount.map(|(currency, amount)| (index, currency, amount)))
    }

    fn of(&self, measure: &CompiledMeasure) -> Option<(Option<Currency>, Amount)> {
        measure.amount.and_then(|index| self.0.get(index).copied().flatten())
    }
}

impl Dated {
    fn new(currency: Option<Currency>, value: &str, event: &Event<'_>) -> Self {
        Self { currency, value: value.to_owned(), event_time: event.time, event_id: event.id.to_owned() }
    }

    /// Whether it is of an event before this one, or of one with the same time and id, which was taken before.
    fn precedes(&self, event: &Event<'_>) -> bool {
        (self.event_time, self.event_id.as_str()) <= (event.time, event.id)
    }
}

impl State {
    pub(crate) fn empty(kind: MeasureKind) -> Self {
        match kind {
            MeasureKind::Count => Self::Count(0),
            MeasureKind::Sum | MeasureKind::Min | MeasureKind::Max => Self::Amounts(Vec::new()),
            MeasureKind::First | MeasureKind::Last => Self::Dated(Vec::new()),
        }
    }

    /// Adds an event whose cells are `cells` and whose amounts are `amounts`; the amount that it brings, where it brings one.
    #[inline]
    pub(crate) fn add(
        &mut self,
        measure: &CompiledMeasure,
        event: &Event<'_>,
        cells: &[&str],
        amounts: &EventAmounts,
    ) -> Result<Option<(Option<Currency>, Amount)>, AmountError> {
        let cell = |column: usize| cells.get(column).copied().unwrap_or_default();
        if measure.filter.iter().any(|(column, wanted)| !wanted.is(cell(*column))) {
            return Ok(None);
        }
        if let Self::Count(count) = self {
            *count += 1;
            return Ok(None);
        }
        let value = measure.column.map_or("", cell);
        if value.is_empty() {
            return Ok(None);
        }
        let known = amounts.of(measure);
        let currency = known.and_then(|(currency, _)| currency);
        match self {
            Self::Count(_) => {}
            Self::Amounts(amounts) => {
                let amount = known.map_or_else(|| Amount::parse(value.as_bytes()), |(_, amount)| Ok(amount))?;
                add_amount(amounts, measure.kind, currency, amount)?;
                return Ok(Some((currency, amount)));
            }
            Self::Dated(values) => match values.binary_search_by_key(&currency, |value| value.currency) {
                Err(at) => values.insert(at, Dated::new(currency, value, event)),
                Ok(at) => {
                    // `last` gives way to what comes behind it, `first` to what comes before it.
                    let held =
                        values.get_mut(at).filter(|held| held.precedes(event) == (measure.kind == MeasureKind::Last));
                    if let Some(held) = held {
                        *held = Dated::new(currency, value, event);
                    }
                }
            },
        }
        Ok(None)
    }
}

fn add_amount(
    amounts: &mut Vec<(Option<Currency>, Amount)>,
    kind: MeasureKind,
    currency: Option<Currency>,
    amount: Amount,
) -> Result<(), AmountError> {
    match amounts.binary_search_by_key(&currency, |(held, _)| *held) {
        Err(at) => amounts.insert(at, (currency, amount)),
        Ok(at) => {
            let Some((_, held)) = amounts.get_mut(at) else { return Ok(()) };
            *held = match kind {
                MeasureKind::Min => amount.min(*held),
                MeasureKind::Max => amount.max(*held),
                _ => held.checked_add(amount)?,
            };
        }
    }
    Ok(())
}

/// Takes the attributes that an event brings: of each the latest value that is not empty.
pub(crate) fn take_attributes(ledger: &Ledger, held: &mut [Option<Dated>], event: &Event<'_>, cells: &[&str]) {
    for ((_, column), held) in ledger.attributes.iter().zip(held) {
        let value = cells.get(*column).copied().unwrap_or_default();
        if !value.is_empty() && held.as_ref().is_none_or(|held| held.precedes(event)) {
            *held = Some(Dated::new(None, value, event));
        }
    }
}
