//! What lines of JSON are made of, written byte for byte: no value is built for what stands in a line already.

use std::fmt;

use jiff::Timestamp;
use money::{Amount, Currency};
use serde::{Deserialize, Deserializer, Serializer};

/// Whether JSON has a text as it is. All of it is looked at, many bytes at once: most have nothing to escape.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'))
}

/// A text as JSON has it.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if is_plain(text) {
        out.extend_from_slice(text.as_bytes());
    } else {
        for char in text.chars() {
            match char {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                control if u32::from(control) < 0x20 => {
                    out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes());
                }
                other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
    out.push(b'"');
}

pub(crate) fn put_number(out: &mut Vec<u8>, number: u64) {
    put_digits(out, number, 1);
}

/// The digits of a number, with zeros before them up to `least`.
fn put_digits(out: &mut Vec<u8>, mut number: u64, least: usize) {
    let mut digits = [b'0'; 20];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        if number == 0 && count >= least {
            break;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        count += 1;
    }
    out.extend_from_slice(digits.get(digits.len() - count..).unwrap_or_default());
}

/// An amount between quotes, as it shows itself. There are several in each line, and few have twenty digits.
pub(crate) fn put_amount(out: &mut Vec<u8>, amount: &Amount) {
    let unit = 10_u64.checked_pow(u32::from(amount.scale()));
    let (Ok(minor), Some(unit)) = (u64::try_from(amount.minor().unsigned_abs()), unit) else {
        return put_shown(out, amount);
    };
    out.push(b'"');
    if amount.is_negative() {
        out.push(b'-');
    }
    put_digits(out, minor / unit, 1);
    if amount.scale() > 0 {
        out.push(b'.');
        put_digits(out, minor % unit, usize::from(amount.scale()));
    }
    out.push(b'"');
}

pub(crate) fn put_time(out: &mut Vec<u8>, time: Timestamp) {
    put_shown(out, &time);
}

/// What shows itself without anything to escape, between quotes.
fn put_shown(out: &mut Vec<u8>, shown: &impl fmt::Display) {
    use std::io::Write as _;
    // Writing into memory does not fail.
    let _ = write!(out, "\"{shown}\"");
}

pub(crate) fn put_list<T>(out: &mut Vec<u8>, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put(out, item);
    }
    out.push(b']');
}

pub(crate) fn put_currency(out: &mut Vec<u8>, currency: Option<Currency>) {
    match currency {
        Some(currency) => put_text(out, currency.code()),
        None => out.extend_from_slice(b"null"),
    }
}

/// A digest, in sixteen hexadecimal digits: no reader takes it for a float.
pub(crate) fn put_digest(out: &mut Vec<u8>, digest: u64) {
    put_shown(out, &format_args!("{digest:016x}"));
}

/// Reads what [`put_digest`] writes.
pub(crate) fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = <&str>::deserialize(deserializer)?;
    u64::from_str_radix(text, 16).map_err(serde::de::Error::custom)
}

/// Writes what [`put_digest`] writes.
pub(crate) fn to_hex<S: Serializer>(digest: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{digest:016x}"))
}

/// A number as [`put_number`] writes it, and what stands behind it.
pub(crate) fn take_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let mut number = 0_u64;
    for digit in digits {
        number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    match digits {
        [] | [b'0', _, ..] => None,
        _ => Some((number, rest)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn amounts_are_written_as_they_show_themselves(
            minor in prop_oneof![any::<i128>(), any::<i64>().prop_map(i128::from), -1000..1000_i128],
            scale in 0..=money::MAX_SCALE,
        ) {
            let amount = Amount::new(minor, scale).unwrap();
            prop_assert_eq!(text(|out| put_amount(out, &amount)), format!("\"{amount}\""));
        }

        #[test]
        fn numbers_and_texts_are_json(number: u64, any_text: String) {
            prop_assert_eq!(text(|out| put_number(out, number)), number.to_string());
            let written = text(|out| put_text(out, &any_text));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), any_text);
        }
    }
}
