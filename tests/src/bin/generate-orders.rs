//! Writes `orders.csv` and `financials.csv`, and prints their exact totals as JSON.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use clap::Parser;
use tests::orders::{Decimal, Orders};

/// Orders in the format of the public sample, with the reference rows that belong to them.
#[derive(Parser)]
#[command(name = "generate-orders")]
struct Arguments {
    /// The folder to write to; made if it is not there.
    folder: PathBuf,
    /// How many orders.
    #[arg(long, default_value_t = 10_000)]
    rows: u64,
    /// Other orders for another seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.folder)?;
    let file =
        |name: &str| File::create(arguments.folder.join(name)).map(|file| BufWriter::with_capacity(1 << 20, file));
    let (mut orders, mut financials) = (file("orders.csv")?, file("financials.csv")?);
    let totals = Orders::new(arguments.seed, arguments.rows)?.write(&mut orders, &mut financials)?;
    orders.flush()?;
    financials.flush()?;
    let described = serde_json::json!({
        "records": totals.rows,
        "units_sold": totals.units_sold.to_string(),
        "total_revenue": Decimal(totals.revenue_cents).to_string(),
        "total_cost": Decimal(totals.cost_cents).to_string(),
        "total_profit": Decimal(totals.profit_cents).to_string(),
    });
    writeln!(io::stdout(), "{described}")?;
    Ok(())
}
