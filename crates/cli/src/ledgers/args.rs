//! What can be said of ledgers on the command line.

use std::path::PathBuf;

use clap::Subcommand;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::args::name;

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Check a definition and put it in force; jobs that are made already keep the version they were made under
    ///
    /// The document is explained in docs/ledger.md, its JSON Schema is docs/ledger-definition.schema.json.
    Put {
        /// A JSON file
        file: PathBuf,
        /// Let sources that have batches begin at another time, or be left out: the watermark moves with them
        #[arg(long)]
        move_sources: bool,
    },
    /// List the ledgers
    List,
    /// Show how far a ledger is: jobs in flight, what waits, until when it is complete and what holds it
    Show {
        /// The ledger's name
        #[arg(value_parser = name)]
        ledger: String,
        /// Print the definition that is in force, and nothing else
        #[arg(long)]
        definition: bool,
    },
    /// Sign that an interval is to count as complete although no batch covers it
    ///
    /// The ledger's watermark goes past it. Every answer about completeness names the signature; it cannot be taken back.
    Sign {
        /// The ledger's name
        #[arg(value_parser = name)]
        ledger: String,
        /// The source that owes the interval
        #[arg(long)]
        source: String,
        /// The first instant, as 2024-05-01 or 2024-05-01T06:00:00Z
        #[arg(long, value_parser = instant)]
        from: Timestamp,
        /// The first instant behind it
        #[arg(long, value_parser = instant)]
        to: Timestamp,
        /// Who signs
        #[arg(long)]
        by: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// An instant, or a day's first one in UTC.
pub(crate) fn instant(text: &str) -> Result<Timestamp, String> {
    let midnight = |day: Date| day.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let day = || text.parse::<Date>().ok().filter(|_| text.len() == "2024-05-01".len()).and_then(midnight);
    let instant = text.parse::<Timestamp>().ok().or_else(day);
    instant.ok_or_else(|| "a time is 2024-05-01T06:00:00Z, or 2024-05-01 for the first instant of that day".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_instants_or_days() {
        assert_eq!(instant("2024-05-01").unwrap(), instant("2024-05-01T00:00:00Z").unwrap());
        assert_eq!(instant("2024-05-01T02:00:00+02:00").unwrap(), instant("2024-05-01").unwrap());
        for wrong in ["", "yesterday", "2024-05-01T06:00", "2024-13-01", "20240501", "2024-05-01T06:00:00"] {
            assert!(instant(wrong).is_err(), "{wrong}");
        }
    }
}
