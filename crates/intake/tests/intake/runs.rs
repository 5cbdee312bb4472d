//! Whole runs, good and bad, through the real handlers.

use std::io::Write;

use crate::kit::{DATA, INPUT, World};
use intake::{
    messages::{MailStatus, RunRequest},
    runs::{RunRecord, RunStatus, StepStatus},
};
use money::{Amount, Currency};
use records::{Reject, RejectReader};
use storage::{Location, Objects};

const ORDERS: &[u8] = include_bytes!("../../../../examples/orders/orders.csv");
const FINANCIALS: &[u8] = include_bytes!("../../../../examples/orders/financials.csv");
const WITH_ERRORS: &[u8] = include_bytes!("../../../../examples/orders/orders-with-errors.csv");
const FEED: &str = include_str!("../../../../examples/orders/feed.json");

async fn orders_world() -> World {
    let world = World::new();
    world.put_feed(FEED).await;
    world.load("financials", "uuid", FINANCIALS).await;
    world
}

/// Uploads a file of the undescribed default feed and runs it.
async fn run_plain(world: &World, bytes: impl Into<Vec<u8>>) -> (RunRequest, Result<RunRecord, String>) {
    let request = world.upload("input/file.csv", bytes).await;
    let ran = world.run(&request).await.map_err(|(_, error)| error_class::chain(&error));
    (request, ran)
}

/// The reason why a file was refused, which must be in its row and leave the input where it was.
async fn refusal(world: &World, key: &str, bytes: impl Into<Vec<u8>>) -> String {
    let request = world.upload(key, bytes).await;
    let (record, _) = world.run(&request).await.expect_err("the file is refused");
    assert_eq!(record.status, RunStatus::Failed);
    assert!(world.publication(&request).await.is_none(), "nothing is published");
    assert!(world.bytes(INPUT, key).await.is_some(), "the input is where it was");
    record.failure.expect("a failed run has a reason").message
}

#[tokio::test]
async fn the_example_gives_fourteen_columns_and_exact_totals() {
    let world = orders_world().await;
    let request = world.upload("default/intake/orders/orders.csv", ORDERS).await;
    let record = world.run(&request).await.unwrap();

    assert_eq!(record.status, RunStatus::Published);
    assert_eq!((record.records_in, record.records_out, record.records_rejected), (Some(2_000), Some(2_000), Some(0)));
    assert_eq!(record.chunks, Some(1));
    let (output, rejects) = world.files(&request).await;
    assert_eq!(rejects, None);
    let mut lines = output.lines();
    assert_eq!(
        lines.next().unwrap(),
        "uuid,Country,Item Type,Sales Channel,Order Priority,Order Date,Region,Ship Date,\
         Units Sold,Unit Price,Unit Cost,Total Revenue,Total Cost,Total Profit"
    );
    assert_eq!(
        lines.next().unwrap(),
        "535113847,Azerbaijan,Snacks,Online,C,10/8/14,Middle East and North Africa,10/23/14,\
         934,152.58,97.44,142509.72,91008.96,51500.76"
    );
    assert_eq!(lines.count(), 1_999);

    // The oracle: the reference file's own columns, added up by hand.
    let column = |index: usize| {
        let lines = std::str::from_utf8(FINANCIALS).unwrap().lines().skip(1);
        let amounts = lines.map(|line| line.split(',').nth(index).unwrap().parse::<Amount>().unwrap());
        amounts.fold(Amount::ZERO, |sum, amount| sum.checked_add(amount).unwrap())
    };
    let totals = record.totals.unwrap();
    let dollars = "USD".parse::<Currency>().ok();
    for (name, index) in [("Total Revenue", 4), ("Total Cost", 5), ("Total Profit", 6)] {
        let total = totals.column(name, dollars);
        assert_eq!((total.sum, total.amounts, total.unparsed), (column(index), 2_000, 0), "{name}");
    }

    assert!(world.bytes(INPUT, "default/intake/orders/orders.csv").await.is_none(), "the input is archived");
    assert_eq!(world.bytes(DATA, &record.archive.unwrap()).await.unwrap(), ORDERS);
    let [mail] = &world.mailer.sent()[..] else { panic!("one mail") };
    assert_eq!(mail.to, ["finance@example.com"]);
    assert!(mail.text.contains("2,000"), "{}", mail.text);
    assert!(matches!(record.mail, Some(MailStatus::Sent { .. })));
    let steps = world.runs().steps(&request.run).await.unwrap();
    assert_eq!(steps.len(), 3, "one chunk, split and merge");
    assert!(steps.iter().all(|step| step.status == StepStatus::Done && step.attempts == 1));
}

#[tokio::test]
async fn bad_records_are_rejected_with_row_column_value_and_rule() {
    let world = orders_world().await;
    let request = world.upload("default/intake/orders/orders-with-errors.csv", WITH_ERRORS).await;
    let record = world.run(&request).await.unwrap();
    let (output, rejects) = world.files(&request).await;
    let rejects: Vec<Reject> = RejectReader::new(rejects.unwrap().as_bytes()).collect::<Result<_, _>>().unwrap();

    assert_eq!(record.records_in, Some(20));
    assert_eq!((record.records_out, record.records_rejected), (Some(8), Some(rejects.len() as u64)));
    assert!(
        output.contains("\"Sub-Saharan Africa\r\n(see note, \"\"B\"\")\""),
        "a quoted line break is kept:\n{output}"
    );
    let told = rejects.iter().map(|Reject { violation, .. }| {
        (violation.row, violation.column.as_deref().unwrap_or("-"), violation.value.as_str(), violation.rule.as_str())
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            (3, "Country", "", "required"),
            (5, "uuid", "1292806020", "max-length"),
            (6, "Order Date", "2013-02-20", "type"),
            (7, "Ship Date", "2/30/13", "type"),
            (9, "Order Priority", "URGENT", "max-length"),
            (10, "-", "", "field-count"),
            (11, "-", "", "field-count"),
            (12, "uuid", "000000000", "reference"),
            (14, "Country", "\"Sao Tome\" and Principe", "quoting"),
            (15, "-", "", "encoding"),
            (16, "-", "", "nul"),
            (18, "Region", &"x".repeat(101), "max-length"),
        ]
    );
    for Reject { violation, record } in &rejects {
        let start = usize::try_from(violation.byte_offset).unwrap();
        let beginning = record.split(['\u{FFFD}', ',']).next().unwrap().as_bytes();
        assert!(WITH_ERRORS[start..].starts_with(beginning), "{violation:?} is not where it says");
    }
    let kept = world.rejects().list(&request.run, 100).await.unwrap();
    assert_eq!(kept.len(), 5, "the first, up to the bound");
    assert_eq!(kept[0].violation.row, 3);
    assert_eq!(kept[0].violation.rule, "required");
    assert!(kept[0].record.starts_with("854349935,,Fruits"));
}

#[tokio::test]
async fn any_csv_runs_before_anyone_has_written_a_descriptor() {
    let world = World::new();
    let (request, ran) = run_plain(&world, "a,b\r\n1,\"x\r\ny\"\r\n\"2\",z").await;
    ran.unwrap();
    assert_eq!(world.files(&request).await, ("a,b\n1,\"x\r\ny\"\n2,z\n".to_owned(), None));
    assert_eq!(world.mailer.sent()[0].to, ["operator@example.com"]);
}

#[tokio::test]
async fn what_people_upload_comes_out_clean() {
    let world = World::new();
    for (upload, output) in [
        (&b"\xEF\xBB\xBFa,b\n1,2\n"[..], "a,b\n1,2\n"),
        (b"a,b\r1,2\r", "a,b\n1,2\n"),
        (b"a,b\n\n\n1,2\n\n", "a,b\n1,2\n"),
        (b"a,b\n1,2", "a,b\n1,2\n"),
        (b"a,b\n", "a,b\n"),
        (b"a,b", "a,b\n"),
    ] {
        let (request, ran) = run_plain(&world, upload).await;
        ran.unwrap();
        assert_eq!(world.files(&request).await, (output.to_owned(), None), "{:?}", String::from_utf8_lossy(upload));
    }
}

#[tokio::test]
async fn records_that_cannot_be_taken_do_not_take_the_file_with_them() {
    let world = World::new();
    let (request, ran) = run_plain(&world, b"a,b\n1,2\n1\n1,2,3\na,b\n\x00,2\n\xE9,2\n\"x\"y,2\n=1+1,2\n").await;
    let record = ran.unwrap();
    assert_eq!((record.records_in, record.records_out, record.records_rejected), (Some(8), Some(2), Some(6)));
    let (output, rejects) = world.files(&request).await;
    assert_eq!(output, "a,b\n1,2\n=1+1,2\n");
    let rules: Vec<String> =
        rejects.unwrap().lines().skip(1).map(|line| line.split(',').nth(4).unwrap().into()).collect();
    assert_eq!(rules, ["field-count", "field-count", "repeated-header", "nul", "encoding", "quoting"]);
}

#[tokio::test]
async fn latin_1_becomes_utf_8_where_the_feed_says_so() {
    let world = World::new();
    world.put_feed(r#"{ "name": "old", "encoding": "iso-8859-1", "dialect": { "delimiter": ";" } }"#).await;
    let request = world.upload("intake/old/file.csv", b"ort;wert\nM\xFCnchen;1,50\n").await;
    world.run(&request).await.unwrap();
    assert_eq!(world.files(&request).await.0, "ort;wert\nMünchen;1,50\n");
}

#[tokio::test]
async fn formulas_are_guarded_where_the_feed_says_so() {
    let world = World::new();
    world.put_feed(r#"{ "name": "guarded", "tieout": { "formulaGuard": true } }"#).await;
    let request = world.upload("intake/guarded/file.csv", b"a,b\n=cmd(),-5\n".as_slice()).await;
    world.run(&request).await.unwrap();
    assert_eq!(world.files(&request).await.0, "a,b\n'=cmd(),-5\n");
}

#[tokio::test]
async fn files_that_cannot_be_read_are_refused_with_the_reason() {
    let world = World::new();
    let key = "input/file.csv";
    for (bytes, reason) in [
        (&b""[..], "empty"),
        (b"PK\x03\x04\x00", "Excel workbook"),
        (b"\xFF\xFEa\x00,\x00b\x00\n\x00", "utf-16"),
        (b"a,a\n1,2\n", "both named"),
        (b"a,\n1,2\n", "no name"),
        (b"a,b\n1,2\n\"3,4\n5,6\n", "row 2, at byte 8, opens a quote"),
        (b"\x1F\x8B\x08broken", "decompressed"),
    ] {
        let told = refusal(&world, key, bytes).await;
        assert!(told.contains(reason), "{told:?} should say {reason:?}");
        assert!(told.contains(key) || reason == "empty" || told.contains("file.csv"), "{told:?} should name the file");
    }
}

#[tokio::test]
async fn a_record_beyond_the_bound_is_told_by_row_and_offset() {
    let world = World::new();
    world.put_feed(r#"{ "name": "short", "tieout": { "recordBytesMax": 1000 } }"#).await;
    let mut file = b"a,b\n1,2\n3,\"".to_vec();
    file.resize(5_000, b'x');
    let told = refusal(&world, "intake/short/file.csv", file).await;
    assert!(told.contains("row 2, at byte 8, is longer than 1000 bytes"), "{told}");
}

#[tokio::test]
async fn a_header_that_does_not_match_is_told_by_column() {
    let world = orders_world().await;
    let told = refusal(&world, "default/intake/orders/x.csv", "uuid,Land\n1,2\n").await;
    assert!(told.contains("missing") && told.contains("\"Country\"") && told.contains("unexpected \"Land\""), "{told}");
}

#[tokio::test]
async fn a_feed_or_table_that_is_missing_is_told_with_the_command_that_helps() {
    let world = World::new();
    let told = refusal(&world, "default/intake/nowhere/x.csv", "a\n1\n").await;
    assert!(told.contains("tieout feed put"), "{told}");
    world.put_feed(FEED).await;
    let told = refusal(&world, "default/intake/orders/x.csv", ORDERS).await;
    assert!(told.contains("tieout reference load financials"), "{told}");
    world.load("financials", "uuid", b"uuid,unitsSold\n1,2\n").await;
    let told = refusal(&world, "default/intake/orders/x.csv", ORDERS).await;
    assert!(told.contains("no column \"unitPrice\""), "{told}");
}

#[tokio::test]
async fn a_key_without_a_row_is_a_reject_or_empty_cells_as_the_feed_says() {
    for (missing, output, rejected) in [("reject", "id,x\n1,one\n", 1), ("empty", "id,x\n1,one\n2,\n", 0)] {
        let world = World::new();
        world.load("names", "key", b"key,name\n1,one\n").await;
        let feed = format!(
            r#"{{ "name": "keyed", "tieout": {{ "enrichment": {{ "table": "names", "key": "id",
                 "columns": [{{ "from": "name", "as": "x" }}], "missing": "{missing}" }} }} }}"#
        );
        world.put_feed(&feed).await;
        let request = world.upload("intake/keyed/file.csv", "id\n1\n2\n").await;
        let record = world.run(&request).await.unwrap();
        assert_eq!(world.files(&request).await.0, output);
        assert_eq!(record.records_rejected, Some(rejected));
    }
}

#[tokio::test]
async fn a_feed_that_wants_whole_files_gets_whole_files() {
    let world = World::new();
    world.put_feed(r#"{ "name": "strict", "tieout": { "onReject": "fail" } }"#).await;
    let told = refusal(&world, "intake/strict/file.csv", "a,b\n1,2\n3\n").await;
    assert!(told.contains("1 of 2 records were rejected"), "{told}");
    let run = world.runs().recent("default", 1).await.unwrap().remove(0).run;
    let [reject] = &world.rejects().list(&run, 10).await.unwrap()[..] else { panic!("the reject can be looked at") };
    assert_eq!((reject.violation.row, reject.violation.rule.as_str()), (2, "field-count"));
}

#[tokio::test]
async fn gzip_gives_what_the_plain_file_gives() {
    let world = orders_world().await;
    let plain = world.upload("default/intake/orders/orders.csv", ORDERS).await;
    world.run(&plain).await.unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(ORDERS).unwrap();
    let gzip = gzip.finish().unwrap();
    let packed = world.upload("default/intake/orders/orders.csv.gz", gzip.clone()).await;
    let record = world.run(&packed).await.unwrap();
    assert_eq!(record.chunks, Some(1));
    assert!(record.output.unwrap().ends_with("/orders.csv"));
    assert_eq!(world.files(&packed).await, world.files(&plain).await);

    let told = refusal(&world, "default/intake/orders/cut.csv.gz", &gzip[..gzip.len() / 2]).await;
    assert!(told.contains("cannot be decompressed"), "{told}");
}

#[tokio::test]
async fn a_small_file_that_decompresses_to_a_huge_one_is_refused() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..260 {
        gzip.write_all(&vec![b'\n'; 1024 * 1024]).unwrap();
    }
    let told = refusal(&World::new(), "input/bomb.csv.gz", gzip.finish().unwrap()).await;
    assert!(told.contains("when unpacked"), "{told}");
}

#[tokio::test]
async fn a_file_uploaded_again_while_it_runs_is_another_run() {
    let world = World::new();
    let key = "input/file.csv";
    let first = world.upload(key, "a\n1\n").await;
    let second = world.upload(key, "a\n2\n").await;
    assert_ne!(first.run, second.run);
    world.run(&first).await.unwrap();
    assert_eq!(world.files(&first).await.0, "a\n1\n", "the version that was uploaded first");
    assert_eq!(world.bytes(INPUT, key).await.unwrap(), b"a\n2\n", "the newer version stays");
    world.run(&second).await.unwrap();
    assert_eq!(world.files(&second).await.0, "a\n2\n");
    assert!(world.bytes(INPUT, key).await.is_none());
    let info = world.objects.head(&Location::new(INPUT, key), first.input.version.as_deref()).await;
    assert!(info.is_err(), "each run took its own version away");
}

#[tokio::test]
async fn a_feed_changed_while_a_run_is_under_way_does_not_touch_it() {
    let world = World::new();
    world.put_feed(r#"{ "name": "moving" }"#).await;
    let request = world.upload("intake/moving/file.csv", "a,b\n1,2\n").await;
    let handlers = world.handlers();
    let split = handlers.splitter.split(request.clone()).await.unwrap();
    world.put_feed(r#"{ "name": "moving", "dialect": { "delimiter": ";" } }"#).await;
    assert_eq!(handlers.splitter.split(request.clone()).await.unwrap(), split);
    world.run(&request).await.unwrap();
    assert_eq!(world.files(&request).await.0, "a,b\n1,2\n");
}

#[tokio::test]
async fn a_reference_row_without_the_column_is_not_taken_for_an_empty_one() {
    let world = World::new();
    world.load("fees", "key", b"key,old\na,1\n").await;
    world.load("fees", "key", b"key,fee\nb,1.00\n").await;
    world
        .put_feed(
            r#"{ "name": "keyed", "tieout": {
                "enrichment": { "table": "fees", "key": "id", "columns": [{ "from": "fee" }] },
                "amounts": [{ "column": "fee", "currency": "EUR" }] } }"#,
        )
        .await;
    let request = world.upload("intake/keyed/file.csv", "id\na\nb\n").await;
    let record = world.run(&request).await.unwrap();
    assert_eq!(record.records_rejected, Some(1));
    let (output, rejects) = world.files(&request).await;
    assert_eq!(output, "id,fee\nb,1.00\n");
    assert!(rejects.unwrap().contains("has no \"\"fee\"\""), "the reason names the column");
}

#[tokio::test]
async fn guarded_amounts_still_tie_out() {
    let world = World::new();
    world.load("fees", "key", b"key,fee,note\na,-,=1\nb,-1.00,-\n").await;
    world
        .put_feed(
            r#"{ "name": "guarded", "schema": { "fields": [{ "name": "id" }], "missingValues": ["", "-"] },
                "tieout": { "formulaGuard": true,
                "enrichment": { "table": "fees", "key": "id", "columns": [{ "from": "fee" }, { "from": "note" }] },
                "amounts": [{ "column": "fee", "currency": "EUR" }] } }"#,
        )
        .await;
    let request = world.upload("intake/guarded/file.csv", "id\na\nb\n").await;
    world.run(&request).await.unwrap();
    assert_eq!(world.files(&request).await.0, "id,fee,note\na,-,'=1\nb,-1.00,'-\n");
}

#[tokio::test]
async fn a_path_that_is_too_long_for_the_archive_is_refused_before_any_work() {
    let world = World::new();
    let key = format!("input/{}.csv", "x".repeat(900));
    let told = refusal(&world, &key, "a\n1\n").await;
    assert!(told.contains("longer than 800 bytes"), "{told}");
}

#[tokio::test]
async fn a_hundred_megabyte_record_is_told_by_row_and_offset() {
    let world = World::new();
    let mut file = b"a,b\n1,2\n3,\"".to_vec();
    file.resize(100_000_000, b'x');
    let told = refusal(&world, "input/huge.csv", file).await;
    assert!(told.contains("row 2, at byte 8, is longer than 1048576 bytes"), "{told}");
}

#[tokio::test]
async fn a_chunk_of_many_batches_is_one_part_in_order() {
    let world = World::new();
    world.put_feed(r#"{ "name": "large", "tieout": { "chunk": { "bytes": 67108864 } } }"#).await;
    let mut file = String::from("id,text\n");
    for row in 0..300_000 {
        file.push_str(&format!("{row},some text that makes the record longer\n"));
    }
    let request = world.upload("intake/large/file.csv", file.clone()).await;
    let record = world.run(&request).await.unwrap();
    assert_eq!((record.chunks, record.records_out), (Some(1), Some(300_000)));
    assert!(world.files(&request).await.0 == file, "every record, in order");
}

const PRICES: &str = r#"{
    "name": "prices",
    "schema": { "fields": [{ "name": "amount", "type": "number" }, { "name": "currency" }] },
    "tieout": { "amounts": [{ "column": "amount", "currencyColumn": "currency" }] }
}"#;

#[tokio::test]
async fn amounts_of_unknown_currencies_are_rejected_and_added_up_apart() {
    let world = World::new();
    world.put_feed(PRICES).await;
    let file = "amount,currency\n1.50,EUR\n2.50,USD\n4,eur\n8,\n16,ZZZ\n,\noops,EUR\n";
    let request = world.upload("intake/prices/file.csv", file).await;
    let record = world.run(&request).await.unwrap();
    assert_eq!((record.records_out, record.records_rejected), (Some(3), Some(4)));
    let sum = |totals: &money::ControlTotals, code: &str| totals.column("amount", code.parse().ok()).sum.to_string();
    let published = world.publication(&request).await.unwrap();
    assert_eq!((sum(&published.totals, "EUR").as_str(), sum(&published.totals, "USD").as_str()), ("1.50", "2.50"));
    assert_eq!(sum(&published.totals_rejected, ""), "28", "with the published ones, what the file held");
    assert_eq!(published.totals_rejected.column("amount", "EUR".parse().ok()).unparsed, 1);
    assert_eq!(published.rejected_by_rule.get("currency"), Some(&3));
    let mail = &world.mailer.sent()[0].text;
    assert!(mail.contains("Rejected of amount") && mail.contains("28"), "{mail}");
}

#[tokio::test]
async fn an_amount_too_large_to_be_added_is_told_by_row() {
    let world = World::new();
    world.put_feed(PRICES).await;
    let file = "amount,currency\n99999999999999999999,EUR\n0.0000000000000000000001,EUR\n";
    let told = refusal(&world, "intake/prices/file.csv", file).await;
    assert!(told.contains("row 2") && told.contains("amount in EUR"), "{told}");
}

#[test]
fn a_mistyped_key_of_a_descriptor_is_told() {
    for (descriptor, key) in [
        (r#"{ "name": "x", "tieuot": {} }"#, "tieuot"),
        (r#"{ "name": "x", "schemas": {} }"#, "schemas"),
        (r#"{ "name": "x", "resources": [] }"#, "resources"),
        (r#"{ "name": "x", "tieout": { "chunks": {} } }"#, "chunks"),
    ] {
        let told = intake::feed::Feed::from_json(descriptor).unwrap_err().to_string();
        assert!(told.contains(key), "{told}");
    }
}
