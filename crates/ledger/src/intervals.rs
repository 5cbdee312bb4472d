//! Sets of instants, kept as few intervals.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Interval;

/// A set of instants: disjoint intervals in order, neighbours joined. A source that closes its intervals one after the
/// other has a set of one interval, however many batches that were; so the set grows with its gaps only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Vec<Interval>", into = "Vec<Interval>")]
#[schemars(with = "Vec<Interval>")]
pub struct IntervalSet(Vec<Interval>);

impl IntervalSet {
    /// The intervals, in order; between two of them there is a gap.
    pub fn intervals(&self) -> &[Interval] {
        &self.0
    }

    /// Adds every instant of `new`.
    pub fn insert(&mut self, new: Interval) {
        let (mut from, mut to) = (new.from(), new.to());
        self.0.retain(|held| {
            let touches = held.from() <= to && from <= held.to();
            if touches {
                (from, to) = (from.min(held.from()), to.max(held.to()));
            }
            !touches
        });
        self.0.extend(Interval::new(from, to));
        self.0.sort_unstable_by_key(|held| held.from());
    }

    /// Takes every instant of `gone` away.
    pub fn remove(&mut self, gone: Interval) {
        let rest = |held: Interval| {
            let before = Interval::new(held.from(), held.to().min(gone.from())).ok();
            let behind = Interval::new(held.from().max(gone.to()), held.to()).ok();
            before.into_iter().chain(behind)
        };
        self.0 = std::mem::take(&mut self.0).into_iter().flat_map(rest).collect();
    }

    /// Whether some instant of `interval` is in the set.
    pub fn overlaps(&self, interval: Interval) -> bool {
        self.0.iter().any(|held| held.overlaps(interval))
    }

    /// Whether every instant of `interval` is in the set.
    pub fn covers(&self, interval: Interval) -> bool {
        self.0.iter().any(|held| held.from() <= interval.from() && interval.to() <= held.to())
    }

    /// The first instant at or after `from` that is not in the set.
    pub fn first_gap(&self, from: Timestamp) -> Timestamp {
        self.0.iter().find(|held| held.contains(from)).map_or(from, |held| held.to())
    }

    /// What of `within` is not in the set, in order.
    pub fn gaps(&self, within: Interval) -> Vec<Interval> {
        let mut rest = Self(vec![within]);
        self.0.iter().for_each(|held| rest.remove(*held));
        rest.0
    }

    /// What is in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let common = |a: &Interval| {
            let a = *a;
            other.0.iter().filter_map(move |b| Interval::new(a.from().max(b.from()), a.to().min(b.to())).ok())
        };
        self.0.iter().flat_map(common).collect()
    }
}

impl FromIterator<Interval> for IntervalSet {
    fn from_iter<I: IntoIterator<Item = Interval>>(intervals: I) -> Self {
        let mut set = Self::default();
        intervals.into_iter().for_each(|interval| set.insert(interval));
        set
    }
}

impl Extend<Interval> for IntervalSet {
    fn extend<I: IntoIterator<Item = Interval>>(&mut self, intervals: I) {
        intervals.into_iter().for_each(|interval| self.insert(interval));
    }
}

impl From<Vec<Interval>> for IntervalSet {
    fn from(intervals: Vec<Interval>) -> Self {
        intervals.into_iter().collect()
    }
}

impl From<IntervalSet> for Vec<Interval> {
    fn from(set: IntervalSet) -> Self {
        set.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn hours(from: i64, to: i64) -> Interval {
        let at = |hour: i64| Timestamp::from_second(hour * 3600).unwrap();
        Interval::new(at(from), at(to)).unwrap()
    }

    proptest! {
        /// Against the plain set of hours: inserting and removing in any order, whatever overlaps whatever.
        #[test]
        fn equals_the_set_of_its_instants(
            changes in proptest::collection::vec((any::<bool>(), 0..40_i64, 1..6_i64), 0..30),
            asked in (0..40_i64, 1..8_i64),
        ) {
            let (mut set, mut plain) = (IntervalSet::default(), BTreeSet::new());
            for (insert, from, length) in changes {
                let span = from..from + length;
                if insert {
                    set.insert(hours(span.start, span.end));
                    plain.extend(span);
                } else {
                    set.remove(hours(span.start, span.end));
                    span.for_each(|hour| { plain.remove(&hour); });
                }
            }
            let asked_hours: Vec<i64> = (asked.0..asked.0 + asked.1).collect();
            let asked = hours(asked.0, asked.0 + asked.1);
            prop_assert_eq!(set.covers(asked), asked_hours.iter().all(|hour| plain.contains(hour)));
            prop_assert_eq!(set.overlaps(asked), asked_hours.iter().any(|hour| plain.contains(hour)));
            let gaps: IntervalSet = set.gaps(asked).into_iter().collect();
            let expected = asked_hours.iter().filter(|hour| !plain.contains(hour));
            prop_assert_eq!(gaps, expected.map(|hour| hours(*hour, hour + 1)).collect());
            prop_assert_eq!(set.clone(), plain.iter().map(|hour| hours(*hour, hour + 1)).collect());
            let first = (0..).find(|hour| !plain.contains(hour)).unwrap();
            prop_assert_eq!(set.first_gap(hours(0, 1).from()), hours(first, first + 1).from());
            prop_assert!(set.intervals().windows(2).all(|pair| pair[0].to() < pair[1].from()));
            let within: IntervalSet = [asked].into_iter().collect();
            let common = asked_hours.iter().filter(|hour| plain.contains(hour)).map(|hour| hours(*hour, hour + 1));
            prop_assert_eq!(set.intersection(&within), common.collect());
        }
    }
}
