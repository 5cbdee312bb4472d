//! The laws of concatenation.

use bytes::Bytes;

use super::{MIB, Space, body, is_absent, metadata, put};
use crate::{
    Objects, StorageError,
    conformance::{ODD, check, noise},
    objects::{Piece, Put, PutOptions},
};

pub(super) async fn checks(objects: &dyn Objects, space: &Space) {
    check!(objects, space =>
        a_concatenation_is_its_pieces_in_order,
        many_small_pieces_are_joined,
        a_concatenation_keeps_metadata,
        a_concatenation_can_be_if_absent,
        a_wrong_piece_writes_nothing,
        odd_keys_are_joined,
    );
}

/// A piece as bytes in the caller's hands, or as an object of its own.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Held(usize),
    Stored(usize),
}
use Cut::{Held, Stored};

/// The bytes are those of the pieces, in order: none, empty ones, short ones, ones above a part's least size, and
/// every neighbourhood of them.
async fn a_concatenation_is_its_pieces_in_order(objects: &dyn Objects, space: &Space) {
    let cases: [&[Cut]; 12] = [
        &[],
        &[Stored(0)],
        &[Held(0), Stored(0), Held(3), Stored(0)],
        &[Held(20), Stored(100), Stored(7)],
        &[Stored(6 * MIB)],
        &[Stored(6 * MIB), Stored(0)],
        &[Held(20), Stored(6 * MIB), Stored(6 * MIB)],
        &[Stored(6 * MIB), Stored(10), Stored(6 * MIB), Stored(10)],
        &[Stored(2 * MIB), Stored(2 * MIB), Stored(2 * MIB), Stored(6 * MIB), Stored(1)],
        &[Stored(5 * MIB - 1), Stored(5 * MIB), Stored(5 * MIB + 1)],
        &[Held(7 * MIB), Held(1), Stored(11 * MIB), Held(MIB)],
        &[Stored(1), Stored(17 * MIB), Stored(1)],
    ];
    for (number, cuts) in cases.into_iter().enumerate() {
        let mut pieces = Vec::new();
        let mut expected = Vec::new();
        for (index, cut) in cuts.iter().enumerate() {
            let (Held(length) | Stored(length)) = *cut;
            let bytes = noise((100 * number + index) as u64, length);
            expected.extend_from_slice(&bytes);
            pieces.push(match cut {
                Held(_) => Piece::Bytes(bytes),
                Stored(_) => stored(objects, space, &format!("{number}/piece-{index}"), bytes).await,
            });
        }
        let to = space.at(&format!("{number}/whole"));
        let told = objects.concatenate(&pieces, &to, PutOptions::default()).await.unwrap().written().unwrap();
        let found = objects.head(&to, None).await.unwrap();
        assert_eq!((told.bytes, told.etag, told.version), (expected.len() as u64, found.etag, found.version));
        assert!(body(objects, &to).await == expected, "pieces {cuts:?}");
    }
}

async fn stored(objects: &dyn Objects, space: &Space, name: &str, bytes: Bytes) -> Piece {
    let location = space.at(name);
    let length = bytes.len() as u64;
    put(objects, &location, bytes).await;
    Piece::Object { location, bytes: length }
}

/// Many pieces far below a part's least size are joined in order: `part-10` after `part-9`.
async fn many_small_pieces_are_joined(objects: &dyn Objects, space: &Space) {
    let mut pieces = vec![Piece::Bytes(Bytes::from_static(b"header\n"))];
    let mut expected = b"header\n".to_vec();
    for number in 0..120 {
        let bytes = noise(number, 60 * 1024);
        expected.extend_from_slice(&bytes);
        pieces.push(stored(objects, space, &format!("part-{number}"), bytes).await);
    }
    let to = space.at("whole");
    objects.concatenate(&pieces, &to, PutOptions::default()).await.unwrap();
    assert!(body(objects, &to).await == expected);
}

/// Metadata is kept with the whole, short or long.
async fn a_concatenation_keeps_metadata(objects: &dyn Objects, space: &Space) {
    for (name, length) in [("short", 10), ("long", 6 * MIB)] {
        let piece = stored(objects, space, name, noise(1, length)).await;
        let to = space.at(&format!("{name}-whole"));
        objects.concatenate(&[piece], &to, metadata()).await.unwrap();
        assert_eq!(objects.head(&to, None).await.unwrap().metadata, metadata().metadata);
    }
}

/// With `if_absent`, what stands there stays.
async fn a_concatenation_can_be_if_absent(objects: &dyn Objects, space: &Space) {
    let options = PutOptions { if_absent: true, ..PutOptions::default() };
    for (name, length) in [("short", 10), ("long", 6 * MIB)] {
        let pieces = [stored(objects, space, name, noise(1, length)).await];
        let to = space.at(&format!("{name}-whole"));
        assert!(objects.concatenate(&pieces, &to, options.clone()).await.unwrap().written().is_some());
        let before = objects.head(&to, None).await.unwrap().version;
        assert_eq!(objects.concatenate(&pieces, &to, options.clone()).await.unwrap(), Put::Exists);
        assert_eq!(objects.head(&to, None).await.unwrap().version, before);
    }
}

/// A piece that is missing, longer or shorter than said leaves nothing behind: bytes are never lost in silence.
async fn a_wrong_piece_writes_nothing(objects: &dyn Objects, space: &Space) {
    let good = stored(objects, space, "good", noise(1, 6 * MIB)).await;
    for (name, length) in [("short", 1000), ("long", 6 * MIB)] {
        let location = space.at(name);
        put(objects, &location, noise(2, length)).await;
        for said in [length - 1, length + 1] {
            let wrong = Piece::Object { location: location.clone(), bytes: said as u64 };
            let to = space.at(&format!("{name}-{said}"));
            let error = objects.concatenate(&[good.clone(), wrong, good.clone()], &to, PutOptions::default()).await;
            assert!(
                matches!(&error, Err(StorageError::Changed { what }) if *what == location.to_string()),
                "{error:?}"
            );
            assert!(is_absent(objects, &to).await);
        }
        let missing = Piece::Object { location: space.at("missing"), bytes: length as u64 };
        let to = space.at(&format!("{name}-missing"));
        let error = objects.concatenate(&[good.clone(), missing], &to, PutOptions::default()).await;
        assert!(matches!(error, Err(StorageError::NotFound { .. })), "{error:?}");
        assert!(is_absent(objects, &to).await);
    }
}

/// Pieces and wholes may have odd keys.
async fn odd_keys_are_joined(objects: &dyn Objects, space: &Space) {
    for (number, odd) in ODD.into_iter().enumerate() {
        let large = stored(objects, space, &format!("large/{odd}"), noise(number as u64, 5 * MIB)).await;
        let small = stored(objects, space, &format!("small/{odd}"), Bytes::from(odd)).await;
        let to = space.at(&format!("whole/{odd}"));
        objects.concatenate(&[large, small], &to, PutOptions::default()).await.unwrap();
        let whole = body(objects, &to).await;
        assert!(whole[..5 * MIB] == noise(number as u64, 5 * MIB) && whole.ends_with(odd.as_bytes()), "{odd}");
        objects.delete(&to, None).await.unwrap();
    }
}
