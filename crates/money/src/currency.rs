//! The currencies of ISO 4217 and their minor units.

use std::{cmp::Ordering, fmt, hash, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Amount;

/// A currency of ISO 4217, by its alphabetic code, in capitals.
#[derive(Debug, Clone, Copy)]
pub struct Currency {
    code: &'static str,
    minor_units: Option<u8>,
}

/// A text that is no current ISO 4217 code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a currency: expected an ISO 4217 code in capitals, such as EUR")]
pub struct UnknownCurrency(String);

/// List one as published on 2026-01-01, by minor units; each group in order.
const BY_MINOR_UNITS: [(Option<u8>, &[&str]); 5] = [
    (
        Some(2),
        &[
            "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BMD", "BND", "BOB",
            "BOV", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHE", "CHF", "CHW", "CNY", "COP", "COU",
            "CRC", "CUP", "CVE", "CZK", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL",
            "GHS", "GIP", "GMD", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "IRR", "JMD", "KES",
            "KGS", "KHR", "KPW", "KYD", "KZT", "LAK", "LBP", "LKR", "LRD", "LSL", "MAD", "MDL", "MGA", "MKD", "MMK",
            "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MXV", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR",
            "NZD", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "QAR", "RON", "RSD", "RUB", "SAR", "SBD", "SCR", "SDG",
            "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TOP",
            "TRY", "TTD", "TWD", "TZS", "UAH", "USD", "USN", "UYU", "UZS", "VED", "VES", "WST", "XAD", "XCD", "XCG",
            "YER", "ZAR", "ZMW", "ZWG",
        ],
    ),
    (
        Some(0),
        &[
            "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
            "XOF", "XPF",
        ],
    ),
    (Some(3), &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]),
    (Some(4), &["CLF", "UYW"]),
    (None, &["XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XDR", "XPD", "XPT", "XSU", "XTS", "XUA", "XXX"]),
];

impl Currency {
    /// The alphabetic code: three capitals.
    pub const fn code(self) -> &'static str {
        self.code
    }

    /// Whether a text is its code.
    #[inline]
    pub fn is(self, text: &str) -> bool {
        text.len() == 3 && text.as_bytes().first_chunk() == self.letters()
    }

    /// Compared as an array, its letters are one number to the processor.
    #[inline]
    fn letters(&self) -> Option<&[u8; 3]> {
        self.code.as_bytes().first_chunk()
    }

    /// The number of decimals of the smallest unit in use; `None` for metals, funds and codes that have none.
    pub const fn minor_units(self) -> Option<u8> {
        self.minor_units
    }

    /// Whether `amount` needs no more decimals than the currency has. Trailing zeros do not count: `5.00` is good yen.
    pub fn fits(self, amount: Amount) -> bool {
        self.minor_units.is_none_or(|units| amount.scale() <= units || amount.normalise().scale() <= units)
    }

    /// Every currency of the list.
    pub fn all() -> impl Iterator<Item = Self> {
        BY_MINOR_UNITS
            .into_iter()
            .flat_map(|(minor_units, codes)| codes.iter().map(move |code| Self { code, minor_units }))
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(text: &str) -> Result<Self, UnknownCurrency> {
        let find = |(minor_units, codes): (Option<u8>, &'static [&'static str])| {
            let code = codes.get(codes.binary_search(&text).ok()?)?;
            Some(Self { code, minor_units })
        };
        BY_MINOR_UNITS.into_iter().find_map(find).ok_or_else(|| UnknownCurrency(text.chars().take(16).collect()))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code)
    }
}

impl PartialEq for Currency {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.letters() == other.letters()
    }
}

impl Eq for Currency {}

impl PartialOrd for Currency {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Currency {
    fn cmp(&self, other: &Self) -> Ordering {
        self.letters().cmp(&other.letters())
    }
}

impl hash::Hash for Currency {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.code.hash(state);
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Z]{3}$", "description": "An ISO 4217 code, such as EUR." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn minor_units_differ() {
        for (code, units) in
            [("USD", Some(2)), ("JPY", Some(0)), ("KWD", Some(3)), ("CLF", Some(4)), ("XXX", None), ("XAU", None)]
        {
            assert_eq!(currency(code).minor_units(), units, "{code}");
        }
    }

    #[test]
    fn every_code_is_found_once() {
        let mut codes: Vec<_> = Currency::all().collect();
        assert_eq!(codes.len(), 178);
        for code in &codes {
            assert_eq!(currency(code.code()).minor_units(), code.minor_units());
        }
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), 178);
    }

    #[test]
    fn amounts_with_more_decimals_than_the_currency_do_not_fit() {
        let fits = |code: &str, text: &str| currency(code).fits(text.parse().unwrap());
        assert!(fits("USD", "1.10") && fits("USD", "1") && fits("USD", "1.1000"));
        assert!(!fits("USD", "1.001") && !fits("JPY", "0.5") && !fits("KWD", "0.0001"));
        assert!(fits("JPY", "5.00") && fits("XAU", "0.123456"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "usd", "US", "USDX", "ZZZ", " USD", "DEM"] {
            assert!(text.parse::<Currency>().is_err(), "{text:?}");
        }
        assert_eq!(
            "usd".parse::<Currency>().unwrap_err().to_string(),
            "\"usd\" is not a currency: expected an ISO 4217 code in capitals, such as EUR"
        );
    }
}
