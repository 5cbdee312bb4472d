//! The laws of conditional writes and of writers.

use bytes::Bytes;

use super::{MIB, Space, body, is_absent, metadata, put, winners};
use crate::{
    Location, Objects, StorageError,
    conformance::{check, noise},
    objects::{ObjectWriter, Put, PutOptions},
};

pub(super) async fn checks(objects: &dyn Objects, space: &Space) {
    check!(objects, space =>
        of_many_creators_one_wins,
        create_if_absent_leaves_what_is_there,
        a_hidden_object_counts_as_absent,
        a_writer_joins_what_it_is_given,
        a_writer_shows_nothing_until_it_finishes,
        an_aborted_writer_leaves_nothing,
        a_writer_keeps_metadata,
        of_many_finishers_one_wins,
        what_cannot_travel_is_refused,
    );
}

fn if_absent() -> PutOptions {
    PutOptions { if_absent: true, ..PutOptions::default() }
}

/// Of eight concurrent create-if-absent writes one is made, and its bytes stand.
async fn of_many_creators_one_wins(objects: &dyn Objects, space: &Space) {
    for round in 0..5 {
        let at = &space.at(&format!("object-{round}"));
        let create = |writer: usize| objects.put(at, Bytes::from(format!("writer {writer}")), if_absent());
        let winners = winners((0..8).map(create)).await;
        assert_eq!(winners.len(), 1, "writers {winners:?} all won");
        assert_eq!(body(objects, at).await, format!("writer {}", winners[0]));
    }
}

/// A create-if-absent write over an object, even an empty one, changes nothing.
async fn create_if_absent_leaves_what_is_there(objects: &dyn Objects, space: &Space) {
    for bytes in ["", "bytes"] {
        let at = space.at(&format!("object-{bytes}"));
        let before = put(objects, &at, bytes).await;
        assert_eq!(objects.put(&at, Bytes::from_static(b"other"), if_absent()).await.unwrap(), Put::Exists);
        assert_eq!(objects.head(&at, None).await.unwrap().version, before.version);
        assert_eq!(body(objects, &at).await, bytes);
    }
}

/// Where a delete marker stands, nothing stands.
async fn a_hidden_object_counts_as_absent(objects: &dyn Objects, space: &Space) {
    let at = space.at("object");
    put(objects, &at, "old").await;
    objects.delete(&at, None).await.unwrap();
    let written = objects.put(&at, Bytes::from_static(b"new"), if_absent()).await.unwrap();
    assert!(written.written().is_some());
    assert_eq!(body(objects, &at).await, "new");
}

async fn start(objects: &dyn Objects, at: &Location, options: PutOptions, bytes: &Bytes) -> Box<dyn ObjectWriter> {
    let mut writer = objects.writer(at, options).await.unwrap();
    writer.write(bytes.clone()).await.unwrap();
    writer
}

/// An object is the bytes of its writes in order, however they were cut: nothing, crumbs, several parts at once.
async fn a_writer_joins_what_it_is_given(objects: &dyn Objects, space: &Space) {
    let cuts: [&[usize]; 6] = [
        &[],
        &[0],
        &[1, 0, 2, 3],
        &[5 * MIB],
        &[3 * MIB, 3 * MIB, 3 * MIB, 7, 3 * MIB, 3 * MIB, 3 * MIB],
        &[1, 21 * MIB, 1],
    ];
    for (number, cut) in cuts.into_iter().enumerate() {
        let at = space.at(&format!("object-{number}"));
        let whole = noise(number as u64, cut.iter().sum());
        let mut rest = whole.clone();
        let mut writer = objects.writer(&at, PutOptions::default()).await.unwrap();
        for bytes in cut {
            writer.write(rest.split_to(*bytes)).await.unwrap();
        }
        let told = writer.finish().await.unwrap().written().unwrap();
        let found = objects.head(&at, None).await.unwrap();
        assert_eq!((told.bytes, &told.etag, &told.version), (whole.len() as u64, &found.etag, &found.version));
        assert_eq!(found.bytes, whole.len() as u64);
        assert!(body(objects, &at).await == whole, "writes of {cut:?} bytes");
    }
}

/// Until a writer finishes, readers see what was there before.
async fn a_writer_shows_nothing_until_it_finishes(objects: &dyn Objects, space: &Space) {
    for (name, bytes) in [("short", noise(1, 10)), ("long", noise(1, 12 * MIB))] {
        let (fresh, old) = (space.at(&format!("{name}/fresh")), space.at(&format!("{name}/old")));
        put(objects, &old, "old").await;
        let writers = [
            start(objects, &fresh, PutOptions::default(), &bytes).await,
            start(objects, &old, PutOptions::default(), &bytes).await,
        ];
        assert!(is_absent(objects, &fresh).await);
        assert_eq!(body(objects, &old).await, "old");
        for writer in writers {
            writer.finish().await.unwrap();
        }
        assert!(body(objects, &fresh).await == bytes);
        assert!(body(objects, &old).await == bytes);
    }
}

/// A writer that is given up leaves what was there before.
async fn an_aborted_writer_leaves_nothing(objects: &dyn Objects, space: &Space) {
    for (name, bytes) in [("short", noise(1, 10)), ("long", noise(1, 12 * MIB))] {
        let (fresh, old) = (space.at(&format!("{name}/fresh")), space.at(&format!("{name}/old")));
        let before = put(objects, &old, "old").await;
        for at in [&fresh, &old] {
            start(objects, at, PutOptions::default(), &bytes).await.abort().await.unwrap();
        }
        assert!(is_absent(objects, &fresh).await);
        assert_eq!(objects.head(&old, None).await.unwrap().version, before.version);
    }
}

/// Metadata is kept with what a writer writes, short or long.
async fn a_writer_keeps_metadata(objects: &dyn Objects, space: &Space) {
    for (name, bytes) in [("short", noise(1, 10)), ("long", noise(1, 12 * MIB))] {
        let at = space.at(name);
        start(objects, &at, metadata(), &bytes).await.finish().await.unwrap();
        assert_eq!(objects.head(&at, None).await.unwrap().metadata, metadata().metadata);
    }
}

/// Of several create-if-absent writers that finish at once one is made, whole; a later one finds it there.
async fn of_many_finishers_one_wins(objects: &dyn Objects, space: &Space) {
    for (name, length) in [("short", 10), ("long", 6 * MIB)] {
        let at = &space.at(name);
        let write = async |writer: usize| -> Result<Put, StorageError> {
            start(objects, at, if_absent(), &noise(writer as u64, length)).await.finish().await
        };
        let winners = winners((0..4).map(write)).await;
        assert_eq!(winners.len(), 1, "writers {winners:?} all won");
        assert!(body(objects, at).await == noise(winners[0] as u64, length));
        assert_eq!(write(9).await.unwrap(), Put::Exists);
    }
}

/// A key that is empty or too long, metadata that HTTP headers would spoil: `Invalid`, however it is written.
async fn what_cannot_travel_is_refused(objects: &dyn Objects, space: &Space) {
    let with = |name: &str, value: &str| PutOptions {
        metadata: [(name.to_owned(), value.to_owned())].into(),
        ..PutOptions::default()
    };
    let at = space.at("object");
    let mut wrong = vec![
        (Location::new(&at.bucket, ""), PutOptions::default()),
        (Location::new(&at.bucket, "x".repeat(1025)), PutOptions::default()),
    ];
    let long = "x".repeat(3000);
    for (name, value) in [("Run", "1"), ("a b", "1"), ("", "1"), ("run", "Größe"), ("run", " 1"), ("run", &long)] {
        wrong.push((at.clone(), with(name, value)));
    }
    for (at, options) in wrong {
        let errors = [
            objects.put(&at, Bytes::new(), options.clone()).await.map(drop),
            objects.writer(&at, options.clone()).await.map(drop),
            objects.concatenate(&[], &at, options.clone()).await.map(drop),
        ];
        for error in errors {
            assert!(matches!(error, Err(StorageError::Invalid { .. })), "{options:?} gave {error:?}");
        }
    }
    assert!(is_absent(objects, &at).await);
}
