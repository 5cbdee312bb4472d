//! What a job costs on the local disk: VLOOKUP of two large files and 48 further columns, CSV to CSV: `make bench-reconcile`.
//!
//! `make <folder> <rows> <rows that are looked up>` makes the files, `run <folder> <memory in MiB>` runs the job, and
//! `task <folder>` tells its task as the distributed engine takes it. Each prints a line of JSON.

#![expect(
    clippy::unwrap_used,
    clippy::float_arithmetic,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark that cannot run has nothing to report"
)]

#[path = "../../../ledger/benches/batch/meter.rs"]
mod meter;

use std::{collections::BTreeMap, env, fmt::Write as _, sync::Arc};

use bytes::Bytes;
use disk_adapters::DiskObjects;
use reconcile::{
    Job,
    report::Outcome,
    task::{Output, Task, TaskFormat, TaskInput, TaskJob, TaskObject},
};
use reconcile_engine::{Limits, run};
use serde_json::{Value as Json, json};
use storage::{Location, Objects, objects::PutOptions};

/// As in the functions, see `lambda_shell`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ORDERS: &str = "order_id integer, customer text, sku text, region text, quantity integer, price decimal(2), \
                      discount decimal(4), ordered date";
const PAYMENTS: &str = "payment_order integer, paid decimal(2), fee decimal(2), method text, paid_on date";
/// Each gives six columns.
const ROUNDS: u32 = 8;

#[tokio::main]
async fn main() {
    let given: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |at: usize| given[at].parse::<u64>().unwrap();
    let objects: Arc<dyn Objects> = Arc::new(DiskObjects::new(&given[1]).unwrap());
    let told = match given[0].as_str() {
        "make" => make(&DiskObjects::new(&given[1]).unwrap(), number(2), number(3)).await,
        "run" => run_job(objects, &given[1], number(2)).await,
        "task" => distributed(&*objects, &given[1]).await,
        other => panic!("no such command: {other}"),
    };
    println!("{told}");
}

/// Numbers that look random and are the same each time.
fn scattered(number: u64, salt: u64) -> u64 {
    let mixed = (number ^ salt.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20
}

fn day(number: u64) -> String {
    format!("20{:02}-{:02}-{:02}", 15 + number % 10, 1 + number / 10 % 12, 1 + number / 120 % 28)
}

async fn make(objects: &DiskObjects, orders: u64, payments: u64) -> Json {
    let regions = ["north", "south", "east", "west", "overseas, other"];
    let header = "order_id,customer,sku,region,quantity,price,discount,ordered\n";
    let of_orders = write(objects, "orders.csv", header, orders, |text, order| {
        let dice = scattered(order, 1);
        // One in a hundred has a comma.
        let region = regions[usize::try_from(if dice % 101 == 0 { 4 } else { dice % 4 }).unwrap()];
        let quote = if region.contains(',') { "\"" } else { "" };
        let (quantity, price, discount) = (1 + dice / 7 % 20, dice / 31 % 50_000, dice / 11 % 2_500);
        let line = writeln!(
            text,
            "{order},Customer {:07},SKU-{:05},{quote}{region}{quote},{quantity},{}.{:02},0.{discount:04},{}",
            dice % 400_000,
            dice / 3 % 20_000,
            price / 100,
            price % 100,
            day(dice / 5),
        );
        line.unwrap();
    });
    let of_orders = of_orders.await;
    // Every order once at most, in an order of their own; the rest of the orders finds nothing.
    let step = (1..).map(|more| orders * 5 / 8 + more).find(|step| divisor(*step, orders) == 1).unwrap();
    let header = "payment_order,paid,fee,method,paid_on\n";
    let of_payments = write(objects, "payments.csv", header, payments, |text, payment| {
        let (order, dice) = (payment * step % orders, scattered(payment, 2));
        let (paid, method) = (dice % 1_000_000, ["card", "transfer", "cash"][usize::try_from(dice % 3).unwrap()]);
        let (fee, on) = (dice / 13 % 300, day(dice / 9));
        writeln!(text, "{order},{}.{:02},0.{:02},{method},{on}", paid / 100, paid % 100, fee % 100).unwrap();
    });
    json!({"orders": of_orders, "payments": of_payments.await})
}

fn divisor(one: u64, two: u64) -> u64 {
    if two == 0 { one } else { divisor(two, one % two) }
}

/// Writes a file of `rows` lines.
async fn write(objects: &DiskObjects, key: &str, header: &str, rows: u64, line: impl Fn(&mut String, u64)) -> Json {
    let at = Location::new("data", key);
    let mut writer = objects.writer(&at, PutOptions::default()).await.unwrap();
    let (mut text, mut bytes) = (header.to_owned(), 0);
    for row in 0..rows {
        line(&mut text, row);
        if text.len() > 4 << 20 || row + 1 == rows {
            bytes += text.len();
            writer.write(Bytes::from(std::mem::take(&mut text))).await.unwrap();
        }
    }
    writer.finish().await.unwrap();
    json!({"path": objects.file(&at, None).unwrap(), "bytes": bytes})
}

fn columns(described: &str) -> Vec<Json> {
    let column = |text: &str| {
        let (name, kind) = text.trim().split_once(' ').unwrap();
        json!({"name": name, "type": kind})
    };
    described.split(", ").map(column).collect()
}

/// The job: a lookup, and eight times six columns. `local/peers` does the same.
fn job() -> Json {
    let mut steps = vec![json!({"name": "found", "operation": "vlookup", "from": "orders", "in": "payments",
        "on": [{"left": "order_id", "right": "payment_order"}],
        "columns": [{"column": "paid"}, {"column": "fee"}, {"column": "method"}, {"column": "paid_on"}]})];
    let mut last = "found".to_owned();
    let mut add = |operation: &str, name: String, parameters: Json| {
        let mut step = json!({"name": name, "operation": operation, "from": last, "as": name});
        step.as_object_mut().unwrap().extend(parameters.as_object().unwrap().clone());
        steps.push(step);
        last = name;
    };
    for round in 1..=ROUNDS {
        let name = |what: &str| format!("{what}_{round}");
        let (net, off, due) = (name("net"), name("off"), name("due"));
        add("multiply", net.clone(), json!({"left": "price", "right": {"value": round + 1}}));
        add("multiply", off.clone(), json!({"left": net, "right": "discount", "scale": 2}));
        add("subtract", due.clone(), json!({"left": net, "right": off}));
        add("subtract", name("open"), json!({"left": due, "right": "paid"}));
        let large = json!({"column": due, "is": ">", "value": 100 * round});
        add("if", name("size"), json!({"where": large, "then": {"value": "large"}, "else": {"value": "small"}}));
        add("concat", name("label"), json!({"of": ["sku", {"value": "-"}, name("size")]}));
    }
    json!({
        "version": 1,
        "inputs": {
            "orders": {"format": "jsonLines", "objects": ["x"], "columns": columns(ORDERS)},
            "payments": {"format": "jsonLines", "objects": ["x"], "columns": columns(PAYMENTS)}},
        "steps": steps,
        "outputs": [{"name": "out", "from": last, "format": "csv"}],
    })
}

async fn input(objects: &dyn Objects, key: &str, described: &str) -> TaskInput {
    let info = objects.head(&Location::new("data", key), None).await.unwrap();
    let csv = json!({
        "delimiter": ",", "quoteChar": "\"", "doubleQuote": true, "skipInitialSpace": false, "encoding": "utf-8",
        "header": true, "caseSensitiveHeader": true, "fieldsMatch": "exact", "missingValues": [""],
        "columns": columns(described),
    });
    let object = TaskObject {
        bucket: "data".to_owned(),
        key: key.to_owned(),
        version: None,
        etag: info.etag,
        bytes: info.bytes,
    };
    TaskInput::new(TaskFormat::Csv, Some(serde_json::from_value(csv).unwrap()), vec![object])
}

async fn task(objects: &dyn Objects) -> Task {
    let planned = Job::from_json(&job().to_string()).unwrap().plan(&BTreeMap::new()).unwrap();
    let inputs = [
        ("orders".to_owned(), input(objects, "orders.csv", ORDERS).await),
        ("payments".to_owned(), input(objects, "payments.csv", PAYMENTS).await),
    ];
    Task {
        version: Task::VERSION,
        job: TaskJob { tenant: "bench".to_owned(), job: "columns".to_owned(), attempt: 1 },
        plan: planned.plan,
        inputs: inputs.into(),
        output: Output { bucket: "work".to_owned(), prefix: format!("attempt={}", std::process::id()) },
    }
}

/// The task with the paths of files as the keys of objects.
async fn distributed(objects: &dyn Objects, folder: &str) -> Json {
    let (mut task, disk) = (task(objects).await, DiskObjects::new(folder).unwrap());
    for object in task.inputs.values_mut().flat_map(|input| &mut input.objects) {
        let path = disk.file(&Location::new(&object.bucket, &object.key), None).unwrap();
        let key = path.strip_prefix(std::path::Path::new(folder).join(&object.bucket)).unwrap();
        object.key = key.to_str().unwrap().to_owned();
    }
    serde_json::to_value(task).unwrap()
}

async fn run_job(objects: Arc<dyn Objects>, folder: &str, mebibytes: u64) -> Json {
    let task = task(&*objects).await;
    let limits = Limits::new(mebibytes << 20, 64 << 30);
    let mut meter = meter::Meter::default();
    let report = meter.measure("run", run(&task, Arc::clone(&objects), &limits)).await.unwrap();
    let Outcome::Done(figures) = report.outcome else { panic!("{report:?}") };
    let disk = DiskObjects::new(folder).unwrap();
    let path = |key: &str| disk.file(&Location::new("work", key), None).unwrap();
    let paths: Vec<_> = figures.outputs[0].parts.iter().map(|part| path(&part.key)).collect();
    let written: u64 = figures.outputs[0].parts.iter().map(|part| part.bytes).sum();
    json!({"stages": meter.0, "rows": figures.outputs[0].rows, "totals": figures.outputs[0].totals, "parts": paths,
        "written": written, "spilled": figures.spilled_bytes, "steps": figures.steps})
}
