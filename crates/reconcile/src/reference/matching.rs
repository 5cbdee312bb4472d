//! One-to-one pairs.

use std::collections::{BTreeMap, BTreeSet};

use ethnum::I256;

use crate::{
    decimal,
    error::Fault,
    expression::ColumnId,
    plan::{MATCH_CANDIDATES_MAX, MatchSide, Tolerance, ToleranceBase},
    reference::{Rows, evaluate::units},
    types::{Type, Value},
};

/// A row of one side of a match.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// Its rank.
    pub rank: i64,
    /// Its amount, in units.
    pub amount: Option<i128>,
}

/// The rows with one key, each side in the order of its ranks.
#[derive(Debug, Default)]
pub struct Group {
    /// Those of the left.
    pub left: Vec<Member>,
    /// Those of the right.
    pub right: Vec<Member>,
}

/// The rows of a match.
pub(crate) fn pairs(
    (left, left_side): (&Rows, &MatchSide),
    (right, right_side): (&Rows, &MatchSide),
    tolerance: Option<&Tolerance>,
) -> Result<Vec<Vec<Value>>, Fault> {
    let mut groups: BTreeMap<Vec<Value>, Group> = BTreeMap::new();
    for (key, member) in members(left, left_side)? {
        groups.entry(key).or_default().left.push(member);
    }
    for (key, member) in members(right, right_side)? {
        groups.entry(key).or_default().right.push(member);
    }
    let scale = left_side.amount.map_or(Ok(0), |amount| left.kind(amount).map(Type::scale))?;
    let kinds: Vec<Type> = left_side.keys.iter().map(|key| left.kind(*key)).collect::<Result<_, _>>()?;
    let mut rows = Vec::new();
    for (key, mut group) in groups {
        group.left.sort_by_key(|member| member.rank);
        group.right.sort_by_key(|member| member.rank);
        for cells in group.rows((&kinds, &key), tolerance, scale, |_| Ok::<_, Fault>(()))? {
            rows.push([key.as_slice(), &cells].concat());
        }
    }
    Ok(rows)
}

/// The rows of a side that have a key.
fn members(rows: &Rows, side: &MatchSide) -> Result<Vec<(Vec<Value>, Member)>, Fault> {
    let mut members = Vec::new();
    for cells in &rows.rows {
        let key = rows.cells(cells, &side.keys)?;
        if key.iter().any(Value::is_blank) {
            continue;
        }
        let amount = |column: ColumnId| units(rows.cell(cells, column)?);
        let amount = side.amount.map_or(Ok(None), amount)?;
        let Value::Integer(rank) = *rows.cell(cells, side.rank)? else { return Err(Fault::Plan("no rank")) };
        members.push((key, Member { rank, amount }));
    }
    Ok(members)
}

/// Two rows that are near enough: how far apart, and their places on either side.
type Candidate = (I256, usize, usize);

impl Group {
    /// The pairs and the rows that stay alone: left rank, right rank, and the candidates of each. The amounts have `scale`
    /// decimals; the key is for messages. Before candidates take more memory, `room` is asked for that many bytes.
    pub fn rows<E: From<Fault>>(
        &self,
        (kinds, key): (&[Type], &[Value]),
        tolerance: Option<&Tolerance>,
        scale: u8,
        mut room: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Vec<[Value; 4]>, E> {
        let mut candidates: Vec<Candidate> = Vec::new();
        self.candidates(tolerance, scale, |candidate| -> Result<(), E> {
            if candidates.len() == MATCH_CANDIDATES_MAX {
                let keys: Vec<String> = kinds.iter().zip(key).map(|(kind, value)| kind.format(value)).collect();
                return Err(Fault::TooManyCandidates { keys: keys.join(", "), most: MATCH_CANDIDATES_MAX }.into());
            }
            if candidates.len() == candidates.capacity() {
                // The vector doubles.
                room(candidates.len() * size_of::<Candidate>())?;
            }
            candidates.push(candidate);
            Ok(())
        })?;
        let (mut left_counts, mut right_counts) = (vec![0_i64; self.left.len()], vec![0_i64; self.right.len()]);
        for (_, one, two) in &candidates {
            left_counts.get_mut(*one).into_iter().chain(right_counts.get_mut(*two)).for_each(|count| *count += 1);
        }
        // Both sides stand in the order of their ranks.
        candidates.sort_unstable();
        let (mut left_taken, mut right_taken) = (BTreeSet::new(), BTreeSet::new());
        let mut pairs = Vec::new();
        for (_, one, two) in candidates {
            if !left_taken.contains(&one) && !right_taken.contains(&two) {
                left_taken.insert(one);
                right_taken.insert(two);
                pairs.push((Some(one), Some(two)));
            }
        }
        pairs.extend((0..self.left.len()).filter(|one| !left_taken.contains(one)).map(|one| (Some(one), None)));
        pairs.extend((0..self.right.len()).filter(|two| !right_taken.contains(two)).map(|two| (None, Some(two))));
        let rank = |side: &[Member], at: Option<usize>| {
            at.and_then(|at| side.get(at)).map_or(Value::Blank, |one| Value::Integer(one.rank))
        };
        let count = |counts: &[i64], at: Option<usize>| {
            at.and_then(|at| counts.get(at)).map_or(Value::Blank, |count| Value::Integer(*count))
        };
        let row = |(one, two): (Option<usize>, Option<usize>)| {
            [rank(&self.left, one), rank(&self.right, two), count(&left_counts, one), count(&right_counts, two)]
        };
        Ok(pairs.into_iter().map(row).collect())
    }

    /// Finds the pairs that are near enough: how far apart, and their places on either side.
    ///
    /// Where only what is close by can be near, the right side is sorted by amount and looked at from each left amount outwards:
    /// two large groups, of which little matches, would take hours otherwise.
    fn candidates<E>(
        &self,
        tolerance: Option<&Tolerance>,
        scale: u8,
        mut found: impl FnMut(Candidate) -> Result<(), E>,
    ) -> Result<(), E> {
        if !tolerance.is_some_and(is_near_only) {
            for (one, left) in self.left.iter().enumerate() {
                for (two, right) in self.right.iter().enumerate() {
                    difference(*left, *right, tolerance, scale).map_or(Ok(()), |apart| found((apart, one, two)))?;
                }
            }
            return Ok(());
        }
        let amount = |(two, member): (usize, &Member)| Some((member.amount?, two, *member));
        let mut sorted: Vec<(i128, usize, Member)> = self.right.iter().enumerate().filter_map(amount).collect();
        sorted.sort_unstable_by_key(|(amount, two, _)| (*amount, *two));
        for (one, left) in self.left.iter().enumerate() {
            let Some(amount) = left.amount else { continue };
            let (below, above) = sorted.split_at(sorted.partition_point(|(right, ..)| *right < amount));
            let near = |(_, two, right): &(i128, usize, Member)| {
                difference(*left, *right, tolerance, scale).map(|apart| (apart, one, *two))
            };
            above.iter().map_while(near).try_for_each(&mut found)?;
            below.iter().rev().map_while(near).try_for_each(&mut found)?;
        }
        Ok(())
    }
}

/// Whether amounts that are not near stay so however much further apart they get. From 100 % of the other amount on they
/// need not: 10 is not within 150 % of -10, but of -40.
fn is_near_only(tolerance: &Tolerance) -> bool {
    match tolerance {
        Tolerance::Absolute { .. } => true,
        Tolerance::Percent { percent, .. } => {
            let hundred = (100, 0);
            let percent = units(percent.value()).ok().flatten().map(|units| (units, percent.kind().scale()));
            percent.is_some_and(|percent| decimal::compare(percent, hundred).is_lt())
        }
    }
}

/// How far two rows are apart, where that is near enough.
fn difference(left: Member, right: Member, tolerance: Option<&Tolerance>, scale: u8) -> Option<I256> {
    let Some(tolerance) = tolerance else { return Some(I256::ZERO) };
    let (left, right) = (I256::new(left.amount?), I256::new(right.amount?));
    let apart = (left - right).abs();
    let near = match tolerance {
        Tolerance::Absolute { most } => {
            let most = (units(most.value()).ok()??, most.kind().scale());
            decimal::compare((i128::try_from(apart).ok()?, scale), most).is_le()
        }
        Tolerance::Percent { percent, base } => {
            let (left, right) = (left.abs(), right.abs());
            let base = match base {
                ToleranceBase::Left => left,
                ToleranceBase::Right => right,
                ToleranceBase::Larger => left.max(right),
                ToleranceBase::Smaller => left.min(right),
            };
            let hundred = I256::new(10).checked_pow(2 + u32::from(percent.kind().scale()))?;
            // apart ≤ base × percent ÷ 100, without a division. An amount has 38 digits and a percentage nine: 256 bits do.
            apart.checked_mul(hundred)? <= base.checked_mul(I256::new(units(percent.value()).ok()??))?
        }
    };
    near.then_some(apart)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::expression::Constant;

    fn side(amounts: &[Option<i128>]) -> Vec<Member> {
        (0..).zip(amounts).map(|(rank, amount)| Member { rank, amount: *amount }).collect()
    }

    fn tolerances() -> impl Strategy<Value = Tolerance> {
        let base = prop_oneof![
            Just(ToleranceBase::Left),
            Just(ToleranceBase::Right),
            Just(ToleranceBase::Larger),
            Just(ToleranceBase::Smaller)
        ];
        let constant = |units: i128| Constant::parse(Type::Decimal(1), &decimal::format(units, 1)).unwrap();
        prop_oneof![
            (0..30_i128).prop_map(move |most| Tolerance::Absolute { most: constant(most) }),
            (0..2_500_i128, base)
                .prop_map(move |(percent, base)| Tolerance::Percent { percent: constant(percent), base }),
        ]
    }

    proptest! {
        #[test]
        fn looking_nearby_finds_what_looking_everywhere_does(
            left in proptest::collection::vec(proptest::option::weighted(0.9, -40..40_i128), 0..12),
            right in proptest::collection::vec(proptest::option::weighted(0.9, -40..40_i128), 0..12),
            tolerance in tolerances(),
        ) {
            let group = Group { left: side(&left), right: side(&right) };
            let mut found = BTreeSet::new();
            group.candidates(Some(&tolerance), 1, |candidate| { found.insert(candidate); Ok::<_, Fault>(()) }).unwrap();
            let everywhere: BTreeSet<_> = (0..left.len())
                .flat_map(|one| (0..right.len()).map(move |two| (one, two)))
                .filter_map(|(one, two)| {
                    Some((difference(group.left[one], group.right[two], Some(&tolerance), 1)?, one, two))
                })
                .collect();
            prop_assert_eq!(found, everywhere);
        }
    }

    /// 40,000,000,000 pairs would be looked at one by one.
    #[test]
    fn two_large_groups_of_which_little_matches() {
        let amounts = |first: i128| (0..200_000).map(|number| Some(first + number * 10)).collect::<Vec<_>>();
        let mut left = amounts(0);
        left[7] = Some(1_234_565);
        let group = Group { left: side(&left), right: side(&amounts(5)) };
        let tolerance = Tolerance::Absolute { most: Constant::parse(Type::Decimal(1), "0.1").unwrap() };
        let rows = group.rows((&[], &[]), Some(&tolerance), 1, |_| Ok::<_, Fault>(())).unwrap();
        assert_eq!(rows.len(), 399_999);
        assert_eq!(rows[0], [Value::Integer(7), Value::Integer(123_456), Value::Integer(1), Value::Integer(1)]);
    }
}
