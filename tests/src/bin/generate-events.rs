//! Writes event files for a ledger, a folder for each batch, and says which batches they are and what comes of them.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};
use tests::{
    events::{
        Batch, definition, example,
        made::Plan,
        oracle::{Keep, Oracle},
        write::{Format, Packing, write},
    },
    project::root,
};

/// Events for ledgers. Prints a line of JSON: the batches, each with its files and with what is to become of its records,
/// and how all artifacts are to stand before and after the late batch, which comes last.
#[derive(Parser)]
#[command(name = "generate-events")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The events of `examples/ledger`, made of the orders of `examples/orders`.
    Example {
        /// The folder to write to; made if it is not there.
        folder: PathBuf,
    },
    /// As many events as are wanted, and a ledger definition for them.
    Made(Made),
}

#[derive(Args)]
struct Made {
    /// The folder to write to; made if it is not there.
    folder: PathBuf,
    /// How many events, in all batches together.
    #[arg(long, default_value_t = 10_000)]
    events: u64,
    /// How many orders they are spread over.
    #[arg(long, default_value_t = 3_000)]
    artifacts: u64,
    /// How many batches, in consecutive hours of a shop and a bank; a late one of the bank is added.
    #[arg(long, default_value_t = 4)]
    batches: u64,
    /// How many files in each batch.
    #[arg(long, default_value_t = 1)]
    files: u64,
    /// How many further events one order has, `ORD-HOT`.
    #[arg(long, default_value_t = 0)]
    hot_lines: u64,
    /// In each batch: records that come twice.
    #[arg(long, default_value_t = 0)]
    duplicates: u64,
    /// In each batch: records that come again with other content.
    #[arg(long, default_value_t = 0)]
    conflicts: u64,
    /// In each batch: records that cannot be taken.
    #[arg(long, default_value_t = 0)]
    rejects: u64,
    /// Other events for another seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The ledger's name.
    #[arg(long, default_value = "generated")]
    ledger: String,
    /// How events are written.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// How files are packed.
    #[arg(long, value_enum, default_value_t = Packing::None)]
    packing: Packing,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let described = match Arguments::parse().what {
        What::Example { folder } => {
            let read = |name: &str| fs::read_to_string(root().join("examples/orders").join(name));
            let batches = example::batches(&read("orders.csv")?, &read("financials.csv")?)?;
            told(&folder, batches.into_iter(), Format::Csv, Packing::None)?
        }
        What::Made(made) => {
            let mut ledger = definition(&made.ledger);
            if let Some(events) = ledger.get_mut("events").and_then(Value::as_object_mut) {
                events.insert("format".to_owned(), made.format.name().into());
                events.insert("compression".to_owned(), made.packing.name().into());
            }
            fs::create_dir_all(&made.folder)?;
            fs::write(made.folder.join("ledger.json"), format!("{ledger:#}\n"))?;
            let plan = made.plan();
            told(&made.folder, plan.batches().chain([plan.correction()]), made.format, made.packing)?
        }
    };
    writeln!(io::stdout(), "{described}")?;
    Ok(())
}

impl Made {
    fn plan(&self) -> Plan {
        Plan {
            seed: self.seed,
            events: self.events,
            artifacts: self.artifacts,
            batches: self.batches,
            files: self.files,
            hot_lines: self.hot_lines,
            duplicates: self.duplicates,
            conflicts: self.conflicts,
            rejects: self.rejects,
        }
    }
}

/// Writes batches one by one; what is said of them.
fn told(folder: &Path, batches: impl Iterator<Item = Batch>, format: Format, packing: Packing) -> io::Result<Value> {
    let mut oracle = Oracle::new(Keep::Last(0));
    let (mut told, mut before) = (Vec::new(), oracle.totals());
    for (number, batch) in (1..).zip(batches) {
        if batch.correction.is_some() {
            before = oracle.totals();
        }
        let figures = oracle.take(number, &batch);
        told.push(json!({
            "batch": batch.name,
            "source": batch.source,
            "from": batch.from.to_string(),
            "to": batch.to.to_string(),
            "correction": batch.correction,
            "files": files(folder, &batch, format, packing)?,
            "records": figures.records,
            "applied": figures.applied,
            "duplicates": figures.duplicates,
            "conflicts": figures.conflicts,
            "rejected": figures.rejected,
        }));
    }
    Ok(json!({ "batches": told, "before": before.json(), "after": oracle.totals().json() }))
}

/// Writes a batch: `<folder>/<batch>.csv`, or `<folder>/<batch>-<file>.csv` where there are several.
fn files(folder: &Path, batch: &Batch, format: Format, packing: Packing) -> io::Result<Vec<String>> {
    fs::create_dir_all(folder)?;
    let mut paths = Vec::new();
    for (number, rows) in (1..).zip(&batch.files) {
        let number = if batch.files.len() > 1 { format!("-{number}") } else { String::new() };
        let path = folder.join(format!("{}{number}{}{}", batch.name, format.ending(), packing.ending()));
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        write(rows, format, packing, &mut out)?;
        out.flush()?;
        paths.push(path.to_string_lossy().into_owned());
    }
    Ok(paths)
}
