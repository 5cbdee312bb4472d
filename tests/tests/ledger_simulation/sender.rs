//! What is sent, and by whom: batches with their manifests, in any order, some of them wrong, and what replaces those.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use jiff::Timestamp;
use ledger::manifest::ContentHash;
use serde_json::{Value, json};
use storage::{Location, Objects, objects::PutOptions};
use tests::events::{
    Batch, Fault, Row, decimal,
    write::{Format, Packing, write},
};

use crate::installation::{INPUT, Installation, LEDGER};

/// What a sender gets wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Poison {
    /// The manifest's own figures do not add up: it is refused at the door.
    Counts,
    /// The manifest says more records than there are.
    Records,
    /// The manifest says another sum than the events have.
    Sum,
    /// An object is no file of events.
    Garbage,
    /// An object is taken away as soon as the batch is registered.
    Vanishes,
    /// The manifest says another SHA-256 than an object has.
    Hash,
}

pub(crate) const POISONS: [Poison; 6] =
    [Poison::Counts, Poison::Records, Poison::Sum, Poison::Garbage, Poison::Vanishes, Poison::Hash];

/// A batch as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    pub(crate) batch: Batch,
    pub(crate) poison: Option<Poison>,
    pub(crate) replaces: Option<String>,
}

/// What the name of a batch that replaces another ends in.
pub(crate) const AGAIN: &str = "-again";

/// How files of events are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) format: Format,
    pub(crate) packing: Packing,
}

impl Parcel {
    /// What is sent in its place, once it is out: the same without what was wrong.
    pub(crate) fn mended(&self) -> Self {
        let mut batch = self.batch.clone();
        let mut known = BTreeSet::new();
        for file in &mut batch.files {
            file.retain(|row| row.fault.is_none() && known.insert((row.event.order.clone(), row.event.id.clone())));
        }
        let replaces = Some(batch.name.clone());
        batch.name.push_str(AGAIN);
        Self { batch, poison: None, replaces }
    }

    /// Some senders say the SHA-256 of each object.
    fn manifest(&self, files: &[(String, Bytes)], hashed: bool) -> Value {
        let mut totals = totals(&self.batch);
        let more = u64::from(self.poison == Some(Poison::Records));
        let objects: Vec<Value> = files
            .iter()
            .zip(&self.batch.files)
            .map(|((key, bytes), rows)| {
                let mut object = json!({ "key": key, "records": rows.len() as u64 + more });
                if hashed || self.poison == Some(Poison::Hash) {
                    // Another for each: one that a batch has already would not be taken.
                    let other = self.batch.name.as_bytes();
                    object["sha256"] = sha256(if self.poison == Some(Poison::Hash) { other } else { bytes }).into();
                }
                object
            })
            .collect();
        let counted: u64 = objects.iter().filter_map(|object| object["records"].as_u64()).sum();
        totals["records"] = json!(counted + u64::from(self.poison == Some(Poison::Counts)));
        if self.poison == Some(Poison::Sum) {
            totals["columns"][0]["sum"] = "123456.78".into();
        }
        let Batch { source, from, to, correction, .. } = &self.batch;
        let mut manifest = json!({
            "source": source,
            "interval": { "from": from, "to": to },
            "objects": objects,
            "totals": totals,
        });
        if let Some(correction) = correction {
            manifest["correction"] = correction.as_str().into();
        }
        if let Some(replaces) = &self.replaces {
            manifest["replaces"] = replaces.as_str().into();
        }
        manifest
    }
}

fn sha256(bytes: &[u8]) -> String {
    let mut hash = ContentHash::default();
    hash.update(bytes);
    hash.finish()
}

/// Whether it has what a poison can spoil.
pub(crate) fn can_take(batch: &Batch, poison: Poison) -> bool {
    let has_records = batch.records() > 0;
    let has_sums = totals(batch)["columns"].as_array().is_some_and(|columns| !columns.is_empty());
    has_records && (poison != Poison::Sum || has_sums)
}

/// The sender's own totals, of all rows as they are written.
fn totals(batch: &Batch) -> Value {
    let mut sums: std::collections::BTreeMap<(&str, u32), (i128, u64, u64)> = Default::default();
    for Row { event, fault } in batch.files.iter().flatten() {
        let Some(money) = event.money else { continue };
        let (sum, amounts, unparsed) = sums.entry((money.currency.code, money.currency.decimals)).or_default();
        if *fault == Some(Fault::Amount) {
            *unparsed += 1;
        } else {
            (*sum, *amounts) = (*sum + i128::from(money.minor), *amounts + 1);
        }
    }
    let column = |((code, decimals), (sum, amounts, unparsed)): ((&str, u32), (i128, u64, u64))| {
        let sum = decimal(sum, decimals);
        json!({ "column": "amount", "currency": code, "sum": sum, "amounts": amounts, "unparsed": unparsed })
    };
    json!({ "records": batch.records(), "columns": sums.into_iter().map(column).collect::<Vec<_>>() })
}

impl Installation {
    /// Uploads a batch, and sees to it that it is known: its event comes again and again.
    pub(crate) async fn send(self, parcel: Parcel) {
        let folder = format!("default/batches/{LEDGER}/{}/", parcel.batch.name);
        let at = |name: &str| Location::new(INPUT, format!("{folder}{name}"));
        let files: Vec<(String, Bytes)> = (0..)
            .zip(&parcel.batch.files)
            .map(|(number, rows)| (self.shape.file_name(number), self.bytes(rows, parcel.poison)))
            .collect();
        let mut manifest = parcel.manifest(&files, self.scene.once_in(2));
        for (name, body) in files.iter().cloned().chain([("manifest.json".to_owned(), manifest.to_string().into())]) {
            self.objects.put(&at(&name), body, PutOptions::default()).await.unwrap();
        }
        let event = event(&at("manifest.json"));
        if self.scene.once_in(4) {
            let (again, event) = (self.clone(), event.clone());
            self.scene.begin(false, async move { drop(again.cloud.deliver("BatchRegistrar", event).await) }.boxed());
        }
        loop {
            let _ = self.cloud.deliver("BatchRegistrar", event.clone()).await;
            if self.book().knows(&parcel.batch.name) {
                break;
            }
            if self.book().was_told(&parcel.batch.name, "would count twice") {
                self.scene.saw("content was sent again");
                manifest["again"] = "it is meant".into();
                self.objects
                    .put(&at("manifest.json"), manifest.to_string().into(), PutOptions::default())
                    .await
                    .unwrap();
            }
            // A correction of what is not closed yet, or a replacement of what is not out yet, is too early.
            self.scene.sleep(Duration::from_secs(30 + self.scene.below(300))).await;
        }
        if parcel.poison == Some(Poison::Vanishes) {
            let at = at(&files[0].0);
            let version = self.objects.head(&at, None).await.unwrap().version;
            self.objects.delete(&at, version.as_deref()).await.unwrap();
        }
    }

    fn bytes(&self, rows: &[Row], poison: Option<Poison>) -> Bytes {
        if poison == Some(Poison::Garbage) {
            return Bytes::from_static(b"this,is\nno file,of,events\n\xff\xfe");
        }
        let mut out = Vec::new();
        write(rows, self.shape.format, self.shape.packing, &mut out).unwrap();
        out.into()
    }
}

impl Shape {
    fn file_name(self, number: u32) -> String {
        format!("events-{number}{}{}", self.format.ending(), self.packing.ending())
    }
}

/// EventBridge's event of a manifest that was uploaded.
fn event(at: &Location) -> Value {
    json!({
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": { "bucket": { "name": at.bucket }, "object": { "key": at.key } },
    })
}

/// When the first interval begins.
pub(crate) fn opens_at() -> Timestamp {
    "2016-01-01T00:00:00Z".parse().unwrap()
}
