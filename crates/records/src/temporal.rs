//! Dates and times as files write them. A pattern is taken apart once, because every date of every record is read by it.

use jiff::{
    ToSpan,
    civil::{Date, DateTime, Time, Weekday},
};

/// How days are written: a pattern such as `%m/%d/%y`, as in a descriptor's `format`, or `default` for ISO 8601.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatePattern(TemporalFormat);

impl DatePattern {
    /// Takes a pattern apart; the error says what is wrong with it.
    pub fn compile(pattern: &str) -> Result<Self, String> {
        if pattern == "default" {
            return Ok(Self(TemporalFormat::iso_date()));
        }
        let format = TemporalFormat::compile(pattern)?;
        if format.has_date() { Ok(Self(format)) } else { Err("it does not say year, month and day".to_owned()) }
    }

    /// The day that the text stands for; `None` when it is not written so.
    pub fn read(&self, text: &str) -> Option<Date> {
        self.0.date(text)
    }
}

/// How moments are written: a pattern with a date and a time, as in a descriptor's `format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MomentPattern(TemporalFormat);

impl MomentPattern {
    /// Takes a pattern apart; the error says what is wrong with it.
    pub fn compile(pattern: &str) -> Result<Self, String> {
        if pattern == "default" {
            return Ok(Self(TemporalFormat::iso_date_time()));
        }
        let format = TemporalFormat::compile(pattern)?;
        if format.has_date() && format.has_time() {
            Ok(Self(format))
        } else {
            Err("it does not say day and time".to_owned())
        }
    }

    /// The moment that the text stands for, in UTC; without an offset it is taken to be in UTC. `None` when it is not
    /// written so.
    pub fn read(&self, text: &str) -> Option<DateTime> {
        self.0.date_time(text)
    }
}

/// How a date, a time or both are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemporalFormat {
    items: Vec<Item>,
    /// Whether it is that of [`TemporalFormat::iso_date_time`], of which there are so many that they are read at once.
    is_iso_date_time: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Literal(u8),
    /// Any white space, or none.
    Space,
    Year,
    YearOfCentury,
    Month,
    MonthName,
    Day,
    WeekdayName,
    Hour,
    HourOfHalf,
    Half,
    Minute,
    Second,
    /// Digits of a second.
    Fraction,
    /// A point and digits of a second, or nothing.
    OptionalFraction,
    Offset,
    /// `Z`, an offset, or nothing.
    OptionalOffset,
    /// Exactly two digits: ISO 8601 does not leave out zeros.
    Padded(Part),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

/// What was read; what the pattern does not say is as at the beginning of 1970.
#[derive(Debug)]
struct Parts {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    afternoon: Option<bool>,
    weekday: Option<Weekday>,
    offset_seconds: i64,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

impl TemporalFormat {
    /// `2014-10-08`
    pub(crate) fn iso_date() -> Self {
        let items = vec![
            Item::Year,
            Item::Literal(b'-'),
            Item::Padded(Part::Month),
            Item::Literal(b'-'),
            Item::Padded(Part::Day),
        ];
        Self { items, is_iso_date_time: false }
    }

    /// `13:05:00`, with or without a fraction of a second.
    pub(crate) fn iso_time() -> Self {
        let items = vec![
            Item::Padded(Part::Hour),
            Item::Literal(b':'),
            Item::Padded(Part::Minute),
            Item::Literal(b':'),
            Item::Padded(Part::Second),
            Item::OptionalFraction,
        ];
        Self { items, is_iso_date_time: false }
    }

    /// `2014-10-08T13:05:00Z`, with or without a fraction and an offset.
    pub(crate) fn iso_date_time() -> Self {
        let mut items = Self::iso_date().items;
        items.push(Item::Literal(b'T'));
        items.extend(Self::iso_time().items);
        items.push(Item::OptionalOffset);
        Self { items, is_iso_date_time: true }
    }

    /// A pattern of `strptime`. Numbers need no leading zeros; names of months and days are English, in any case.
    /// The error names the directive that is not known.
    pub(crate) fn compile(pattern: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut rest = pattern.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'%' {
                items.push(if byte.is_ascii_whitespace() { Item::Space } else { Item::Literal(byte) });
                continue;
            }
            let directive = rest.next().map(char::from);
            let meaning: &[Item] = match directive {
                Some('Y') => &[Item::Year],
                Some('y') => &[Item::YearOfCentury],
                Some('m') => &[Item::Month],
                Some('b' | 'B' | 'h') => &[Item::MonthName],
                Some('d') => &[Item::Day],
                Some('e') => &[Item::Space, Item::Day],
                Some('a' | 'A') => &[Item::WeekdayName],
                Some('H') => &[Item::Hour],
                Some('I') => &[Item::HourOfHalf],
                Some('p') => &[Item::Half],
                Some('M') => &[Item::Minute],
                Some('S') => &[Item::Second],
                Some('f') => &[Item::Fraction],
                Some('z') => &[Item::Offset],
                Some('F') => &[Item::Year, Item::Literal(b'-'), Item::Month, Item::Literal(b'-'), Item::Day],
                Some('D') => &[Item::Month, Item::Literal(b'/'), Item::Day, Item::Literal(b'/'), Item::YearOfCentury],
                Some('T') => &[Item::Hour, Item::Literal(b':'), Item::Minute, Item::Literal(b':'), Item::Second],
                Some('R') => &[Item::Hour, Item::Literal(b':'), Item::Minute],
                Some('n' | 't') => &[Item::Space],
                Some('%') => &[Item::Literal(b'%')],
                other => return Err(format!("%{}", other.map(String::from).unwrap_or_default())),
            };
            items.extend_from_slice(meaning);
        }
        Ok(Self { items, is_iso_date_time: false })
    }

    /// Whether the pattern says year, month and day.
    pub(crate) fn has_date(&self) -> bool {
        let has = |wanted: &[Item]| self.items.iter().any(|item| wanted.contains(item));
        has(&[Item::Year, Item::YearOfCentury])
            && has(&[Item::Month, Item::MonthName, Item::Padded(Part::Month)])
            && has(&[Item::Day, Item::Padded(Part::Day)])
    }

    /// Whether the pattern says an hour.
    pub(crate) fn has_time(&self) -> bool {
        let half = self.items.contains(&Item::HourOfHalf) && self.items.contains(&Item::Half);
        half || self.items.iter().any(|item| matches!(item, Item::Hour | Item::Padded(Part::Hour)))
    }

    pub(crate) fn date(&self, text: &str) -> Option<Date> {
        self.parse(text)?.date()
    }

    pub(crate) fn time(&self, text: &str) -> Option<Time> {
        self.parse(text)?.time()
    }

    /// The date and time in UTC; without an offset it is taken to be in UTC.
    pub(crate) fn date_time(&self, text: &str) -> Option<DateTime> {
        match self.is_iso_date_time.then(|| short_moment(text.as_bytes())).flatten() {
            Some(moment) => Some(moment),
            None => self.date_time_by_items(text),
        }
    }

    fn date_time_by_items(&self, text: &str) -> Option<DateTime> {
        let parts = self.parse(text)?;
        let local = DateTime::from_parts(parts.date()?, parts.time()?);
        local.checked_sub(parts.offset_seconds.seconds()).ok()
    }

    fn parse(&self, text: &str) -> Option<Parts> {
        let mut parts = Parts::default();
        let mut rest = text.as_bytes();
        for item in &self.items {
            rest = parts.take(*item, rest)?;
        }
        rest.is_empty().then_some(parts)
    }
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            year: 1970,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
            nanosecond: 0,
            afternoon: None,
            weekday: None,
            offset_seconds: 0,
        }
    }
}

impl Parts {
    /// Takes one item from the beginning of `text`; what is left of it, or `None` when it is not there.
    fn take<'t>(&mut self, item: Item, text: &'t [u8]) -> Option<&'t [u8]> {
        match item {
            Item::Literal(byte) => text.strip_prefix(&[byte]),
            Item::Space => Some(text.trim_ascii_start()),
            Item::Year => number(text, 4, 4, &mut self.year),
            Item::YearOfCentury => {
                let rest = number(text, 2, 2, &mut self.year)?;
                // POSIX: 69 to 99 are of the last century.
                self.year += if self.year >= 69 { 1900 } else { 2000 };
                Some(rest)
            }
            Item::Month => number(text, 1, 2, &mut self.month),
            Item::Day => number(text, 1, 2, &mut self.day),
            Item::Hour | Item::HourOfHalf => number(text, 1, 2, &mut self.hour),
            Item::Minute => number(text, 1, 2, &mut self.minute),
            Item::Second => number(text, 1, 2, &mut self.second),
            Item::Padded(Part::Month) => number(text, 2, 2, &mut self.month),
            Item::Padded(Part::Day) => number(text, 2, 2, &mut self.day),
            Item::Padded(Part::Hour) => number(text, 2, 2, &mut self.hour),
            Item::Padded(Part::Minute) => number(text, 2, 2, &mut self.minute),
            Item::Padded(Part::Second) => number(text, 2, 2, &mut self.second),
            Item::MonthName => {
                let (index, rest) = name(text, MONTHS.iter().copied())?;
                self.month = i8::try_from(index + 1).ok()?;
                Some(rest)
            }
            Item::WeekdayName => {
                let (index, rest) = name(text, WEEKDAYS.iter().map(|(name, _)| *name))?;
                self.weekday = WEEKDAYS.get(index).map(|(_, weekday)| *weekday);
                Some(rest)
            }
            Item::Half => {
                let (half, rest) = text.split_at_checked(2)?;
                self.afternoon = Some(half.eq_ignore_ascii_case(b"pm"));
                (self.afternoon == Some(true) || half.eq_ignore_ascii_case(b"am")).then_some(rest)
            }
            Item::Fraction => self.fraction(text),
            Item::OptionalFraction => match text.strip_prefix(b".") {
                Some(digits) => self.fraction(digits),
                None => Some(text),
            },
            Item::Offset => self.offset(text),
            Item::OptionalOffset => {
                if text.is_empty() {
                    Some(text)
                } else {
                    self.offset(text)
                }
            }
        }
    }

    /// One to nine digits of a second.
    fn fraction<'t>(&mut self, text: &'t [u8]) -> Option<&'t [u8]> {
        let rest = number(text, 1, 9, &mut self.nanosecond)?;
        let digits = u32::try_from(text.len() - rest.len()).ok()?;
        self.nanosecond *= 10_i32.pow(9 - digits);
        Some(rest)
    }

    /// `Z`, `+hh:mm` or `+hhmm`.
    fn offset<'t>(&mut self, text: &'t [u8]) -> Option<&'t [u8]> {
        if let Some(rest) = text.strip_prefix(b"Z") {
            return Some(rest);
        }
        let (sign, rest) = text.split_first()?;
        let (mut hours, mut minutes) = (0_i64, 0_i64);
        let rest = number(rest, 2, 2, &mut hours)?;
        let rest = number(rest.strip_prefix(b":").unwrap_or(rest), 2, 2, &mut minutes)?;
        let seconds = (hours <= 23 && minutes <= 59).then_some(hours * 3600 + minutes * 60)?;
        self.offset_seconds = match sign {
            b'+' => seconds,
            b'-' => -seconds,
            _ => return None,
        };
        Some(rest)
    }

    fn date(&self) -> Option<Date> {
        let date = Date::new(self.year, self.month, self.day).ok()?;
        self.weekday.is_none_or(|weekday| weekday == date.weekday()).then_some(date)
    }

    fn time(&self) -> Option<Time> {
        let hour = match (self.afternoon, self.hour) {
            (None, hour) => hour,
            (Some(_), hour) if !(1..=12).contains(&hour) => return None,
            (Some(afternoon), hour) => hour % 12 + if afternoon { 12 } else { 0 },
        };
        Time::new(hour, self.minute, self.second, self.nanosecond).ok()
    }
}

/// A moment as nearly all are written, `2014-10-08T13:05:00Z`; `None` for any other.
fn short_moment(text: &[u8]) -> Option<DateTime> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'Z'] = text else {
        return None;
    };
    let number = |tens: &u8, ones: &u8| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        (tens <= 9 && ones <= 9).then(|| (tens * 10 + ones).cast_signed())
    };
    let year = i16::from(number(y1, y2)?) * 100 + i16::from(number(y3, y4)?);
    let date = Date::new(year, number(m1, m2)?, number(d1, d2)?).ok()?;
    let time = Time::new(number(h1, h2)?, number(n1, n2)?, number(s1, s2)?, 0).ok()?;
    Some(DateTime::from_parts(date, time))
}

/// Takes `least` to `most` digits.
fn number<'t, N: TryFrom<i32>>(text: &'t [u8], least: usize, most: usize, into: &mut N) -> Option<&'t [u8]> {
    let digits = text.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(digits)?;
    if digits.len() < least {
        return None;
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0'));
    *into = N::try_from(value).ok()?;
    Some(rest)
}

/// Takes the longest name, whole or by its first three letters, in any case: its index.
fn name(text: &[u8], names: impl Iterator<Item = &'static str> + Clone) -> Option<(usize, &[u8])> {
    let starts = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()));
    let whole = names.clone().enumerate().find(|(_, name)| starts(name)).map(|(index, name)| (index, name.len()));
    let short = || names.enumerate().find(|(_, name)| name.get(..3).is_some_and(starts)).map(|(index, _)| (index, 3));
    let (index, length) = whole.or_else(short)?;
    Some((index, text.get(length..)?))
}

#[cfg(test)]
mod tests {
    use jiff::civil::{date, time};
    use proptest::prelude::*;

    use super::*;

    fn format(pattern: &str) -> TemporalFormat {
        TemporalFormat::compile(pattern).unwrap()
    }

    #[test]
    fn dates_as_people_write_them() {
        for (pattern, text, expected) in [
            ("%m/%d/%y", "10/8/14", Some(date(2014, 10, 8))),
            ("%m/%d/%y", "02/28/69", Some(date(1969, 2, 28))),
            ("%m/%d/%y", "2/29/68", Some(date(2068, 2, 29))),
            ("%m/%d/%y", "2/29/15", None),
            ("%m/%d/%y", "13/1/15", None),
            ("%m/%d/%y", "10/8/2014", None),
            ("%m/%d/%y", "10/8/14 ", None),
            ("%m/%d/%y", "10/8", None),
            ("%m/%d/%y", "", None),
            ("%d.%m.%Y", "8.10.2014", Some(date(2014, 10, 8))),
            ("%d %b %Y", "08 OCT 2014", Some(date(2014, 10, 8))),
            ("%d-%B-%Y", "1-May-2020", Some(date(2020, 5, 1))),
            ("%a, %d %b %Y", "Wed, 8 Oct 2014", Some(date(2014, 10, 8))),
            ("%a, %d %b %Y", "Thu, 8 Oct 2014", None),
            ("%Y%m%d", "20141008", Some(date(2014, 10, 8))),
            ("%Y年%m月%d日", "2014年10月8日", Some(date(2014, 10, 8))),
        ] {
            assert_eq!(format(pattern).date(text), expected, "{pattern} {text}");
        }
        assert_eq!(TemporalFormat::iso_date().date("2014-10-08"), Some(date(2014, 10, 8)));
        assert_eq!(TemporalFormat::iso_date().date("2014-10-8"), None);
    }

    #[test]
    fn times_and_offsets() {
        let iso = TemporalFormat::iso_date_time();
        let at = |day, hour| date(2014, 10, day).at(hour, 5, 0, 0);
        assert_eq!(iso.date_time("2014-10-08T13:05:00"), Some(at(8, 13)));
        assert_eq!(iso.date_time("2014-10-08T13:05:00Z"), Some(at(8, 13)));
        assert_eq!(iso.date_time("2014-10-08T23:05:00-02:00"), Some(at(9, 1)));
        assert_eq!(iso.date_time("2014-10-08T13:05:00.25+0200"), Some(date(2014, 10, 8).at(11, 5, 0, 250_000_000)));
        for text in [
            "2014-10-08",
            "2014-10-08 13:05:00",
            "2014-10-08T24:00:00",
            "2014-10-08T13:05:00.",
            "2014-10-08T13:05:00+25:00",
        ] {
            assert_eq!(iso.date_time(text), None, "{text}");
        }
        assert_eq!(TemporalFormat::iso_time().time("13:05:59.5"), Some(time(13, 5, 59, 500_000_000)));
        assert_eq!(format("%I:%M %p").time("12:05 am"), Some(time(0, 5, 0, 0)));
        assert_eq!(format("%I:%M %p").time("12:05 PM"), Some(time(12, 5, 0, 0)));
        assert_eq!(format("%I:%M %p").time("13:05 PM"), None);
    }

    #[test]
    fn unknown_directives_are_named() {
        assert_eq!(TemporalFormat::compile("%Y-%j"), Err("%j".to_owned()));
        assert_eq!(TemporalFormat::compile("%Y-%"), Err("%".to_owned()));
    }

    #[test]
    fn knows_what_a_pattern_says() {
        assert!(format("%m/%d/%y").has_date() && !format("%m/%y").has_date() && !format("%m/%d/%y").has_time());
        assert!(format("%F %T").has_date() && format("%F %T").has_time() && !format("%I:%M").has_time());
    }

    proptest! {
        /// jiff's own strtime is the oracle, for what it prints and for what it takes.
        #[test]
        fn agrees_with_jiff(days in 0_i64..36_000, seconds in 0_i64..86_400, text in "[0-9]{1,2}/[0-9]{1,2}/[0-9]{2}") {
            let day = date(1969, 1, 1).checked_add(days.days()).unwrap();
            for pattern in ["%m/%d/%y", "%F", "%d %B %Y", "%a %b %e %Y", "%Y%m%d"] {
                let printed = day.strftime(pattern).to_string();
                let expected = Date::strptime(pattern, &printed).unwrap();
                prop_assert_eq!(format(pattern).date(&printed), Some(expected), "{} {}", pattern, printed);
            }
            let moment = day.at(0, 0, 0, 0).checked_add(seconds.seconds()).unwrap();
            for pattern in ["%Y-%m-%d %H:%M:%S", "%d.%m.%Y %I:%M:%S %p"] {
                let printed = moment.strftime(pattern).to_string();
                prop_assert_eq!(format(pattern).date_time(&printed), Some(moment), "{} {}", pattern, printed);
            }
            prop_assert_eq!(TemporalFormat::iso_date_time().date_time(&moment.to_string()), Some(moment));
            prop_assert_eq!(format("%m/%d/%y").date(&text), Date::strptime("%m/%d/%y", &text).ok());
        }

        /// What is read at once is read as item by item.
        #[test]
        fn both_ways_agree(
            text in "[0-9]{4}-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]Z", at in 0..20_usize, byte in "[ -~]",
        ) {
            let iso = TemporalFormat::iso_date_time();
            prop_assert_eq!(iso.date_time(&text), iso.date_time_by_items(&text));
            let mut other = text;
            other.replace_range(at..=at, &byte);
            prop_assert_eq!(iso.date_time(&other), iso.date_time_by_items(&other));
        }

        #[test]
        fn never_panics(text in "[0-9TZ:+. -]{0,30}|\\PC{0,12}") {
            let _ = TemporalFormat::iso_date_time().date_time(&text);
            let _ = format("%a %d %b %Y %I:%M:%S.%f %p %z").date_time(&text);
        }
    }
}
