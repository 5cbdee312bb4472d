//! Every handover is corrupted once, and each time the run must fail instead of publishing what does not tie out.

use crate::kit::{DATA, INPUT, WORK, World};
use error_class::{Classified, ErrorClass};
use intake::{
    IntakeError,
    manifest::{ChunkManifest, chunk_key},
    messages::{ChunkRequest, MergeRequest, RunRequest, Split},
};
use storage::{Location, Objects, objects::PutOptions};

const FEED: &str = r#"{
    "name": "payments",
    "schema": { "fields": [{ "name": "id" }, { "name": "amount", "type": "number" }] },
    "tieout": { "chunk": { "records": 2 }, "amounts": [{ "column": "amount", "currency": "EUR" }] }
}"#;
const KEY: &str = "intake/payments/file.csv";
const FILE: &str = "id,amount\na,1.10\nb,2.20\nc,3.30\nd,oops\ne,5.50\n";

/// A run whose chunks are processed, ready to be merged: three chunks, four good records, one reject.
async fn processed() -> (World, RunRequest, Split) {
    let world = World::new();
    world.put_feed(FEED).await;
    let request = world.upload(KEY, FILE).await;
    let handlers = world.handlers();
    let split = handlers.splitter.split(request.clone()).await.unwrap();
    for chunk in world.ranges(&split).await {
        handlers.processor.process(ChunkRequest { run: request.run.clone(), chunk }).await.unwrap();
    }
    (world, request, split)
}

async fn replace(world: &World, bucket: &str, key: &str, change: impl FnOnce(String) -> String) {
    let text = world.text(bucket, key).await;
    let changed = change(text.clone());
    assert_ne!(text, changed, "the test must corrupt something");
    world.objects.put(&Location::new(bucket, key), changed.into(), PutOptions::default()).await.unwrap();
}

async fn replace_manifest(world: &World, request: &RunRequest, index: u64, change: impl FnOnce(&mut ChunkManifest)) {
    replace(world, WORK, &chunk_key(&request.run, index), |text| {
        let mut manifest: ChunkManifest = serde_json::from_str(&text).unwrap();
        change(&mut manifest);
        serde_json::to_string(&manifest).unwrap()
    })
    .await;
}

async fn manifest(world: &World, request: &RunRequest, index: u64) -> ChunkManifest {
    serde_json::from_str(&world.text(WORK, &chunk_key(&request.run, index)).await).unwrap()
}

/// Merges, and holds what must hold after a mismatch. Returns what was told.
async fn mismatch(world: &World, request: &RunRequest) -> String {
    let merged = world.handlers().merger.merge(MergeRequest { run: request.run.clone() }).await;
    let error: IntakeError = merged.expect_err("a run that does not tie out is not published");
    assert_eq!(error.class(), ErrorClass::ControlTotalMismatch, "{error}");
    assert!(world.publication(request).await.is_none(), "nothing is published");
    assert_eq!(world.bytes(INPUT, KEY).await.unwrap(), FILE.as_bytes(), "the input is where it was");
    error.to_string()
}

#[tokio::test]
async fn untouched_it_ties_out() {
    let (world, request, _) = processed().await;
    let merged = world.handlers().merger.merge(MergeRequest { run: request.run.clone() }).await.unwrap();
    assert_eq!((merged.records_in, merged.records_out, merged.records_rejected), (5, 4, 1));
    let publication = world.publication(&request).await.unwrap();
    let euros = publication.totals.column("amount", "EUR".parse().ok());
    assert_eq!((euros.sum.to_string().as_str(), euros.amounts), ("12.10", 4));
    assert!(world.bytes(DATA, &publication.output.key).await.is_some());
}

#[tokio::test]
async fn the_splitter_counted_another_number_than_was_read() {
    let (world, request, split) = processed().await;
    replace(&world, WORK, &split.ranges, |text| text.replacen("\"records\":2", "\"records\":3", 1)).await;
    let told = mismatch(&world, &request).await;
    assert!(told.contains("chunk 0"), "{told}");
}

#[tokio::test]
async fn a_chunk_read_another_number_than_the_splitter_counted() {
    let (world, request, _) = processed().await;
    replace_manifest(&world, &request, 1, |manifest| {
        manifest.records_in = 1;
        manifest.records_rejected = 0;
    })
    .await;
    let told = mismatch(&world, &request).await;
    assert!(told.contains("splitter → chunk-processor, chunk 1: 2 records, 1 read"), "{told}");
}

#[tokio::test]
async fn a_chunk_lost_a_record_between_reading_and_writing() {
    let (world, request, _) = processed().await;
    replace_manifest(&world, &request, 0, |manifest| manifest.records_out = 1).await;
    let told = mismatch(&world, &request).await;
    assert!(told.contains("chunk-processor, chunk 0: 2 in, 1 out, 0 rejected"), "{told}");
}

#[tokio::test]
async fn a_part_lost_a_record() {
    let (world, request, _) = processed().await;
    let part = manifest(&world, &request, 0).await.part.unwrap();
    // Of the same length, so that only reading the records can tell.
    replace(&world, WORK, &part.key, |text| text.replace("a,1.10\nb,2.20\n", "a,1.10\n\n\n\n\n\n\n\n")).await;
    let told = mismatch(&world, &request).await;
    assert!(told.contains("output, chunk 0") && told.contains("records"), "{told}");
}

#[tokio::test]
async fn a_part_changed_by_a_cent() {
    let (world, request, _) = processed().await;
    let part = manifest(&world, &request, 2).await.part.unwrap();
    replace(&world, WORK, &part.key, |text| text.replace("5.50", "5.51")).await;
    let told = mismatch(&world, &request).await;
    assert!(told.contains("output, chunk 2") && told.contains("5.50") && told.contains("5.51"), "{told}");
}

#[tokio::test]
async fn a_part_is_shorter_than_its_manifest_says() {
    let (world, request, _) = processed().await;
    replace_manifest(&world, &request, 2, |manifest| manifest.part.as_mut().unwrap().bytes -= 1).await;
    let error = world.handlers().merger.merge(MergeRequest { run: request.run.clone() }).await.unwrap_err();
    assert!(world.publication(&request).await.is_none(), "{error}");
}

#[tokio::test]
async fn a_reject_was_lost() {
    let (world, request, _) = processed().await;
    let rejects = manifest(&world, &request, 1).await.rejects.unwrap();
    replace(&world, WORK, &rejects.key, |text| "\n".repeat(text.len())).await;
    let told = mismatch(&world, &request).await;
    assert!(told.contains("1 records rejected, 0 in the reject file"), "{told}");
}

#[tokio::test]
async fn the_sum_over_the_chunks_is_another_than_each_of_them_says() {
    let (world, request, _) = processed().await;
    // Two chunks swap their manifests' totals: each by itself is caught.
    let other = manifest(&world, &request, 2).await.totals;
    replace_manifest(&world, &request, 0, |manifest| manifest.totals = other).await;
    mismatch(&world, &request).await;
}

#[tokio::test]
async fn a_chunk_that_was_never_processed_is_not_taken_for_an_empty_one() {
    let (world, request, _) = processed().await;
    world.objects.delete(&Location::new(WORK, chunk_key(&request.run, 1)), None).await.unwrap();
    let error = world.handlers().merger.merge(MergeRequest { run: request.run.clone() }).await.unwrap_err();
    assert!(error.to_string().contains("is missing"), "{error}");
    assert!(world.publication(&request).await.is_none());
}

#[tokio::test]
async fn the_archive_holds_another_file_than_was_read() {
    let (world, request, _) = processed().await;
    let to = intake::layout::archive_key(&request.run, "payments", "file.csv");
    world.objects.put(&Location::new(DATA, to), "other".into(), PutOptions::default()).await.unwrap();
    let error = world.handlers().merger.merge(MergeRequest { run: request.run.clone() }).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::ControlTotalMismatch);
    assert!(world.bytes(INPUT, KEY).await.is_some(), "the input is not deleted");
}

#[tokio::test]
async fn a_rejected_amount_was_lost() {
    let (world, request, _) = processed().await;
    replace_manifest(&world, &request, 1, |manifest| manifest.totals_rejected = Default::default()).await;
    let told = mismatch(&world, &request).await;
    assert!(told.contains("input → output and rejects"), "{told}");
}
