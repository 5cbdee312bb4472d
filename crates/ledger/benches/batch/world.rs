//! A ledger on the local disk: its ports, its definition, its batches.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use disk_adapters::{DiskObjects, DiskTables};
use ledger::{
    Definition, Interval, Rules,
    definitions::Definitions,
    manifest::{BatchManifest, BatchObject, LedgerId, ManifestKey},
};
use money::ControlTotals;
use serde_json::json;
use storage::{
    Cache, Location, Objects, StorageError, documents,
    memory::MemoryWorkflows,
    objects::{ObjectWriter, PutOptions},
};

use crate::events::Batch;

pub(crate) const INPUT: &str = "input";
pub(crate) const WORK: &str = "work";
pub(crate) const DATA: &str = "data";
pub(crate) const LEDGERS: &str = "ledgers";

/// How many files a batch comes in.
const FILES: u64 = 4;
/// How much of a file is written at a time.
const WRITE_BYTES: usize = 1 << 20;

/// The ports. Each process has its own, on the same folder.
pub(crate) struct World {
    pub(crate) objects: Arc<DiskObjects>,
    pub(crate) tables: Arc<DiskTables>,
    pub(crate) workflows: Arc<MemoryWorkflows>,
    pub(crate) ledger: LedgerId,
}

impl World {
    pub(crate) fn open(folder: &Path) -> Result<Self, StorageError> {
        Ok(Self {
            objects: Arc::new(DiskObjects::new(folder.join("objects"))?),
            tables: Arc::new(DiskTables::new(folder.join("tables"))?),
            workflows: Arc::default(),
            ledger: LedgerId { tenant: "default".to_owned(), ledger: "orders".to_owned() },
        })
    }

    /// Puts the ledger's definition.
    pub(crate) async fn define(&self, keep: &str, partition_bits: u8) {
        let definition = json!({
            "name": self.ledger.ledger,
            "sources": { "shop": day(1) },
            "events": { "format": "csv", "fields": [
                { "name": "order_id" }, { "name": "event_id" }, { "name": "event_time", "type": "datetime" },
                { "name": "kind" }, { "name": "amount", "type": "number" }, { "name": "currency" },
            ] },
            "artifactKey": ["order_id"],
            "eventId": "event_id",
            "eventTime": "event_time",
            "amounts": [{ "column": "amount", "currencyColumn": "currency" }],
            "measures": {
                "invoiced": { "measure": "sum", "column": "amount", "where": { "kind": "invoice" } },
                "paid": { "measure": "sum", "column": "amount", "where": { "kind": "payment" } },
                "payments": { "measure": "count", "where": { "kind": "payment" } },
            },
            "status": { "balance": { "add": ["invoiced"], "subtract": ["paid"], "tolerance": "0.05" } },
            "eventLines": { "keep": keep },
            "partitionBits": partition_bits,
        });
        let definition = Definition::from_json(&definition.to_string()).unwrap();
        let definitions = Definitions::new(self.tables.clone(), LEDGERS, Rules::default());
        definitions.put(&self.ledger.tenant, &definition).await.unwrap();
    }

    /// Writes a batch: its files, and its manifest last.
    pub(crate) async fn upload(&self, batch: &Batch) {
        let key = self.manifest_key(batch.number);
        let (mut totals, mut objects) = (ControlTotals::default(), Vec::new());
        for file in 0..FILES {
            let object = format!("{}events-{file}.csv", key.folder());
            let (from, to) = (batch.events * file / FILES, batch.events * (file + 1) / FILES);
            let at = Location::new(INPUT, &object);
            let mut writer = Blocking(self.objects.writer(&at, PutOptions::default()).await.unwrap());
            let mut out = BufWriter::with_capacity(WRITE_BYTES, &mut writer);
            batch.write(from, to, &mut totals, &mut out).unwrap();
            out.flush().unwrap();
            drop(out);
            writer.0.finish().await.unwrap();
            objects.push(BatchObject { key: object, records: to - from, sha256: None });
        }
        let manifest = BatchManifest {
            source: "shop".to_owned(),
            interval: Interval::new(day(batch.number).parse().unwrap(), day(batch.number + 1).parse().unwrap())
                .unwrap(),
            objects,
            totals,
            correction: None,
            replaces: None,
            again: None,
        };
        documents::write(&*self.objects, &Location::new(INPUT, key.key()), &manifest).await.unwrap();
    }

    /// The files of a batch, as other programs read them.
    pub(crate) fn files(&self, batch: u64) -> Vec<PathBuf> {
        let key = self.manifest_key(batch);
        let folder = key.folder();
        let file = |file| Location::new(INPUT, format!("{folder}events-{file}.csv"));
        (0..FILES).map(|number| self.objects.file(&file(number), None).unwrap()).collect()
    }

    pub(crate) fn manifest_key(&self, batch: u64) -> ManifestKey {
        ManifestKey::new(self.ledger.clone(), format!("batch-{batch}"))
    }
}

fn day(number: u64) -> String {
    format!("2024-05-{number:02}T00:00:00Z")
}

/// A writer of objects as `std` has them: the local disk's never waits.
struct Blocking(Box<dyn ObjectWriter>);

impl Write for Blocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(Bytes::copy_from_slice(bytes));
        futures::FutureExt::now_or_never(written).unwrap().map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A cache that has forgotten everything: what is measured is the disk.
pub(crate) struct ColdCache;

#[async_trait]
impl Cache for ColdCache {
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StorageError> {
        Ok(vec![None; keys.len()])
    }

    async fn put_many(&self, _: Vec<(String, Bytes)>, _: Duration) -> Result<(), StorageError> {
        Ok(())
    }
}
