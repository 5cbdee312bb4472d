//! What can be said on the command line.

use std::{net::IpAddr, path::PathBuf};

use clap::{Parser, Subcommand};
use http::Uri;
use intake::{
    layout::{DEFAULT_TENANT, is_name, is_tenant},
    messages::RunId,
};

use crate::{
    artifact::ArtifactCommand, batch::args::BatchCommand, job::args::JobCommand, ledgers::args::LedgerCommand,
};

/// Financial files in; clean, enriched files and up-to-date artifacts out, with every row and every cent accounted for.
#[derive(Debug, Parser)]
#[command(name = "tieout", version, propagate_version = true, after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Answer in JSON, on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Describe a feed, load what its rows are enriched from, send a file through, and take the result:

  tieout feed put examples/orders/feed.json
  tieout reference load financials examples/orders/financials.csv --key uuid
  tieout submit orders examples/orders/orders.csv --wait
  tieout run output default-0123456789abcdef0123456789abcdef --to clean.csv
  tieout run report default-0123456789abcdef0123456789abcdef --to report.html

Describe a ledger, send it the events of half a year, and look at what is known of one order:

  tieout ledger put examples/ledger/ledger.json
  tieout batch submit orders examples/ledger/events/shop-2016-h1.csv --source shop --from 2016-01-01 --to 2016-07-01 --wait
  tieout artifact get orders 155314338
  tieout ledger show orders

Look one file up in another, and take what comes out:

  tieout operations vlookup
  tieout job submit examples/reconcile/orders.json --wait
  tieout job output orders-0123abcd regions

Results go to standard output, progress and errors to standard error.

Exit status: 0 all went well; 1 the run or job failed, the batch was not taken, or the service failed; 2 the command cannot be
done as it was given: wrong usage, an unknown feed, run, ledger, batch or file, a file with errors; 130 interrupted.";

/// Which installation is meant. AWS's own environment variables and configuration files apply.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Where")]
pub(crate) struct Target {
    /// The stack's name
    #[arg(long, global = true, env = "TIEOUT_STACK", default_value = "tieout", hide_env_values = true)]
    pub(crate) stack: String,
    /// The tenant whose feeds, files and runs are meant
    #[arg(long, global = true, env = "TIEOUT_TENANT", default_value = DEFAULT_TENANT, hide_env_values = true, value_parser = tenant)]
    pub(crate) tenant: String,
    /// A profile of the AWS configuration, in place of AWS_PROFILE or access keys in the environment
    #[arg(long, global = true)]
    pub(crate) profile: Option<String>,
    /// The AWS region, in place of the one in AWS_REGION or the profile
    #[arg(long, global = true)]
    pub(crate) region: Option<String>,
    /// The address of a local stack, as in http://127.0.0.1:4566
    #[arg(long, global = true, env = "AWS_ENDPOINT_URL", hide_env_values = true, value_parser = endpoint)]
    pub(crate) endpoint_url: Option<String>,
}

impl Target {
    /// Whether the installation is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        let address = self.endpoint_url.as_deref().and_then(|address| address.parse::<Uri>().ok());
        let host = address.as_ref().and_then(Uri::host).unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Describe what files look like, and what is to be done with them
    #[command(subcommand)]
    Feed(FeedCommand),
    /// Load the tables that records are enriched from
    #[command(subcommand)]
    Reference(ReferenceCommand),
    Submit(Submit),
    /// Look at runs, and take what they published
    #[command(subcommand)]
    Run(RunCommand),
    Watch(Watch),
    /// Describe ledgers, and see how far each is and until when it is complete
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Send a ledger the events of an interval, see what became of them, and mend what is stuck
    #[command(subcommand)]
    Batch(BatchCommand),
    /// See what a ledger knows of one order, shipment or invoice
    #[command(subcommand)]
    Artifact(ArtifactCommand),
    /// Hand in reconcile jobs: spreadsheet operations on files of any size; follow them, and take what they publish
    #[command(subcommand)]
    Job(JobCommand),
    /// List what a step of a job can be, or explain one
    Operations {
        /// The operation's name
        operation: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FeedCommand {
    /// Check a descriptor and put it in force; runs under way keep the one they began with
    Put {
        /// A JSON file: a Frictionless Tabular Data Resource with one further key, `tieout`
        file: PathBuf,
    },
    /// List the feeds
    List,
    /// Print a feed's descriptor
    Show {
        /// The feed's name
        #[arg(value_parser = name)]
        feed: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReferenceCommand {
    /// Load all rows of a CSV file, in place of those with the same keys; rows with other keys stay
    ///
    /// The whole file is checked first: every row needs a key, and no two rows may have the same.
    Load {
        /// The table's name, as feeds have it in `tieout.enrichment.table`
        #[arg(value_parser = name)]
        table: String,
        /// The file: UTF-8, comma-separated, with a header, of at most 1 GiB
        csv: PathBuf,
        /// The column whose values rows are found by
        #[arg(long, value_name = "COLUMN")]
        key: String,
    },
}

/// Send a file to a feed
///
/// Prints the run's name. With --wait it follows the run to its end and its mail, prints its figures, and exits with 1
/// if it failed.
#[derive(Debug, clap::Args)]
pub(crate) struct Submit {
    /// The feed's name
    #[arg(value_parser = name)]
    pub(crate) feed: String,
    /// The file: CSV, or CSV compressed with gzip
    pub(crate) file: PathBuf,
    /// Follow the run until it ends and its mail is sent
    #[arg(long)]
    pub(crate) wait: bool,
    /// Stop following after this many seconds; the run goes on
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE_SECONDS, requires = "wait")]
    pub(crate) timeout: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunCommand {
    /// List the last runs, newest first
    List {
        /// How many at most
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Show a run's figures and steps
    Show {
        /// The run's name
        run: RunId,
    },
    /// Print the published file, or write it to a file; with --json, say where it is
    Output(Download),
    /// Print the rejected records as CSV, or write them to a file; with --json, print the first ones with their reasons
    ///
    /// Of a run that failed because of its rejects, the first ones are kept.
    Rejects(Download),
    /// Print the report, a page of HTML, or write it to a file; with --json, say where it is
    Report(Download),
    /// Sign a fresh download link to the published file; whoever has it can download
    Link {
        /// The run's name
        run: RunId,
        /// How long the link is to work. It ends earlier if your own credentials do
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_080))]
        minutes: u64,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Download {
    /// The run's name
    pub(crate) run: RunId,
    /// Write to this file, which appears when it is whole
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(crate) to: Option<PathBuf>,
}

/// Follow a run until it ends and its mail is sent
///
/// On a terminal the progress is drawn, elsewhere it is a line per change. With --json, standard output gets an object
/// per change, and the run's figures as the last one. Exits with 1 if the run failed.
#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// The run's name; without one, the latest run
    pub(crate) run: Option<RunId>,
    /// Stop following after this many seconds; the run goes on
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE_SECONDS)]
    pub(crate) timeout: u64,
}

/// Four hours: the largest file takes less.
pub(crate) const PATIENCE_SECONDS: u64 = 4 * 3_600;

fn tenant(text: &str) -> Result<String, String> {
    let rule = "a tenant is 1 to 32 lower-case letters and digits, and none of \"intake\", \"input\" and \"batches\"";
    if is_tenant(text) { Ok(text.to_owned()) } else { Err(rule.to_owned()) }
}

fn endpoint(text: &str) -> Result<String, String> {
    let is_address = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    match text.parse() {
        Ok(uri) if is_address(&uri) => Ok(text.to_owned()),
        _ => Err("an address begins with http:// or https://, as in http://127.0.0.1:4566".to_owned()),
    }
}

pub(crate) fn name(text: &str) -> Result<String, String> {
    let rule = "a name is 1 to 64 lower-case letters, digits, '-', '_' and '.', and begins with a letter or digit";
    if is_name(text) { Ok(text.to_owned()) } else { Err(rule.to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn places_and_json_can_stand_behind_the_command() {
        let args = Args::parse_from(["tieout", "feed", "list", "--json", "--tenant", "acme", "--region", "eu-west-1"]);
        assert!(args.json);
        assert_eq!((args.target.tenant.as_str(), args.target.region.as_deref()), ("acme", Some("eu-west-1")));
    }

    #[test]
    fn this_machine_is_known_by_its_addresses() {
        let is_local =
            |address| Args::parse_from(["tieout", "feed", "list", "--endpoint-url", address]).target.is_local();
        for address in ["http://127.0.0.1:4566", "http://localhost:4566/", "https://[::1]:4566"] {
            assert!(is_local(address), "{address}");
        }
        assert!(!is_local("https://s3.eu-central-1.amazonaws.com"));
    }

    #[test]
    fn names_are_checked_at_the_door() {
        for wrong in [
            &["submit", "Orders", "f.csv"][..],
            &["submit", "../orders", "f.csv"],
            &["submit", "orders", "f.csv", "--timeout", "5"],
            &["run", "show", "default-12"],
            &["run", "link", "default-0123456789abcdef0123456789abcdef", "--minutes", "0"],
            &["run", "output", "default-0123456789abcdef0123456789abcdef", "--json", "--to", "f.csv"],
            &["feed", "list", "--tenant", "a/b"],
            &["feed", "list", "--endpoint-url", "127.0.0.1:4566"],
            &["feed", "list", "--endpoint-url", "localhost:4566"],
            &["feed", "list", "--endpoint-url", "ftp://127.0.0.1"],
            &["feed", "list", "--endpoint-url", "http://"],
            &["reference", "load", "t", "f.csv"],
        ] {
            let words = ["tieout"].iter().chain(wrong);
            assert!(Args::try_parse_from(words).is_err(), "{wrong:?} is taken");
        }
    }
}
