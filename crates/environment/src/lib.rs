//! Configuration: environment variables, read once, at start-up, by the `Config` of each function.

use std::{env, fmt::Display, str::FromStr};

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable is needed and not set.
    #[error("environment variable {name} is not set")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A variable's value makes no sense.
    #[error("environment variable {name}={value:?}: {reason}")]
    Invalid {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// Why not.
        reason: String,
    },
}

/// A variable that must be set, and not to nothing.
pub fn text(name: &'static str) -> Result<String, ConfigError> {
    optional_text(name).ok_or(ConfigError::Missing { name })
}

/// A variable that may be unset; set to nothing counts as unset, because templates cannot leave a variable out.
pub fn optional_text(name: &'static str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The memory of this function in bytes, as the runtime tells it in MiB; `None` where it does not.
pub fn function_memory() -> Option<u64> {
    let mebibytes: u64 = optional_text("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")?.parse().ok()?;
    mebibytes.checked_mul(1 << 20)
}

/// A variable that must be set to a number, or whatever else can be read from text.
pub fn parsed<T: FromStr<Err: Display>>(name: &'static str) -> Result<T, ConfigError> {
    let value = text(name)?;
    value.parse().map_err(|error: T::Err| ConfigError::Invalid { name, value, reason: error.to_string() })
}

/// A variable that lists addresses, separated by commas.
pub fn addresses(name: &'static str) -> Vec<String> {
    let list = optional_text(name).unwrap_or_default();
    list.split(',').map(str::trim).filter(|address| !address.is_empty()).map(str::to_owned).collect()
}

/// A variable that is one ASCII character, such as a delimiter; a tab may be written `\t`.
pub fn ascii(name: &'static str) -> Result<u8, ConfigError> {
    let value = text(name)?;
    match value.as_bytes() {
        [one] => Ok(*one),
        br"\t" => Ok(b'\t'),
        _ => Err(ConfigError::Invalid { name, value, reason: "must be one ASCII character".to_owned() }),
    }
}
