//! Exact decimal amounts.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The most decimals that an amount can have.
///
/// Twenty-two hold whatever a spreadsheet or a script prints of a double above 0.0001, and leave sixteen digits before
/// the point for sums.
pub const MAX_SCALE: u8 = 22;

/// An exact decimal: `minor` × 10^−`scale`.
///
/// The scale is kept (`1.50` stays `1.50`), but `1.50` equals `1.5`. Its text form, in JSON too, is an optional sign,
/// digits and at most one dot, with a digit on at least one side of it: no exponent, no grouping, no spaces.
#[derive(Debug, Clone, Copy, Default)]
pub struct Amount {
    minor: i128,
    scale: u8,
}

/// How to round what lies exactly halfway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Away from zero, as spreadsheets do: 2.5 → 3, −2.5 → −3.
    HalfUp,
    /// To the even neighbour, as IEEE 754 and bankers do: 2.5 → 2, 3.5 → 4.
    HalfEven,
}

/// Why there is no such amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// The text is not an amount.
    #[error("not an amount: expected digits with at most one dot and an optional sign, such as -1234.50")]
    Malformed,
    /// More decimals than [`MAX_SCALE`].
    #[error("an amount has at most {MAX_SCALE} decimals")]
    TooManyDecimals,
    /// Beyond what 128 bits hold: some 38 digits, the decimals included.
    #[error("the amount has more digits than can be held exactly (38)")]
    Overflow,
    /// Digits other than zero would be lost.
    #[error("the amount has more than {scale} decimals")]
    Inexact {
        /// The scale that was asked for.
        scale: u8,
    },
}

impl Amount {
    /// Nothing, without decimals.
    pub const ZERO: Self = Self { minor: 0, scale: 0 };

    /// `minor` × 10^−`scale`.
    pub const fn new(minor: i128, scale: u8) -> Result<Self, AmountError> {
        if scale > MAX_SCALE { Err(AmountError::TooManyDecimals) } else { Ok(Self { minor, scale }) }
    }

    /// The amount as an integer of units of 10^−[`scale`](Self::scale).
    pub const fn minor(self) -> i128 {
        self.minor
    }

    /// The number of decimals.
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// Whether it is nothing, at whatever scale.
    pub const fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// Whether it is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.minor < 0
    }

    /// Reads the text form from bytes.
    #[inline]
    pub fn parse(text: &[u8]) -> Result<Self, AmountError> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        // Eighteen digits fit 64 bits, which is nearly always enough, and 128-bit multiplication is slow.
        let read = if digits.len() <= 18 { read_short(digits) } else { read_long(digits, negative) };
        let (minor, scale) = read?;
        Ok(Self { minor: if negative && minor > 0 { -minor } else { minor }, scale })
    }

    /// The sum, at the larger of the two scales.
    pub fn checked_add(self, other: Self) -> Result<Self, AmountError> {
        let scale = self.scale.max(other.scale);
        let (left, right) = (self.minor_at(scale)?, other.minor_at(scale)?);
        Ok(Self { minor: left.checked_add(right).ok_or(AmountError::Overflow)?, scale })
    }

    /// The difference, at the larger of the two scales.
    pub fn checked_sub(self, other: Self) -> Result<Self, AmountError> {
        let scale = self.scale.max(other.scale);
        let (left, right) = (self.minor_at(scale)?, other.minor_at(scale)?);
        Ok(Self { minor: left.checked_sub(right).ok_or(AmountError::Overflow)?, scale })
    }

    /// The exact product. Its scale is the sum of both scales; where that passes [`MAX_SCALE`], trailing zeros go.
    pub fn checked_mul(self, other: Self) -> Result<Self, AmountError> {
        let (mut left, mut right) = (self, other);
        if left.scale + right.scale > MAX_SCALE {
            (left, right) = (left.normalise(), right.normalise());
        }
        let minor = left.minor.checked_mul(right.minor).ok_or(AmountError::Overflow)?;
        let mut product = Self { minor, scale: left.scale + right.scale };
        while product.scale > MAX_SCALE && product.minor % 10 == 0 {
            product = Self { minor: product.minor / 10, scale: product.scale - 1 };
        }
        Self::new(product.minor, product.scale)
    }

    /// The amount with its sign turned.
    pub fn checked_neg(self) -> Result<Self, AmountError> {
        Ok(Self { minor: self.minor.checked_neg().ok_or(AmountError::Overflow)?, ..self })
    }

    /// The same value with `scale` decimals; an error when digits would be lost.
    pub fn rescale_exact(self, scale: u8) -> Result<Self, AmountError> {
        let rounded = self.rescale(scale, Rounding::HalfEven)?;
        if rounded == self { Ok(rounded) } else { Err(AmountError::Inexact { scale }) }
    }

    /// The nearest value with `scale` decimals.
    pub fn rescale(self, scale: u8, rounding: Rounding) -> Result<Self, AmountError> {
        if scale >= self.scale {
            return Self::new(self.minor_at(scale)?, scale);
        }
        let unit = power_of_ten(self.scale - scale).ok_or(AmountError::Overflow)?;
        let (whole, rest) = (self.minor / unit, self.minor % unit);
        let away = match (rest.abs() * 2).cmp(&unit) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => rounding == Rounding::HalfUp || whole % 2 != 0,
        };
        Ok(Self { minor: if away { whole + rest.signum() } else { whole }, scale })
    }

    /// The same value without trailing zeros: `1.50` → `1.5`, `100.00` → `100`.
    #[must_use]
    pub fn normalise(self) -> Self {
        let mut amount = self;
        while amount.scale > 0 && amount.minor % 10 == 0 {
            amount = Self { minor: amount.minor / 10, scale: amount.scale - 1 };
        }
        amount
    }

    /// `minor` at a scale that is not smaller than the amount's own.
    fn minor_at(self, scale: u8) -> Result<i128, AmountError> {
        match scale - self.scale {
            0 => Ok(self.minor),
            more => power_of_ten(more).and_then(|unit| self.minor.checked_mul(unit)).ok_or(AmountError::Overflow),
        }
    }
}

fn power_of_ten(exponent: u8) -> Option<i128> {
    10_i128.checked_pow(u32::from(exponent))
}

/// At most eighteen characters: no check for overflow needed.
#[inline]
fn read_short(digits: &[u8]) -> Result<(i128, u8), AmountError> {
    let (mut value, mut count, mut decimals) = (0_u64, 0_u8, None);
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + u64::from(byte - b'0');
                count += 1;
            }
            b'.' if decimals.is_none() => decimals = Some(count),
            _ => return Err(AmountError::Malformed),
        }
    }
    if count == 0 {
        return Err(AmountError::Malformed);
    }
    Ok((i128::from(value), decimals.map_or(0, |before| count - before)))
}

fn read_long(digits: &[u8], negative: bool) -> Result<(i128, u8), AmountError> {
    let well_formed = digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        && digits.iter().filter(|byte| **byte == b'.').count() <= 1;
    if !well_formed {
        return Err(AmountError::Malformed);
    }
    let decimals = digits.iter().rev().position(|byte| *byte == b'.').unwrap_or(0);
    if decimals > usize::from(MAX_SCALE) {
        return Err(AmountError::TooManyDecimals);
    }
    let mut value = 0_i128;
    for byte in digits.iter().filter(|byte| **byte != b'.') {
        let digit = i128::from(byte - b'0');
        // Towards the sign, so that the least amount of all, which has no positive twin, is read too.
        let next = value
            .checked_mul(10)
            .and_then(|tens| if negative { tens.checked_sub(digit) } else { tens.checked_add(digit) });
        value = next.ok_or(AmountError::Overflow)?;
    }
    Ok((value, u8::try_from(decimals).map_err(|_| AmountError::TooManyDecimals)?))
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        Self::parse(text.as_bytes())
    }
}

impl From<i64> for Amount {
    fn from(units: i64) -> Self {
        Self { minor: i128::from(units), scale: 0 }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scale == 0 {
            return self.minor.fmt(f);
        }
        let unit = power_of_ten(self.scale).ok_or(fmt::Error)?.unsigned_abs();
        let (whole, rest) = (self.minor.unsigned_abs() / unit, self.minor.unsigned_abs() % unit);
        let text = format!("{whole}.{rest:0width$}", width = usize::from(self.scale));
        f.pad_integral(self.minor >= 0, "", &text)
    }
}

impl PartialEq for Amount {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Amount {}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.scale == other.scale {
            return self.minor.cmp(&other.minor);
        }
        // Whole units first, then the decimals brought to one scale: neither step can overflow.
        let split = |amount: &Self| {
            let unit = power_of_ten(amount.scale).unwrap_or(1);
            let decimals = (amount.minor % unit) * power_of_ten(MAX_SCALE - amount.scale).unwrap_or(1);
            (amount.minor / unit, decimals)
        };
        split(self).cmp(&split(other))
    }
}

impl Hash for Amount {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let normal = self.normalise();
        normal.minor.hash(state);
        normal.scale.hash(state);
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Amount;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount as text, such as \"1234.50\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$",
            "description": "An exact decimal, as text."
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    #[test]
    fn reads_and_prints_what_people_write() {
        for (text, printed) in [
            ("0", "0"),
            ("-0.00", "0.00"),
            ("+7", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("-.05", "-0.05"),
            ("007.10", "7.10"),
            ("142509.72", "142509.72"),
            ("1234567890123456789012345678.9012345678", "1234567890123456789012345678.9012345678"),
            ("-170141183460469231731687303715884105728", "-170141183460469231731687303715884105728"),
            ("0.0000000000000000000001", "0.0000000000000000000001"),
        ] {
            assert_eq!(amount(text).to_string(), printed, "{text}");
        }
        assert_eq!(
            format!("{:>8}|{:<8}|{:08}", amount("-1.50"), amount("1.5"), amount("-1.5")),
            "   -1.50|1.5     |-00001.5"
        );
    }

    #[test]
    fn refuses_what_is_no_amount() {
        for text in [
            "",
            "-",
            ".",
            "+.",
            "1.2.3",
            "1e3",
            "1,000",
            " 1",
            "1 ",
            "--1",
            "NaN",
            "0x1",
            "1-",
            "١",
            "12345678901234567890x",
            "1.2345678901234567.8",
        ] {
            assert_eq!(text.parse::<Amount>(), Err(AmountError::Malformed), "{text:?}");
        }
        assert_eq!("0.00000000000000000000001".parse::<Amount>(), Err(AmountError::TooManyDecimals));
        assert_eq!("170141183460469231731687303715884105728".parse::<Amount>(), Err(AmountError::Overflow));
        assert_eq!(Amount::new(1, MAX_SCALE + 1), Err(AmountError::TooManyDecimals));
    }

    #[test]
    fn overflow_is_an_error_not_a_wrap() {
        let most = Amount::new(i128::MAX, 0).unwrap();
        let least = Amount::new(i128::MIN, 0).unwrap();
        assert_eq!(most.checked_add(amount("1")), Err(AmountError::Overflow));
        assert_eq!(most.checked_add(amount("0.1")), Err(AmountError::Overflow));
        assert_eq!(least.checked_sub(amount("1")), Err(AmountError::Overflow));
        assert_eq!(most.checked_mul(amount("2")), Err(AmountError::Overflow));
        assert_eq!(least.checked_neg(), Err(AmountError::Overflow));
        assert_eq!(most.rescale(1, Rounding::HalfUp), Err(AmountError::Overflow));
        assert!(most > least && most > amount("0.1") && least < amount("-0.1"));
    }

    #[test]
    fn products_keep_every_digit() {
        assert_eq!(amount("934").checked_mul(amount("152.58")).unwrap().to_string(), "142509.72");
        assert_eq!(amount("0.00000000000000").checked_mul(amount("1.0000000000000")).unwrap(), Amount::ZERO);
        assert_eq!(amount("0.50000000000").checked_mul(amount("0.000000000002")).unwrap(), amount("0.000000000001"));
        assert_eq!(amount("0.000000000001").checked_mul(amount("0.00000000001")), Err(AmountError::TooManyDecimals));
        // 2 × 5 makes the zero that fits it.
        assert_eq!(
            amount("0.000000000002").checked_mul(amount("0.00000000005")).unwrap(),
            amount("0.0000000000000000000001")
        );
    }

    #[test]
    fn rounds_halves_as_told() {
        for (text, up, even) in [
            ("2.5", "3", "2"),
            ("3.5", "4", "4"),
            ("-2.5", "-3", "-2"),
            ("-0.5", "-1", "0"),
            ("2.51", "3", "3"),
            ("2.49", "2", "2"),
        ] {
            assert_eq!(amount(text).rescale(0, Rounding::HalfUp).unwrap(), amount(up), "{text} half up");
            assert_eq!(amount(text).rescale(0, Rounding::HalfEven).unwrap(), amount(even), "{text} half even");
        }
        assert_eq!(amount("1.50").rescale_exact(1).unwrap().to_string(), "1.5");
        assert_eq!(amount("1.55").rescale_exact(1), Err(AmountError::Inexact { scale: 1 }));
    }

    #[test]
    fn in_json_an_amount_is_text() {
        assert_eq!(serde_json::to_string(&amount("1.50")).unwrap(), "\"1.50\"");
        assert_eq!(serde_json::from_str::<Amount>("\"1.50\"").unwrap(), amount("1.5"));
        assert!(serde_json::from_str::<Amount>("1.5").is_err(), "a JSON number has passed through a float");
    }

    prop_compose! {
        fn any_amount()(minor in any::<i128>(), scale in 0..=MAX_SCALE) -> Amount { Amount::new(minor, scale).unwrap() }
    }
    prop_compose! {
        /// Small enough for exact sums at any scale.
        fn summable()(minor in any::<i32>(), scale in 0..=MAX_SCALE) -> Amount { Amount::new(minor.into(), scale).unwrap() }
    }

    proptest! {
        #[test]
        fn printing_then_reading_gives_the_same(amount in any_amount()) {
            let read: Amount = amount.to_string().parse().unwrap();
            prop_assert_eq!((read.minor, read.scale), (amount.minor, amount.scale));
        }

        #[test]
        fn reading_never_panics(text in "[-+]?[0-9.]{0,45}") {
            if let Ok(amount) = text.parse::<Amount>() {
                prop_assert!(text.trim_start_matches(['-', '+', '0']).trim_end_matches('.').len() <= amount.to_string().len());
            }
        }

        #[test]
        fn addition_is_commutative_and_associative(a in summable(), b in summable(), c in summable()) {
            let add = |x: Amount, y: Amount| x.checked_add(y).unwrap();
            prop_assert_eq!(add(a, b), add(b, a));
            prop_assert_eq!(add(add(a, b), c), add(a, add(b, c)));
            prop_assert_eq!(add(a, b).checked_sub(b).unwrap(), a);
        }

        #[test]
        fn multiplication_agrees_with_integers(a in any::<i32>(), b in any::<i32>(), s in 0_u8..=11, t in 0_u8..=11) {
            let product = Amount::new(a.into(), s).unwrap().checked_mul(Amount::new(b.into(), t).unwrap()).unwrap();
            prop_assert_eq!(product.rescale(s + t, Rounding::HalfUp).unwrap().minor, i128::from(a) * i128::from(b));
        }

        /// The oracle works on doubled integers: q is nearest iff |2n − 2qu| ≤ u.
        #[test]
        fn rounding_agrees_with_the_definition(minor in any::<i64>(), scale in 1_u8..=18, to in 0_u8..18) {
            prop_assume!(to < scale);
            let (n, u) = (i128::from(minor), 10_i128.pow(u32::from(scale - to)));
            let amount = Amount::new(n, scale).unwrap();
            for rounding in [Rounding::HalfUp, Rounding::HalfEven] {
                let q = amount.rescale(to, rounding).unwrap().minor;
                let gap = 2 * n - 2 * q * u;
                prop_assert!(gap.abs() <= u);
                if gap.abs() == u {
                    match rounding {
                        Rounding::HalfUp => prop_assert!((q * u).abs() > n.abs()),
                        Rounding::HalfEven => prop_assert!(q % 2 == 0),
                    }
                }
            }
        }

        #[test]
        fn order_agrees_with_subtraction(a in summable(), b in summable()) {
            prop_assert_eq!(a.cmp(&b), a.checked_sub(b).unwrap().minor.cmp(&0));
            prop_assert_eq!(a.normalise(), a);
        }
    }
}
