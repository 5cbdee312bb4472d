//! What decides whether an artifact is reconciled.

use std::{fmt, sync::Arc};

use money::{Amount, Currency};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    compiled::{CompiledStatus, Ledger},
    measure::{Dated, State},
    settled::Settled,
};

/// What an artifact's figures say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not everything has been seen yet.
    Open,
    /// Everything has been seen, and it ties out.
    Reconciled,
    /// Everything has been seen, and it does not tie out.
    Break,
}

impl Status {
    /// The name in artifacts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Reconciled => "reconciled",
            Self::Break => "break",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rule for what a definition cannot say, written in Rust and named by `status.rule`.
///
/// It is added to [`Rules::built_in`]. It sees the artifact's figures and nothing else, no clock among them: the same
/// figures have the same status in every attempt and in every grouping of batches.
///
/// [`Settled`](crate::Settled) is one.
pub trait BusinessRule: fmt::Debug + Send + Sync {
    /// The name by which definitions call it.
    fn name(&self) -> &str;

    /// Moves up with every change of what it says: the manifests of apply name it, so that it can be seen by which version
    /// an artifact was judged.
    fn version(&self) -> u32;

    /// The status of an artifact with these figures.
    fn judge(&self, artifact: &Facts<'_>) -> Judgement;
}

/// The rule that has judged an artifact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleVersion {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
}

impl fmt::Display for RuleVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The status.
    pub status: Status,
    /// What is missing or too much, by currency; only what is not zero.
    pub difference: Vec<(Option<Currency>, Amount)>,
}

impl Judgement {
    /// That status, with no difference to show.
    pub const fn of(status: Status) -> Self {
        Self { status, difference: Vec::new() }
    }
}

/// The business rules that definitions may name.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Arc<dyn BusinessRule>>);

impl Rules {
    /// These rules.
    pub fn new(rules: impl IntoIterator<Item = Arc<dyn BusinessRule>>) -> Self {
        Self(rules.into_iter().collect())
    }

    /// The rules that tieout comes with. A rule of one's own is put into this list, in the source, and so is known
    /// to every function and to the command line; then they are deployed anew. Jobs that are made are judged by whatever
    /// stands under the name when they are applied.
    pub fn built_in() -> Self {
        Self::new([Arc::new(Settled) as Arc<dyn BusinessRule>])
    }

    /// The rule of that name.
    pub fn get(&self, name: &str) -> Option<Arc<dyn BusinessRule>> {
        self.0.iter().find(|rule| rule.name() == name).cloned()
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|rule| rule.name()).collect();
        f.write_str(if names.is_empty() { "none".to_owned() } else { names.join(", ") }.as_str())
    }
}

/// The figures of one artifact, as a rule sees them.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) measures: &'a [State],
    pub(crate) attributes: &'a [Option<Dated>],
    pub(crate) events: u64,
}

impl<'a> Facts<'a> {
    /// How many events the artifact has taken.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The value of a `count` measure; 0 where there is no such measure.
    pub fn count(&self, measure: &str) -> u64 {
        match self.measure(measure) {
            Some(State::Count(count)) => *count,
            _ => 0,
        }
    }

    /// The values of a `sum`, `min` or `max` measure, by currency; none where no event has added to it.
    pub fn amounts(&self, measure: &str) -> &'a [(Option<Currency>, Amount)] {
        match self.measure(measure) {
            Some(State::Amounts(amounts)) => amounts,
            _ => &[],
        }
    }

    /// The values of a `first` or `last` measure, by currency; none where no event has added to it.
    pub fn dated(&self, measure: &str) -> &'a [Dated] {
        match self.measure(measure) {
            Some(State::Dated(values)) => values,
            _ => &[],
        }
    }

    /// A carried attribute.
    pub fn attribute(&self, name: &str) -> Option<&'a Dated> {
        let index = self.ledger.attributes.iter().position(|(attribute, _)| attribute == name)?;
        self.attributes.get(index)?.as_ref()
    }

    fn measure(&self, name: &str) -> Option<&'a State> {
        let index = self.ledger.measures.iter().position(|measure| measure.name == name)?;
        self.measures.get(index)
    }

    /// What the ledger's rule says; `None` where it has none.
    pub(crate) fn judge(&self) -> Result<Option<Judgement>, money::AmountError> {
        match &self.ledger.status {
            None => Ok(None),
            Some(CompiledStatus::Rule(rule)) => Ok(Some(rule.judge(self))),
            Some(CompiledStatus::Balance { add, subtract, tolerance }) => {
                balance(self.measures, add, subtract, *tolerance).map(Some)
            }
        }
    }
}

fn balance(
    measures: &[State],
    add: &[usize],
    subtract: &[usize],
    tolerance: Amount,
) -> Result<Judgement, money::AmountError> {
    let (mut seen, mut difference) = (true, Vec::<(Option<Currency>, Amount)>::new());
    let sides = add.iter().map(|index| (index, false)).chain(subtract.iter().map(|index| (index, true)));
    for (index, negative) in sides {
        let Some(State::Amounts(amounts)) = measures.get(*index) else { continue };
        seen &= !amounts.is_empty();
        for (currency, amount) in amounts {
            let amount = if negative { amount.checked_neg()? } else { *amount };
            match difference.binary_search_by_key(currency, |(other, _)| *other) {
                Ok(at) => {
                    if let Some((_, sum)) = difference.get_mut(at) {
                        *sum = sum.checked_add(amount)?;
                    }
                }
                Err(at) => difference.insert(at, (*currency, amount)),
            }
        }
    }
    difference.retain(|(_, amount)| !amount.is_zero());
    let least = tolerance.checked_neg()?;
    let within = difference.iter().all(|(_, amount)| (least..=tolerance).contains(amount));
    let status = match (seen, within) {
        (false, _) => Status::Open,
        (true, true) => Status::Reconciled,
        (true, false) => Status::Break,
    };
    Ok(Judgement { status, difference })
}
