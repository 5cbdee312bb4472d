//! What is said before any data is read.

use std::sync::Arc;

use jobs::{JobError, messages::PlanRequest};
use parquet::{data_type::Int64Type, file::writer::SerializedFileWriter, schema::parser::parse_message_type};
use reconcile::{
    report::Engine,
    task::{Task, TaskFormat},
};
use serde_json::{Value as Json, json};
use storage::{
    StorageError, documents,
    memory::{Fault, Operation},
};

use crate::kit::{ORDERS, World, attempt, body, document};

async fn planned(world: &World, document: &Json) -> Result<Task, JobError> {
    let handlers = world.handlers();
    assert_eq!(world.deliver(&handlers, &body("close", document)).await.started, 1);
    let chosen = handlers.planner.plan(PlanRequest { job: attempt("close", 1), failure: None }).await?;
    Ok(documents::read(&*world.objects, &chosen.task).await?.expect("there is a task"))
}

#[tokio::test]
async fn inputs_are_pinned_as_they_are_now() {
    let world = World::new();
    world.put("acme/orders.csv", ORDERS).await;
    let task = planned(&world, &document()).await.unwrap();
    let input = &task.inputs["orders"];
    assert_eq!(input.format, TaskFormat::Csv);
    assert_eq!(input.objects[0].key, "acme/orders.csv");
    assert_eq!(input.objects[0].bytes, ORDERS.len() as u64);
    assert!(input.objects[0].version.is_some());
    assert_eq!(task.output.prefix, "acme/jobs/close/attempt=1/output");

    // What comes later changes nothing: a second plan follows the first.
    world.put("acme/orders.csv", "id,region,net\n").await;
    let handlers = world.handlers();
    let chosen = handlers.planner.plan(PlanRequest { job: attempt("close", 1), failure: None }).await.unwrap();
    assert_eq!((chosen.engine, chosen.bytes, chosen.objects), (Engine::Embedded, ORDERS.len() as u64, 1));
    assert_eq!(chosen.task_uri, "s3://work/acme/jobs/close/attempt=1/task.json");
    assert_eq!(chosen.report.key, "acme/jobs/close/attempt=1/output/report.json");
    let again: Task = documents::read(&*world.objects, &chosen.task).await.unwrap().unwrap();
    assert_eq!(again, task);
    let record = world.record("close").await;
    assert_eq!(record.engine, Some(Engine::Embedded));
    assert!(record.engine_why.unwrap().contains("MiB on disk"));
}

/// A planner that dies between task and row: the next one tells what the first had to say.
#[tokio::test]
async fn warnings_are_told_whoever_writes_the_row() {
    let world = World::new();
    world.put("acme/orders.csv", ORDERS).await;
    let mut job = document();
    job["outputs"].as_array_mut().unwrap().truncate(1);
    world.deliver(&world.handlers(), &body("close", &job)).await;
    let down = |operation: &Operation| {
        let gone = || StorageError::Unavailable { what: "table".into(), source: "down".into() };
        (operation.name == "update").then(|| Fault::Refused(gone()))
    };
    let request = PlanRequest { job: attempt("close", 1), failure: None };
    world.faulty_handlers(down).planner.plan(request.clone()).await.unwrap_err();
    assert!(world.record("close").await.warnings.is_empty());
    world.handlers().planner.plan(request).await.unwrap();
    assert_eq!(world.record("close").await.warnings, [r#"step "sums" is not run: no output comes of it"#]);
}

#[tokio::test]
async fn a_prefix_is_its_objects_in_the_order_of_their_keys() {
    let world = World::new();
    for key in ["acme/bank/2.csv", "acme/bank/10.csv", "acme/bank/", "other/bank/3.csv", "acme/banks.csv"] {
        world.put(key, ORDERS).await;
    }
    for key in ["_SUCCESS", "_metadata", "_common_metadata", "_committed_42", "_started_42", ".2.csv.crc"] {
        let key = &format!("acme/bank/{key}");
        world.put(key, "beside the data").await;
    }
    let mut job = document();
    job["inputs"]["orders"]["objects"] = json!([]);
    job["inputs"]["orders"]["prefix"] = json!("bank/");
    let task = planned(&world, &job).await.unwrap();
    let keys: Vec<&str> = task.inputs["orders"].objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys, ["acme/bank/10.csv", "acme/bank/2.csv"]);
}

/// Nothing that may be somebody's data is passed over in silence.
#[tokio::test]
async fn what_only_looks_like_a_mark_is_told() {
    for name in ["_metadata_2024.csv", "_SUCCESSFUL.csv", "_committed_payments.csv", "_temporary"] {
        let world = World::new();
        world.put("acme/bank/1.csv", ORDERS).await;
        world.put(&format!("acme/bank/{name}"), ORDERS).await;
        let mut job = document();
        job["inputs"]["orders"]["objects"] = json!([]);
        job["inputs"]["orders"]["prefix"] = json!("bank/");
        let told = error_class::chain(&planned(&world, &job).await.unwrap_err());
        assert!(told.contains(&format!("acme/bank/{name} lies under")), "{told}");
    }
}

/// What a writer has not committed would count twice, or never be.
#[tokio::test]
async fn folders_that_programs_keep_to_themselves_are_no_data() {
    let told = async |prefix: &str, key: &str| {
        let world = World::new();
        world.put("acme/bank/1.csv", ORDERS).await;
        world.put(key, ORDERS).await;
        let mut job = document();
        job["inputs"]["orders"]["objects"] = json!([]);
        job["inputs"]["orders"]["prefix"] = json!(prefix);
        planned(&world, &job).await.map_or_else(|error| error_class::chain(&error), |_| "planned".to_owned())
    };
    for key in ["acme/bank/_temporary/0/part.csv", "acme/bank/a/.staging/part.csv", "acme/bank_new/_temporary/1.csv"] {
        let told = told("bank", key).await;
        assert!(told.contains(&format!("{key} lies under \"bank\", and is no data by its name")), "{told}");
    }
    assert_eq!(told("bank/_drop", "acme/bank/_dropped/part.csv").await, "planned");
    assert_eq!(told("bank/", "acme/bank/day=1/part.csv").await, "planned");
}

/// Hadoop would read `acme/orders.csv` for each of these, and `other/orders.csv` for the last.
#[tokio::test]
async fn keys_that_others_read_as_another_are_refused() {
    for key in ["a//orders.csv", "./orders.csv", "a/../orders.csv", "../other/orders.csv"] {
        let world = World::new();
        world.put(&format!("acme/{key}"), ORDERS).await;
        let mut job = document();
        job["inputs"]["orders"]["objects"] = json!([key]);
        let told = error_class::chain(&planned(&world, &job).await.unwrap_err());
        assert!(told.contains(&format!("acme/{key} has a part that is empty")), "{told}");
    }
}

#[tokio::test]
async fn what_all_rows_may_lack_is_the_tasks_to_know() {
    let world = World::new();
    world.put("acme/orders.csv", ORDERS).await;
    let mut job = document();
    let column = |name: &str, kind: &str| json!({"name": name, "type": kind});
    let mut columns = vec![column("id", "integer"), column("region", "text"), column("net", "decimal(2)")];
    columns[1]["optional"] = json!(true);
    job["inputs"]["orders"] = json!({"format": "jsonLines", "objects": ["orders.csv"], "columns": columns});
    let task = planned(&world, &job).await.unwrap();
    let required = ["id", "region", "net"].map(|name| task.inputs["orders"].must_have(name));
    assert_eq!(required, [true, false, true]);
}

#[tokio::test]
async fn a_parquet_file_tells_its_columns_and_rows() {
    let schema = Arc::new(parse_message_type("message m { required int64 id; required int64 net; }").unwrap());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    for _ in 0..2 {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&[7; 1_000], None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    let file = file.into_inner().unwrap();
    let world = World::new();
    for key in ["acme/orders/1.parquet", "acme/orders/2.parquet"] {
        world.put(key, &file).await;
    }
    let mut job = document();
    job["inputs"]["orders"] = json!({"format": "parquet", "prefix": "orders/"});
    job["steps"] = json!([]);
    job["outputs"] = json!([{"name": "all", "from": "orders", "format": "csv"}]);
    let task = planned(&world, &job).await.unwrap();
    assert_eq!(task.inputs["orders"].rows, Some(2_000));
    // What is stored of a column, and it again, unpacked.
    let held = &task.inputs["orders"].held;
    assert_eq!(held.keys().collect::<Vec<_>>(), ["id", "net"]);
    assert!(held.values().all(|bytes| (50..500).contains(bytes)), "{held:?}");
    let names: Vec<&str> = task.plan.outputs[0].columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["id", "net"]);
}

#[tokio::test]
async fn a_feed_says_how_its_files_are_read() {
    let world = World::new();
    world.put("acme/orders.csv", "id;net\n1;1.234,50\n").await;
    let fields = json!([
        {"name": "id", "type": "integer"},
        {"name": "region", "constraints": {"required": true}},
        {"name": "net", "type": "number", "decimalChar": ",", "groupChar": ".", "bareNumber": false},
        {"name": "day", "type": "date", "format": "%d.%m.%Y"},
        {"name": "paid", "type": "boolean", "trueValues": ["ja"], "falseValues": ["nein"]},
    ]);
    let schema = json!({"fields": fields, "missingValues": ["", "-"], "fieldsMatch": "equal"});
    let feed = json!({"name": "orders", "encoding": "cp1252", "dialect": {"delimiter": ";"}, "schema": schema,
        "tieout": {"formulaGuard": false}});
    world.feed("orders", feed).await;
    let mut job = document();
    let input = job["inputs"]["orders"].as_object_mut().unwrap();
    input.insert("feed".to_owned(), json!("orders"));
    input.insert("columns".to_owned(), json!([{"name": "net", "type": "decimal(4)"}, {"name": "day", "type": "text"}]));
    let task = planned(&world, &job).await.unwrap();
    let csv = serde_json::to_value(task.inputs["orders"].csv.as_ref().unwrap()).unwrap();
    let expected = json!({
        "delimiter": ";", "quoteChar": "\"", "doubleQuote": true, "skipInitialSpace": false, "encoding": "windows-1252",
        "header": true, "caseSensitiveHeader": false, "fieldsMatch": "equal", "missingValues": ["", "-"],
        "columns": [
            {"name": "id", "type": "integer"},
            {"name": "region", "type": "text"},
            {"name": "net", "type": "decimal(4)", "decimalChar": ",", "groupChar": ".", "bareNumber": false},
            // It is read as text: how its days are written does not matter.
            {"name": "day", "type": "text"},
            {"name": "paid", "type": "boolean", "trueValues": ["ja"], "falseValues": ["nein"]},
        ],
    });
    assert_eq!(csv, expected);
    let warnings = world.record("close").await.warnings;
    let told = r#"input "orders": the constraints of "region" are not applied"#;
    assert!(warnings.iter().any(|warning| warning.starts_with(told)), "{warnings:?}");
}

/// The files are in another form than what intake makes of them.
#[tokio::test]
async fn a_feed_says_how_what_is_published_of_its_files_is_read() {
    let world = World::new();
    let published = "runs/acme-20260101t000000-0000000000000000/output/0/orders.csv";
    world.put(&format!("acme/{published}"), "id;net;owner\n1;1,50;Müller\n").await;
    world.put("acme/orders.csv", ORDERS).await;
    let fields = json!([{"name": "id", "type": "integer"}, {"name": "net", "type": "number", "decimalChar": ","}]);
    let feed = json!({"name": "orders", "encoding": "windows-1252",
        "dialect": {"delimiter": ";", "quoteChar": "'", "header": false, "skipInitialSpace": true},
        "schema": {"fields": fields, "missingValues": ["-"], "fieldsMatch": "subset"},
        "tieout": {"enrichment": {"table": "owners", "key": "id", "columns": [{"from": "name", "as": "owner"}]}}});
    world.feed("orders", feed).await;
    let mut job = document();
    job["inputs"]["orders"] = json!({"format": "csv", "objects": [published], "feed": "orders"});
    job["steps"] = json!([]);
    job["outputs"] = json!([{"name": "all", "from": "orders", "format": "csv"}]);
    let task = planned(&world, &job).await.unwrap();
    let expected = json!({
        "delimiter": ";", "quoteChar": "\"", "doubleQuote": true, "skipInitialSpace": false, "encoding": "utf-8",
        "header": true, "caseSensitiveHeader": false, "fieldsMatch": "exact", "missingValues": [],
        "columns": [
            {"name": "id", "type": "integer"},
            {"name": "net", "type": "decimal(2)", "decimalChar": ","},
            {"name": "owner", "type": "text"},
        ],
    });
    assert_eq!(serde_json::to_value(task.inputs["orders"].csv.as_ref().unwrap()).unwrap(), expected);

    let world = World::new();
    world.feed("orders", json!({"name": "orders"})).await;
    job["inputs"]["orders"]["objects"] = json!(["orders.csv", published]);
    let told = planned(&world, &job).await.unwrap_err().to_string();
    assert!(told.contains("read what it has published and what it has not as two inputs"), "{told}");
}

#[tokio::test]
async fn what_is_wrong_is_said_before_data_is_read() {
    let change = |path: &str, to: Json| {
        let mut job = document();
        *job.pointer_mut(path).unwrap() = to;
        job
    };
    let with = |key: &str, value: Json| {
        let mut job = document();
        job["inputs"]["orders"].as_object_mut().unwrap().insert(key.to_owned(), value);
        job
    };
    for (job, words) in [
        (
            change("/inputs/orders/objects", json!(["none.csv"])),
            r#"input "orders": s3://data/acme/none.csv does not exist"#,
        ),
        // Jobs see nothing but their tenant's.
        (change("/inputs/orders/objects", json!(["../other/orders.csv"])), "does not exist"),
        (change("/steps/0/where/column", json!("gross")), r#"step "dear" (filter), column "gross""#),
        (change("/steps/1/measures/0/column", json!("region")), r#"step "sums" (groupBy), column "region""#),
        (with("feed", json!("unknown")), r#"there is no feed "unknown""#),
        (with("descriptor", json!({"dialect": {"delimiter": "||"}})), "delimiter"),
        (with("descriptor", json!({"dialect": {"header": false}})), "needs a schema"),
        (with("descriptor", json!({"schema": {"fields": [{"name": "id", "type": "geopoint"}]}})), "geopoint"),
        (change("/inputs/orders/format", json!("parquet")), "is no Parquet file"),
    ] {
        let world = World::new();
        world.put("acme/orders.csv", ORDERS).await;
        world.put("other/orders.csv", ORDERS).await;
        let error = planned(&world, &job).await.unwrap_err();
        assert!(error_class::chain(&error).contains(words), "{words}: {error}");
        assert_eq!(error_class::Classified::class(&error), error_class::ErrorClass::InvalidInput, "{error}");
    }
    let world = World::new();
    let mut job = document();
    job["inputs"]["orders"]["objects"] = json!([]);
    job["inputs"]["orders"]["prefix"] = json!("bank/");
    let error = planned(&world, &job).await.unwrap_err().to_string();
    assert!(error.contains(r#"no object's key begins with "bank/""#), "{error}");
}

#[tokio::test]
async fn keys_that_are_no_data_or_are_written_in_another_way_are_told() {
    let problem = async |key: &str, value: Json| {
        let world = World::new();
        for key in ["acme/bank/1.csv", "acme/bank/report.html", "acme/bank/2.CSV.gz"] {
            world.put(key, ORDERS).await;
        }
        let mut job = document();
        job["inputs"]["orders"]["objects"] = json!([]);
        job["inputs"]["orders"][key] = value;
        planned(&world, &job).await.map_or_else(|error| error_class::chain(&error), |_| "planned".to_owned())
    };
    let meant = r#"is "bank/1.csv" meant?"#;
    for (given, words) in [
        (json!(["acme/bank/1.csv"]), meant),
        (json!(["/bank/1.csv"]), meant),
        (json!(["s3://data/acme/bank/1.csv"]), meant),
        (json!(["bank/2.csv"]), "s3://data/acme/bank/2.csv does not exist"),
        (json!(["bank/2.CSV.gz"]), "acme/bank/2.CSV.gz is packed, by its name: unpack it first"),
        (json!(["bank/1.csv"]), "planned"),
    ] {
        let told = problem("objects", given).await;
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!problem("objects", json!(["bank/2.csv"])).await.contains("meant?"));
    let told = problem("prefix", json!("acme/bank/1")).await;
    assert!(told.contains(r#"is "bank/1" meant?"#), "{told}");
    let told = problem("prefix", json!("bank/")).await;
    assert!(told.contains("acme/bank/report.html lies under \"bank/\""), "{told}");
}

/// It would be read whole, beside those of other files.
#[tokio::test]
async fn a_parquet_file_with_a_footer_beyond_measure_is_refused() {
    let world = World::new();
    world.put("acme/orders.parquet", b"PAR1\xff\xff\xff\x7fPAR1").await;
    let mut job = document();
    job["inputs"]["orders"] = json!({"format": "parquet", "objects": ["orders.parquet"]});
    let told = error_class::chain(&planned(&world, &job).await.unwrap_err());
    assert!(told.contains("the footer of acme/orders.parquet has 2147483647 bytes, more than 67108864"), "{told}");
}

/// A Parquet file without rows.
fn parquet(fields: &str) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(&format!("message rows {{ {fields} }}")).unwrap());
    let mut bytes = Vec::new();
    SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap().close().unwrap();
    bytes
}

#[tokio::test]
async fn parquet_that_not_every_engine_reads_is_refused() {
    let others = "OPTIONAL int32 id; OPTIONAL binary region (UTF8);";
    let table = |net: &str| parquet(&format!("{others} OPTIONAL {net};"));
    let net = |kind: &str| json!([{"name": "net", "type": kind}]);
    for (first, second, columns, words) in [
        (
            table("int32 net (DECIMAL(9,2))"),
            table("fixed_len_byte_array (16) net (DECIMAL(38,2))"),
            json!([]),
            "planned",
        ),
        (table("binary net (UTF8)"), table("binary net (UTF8)"), net("decimal(2)"), "planned"),
        (
            table("int64 net (TIMESTAMP(MILLIS,true))"),
            table("int64 net (TIMESTAMP(NANOS,false))"),
            net("decimal(2)"),
            r#"input "orders": column "net" of acme/1.parquet is timestamp, and cannot be read as decimal(2)"#,
        ),
        (
            table("int32 net (DECIMAL(9,2))"),
            table("int32 net (DECIMAL(9,3))"),
            json!([]),
            r#"acme/2.parquet has other columns than acme/1.parquet: "net" is not the same in both"#,
        ),
        (
            table("fixed_len_byte_array (17) net (DECIMAL(39,2))"),
            table("int32 net (DECIMAL(9,2))"),
            net("decimal(2)"),
            r#"acme/2.parquet has other columns than acme/1.parquet: "net" is not the same in both"#,
        ),
        (
            table("fixed_len_byte_array (17) net (DECIMAL(39,2))"),
            table("binary net (DECIMAL(40,2))"),
            net("decimal(2)"),
            r#"column "net" of acme/1.parquet is of a type that is not read"#,
        ),
    ] {
        let world = World::new();
        world.put("acme/1.parquet", &first).await;
        world.put("acme/2.parquet", &second).await;
        let mut job = document();
        job["inputs"]["orders"] =
            json!({"format": "parquet", "objects": ["1.parquet", "2.parquet"], "columns": columns});
        let told =
            planned(&world, &job).await.map_or_else(|error| error_class::chain(&error), |_| "planned".to_owned());
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[tokio::test]
async fn the_job_may_choose_its_engine_if_there_is_one() {
    // Which it is, and whether Spark takes over where that one turns out too small.
    for (choice, spark, engine) in [
        ("embedded", true, Some((Engine::Embedded, false))),
        ("spark", true, Some((Engine::Spark, true))),
        ("spark", false, None),
        ("auto", true, Some((Engine::Embedded, true))),
        ("auto", false, Some((Engine::Embedded, false))),
    ] {
        let mut world = World::new();
        world.spark = spark;
        world.put("acme/orders.csv", ORDERS).await;
        let mut job = document();
        job["options"] = json!({"engine": choice});
        let handlers = world.handlers();
        world.deliver(&handlers, &body("close", &job)).await;
        let chosen = handlers.planner.plan(PlanRequest { job: attempt("close", 1), failure: None }).await;
        let chosen = chosen.ok().map(|chosen| (chosen.engine, chosen.spark));
        assert_eq!(chosen, engine, "{choice}, with Spark: {spark}");
    }
}

#[tokio::test]
async fn a_job_that_is_over_or_to_be_is_not_planned() {
    let world = World::new();
    world.put("acme/orders.csv", ORDERS).await;
    let handlers = world.handlers();
    world.deliver(&handlers, &body("close", &document())).await;
    let plan = async |number| handlers.planner.plan(PlanRequest { job: attempt("close", number), failure: None }).await;
    let error = plan(2).await.unwrap_err();
    assert_eq!(error_class::Classified::class(&error), error_class::ErrorClass::Conflict, "{error}");
    world.jobs().ask_cancel(&attempt("close", 1)).await.unwrap();
    let error = plan(1).await.unwrap_err();
    assert!(error.to_string().contains("to be cancelled"), "{error}");
}
