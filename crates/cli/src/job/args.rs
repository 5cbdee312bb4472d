//! What can be said of reconcile jobs on the command line.

use std::path::PathBuf;

use clap::Subcommand;
use jobs::layout::{JOB_CHARS_MAX, is_job};

use crate::args::PATIENCE_SECONDS;

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Hand in a job: a JSON document as docs/reconcile.md explains it
    ///
    /// Of its inputs, objects that begin with ./, ../ or / are files of this machine, beside the document: the job is planned
    /// with them, and refused if it cannot be; then they are uploaded. The same document under the same id is one job, however often it is handed in.
    Submit {
        /// A JSON file
        file: PathBuf,
        /// The job's id; made of the file's name and its content unless given
        #[arg(long, value_parser = job)]
        id: Option<String>,
        /// Follow the job until it ends
        #[arg(long)]
        wait: bool,
        /// Stop following after this many seconds; the job goes on
        #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE_SECONDS, requires = "wait")]
        timeout: u64,
    },
    /// List the last jobs, newest first
    List {
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Show a job: its status, its figures step by step, and why it failed
    Show {
        /// The job's id
        #[arg(value_parser = job)]
        job: String,
    },
    /// Take an output of a published job
    ///
    /// Parquet is not written to a terminal: give it a file, or redirect standard output.
    Output {
        /// The job's id
        #[arg(value_parser = job)]
        job: String,
        /// The output's name; needed where there are several
        output: Option<String>,
        /// The file to write; standard output unless given. Of Parquet in several objects, the folder
        #[arg(long, value_name = "PATH", conflicts_with = "json")]
        to: Option<PathBuf>,
    },
    /// Cancel a job that is not over
    Cancel {
        /// The job's id
        #[arg(value_parser = job)]
        job: String,
    },
    /// Begin a job anew that failed or was cancelled, with its inputs as they are now
    Redrive {
        /// The job's id
        #[arg(value_parser = job)]
        job: String,
        /// Follow the job until it ends
        #[arg(long)]
        wait: bool,
        /// Stop following after this many seconds; the job goes on
        #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE_SECONDS, requires = "wait")]
        timeout: u64,
    },
}

fn job(text: &str) -> Result<String, String> {
    let rule = format!(
        "a job's id is 1 to {JOB_CHARS_MAX} lower-case letters, digits, '-', '_' and '.', and begins with a letter or digit"
    );
    if is_job(text) { Ok(text.to_owned()) } else { Err(rule) }
}
