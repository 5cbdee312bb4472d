//! The in-memory versions of the ports pass the suite.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use storage::{
    clock::System,
    conformance::{self, TestTables},
    memory::{
        ManualClock, MemoryCache, MemoryLinks, MemoryMailer, MemoryObjects, MemoryQueues, MemoryTables, MemoryWorkflows,
    },
};

#[tokio::test]
async fn objects() {
    conformance::objects(&MemoryObjects::default(), "bucket", "a prefix").await;
}

#[tokio::test]
async fn objects_in_small_pieces() {
    conformance::objects(&MemoryObjects::default().with_piece_bytes(4099), "bucket", "a prefix").await;
}

#[tokio::test]
async fn tables() {
    let names = TestTables { sorted: "sorted".to_owned(), plain: "plain".to_owned(), index: "by_start".to_owned() };
    conformance::tables(&MemoryTables::default(), &names, "default").await;
}

#[tokio::test]
async fn cache() {
    let clock = Arc::new(ManualClock::default());
    let cache = MemoryCache::new(clock.clone());
    let pass = move |time: Duration| {
        clock.advance(time);
        futures::future::ready(()).boxed()
    };
    conformance::cache(&cache, "default", &pass).await;
}

#[tokio::test]
async fn mail() {
    conformance::mail(&MemoryMailer::default(), "tieout@example.com", "reader@example.com").await;
}

#[tokio::test]
async fn queues() {
    conformance::queues(&MemoryQueues::default(), "queue").await;
}

#[tokio::test]
async fn workflows() {
    let workflows = MemoryWorkflows::default();
    conformance::workflows(&workflows, "machine", "test").await;
    workflows.wait("token");
    conformance::waiting_task(&workflows, "token").await;
}

#[tokio::test]
async fn links() {
    conformance::links(&MemoryLinks::default(), &System, "bucket").await;
}
