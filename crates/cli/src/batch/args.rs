//! What can be said of batches on the command line.

use std::path::PathBuf;

use clap::Subcommand;
use jiff::Timestamp;

use crate::{
    args::{PATIENCE_SECONDS, name},
    ledgers::args::instant,
};

#[derive(Debug, Subcommand)]
pub(crate) enum BatchCommand {
    Submit(BatchSubmit),
    /// List the batches of a ledger that came last, the last one first
    List {
        /// The ledger's name
        #[arg(value_parser = name)]
        ledger: String,
        /// Only batches whose name begins like this
        #[arg(long, default_value = "", hide_default_value = true)]
        prefix: String,
        /// How many at most
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Show a batch: its number, its job, every step of every attempt, what was rejected
    Show {
        /// The ledger's name
        #[arg(value_parser = name)]
        ledger: String,
        /// The batch's name
        #[arg(value_parser = name)]
        batch: String,
    },
    /// Have the parked job of a batch tried again, once the cause of its failure is gone
    ///
    /// The job goes on where it stopped, under the definition that it was made under. With --afresh, which helps while it is
    /// not applied, its batches are let in again under new numbers and read anew, under the definition that is in force then;
    /// they come behind all that waits already.
    Redrive {
        /// The ledger's name
        #[arg(value_parser = name)]
        ledger: String,
        /// The batch's name; the other batches of its job are tried again with it
        #[arg(value_parser = name)]
        batch: String,
        /// Begin anew: new numbers, behind what waits already, and the definition in force; not once it is applied
        #[arg(long)]
        afresh: bool,
    },
    /// Take a batch out of its ledger for ever, while it is not applied
    ///
    /// Its interval stays open until a batch that replaces it is indexed: `tieout batch submit … --replaces <batch>`. A
    /// correction has none of its own; what replaces it is a correction, too. The other batches of its job go on under new
    /// numbers. One that was not taken is forgotten.
    Skip {
        /// The ledger's name
        #[arg(value_parser = name)]
        ledger: String,
        /// The batch's name
        #[arg(value_parser = name)]
        batch: String,
        /// Why, for whoever looks at it later
        #[arg(long)]
        reason: String,
    },
}

/// Send a ledger the events of an interval
///
/// Reads the files as the ledger will, counts their events and sums their amounts, uploads them, and then the manifest that
/// closes the interval. Without files, a quiet interval is closed. The sums are made by the reader that the ledger has, so
/// by themselves they prove the transfer; --totals, the sender's own figures, prove the reading. With --wait it follows the
/// batch until it is in the ledger, and exits with 1 if it does not get there.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub(crate) struct BatchSubmit {
    /// The ledger's name
    #[arg(value_parser = name)]
    pub(crate) ledger: String,
    /// Files of events, as the ledger's definition describes them
    pub(crate) files: Vec<PathBuf>,
    /// The first instant of the interval, as 2024-05-01 or 2024-05-01T06:00:00Z
    #[arg(long, value_parser = instant)]
    pub(crate) from: Timestamp,
    /// The first instant behind it
    #[arg(long, value_parser = instant)]
    pub(crate) to: Timestamp,
    /// Whose events these are; may be left out where the ledger has one source
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// The batch's name, in place of one made of source and interval
    #[arg(long, value_parser = name)]
    pub(crate) batch: Option<String>,
    /// These are late or corrected events for an interval that is closed already: why
    #[arg(long, value_name = "WHY")]
    pub(crate) correction: Option<String>,
    /// The refused or skipped batch in whose place this one stands
    #[arg(long, value_name = "BATCH", value_parser = name)]
    pub(crate) replaces: Option<String>,
    /// A file is that of an earlier batch, and its events are to count once more: why
    #[arg(long, value_name = "WHY")]
    pub(crate) again: Option<String>,
    /// A JSON file with the sender's own totals, which the files must tie out with: {"records": 2, "columns": [{"column":
    /// "amount", "currency": "EUR", "sum": "12.50", "amounts": 2, "unparsed": 0}]}
    #[arg(long, value_name = "FILE")]
    pub(crate) totals: Option<PathBuf>,
    /// Send it even if every record will be rejected: its interval then counts as complete without any of them
    #[arg(long)]
    pub(crate) accept_rejects: bool,
    /// Follow the batch until it is in the ledger, or cannot get there
    #[arg(long)]
    pub(crate) wait: bool,
    /// Stop following after this many seconds; the batch goes on
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE_SECONDS, requires = "wait")]
    pub(crate) timeout: u64,
}

const EXAMPLES: &str = "\
A day of a shop, then some that came too late, then a day without events:

  tieout batch submit orders shop-1.csv shop-2.csv --source shop --from 2024-05-01 --to 2024-05-02 --wait
  tieout batch submit orders late.csv --source shop --from 2024-05-01 --to 2024-05-02 --correction \"late fees\"
  tieout batch submit orders --source shop --from 2024-05-02 --to 2024-05-03";
