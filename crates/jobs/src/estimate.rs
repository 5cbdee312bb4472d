//! How large a job is, before any of it is read; and which engine it is for.
//!
//! A guess by the lengths of the inputs, meant to err on the large side: the embedded engine has one function's memory, disk
//! and fifteen minutes, and a job that does not end there has to begin again elsewhere.

use std::collections::BTreeMap;

use reconcile::{
    EngineChoice,
    plan::{Body, Plan},
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
    let mut made: Vec<u64> = Vec::with_capacity(plan.relations.len());
    let (mut read, mut work) = (0_u64, 0_u64);
    for relation in &plan.relations {
        let sources: u64 = relation
            .body
            .sources()
            .iter()
            .filter_map(|source| made.get(source.0 as usize))
            .fold(0, |sum, one| sum.saturating_add(*one));
        let bytes = match &relation.body {
            Body::Read { input } => {
                let bytes = inputs.get(input).map_or(0, size);
                read = read.saturating_add(bytes);
                bytes
            }
            Body::Project { .. } | Body::Filter { .. } | Body::Union { .. } => sources,
            Body::Join { .. } | Body::Aggregate { .. } | Body::Window { .. } | Body::Match { .. } => {
                work = work.saturating_add(sources);
                sources
            }
        };
        made.push(bytes);
    }
    let outputs = plan.outputs.iter().filter_map(|output| Some((output, made.get(output.from.0 as usize)?)));
    let (mut written, mut sorted) = (0_u64, 0_u64);
    for (output, bytes) in outputs {
        written = written.saturating_add(*bytes);
        if !output.order.is_empty() {
            sorted = sorted.saturating_add(*bytes);
        }
    }
    let work = work.saturating_add(sorted);
    Estimate {
        memory_bytes: MEMORY_LEAST.saturating_add(work / MEMORY_PARTS),
        disk_bytes: work,
        seconds: (read.saturating_add(written) / READ_BYTES_A_SECOND).saturating_add(work / WORK_BYTES_A_SECOND),
    }
}

fn size(input: &TaskInput) -> u64 {
    let bytes = input.objects.iter().fold(0, |sum: u64, object| sum.saturating_add(object.bytes));
    if input.format == TaskFormat::Parquet { bytes.saturating_mul(PARQUET_GROWS) } else { bytes }
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
        (EngineChoice::Spark, _) => Err(JobError::TooLarge {
            why: "the job asks for `spark`".to_owned(),
            advice: "leave `options.engine` out, or deploy with the parameter SparkEngine",
        }),
        (EngineChoice::Auto, None) => {
            let Estimate { disk_bytes, seconds, .. } = estimate;
            Ok((Engine::Embedded, format!("about {} MiB on disk and {seconds} seconds", mebibytes(disk_bytes))))
        }
        (EngineChoice::Auto, Some(why)) if spark => Ok((Engine::Spark, why)),
        (EngineChoice::Auto, Some(why)) => Err(JobError::TooLarge {
            why,
            advice: "deploy with the parameter SparkEngine, give the function transform-runner more, or cut the inputs; \
                     `options.engine` \"embedded\" tries it all the same",
        }),
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
        let job = json!({
            "version": 1,
            "inputs": {"a": {"format": "jsonLines", "objects": ["a"], "columns": [{"name": "n", "type": "integer"}]}},
            "steps": [{"name": "sorted", "operation": "sort", "from": "a", "by": [{"column": "n"}]}],
            "outputs": [{"name": "out", "from": "sorted", "format": "csv"}],
        });
        let plan = Job::from_json(&job.to_string()).unwrap().plan(&BTreeMap::new()).unwrap().plan;
        let object = TaskObject { bucket: "b".into(), key: "a".into(), version: None, etag: "e".into(), bytes };
        let input = TaskInput::new(TaskFormat::JsonLines, None, vec![object]);
        estimate(&plan, &BTreeMap::from([("a".to_owned(), input)]))
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
            choose(EngineChoice::Spark, estimate, bounds, false).unwrap_err();
        }
    }

    #[test]
    fn what_fits_nowhere_is_told_what_to_do() {
        let error = choose(EngineChoice::Auto, sized(80 << 30), FUNCTION, false).unwrap_err().to_string();
        assert!(error.contains("MiB on disk, of 10240") && error.contains("SparkEngine"), "{error}");
    }
}
