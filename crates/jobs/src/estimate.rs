//! How large a job is, before any of it is read; and which engine it is for.
//!
//! A guess by the lengths of the inputs, meant to err on the large side: the embedded engine has one function's memory, disk
//! and fifteen minutes, and a job that does not end there has to begin again elsewhere.

mod groups;
mod sizes;

use std::collections::BTreeMap;

use reconcile::{
    EngineChoice,
    expression::ColumnId,
    plan::{Body, OrderKey, Plan, PlanOutput, RelationId},
    report::Engine,
    task::TaskInput,
};

use self::sizes::{Sizes, is_place, size};
use crate::error::JobError;

/// What the embedded engine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Its function's memory, in bytes.
    pub memory_bytes: u64,
    /// Its function's disk, in bytes.
    pub disk_bytes: u64,
    /// Its function's time, in seconds.
    pub seconds: u64,
}

/// How large a job seems.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimate {
    /// The most that must be in memory at once for the rest to be on disk.
    pub memory_bytes: u64,
    /// What of that is for row groups of Parquet.
    pub groups_bytes: u64,
    /// What sorting, joining, grouping and matching may put on disk.
    pub disk_bytes: u64,
    /// The time of one processor.
    pub seconds: u64,
}

/// Bytes read, or written, in a second.
const READ_BYTES_A_SECOND: u64 = 60 << 20;
/// Bytes sorted, joined, grouped or matched in a second.
const WORK_BYTES_A_SECOND: u64 = 50 << 20;
/// What is on disk is merged from runs of which a part of this many is in memory.
const MEMORY_PARTS: u64 = 64;
/// What an engine needs before it has read anything.
const MEMORY_LEAST: u64 = 128 << 20;
/// Of the disk and of the time so many hundredths are planned with.
const PLANNED_PERCENT: u64 = 70;

/// How large the plan seems with these inputs.
pub fn estimate(plan: &Plan, inputs: &BTreeMap<String, TaskInput>) -> Estimate {
    let (mut sizes, again) = (Sizes::default(), readers(plan));
    let (mut read, mut work, mut written) = (0_u64, 0_u64, 0_u64);
    for (relation, again) in plan.relations.iter().zip(&again) {
        sizes.push(relation, inputs);
        match &relation.body {
            // What is compressed well has more cells than bytes.
            Body::Read { input } => {
                let bytes = inputs.get(input).map_or(0, size).max(sizes.last());
                read = read.saturating_add(bytes.saturating_mul(*again));
            }
            Body::Project { .. } | Body::Filter { .. } | Body::Unpivot { .. } | Body::Union { .. } => {}
            Body::Join { .. } | Body::Aggregate { .. } | Body::Window { .. } | Body::Match { .. } => {
                let sources = relation.body.sources();
                work = sources.iter().fold(work, |sum, source| sum.saturating_add(sizes.bytes(*source)));
            }
        }
    }
    for output in &plan.outputs {
        written = written.saturating_add(sizes.bytes(output.from));
        work = work.saturating_add(sorted(plan, output).map_or(0, |id| sizes.bytes(id)));
    }
    // What several are made of is kept on disk; inputs are read again.
    let kept = plan.relations.iter().zip(&sizes.made).zip(&again);
    let kept = kept.filter(|((relation, _), again)| **again > 1 && !matches!(relation.body, Body::Read { .. }));
    let disk_bytes = kept.fold(work, |sum, ((_, made), _)| sum.saturating_add(made.bytes));
    let groups_bytes = groups::memory_bytes(plan, inputs, &again);
    Estimate {
        memory_bytes: MEMORY_LEAST.saturating_add(work / MEMORY_PARTS).saturating_add(groups_bytes),
        groups_bytes,
        disk_bytes,
        seconds: (read.saturating_add(written) / READ_BYTES_A_SECOND).saturating_add(work / WORK_BYTES_A_SECOND),
    }
}

/// What is sorted for an output, if anything is: rows before columns are added to them or more rows are made of them,
/// behind filters, and none that come in their order.
fn sorted(plan: &Plan, output: &PlanOutput) -> Option<RelationId> {
    let (mut id, mut order, mut filtered) = (output.from, output.order.clone(), None);
    if order.is_empty() {
        return None;
    }
    loop {
        let relation = plan.relations.get(id.0 as usize)?;
        let is_read_so = |key: &OrderKey| {
            !key.descending && relation.columns.iter().any(|column| column.id == key.column && is_place(column))
        };
        let is_new = |key: &OrderKey, new: [ColumnId; 2]| new.contains(&key.column);
        match &relation.body {
            Body::Read { .. } if order.iter().all(is_read_so) => return None,
            Body::Filter { from, .. } => {
                filtered = filtered.or(Some(id));
                id = *from;
            }
            Body::Project { from, keep, .. } if order.iter().all(|key| keep.contains(&key.column)) => id = *from,
            Body::Unpivot { from, name, value, ordinal, .. }
                if order.pop_if(|key| key.column == *ordinal).is_some()
                    && !order.iter().any(|key| is_new(key, [*name, *value])) =>
            {
                id = *from;
            }
            _ => return filtered.or(Some(id)),
        }
    }
}

/// How often each relation is read.
fn readers(plan: &Plan) -> Vec<u64> {
    let mut again = vec![0; plan.relations.len()];
    let sources = plan.relations.iter().flat_map(|relation| relation.body.sources());
    for id in sources.chain(plan.outputs.iter().map(|output| output.from)) {
        again.get_mut(id.0 as usize).into_iter().for_each(|count| *count += 1);
    }
    again
}

/// The engine for a job, and why.
pub fn choose(
    choice: EngineChoice,
    estimate: Estimate,
    bounds: Bounds,
    spark: bool,
) -> Result<(Engine, String), JobError> {
    let planned = |bound: u64| bound / 100 * PLANNED_PERCENT + bound % 100 * PLANNED_PERCENT / 100;
    let beyond = if estimate.memory_bytes > bounds.memory_bytes {
        let groups = match estimate.groups_bytes {
            0 => String::new(),
            bytes => format!("; {} MiB are for row groups of Parquet: smaller ones need less", mebibytes(bytes)),
        };
        let (needed, there) = (mebibytes(estimate.memory_bytes), mebibytes(bounds.memory_bytes));
        Some(format!("it needs about {needed} MiB of memory at least, of {there}{groups}"))
    } else if estimate.disk_bytes > planned(bounds.disk_bytes) {
        Some(format!("it may put {} MiB on disk, of {}", mebibytes(estimate.disk_bytes), mebibytes(bounds.disk_bytes)))
    } else if estimate.seconds > planned(bounds.seconds) {
        Some(format!("it may take {} seconds, of {}", estimate.seconds, bounds.seconds))
    } else {
        None
    };
    match (choice, beyond) {
        (EngineChoice::Embedded, _) => Ok((Engine::Embedded, "the job asks for it".to_owned())),
        (EngineChoice::Spark, _) if spark => Ok((Engine::Spark, "the job asks for it".to_owned())),
        (EngineChoice::Spark, _) => Err(JobError::NoSpark),
        (EngineChoice::Auto, None) => {
            let Estimate { disk_bytes, seconds, .. } = estimate;
            Ok((Engine::Embedded, format!("about {} MiB on disk and {seconds} seconds", mebibytes(disk_bytes))))
        }
        (EngineChoice::Auto, Some(why)) if spark => Ok((Engine::Spark, why)),
        (EngineChoice::Auto, Some(why)) => Err(JobError::TooLarge { why }),
    }
}

const fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use reconcile::{
        Job,
        task::{TaskFormat, TaskObject},
    };
    use serde_json::json;

    use super::*;

    fn sized(bytes: u64) -> Estimate {
        let sort = json!({"name": "sorted", "operation": "sort", "from": "a", "by": [{"column": "n"}]});
        of(bytes, &json!([sort]), &["sorted"])
    }

    fn planned(steps: &serde_json::Value, outputs: &[&str]) -> Plan {
        planned_of(&["n".to_owned()], steps, outputs)
    }

    fn planned_of(columns: &[String], steps: &serde_json::Value, outputs: &[&str]) -> Plan {
        let output = |from: &&str| json!({"name": from.replace('.', "-"), "from": from, "format": "csv"});
        let columns: Vec<_> = columns.iter().map(|name| json!({"name": name, "type": "integer"})).collect();
        let job = json!({
            "version": 1,
            "inputs": {"a": {"format": "jsonLines", "objects": ["a"], "columns": columns}},
            "steps": steps,
            "outputs": outputs.iter().map(output).collect::<Vec<_>>(),
        });
        Job::from_json(&job.to_string()).unwrap().plan(&BTreeMap::new()).unwrap().plan
    }

    fn of(bytes: u64, steps: &serde_json::Value, outputs: &[&str]) -> Estimate {
        estimated(bytes, &planned(steps, outputs))
    }

    fn estimated(bytes: u64, plan: &Plan) -> Estimate {
        let object = TaskObject { bucket: "b".into(), key: "a".into(), version: None, etag: "e".into(), bytes };
        let input = TaskInput::new(TaskFormat::JsonLines, None, vec![object]);
        estimate(plan, &BTreeMap::from([("a".to_owned(), input)]))
    }

    /// A file of few bytes may have very many rows.
    #[test]
    fn rows_that_a_footer_tells_count() {
        let sort = json!({"name": "sorted", "operation": "sort", "from": "a", "by": [{"column": "n"}]});
        let plan = planned(&json!([sort]), &["sorted"]);
        let of_rows = |rows| {
            let object =
                TaskObject { bucket: "b".into(), key: "a".into(), version: None, etag: "e".into(), bytes: 8 << 20 };
            let input = TaskInput { rows, ..TaskInput::new(TaskFormat::Parquet, None, vec![object]) };
            estimate(&plan, &BTreeMap::from([("a".to_owned(), input)]))
        };
        let (guessed, few, many) = (of_rows(None), of_rows(Some(1_000)), of_rows(Some(1_000_000_000)));
        assert!(guessed.disk_bytes >= 40 << 20 && few.disk_bytes >= 40 << 20, "{guessed:?} {few:?}");
        assert!(many.disk_bytes >= 8_000_000_000 && many.seconds > few.seconds + 200, "{many:?}");
        assert_eq!(choose(EngineChoice::Auto, guessed, FUNCTION, true).unwrap().0, Engine::Embedded);
        assert_eq!(choose(EngineChoice::Auto, many, FUNCTION, true).unwrap().0, Engine::Spark);
    }

    /// A file of few bytes may be one row group, and each thread may hold one.
    #[test]
    fn row_groups_have_to_fit_into_memory() {
        let object =
            TaskObject { bucket: "b".into(), key: "a".into(), version: None, etag: "e".into(), bytes: 8 << 20 };
        let of_groups = |bytes: u64, steps: &serde_json::Value, output: &str| {
            let held = BTreeMap::from([("n".to_owned(), bytes), ("not read".to_owned(), u64::MAX)]);
            let input = TaskInput {
                rows: Some(1_000),
                held,
                ..TaskInput::new(TaskFormat::Parquet, None, vec![object.clone()])
            };
            estimate(&planned(steps, &[output]), &BTreeMap::from([("a".to_owned(), input)]))
        };
        let filter = |name: &str| json!({"name": name, "operation": "filter", "from": "a", "where": {"column": "n", "is": "=", "value": 1}});
        let twice = json!({"name": "twice", "operation": "join", "join": "inner", "left": "f", "right": "g", "expect": "manyToMany",
            "on": [{"left": "n", "right": "n"}], "columns": [{"column": "n", "as": "m"}]});
        let steps =
            json!([filter("f"), filter("g"), twice, {"name": "both", "operation": "append", "tables": ["f", "g"]}]);
        let usual = of_groups(128 << 20, &steps, "f");
        assert_eq!(choose(EngineChoice::Auto, usual, FUNCTION, true).unwrap().0, Engine::Embedded, "{usual:?}");
        let large = of_groups(2 << 30, &steps, "f");
        assert_eq!(choose(EngineChoice::Auto, large, FUNCTION, true).unwrap().0, Engine::Spark, "{large:?}");
        let told = choose(EngineChoice::Auto, large, FUNCTION, false).unwrap_err().to_string();
        assert!(told.contains("of 10240; 30720 MiB are for row groups of Parquet: smaller ones need less"), "{told}");
        assert_eq!(of_groups(128 << 20, &steps, "twice").groups_bytes, 2 * usual.groups_bytes, "both sides at once");
        assert_eq!(of_groups(128 << 20, &steps, "both").groups_bytes, usual.groups_bytes, "one behind the other");
    }

    const FUNCTION: Bounds = Bounds { memory_bytes: 10 << 30, disk_bytes: 10 << 30, seconds: 900 };

    #[test]
    fn a_job_goes_where_it_fits() {
        for (bytes, bounds, engine) in [
            (0, FUNCTION, Engine::Embedded),
            (5 << 30, FUNCTION, Engine::Embedded),
            (80 << 30, FUNCTION, Engine::Spark),
            (10 << 30, Bounds { memory_bytes: 512 << 20, disk_bytes: 512 << 20, seconds: 900 }, Engine::Spark),
            (10 << 30, Bounds { memory_bytes: 128 << 20, disk_bytes: 100 << 30, seconds: 9_000 }, Engine::Spark),
        ] {
            let estimate = sized(bytes);
            let (chosen, why) = choose(EngineChoice::Auto, estimate, bounds, true).unwrap();
            assert_eq!(chosen, engine, "{bytes}: {why}");
            assert_eq!(choose(EngineChoice::Embedded, estimate, bounds, false).unwrap().0, Engine::Embedded);
            assert_eq!(choose(EngineChoice::Spark, estimate, bounds, true).unwrap().0, Engine::Spark);
            let error = choose(EngineChoice::Spark, estimate, bounds, false).unwrap_err().to_string();
            assert!(error.contains("asks for the engine `spark`") && error.contains("SparkEngine=on"), "{error}");
            assert!(!error.contains("too large"), "{error}");
        }
    }

    #[test]
    fn what_fits_nowhere_is_told_what_to_do() {
        let error = choose(EngineChoice::Auto, sized(80 << 30), FUNCTION, false).unwrap_err().to_string();
        assert!(error.contains("MiB on disk, of 10240") && error.contains("SparkEngine=on"), "{error}");
    }

    /// An input that several steps take is read by each of them.
    #[test]
    fn every_reader_of_an_input_counts() {
        const GIB: u64 = 1 << 30;
        let filter = |name: &str, value: i64| json!({"name": name, "operation": "filter", "from": "a", "where": {"column": "n", "is": "=", "value": value}});
        let names: Vec<String> = (0..40).map(|at| format!("f{at}")).collect();
        let steps: Vec<serde_json::Value> = (0..).zip(&names).map(|(at, name)| filter(name, at)).collect();
        let append = json!({"name": "all", "operation": "append", "tables": names});
        let once = of(GIB, &json!([steps[0]]), &["f0"]);
        let often = of(GIB, &json!([steps, vec![append]].concat()), &["all"]);
        assert!(often.seconds > once.seconds + 39 * GIB / READ_BYTES_A_SECOND, "{often:?} {once:?}");
    }

    /// A row becomes many rows, and they need no sort where the row needed none.
    #[test]
    fn what_becomes_rows_is_sorted_before_if_at_all() {
        const GIB: u64 = 1 << 30;
        let columns: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
        let unpivot = |from: &str, blanks: &str, width: usize| {
            json!({"name": "long", "operation": "unpivot", "from": from, "columns": columns[..width], "names": "m",
                   "values": "v", "blanks": blanks})
        };
        let sort =
            |from: &str, by: &str| json!({"name": "sorted", "operation": "sort", "from": from, "by": [{"column": by}]});
        let one = estimated(GIB, &planned_of(&columns, &json!([sort("a", "n0")]), &["sorted"]));
        for blanks in ["keep", "drop"] {
            let plain = estimated(GIB, &planned_of(&columns, &json!([unpivot("a", blanks, 100)]), &["long"]));
            assert_eq!(plain.disk_bytes, 0, "{plain:?}");
            let few = estimated(GIB, &planned_of(&columns, &json!([unpivot("a", blanks, 1)]), &["long"]));
            assert!(plain.seconds > few.seconds + 10, "{plain:?} {few:?}");
        }
        let steps = json!([unpivot("a", "keep", 100), sort("long", "v")]);
        let after = estimated(GIB, &planned_of(&columns, &steps, &["sorted"]));
        assert!(2 * after.disk_bytes > 3 * one.disk_bytes, "{after:?} {one:?}");
    }

    /// A guess that goes by the lengths of the inputs alone takes a job of a hundred new columns for one of none.
    #[test]
    fn what_is_computed_kept_and_written_counts() {
        const GIB: u64 = 1 << 30;
        let sort = |from: &str| json!({"name": "sorted", "operation": "sort", "from": from, "by": [{"column": "n"}]});
        let wider: Vec<serde_json::Value> = (0..20)
            .map(|at| {
                let from = if at == 0 { "a".to_owned() } else { format!("wide{}", at - 1) };
                json!({"name": format!("wide{at}"), "operation": "add", "from": from, "left": "n", "right": "n",
                       "as": format!("n{at}")})
            })
            .collect();
        let plain = of(GIB, &json!([sort("a")]), &["sorted"]);
        let wide = of(GIB, &json!([wider.clone(), vec![sort("wide19")]].concat()), &["sorted"]);
        assert!(wide.seconds > plain.seconds + 20, "{wide:?} {plain:?}");
        assert_eq!(wide.disk_bytes, plain.disk_bytes, "sorted before");
        let kept = of(GIB, &json!(wider), &["wide19", "wide3"]);
        assert!(kept.disk_bytes > of(GIB, &json!(wider), &["wide19"]).disk_bytes + GIB, "{kept:?}");
    }
}
