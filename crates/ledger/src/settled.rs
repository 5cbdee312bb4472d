//! A business rule, as one's own are written.

use money::Amount;

use crate::rule::{BusinessRule, Facts, Judgement, Status};

/// What must be paid of a hundred.
const PERCENT: i64 = 98;

/// `settled`: an order is reconciled when what was `paid` covers at least 98 % of what was `invoiced`, in every currency;
/// open until something was invoiced and something paid.
#[derive(Debug)]
pub struct Settled;

impl BusinessRule for Settled {
    fn name(&self) -> &str {
        "settled"
    }

    fn version(&self) -> u32 {
        1
    }

    fn judge(&self, artifact: &Facts<'_>) -> Judgement {
        let (invoiced, paid) = (artifact.amounts("invoiced"), artifact.amounts("paid"));
        if invoiced.is_empty() || paid.is_empty() {
            return Judgement::of(Status::Open);
        }
        let covered = |(currency, due): &(_, Amount)| {
            let paid = paid.iter().find(|(other, _)| other == currency).map_or(Amount::ZERO, |(_, paid)| *paid);
            let (least, paid) = (due.checked_mul(PERCENT.into()).ok()?, paid.checked_mul(100.into()).ok()?);
            Some(paid >= least)
        };
        let covered = invoiced.iter().all(|entry| covered(entry) == Some(true));
        Judgement::of(if covered { Status::Reconciled } else { Status::Break })
    }
}
