//! The laws of listing versions.

use futures::{StreamExt, stream};

use super::{Space, put};
use crate::{
    Location, Objects,
    conformance::{ODD, check},
    objects::{ListedVersion, PAGE_OBJECTS, VersionCursor},
};

pub(super) async fn checks(objects: &dyn Objects, space: &Space) {
    check!(objects, space =>
        every_version_is_listed_newest_first,
        deleted_versions_and_delete_markers_are_not_listed,
        version_lists_have_what_is_below_the_prefix,
        versions_are_listed_after_the_cursor,
        versions_of_odd_keys_are_listed,
        long_version_lists_come_in_pages,
        pages_that_end_in_delete_markers_are_not_the_last,
    );
}

/// Key, version and length: what a listing says beside the time.
type Told = (String, Option<String>, u64);

fn told(listed: ListedVersion) -> Told {
    (listed.key, listed.version, listed.bytes)
}

/// Writes one version, and says how it is to be listed.
async fn write(objects: &dyn Objects, at: &Location, body: &'static str) -> Told {
    let info = put(objects, at, body).await;
    (at.key.clone(), info.version, info.bytes)
}

/// All versions under a prefix, and how many pages they came in.
async fn all(objects: &dyn Objects, under: &Location) -> (Vec<Told>, usize) {
    let (mut found, mut pages, mut after) = (Vec::new(), 0, None::<VersionCursor>);
    loop {
        let page = objects.list_versions(&under.bucket, &under.key, after.as_ref()).await.unwrap();
        assert!(page.versions.len() <= PAGE_OBJECTS);
        found.extend(page.versions.into_iter().map(told));
        pages += 1;
        assert!(pages < 10, "the pages do not end");
        after = page.next;
        if after.is_none() {
            return (found, pages);
        }
    }
}

/// What was overwritten is listed like what is current: keys in order, the versions of each from the newest on.
async fn every_version_is_listed_newest_first(objects: &dyn Objects, space: &Space) {
    let (later, earlier) = (space.at("b"), space.at("a"));
    let mut expected = Vec::new();
    for (at, body) in [(&later, "1"), (&earlier, "22"), (&later, "333"), (&later, ""), (&earlier, "4444")] {
        expected.push(write(objects, at, body).await);
    }
    expected.reverse();
    expected.sort_by(|left, right| left.0.cmp(&right.0));
    assert_eq!(all(objects, &space.0).await, (expected, 1));
    let page = objects.list_versions(&later.bucket, &later.key, None).await.unwrap();
    let times: Vec<_> = page.versions.iter().map(|listed| listed.modified).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
}

/// A delete marker hides no version and is none itself; a version that was deleted is gone.
async fn deleted_versions_and_delete_markers_are_not_listed(objects: &dyn Objects, space: &Space) {
    let at = space.at("object");
    let first = write(objects, &at, "first").await;
    let deleted = write(objects, &at, "deleted").await;
    objects.delete(&at, None).await.unwrap();
    let second = write(objects, &at, "second").await;
    objects.delete(&at, deleted.1.as_deref()).await.unwrap();
    objects.delete(&at, None).await.unwrap();
    objects.delete(&space.at("never written"), None).await.unwrap();
    assert_eq!(all(objects, &space.0).await, (vec![second.clone(), first.clone()], 1));
    for (_, version, _) in [first, second] {
        objects.delete(&at, version.as_deref()).await.unwrap();
    }
    assert_eq!(all(objects, &space.0).await, (vec![], 1));
}

/// A prefix takes every key that begins so, and only those; a whole key comes first under itself.
async fn version_lists_have_what_is_below_the_prefix(objects: &dyn Objects, space: &Space) {
    let mut versions = Vec::new();
    for name in ["rum", "run", "run", "run-b", "run/a", "ruo"] {
        versions.push(write(objects, &space.at(name), "").await);
    }
    versions.swap(1, 2);
    assert_eq!(all(objects, &space.at("run")).await.0, versions[1..5]);
    assert_eq!(all(objects, &space.at("run/")).await.0, versions[4..5]);
    assert!(all(objects, &space.at("none")).await.0.is_empty());
}

/// A listing goes on after any version that it has told of, also in the middle of a key's.
async fn versions_are_listed_after_the_cursor(objects: &dyn Objects, space: &Space) {
    for name in ["a", "b", "b", "b", "c"] {
        write(objects, &space.at(name), "").await;
    }
    let (versions, _) = all(objects, &space.0).await;
    for (number, (key, version, _)) in versions.iter().enumerate() {
        let after = VersionCursor { key: key.clone(), version: version.clone() };
        let page = objects.list_versions(&space.0.bucket, &space.0.key, Some(&after)).await.unwrap();
        assert!(page.versions.into_iter().map(told).eq(versions[number + 1..].iter().cloned()), "after {after:?}");
        assert_eq!(page.next, None);
        let passed_over = VersionCursor { version: None, ..after };
        let page = objects.list_versions(&space.0.bucket, &space.0.key, Some(&passed_over)).await.unwrap();
        assert!(page.versions.into_iter().map(told).eq(versions.iter().filter(|(other, ..)| other > key).cloned()));
    }
    let nowhere = VersionCursor { key: space.at("b\u{10ffff}").key, version: None };
    let page = objects.list_versions(&space.0.bucket, &space.0.key, Some(&nowhere)).await.unwrap();
    assert!(page.versions.into_iter().map(told).eq(versions[4..].iter().cloned()));
}

/// Spaces, signs and letters of every alphabet come back as they were written.
async fn versions_of_odd_keys_are_listed(objects: &dyn Objects, space: &Space) {
    let mut expected = Vec::new();
    for odd in ODD {
        expected.push(write(objects, &space.at(odd), odd).await);
    }
    expected.sort_unstable();
    assert_eq!(all(objects, &space.0).await, (expected.clone(), 1));
    for odd in expected {
        let under = Location::new(&space.0.bucket, &odd.0);
        assert_eq!(all(objects, &under).await.0, [odd]);
    }
}

/// A page has at most [`PAGE_OBJECTS`]; the next goes on where it ended, also in the middle of a key's versions.
async fn long_version_lists_come_in_pages(objects: &dyn Objects, space: &Space) {
    let (first, last) = (space.at("first"), space.at("last"));
    let writes = stream::iter(0..PAGE_OBJECTS + 5).map(|_| write(objects, &first, ""));
    let mut expected: Vec<_> = writes.buffer_unordered(16).collect().await;
    expected.push(write(objects, &last, "").await);
    let (mut found, pages) = all(objects, &space.0).await;
    assert_eq!(pages, 2);
    assert_eq!(found.last(), expected.last());
    found.sort_unstable();
    expected.sort_unstable();
    assert!(found == expected, "{} of {} versions were listed", found.len(), expected.len());
}

/// However many delete markers lie on a key, the versions behind them are found.
async fn pages_that_end_in_delete_markers_are_not_the_last(objects: &dyn Objects, space: &Space) {
    let at = space.at("object");
    let buried = write(objects, &at, "buried").await;
    let delete = |_| async { objects.delete(&at, None).await.unwrap() };
    stream::iter(0..=PAGE_OBJECTS).for_each_concurrent(16, delete).await;
    assert_eq!(all(objects, &space.0).await.0, [buried]);
}
