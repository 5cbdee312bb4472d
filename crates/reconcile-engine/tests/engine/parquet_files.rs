//! Parquet: what is written is read again as it was, and what others write is read exactly or not at all.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, DictionaryArray, DurationSecondArray, Float64Array, Int32Array,
    RecordBatch, StringArray, TimestampMillisecondArray, TimestampNanosecondArray,
};
use arrow::datatypes::Int8Type;
use parquet::arrow::ArrowWriter;
use reconcile::{Format, Job, Type, Value, plan::Plan, report::Outcome, task::TaskFormat};
use serde_json::json;

use crate::kit::{Data, Lies, World, small};

const KINDS: [(&str, Type); 6] = [
    ("id", Type::Integer),
    ("name", Type::Text),
    ("net", Type::Decimal(2)),
    ("day", Type::Date),
    ("at", Type::Timestamp),
    ("open", Type::Boolean),
];

fn copy(columns: &[(&str, Type)], format: &str) -> Plan {
    let columns: Vec<_> = columns.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    let job = json!({"version": 1, "inputs": {"in": {"format": "jsonLines", "objects": ["x"], "columns": columns}},
        "steps": [], "outputs": [{"name": "out", "from": "in", "format": format}]});
    Job::from_json(&job.to_string()).unwrap().plan(&BTreeMap::new()).unwrap().plan
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_read_again_as_it_was() {
    let row = |number: i64| {
        let blank = |value: Value| if number % 7 == 3 { Value::Blank } else { value };
        vec![
            blank(Value::Integer(number - 5)),
            blank(Value::text(format!("täxt, \"{number}\""))),
            blank(Value::Decimal(i128::from(number) * 10_i128.pow(30) - 1)),
            blank(Value::Date(i32::try_from(number).unwrap() - 10_000)),
            blank(Value::Timestamp(number * 1_234_567)),
            blank(Value::Boolean(number % 2 == 0)),
        ]
    };
    let columns = KINDS.map(|(name, kind)| (name.to_owned(), kind)).to_vec();
    for rows in [0, 20_000] {
        let data = Data { columns: columns.clone(), objects: vec![(0..rows).map(row).collect()] };
        let mut world = World::new();
        world.fill("in", &data, Lies::JsonLines).await;
        let limits = reconcile_engine::Limits { part_bytes: 100_000, ..small() };
        let Outcome::Done(written) = world.run(&copy(&KINDS, "parquet"), &limits).await.unwrap().outcome else {
            panic!("it failed")
        };
        let parts = &written.outputs[0].parts;
        assert!(if rows == 0 { parts.len() == 1 } else { parts.len() > 1 }, "{parts:?}");
        let mut again = World::new();
        for part in parts {
            let at = storage::Location::new("work", &part.key);
            let body = world.objects.read(&at, None, None).await.unwrap();
            let body = storage::objects::read_all(body, &at, 1 << 30).await.unwrap();
            again.put("in", TaskFormat::Parquet, None, body).await;
        }
        let Outcome::Done(read) = again.run(&copy(&KINDS, "csv"), &small()).await.unwrap().outcome else {
            panic!("it failed")
        };
        let law = reconcile::reference::OutputRows { columns: columns.clone(), rows: data.objects[0].clone() };
        assert!(again.read(&read, "out").await == crate::kit::expected(&law, Format::Csv));
        assert_eq!(read.outputs[0].totals, written.outputs[0].totals);
    }
}

fn file(arrays: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(arrays).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_is_read_exactly_or_not_at_all() {
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None, Some(-1)]));
    // As pandas writes categories.
    let names: DictionaryArray<Int8Type> = [Some("a"), Some(""), None].into_iter().collect();
    let names: ArrayRef = Arc::new(names);
    let decimals = |units: Vec<i128>, scale: i8| -> ArrayRef {
        Arc::new(Decimal128Array::from(units).with_precision_and_scale(20, scale).unwrap())
    };
    let moments: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_000, 2_500_000, 0]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["2024-02-29", "", "1999-12-31"]));
    let columns = [KINDS[0], KINDS[1], KINDS[2], KINDS[3], KINDS[4]];
    let good = |net: ArrayRef, at: ArrayRef| {
        file(vec![
            ("at", at),
            ("more", Arc::clone(&ids)),
            ("id", Arc::clone(&ids)),
            ("name", Arc::clone(&names)),
            ("net", net),
            ("day", Arc::clone(&texts)),
        ])
    };
    let mut world = World::new();
    world.put("in", TaskFormat::Parquet, None, good(decimals(vec![12_500, -1_000, 0], 3), Arc::clone(&moments))).await;
    let Outcome::Done(figures) = world.run(&copy(&columns, "csv"), &small()).await.unwrap().outcome else {
        panic!("it failed")
    };
    let text = String::from_utf8(world.read(&figures, "out").await).unwrap();
    let expected = "7,a,12.50,2024-02-29,1970-01-01T00:00:00.000001Z\r\n,,-1.00,,1970-01-01T00:00:00.0025Z\r\n\
                    -1,,0.00,1999-12-31,1970-01-01T00:00:00Z\r\n";
    assert_eq!(text, expected);

    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.5, 2.0, 3.0]));
    let late: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_000, 1, 0]));
    let fine = || decimals(vec![0, 0, 0], 2);
    let nul: ArrayRef = Arc::new(StringArray::from(vec!["a", "a\0", ""]));
    let with_nul = file(vec![
        ("id", Arc::clone(&ids)),
        ("name", nul),
        ("net", fine()),
        ("day", Arc::clone(&texts)),
        ("at", Arc::clone(&moments)),
    ]);
    for (body, row, column, words) in [
        (
            good(decimals(vec![12_500, 1, 0], 3), Arc::clone(&moments)),
            Some(2),
            Some("net"),
            "\"0.001\" is no decimal(2)",
        ),
        (good(floats, Arc::clone(&moments)), None, Some("net"), "expected decimal(2), the file has Float64"),
        (good(fine(), late), Some(2), Some("at"), "is no timestamp"),
        (with_nul, Some(2), Some("name"), "\"a\\0\" is no text"),
        (file(vec![("id", Arc::clone(&ids))]), None, Some("name"), "the file has no such column"),
        (b"PAR1 and no more".to_vec(), None, None, "cannot be read as Parquet"),
        (Vec::new(), None, None, "cannot be read as Parquet"),
    ] {
        let mut world = World::new();
        world.put("in", TaskFormat::Parquet, None, body).await;
        let Outcome::Failed { failure } = world.run(&copy(&columns, "csv"), &small()).await.unwrap().outcome else {
            panic!("{words}")
        };
        assert!(failure.message.contains(words), "{failure:?}");
        assert_eq!((failure.row, failure.column.as_deref()), (row, column), "{failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_those_of_parquet_and_of_the_years_1_to_9999() {
    // Arrow notes beside it that these are durations.
    let ids: ArrayRef = Arc::new(DurationSecondArray::from(vec![Some(7), None]));
    let days = |last: i32| -> ArrayRef { Arc::new(Date32Array::from(vec![-719_162, last])) };
    let moments =
        |last: i64| -> ArrayRef { Arc::new(TimestampMillisecondArray::from(vec![-62_135_596_800_000, last])) };
    for (day, at, outcome) in [
        (
            days(2_932_896),
            moments(253_402_300_799_999),
            Ok("7,0001-01-01,0001-01-01T00:00:00Z\r\n,9999-12-31,9999-12-31T23:59:59.999Z\r\n"),
        ),
        (days(2_932_897), moments(0), Err(("day", "is no date"))),
        (days(0), moments(253_402_300_800_000), Err(("at", "is no timestamp"))),
        (days(0), moments(i64::MAX), Err(("at", "is no timestamp"))),
    ] {
        let mut world = World::new();
        let body = file(vec![("id", Arc::clone(&ids)), ("day", day), ("at", at)]);
        world.put("in", TaskFormat::Parquet, None, body).await;
        let plan = copy(&[KINDS[0], KINDS[3], KINDS[4]], "csv");
        match (world.run(&plan, &small()).await.unwrap().outcome, outcome) {
            (Outcome::Done(figures), Ok(text)) => {
                assert_eq!(String::from_utf8(world.read(&figures, "out").await).unwrap(), text);
            }
            (Outcome::Failed { failure }, Err((column, words))) => {
                assert!(failure.message.contains(words), "{failure:?}");
                assert_eq!((failure.row, failure.column.as_deref()), (Some(2), Some(column)), "{failure:?}");
            }
            (found, expected) => panic!("{expected:?}: {found:?}"),
        }
    }
}
