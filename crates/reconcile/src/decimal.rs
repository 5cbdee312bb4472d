//! Exact arithmetic on units of 10^−scale.
//!
//! A result is the exact one, rounded once; `None` when it has more than 38 digits. Between, 256 bits hold whatever two
//! decimals can make.

use ethnum::I256;

use crate::types::Rounding;

/// The digits that a decimal can have.
pub const DIGITS_MAX: u32 = 38;

const LIMIT: i128 = 10_i128.pow(DIGITS_MAX);

/// Whether a decimal can have so many units.
fn fit(units: I256) -> Option<i128> {
    i128::try_from(units).ok().filter(|units| -LIMIT < *units && *units < LIMIT)
}

fn ten_to(power: u8) -> Option<I256> {
    I256::new(10).checked_pow(u32::from(power))
}

/// `dividend` ÷ `divisor` as a whole number; `None` for a divisor of zero.
fn divide_rounded(dividend: I256, divisor: I256, rounding: Rounding) -> Option<I256> {
    let quotient = dividend.checked_div(divisor)?;
    let rest = dividend.checked_rem(divisor)?;
    if rest == 0 {
        return Some(quotient);
    }
    let half = (rest.abs().checked_mul(I256::new(2))?).cmp(&divisor.abs());
    let away = match rounding {
        Rounding::Up => true,
        Rounding::Down => false,
        Rounding::HalfUp => half.is_ge(),
        Rounding::HalfEven => half.is_gt() || (half.is_eq() && quotient % 2 != 0),
    };
    let step = if (dividend < 0) == (divisor < 0) { I256::ONE } else { I256::MINUS_ONE };
    if away { quotient.checked_add(step) } else { Some(quotient) }
}

/// `units` of 10^−`from` in units of 10^−`to`.
fn move_scale(units: I256, from: u8, to: u8, rounding: Rounding) -> Option<I256> {
    if to >= from { units.checked_mul(ten_to(to - from)?) } else { divide_rounded(units, ten_to(from - to)?, rounding) }
}

/// The same number, or the nearest, with `to` decimals instead of `from`.
pub fn rescale(units: i128, from: u8, to: u8, rounding: Rounding) -> Option<i128> {
    fit(move_scale(I256::new(units), from, to, rounding)?)
}

/// A number: its units and its decimals.
pub type Number = (i128, u8);

/// The sum, with `scale` decimals.
pub fn add(left: Number, right: Number, scale: u8) -> Option<i128> {
    let wide = left.1.max(right.1);
    let (one, two) = (widen(left, wide)?, widen(right, wide)?);
    fit(move_scale(one.checked_add(two)?, wide, scale, Rounding::HalfUp)?)
}

/// The difference, with `scale` decimals.
pub fn subtract(left: Number, right: Number, scale: u8) -> Option<i128> {
    add(left, (right.0.checked_neg()?, right.1), scale)
}

/// The sum of numbers of one scale; only the whole of it must fit, whatever the order in which they come.
pub fn sum(units: impl IntoIterator<Item = i128>) -> Option<i128> {
    fit(units.into_iter().try_fold(I256::ZERO, |sum, units| sum.checked_add(I256::new(units)))?)
}

/// The product, with `scale` decimals.
pub fn multiply(left: Number, right: Number, scale: u8, rounding: Rounding) -> Option<i128> {
    let exact = I256::new(left.0).checked_mul(I256::new(right.0))?;
    fit(move_scale(exact, left.1 + right.1, scale, rounding)?)
}

/// The quotient, with `scale` decimals; `None` for a divisor of zero, too.
pub fn divide(left: Number, right: Number, scale: u8, rounding: Rounding) -> Option<i128> {
    // left ÷ right = (left units ÷ right units) × 10^(right scale − left scale). A dividend that 256 bits do not hold has a
    // quotient of more than 38 digits.
    let (mut dividend, mut divisor) = (I256::new(left.0), I256::new(right.0));
    let up = u16::from(scale) + u16::from(right.1);
    match up.checked_sub(u16::from(left.1)) {
        Some(power) => dividend = dividend.checked_mul(ten_to(u8::try_from(power).ok()?)?)?,
        None => divisor = divisor.checked_mul(ten_to(left.1.checked_sub(u8::try_from(up).ok()?)?)?)?,
    }
    fit(divide_rounded(dividend, divisor, rounding)?)
}

fn widen(number: Number, scale: u8) -> Option<I256> {
    move_scale(I256::new(number.0), number.1, scale, Rounding::HalfUp)
}

/// How two numbers compare, whatever their decimals.
pub fn compare(left: Number, right: Number) -> std::cmp::Ordering {
    let wide = left.1.max(right.1);
    widen(left, wide).cmp(&widen(right, wide))
}

/// Units and decimals of a plain number: an optional sign, digits, at most one point. Trailing zeros count as decimals.
pub fn parse(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let all = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !all(whole) || !all(decimals) || whole.len() + decimals.len() == 0 {
        return None;
    }
    let joined = format!("{whole}{decimals}");
    let significant = joined.trim_start_matches('0');
    let units = if significant.is_empty() { 0 } else { significant.parse::<i128>().ok()? };
    let units = fit(I256::new(if text.starts_with('-') { -units } else { units }))?;
    Some((units, u8::try_from(decimals.len()).ok()?))
}

/// The number as text, with all its decimals.
pub fn format(units: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale + 1);
    let sign = if units < 0 { "-" } else { "" };
    match digits.split_at_checked(digits.len() - scale) {
        Some((whole, decimals)) if scale > 0 => format!("{sign}{whole}.{decimals}"),
        _ => format!("{sign}{digits}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: i128 = LIMIT - 1;

    #[test]
    fn halves() {
        use Rounding::{Down, HalfEven, HalfUp, Up};
        for (units, up, even, away, towards) in [
            (25, 3, 2, 3, 2),
            (-25, -3, -2, -3, -2),
            (35, 4, 4, 4, 3),
            (24, 2, 2, 3, 2),
            (-26, -3, -3, -3, -2),
            (20, 2, 2, 2, 2),
        ] {
            let rounded = [HalfUp, HalfEven, Up, Down].map(|rounding| rescale(units, 1, 0, rounding).unwrap());
            assert_eq!(rounded, [up, even, away, towards], "{units}");
        }
    }

    #[test]
    fn what_has_too_many_digits_is_nothing() {
        assert_eq!(add((MOST, 0), (1, 0), 0), None);
        assert_eq!(subtract((-MOST, 0), (1, 0), 0), None);
        assert_eq!(rescale(MOST, 0, 1, Rounding::HalfUp), None);
        assert_eq!(multiply((MOST, 20), (MOST, 20), 20, Rounding::HalfUp), None);
        assert_eq!(multiply((MOST, 20), (10_i128.pow(20), 20), 20, Rounding::HalfUp), Some(MOST));
        assert_eq!(divide((MOST, 0), (1, 20), 20, Rounding::HalfUp), None);
        assert_eq!(divide((MOST, 20), (MOST, 20), 20, Rounding::HalfUp), Some(10_i128.pow(20)));
        assert_eq!(divide((MOST, 0), (MOST, 0), 20, Rounding::HalfUp), Some(10_i128.pow(20)));
        assert_eq!(divide((1, 20), (1, 0), 0, Rounding::Up), Some(1));
        assert_eq!(divide((1, 0), (0, 0), 0, Rounding::HalfUp), None);
        assert_eq!(sum([MOST, MOST, 1, -MOST, -1]), Some(MOST));
        assert_eq!(sum([MOST, 1]), None);
        assert_eq!(sum([]), Some(0));
        // A rescaled operand would have 39 digits; the difference has fewer.
        assert_eq!(subtract((MOST, 0), (MOST, 0), 6), Some(0));
        assert_eq!(subtract((MOST, 0), (MOST - 1, 0), 20), Some(10_i128.pow(20)));
    }

    #[test]
    fn numbers_as_text() {
        for (text, number) in [
            ("0", Some((0, 0))),
            ("-0.50", Some((-50, 2))),
            (".5", Some((5, 1))),
            ("5.", Some((5, 0))),
            ("+7", Some((7, 0))),
        ] {
            assert_eq!(parse(text), number, "{text}");
        }
        for text in ["", ".", "-", "--1", "1.2.3", "1,0", "1e1", " 1", "٣"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!((format(-5, 2), format(0, 0), format(1234, 2)), ("-0.05".into(), "0".into(), "12.34".into()));
    }

    proptest! {
        #[test]
        fn text_and_back(units in -MOST..=MOST, scale in 0..=20_u8) {
            prop_assert_eq!(parse(&format(units, scale)), Some((units, scale)));
        }

        #[test]
        fn a_quotient_times_its_divisor_is_near_the_dividend(
            left in -1_000_000_000_i128..1_000_000_000, right in 1_i128..1_000_000, scale in 0..=8_u8,
        ) {
            let quotient = divide((left, 2), (right, 2), scale, Rounding::HalfUp).unwrap();
            let ten = 10_i128.pow(u32::from(scale));
            // |left − quotient × right| ≤ right ÷ 2, at the quotient's scale.
            prop_assert!(2 * (left * ten - quotient * right).abs() <= right);
        }

        #[test]
        fn a_product_commutes_and_a_sum_is_undone(
            left in -MOST / 2..MOST / 2, right in -MOST / 2..MOST / 2, one in 0..=20_u8,
        ) {
            let (a, b) = ((left, one), (right, one));
            prop_assert_eq!(multiply(a, b, 20, Rounding::HalfEven), multiply(b, a, 20, Rounding::HalfEven));
            let sum = add(a, b, one).unwrap();
            prop_assert_eq!(subtract((sum, one), b, one), Some(left));
        }
    }
}
