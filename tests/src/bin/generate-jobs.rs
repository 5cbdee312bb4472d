//! Writes jobs for engines to be compared by: tasks, the objects that they read, and what is to come of them.

use std::{error::Error, path::PathBuf};

use clap::Parser;
use tests::jobs::{Example, write};

/// Every case of every operation, and random jobs.
#[derive(Parser)]
#[command(name = "generate-jobs")]
struct Arguments {
    /// The folder to write to; made if it is not there.
    folder: PathBuf,
    /// How many random jobs.
    #[arg(long, default_value_t = 150)]
    jobs: u64,
    /// The seed of the first of them; the others have the next ones.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// No cases of operations, only random jobs.
    #[arg(long)]
    no_cases: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let cases = if arguments.no_cases { Vec::new() } else { Example::cases() };
    let random = (arguments.seed..).take(usize::try_from(arguments.jobs)?).map(Example::random);
    for example in cases.into_iter().chain(random) {
        write(&example, &arguments.folder)?;
    }
    Ok(())
}
