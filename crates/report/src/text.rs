//! Figures as people write them: thousands in groups, units named, times in UTC.

use jiff::{SignedDuration, Timestamp};
use money::Amount;

/// `1234567` as `1,234,567`.
pub fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// An amount with its integer digits in groups: `-1,234,567.80`.
pub fn amount(amount: Amount) -> String {
    let text = amount.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", &*text), |digits| ("-", digits));
    match digits.split_once('.') {
        Some((integer, fraction)) => format!("{sign}{}.{fraction}", grouped(integer)),
        None => format!("{sign}{}", grouped(digits)),
    }
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 record`, `2 records`.
pub fn records(number: u64) -> String {
    format!("{} {}", count(number), if number == 1 { "record" } else { "records" })
}

/// A length in bytes: `1,234,567 bytes (1.2 MB)`; a megabyte has 1,000,000.
pub fn bytes(bytes: u64) -> String {
    let exact = format!("{} {}", count(bytes), if bytes == 1 { "byte" } else { "bytes" });
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => {
            let tenths = bytes.saturating_add(size / 20) / (size / 10);
            format!("{exact} ({}.{} {unit})", tenths / 10, tenths % 10)
        }
        None => exact,
    }
}

/// A time to the second.
pub fn time(time: Timestamp) -> String {
    time.strftime("%-d %B %Y, %H:%M:%S UTC").to_string()
}

/// The time between two others: `2.4 s`, `3 min 12 s`, `1 h 04 min`.
pub fn duration(from: Timestamp, to: Timestamp) -> String {
    let millis = to.duration_since(from).max(SignedDuration::ZERO).as_millis();
    let seconds = millis / 1_000;
    match seconds {
        0..60 => format!("{seconds}.{} s", millis % 1_000 / 100),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// `text` in at most `chars` characters, its control characters as visible signs.
pub fn visible(text: &str, chars: usize) -> String {
    let sign = |c: char| match c {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    let mut shown: String = text.chars().take(chars).map(sign).collect();
    if text.chars().nth(chars).is_some() {
        shown.push('…');
    }
    shown
}

/// A command of the `tieout` command line, as people of a tenant type it: those of `default` need not name theirs.
pub fn command(tenant: &str, words: &str) -> String {
    if tenant == "default" { format!("tieout {words}") } else { format!("tieout --tenant {tenant} {words}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        let grouped = [0, 7, 999, 1_000, 65_536, 1_234_567, u64::MAX].map(count);
        assert_eq!(grouped, ["0", "7", "999", "1,000", "65,536", "1,234,567", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn amounts_keep_every_digit() {
        for (plain, shown) in [
            ("0", "0"),
            ("-1.50", "-1.50"),
            ("-123456.789", "-123,456.789"),
            ("1000", "1,000"),
            ("13327654321098765432109.01", "13,327,654,321,098,765,432,109.01"),
        ] {
            assert_eq!(amount(plain.parse().unwrap()), shown);
        }
    }

    #[test]
    fn lengths_are_exact_and_readable() {
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(1_050), "1,050 bytes (1.1 kB)");
        assert_eq!(bytes(1_299_999_999), "1,299,999,999 bytes (1.3 GB)");
    }

    #[test]
    fn durations_change_units() {
        let start: Timestamp = "2026-03-01T08:00:00Z".parse().unwrap();
        for (end, shown) in [
            ("2026-03-01T08:00:00Z", "0.0 s"),
            ("2026-03-01T08:00:02.499Z", "2.4 s"),
            ("2026-03-01T08:03:12Z", "3 min 12 s"),
            ("2026-03-01T09:04:59Z", "1 h 04 min"),
            ("2026-03-01T07:00:00Z", "0.0 s"),
        ] {
            assert_eq!(duration(start, end.parse().unwrap()), shown);
        }
        assert_eq!(time(start), "1 March 2026, 08:00:00 UTC");
    }

    #[test]
    fn control_characters_are_shown_and_long_texts_cut() {
        assert_eq!(visible("a\r\n\0\u{85}é", 10), "a␍␊␀\u{fffd}é");
        assert_eq!(visible("ééé", 3), "ééé");
        assert_eq!(visible("éééé", 3), "ééé…");
    }

    #[test]
    fn commands_name_a_tenant_of_their_own() {
        assert_eq!(command("default", "run list"), "tieout run list");
        assert_eq!(command("acme", "run list"), "tieout --tenant acme run list");
    }
}
