//! The AWS versions of the ports pass the suite that the in-memory ones pass, on the local stack.

use std::time::Duration;

use aws_adapters::{CacheConfig, Limits, ValkeyCache};
use e2e::{
    Stack, http,
    resources::{Bucket, Machine, OwnTables, Role, WaitingTask, verify_sender},
};
use storage::{
    Clock, Links, Location, Objects, StorageError, Tables, Workflows,
    clock::System,
    conformance,
    objects::{Piece, PutOptions},
};
use tokio::time::sleep;

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn objects() {
    let stack = Stack::connect().await;
    let bucket = Bucket::create(&stack).await;
    conformance::objects(&stack.session.objects(), &bucket.name, "a prefix").await;
    assert_eq!(bucket.uploads_under_way().await, 0, "an upload was left behind");
    bucket.delete().await;
}

/// The same laws when every object beyond a few MiB is written and copied in parts, as those of many GiB are.
#[tokio::test]
async fn objects_in_many_parts() {
    let limits = Limits { copy_part_bytes: 5 * MIB, write_part_bytes: 5 * 1024 * 1024, ..Limits::default() };
    let stack = Stack::connect().await;
    let bucket = Bucket::create(&stack).await;
    conformance::objects(&stack.session.objects_within(limits), &bucket.name, "a prefix").await;
    assert_eq!(bucket.uploads_under_way().await, 0, "an upload was left behind");
    bucket.delete().await;
}

#[tokio::test]
async fn tables() {
    let stack = Stack::connect().await;
    let tables = OwnTables::create(&stack).await;
    conformance::tables(&stack.session.tables(), &tables.names, "default").await;
    tables.delete().await;
}

#[tokio::test]
async fn cache() {
    let stack = Stack::connect().await;
    let host = stack.var("REDIS_HOST").expect("REDIS_HOST is not set: run `make up` first").to_owned();
    let port = stack.var("REDIS_PORT").and_then(|port| port.parse().ok()).unwrap_or(6379);
    let cache = ValkeyCache::new(CacheConfig { host, port, tls: false, password: None });
    let prefix = format!("conformance-{}", uuid::Uuid::new_v4());
    conformance::cache(&cache, &prefix, &|time| Box::pin(sleep(time))).await;
}

#[tokio::test]
async fn mail() {
    let stack = Stack::connect().await;
    verify_sender(&stack, "conformance@example.com").await;
    conformance::mail(&stack.session.mailer(), "conformance@example.com", "reader@example.com").await;
}

#[tokio::test]
async fn workflows() {
    let stack = Stack::connect().await;
    let machine = Machine::create(&stack).await;
    conformance::workflows(&stack.session.workflows(), &machine.arn, "conformance").await;
    machine.delete().await;
}

#[tokio::test]
async fn a_task_that_waits() {
    let stack = Stack::connect().await;
    let task = WaitingTask::start(&stack).await;
    conformance::waiting_task(&stack.session.workflows(), &task.token).await;
    let told: serde_json::Value = serde_json::from_str(&task.end().await.unwrap()).unwrap();
    assert_eq!(told, serde_json::json!({ "fence": 1 }));
}

#[tokio::test]
async fn links() {
    let stack = Stack::connect().await;
    let bucket = Bucket::create(&stack).await;
    conformance::links(&stack.session.links(None), &System, &bucket.name).await;
    bucket.delete().await;
}

#[tokio::test]
async fn links_of_an_assumed_role() {
    let stack = Stack::connect().await;
    let bucket = Bucket::create(&stack).await;
    let role = Role::create(&stack).await;
    let links = stack.session.links(Some(role.arn.clone()));
    conformance::links(&links, &System, &bucket.name).await;
    let month = Duration::from_secs(30 * 24 * 3600);
    let link = links.sign(&Location::new(&bucket.name, "object"), month).await.unwrap();
    let session_end = System.now() + Duration::from_secs(3600);
    assert!(link.expires_at <= session_end, "{} is later than {session_end}", link.expires_at);
    role.delete().await;
    bucket.delete().await;
}

/// A link gives the bytes of its object, whatever its key, and is dead when it says so.
#[tokio::test]
async fn a_link_works_until_it_expires() {
    let stack = Stack::connect().await;
    let bucket = Bucket::create(&stack).await;
    let at = Location::new(&bucket.name, "default/runs/a b+ü/100%.csv");
    stack.session.objects().put(&at, "bytes".into(), PutOptions::default()).await.unwrap();
    let link = stack.session.links(None).sign(&at, Duration::from_secs(3)).await.unwrap();
    let (status, body) = http::get(&link.url).await;
    assert_eq!((status, body.as_str()), (200, "bytes"));
    sleep(Duration::from_secs(4)).await;
    assert_eq!(http::get(&link.url).await.0, 403);
    bucket.delete().await;
}

/// What is not there, or not as it was said to be, is told by its full address.
#[tokio::test]
async fn errors_name_what_they_are_about() {
    let stack = Stack::connect().await;
    let nowhere = Location::new("conformance-no-such-bucket", "key");
    let session = &stack.session;
    let errors = [
        session.objects().head(&nowhere, None).await.map(drop),
        session.objects().read(&nowhere, None, None).await.map(drop),
        session.objects().put(&nowhere, "bytes".into(), PutOptions::default()).await.map(drop),
        session.tables().get("conformance-no-such-table", &storage::Key::of("a")).await.map(drop),
        session
            .workflows()
            .start("arn:aws:states:eu-central-1:000000000000:stateMachine:none", "a", "{}")
            .await
            .map(drop),
    ];
    let whats = ["s3://conformance-no-such-bucket/key"; 3]
        .into_iter()
        .chain(["conformance-no-such-table/a", "arn:aws:states:eu-central-1:000000000000:stateMachine:none"]);
    for (error, what) in errors.into_iter().zip(whats) {
        assert!(matches!(&error, Err(StorageError::NotFound { what: found }) if found == what), "{error:?}");
    }
}

/// A concatenation whose last piece fails leaves no upload behind.
#[tokio::test]
async fn a_failed_concatenation_is_cleaned_up() {
    let stack = Stack::connect().await;
    let bucket = Bucket::create(&stack).await;
    let objects = stack.session.objects();
    let large = Location::new(&bucket.name, "large");
    objects.put(&large, vec![1; 6 * MIB as usize].into(), PutOptions::default()).await.unwrap();
    let pieces = [
        Piece::Object { location: large, bytes: 6 * MIB },
        Piece::Object { location: Location::new(&bucket.name, "missing"), bytes: 10 },
    ];
    let to = Location::new(&bucket.name, "whole");
    objects.concatenate(&pieces, &to, PutOptions::default()).await.unwrap_err();
    assert_eq!(bucket.uploads_under_way().await, 0);
    bucket.delete().await;
}
