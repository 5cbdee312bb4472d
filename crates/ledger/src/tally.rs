//! Control totals, summed fast: by index instead of by name until the end.

use money::{Amount, AmountError, ColumnTotal, ControlTotals, Currency, Overflow};

use crate::{compiled::Ledger, measure::EventAmounts};

/// The number of events and the sums of their amounts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    events: u64,
    /// By amount column.
    columns: Vec<Vec<(Option<Currency>, ColumnTotal)>>,
}

impl Tally {
    pub(crate) fn new(ledger: &Ledger) -> Self {
        Self { events: 0, columns: vec![Vec::new(); ledger.amounts.len()] }
    }

    pub(crate) fn add_event(&mut self) {
        self.events += 1;
    }

    #[inline]
    pub(crate) fn add_amount(
        &mut self,
        index: usize,
        currency: Option<Currency>,
        amount: Amount,
    ) -> Result<(), AmountError> {
        let Some(currencies) = self.columns.get_mut(index) else { return Ok(()) };
        match currencies.iter_mut().find(|(held, _)| *held == currency) {
            Some((_, total)) => {
                total.sum = total.sum.checked_add(amount)?;
                total.amounts += 1;
            }
            None => currencies.push((currency, ColumnTotal { sum: amount, amounts: 1, unparsed: 0 })),
        }
        Ok(())
    }

    /// Counts an event.
    #[inline]
    pub(crate) fn add(&mut self, amounts: &EventAmounts) -> Result<(), AmountError> {
        self.add_event();
        amounts.iter().try_for_each(|(index, currency, amount)| self.add_amount(index, currency, amount))
    }

    pub(crate) fn totals(&self, ledger: &Ledger) -> Result<ControlTotals, Overflow> {
        let mut totals = ControlTotals::default();
        totals.add_records(self.events)?;
        for (amount, currencies) in ledger.amounts.iter().zip(&self.columns) {
            let name = ledger.columns.get(amount.column).map_or("", |column| &column.name);
            for (currency, total) in currencies {
                totals.add_total(name, *currency, *total)?;
            }
        }
        Ok(totals)
    }
}
