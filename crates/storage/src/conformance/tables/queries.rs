//! The laws of queries.

use serde_json::{Value, json};

use super::{Space, is_invalid, with_key};
use crate::{
    Item, Key, Tables,
    conformance::check,
    tables::{Query, Update},
};

pub(super) async fn checks(tables: &dyn Tables, space: &Space) {
    check!(tables, space =>
        a_query_has_its_partition_in_sort_order,
        a_prefix_is_of_the_sort_key,
        pages_join_to_the_whole,
        big_partitions_come_in_pages,
        a_query_sees_the_latest_writes,
        an_index_has_its_items_in_its_order,
        an_index_follows_its_items,
        pages_of_an_index_join_to_the_whole,
        a_query_for_nothing_is_refused,
    );
}

fn query(space: &Space) -> Query {
    Query { table: space.sorted().to_owned(), partition: space.partition.clone(), ..Query::default() }
}

fn index_query(space: &Space) -> Query {
    Query { index: Some(space.names.index.clone()), ..query(space) }
}

/// All items of a query, page by page.
async fn all(tables: &dyn Tables, mut query: Query) -> Vec<Item> {
    let mut items = Vec::new();
    loop {
        let page = tables.query(&query).await.unwrap();
        assert!(query.limit.is_none_or(|limit| page.items.len() <= limit));
        items.extend(page.items);
        query.from = page.next;
        if query.from.is_none() {
            return items;
        }
    }
}

fn sorts(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item["sk"].as_str().unwrap()).collect()
}

async fn put_all(tables: &dyn Tables, space: &Space, sorts: &[&str]) {
    let items = sorts.iter().map(|sort| space.item(sort, json!({ "sort": sort }))).collect();
    tables.put_many(space.sorted(), items).await.unwrap();
}

/// Every item of the partition and of no other, whole, by the bytes of the sort key, either way.
async fn a_query_has_its_partition_in_sort_order(tables: &dyn Tables, space: &Space) {
    let mut names = ["b", "a", "B", "10", "9", "a b", "ä", "z", "日", "🦀", "a#1", "a-1"];
    put_all(tables, space, &names).await;
    put_all(tables, &space.below("other"), &["a", "0"]).await;
    names.sort_unstable();
    let found = all(tables, query(space)).await;
    assert_eq!(sorts(&found), names);
    assert!(found.iter().zip(names).all(|(item, name)| *item == space.item(name, json!({ "sort": name }))));
    names.reverse();
    assert_eq!(sorts(&all(tables, Query { descending: true, ..query(space) }).await), names);
    assert!(all(tables, query(&space.below("none"))).await.is_empty());
}

/// A prefix takes the sort keys that begin so, and only those.
async fn a_prefix_is_of_the_sort_key(tables: &dyn Tables, space: &Space) {
    put_all(tables, space, &["chunk", "chunk#1", "chunk#2", "chunk#10", "chunks", "chun", "run", "100%", "100_"]).await;
    let with = |prefix: &str| Query { sort_prefix: Some(prefix.to_owned()), ..query(space) };
    assert_eq!(sorts(&all(tables, with("chunk#")).await), ["chunk#1", "chunk#10", "chunk#2"]);
    assert_eq!(sorts(&all(tables, with("100%")).await), ["100%"]);
    let descending = Query { descending: true, ..with("chunk#1") };
    assert_eq!(sorts(&all(tables, descending).await), ["chunk#10", "chunk#1"]);
    assert!(all(tables, with("x")).await.is_empty());
    assert_eq!(all(tables, with("c")).await.len(), 6);
    assert_eq!(all(tables, with("")).await.len(), 9);
}

/// Pages of any size, either way and below a prefix, join to the whole: nothing twice, nothing missing.
async fn pages_join_to_the_whole(tables: &dyn Tables, space: &Space) {
    let names: Vec<_> = (0..23).map(|number| format!("item-{number:02}")).collect();
    put_all(tables, space, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    put_all(tables, space, &["a", "z"]).await;
    let whole = Query { sort_prefix: Some("item-".to_owned()), ..query(space) };
    for limit in [1, 7, 22, 23, 24, 100] {
        let paged = Query { limit: Some(limit), ..whole.clone() };
        assert_eq!(sorts(&all(tables, paged.clone()).await), names);
        let descending = all(tables, Query { descending: true, ..paged }).await;
        assert!(sorts(&descending).into_iter().rev().eq(names.iter().map(String::as_str)));
    }
}

/// A partition larger than one page (1 MiB) is read whole by following the pages.
async fn big_partitions_come_in_pages(tables: &dyn Tables, space: &Space) {
    let names: Vec<_> = (0..12).map(|number| format!("{number:02}")).collect();
    let items = names.iter().map(|name| space.item(name, json!({ "x": "x".repeat(200_000) }))).collect();
    tables.put_many(space.sorted(), items).await.unwrap();
    let first = tables.query(&query(space)).await.unwrap();
    assert!(first.next.is_some() && first.items.len() < names.len(), "{} items in a page", first.items.len());
    assert_eq!(sorts(&all(tables, query(space)).await), names);
}

/// A query of the table sees what was just put, changed and deleted.
async fn a_query_sees_the_latest_writes(tables: &dyn Tables, space: &Space) {
    for round in 0..10 {
        let name = format!("{round:02}");
        put_all(tables, space, &[&name, "changed", "deleted"]).await;
        let set = Update { set: vec![("round".to_owned(), json!(round))], ..Update::default() };
        tables.update(space.sorted(), &space.key("changed"), set, crate::Condition::Always).await.unwrap();
        tables.delete(space.sorted(), &space.key("deleted"), crate::Condition::Always).await.unwrap();
        let found = all(tables, query(space)).await;
        assert_eq!(found.len(), round + 2);
        assert_eq!(found.last().unwrap()["round"], json!(round));
    }
}

/// An item under a key of its own, which the index `space` finds by `indexed`.
fn indexed_item(space: &Space, name: &str, indexed: &str) -> Item {
    let index = &space.names.index;
    let attributes: Value = json!({
        (format!("{index}_pk")): space.partition, (format!("{index}_sk")): indexed, "kept": [name],
    });
    with_key(&own_key(space, name), attributes)
}

fn own_key(space: &Space, name: &str) -> Key {
    Key::sorted(format!("{}#{name}", space.partition), "run")
}

/// The names of the items, from their keys.
fn names(space: &Space, items: &[Item]) -> Vec<String> {
    let cut = space.partition.len() + 1;
    items.iter().map(|item| item["pk"].as_str().unwrap()[cut..].to_owned()).collect()
}

/// Asks an index, which is only eventually consistent, until it says what is expected or 5 seconds are over.
async fn eventually(tables: &dyn Tables, space: &Space, query: Query, expected: &[&str]) -> Vec<Item> {
    let mut found = all(tables, query.clone()).await;
    for _ in 0..50 {
        if names(space, &found) == expected {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        found = all(tables, query.clone()).await;
    }
    assert_eq!(names(space, &found), expected);
    found
}

/// An index has the items that have its attributes, whole, in its own order, whatever their partitions.
async fn an_index_has_its_items_in_its_order(tables: &dyn Tables, space: &Space) {
    let items = [("x", "2026-01-03"), ("y", "2026-01-01"), ("z", "2026-02-01")];
    let items = items.map(|(name, indexed)| indexed_item(space, name, indexed));
    let outside = with_key(&own_key(space, "outside"), json!({}));
    tables.put_many(space.sorted(), items.iter().cloned().chain([outside]).collect()).await.unwrap();
    let found = eventually(tables, space, index_query(space), &["y", "x", "z"]).await;
    assert_eq!(found, [1, 0, 2].map(|number: usize| items[number].clone()));
    let january = Query { sort_prefix: Some("2026-01".to_owned()), descending: true, ..index_query(space) };
    eventually(tables, space, january, &["x", "y"]).await;
}

/// An item leaves an index with its attributes, and moves in it when they change.
async fn an_index_follows_its_items(tables: &dyn Tables, space: &Space) {
    let items = [("x", "1"), ("y", "2"), ("z", "3")].map(|(name, indexed)| indexed_item(space, name, indexed));
    tables.put_many(space.sorted(), items.to_vec()).await.unwrap();
    let sort = format!("{}_sk", space.names.index);
    let moved = Update { set: vec![(sort.clone(), json!("9"))], ..Update::default() };
    let removed = Update { remove: vec![sort], ..Update::default() };
    for (name, update) in [("x", moved), ("y", removed)] {
        tables.update(space.sorted(), &own_key(space, name), update, crate::Condition::Present).await.unwrap();
    }
    eventually(tables, space, index_query(space), &["z", "x"]).await;
}

/// Items that share a sort key of an index are all found, whatever the page size.
async fn pages_of_an_index_join_to_the_whole(tables: &dyn Tables, space: &Space) {
    let items: Vec<_> = (0..9)
        .map(|number| indexed_item(space, &format!("run-{number}"), if number < 6 { "same" } else { "later" }))
        .collect();
    tables.put_many(space.sorted(), items.clone()).await.unwrap();
    for limit in [1, 2, 5, 9, 20] {
        for descending in [false, true] {
            let paged = Query { limit: Some(limit), descending, ..index_query(space) };
            let mut found = names(space, &all(tables, paged).await);
            found.sort_unstable();
            let expected: Vec<_> = (0..9).map(|number| format!("run-{number}")).collect();
            assert_eq!(found, expected, "pages of {limit}");
        }
    }
}

/// A page of no items is `Invalid`: it would never end.
async fn a_query_for_nothing_is_refused(tables: &dyn Tables, space: &Space) {
    let refused = tables.query(&Query { limit: Some(0), ..query(space) }).await;
    assert!(is_invalid(&refused), "{refused:?}");
}
