//! Whether `sum` measures carry every cent: what artifacts said before and what a job brings them is what they say after.
//!
//! Lines are read by a reader of its own: a slip of the one that versions are computed with, or of who writes them, shows.

use std::collections::BTreeSet;

use memchr::memchr;
use money::{Amount, AmountError, Currency};

use crate::{
    artifact, artifact_read,
    codec::Corrupt,
    compiled::Ledger,
    definition::MeasureKind,
    measure::{Currencies, State},
    sequence::BatchSequence,
};

/// What `sum` measures of many artifacts come to, by measure and currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sums(Vec<Vec<(Option<Currency>, Amount)>>);

/// An amount of a `sum` measure, by the measure's index.
pub(crate) type MeasureAmount = (usize, Option<Currency>, Amount);

impl Sums {
    #[inline]
    pub(crate) fn add(&mut self, (measure, currency, amount): MeasureAmount) -> Result<(), AmountError> {
        if self.0.len() <= measure {
            self.0.resize_with(measure + 1, Vec::new);
        }
        let Some(sums) = self.0.get_mut(measure) else { return Ok(()) };
        match sums.iter_mut().find(|(held, _)| *held == currency) {
            Some((_, sum)) => *sum = sum.checked_add(amount)?,
            None => sums.push((currency, amount)),
        }
        Ok(())
    }

    /// In which measure and currency others differ, for a person; what is not there is nothing.
    pub(crate) fn differences(&self, ledger: &Ledger, found: &Self) -> Vec<String> {
        let of = |sums: &Self, measure: usize, currency: Option<Currency>| {
            let sum = sums.0.get(measure)?.iter().find(|(held, _)| *held == currency)?;
            Some(sum.1)
        };
        let mut differences = Vec::new();
        for (index, measure) in ledger.measures.iter().enumerate() {
            let both = [self, found].into_iter().filter_map(|sums| sums.0.get(index)).flatten();
            for currency in both.map(|(currency, _)| *currency).collect::<BTreeSet<_>>() {
                let [expected, found] = [self, found].map(|sums| of(sums, index, currency).unwrap_or_default());
                if expected != found {
                    let code = currency.map_or(String::new(), |currency| format!(" in {currency}"));
                    differences.push(format!("measure {}{code}: {expected} against {found}", measure.name));
                }
            }
        }
        differences
    }
}

/// Reads what of lines has to tie out, and nothing else of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct FiguresReader {
    currencies: Currencies,
    sums: Vec<MeasureAmount>,
}

/// What of the line of a version has to tie out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineFigures<'a> {
    /// How many events it was made of.
    pub(crate) events: u64,
    /// Its `sum` measures.
    pub(crate) sums: &'a [MeasureAmount],
}

impl FiguresReader {
    /// Reads the line of a version; `None` where it is not the version of that sequence of the artifact of that key.
    pub(crate) fn read(
        &mut self,
        ledger: &Ledger,
        line: &[u8],
        key: &str,
        sequence: BatchSequence,
    ) -> Result<Option<LineFigures<'_>>, Corrupt> {
        let Some((events, measures)) = artifact::take_events(line, key, sequence) else { return Ok(None) };
        self.sums.clear();
        let has_sums = ledger.measures.iter().any(|measure| measure.kind == MeasureKind::Sum);
        if has_sums && self.scan(ledger, measures).is_none() {
            // Its measures are not written as they are now.
            self.sums.clear();
            let artifact = artifact_read::read(ledger, line, key, sequence)?;
            for (index, (measure, state)) in ledger.measures.iter().zip(artifact.measures).enumerate() {
                if let (MeasureKind::Sum, State::Amounts(amounts)) = (measure.kind, state) {
                    self.sums.extend(amounts.into_iter().map(|(currency, amount)| (index, currency, amount)));
                }
            }
        }
        Ok(Some(LineFigures { events, sums: &self.sums }))
    }

    /// Goes through a line's measures; `None` where they are written in another way.
    fn scan(&mut self, ledger: &Ledger, measures: &[u8]) -> Option<()> {
        let mut rest = measures.strip_prefix(b"{")?;
        if rest.starts_with(b"}") {
            return Some(());
        }
        let mut expected = 0..ledger.measures.len();
        loop {
            let (name, behind) = quoted(rest)?;
            rest = behind.strip_prefix(b":")?;
            // Names come in the order of the definition, unless it was changed since.
            let is = |index: &usize| ledger.measures.get(*index).is_some_and(|measure| measure.name.as_bytes() == name);
            let index = expected.next().filter(is).or_else(|| (0..ledger.measures.len()).find(is));
            let kind = index.and_then(|index| ledger.measures.get(index)).map(|measure| measure.kind);
            rest = match (index, kind) {
                (Some(index), Some(MeasureKind::Sum)) => self.amounts(index, rest)?,
                _ => behind_value(rest)?,
            };
            match rest.split_first()? {
                (b',', behind) => rest = behind,
                (b'}', _) => return Some(()),
                _ => return None,
            }
        }
    }

    /// A list of amounts, and what stands behind it.
    fn amounts<'t>(&mut self, measure: usize, text: &'t [u8]) -> Option<&'t [u8]> {
        let mut rest = text.strip_prefix(b"[")?;
        while let Some(entry) = rest.strip_prefix(b"{\"currency\":") {
            let (currency, behind) = match entry.strip_prefix(b"null") {
                Some(behind) => (None, behind),
                None => {
                    let (code, behind) = quoted(entry)?;
                    (Some(self.currencies.find(str::from_utf8(code).ok()?)?), behind)
                }
            };
            let (amount, behind) = quoted(behind.strip_prefix(b",\"amount\":")?)?;
            self.sums.push((measure, currency, Amount::parse(amount).ok()?));
            rest = behind.strip_prefix(b"}")?;
            rest = rest.strip_prefix(b",").unwrap_or(rest);
        }
        rest.strip_prefix(b"]")
    }
}

/// A text with nothing to escape, and what stands behind it.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let (inside, behind) = text.split_at_checked(memchr(b'"', text)?)?;
    (!inside.contains(&b'\\')).then_some((inside, behind.get(1..)?))
}

/// What stands behind a value.
fn behind_value(text: &[u8]) -> Option<&[u8]> {
    let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => depth += 1,
            b',' | b'}' if depth == 0 => return text.get(at..),
            b']' | b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const SEQUENCE: BatchSequence = BatchSequence::new(9);

    /// A ledger with measures of every kind; `due` and `paid` are sums.
    pub(crate) fn ledger() -> Ledger {
        let definition = serde_json::json!({
            "name": "orders",
            "sources": { "shop": "2024-05-01T00:00:00Z" },
            "events": { "format": "csv", "fields": [
                { "name": "id" }, { "name": "event" }, { "name": "time", "type": "datetime" },
                { "name": "amount", "type": "number" }, { "name": "currency" },
            ] },
            "artifactKey": ["id"], "eventId": "event", "eventTime": "time",
            "amounts": [{ "column": "amount", "currencyColumn": "currency" }],
            "measures": {
                "due": { "measure": "sum", "column": "amount" },
                "latest": { "measure": "last", "column": "amount" },
                "least": { "measure": "min", "column": "amount" },
                "paid": { "measure": "sum", "column": "amount" },
                "seen": { "measure": "count" },
            },
        });
        Ledger::from_json(&definition.to_string()).unwrap()
    }

    const KEY: &str = "k\",\"events\":7,\"measures\":{";

    fn line(measures: &str) -> String {
        format!(
            r#"{{"key":"k\",\"events\":7,\"measures\":{{","applied_through":9,"difference":[],"events":2,"measures":{measures},"attributes":{{}}}}"#
        )
    }

    fn sums(line: &str) -> Sums {
        let (mut reader, mut sums) = (FiguresReader::default(), Sums::default());
        let figures = reader.read(&ledger(), line.as_bytes(), KEY, SEQUENCE).unwrap().unwrap();
        figures.sums.iter().for_each(|amount| sums.add(*amount).unwrap());
        assert_eq!(figures.events, 2);
        sums
    }

    const WRITTEN: &str = concat!(
        r#"{"due":[{"currency":null,"amount":"-1.50"},{"currency":"EUR","amount":"12"}],"#,
        r#""latest":[{"currency":"EUR","value":"]},\"paid\":","event_time":"2024-05-01T00:00:00Z","event_id":"\\"}],"#,
        r#""least":[{"currency":"EUR","amount":"7"}],"paid":[{"currency":"EUR","amount":"5.00"}],"seen":2}"#,
    );

    #[test]
    fn sums_are_read_whatever_stands_beside_them() {
        let expected = sums(&line(WRITTEN));
        let eur = Some("EUR".parse().unwrap());
        let amount = |text: &str| text.parse::<Amount>().unwrap();
        assert_eq!(expected.0[0], [(None, amount("-1.50")), (eur, amount("12"))]);
        assert_eq!(expected.0[3], [(eur, amount("5"))]);
        let mut reader = FiguresReader::default();
        assert!(reader.scan(&ledger(), WRITTEN.as_bytes()).is_some());
        // Written otherwise, in another order, with a measure that is no longer defined, and without one that is.
        let other = r#"{"seen": 2, "gone": [{"amount":"1"}], "paid":[ {"amount":"5.00", "currency":"EUR"}],
            "due":[{"currency":"EUR","amount":"12"},{"currency":null,"amount":"-1.50"}]}"#;
        assert!(reader.scan(&ledger(), other.as_bytes()).is_none());
        assert!(reader.read(&ledger(), line(WRITTEN).as_bytes(), "other", SEQUENCE).unwrap().is_none());
        assert_eq!(expected.differences(&ledger(), &sums(&line(other))), [""; 0]);
        assert_eq!(sums(&line(r#"{"gone":[{"currency":null,"amount":"1"}],"seen":1}"#)), Sums::default());
        assert_eq!(sums(&line("{}")), Sums::default());
    }

    #[test]
    fn a_cent_or_a_currency_that_is_lost_shows() {
        let expected = sums(&line(WRITTEN));
        for (changed, difference) in [
            (WRITTEN.replace("-1.50", "-1.51"), "measure due: -1.50 against -1.51"),
            (WRITTEN.replace(r#",{"currency":"EUR","amount":"12"}"#, ""), "measure due in EUR: 12 against 0"),
            (
                WRITTEN.replace(r#"EUR","amount":"5.00""#, r#"USD","amount":"5.00""#),
                "measure paid in EUR: 5.00 against 0",
            ),
        ] {
            let differences = expected.differences(&ledger(), &sums(&line(&changed)));
            assert_eq!(differences.first().map(String::as_str), Some(difference));
        }
        assert_eq!(expected.differences(&ledger(), &expected), [""; 0]);
    }

    #[test]
    fn a_line_that_is_cut_off_is_refused() {
        for end in 0..WRITTEN.len() {
            let mut reader = FiguresReader::default();
            assert!(reader.scan(&ledger(), &WRITTEN.as_bytes()[..end]).is_none(), "{end}");
        }
    }
}
