//! What a batch costs on the local disk, function by function, as the state machines call them: `make bench-ledger`.
//!
//! Real files under a folder, two workers at a time, the cache cold. Each command is a process of its own, so that its
//! memory is its own, and prints a line of JSON.

#![expect(
    clippy::unwrap_used,
    clippy::float_arithmetic,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark that cannot run has nothing to report"
)]

mod events;
mod meter;
mod stages;
mod world;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use serde_json::json;

use crate::{events::Batch, world::World};

/// As in the functions, see `lambda_shell`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many functions are at work at once.
const WORKERS: usize = 2;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// What `cargo bench` adds.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Defines a ledger in an empty folder.
    Define {
        /// The folder.
        folder: PathBuf,
        /// Which event lines artifacts keep: `none` or `all`.
        #[arg(long, default_value = "none")]
        lines: String,
        /// How many partitions, as a power of two.
        #[arg(long, default_value_t = 4)]
        partition_bits: u8,
    },
    /// Writes the files of a batch. Says where they are.
    Upload {
        /// The folder.
        folder: PathBuf,
        /// The first brings every artifact its first event.
        #[arg(long)]
        batch: u64,
        /// How many events.
        #[arg(long)]
        events: u64,
        /// How many artifacts the ledger has.
        #[arg(long)]
        artifacts: u64,
        /// How many of them the batch touches.
        #[arg(long)]
        touched: u64,
    },
    /// Takes a batch from its arrival to its last index entry. Says what each stage cost, and where the part-files are.
    Run {
        /// The folder.
        folder: PathBuf,
        /// The batch.
        #[arg(long)]
        batch: u64,
    },
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_time().build().unwrap();
    let told = match Arguments::parse().command {
        Command::Define { folder, lines, partition_bits } => {
            runtime.block_on(World::open(&folder).unwrap().define(&lines, partition_bits));
            json!({})
        }
        Command::Upload { folder, batch: number, events, artifacts, touched } => {
            let world = World::open(&folder).unwrap();
            runtime.block_on(world.upload(&Batch { number, events, artifacts, touched }));
            json!({ "files": world.files(number) })
        }
        Command::Run { folder, batch } => {
            let world = World::open(&folder).unwrap();
            runtime.block_on(stages::run(world, batch))
        }
    };
    println!("{told}");
}
