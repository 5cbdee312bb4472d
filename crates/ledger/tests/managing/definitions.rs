//! Definitions of a ledger that has batches.

use std::sync::Arc;

use error_class::{Classified, ErrorClass};
use futures::FutureExt;
use ledger::{Definition, Interval, JobNumber, LedgerError, Rules, definitions::Definitions, watermark::Exception};
use serde_json::{Value, json};
use storage::{
    Clock,
    memory::{Faulty, MemoryTables, Operation},
};

use crate::kit::*;

/// A manager that has read the definition long ago makes no job under it once there is one under a later version.
#[tokio::test]
async fn definitions_never_go_back_along_the_jobs() {
    let world = World::new().await;
    let definitions = Definitions::new(world.tables.clone(), "ledgers", Rules::default());
    let (slow, old) = (world.backlog(), definitions.terms(&ledger()).await.unwrap());
    let mut titled = definition("orders");
    titled.title = Some("Orders".to_owned());
    definitions.put("acme", &titled).await.unwrap();
    world.send("b1", manifest("shop", 1)).await;
    assert_eq!(world.job(1).await.definition, 2);
    world.put_batch_only("b2", 2).await;
    assert!(slow.tick(&old).await.unwrap().stale);
    assert_eq!(world.book().job(&ledger(), JobNumber::new(2)).await.unwrap(), None);
    let refused = slow.skip(&old, "b2", "wrong").await.unwrap_err();
    assert_eq!(refused.class(), ErrorClass::Throttled, "{refused}");
    slow.move_on(&old, &definitions).await.unwrap();
    assert_eq!(world.job(2).await.definition, 2, "it has read the definition again");
}

fn with_measures(change: &Value) -> Definition {
    let mut document = json!(definition("orders"));
    document["events"]["fields"] = json!([
        { "name": "id" }, { "name": "event" }, { "name": "time", "type": "datetime" }, { "name": "kind" },
        { "name": "net", "type": "number" }, { "name": "gross", "type": "number" }, { "name": "currency" }]);
    document["amounts"] = json!([{ "column": "net", "currency": "EUR" }, { "column": "gross", "currency": "EUR" }]);
    document["measures"] = json!({ "paid": { "measure": "sum", "column": "net" }, "events": { "measure": "count" } });
    document["attributes"] = json!({ "kind": "kind" });
    for (path, value) in change.as_object().unwrap() {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap();
        match (value, parent) {
            (Value::Null, Value::Object(members)) => drop(members.remove(name)),
            (value, Value::Object(members)) => drop(members.insert(name.to_owned(), value.clone())),
            (value, parent) => parent[name.parse::<usize>().unwrap()] = value.clone(),
        }
    }
    Definition::from_json(&document.to_string()).unwrap()
}

#[tokio::test]
async fn what_a_name_means_stays_once_there_are_batches() {
    let world = World::new().await;
    let definitions = Definitions::new(world.tables.clone(), "ledgers", Rules::default());
    let put = async |change: Value| definitions.put("acme", &with_measures(&change)).await;
    put(json!({ "/measures/paid": { "measure": "max", "column": "gross" } })).await.unwrap();
    put(json!({})).await.unwrap();
    world.send("b1", manifest("shop", 1)).await;
    for (change, said) in [
        (json!({ "/measures/paid/measure": "min" }), "measure \"paid\" had another kind: take a new name"),
        (json!({ "/measures/paid/column": "gross" }), "measure \"paid\" had another column: take a new name"),
        (json!({ "/measures/events/where": { "kind": "invoice" } }), "measure \"events\" had another filter"),
        (json!({ "/amounts/0/currency": "USD" }), "measure \"paid\" had another currency: take a new name"),
        (json!({ "/attributes/kind": "currency" }), "attribute \"kind\" had another column: take a new name"),
        (json!({ "/events/fields/3/type": "number" }), "column \"kind\" had another type (string): take a new name"),
        (json!({ "/events/fields/2/type": "date" }), "column \"time\" had another type (datetime)"),
    ] {
        let error = put(change).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::InvalidInput);
        assert!(error.to_string().contains(said), "{error}");
    }
    // Whole numbers are numbers, and nothing is made of the column `gross` but a sum for control.
    put(json!({ "/events/fields/4/type": "integer" })).await.unwrap();
    put(json!({})).await.unwrap();
    put(json!({ "/amounts": [{ "column": "net", "currency": "EUR" }], "/events/fields/5/type": "string" }))
        .await
        .unwrap();
    put(json!({})).await.unwrap();
    // What no measure is made of may change, and names may be left out; they are not used again, though.
    put(json!({ "/amounts/1/currency": "USD", "/measures/events": null, "/attributes/kind": null })).await.unwrap();
    put(json!({ "/measures/events": null, "/attributes": {}, "/measures/all": { "measure": "count" } })).await.unwrap();
    let error = put(json!({ "/attributes": {} })).await.unwrap_err();
    assert!(error.to_string().contains("measure \"events\" was left out after version 7: take a new name"), "{error}");
    let error = put(json!({ "/measures/events": null })).await.unwrap_err();
    assert!(error.to_string().contains("attribute \"kind\" was left out after version 7"), "{error}");
}

/// The watermark goes by the sources: one that has batches stays as it is, unless that is asked for.
#[tokio::test]
async fn sources_with_batches_are_moved_or_left_out_only_when_asked() {
    let world = World::new().await;
    let definitions = Definitions::new(world.tables.clone(), "ledgers", Rules::default());
    let of = |sources: Value| {
        let mut document = json!(definition("orders"));
        document["sources"] = sources;
        Definition::from_json(&document.to_string()).unwrap()
    };
    let (old, new) = ("1970-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    definitions.put("acme", &of(json!({ "shop": old, "bank": old, "till": old }))).await.unwrap();
    definitions.put("acme", &of(json!({ "shop": "2026-01-01T00:00:00Z", "bank": new }))).await.unwrap();
    world.send("b1", manifest("shop", 1)).await;
    definitions.put("acme", &of(json!({ "shop": "2026-01-01T00:00:00Z", "bank": old }))).await.unwrap();
    let watermark = async || {
        let terms = definitions.terms(&ledger()).await.unwrap();
        world.backlog().completeness(&terms).await.unwrap().watermark.unwrap().to_string()
    };
    let signed = Exception {
        interval: Interval::new(old.parse().unwrap(), new.parse().unwrap()).unwrap(),
        signed_by: "ada".to_owned(),
        reason: "it was closed".to_owned(),
        signed_at: world.clock.now(),
    };
    world.backlog().sign(&definitions.terms(&ledger()).await.unwrap(), "bank", &signed).await.unwrap();
    assert_eq!(watermark().await, "2026-01-01T00:00:00Z");
    for (sources, says) in [
        (
            json!({ "shop": old, "bank": old }),
            format!("\"shop\" of ledger acme/orders has batches or signatures, and would begin at {old}"),
        ),
        (json!({ "bank": old }), "would be none of its sources any more".to_owned()),
        (json!({ "shop": "2026-01-01T00:00:00Z" }), "\"bank\" of ledger".to_owned()),
    ] {
        let error = definitions.put("acme", &of(sources)).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::InvalidInput);
        assert!(error.to_string().contains(&says), "{error}");
        assert_eq!(watermark().await, "2026-01-01T00:00:00Z");
    }
    definitions.put_moving_sources("acme", &of(json!({ "bank": old }))).await.unwrap();
    assert_eq!(watermark().await, new);
}

/// The first batch comes between the look whether there is one and the write that only a ledger, or a source, without
/// one allows.
#[tokio::test]
async fn what_is_fixed_cannot_change_while_the_first_batch_comes() {
    let mut otherwise_keyed = definition("orders");
    otherwise_keyed.event_id = "time".to_owned();
    let mut otherwise_sent = json!(definition("orders"));
    otherwise_sent["sources"] = json!({ "bank": "1970-01-01T00:00:00Z" });
    let otherwise_sent = Definition::from_json(&otherwise_sent.to_string()).unwrap();
    for (other, is_source) in [(otherwise_keyed, false), (otherwise_sent, true)] {
        let tables = Arc::new(MemoryTables::default());
        let first = Arc::new(World::on(tables.clone()));
        first.put("orders").await;
        let (racing, once) = (first.clone(), std::sync::Once::new());
        let faulty = Faulty::new(tables, move |call: &Operation| {
            if call.name == "transact" {
                once.call_once(|| {
                    racing.send("b1", manifest("shop", 1)).now_or_never().unwrap();
                });
            }
            None
        });
        let definitions = Definitions::new(Arc::new(faulty), "ledgers", Rules::default());
        let contended = definitions.put("acme", &other).await;
        assert!(matches!(contended, Err(LedgerError::DefinitionContended(_))), "{contended:?}");
        let refused = definitions.put("acme", &other).await.unwrap_err();
        match is_source {
            true => assert!(matches!(refused, LedgerError::SourceInUse { .. }), "{refused}"),
            false => assert!(matches!(refused, LedgerError::DefinitionFixed { .. }), "{refused}"),
        }
        assert_eq!(first.job(1).await.definition, 1);
    }
}

/// What changes before the first batch binds the first job, too, whoever has read the definition before.
#[tokio::test]
async fn no_job_goes_by_what_was_changed_before_there_was_a_batch() {
    let world = World::new().await;
    let definitions = Definitions::new(world.tables.clone(), "ledgers", Rules::default());
    let old = definitions.terms(&ledger()).await.unwrap();
    let mut other = definition("orders");
    other.event_id = "time".to_owned();
    definitions.put("acme", &other).await.unwrap();
    world.put_batch_only("b1", 1).await;
    assert!(world.backlog().tick(&old).await.unwrap().stale);
    assert_eq!(world.book().job(&ledger(), JobNumber::new(1)).await.unwrap(), None);
}
