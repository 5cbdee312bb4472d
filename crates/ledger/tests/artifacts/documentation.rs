//! What `docs/` says of ledgers is what the code does.

use std::{fs, path::Path};

use crate::world::{Batch, EventObject, World};
use ledger::{
    BatchSequence, Definition, Interval, Ledger, PartitionBits,
    manifest::{BatchManifest, ManifestKey},
};
use serde_json::Value;

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)).unwrap()
}

/// The code block of `ledger.md` that is marked so.
fn block(mark: &str) -> String {
    let text = document("ledger.md");
    let (_, rest) = text.split_once(&format!("```{mark}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// To write the schemas anew: `UPDATE_SCHEMA=1 cargo test -p ledger --test artifacts`.
#[test]
fn the_published_schemas_are_those_of_the_types() {
    for (file, schema) in [
        ("ledger-definition.schema.json", Definition::json_schema()),
        ("batch-manifest.schema.json", BatchManifest::json_schema()),
    ] {
        let schema = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file);
            fs::write(at, &schema).unwrap();
        }
        assert!(document(file) == schema, "docs/{file} is out of date");
    }
}

#[test]
fn the_manifest_that_is_shown_can_be_taken() {
    let manifest = BatchManifest::parse(block("json manifest").as_bytes()).unwrap();
    let key = ManifestKey::parse("default/batches/orders/shop-2024-05-01/manifest.json").unwrap();
    manifest.check(&key).unwrap();
    let definition = Definition::from_json(&block("json definition")).unwrap();
    assert!(definition.sources.contains_key(&manifest.source));
}

#[test]
fn the_example_becomes_the_artifact_that_is_shown() {
    let ledger = Ledger::from_json(&block("json definition")).unwrap();
    let events = block("csv events");
    let (header, records) = events.split_at(events.find('\n').unwrap() + 1);
    let batch = Batch {
        sequence: BatchSequence::FIRST,
        interval: Interval::new("2024-05-01T00Z".parse().unwrap(), "2024-06-01T00Z".parse().unwrap()).unwrap(),
        objects: vec![EventObject {
            header: Some(header.as_bytes().to_vec()),
            ranges: vec![records.as_bytes().to_vec()],
        }],
    };
    let mut world = World::default();
    let job = world.run(&ledger, &[batch], ledger.definition().partition_bits, 0, 0);
    assert_eq!(job.combined.iter().map(|combined| combined.duplicates.records()).sum::<u64>(), 1);
    world.index_next();
    let line = world.read(world.index.get("A-1").unwrap());
    let shown: Value = serde_json::from_str(&block("json artifact")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(line).unwrap(), shown);
    // Member by member in the order that is shown.
    assert_eq!(std::str::from_utf8(line).unwrap(), serde_json::to_string(&shown).unwrap());
    assert_eq!(PartitionBits::new(4).unwrap(), ledger.definition().partition_bits);
}

#[test]
fn the_example_is_read_back_as_it_was_written() {
    let definition = Definition::from_json(&block("json definition")).unwrap();
    let text = serde_json::to_string(&definition).unwrap();
    assert_eq!(Definition::from_json(&text).unwrap(), definition);
}
