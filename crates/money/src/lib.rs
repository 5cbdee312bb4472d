//! Money, exactly: amounts as scaled integers, the currencies of ISO 4217, and the control totals that prove that
//! nothing was lost on the way.
//!
//! No float touches an amount; in JSON an amount is text. Arithmetic that does not fit is an error, never a wrap.
//!
//! ```
//! use money::{Amount, ControlTotals, Currency};
//!
//! let price: Amount = "152.58".parse()?;
//! let revenue = price.checked_mul("934".parse()?)?;
//! assert_eq!(revenue.to_string(), "142509.72");
//!
//! let mut totals = ControlTotals::default();
//! totals.add_record()?;
//! totals.add("Total Revenue", Some("USD".parse()?), revenue)?;
//! # let _: Currency = "JPY".parse()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod amount;
mod currency;
mod totals;

pub use amount::{Amount, AmountError, MAX_SCALE, Rounding};
pub use currency::{Currency, UnknownCurrency};
pub use totals::{ColumnTotal, ControlTotals, Difference, Overflow, TotalsEntry};
