//! The same content counts once, however it is called and whoever sends it at the same time.

use futures::FutureExt;

use super::*;

fn of_content(mut manifest: Value, content: &str) -> Value {
    let mut hash = ledger::manifest::ContentHash::default();
    hash.update(content.as_bytes());
    manifest["objects"][0]["sha256"] = hash.finish().into();
    manifest
}

#[tokio::test]
async fn the_same_content_counts_once_unless_it_is_meant() {
    let world = World::new();
    let late = |content: &str| with(of_content(manifest(0, 1), content), "correction", "late");
    assert_eq!(world.send("b1", &of_content(manifest(0, 1), "x")).await.unwrap(), numbered(1));
    assert_eq!(world.send("b1", &of_content(manifest(0, 1), "x")).await.unwrap(), again(1), "it is the same batch");
    let told = world.refused("late", &late("x")).await;
    assert!(told.starts_with("events.csv of batch late has the content of events.csv of batch b1, whose"), "{told}");
    assert!(told.ends_with("the manifest says why in `again`"), "{told}");
    let empty = world.refused("late", &with(late("x"), "again", " ")).await;
    assert!(empty.contains("must say why it is to count once more"), "{empty}");
    // What was not taken is nobody's: neither its name nor its content.
    assert_eq!(world.send("late", &late("y")).await.unwrap(), numbered(2));
    assert_eq!(world.send("meant", &with(late("x"), "again", "a second fee")).await.unwrap(), numbered(3));
    // A file without events is like every other.
    let mut quiet = with(of_content(manifest(1, 2), "header"), "totals", json!({ "records": 0 }));
    quiet["objects"][0]["records"] = 0.into();
    assert_eq!(world.send("quiet", &quiet).await.unwrap(), numbered(4));
    quiet["interval"] = json!({ "from": hour(2), "to": hour(3) });
    assert_eq!(world.send("quiet-2", &quiet).await.unwrap(), numbered(5));
    // Nothing of a batch that was taken out is in the ledger.
    let (manager, terms) = (world.manager(), &world.terms);
    manager.tick(terms).await.unwrap();
    manager.skip(terms, "late", "wrong").await.unwrap();
    let next = world.book().head(&terms.ledger).await.unwrap().next;
    assert_eq!(world.send("late-2", &late("y")).await.unwrap(), numbered(next.get()));
}

#[tokio::test]
async fn where_the_artifact_keeps_its_ids_the_same_content_does_no_harm() {
    let mut world = World::new();
    world.terms.duplicates = DuplicateScope::Artifact;
    world.send("b1", &of_content(manifest(0, 1), "x")).await.unwrap();
    let late = with(of_content(manifest(0, 1), "x"), "correction", "late");
    assert_eq!(world.send("late", &late).await.unwrap(), numbered(2));
}

/// Eight registrars at once, each with another batch of the same content, and calls that fail: one of them is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_the_same_content_registered_at_once_one_is_taken() {
    for round in 0..20 {
        let calls = AtomicU64::new(round);
        let plan = move |call: &Operation| {
            let error = || StorageError::Unavailable { what: call.what.clone(), source: "the test".into() };
            match calls.fetch_add(1, Ordering::Relaxed) % 34 {
                3 => Some(Fault::Refused(error())),
                20 => Some(Fault::ReplyLost(error())),
                _ => None,
            }
        };
        let world = Arc::new(World::on(Arc::new(Faulty::new(Arc::new(MemoryTables::default()), plan))));
        let register = |batch: i64| {
            let world = world.clone();
            async move {
                let manifest = of_content(manifest(batch, batch + 1), "x");
                loop {
                    match world.send(&format!("b{batch}"), &manifest).await {
                        Ok(Registered::Numbered { .. }) => break true,
                        Err(RegisterError::SameContent { .. }) => break false,
                        Err(error) if error.class() != ErrorClass::InvalidInput => tokio::task::yield_now().await,
                        other => panic!("{other:?}"),
                    }
                }
            }
        };
        let threads: Vec<_> = (0..8).map(|batch| tokio::spawn(register(batch))).collect();
        let mut taken = 0;
        for thread in threads {
            taken += u32::from(thread.await.unwrap());
        }
        assert_eq!(taken, 1, "round {round}");
    }
}

/// Two worlds over the same stores. In the second, `racing` runs before the calls of this name, and is told how many there
/// were already.
fn raced(name: &'static str, racing: impl Fn(&World, u64) + Send + Sync + 'static) -> World {
    let (tables, calls) = (Arc::new(MemoryTables::default()), AtomicU64::new(0));
    let other = World::on(tables.clone());
    let objects = other.objects.clone();
    let plan = move |call: &Operation| {
        if call.name == name {
            racing(&other, calls.fetch_add(1, Ordering::Relaxed));
        }
        None
    };
    World::of(objects, Arc::new(Faulty::new(tables, plan)))
}

fn send_now(world: &World, batch: &str, manifest: &Value) -> Registered {
    world.send(batch, manifest).now_or_never().unwrap().unwrap()
}

/// Something else comes each time.
fn send_other(world: &World, number: u64) {
    let hour = i64::try_from(number).unwrap();
    let other = of_content(manifest(hour, hour + 1), &format!("other {hour}"));
    assert_eq!(send_now(world, &format!("other-{hour}"), &other), numbered(number + 1));
}

/// To look at all of a batch's objects again takes so long that the next batch has come by then.
#[tokio::test]
async fn a_registration_that_others_forestall_compares_its_content_once() {
    const OBJECTS: u64 = 50;
    const OTHERS: u64 = 9;
    let mut world = raced("transact", |world, before| {
        if before < OTHERS {
            send_other(world, before);
        }
    });
    let queries = Arc::new(AtomicU64::new(0));
    let count = queries.clone();
    let counted = move |call: &Operation| {
        count.fetch_add(u64::from(call.name == "query"), Ordering::Relaxed);
        None
    };
    world = World::of(world.objects, Arc::new(Faulty::new(world.tables, counted)));
    let mut batch = with(manifest(20, 21), "totals", json!({ "records": OBJECTS }));
    batch["objects"] = json!([]);
    for number in 0..OBJECTS {
        let key = format!("events-{number}.csv");
        let at = Location::new("input", format!("acme/batches/orders/b1/{key}"));
        world.objects.put(&at, Bytes::from("id\n1\n"), PutOptions::default()).await.unwrap();
        let object = of_content(json!({ "objects": [{ "key": key, "records": 1 }] }), &number.to_string());
        batch["objects"].as_array_mut().unwrap().push(object["objects"][0].clone());
    }
    assert_eq!(world.send("b1", &batch).await.unwrap(), numbered(OTHERS + 1));
    assert_eq!(queries.load(Ordering::Relaxed), OBJECTS);
}

/// What it did not find when it looked is found when it tries again, and so is the batch itself.
#[tokio::test]
async fn content_that_is_taken_between_look_and_write_is_found() {
    let same = |hours: i64| of_content(manifest(hours, hours + 1), "x");
    let world = raced("transact", move |world, before| {
        if before == 0 {
            send_other(world, 0);
            send_now(world, "first", &same(8));
        }
    });
    let told = world.refused("b1", &same(20)).await;
    assert!(told.starts_with("events.csv of batch b1 has the content of events.csv of batch first, whose"), "{told}");

    // Taken and taken out again, it is in nobody's way.
    let world = raced("transact", move |world, before| {
        if before == 0 {
            send_now(world, "first", &same(8));
            let (manager, terms) = (world.manager(), &world.terms);
            manager.tick(terms).now_or_never().unwrap().unwrap();
            manager.skip(terms, "first", "wrong").now_or_never().unwrap().unwrap();
        }
    });
    assert_eq!(world.send("b1", &same(20)).await.unwrap(), numbered(2));

    let world = raced("transact", move |world, before| {
        if before == 0 {
            assert_eq!(send_now(world, "b1", &same(20)), numbered(1));
        }
    });
    assert_eq!(world.send("b1", &same(20)).await.unwrap(), again(1));
}

/// However many others are registered meanwhile, the sender is told what is wrong with his batch, at once.
#[tokio::test]
async fn content_that_was_taken_is_told_while_others_come() {
    let same = |hours: i64| of_content(manifest(hours, hours + 1), "x");
    let world = raced("query", move |world, before| match before {
        0 => assert_eq!(send_now(world, "first", &same(50)), numbered(1)),
        _ => send_other(world, before),
    });
    let told = world.refused("b1", &same(60)).await;
    assert!(told.starts_with("events.csv of batch b1 has the content of events.csv of batch first, whose"), "{told}");
}
