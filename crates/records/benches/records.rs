//! How fast a file goes through: split, read, check, write, each against what memory and the `csv` crate allow.
//!
//! `cargo bench -p records`; the unit is bytes of input a second, on one core. The input is 128 MB of orders, plain and
//! with every text quoted.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to report")]

use std::{fmt::Write as _, hint::black_box, time::Duration};

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use money::ControlTotals;
use records::{
    AmountColumn, AmountColumns, ChunkSize, CompiledSchema, Format, Header, LineEnd, RecordReader, Schema, SplitPlan,
    Splitter, Validator, Writer,
};

const HEADER: &str = "uuid,Country,Item Type,Sales Channel,Order Priority,Order Date,Region,Ship Date,Total\r\n";
const BYTES: usize = 128_000_000;
/// What a splitter is given at a time.
const BLOCK: usize = 8 << 20;

/// Orders as in the example feed, with an amount; the same every time.
fn orders(quoted: bool) -> String {
    let countries = ["Azerbaijan", "Panama", "Sao Tome and Principe", "Belize", "Côte d'Ivoire", "United Kingdom"];
    let items = ["Snacks", "Cosmetics", "Fruits", "Personal Care", "Household", "Office Supplies"];
    let regions = ["Middle East and North Africa", "Central America and the Caribbean", "Europe", "Sub-Saharan Africa"];
    let mut text = String::with_capacity(BYTES + 1000);
    text.push_str(HEADER);
    let mut state = 88_172_645_463_325_252_u64;
    let q = if quoted { "\"" } else { "" };
    while text.len() < BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let pick = |from: &[&'static str], shift: u32| from.iter().cycle().nth((state >> shift) as usize % 60).copied();
        let (country, item, region) =
            (pick(&countries, 3).unwrap(), pick(&items, 9).unwrap(), pick(&regions, 15).unwrap());
        let channel = if state & 1 == 0 { "Online" } else { "Offline" };
        let priority = pick(&["C", "H", "L", "M"], 21).unwrap();
        let (month, day, year) = (1 + (state >> 27) % 12, 1 + (state >> 33) % 28, 10 + (state >> 39) % 15);
        let (uuid, cents) = (100_000_000 + (state >> 20) % 900_000_000, (state >> 11) % 100_000_000);
        let (whole, rest) = (cents / 100, cents % 100);
        write!(
            text,
            "{uuid},{q}{country}{q},{q}{item}{q},{q}{channel}{q},{q}{priority}{q},{month}/{day}/{year},{q}{region}{q},\
             {month}/{day}/{year},{whole}.{rest:02}\r\n"
        )
        .unwrap();
    }
    text
}

fn schema() -> CompiledSchema {
    let text = |name: &str, most: u64| serde_json::json!({ "name": name, "constraints": { "required": true, "maxLength": most } });
    let date = |name: &str| {
        let constraints = serde_json::json!({ "required": true, "maxLength": 10 });
        serde_json::json!({ "name": name, "type": "date", "format": "%m/%d/%y", "constraints": constraints })
    };
    let schema = serde_json::json!({ "fields": [
        text("uuid", 9), text("Country", 50), text("Item Type", 30), text("Sales Channel", 10),
        { "name": "Order Priority", "constraints": { "required": true, "enum": ["C", "H", "L", "M"] } },
        date("Order Date"), text("Region", 100), date("Ship Date"),
        { "name": "Total", "type": "number", "constraints": { "required": true } },
    ]});
    serde_json::from_value::<Schema>(schema).unwrap().compile().unwrap()
}

/// Reads every record and hands it to `each`.
fn read(records: &[u8], mut each: impl FnMut(&records::Record<'_>)) {
    let mut reader = RecordReader::new(records, &Format::default(), 0, 1);
    while let Some(record) = reader.next_record().unwrap() {
        each(&record);
    }
}

fn split(input: &[u8]) -> u64 {
    let plan = SplitPlan { chunk: ChunkSize::ByBytes(8 << 20), chunk_bytes_max: 1 << 28, chunks_max: 100_000 };
    let mut splitter = Splitter::new(&Format::default(), plan);
    for block in input.chunks(BLOCK) {
        splitter.push(block).unwrap();
    }
    splitter.finish().unwrap().records
}

fn limits(group: &mut BenchmarkGroup<'_, WallTime>, input: &[u8]) {
    let mut copy = vec![0; BLOCK];
    group.bench_function("limit: memcpy", |bencher| {
        bencher.iter(|| input.chunks_exact(BLOCK).for_each(|block| copy.copy_from_slice(black_box(block))));
    });
    group.bench_function("limit: memchr of each line feed", |bencher| {
        bencher.iter(|| memchr::memchr_iter(b'\n', black_box(input)).map(|at| at & 1).sum::<usize>());
    });
    group.bench_function("csv crate: byte records", |bencher| {
        bencher.iter(|| {
            let mut reader = csv::Reader::from_reader(black_box(input));
            let (mut record, mut count) = (csv::ByteRecord::new(), 0);
            while reader.read_byte_record(&mut record).unwrap() {
                count += record.len();
            }
            count
        });
    });
}

fn pipeline(criterion: &mut Criterion) {
    for (name, quoted) in [("plain", false), ("quoted", true)] {
        let input = orders(quoted);
        let input = input.as_bytes();
        let (header, records) = input.split_at(HEADER.len());
        let (schema, format) = (schema(), Format::default());
        let header = Header::parse(header, &format).unwrap();
        let validator = Validator::new(&schema, &header, &format).unwrap();
        let amounts: Vec<AmountColumn> =
            serde_json::from_value(serde_json::json!([{ "column": "Total", "currency": "USD" }])).unwrap();
        let amounts = AmountColumns::new(&amounts, &schema, &header).unwrap();

        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(input.len() as u64));
        group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
        limits(&mut group, input);
        group.bench_function("split", |bencher| bencher.iter(|| split(black_box(input))));
        group.bench_function("read", |bencher| {
            bencher.iter(|| {
                let mut fields = 0;
                read(black_box(records), |record| fields += record.field_count());
                fields
            });
        });
        group.bench_function("read and validate", |bencher| {
            bencher.iter(|| {
                let mut accepted = 0;
                read(black_box(records), |record| accepted += u64::from(validator.check(record).is_ok()));
                accepted
            });
        });
        group.bench_function("read and sum amounts", |bencher| {
            bencher.iter(|| {
                let mut totals = ControlTotals::default();
                read(black_box(records), |record| amounts.add(record, &mut totals).unwrap());
                totals
            });
        });
        group.bench_function("read, validate, sum and write", |bencher| {
            let mut writer = Writer::new(&format, LineEnd::Lf).guarding(schema.text_columns());
            bencher.iter(|| {
                let mut totals = ControlTotals::default();
                read(black_box(records), |record| {
                    let accepted = validator.check(record).unwrap();
                    amounts.add(record, &mut totals).unwrap();
                    writer.write(accepted.cells());
                    if writer.as_bytes().len() > BLOCK {
                        black_box(writer.take());
                    }
                });
                totals
            });
        });
        group.finish();
    }
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
