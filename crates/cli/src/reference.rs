//! `tieout reference`.

use std::fs;

use intake::load::Load;
use report::text;
use serde::Serialize;

use crate::{
    args::ReferenceCommand,
    error::Failure,
    installation::Installation,
    output::{Output, counter},
};

#[derive(Serialize)]
struct Loaded<'a> {
    table: &'a str,
    key: &'a str,
    rows: u64,
}

pub(crate) async fn perform(command: ReferenceCommand, at: &Installation, output: Output) -> Result<(), Failure> {
    let ReferenceCommand::Load { table, csv, key } = command;
    let rows = fs::read(&csv).map_err(|error| Failure::file(&csv, &error))?;
    let load = Load { tenant: &at.tenant, table: &table, key_column: &key };
    let counter = counter("rows loaded");
    let loaded = at.references().load(load, &rows, &storage::clock::System, |rows| counter.set_position(rows)).await;
    counter.finish_and_clear();
    let rows = loaded.map_err(|error| match Failure::from(error) {
        Failure::Misuse(message) => Failure::misuse(format!("{}: {message}", csv.display())),
        other => other,
    })?;
    output.tell(&Loaded { table: &table, key: &key, rows }, |loaded| {
        format!("{} rows loaded into {}, found by {}\n", text::count(loaded.rows), loaded.table, loaded.key)
    })
}
