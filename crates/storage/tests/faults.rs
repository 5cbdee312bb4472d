//! Faults strike when and how the plan says, and leave what they say.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures::StreamExt;
use storage::{
    Condition, Key, Location, Objects, StorageError, Tables,
    memory::{Fault, Faulty, MemoryObjects, MemoryTables, Operation},
    objects::{PutOptions, read_all},
    tables::Outcome,
};

fn unavailable(operation: &Operation) -> StorageError {
    StorageError::Unavailable { what: operation.what.clone(), source: operation.name.into() }
}

fn at(key: &str) -> Location {
    Location::new("bucket", key)
}

#[tokio::test]
async fn a_refused_call_does_nothing_and_names_its_object() {
    let inner = Arc::new(MemoryObjects::default());
    let faulty = Faulty::new(inner.clone(), |call| (call.name == "put").then(|| Fault::Refused(unavailable(call))));
    let refused = faulty.put(&at("key"), Bytes::from_static(b"x"), PutOptions::default()).await.unwrap_err();
    assert_eq!(refused.to_string(), "s3://bucket/key is unavailable");
    assert!(matches!(inner.head(&at("key"), None).await, Err(StorageError::NotFound { .. })));
}

#[tokio::test]
async fn a_lost_reply_loses_nothing_else() {
    let inner: Arc<dyn Tables> = Arc::new(MemoryTables::default());
    let calls = AtomicUsize::new(0);
    let first = move |call: &Operation| {
        (calls.fetch_add(1, Ordering::Relaxed) == 0).then(|| Fault::ReplyLost(unavailable(call)))
    };
    let faulty = Faulty::new(inner, first);
    let item = Key::of("a").attributes();
    assert!(faulty.put("table", item.clone(), Condition::Absent).await.is_err());
    let again = faulty.put("table", item.clone(), Condition::Absent).await.unwrap();
    assert_eq!(again, Outcome::Refused(Some(item)));
}

#[tokio::test]
async fn a_stream_breaks_off_before_its_last_piece() {
    let inner = Arc::new(MemoryObjects::default().with_piece_bytes(4));
    let faulty = Faulty::new(inner, |call| (call.name == "read").then(|| Fault::ReplyLost(unavailable(call))));
    for (bytes, arrived) in [("0123456789", 2), ("0123", 0), ("", 0)] {
        faulty.put(&at("key"), Bytes::from(bytes), PutOptions::default()).await.unwrap();
        let pieces: Vec<_> = faulty.read(&at("key"), None, None).await.unwrap().collect().await;
        assert_eq!(pieces.len(), arrived + 1);
        assert!(pieces[..arrived].iter().all(Result::is_ok) && pieces[arrived].is_err());
        let stream = faulty.read(&at("key"), None, None).await.unwrap();
        assert!(read_all(stream, &at("key"), 100).await.is_err());
    }
}

#[tokio::test]
async fn a_writer_fails_call_by_call() {
    let inner = Arc::new(MemoryObjects::default());
    let faulty = Faulty::new(inner.clone(), |call| (call.name == "finish").then(|| Fault::Refused(unavailable(call))));
    let mut writer = faulty.writer(&at("key"), PutOptions::default()).await.unwrap();
    writer.write(Bytes::from_static(b"bytes")).await.unwrap();
    assert!(writer.finish().await.is_err());
    assert!(inner.head(&at("key"), None).await.is_err());
}
