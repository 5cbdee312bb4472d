//! batch-registrar: what senders get wrong is told and not retried.

use std::sync::Arc;

use bytes::Bytes;
use error_class::{Classified, ErrorClass};
use futures::FutureExt;
use ledger::JobNumber;
use storage::{
    Location, Objects, StorageError,
    memory::{Fault, Faulty, MemoryTables, Operation},
    objects::PutOptions,
};

use crate::kit::*;

#[tokio::test]
async fn a_batch_is_registered_and_its_job_started() {
    let world = World::new().await;
    let event = world.upload("orders", "b1", manifest("shop", 1)).await;
    world.deliver(&event).await.unwrap();
    world.deliver(&event).await.unwrap();
    assert_eq!(world.numbers().await, ["b1"]);
    let executions = world.workflows.executions();
    assert_eq!((executions.len(), executions[0].machine.as_str()), (1, "stateless"));
    assert_eq!((world.run().job, world.run().attempt), (JobNumber::new(1), 1));
}

#[tokio::test]
async fn an_event_without_a_version_takes_the_latest() {
    let world = World::new().await;
    let mut event = world.upload("orders", "b1", manifest("shop", 1)).await;
    event["detail"]["object"].as_object_mut().unwrap().remove("version-id").unwrap();
    world.deliver(&event).await.unwrap();
    assert_eq!(world.numbers().await, ["b1"]);
}

#[tokio::test]
async fn what_is_no_manifest_or_gone_is_left_alone() {
    let world = World::new().await;
    for key in
        ["acme/batches/orders/b1/events.csv", "batches/orders/UP/manifest.json", "acme/batches/orders/no/manifest.json"]
    {
        world.deliver(&event(key, None)).await.unwrap();
    }
    let event = world.upload("orders", "b1", manifest("shop", 1)).await;
    let at = Location::new("input", "acme/batches/orders/b1/manifest.json");
    world.objects.delete(&at, event["detail"]["object"]["version-id"].as_str()).await.unwrap();
    world.deliver(&event).await.unwrap();
    assert!(world.numbers().await.is_empty());
    assert_eq!(world.fault("b1").await, None);
}

#[tokio::test]
async fn what_the_sender_got_wrong_is_told_until_it_is_right() {
    let world = World::new().await;
    world.send("b1", manifest("shop", 1)).await;
    let no_object = {
        let mut manifest = manifest("shop", 3);
        manifest["objects"][0]["key"] = "none.csv".into();
        manifest
    };
    for (batch, wrong, said) in [
        ("b2", manifest("bank", 2).to_string(), "has no source \"bank\""),
        ("b3", manifest("shop", 1).to_string(), "has closed a part already"),
        ("b4", "{".to_owned(), "cannot be read: EOF"),
        ("b5", no_object.to_string(), "none.csv, which does not exist"),
        ("b6", format!("{}{}", manifest("shop", 4), " ".repeat(1024 * 1024)), "a manifest has at most 1048576"),
    ] {
        world.send(batch, wrong).await;
        let fault = world.fault(batch).await.unwrap();
        assert!(fault.reason.contains(said), "{batch}: {}", fault.reason);
    }
    assert_eq!(world.numbers().await, ["b1"]);
    world.clock.advance(std::time::Duration::from_secs(60));
    world.send("b2", manifest("shop", 2)).await;
    assert_eq!((world.numbers().await.len(), world.fault("b2").await), (2, None));
}

/// A manifest that says the same again, over objects that do not: their sender would take them for read.
#[tokio::test]
async fn the_same_manifest_over_other_content_is_told_and_the_batch_stays() {
    let world = World::new().await;
    world.send("b1", manifest("shop", 1)).await;
    world.clock.advance(std::time::Duration::from_secs(60));
    world.send("b1", manifest("shop", 1)).await;
    assert_eq!(world.fault("b1").await, None, "the same content");
    let pinned = world.book().batch(&ledger(), "b1").await.unwrap();
    let at = Location::new("input", "acme/batches/orders/b1/events.csv");
    let upload = async |body: &'static str| {
        world.clock.advance(std::time::Duration::from_secs(60));
        let event = world.upload("orders", "b1", manifest("shop", 1)).await;
        world.objects.put(&at, Bytes::from(body), PutOptions::default()).await.unwrap();
        world.deliver(&event).await.unwrap();
    };
    upload("id\n2\n").await;
    let reason = world.fault("b1").await.unwrap().reason;
    assert!(
        reason.starts_with("batch b1 was registered with other content: acme/batches/orders/b1/events.csv"),
        "{reason}"
    );
    assert_eq!((world.numbers().await.len(), world.book().batch(&ledger(), "b1").await.unwrap()), (1, pinned));
    world.clock.advance(std::time::Duration::from_secs(60));
    world.send("b1", manifest("shop", 1)).await;
    assert_eq!(world.fault("b1").await, None, "as it was");
    upload("longer than that\n").await;
    assert!(world.fault("b1").await.is_some());
    // What is gone was registered all the same.
    world.clock.advance(std::time::Duration::from_secs(60));
    let event = world.upload("orders", "b1", manifest("shop", 1)).await;
    world.objects.delete(&at, None).await.unwrap();
    world.deliver(&event).await.unwrap();
    assert_eq!(world.fault("b1").await, None);
    // Where the manifest says what the content is, other content makes another manifest.
    let mut said = manifest("shop", 2);
    said["objects"][0]["sha256"] = "0".repeat(64).into();
    world.send("b2", &said).await;
    said["objects"][0]["sha256"] = "1".repeat(64).into();
    world.clock.advance(std::time::Duration::from_secs(60));
    world.send("b2", &said).await;
    let reason = world.fault("b2").await.unwrap().reason;
    assert!(reason.contains("was registered with another manifest"), "{reason}");
}

#[tokio::test]
async fn an_unknown_ledger_is_told_and_taken_once_it_is_known() {
    let world = World::on(Arc::new(MemoryTables::default()));
    let event = world.upload("orders", "b1", manifest("shop", 1)).await;
    world.deliver(&event).await.unwrap();
    let fault = world.fault("b1").await.unwrap();
    assert!(fault.reason.contains("tieout ledger put"), "{}", fault.reason);
    assert_eq!(fault.expires_at, Some(fault.at.as_second() + 90 * 24 * 3600));
    world.put("orders").await;
    world.deliver(&event).await.unwrap();
    assert_eq!((world.numbers().await.len(), world.fault("b1").await), (1, None));
}

/// A wrong manifest whose event comes late does not speak against the right one that has been taken since; another one
/// that is uploaded later does.
#[tokio::test]
async fn a_fault_is_of_the_latest_manifest() {
    let world = World::new().await;
    let minute = std::time::Duration::from_secs(60);
    let wrong = world.upload("orders", "b1", manifest("bank", 1)).await;
    world.deliver(&wrong).await.unwrap();
    assert_eq!(world.fault("b1").await.unwrap().expires_at, None, "the ledger is known");
    world.clock.advance(minute);
    world.send("b1", manifest("shop", 1)).await;
    world.deliver(&wrong).await.unwrap();
    assert_eq!(world.fault("b1").await, None);
    world.clock.advance(minute);
    world.send("b1", manifest("shop", 2)).await;
    let fault = world.fault("b1").await.unwrap();
    assert!(fault.reason.contains("was registered with another manifest"), "{}", fault.reason);
    assert_eq!(world.numbers().await, ["b1"]);
}

#[tokio::test]
async fn what_a_store_got_wrong_is_tried_again_and_not_told() {
    let tables = Arc::new(MemoryTables::default());
    World::on(tables.clone()).put("orders").await;
    let faulty = Faulty::new(tables, |call: &Operation| {
        let error = StorageError::Unavailable { what: call.what.clone(), source: "the test".into() };
        (call.name == "transact").then_some(Fault::Refused(error))
    });
    let world = World::on(Arc::new(faulty));
    let event = world.upload("orders", "b1", manifest("shop", 1)).await;
    assert_eq!(world.deliver(&event).await.unwrap_err().class(), ErrorClass::Unavailable);
    assert_eq!(world.fault("b1").await, None);
}

/// A right manifest is taken between the look at what is known and the note that an earlier one was wrong.
#[tokio::test]
async fn a_fault_that_is_written_late_does_not_stand() {
    let tables = Arc::new(MemoryTables::default());
    let right = Arc::new(World::on(tables.clone()));
    right.put("orders").await;
    right.clock.advance(std::time::Duration::from_secs(60));
    let (racing, once) = (right.clone(), std::sync::Once::new());
    let faulty = Faulty::new(tables, move |call: &Operation| {
        if matches!(call.name, "transact" | "put") {
            once.call_once(|| {
                racing.send("b1", manifest("shop", 1)).now_or_never().unwrap();
            });
        }
        None
    });
    let wrong = World::on(Arc::new(faulty));
    wrong.send("b1", manifest("bank", 1)).await;
    assert_eq!((right.numbers().await, right.fault("b1").await), (vec!["b1".to_owned()], None));
}

/// S3 knows whole seconds: a wrong manifest that is uploaded in the second in which another was taken is told.
#[tokio::test]
async fn times_of_one_second_are_the_same() {
    let world = World::new().await;
    let wrong = world.upload("orders", "b1", manifest("shop", 2)).await;
    world.clock.advance(std::time::Duration::from_millis(700));
    world.send("b1", manifest("shop", 1)).await;
    world.deliver(&wrong).await.unwrap();
    assert!(world.fault("b1").await.unwrap().reason.contains("was registered with another manifest"));
}
