//! What the services do under load or when the network fails, and what the adapters make of it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking, their helpers too")]

mod server;

use aws_adapters::Limits;
use error_class::{Classified, ErrorClass};
use serde_json::json;
use server::{Answer, Server};
use storage::{
    ByteRange, Condition, Key, Location, Objects, StorageError, Tables, Workflows,
    objects::{Piece, Put, PutOptions, read_all},
    tables::{Outcome, Transaction, Write},
    workflows::{self, Start},
};

fn at() -> Location {
    Location::new("bucket", "key")
}

/// The answer to a GET of ten digits.
fn digits() -> Answer {
    Answer::new("get /bucket/key", 200, "0123456789").header("ETag", "\"tag\"")
}

/// The answer to a GET of the digits from this one on.
fn rest(from: usize) -> Answer {
    let range = format!("bytes {from}-9/10");
    Answer::new("range: bytes=", 206, &b"0123456789"[from..]).header("ETag", "\"tag\"").header("Content-Range", &range)
}

async fn read(server: &Server, range: Option<ByteRange>) -> Result<String, StorageError> {
    let stream = server.session.objects().read(&at(), None, range).await?;
    let bytes = read_all(stream, &at(), 100).await?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn a_broken_stream_goes_on_where_it_was() {
    let server = Server::start([digits().cut(4), rest(4).cut(4), rest(8).cut(1), rest(9)]).await;
    assert_eq!(read(&server, None).await.unwrap(), "0123456789");
    let heads = server.heads();
    for (head, range) in heads[1..].iter().zip(["bytes=4-9", "bytes=8-9", "bytes=9-9"]) {
        assert!(head.contains(&format!("range: {range}")) && head.contains("if-match: \"tag\""), "{head}");
    }
    assert_eq!((heads.len(), server.unused()), (4, 0));
}

#[tokio::test]
async fn a_broken_range_goes_on_where_it_was() {
    let head = |text: &'static str| Answer::new("range: bytes=", 206, text).header("ETag", "\"tag\"");
    let first = head("2345").header("Content-Range", "bytes 2-5/10").cut(1);
    let second = head("345").header("Content-Range", "bytes 3-5/10");
    let server = Server::start([first, second]).await;
    assert_eq!(read(&server, Some(ByteRange::new(2, 6))).await.unwrap(), "2345");
}

#[tokio::test]
async fn a_stream_does_not_go_on_in_another_object() {
    let server = Server::start([digits().cut(4), Answer::new("if-match", 412, "")]).await;
    assert!(matches!(read(&server, None).await, Err(StorageError::Changed { .. })));
    let gone = error("if-match", 404, "NoSuchKey");
    let server = Server::start([digits().cut(4), gone]).await;
    assert!(matches!(read(&server, None).await, Err(StorageError::NotFound { .. })));
}

#[tokio::test]
async fn a_stream_that_brings_nothing_is_given_up() {
    let nothing = (0..10).map(|_| rest(4).cut(0));
    let server = Server::start([digits().cut(4)].into_iter().chain(nothing)).await;
    assert_eq!(read(&server, None).await.unwrap_err().class(), ErrorClass::Unavailable);
    assert_eq!(server.heads().len(), 6, "the first try and five more");
}

#[tokio::test]
async fn a_server_that_ignores_ranges_is_cut() {
    for (start, end, expected) in [(0, 3, "012"), (3, 7, "3456"), (8, 100, "89"), (10, 12, "")] {
        let server = Server::start([digits()]).await;
        assert_eq!(read(&server, Some(ByteRange::new(start, end))).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn another_range_than_asked_for_is_refused() {
    for range in ["bytes 5-9/10", "bytes */10", "nonsense"] {
        let answer = Answer::new("get", 206, "56789").header("Content-Range", range);
        let server = Server::start([answer]).await;
        let refused = read(&server, Some(ByteRange::new(4, 9))).await;
        assert!(matches!(refused, Err(StorageError::Invalid { .. })), "{range}: {refused:?}");
    }
}

fn error(to: &'static str, status: u16, code: &str) -> Answer {
    Answer::new(to, status, format!("<Error><Code>{code}</Code><Message>told so</Message></Error>"))
}

/// HEAD answers 400, without a word; GET says why.
#[tokio::test]
async fn a_head_that_cannot_say_why_is_asked_again_by_a_get() {
    for (code, expected) in [
        ("ExpiredToken", "not allowed to s3:GetObjectVersion s3://bucket/key?versionId=v"),
        ("InvalidArgument", "s3://bucket/key?versionId=v does not exist"),
        ("InvalidRequest", "s3://bucket/key?versionId=v: InvalidRequest: told so"),
    ] {
        let server = Server::start([Answer::new("head /bucket/key?", 400, ""), error("range: bytes=0-0", 400, code)]);
        let server = server.await;
        let found = server.session.objects().head(&at(), Some("v")).await.unwrap_err();
        assert_eq!(found.to_string(), expected);
        assert_eq!(server.unused(), 0);
    }
    // It passed meanwhile: the first answer stands.
    let server = Server::start([Answer::new("head /bucket/key", 400, ""), digits()]).await;
    assert!(matches!(server.session.objects().head(&at(), None).await, Err(StorageError::Invalid { .. })));
}

/// The answer to a listing of versions: what S3 says to a wish for URL-encoded keys.
fn versions(to: &'static str, listed: &str, rest: &str) -> Answer {
    let body = format!(
        r#"<ListVersionsResult><EncodingType>url</EncodingType>{rest}<Version><Key>{listed}</Key>
        <VersionId>null</VersionId><LastModified>2026-03-31T12:00:00Z</LastModified><Size>3</Size></Version>
        <DeleteMarker><Key>zzz</Key><VersionId>v</VersionId></DeleteMarker></ListVersionsResult>"#
    );
    Answer::new(to, 200, body).header("Content-Type", "application/xml")
}

#[tokio::test]
async fn versions_are_listed_under_every_key_that_s3_takes() {
    let rest = "<IsTruncated>true</IsTruncated><NextKeyMarker>a%01+%2B</NextKeyMarker>\
                <NextVersionIdMarker>v1</NextVersionIdMarker>";
    let first = versions("encoding-type=url", "a%01+%2B", rest);
    let server = Server::start([first, versions("key-marker=a%01%20%2b", "b", "")]).await;
    let page = server.session.objects().list_versions("bucket", "", None).await.unwrap();
    let [listed] = &page.versions[..] else { panic!("one version: {page:?}") };
    assert_eq!((listed.key.as_str(), &listed.version, listed.bytes), ("a\u{1} +", &None, 3));
    let next = page.next.unwrap();
    assert_eq!((next.key.as_str(), next.version.as_deref()), ("a\u{1} +", Some("v1")));
    let page = server.session.objects().list_versions("bucket", "", Some(&next)).await.unwrap();
    assert_eq!((page.versions.len(), page.next), (1, None));
    assert!(server.heads()[1].contains("version-id-marker=v1"), "{}", server.heads()[1]);
}

#[tokio::test]
async fn a_cut_listing_that_cannot_go_on_is_no_end() {
    let server = Server::start([versions("versions", "a", "<IsTruncated>true</IsTruncated>")]).await;
    let error = server.session.objects().list_versions("bucket", "", None).await.unwrap_err();
    assert!(error.to_string().contains("where the next page begins"), "{error}");
}

#[tokio::test]
async fn a_copy_that_is_refused_names_both_sides() {
    let head = Answer::new("head /bucket/key", 200, "").header("ETag", "\"tag\"");
    let head = head.header("Last-Modified", "Sun, 01 Mar 2026 08:00:00 GMT");
    let server = Server::start([head, error("x-amz-copy-source: bucket/key", 403, "AccessDenied")]).await;
    let refused = server.session.objects().copy(&at(), None, &Location::new("other", "key")).await.unwrap_err();
    assert_eq!(refused.to_string(), "not allowed to s3:GetObject s3://bucket/key, or to s3:PutObject s3://other/key");
}

#[tokio::test]
async fn conditional_writes_at_once_are_settled() {
    let options = PutOptions { if_absent: true, ..PutOptions::default() };
    let conflict = || error("if-none-match: *", 409, "ConditionalRequestConflict");
    let written = Answer::new("if-none-match: *", 200, "").header("ETag", "\"tag\"");
    let server = Server::start([conflict(), conflict(), written]).await;
    let put = server.session.objects().put(&at(), "bytes".into(), options.clone()).await.unwrap();
    assert_eq!(put.written().unwrap().etag, "tag");

    let server = Server::start([conflict(), error("if-none-match: *", 412, "PreconditionFailed")]).await;
    assert_eq!(server.session.objects().put(&at(), "bytes".into(), options).await.unwrap(), Put::Exists);
}

/// Two parts of five bytes each.
async fn concatenate(server: &Server) -> Result<Put, StorageError> {
    let limits = Limits { part_bytes_min: 5, ..Limits::default() };
    let pieces = ["01234", "56789"].map(|digits| Piece::Bytes(digits.into()));
    server.session.objects_within(limits).concatenate(&pieces, &at(), PutOptions::default()).await
}

fn create() -> Answer {
    let result = "<InitiateMultipartUploadResult><UploadId>upload</UploadId></InitiateMultipartUploadResult>";
    Answer::new("post /bucket/key?uploads", 200, result)
}

fn part(to: &'static str) -> Answer {
    Answer::new(to, 200, "").header("ETag", "\"part\"")
}

#[tokio::test]
async fn an_upload_that_is_gone_is_tried_anew() {
    let complete = error("post /bucket/key?uploadid=upload", 404, "NoSuchUpload");
    let server = Server::start([create(), part("partnumber=1"), part("partnumber=2"), complete]).await;
    assert_eq!(concatenate(&server).await.unwrap_err().class(), ErrorClass::Unavailable);
    assert_eq!(server.unused(), 0);
}

#[tokio::test]
async fn a_part_that_fails_ends_the_upload() {
    let failed = error("partnumber=2", 403, "AccessDenied");
    let abort = Answer::new("delete /bucket/key?", 204, "");
    let server = Server::start([create(), part("partnumber=1"), failed, abort]).await;
    assert!(matches!(concatenate(&server).await, Err(StorageError::Denied { .. })));
    assert_eq!(server.heads().iter().filter(|head| head.starts_with("delete /bucket/key?")).count(), 1);
}

/// An answer of a service that speaks JSON.
fn told(to: &'static str, status: u16, body: serde_json::Value) -> Answer {
    Answer::new(to, status, body.to_string()).header("Content-Type", "application/x-amz-json-1.0")
}

fn keys(names: &[&str]) -> Vec<Key> {
    names.iter().map(|name| Key::of(*name)).collect()
}

#[tokio::test]
async fn keys_left_unprocessed_are_asked_again() {
    let item = |name: &str| json!({ "pk": { "S": name } });
    let left = |names: &[&str]| {
        let keys: Vec<_> = names.iter().map(|name| item(name)).collect();
        json!({ "table": { "Keys": keys, "ConsistentRead": true } })
    };
    let to = "dynamodb_20120810.batchgetitem";
    let server = Server::start([
        told(to, 200, json!({ "Responses": { "table": [] }, "UnprocessedKeys": left(&["a", "b"]) })),
        told(to, 200, json!({ "Responses": { "table": [item("b")] }, "UnprocessedKeys": left(&["a"]) })),
        told(to, 200, json!({ "Responses": { "table": [item("a")] }, "UnprocessedKeys": {} })),
    ])
    .await;
    let tables = server.session.tables();
    let (found, requests) = tables.get_values_counted("table", &keys(&["a", "b", "a"]), &["pk"]).await.unwrap();
    let names: Vec<_> = found.into_iter().map(|values| values.unwrap().remove(0)).collect();
    assert_eq!(names, ["a", "b", "a"]);
    assert_eq!((requests, server.unused()), (3, 0));
}

#[tokio::test]
async fn items_left_unprocessed_are_sent_again() {
    let left = json!({ "table": [{ "PutRequest": { "Item": { "pk": { "S": "a" } } } }] });
    let to = "dynamodb_20120810.batchwriteitem";
    let server = Server::start([
        told(to, 200, json!({ "UnprocessedItems": left })),
        told(to, 200, json!({ "UnprocessedItems": left })),
        told(to, 200, json!({ "UnprocessedItems": {} })),
    ])
    .await;
    server.session.tables().put_many("table", vec![Key::of("a").attributes()]).await.unwrap();
    assert_eq!(server.unused(), 0);
}

fn exception(to: &'static str, name: &str) -> Answer {
    told(to, 400, json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{name}"), "message": "told so" }))
}

#[tokio::test]
async fn a_write_that_runs_into_a_transaction_is_tried_again() {
    let to = "dynamodb_20120810.putitem";
    let conflict = || exception(to, "TransactionConflictException");
    let server = Server::start([conflict(), conflict(), told(to, 200, json!({}))]).await;
    let put = server.session.tables().put("table", Key::of("a").attributes(), Condition::Absent).await.unwrap();
    assert_eq!(put, Outcome::Written);
}

fn cancelled(codes: &[&str]) -> Answer {
    let reasons: Vec<_> = codes.iter().map(|code| json!({ "Code": code, "Message": "told so" })).collect();
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "cancelled",
        "CancellationReasons": reasons,
    });
    told("dynamodb_20120810.transactwriteitems", 400, body)
}

async fn transact(server: &Server) -> Result<Transaction, StorageError> {
    let write = |name: &str| Write::Put {
        table: "table".to_owned(),
        item: Key::of(name).attributes(),
        condition: Condition::Absent,
    };
    server.session.tables().transact(vec![write("a"), write("b")]).await
}

#[tokio::test]
async fn transactions_that_collide_are_tried_again() {
    let done = told("dynamodb_20120810.transactwriteitems", 200, json!({}));
    let server =
        Server::start([cancelled(&["None", "TransactionConflict"]), cancelled(&["ThrottlingError", "None"]), done])
            .await;
    assert_eq!(transact(&server).await.unwrap(), Transaction::Written);
    assert_eq!(server.unused(), 0);
}

#[tokio::test]
async fn a_refused_transaction_tells_which_condition_it_was() {
    let server = Server::start([cancelled(&["TransactionConflict", "ConditionalCheckFailed"])]).await;
    assert_eq!(transact(&server).await.unwrap(), Transaction::Refused(vec![false, true]));
    let server = Server::start([cancelled(&["None", "ValidationError"])]).await;
    let refused = transact(&server).await.unwrap_err();
    assert!(refused.to_string().contains("ValidationError (told so)"), "{refused}");
    assert_eq!(refused.class(), ErrorClass::Bug);
}

#[tokio::test]
async fn an_execution_that_exists_is_not_started() {
    let exists = json!({ "__type": "ExecutionAlreadyExists", "message": "told so" });
    let server = Server::start([told("awsstepfunctions.startexecution", 400, exists)]).await;
    let start = server.session.workflows().start("machine", "name", "{}").await.unwrap();
    assert_eq!(start, Start::Exists);
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_gone() {
    for code in ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"] {
        let gone = json!({ "__type": code, "message": "told so" });
        let server = Server::start([told("awsstepfunctions.sendtasksuccess", 400, gone)]).await;
        assert_eq!(server.session.workflows().answer("token", "{}").await.unwrap(), workflows::Answer::Gone);
    }
    let wrong = json!({ "__type": "InvalidOutput", "message": "told so" });
    let server = Server::start([told("awsstepfunctions.sendtasksuccess", 400, wrong)]).await;
    let refused = server.session.workflows().answer("token", "{}").await.unwrap_err();
    assert_eq!(refused.to_string(), "a waiting task: InvalidOutput: told so");
}
