//! The watermark: until when a ledger is complete, and what holds it.
//!
//! It follows intervals, not batch numbers: batches may be registered and indexed in any order of time. Every figure
//! here is computed from the ledger's rows by pure functions, so that anybody can check what is claimed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Interval, intervals::IntervalSet};

/// What is known of one source's intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceIntervals {
    /// The first instant that the source answers for; before it nothing is expected.
    pub opens_at: Timestamp,
    /// Intervals that a batch was registered for.
    pub claimed: IntervalSet,
    /// Those of batches that were refused or skipped, and not replaced since.
    pub void: IntervalSet,
    /// Those of batches in jobs that are parked.
    pub parked: IntervalSet,
    /// Those of batches that are indexed.
    pub indexed: IntervalSet,
    /// Intervals that an operator has signed off.
    pub exceptions: Vec<Exception>,
}

/// An operator's word that an interval is to count as complete although no batch covers it. It is never hidden: every
/// answer about completeness names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exception {
    /// The interval.
    pub interval: Interval,
    /// Who signed it.
    pub signed_by: String,
    /// Why.
    pub reason: String,
    /// When.
    #[schemars(with = "String")]
    pub signed_at: Timestamp,
}

/// Until when a ledger is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Completeness {
    /// Every event before this instant is in the ledger, of every source: the lowest of the sources' watermarks. Absent
    /// where the ledger has no source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub watermark: Option<Timestamp>,
    /// Its sources, by name.
    pub sources: BTreeMap<String, SourceCompleteness>,
}

/// Until when one source is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceCompleteness {
    /// Every interval before this instant is covered by indexed batches, or signed off.
    #[schemars(with = "String")]
    pub watermark: Timestamp,
    /// What is not covered between the watermark and the end of the last known interval, in order.
    pub gaps: Vec<Gap>,
    /// What was signed off, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
}

/// An interval that is not covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The interval.
    pub interval: Interval,
    /// Why it is not covered.
    pub cause: GapCause,
}

/// Why an interval is not covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// No batch was registered for it.
    Missing,
    /// Its batch was refused or skipped, and is to be replaced.
    Void,
    /// Its batch's job is parked, and waits for an operator.
    Parked,
    /// Its batch is on its way.
    InFlight,
}

/// Until when a ledger with these sources is complete.
pub fn completeness(sources: &BTreeMap<String, SourceIntervals>) -> Completeness {
    let sources: BTreeMap<_, _> = sources.iter().map(|(name, source)| (name.clone(), of_source(source))).collect();
    Completeness { watermark: sources.values().map(|source| source.watermark).min(), sources }
}

fn of_source(source: &SourceIntervals) -> SourceCompleteness {
    let mut covered = source.indexed.clone();
    covered.extend(source.exceptions.iter().map(|exception| exception.interval));
    let watermark = covered.first_gap(source.opens_at);
    let mut exceptions = source.exceptions.clone();
    exceptions.sort_by_key(|exception| (exception.interval.from(), exception.signed_at));
    SourceCompleteness { watermark, gaps: gaps(source, &covered, watermark), exceptions }
}

/// What is not covered behind the watermark, cut by cause. Of several causes the one an operator must act on counts.
fn gaps(source: &SourceIntervals, covered: &IntervalSet, watermark: Timestamp) -> Vec<Gap> {
    let known = [source.claimed.intervals(), covered.intervals()];
    let end = known.iter().filter_map(|intervals| intervals.last()).map(|last| last.to()).max();
    let Some(whole) = end.and_then(|end| Interval::new(watermark, end).ok()) else { return Vec::new() };
    let mut open: IntervalSet = covered.gaps(whole).into_iter().collect();
    let mut gaps = Vec::new();
    let causes =
        [(GapCause::Void, &source.void), (GapCause::Parked, &source.parked), (GapCause::InFlight, &source.claimed)];
    for (cause, set) in causes {
        let of_cause = open.intersection(set);
        for interval in of_cause.intervals() {
            open.remove(*interval);
            gaps.push(Gap { interval: *interval, cause });
        }
    }
    gaps.extend(open.intervals().iter().map(|interval| Gap { interval: *interval, cause: GapCause::Missing }));
    gaps.sort_by_key(|gap| gap.interval.from());
    gaps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    fn hours(from: i64, to: i64) -> Interval {
        Interval::new(at(from), at(to)).unwrap()
    }

    fn set(intervals: &[(i64, i64)]) -> IntervalSet {
        intervals.iter().map(|(from, to)| hours(*from, *to)).collect()
    }

    fn source(claimed: &[(i64, i64)], indexed: &[(i64, i64)]) -> SourceIntervals {
        SourceIntervals {
            opens_at: at(0),
            claimed: set(claimed),
            void: IntervalSet::default(),
            parked: IntervalSet::default(),
            indexed: set(indexed),
            exceptions: Vec::new(),
        }
    }

    fn signed(from: i64, to: i64) -> Exception {
        Exception {
            interval: hours(from, to),
            signed_by: "ada".to_owned(),
            reason: "the till was closed".to_owned(),
            signed_at: at(100),
        }
    }

    #[test]
    fn a_later_interval_does_not_move_it_an_earlier_one_does() {
        let mut shop = source(&[(0, 3)], &[(0, 1), (2, 3)]);
        let held = of_source(&shop);
        assert_eq!(held.watermark, at(1));
        assert_eq!(held.gaps, [Gap { interval: hours(1, 2), cause: GapCause::InFlight }]);
        shop.indexed.insert(hours(1, 2));
        assert_eq!(of_source(&shop).watermark, at(3));
        assert_eq!(of_source(&shop).gaps, []);
    }

    #[test]
    fn gaps_say_why_they_are_there() {
        let mut shop = source(&[(1, 4), (5, 7)], &[(6, 7)]);
        shop.void = set(&[(1, 2)]);
        shop.parked = set(&[(2, 3)]);
        let causes: Vec<_> = of_source(&shop).gaps.iter().map(|gap| (gap.interval, gap.cause)).collect();
        assert_eq!(
            causes,
            [
                (hours(0, 1), GapCause::Missing),
                (hours(1, 2), GapCause::Void),
                (hours(2, 3), GapCause::Parked),
                (hours(3, 4), GapCause::InFlight),
                (hours(4, 5), GapCause::Missing),
                (hours(5, 6), GapCause::InFlight),
            ]
        );
    }

    #[test]
    fn a_signed_exception_lets_it_pass_and_stays_visible() {
        let mut shop = source(&[(0, 1), (2, 3)], &[(0, 1), (2, 3)]);
        shop.exceptions.push(signed(1, 2));
        let passed = of_source(&shop);
        assert_eq!(passed.watermark, at(3));
        assert_eq!(passed.exceptions, [signed(1, 2)]);
    }

    #[test]
    fn the_lowest_source_counts() {
        let sources = BTreeMap::from([
            ("shop".to_owned(), source(&[(0, 9)], &[(0, 9)])),
            ("bank".to_owned(), source(&[(0, 9)], &[(0, 4)])),
        ]);
        assert_eq!(completeness(&sources).watermark, Some(at(4)));
        let quiet = BTreeMap::from([("shop".to_owned(), source(&[], &[]))]);
        assert_eq!(completeness(&quiet).watermark, Some(at(0)));
        assert_eq!(completeness(&BTreeMap::new()).watermark, None);
    }

    proptest! {
        /// The definition itself, hour by hour; and one more interval, of whatever kind, never moves it back.
        #[test]
        fn it_is_the_first_hour_not_covered_and_never_falls(
            indexed in proptest::collection::vec((0..30_i64, 1..5_i64), 0..12),
            excepted in proptest::collection::vec((0..30_i64, 1..5_i64), 0..4),
            more in (0..30_i64, 1..5_i64),
            opens in 0..10_i64,
        ) {
            let spans = |of: &[(i64, i64)]| of.iter().map(|(from, length)| (*from, from + length)).collect::<Vec<_>>();
            let mut shop = source(&spans(&indexed), &spans(&indexed));
            shop.opens_at = at(opens);
            shop.exceptions = spans(&excepted).into_iter().map(|(from, to)| signed(from, to)).collect();
            let covers = |hour: i64| {
                spans(&indexed).iter().chain(&spans(&excepted)).any(|(from, to)| (*from..*to).contains(&hour))
            };
            let first = (opens..).find(|hour| !covers(*hour)).unwrap();
            let before = of_source(&shop);
            prop_assert_eq!(before.watermark, at(first));
            prop_assert!(before.gaps.iter().all(|gap| gap.interval.from() >= before.watermark));
            shop.indexed.insert(hours(more.0, more.0 + more.1));
            prop_assert!(of_source(&shop).watermark >= before.watermark);
        }
    }
}
