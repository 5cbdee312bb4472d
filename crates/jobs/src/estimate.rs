//! How large a job is, before any of it is read; and which engine it is for.
//!
//! A guess by the lengths of the inputs, meant to err on the large side: the embedded engine has one function's memory, disk
//! and fifteen minutes, and a job that does not end there has to begin again elsewhere.

use std::collections::BTreeMap;

use reconcile::{
    EngineChoice, Type,
    expression::{ColumnId, Expression},
    plan::{Body, JoinKind, OrderKey, Plan, PlanColumn, PlanOutput, Relation, RelationId},
    report::Engine,
    task::{TaskFormat, TaskInput},
};

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
    /// What sorting, joining, grouping and matching may put on disk.
    pub disk_bytes: u64,
    /// The time of one processor.
    pub seconds: u64,
}

/// Compressed columns become so many times as much when they are read.
const PARQUET_GROWS: u64 = 5;
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
    Estimate {
        memory_bytes: MEMORY_LEAST.saturating_add(work / MEMORY_PARTS),
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

fn size(input: &TaskInput) -> u64 {
    let bytes = input.objects.iter().fold(0, |sum: u64, object| sum.saturating_add(object.bytes));
    if input.format == TaskFormat::Parquet { bytes.saturating_mul(PARQUET_GROWS) } else { bytes }
}

/// The relations so far, and the bytes of a cell of each of their columns.
#[derive(Default)]
struct Sizes {
    made: Vec<Made>,
    cells: BTreeMap<ColumnId, u64>,
}

/// How large a relation seems.
#[derive(Clone, Copy, Default)]
struct Made {
    rows: u64,
    bytes: u64,
}

impl Sizes {
    fn rows(&self, id: RelationId) -> u64 {
        self.made.get(id.0 as usize).map_or(0, |made| made.rows)
    }

    fn bytes(&self, id: RelationId) -> u64 {
        self.made.get(id.0 as usize).map_or(0, |made| made.bytes)
    }

    fn last(&self) -> u64 {
        self.made.last().map_or(0, |made| made.bytes)
    }

    /// The bytes of a column's cell: what is known of it, or what is usual for its type.
    fn cell(&self, column: &PlanColumn) -> u64 {
        let known = self.cells.get(&column.id).copied();
        known.unwrap_or_else(|| if is_place(column) { PLACE_BYTES } else { usual(column.kind) })
    }

    fn push(&mut self, relation: &Relation, inputs: &BTreeMap<String, TaskInput>) {
        let rows = match &relation.body {
            Body::Read { input } => inputs.get(input).map_or(0, |input| self.read(relation, input)),
            Body::Project { from, compute, .. } => {
                for one in compute {
                    let bytes = self.computed(&one.expression);
                    self.cells.insert(one.column, bytes);
                }
                self.rows(*from)
            }
            Body::Filter { from, .. } | Body::Window { from, .. } => self.rows(*from),
            Body::Aggregate { keys, .. } if keys.is_empty() => 1,
            Body::Aggregate { from, .. } => self.rows(*from),
            Body::Join { join, left, right, .. } => {
                let (left, right) = (self.rows(*left), self.rows(*right));
                match join {
                    JoinKind::Left | JoinKind::Semi | JoinKind::Anti => left,
                    JoinKind::Right => right,
                    JoinKind::Inner => left.max(right),
                    JoinKind::Full => left.saturating_add(right),
                }
            }
            Body::Unpivot { from, cells, name, value, .. } => {
                let of = cells.iter().filter_map(|cell| self.cells.get(&cell.column));
                let bytes = of.max().copied().unwrap_or_else(|| usual(Type::Text));
                self.cells.insert(*value, bytes);
                let longest = cells.iter().map(|cell| cell.name.len() as u64 + 1).max();
                self.cells.insert(*name, longest.unwrap_or(0));
                self.rows(*from).saturating_mul(cells.len() as u64)
            }
            Body::Union { sources } => {
                for (at, column) in relation.columns.iter().enumerate() {
                    let of = sources.iter().filter_map(|source| self.cells.get(source.columns.get(at)?));
                    let bytes = of.max().copied().unwrap_or_else(|| usual(column.kind));
                    self.cells.insert(column.id, bytes);
                }
                sources.iter().fold(0, |sum: u64, source| sum.saturating_add(self.rows(source.from)))
            }
            Body::Match { left, right, .. } => self.rows(left.from).saturating_add(self.rows(right.from)),
        };
        let row = relation.columns.iter().fold(0, |sum: u64, column| sum.saturating_add(self.cell(column)));
        self.made.push(Made { rows, bytes: rows.saturating_mul(row) });
    }

    /// The rows of an input: those that it tells, or by the columns that it has. Its bytes are taken to be those of the columns that are read: a long
    /// one may be among them.
    fn read(&mut self, relation: &Relation, input: &TaskInput) -> u64 {
        let columns = || relation.columns.iter().filter(|column| !is_place(column));
        let read: u64 = columns().map(|column| usual(column.kind)).sum();
        let all =
            input.csv.as_ref().map_or(RECORD_BYTES, |csv| csv.columns.iter().map(|column| usual(column.kind)).sum());
        let bytes = size(input);
        let row = match input.rows {
            Some(rows) => read.max(bytes / rows.max(1)).max(1),
            None => read.max(all).max(1),
        };
        for column in columns() {
            let part = usual(column.kind).saturating_mul(row).div_ceil(read.max(1));
            self.cells.insert(column.id, part);
        }
        input.rows.unwrap_or_else(|| bytes.div_ceil(row))
    }

    /// The bytes of a computed cell: text may hold all the text that it is made of.
    fn computed(&self, expression: &Expression) -> u64 {
        match expression {
            Expression::Column { id, kind } => self.cells.get(id).copied().unwrap_or_else(|| usual(*kind)),
            _ if expression.kind() == Type::Text => self.text(expression).max(usual(Type::Text)),
            _ => usual(expression.kind()),
        }
    }

    fn text(&self, expression: &Expression) -> u64 {
        let own = match expression {
            Expression::Column { id, kind } => self.cells.get(id).copied().unwrap_or_else(|| usual(*kind)),
            _ => 0,
        };
        let parts = expression.parts().into_iter().map(|part| self.text(part));
        match expression {
            Expression::Concatenate { .. } => parts.fold(own, u64::saturating_add),
            // One of its parts, or a part of it.
            _ => parts.fold(own, u64::max),
        }
    }
}

/// The bytes of a record of a format that names its columns in each, or of which not all columns are known.
const RECORD_BYTES: u64 = 100;

/// Whether a column tells rows apart, and stands in no file.
fn is_place(column: &PlanColumn) -> bool {
    column.name.starts_with('#')
}

/// The bytes of such a cell: what goes to disk is compressed, and these are numbers that follow one another.
const PLACE_BYTES: u64 = 1;

/// The bytes of a cell as files have them, with what is between it and the next.
const fn usual(kind: Type) -> u64 {
    match kind {
        Type::Boolean => 6,
        Type::Integer => 8,
        Type::Decimal(_) | Type::Date => 11,
        Type::Text => 13,
        Type::Timestamp => 21,
    }
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
        Some(format!(
            "it needs about {} MiB of memory at least, of {}",
            mebibytes(estimate.memory_bytes),
            mebibytes(bounds.memory_bytes)
        ))
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
    use reconcile::{Job, task::TaskObject};
    use serde_json::json;

    use super::*;

    fn sized(bytes: u64) -> Estimate {
        let sort = json!({"name": "sorted", "operation": "sort", "from": "a", "by": [{"column": "n"}]});
        of(bytes, &json!([sort]), &["sorted"])
    }

    fn planned(steps: &serde_json::Value, outputs: &[&str]) -> Plan {
        let output = |from: &&str| json!({"name": from.replace('.', "-"), "from": from, "format": "csv"});
        let job = json!({
            "version": 1,
            "inputs": {"a": {"format": "jsonLines", "objects": ["a"], "columns": [{"name": "n", "type": "integer"}]}},
            "steps": steps,
            "outputs": outputs.iter().map(output).collect::<Vec<_>>(),
        });
        Job::from_json(&job.to_string()).unwrap().plan(&BTreeMap::new()).unwrap().plan
    }

    fn of(bytes: u64, steps: &serde_json::Value, outputs: &[&str]) -> Estimate {
        let plan = planned(steps, outputs);
        let object = TaskObject { bucket: "b".into(), key: "a".into(), version: None, etag: "e".into(), bytes };
        let input = TaskInput::new(TaskFormat::JsonLines, None, vec![object]);
        estimate(&plan, &BTreeMap::from([("a".to_owned(), input)]))
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
        let unpivot = |from: &str, blanks: &str| json!({"name": "long", "operation": "unpivot", "from": from, "columns": vec!["n"; 100], "names": "m", "values": "v", "blanks": blanks});
        let sort =
            |from: &str, by: &str| json!({"name": "sorted", "operation": "sort", "from": from, "by": [{"column": by}]});
        let one = of(GIB, &json!([sort("a", "n")]), &["sorted"]);
        for blanks in ["keep", "drop"] {
            let plain = of(GIB, &json!([unpivot("a", blanks)]), &["long"]);
            assert_eq!(plain.disk_bytes, 0, "{plain:?}");
            assert!(plain.seconds > one.seconds + 10 * GIB / READ_BYTES_A_SECOND, "{plain:?}");
        }
        let after = of(GIB, &json!([unpivot("a", "keep"), sort("long", "v")]), &["sorted"]);
        assert!(after.disk_bytes > 20 * one.disk_bytes, "{after:?} {one:?}");
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
