//! The local-disk versions of the ports pass the suite, and keep what was written for the next process.

#![expect(clippy::unwrap_used, reason = "a test ends there")]

use bytes::Bytes;
use disk_adapters::{DiskObjects, DiskTables};
use serde_json::{Value, json};
use storage::{
    Condition, Item, Key, Location, Objects, StorageError, Tables,
    conformance::{self, TestTables},
    objects::{PutOptions, read_all},
};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn objects() {
    let folder = folder();
    conformance::objects(&DiskObjects::new(folder.path()).unwrap(), "bucket", "a prefix").await;
}

#[tokio::test]
async fn tables() {
    let folder = folder();
    let names = TestTables { sorted: "sorted".to_owned(), plain: "plain".to_owned(), index: "by_start".to_owned() };
    conformance::tables(&DiskTables::new(folder.path()).unwrap(), &names, "default").await;
}

#[tokio::test]
async fn objects_stay_and_what_was_not_finished_goes() {
    let folder = folder();
    let at = Location::new("bucket", "a key");
    let objects = DiskObjects::new(folder.path()).unwrap();
    let options = PutOptions { metadata: [("run".to_owned(), "1".to_owned())].into(), ..PutOptions::default() };
    let written = objects.put(&at, Bytes::from_static(b"bytes"), options).await.unwrap().written().unwrap();
    let mut writer = objects.writer(&at, PutOptions::default()).await.unwrap();
    writer.write(Bytes::from_static(b"other")).await.unwrap();
    std::mem::forget(writer);

    let objects = DiskObjects::new(folder.path()).unwrap();
    assert_eq!(objects.head(&at, None).await.unwrap(), written);
    assert_eq!(read_all(objects.read(&at, None, None).await.unwrap(), &at, 10).await.unwrap(), "bytes");
    assert_eq!(std::fs::read(objects.file(&at, None).unwrap()).unwrap(), b"bytes");
    assert!(std::fs::read_dir(folder.path().join("@writing")).unwrap().next().is_none());
}

#[tokio::test]
async fn a_name_that_is_no_version_finds_nothing() {
    let folder = folder();
    let objects = DiskObjects::new(folder.path()).unwrap();
    for version in ["../../etc/passwd", "", "00000000000000000", "000000000000000G"] {
        let found = objects.head(&Location::new("bucket", "key"), Some(version)).await;
        assert!(matches!(found, Err(StorageError::NotFound { .. })), "{version:?} gave {found:?}");
        objects.delete(&Location::new("bucket", "key"), Some(version)).await.unwrap();
    }
}

#[tokio::test]
async fn an_object_that_was_cut_off_is_an_error_and_not_a_short_one() {
    let folder = folder();
    let objects = DiskObjects::new(folder.path()).unwrap();
    let at = Location::new("bucket", "key");
    objects.put(&at, Bytes::from_static(b"0123456789"), PutOptions::default()).await.unwrap();
    let stream = objects.read(&at, None, None).await.unwrap();
    std::fs::write(objects.file(&at, None).unwrap(), b"0123").unwrap();
    let read = read_all(stream, &at, 100).await;
    assert!(matches!(read, Err(StorageError::Unavailable { .. })), "{read:?}");
}

fn item(key: &str, value: Value) -> Item {
    Key::of(key).attributes().into_iter().chain([("value".to_owned(), value)]).collect()
}

#[tokio::test]
async fn tables_stay_and_keep_their_shape() {
    let folder = folder();
    let tables = DiskTables::new(folder.path()).unwrap();
    tables.put("plain", item("a", json!(1)), Condition::Absent).await.unwrap();
    let second = DiskTables::new(folder.path());
    assert!(matches!(second, Err(StorageError::Unavailable { .. })), "{second:?}");
    drop(tables);

    let tables = DiskTables::new(folder.path()).unwrap();
    assert_eq!(tables.get("plain", &Key::of("a")).await.unwrap(), Some(item("a", json!(1))));
    let sorted = tables.get("plain", &Key::sorted("a", "b")).await;
    assert!(matches!(sorted, Err(StorageError::Invalid { .. })), "{sorted:?}");
}

/// More writes than one transaction holds, from several threads, with readers in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_readers_meet() {
    let folder = folder();
    let tables = std::sync::Arc::new(DiskTables::new(folder.path()).unwrap());
    let write = |writer: usize| {
        let tables = std::sync::Arc::clone(&tables);
        tokio::spawn(async move {
            for number in 0..12_000 {
                let key = format!("{writer}-{number}");
                tables.put("plain", item(&key, json!(number)), Condition::Absent).await.unwrap();
                if number % 1000 == 0 {
                    assert_eq!(tables.get("plain", &Key::of(&key)).await.unwrap(), Some(item(&key, json!(number))));
                }
            }
        })
    };
    for writer in [write(0), write(1)] {
        writer.await.unwrap();
    }
    let keys: Vec<Key> = (0..2).flat_map(|writer| (0..12_000).map(move |n| Key::of(format!("{writer}-{n}")))).collect();
    let found = tables.get_many("plain", &keys).await.unwrap();
    assert!(found.iter().all(Option::is_some));
}

/// Many rows at once are what they are one by one: near one another and far apart, absent, asked for twice, in any order,
/// changed since the last commit or not.
#[tokio::test]
async fn many_rows_are_found_wherever_they_stand() {
    const ROWS: usize = 6_000;
    let folder = folder();
    let tables = DiskTables::new(folder.path()).unwrap();
    let name = |number: usize| format!("{number:05}");
    let mut model: Vec<Option<Item>> =
        (0..ROWS).map(|number| (number % 5 > 0).then(|| item(&name(number), json!(number)))).collect();
    tables.put_many("plain", model.iter().flatten().cloned().collect()).await.unwrap();
    tables.flush().unwrap();
    for round in 0..2 {
        for steps in [&[1][..], &[0, 1, 3], &[23, 24, 25, 26], &[40], &[1, 1, 1, 1, 300, 1, 1, 2, 900], &[997]] {
            let mut numbers: Vec<usize> = steps
                .iter()
                .cycle()
                .scan(0, |number, step| {
                    *number += step;
                    Some(*number)
                })
                .take_while(|number| *number < ROWS + 50)
                .take(1_000)
                .collect();
            for _ in 0..2 {
                let keys: Vec<Key> = numbers.iter().map(|number| Key::of(name(*number))).collect();
                let expected: Vec<_> = numbers.iter().map(|number| model.get(*number).cloned().flatten()).collect();
                assert_eq!(tables.get_many("plain", &keys).await.unwrap(), expected, "{steps:?}");
                let values = |item: Item| vec![item["value"].clone(), Value::Null];
                let expected: Vec<_> = expected.into_iter().map(|item| item.map(values)).collect();
                assert_eq!(tables.get_values("plain", &keys, &["value", "other"]).await.unwrap(), expected);
                numbers.reverse();
            }
        }
        if round == 0 {
            for number in (0..ROWS).step_by(7) {
                model[number] = (number % 2 == 0).then(|| item(&name(number), json!("changed")));
                match &model[number] {
                    Some(item) => drop(tables.put("plain", item.clone(), Condition::Always).await.unwrap()),
                    None => drop(tables.delete("plain", &Key::of(name(number)), Condition::Always).await.unwrap()),
                }
            }
        }
    }
}
