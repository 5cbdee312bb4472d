//! What applying a partition came to.

use money::ControlTotals;

use crate::{apply_error::ApplyError, combine::EventConflict, compiled::Ledger, sums::Sums, tally::Tally};

/// What applying came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The new versions that were written.
    pub artifacts: u64,
    /// How many of them are their artifact's first.
    pub created: u64,
    /// How many of them are open, reconciled and breaks; none is counted where the ledger has no rule.
    pub open: u64,
    /// Reconciled.
    pub reconciled: u64,
    /// Breaks.
    pub breaks: u64,
    /// How many bases came from an overlay and not from the prefetcher.
    pub overlaid: u64,
    /// All events that were read.
    pub totals_in: ControlTotals,
    /// The events that were added to artifacts.
    pub totals_applied: ControlTotals,
    /// Events that an artifact had taken before (duplicate scope `artifact`).
    pub duplicates: ControlTotals,
    /// Events with the id of one that the artifact had taken before, and different content.
    pub conflicts: ControlTotals,
    /// Which ones.
    pub rejected: Vec<EventConflict>,
    /// The `events` of all bases of new versions, as the bases' own lines say.
    pub events_before: u64,
    /// What `sum` measures said in the bases of new versions, and what the events bring that were added.
    pub(crate) sums: Sums,
}

/// The totals, while events are counted.
#[derive(Debug)]
pub(crate) struct Tallies {
    pub(crate) read: Tally,
    pub(crate) applied: Tally,
    pub(crate) duplicates: Tally,
    pub(crate) conflicts: Tally,
}

impl Tallies {
    pub(crate) fn new(ledger: &Ledger) -> Self {
        Self {
            read: Tally::new(ledger),
            applied: Tally::new(ledger),
            duplicates: Tally::new(ledger),
            conflicts: Tally::new(ledger),
        }
    }

    /// Puts the totals to what else was counted.
    pub(crate) fn finish(self, ledger: &Ledger, counted: Applied) -> Result<Applied, ApplyError> {
        Ok(Applied {
            totals_in: self.read.totals(ledger)?,
            // Where nothing is dropped, counting everything once is enough.
            totals_applied: if ledger.keeps_ids() { &self.applied } else { &self.read }.totals(ledger)?,
            duplicates: self.duplicates.totals(ledger)?,
            conflicts: self.conflicts.totals(ledger)?,
            ..counted
        })
    }
}
