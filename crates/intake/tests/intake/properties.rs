//! Laws that hold for any file.

use crate::kit::World;
use intake::runs::RunRecord;
use proptest::prelude::*;

/// Files as people, programs and mistakes make them: a header, and then cells, quotes and line ends in any order.
fn files() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z0-9 .]{0,6}",
        3 => Just(",".to_owned()),
        3 => Just("\n".to_owned()),
        1 => Just("\r\n".to_owned()),
        1 => Just("\r".to_owned()),
        2 => Just("\"".to_owned()),
        1 => Just("\"\"".to_owned()),
        2 => Just("k1,-12.50\n".to_owned()),
        1 => Just("k2,\"1.5\"\r\n".to_owned()),
        1 => Just("\"k\n3\",7\n".to_owned()),
        1 => Just("é\u{0}".to_owned()),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| format!("key,amount\n{}", pieces.concat()))
}

fn chunks() -> impl Strategy<Value = String> {
    prop_oneof![
        (1_u64..40).prop_map(|bytes| format!("{{ \"bytes\": {bytes} }}")),
        (1_u64..5).prop_map(|records| format!("{{ \"records\": {records} }}")),
    ]
}

/// Everything about a run but its chunks: the output, the rejects, the figures; or why it was refused.
type Result = std::result::Result<(String, Option<String>, RunRecord), String>;

async fn run(file: &str, chunk: &str) -> Result {
    let world = World::new();
    world.load("names", "key", b"key,name\nk1,one\nk2,\"two, or 2\"\n").await;
    let feed = format!(
        r#"{{
            "name": "any",
            "schema": {{ "fields": [{{ "name": "key" }}, {{ "name": "amount", "type": "number" }}] }},
            "tieout": {{
                "chunk": {chunk},
                "enrichment": {{ "table": "names", "key": "key", "columns": [{{ "from": "name" }}], "missing": "empty" }},
                "amounts": [{{ "column": "amount", "currency": "EUR" }}]
            }}
        }}"#
    );
    world.put_feed(&feed).await;
    let request = world.upload("intake/any/file.csv", file).await;
    match world.run(&request).await {
        Ok(record) => {
            let (output, rejects) = world.files(&request).await;
            Ok((output, rejects, record))
        }
        Err((_, error)) => Err(error_class::chain(&error)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Splitting then processing equals processing whole, and in = out + rejected.
    #[test]
    fn chunks_change_nothing(file in files(), chunk in chunks()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let whole = runtime.block_on(run(&file, "{ \"records\": 1000000 }"));
        let split = runtime.block_on(run(&file, &chunk));
        match (whole, split) {
            (Ok((output, rejects, whole)), Ok((split_output, split_rejects, split))) => {
                prop_assert_eq!(output, split_output);
                prop_assert_eq!(rejects, split_rejects);
                prop_assert_eq!(&whole.totals, &split.totals);
                prop_assert_eq!(
                    (whole.records_in, whole.records_out, whole.records_rejected),
                    (split.records_in, split.records_out, split.records_rejected)
                );
                let (out, rejected) = (split.records_out.unwrap(), split.records_rejected.unwrap());
                prop_assert_eq!(split.records_in.unwrap(), out + rejected);
                prop_assert_eq!(split.totals.unwrap().records(), out);
            }
            (Err(whole), Err(split)) => prop_assert_eq!(whole, split),
            (whole, split) => prop_assert!(false, "whole: {:?}, split: {:?}", whole.is_ok(), split.is_ok()),
        }
    }
}
