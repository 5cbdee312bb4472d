//! `tieout reference`.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use intake::load::Load;
use report::text;
use serde::Serialize;

use crate::{
    args::ReferenceCommand,
    error::Failure,
    installation::Installation,
    output::{Output, counter},
};

/// A load checks the whole file before it writes a row, and so holds it in memory.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

#[derive(Serialize)]
struct Loaded<'a> {
    table: &'a str,
    key: &'a str,
    rows: u64,
}

pub(crate) async fn perform(command: ReferenceCommand, at: &Installation, output: Output) -> Result<(), Failure> {
    let ReferenceCommand::Load { table, csv, key } = command;
    let rows = read(&csv, FILE_BYTES_MAX)?;
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

/// The whole file, whatever kind of file it is, if it is no longer than `limit`.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let bytes = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = bytes().map_err(|error| Failure::file(path, &error))?;
    if bytes.len() as u64 > limit {
        let (path, limit) = (path.display(), text::bytes(limit));
        return Err(Failure::misuse(format!(
            "{path}: longer than {limit}, which one load can take: load it in parts, a load leaves other keys as they are"
        )));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_bound_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.csv");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        let Err(Failure::Misuse(message)) = read(&path, 4) else { panic!("it is longer") };
        assert!(message.contains("f.csv: longer than 4 bytes"), "{message}");
        assert!(matches!(read(folder.path(), 4), Err(Failure::Misuse(_))));
    }
}
