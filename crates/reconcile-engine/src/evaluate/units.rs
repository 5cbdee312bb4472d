//! Arithmetic on units as [`decimal`] has it, with short ways for numbers that 64 or 128 bits hold on the way.

use reconcile::{
    Rounding,
    decimal::{self, DIGITS_MAX, Number},
};

const LIMIT: i128 = 10_i128.pow(DIGITS_MAX);

/// The units, if a decimal can have so many.
#[inline]
pub(crate) fn fit(units: i128) -> Option<i128> {
    (-LIMIT < units && units < LIMIT).then_some(units)
}

/// 10 to that power, if 128 bits hold it.
pub(crate) fn ten_to(power: u8) -> Option<i128> {
    10_i128.checked_pow(u32::from(power))
}

/// `dividend` ÷ `divisor`, rounded; `None` for a divisor of zero.
#[inline]
pub(crate) fn divide_rounded(dividend: i128, divisor: i128, rounding: Rounding) -> Option<i128> {
    let negative = (dividend < 0) != (divisor < 0);
    let (above, below) = (dividend.unsigned_abs(), divisor.unsigned_abs());
    let (quotient, rest) = match (u64::try_from(above), u64::try_from(below)) {
        (Ok(above), Ok(below)) => (u128::from(above.checked_div(below)?), u128::from(above.checked_rem(below)?)),
        _ => (above.checked_div(below)?, above.checked_rem(below)?),
    };
    let away = rest > 0
        && match rounding {
            Rounding::Up => true,
            Rounding::Down => false,
            Rounding::HalfUp => rest >= below - rest,
            Rounding::HalfEven => rest > below - rest || (rest == below - rest && quotient % 2 == 1),
        };
    let rounded = i128::try_from(quotient + u128::from(away)).ok()?;
    Some(if negative { -rounded } else { rounded })
}

/// The same number, or the nearest, with `to` decimals instead of `from`.
#[inline]
pub(crate) fn rescale(units: i128, from: u8, to: u8, rounding: Rounding) -> Option<i128> {
    if from == to {
        return fit(units);
    }
    if to > from {
        return ten_to(to - from).and_then(|ten| units.checked_mul(ten)).and_then(fit);
    }
    match ten_to(from - to) {
        Some(ten) => divide_rounded(units, ten, rounding).and_then(fit),
        None => decimal::rescale(units, from, to, rounding),
    }
}

/// The sum, with `scale` decimals.
#[inline]
pub(crate) fn add(left: Number, right: Number, scale: u8) -> Option<i128> {
    if left.1 == scale && right.1 == scale {
        return left.0.checked_add(right.0).and_then(fit);
    }
    let short = || {
        let wide = left.1.max(right.1);
        let one = left.0.checked_mul(ten_to(wide - left.1)?)?;
        let two = right.0.checked_mul(ten_to(wide - right.1)?)?;
        rescale(one.checked_add(two)?, wide, scale, Rounding::HalfUp)
    };
    short().or_else(|| decimal::add(left, right, scale))
}

/// The difference, with `scale` decimals.
#[inline]
pub(crate) fn subtract(left: Number, right: Number, scale: u8) -> Option<i128> {
    add(left, (right.0.checked_neg()?, right.1), scale)
}

/// The product, with `scale` decimals.
#[inline]
pub(crate) fn multiply(left: Number, right: Number, scale: u8, rounding: Rounding) -> Option<i128> {
    match left.0.checked_mul(right.0) {
        Some(exact) => rescale(exact, left.1 + right.1, scale, rounding)
            .or_else(|| decimal::multiply(left, right, scale, rounding)),
        None => decimal::multiply(left, right, scale, rounding),
    }
}

/// The quotient, with `scale` decimals; `None` for a divisor of zero, too.
#[inline]
pub(crate) fn divide(left: Number, right: Number, scale: u8, rounding: Rounding) -> Option<i128> {
    let short = || {
        let up = scale + right.1;
        let (dividend, divisor) = match up.checked_sub(left.1) {
            Some(power) => (left.0.checked_mul(ten_to(power)?)?, right.0),
            None => (left.0, right.0.checked_mul(ten_to(left.1 - up)?)?),
        };
        fit(divide_rounded(dividend, divisor, rounding)?)
    };
    short().or_else(|| decimal::divide(left, right, scale, rounding))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn units() -> impl Strategy<Value = i128> {
        let digits = prop_oneof![0..=4_u32, 15..=20_u32, 30..=38_u32];
        (digits, any::<i128>()).prop_map(|(digits, bits)| bits % 10_i128.pow(digits).max(1))
    }

    fn rounding() -> impl Strategy<Value = Rounding> {
        prop_oneof![Just(Rounding::HalfUp), Just(Rounding::HalfEven), Just(Rounding::Up), Just(Rounding::Down)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]
        #[test]
        fn short_ways_lead_to_the_same(
            left in units(), right in units(), one in 0..=20_u8, two in 0..=20_u8, scale in 0..=20_u8, rounding in rounding(),
        ) {
            let (a, b) = ((left, one), (right, two));
            prop_assert_eq!(add(a, b, scale), decimal::add(a, b, scale));
            prop_assert_eq!(subtract(a, b, scale), decimal::subtract(a, b, scale));
            prop_assert_eq!(multiply(a, b, scale, rounding), decimal::multiply(a, b, scale, rounding));
            prop_assert_eq!(divide(a, b, scale, rounding), decimal::divide(a, b, scale, rounding));
            prop_assert_eq!(rescale(left, one, scale, rounding), decimal::rescale(left, one, scale, rounding));
        }
    }
}
