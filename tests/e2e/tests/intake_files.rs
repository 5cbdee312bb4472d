//! Files as people have them, through the deployed template: large, compressed, awkward, and sent again.

use std::{
    fs::{self, File},
    io::{self, Write},
};

use e2e::{
    INPUT, Stack,
    command::{ended, put_feed, submit, tieout},
    example::Example,
    large::{FEED, Large, ROWS},
};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use storage::{Location, Objects, StorageError};

/// Parts of five MiB and more never leave S3 when they are joined.
#[tokio::test]
async fn large_parts_are_joined_inside_s3_in_order_and_whole() {
    let stack = Stack::connect().await;
    let large = Large::loaded().await;
    let run = ended(&submit(FEED, &large.named("large.csv")));
    assert_eq!((run["records_out"].as_u64(), run["chunks"].as_u64() > Some(2)), (Some(ROWS), true), "{run}");
    let name = run["run_id"].as_str().unwrap();
    assert!(tieout(&["run", "output", name]).well().stdout == large.output, "{name}: the output is another");
    let (bucket, key) = run["output"].as_str().unwrap().strip_prefix("s3://").unwrap().split_once('/').unwrap();
    let output = stack.session.objects().head(&Location::new(bucket, key), None).await.unwrap();
    // That is what S3 calls an object that was made in parts.
    assert!(output.etag.contains('-'), "{output:?}");
}

#[tokio::test]
async fn a_compressed_file_gives_what_the_plain_one_gives() {
    let example = Example::loaded().await;
    let plain = example.orders("plain.csv");
    let compressed = example.folder.path().join("compressed.csv.gz");
    let mut encoder = GzEncoder::new(File::create(&compressed).unwrap(), Compression::fast());
    io::copy(&mut File::open(&plain).unwrap(), &mut encoder).unwrap();
    encoder.finish().unwrap();
    let [of_plain, of_compressed] = [plain, compressed].map(|file| {
        let run = ended(&submit("orders", &file));
        assert_eq!(run["status"], "published", "{run}");
        (tieout(&["run", "output", run["run_id"].as_str().unwrap()]).well().stdout, run["totals"].clone())
    });
    assert!(of_plain == of_compressed, "the outputs differ");
}

/// Every record is a chunk of its own here, so every border lies beside quoted line breaks, delimiters and quotes.
#[tokio::test]
async fn quoted_line_breaks_at_the_borders_of_chunks_stay_in_their_records() {
    let folder = tempfile::tempdir().unwrap();
    put_feed(&json!({ "name": "quoted", "tieout": { "chunk": { "records": 1 }, "mail": { "to": [] } } }));
    let file = folder.path().join("quoted.csv");
    let content = "id,text\n1,\"a\nb\"\n2,\"\n\"\n3,\"c,\r\n\"\"d\"\"\n\"\n4,plain\n5,\"\n5,no record\n\"\n";
    fs::write(&file, content).unwrap();
    let run = ended(&submit("quoted", &file));
    assert_eq!((run["chunks"].as_u64(), run["records_out"].as_u64()), (Some(5), Some(5)), "{run}");
    assert_eq!(run["mail"]["status"], "not_wanted", "{run}");
    assert_eq!(tieout(&["run", "output", run["run_id"].as_str().unwrap()]).well().stdout, content);
}

/// A quote that is opened and never closed makes one record of all that follows.
#[tokio::test]
async fn a_record_of_a_hundred_megabytes_is_refused_by_row_and_offset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endless.csv");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"a,b\n1,2\n3,\"").unwrap();
    let megabyte = b"0123456,\n".repeat(100_000);
    for _ in 0..112 {
        file.write_all(&megabyte).unwrap();
    }
    let run = ended(&submit("default", &path));
    assert_eq!((&run["status"], &run["failure"]["class"]), (&json!("failed"), &json!("InvalidInput")), "{run}");
    let reason = run["failure"]["message"].as_str().unwrap();
    assert!(reason.contains("row 2, at byte 8, is longer than 1048576 bytes"), "{reason}");
}

#[tokio::test]
async fn a_file_sent_again_while_it_runs_is_a_run_of_its_own() {
    let stack = Stack::connect().await;
    let example = Example::loaded().await;
    let first = example.orders("again.csv");
    let all = fs::read_to_string(&first).unwrap();
    let one = submit("orders", &first);
    let half: String = all.split_inclusive('\n').take(5_001).collect();
    fs::write(&first, &half).unwrap();
    let other = submit("orders", &first);
    assert_ne!(one, other);
    for (name, sent) in [(one, all), (other, half)] {
        let run = ended(&name);
        let records = sent.lines().count() as u64 - 1;
        assert_eq!((&run["status"], run["records_out"].as_u64()), (&json!("published"), Some(records)), "{run}");
        let (bucket, key) = run["archive"].as_str().unwrap().strip_prefix("s3://").unwrap().split_once('/').unwrap();
        let archived = stack.session.objects().head(&Location::new(bucket, key), None).await.unwrap();
        assert_eq!(archived.bytes, sent.len() as u64, "{name} archived what it read");
    }
    let left = stack.session.objects().head(&Location::new(INPUT, "default/intake/orders/again.csv"), None).await;
    assert!(matches!(left, Err(StorageError::NotFound { .. })), "{left:?}");
}
