//! The laws of [`Objects`].

mod concatenation;
mod versions;
mod writing;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::join_all, stream};

use super::{ODD, check, noise};
use crate::{
    ByteRange, Location, Objects, StorageError,
    objects::{PAGE_OBJECTS, Put, PutOptions, read_all},
};

const MIB: usize = 1024 * 1024;

/// All laws, below `prefix` in a bucket that keeps versions. Nothing may stand there yet.
pub async fn objects(objects: &dyn Objects, bucket: &str, prefix: &str) {
    let space = Space(Location::new(bucket, prefix));
    check!(objects, space =>
        what_was_put_is_read,
        what_is_not_there_is_not_found,
        head_tells_what_put_told,
        ranges_are_half_open_and_cut_at_the_end,
        a_long_object_streams_whole,
        a_pinned_version_survives_an_overwrite,
        an_unknown_version_is_not_found,
        delete_hides_and_keeps_versions,
        deleting_a_version_restores_the_one_before,
        deleting_nothing_is_no_error,
        a_copy_has_bytes_and_metadata,
        a_copy_of_a_version_is_of_that_version,
        a_long_object_is_copied,
        odd_keys_name_what_they_say,
        lists_are_in_key_order,
        lists_have_only_what_is_visible_below_the_prefix,
        long_lists_come_in_pages,
    );
    versions::checks(objects, &space).await;
    writing::checks(objects, &space).await;
    concatenation::checks(objects, &space).await;
}

/// A folder of a bucket.
struct Space(Location);

impl Space {
    fn below(&self, name: &str) -> Self {
        Self(self.at(name))
    }

    fn at(&self, name: &str) -> Location {
        Location::new(&self.0.bucket, format!("{}/{name}", self.0.key))
    }
}

async fn put(objects: &dyn Objects, at: &Location, body: impl Into<Bytes>) -> crate::ObjectInfo {
    objects.put(at, body.into(), PutOptions::default()).await.unwrap().written().unwrap()
}

async fn read(objects: &dyn Objects, at: &Location, version: Option<&str>) -> Result<Bytes, StorageError> {
    read_all(objects.read(at, version, None).await?, at, u64::MAX).await
}

async fn body(objects: &dyn Objects, at: &Location) -> Bytes {
    read(objects, at, None).await.unwrap()
}

async fn is_absent(objects: &dyn Objects, at: &Location) -> bool {
    matches!(objects.head(at, None).await, Err(StorageError::NotFound { .. }))
}

fn metadata() -> PutOptions {
    let pairs = [("run".to_owned(), "default-1".to_owned()), ("source".to_owned(), "a b, c=d; 100%".to_owned())];
    PutOptions { metadata: pairs.into(), ..PutOptions::default() }
}

/// What is put, empty or not, is what is read, at once and after an overwrite.
async fn what_was_put_is_read(objects: &dyn Objects, space: &Space) {
    let at = space.at("object");
    for bytes in [Bytes::from_static(b"first"), Bytes::new(), noise(1, 100_000)] {
        put(objects, &at, bytes.clone()).await;
        assert!(body(objects, &at).await == bytes);
    }
}

/// An object that is not there is `NotFound`, by its full address, for head, read and copy alike.
async fn what_is_not_there_is_not_found(objects: &dyn Objects, space: &Space) {
    let at = space.at("absent");
    let address = at.to_string();
    let errors = [
        objects.head(&at, None).await.map(drop),
        objects.read(&at, None, None).await.map(drop),
        objects.read(&at, None, Some(ByteRange::new(0, 1))).await.map(drop),
        objects.copy(&at, None, &space.at("copy")).await.map(drop),
    ];
    for error in errors {
        assert!(matches!(&error, Err(StorageError::NotFound { what }) if *what == address), "{error:?}");
    }
}

/// Length, tag, version and metadata are the same from put and from head; another content has another tag.
async fn head_tells_what_put_told(objects: &dyn Objects, space: &Space) {
    let at = space.at("object");
    let told = objects.put(&at, noise(2, 1000), metadata()).await.unwrap().written().unwrap();
    let found = objects.head(&at, None).await.unwrap();
    assert_eq!(found.bytes, 1000);
    assert_eq!(found.metadata, metadata().metadata);
    assert_eq!((found.bytes, &found.etag, &found.version), (told.bytes, &told.etag, &told.version));
    assert!(found.version.is_some(), "the bucket keeps no versions");
    assert!(!found.etag.contains('"'), "{}", found.etag);
    let other = put(objects, &at, "other").await;
    assert_ne!(other.etag, told.etag);
    assert_ne!(other.version, told.version);
}

/// A range has its bytes from `start` up to `end`, fewer where the object ends, none past its end.
async fn ranges_are_half_open_and_cut_at_the_end(objects: &dyn Objects, space: &Space) {
    for (name, length) in [("empty", 0), ("one", 1), ("object", 1000_usize)] {
        let (at, whole) = (space.at(name), noise(3, length));
        put(objects, &at, whole.clone()).await;
        let edges = [0, 1, length.saturating_sub(1), length, length + 1, 10 * length + 7, usize::MAX];
        for (start, end) in edges.into_iter().flat_map(|start| edges.map(|end| (start, end))) {
            let range = ByteRange::new(start as u64, end as u64);
            let stream = objects.read(&at, None, Some(range)).await.unwrap();
            let found = read_all(stream, &at, u64::MAX).await.unwrap();
            let expected = whole.slice(start.min(end).min(length)..end.min(length));
            let expected = if start >= end { Bytes::new() } else { expected };
            assert!(found == expected, "{start}..{end} of {length} bytes gave {} bytes", found.len());
        }
    }
}

/// An object of many network packets arrives whole and in order, also from the middle of it.
async fn a_long_object_streams_whole(objects: &dyn Objects, space: &Space) {
    let (at, whole) = (space.at("object"), noise(4, 9 * MIB + 1));
    put(objects, &at, whole.clone()).await;
    assert!(body(objects, &at).await == whole);
    let range = ByteRange::new(MIB as u64 + 1, 8 * MIB as u64 + 3);
    let pieces: Vec<Bytes> = objects.read(&at, None, Some(range)).await.unwrap().try_collect().await.unwrap();
    assert!(pieces.concat() == whole[MIB + 1..8 * MIB + 3]);
}

/// A version stays readable, whole and by range, whatever is written over it.
async fn a_pinned_version_survives_an_overwrite(objects: &dyn Objects, space: &Space) {
    let at = space.at("object");
    let old = put(objects, &at, "old bytes").await;
    put(objects, &at, "new").await;
    let version = old.version.as_deref();
    assert_eq!(read(objects, &at, version).await.unwrap(), "old bytes");
    let range = objects.read(&at, version, Some(ByteRange::new(4, 100))).await.unwrap();
    assert_eq!(read_all(range, &at, 100).await.unwrap(), "bytes");
    assert_eq!(objects.head(&at, version).await.unwrap().bytes, 9);
    assert_eq!(body(objects, &at).await, "new");
}

/// A version that never was, or was deleted, is `NotFound`.
async fn an_unknown_version_is_not_found(objects: &dyn Objects, space: &Space) {
    let at = space.at("object");
    let gone = put(objects, &at, "gone").await.version.unwrap();
    put(objects, &at, "here").await;
    objects.delete(&at, Some(&gone)).await.unwrap();
    let range = Some(ByteRange::new(0, 2));
    let errors = [
        objects.head(&at, Some(&gone)).await.map(drop),
        objects.read(&at, Some(&gone), range).await.map(drop),
        objects.copy(&at, Some(&gone), &space.at("copy")).await.map(drop),
    ];
    for error in errors {
        assert!(matches!(error, Err(StorageError::NotFound { .. })), "{error:?}");
    }
}

/// A delete without a version hides the object; its versions remain, and it can be written again.
async fn delete_hides_and_keeps_versions(objects: &dyn Objects, space: &Space) {
    let at = space.at("object");
    let version = put(objects, &at, "bytes").await.version;
    objects.delete(&at, None).await.unwrap();
    assert!(is_absent(objects, &at).await);
    assert_eq!(read(objects, &at, version.as_deref()).await.unwrap(), "bytes");
    put(objects, &at, "again").await;
    assert_eq!(body(objects, &at).await, "again");
}

/// Deleting the latest version brings back the one before; deleting an older one changes nothing.
async fn deleting_a_version_restores_the_one_before(objects: &dyn Objects, space: &Space) {
    let at = space.at("object");
    let mut versions = Vec::new();
    for bytes in ["first", "second", "third"] {
        versions.push(put(objects, &at, bytes).await.version.unwrap());
    }
    objects.delete(&at, Some(&versions[1])).await.unwrap();
    assert_eq!(body(objects, &at).await, "third");
    objects.delete(&at, Some(&versions[2])).await.unwrap();
    assert_eq!(body(objects, &at).await, "first");
    objects.delete(&at, Some(&versions[0])).await.unwrap();
    assert!(is_absent(objects, &at).await);
}

/// Deleting what is not there, or no longer, is no error.
async fn deleting_nothing_is_no_error(objects: &dyn Objects, space: &Space) {
    let at = space.at("object");
    objects.delete(&at, None).await.unwrap();
    let version = put(objects, &at, "bytes").await.version;
    for _ in 0..2 {
        objects.delete(&at, version.as_deref()).await.unwrap();
    }
}

/// A copy has the bytes and the metadata of its source, which stays.
async fn a_copy_has_bytes_and_metadata(objects: &dyn Objects, space: &Space) {
    let (from, to) = (space.at("from"), space.at("to"));
    objects.put(&from, noise(5, 3000), metadata()).await.unwrap();
    let told = objects.copy(&from, None, &to).await.unwrap();
    let found = objects.head(&to, None).await.unwrap();
    assert_eq!((told.bytes, told.etag, told.version), (3000, found.etag, found.version));
    assert_eq!(found.metadata, metadata().metadata);
    assert!(body(objects, &to).await == noise(5, 3000));
    assert!(body(objects, &from).await == noise(5, 3000));
}

/// A copy can be of an older version, also of one behind a delete marker.
async fn a_copy_of_a_version_is_of_that_version(objects: &dyn Objects, space: &Space) {
    let (from, to) = (space.at("from"), space.at("to"));
    let old = put(objects, &from, "old").await;
    put(objects, &from, "newer").await;
    objects.delete(&from, None).await.unwrap();
    objects.copy(&from, old.version.as_deref(), &to).await.unwrap();
    assert_eq!(body(objects, &to).await, "old");
}

/// An object of any size is copied, with its metadata.
async fn a_long_object_is_copied(objects: &dyn Objects, space: &Space) {
    let (from, to, whole) = (space.at("from"), space.at("to"), noise(6, 17 * MIB + 5));
    let version = objects.put(&from, whole.clone(), metadata()).await.unwrap().written().unwrap().version;
    put(objects, &from, "newer").await;
    objects.copy(&from, version.as_deref(), &to).await.unwrap();
    assert!(body(objects, &to).await == whole);
    assert_eq!(objects.head(&to, None).await.unwrap().metadata, metadata().metadata);
}

/// Spaces, signs and letters of every alphabet reach the store as they are.
async fn odd_keys_name_what_they_say(objects: &dyn Objects, space: &Space) {
    for (at, odd) in ODD.map(|odd| (space.at(&format!("put/{odd}")), odd)) {
        let version = put(objects, &at, odd).await.version;
        let copy = space.at(&format!("copied/{odd}"));
        objects.copy(&at, version.as_deref(), &copy).await.unwrap();
        assert_eq!(body(objects, &copy).await, odd);
        assert_eq!(read(objects, &at, version.as_deref()).await.unwrap(), odd);
    }
    let folder = space.at("put/");
    let listed = objects.list(&folder.bucket, &folder.key, None).await.unwrap();
    let mut expected = ODD.map(|odd| format!("{}{odd}", folder.key));
    expected.sort_unstable();
    assert_eq!(listed.iter().map(|listed| listed.key.as_str()).collect::<Vec<_>>(), expected);
    for odd in expected {
        let listed = objects.list(&folder.bucket, &odd, None).await.unwrap();
        assert_eq!(listed.first().map(|listed| listed.key.as_str()), Some(odd.as_str()));
        objects.delete(&Location::new(&folder.bucket, odd), None).await.unwrap();
    }
    assert!(objects.list(&folder.bucket, &folder.key, None).await.unwrap().is_empty());
}

/// Keys are listed in the order of their UTF-8 bytes, whatever the order of writing.
async fn lists_are_in_key_order(objects: &dyn Objects, space: &Space) {
    let mut names = ["part-2", "part-10", "part-1", "Part-1", "part-1/a", "part-", "ü", "z", "part-1.csv", "part-01"];
    for name in names {
        put(objects, &space.at(name), name).await;
    }
    names.sort_unstable();
    let expected = names.map(|name| (space.at(name).key, name.len() as u64));
    let listed = objects.list(&space.0.bucket, &space.0.key, None).await.unwrap();
    assert_eq!(listed.into_iter().map(|listed| (listed.key, listed.bytes)).collect::<Vec<_>>(), expected);
}

/// A prefix is no folder: it takes every key that begins so, and only those; what is deleted or not finished is not
/// listed.
async fn lists_have_only_what_is_visible_below_the_prefix(objects: &dyn Objects, space: &Space) {
    for name in ["run", "run/a", "run-b", "rum", "ruo", "run/hidden"] {
        put(objects, &space.at(name), "").await;
    }
    objects.delete(&space.at("run/hidden"), None).await.unwrap();
    let mut unfinished = objects.writer(&space.at("run/unfinished"), PutOptions::default()).await.unwrap();
    unfinished.write(Bytes::from_static(b"bytes")).await.unwrap();
    let names = |prefix: &'static str, after: Option<&'static str>| async move {
        let after = after.map(|after| space.at(after).key);
        let listed = objects.list(&space.0.bucket, &space.at(prefix).key, after.as_deref()).await.unwrap();
        let cut = space.0.key.len() + 1;
        listed.into_iter().map(|listed| listed.key[cut..].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("run", None).await, ["run", "run-b", "run/a"]);
    assert_eq!(names("run/", None).await, ["run/a"]);
    assert_eq!(names("run", Some("run")).await, ["run-b", "run/a"]);
    assert_eq!(names("run", Some("run-")).await, ["run-b", "run/a"]);
    assert_eq!(names("run", Some("r")).await, ["run", "run-b", "run/a"]);
    assert!(names("run", Some("run/a")).await.is_empty());
    assert!(names("none", None).await.is_empty());
    unfinished.abort().await.unwrap();
}

/// A page has at most [`PAGE_OBJECTS`]; the next begins after its last key.
async fn long_lists_come_in_pages(objects: &dyn Objects, space: &Space) {
    let total = PAGE_OBJECTS + 5;
    let locations: Vec<_> = (0..total).map(|number| space.at(&format!("{number:05}"))).collect();
    stream::iter(&locations).for_each_concurrent(16, |at| async move { drop(put(objects, at, "").await) }).await;
    let mut found = Vec::new();
    let mut pages = 0;
    loop {
        let after = found.last().map(String::as_str);
        let page = objects.list(&space.0.bucket, &space.0.key, after).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= PAGE_OBJECTS);
        found.extend(page.into_iter().map(|listed| listed.key));
        pages += 1;
    }
    assert_eq!(pages, 2);
    assert!(found.iter().eq(locations.iter().map(|at| &at.key)));
}

/// How many of several concurrent writes were made; the others found something there.
async fn winners(writes: impl Iterator<Item = impl Future<Output = Result<Put, StorageError>>>) -> Vec<usize> {
    let outcomes = join_all(writes).await;
    let won = |(number, outcome)| matches!(outcome, Put::Written(_)).then_some(number);
    outcomes.into_iter().map(Result::unwrap).enumerate().filter_map(won).collect()
}
