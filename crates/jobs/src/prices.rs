//! What a job costs, about: the engine's time and the state machine at AWS's list prices in us-east-1. Requests, storage and the
//! small functions are not in it.

use std::str::FromStr;

use environment::{ConfigError, parsed};
use jiff::Timestamp;
use reconcile::report::Engine;

use crate::book::JobRecord;

/// EMR Serverless on Linux/x86: 0.052624 dollars a vCPU-hour, in 10^-7 dollars.
const EMR_VCPU_HOUR: u128 = 526_240;
/// 0.0057785 dollars a GB-hour of memory.
const EMR_GB_HOUR: u128 = 57_785;
/// 0.000111 dollars a GB-hour of disk, of which each worker has some for nothing.
const EMR_DISK_GB_HOUR: u128 = 1_110;
const EMR_FREE_DISK_GB: u128 = 20;
/// The processors of a driver, and the memory of each processor, in GB: the template says so.
const DRIVER_VCPUS: u128 = 4;
const GB_PER_VCPU: u128 = 4;

/// The eleven state transitions of a job that goes well, at 0.025 dollars a thousand, in millionths.
const TRANSITIONS: u128 = 11 * 25;

/// What a function runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Graviton.
    Arm64,
    /// Intel and AMD.
    X86,
}

impl Architecture {
    /// A GB-second of Lambda: 0.0000133334 or 0.0000166667 dollars, in 10^-10 dollars.
    const fn gb_second(self) -> u128 {
        match self {
            Self::Arm64 => 133_334,
            Self::X86 => 166_667,
        }
    }
}

impl FromStr for Architecture {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "arm64" => Ok(Self::Arm64),
            "x86_64" => Ok(Self::X86),
            _ => Err("an architecture is arm64 or x86_64"),
        }
    }
}

/// What the engines have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// What the embedded engine's function runs on.
    pub architecture: Architecture,
    /// Its memory, in MiB.
    pub transform_memory_mib: u64,
    /// The most workers of the distributed engine that a job has, as if all were at work all the time.
    pub spark_workers: u64,
    /// The processors of each.
    pub spark_worker_vcpus: u64,
    /// The disk of each, in GB.
    pub spark_worker_disk_gb: u64,
    /// The most processors of all jobs of the distributed engine together.
    pub spark_vcpus: u64,
}

impl Resources {
    /// Reads `TRANSFORM_ARCHITECTURE`, `TRANSFORM_MEMORY_MIB`, `SPARK_WORKERS`, `SPARK_WORKER_VCPUS`, `SPARK_WORKER_DISK_GB` and
    /// `SPARK_VCPUS`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            architecture: parsed("TRANSFORM_ARCHITECTURE")?,
            transform_memory_mib: parsed("TRANSFORM_MEMORY_MIB")?,
            spark_workers: parsed("SPARK_WORKERS")?,
            spark_worker_vcpus: parsed("SPARK_WORKER_VCPUS")?,
            spark_worker_disk_gb: parsed("SPARK_WORKER_DISK_GB")?,
            spark_vcpus: parsed("SPARK_VCPUS")?,
        })
    }

    /// What an hour of the distributed engine costs one job, in 10^-7 dollars.
    fn spark_hour(self) -> u128 {
        let worker_vcpus = u128::from(self.spark_worker_vcpus);
        let room = u128::from(self.spark_vcpus).saturating_sub(DRIVER_VCPUS) / worker_vcpus.max(1);
        let workers = u128::from(self.spark_workers).min(room);
        let vcpus = DRIVER_VCPUS + workers * worker_vcpus;
        let disk = workers * u128::from(self.spark_worker_disk_gb).saturating_sub(EMR_FREE_DISK_GB);
        vcpus * (EMR_VCPU_HOUR + GB_PER_VCPU * EMR_GB_HOUR) + disk * EMR_DISK_GB_HOUR
    }
}

/// About what a job costs that took so many milliseconds of an engine, in millionths of a dollar; `record` knows of the time
/// that another one took before.
pub fn cost(record: &JobRecord, engine: Engine, milliseconds: u64, resources: Resources) -> u64 {
    let given_up = of_engine(Engine::Embedded, record.given_up_milliseconds.unwrap_or(0), resources);
    let micros = given_up + of_engine(engine, milliseconds, resources);
    u64::try_from(micros + TRANSITIONS).unwrap_or(u64::MAX)
}

/// About what a job has cost that ends without being published: its engine may have been at work until now. Nothing is known
/// of a job that no engine was chosen for.
pub(crate) fn cost_until(record: &JobRecord, ended_at: Timestamp, resources: Resources) -> Option<u64> {
    let (engine, since) = (record.engine?, record.engine_since?);
    let until_now = u64::try_from(ended_at.duration_since(since).as_millis()).unwrap_or(0);
    Some(cost(record, engine, record.milliseconds.unwrap_or(until_now), resources))
}

fn of_engine(engine: Engine, milliseconds: u64, resources: Resources) -> u128 {
    let milliseconds = u128::from(milliseconds);
    match engine {
        // MiB × ms × price ÷ (1,024 MiB × 1,000 ms × 10^4)
        Engine::Embedded => {
            let memory = u128::from(resources.transform_memory_mib);
            memory * milliseconds * resources.architecture.gb_second() / (1_024 * 1_000 * 10_000)
        }
        Engine::Spark => resources.spark_hour() * milliseconds / (10 * 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(known: &serde_json::Value) -> JobRecord {
        let mut record = json!({
            "tenant": "acme", "job": "close", "attempt": 1, "status": "running", "digest": "0",
            "submitted_at": "2026-01-31T08:00:00Z",
        });
        record.as_object_mut().unwrap().extend(known.as_object().unwrap().clone());
        serde_json::from_value(record).unwrap()
    }

    fn cost(engine: Engine, milliseconds: u64, resources: Resources) -> u64 {
        super::cost(&record(&json!({})), engine, milliseconds, resources)
    }

    const RESOURCES: Resources = Resources {
        architecture: Architecture::Arm64,
        transform_memory_mib: 10_240,
        spark_workers: 3,
        spark_worker_vcpus: 4,
        spark_worker_disk_gb: 200,
        spark_vcpus: 16,
    };

    #[test]
    fn prices_are_those_of_the_list() {
        // 10 GB for 100 s: 1,000 GB-seconds.
        assert_eq!(cost(Engine::Embedded, 100_000, RESOURCES), 275 + 13_333);
        let x86 = Resources { architecture: "x86_64".parse().unwrap(), ..RESOURCES };
        assert_eq!(cost(Engine::Embedded, 100_000, x86), 275 + 16_666);
        // An hour: 16 × 0.052624 + 64 × 0.0057785 + 540 × 0.000111.
        assert_eq!(cost(Engine::Spark, 3_600_000, RESOURCES), 275 + 841_984 + 369_824 + 59_940);
        let free = Resources { spark_worker_disk_gb: 20, ..RESOURCES };
        assert_eq!(cost(Engine::Spark, 3_600_000, free), 275 + 841_984 + 369_824);
        // As many workers as there may be, and as there is room for.
        let many = Resources { spark_workers: 250, ..RESOURCES };
        assert_eq!(cost(Engine::Spark, 3_600_000, many), cost(Engine::Spark, 3_600_000, RESOURCES));
        let wide = Resources { spark_vcpus: 400, ..RESOURCES };
        assert_eq!(cost(Engine::Spark, 3_600_000, wide), cost(Engine::Spark, 3_600_000, RESOURCES));
    }

    #[test]
    fn what_was_tried_first_is_paid_too() {
        let took_over = json!({
            "engine": "spark", "engine_since": "2026-01-31T09:00:00Z", "given_up_milliseconds": 100_000,
        });
        let hour = cost(Engine::Spark, 3_600_000, RESOURCES);
        let both = super::cost(&record(&took_over), Engine::Spark, 3_600_000, RESOURCES);
        assert_eq!(both, hour + 13_333);
        // Nobody has told how long it took: it may have been all the time.
        let ended_at = "2026-01-31T10:00:00Z".parse().unwrap();
        assert_eq!(cost_until(&record(&took_over), ended_at, RESOURCES), Some(both));
        let mut told = record(&took_over);
        told.milliseconds = Some(0);
        assert_eq!(cost_until(&told, ended_at, RESOURCES), Some(275 + 13_333));
        assert_eq!(cost_until(&record(&json!({})), ended_at, RESOURCES), None);
    }

    #[test]
    fn architectures_are_those_of_the_template() {
        assert_eq!("arm64".parse(), Ok(Architecture::Arm64));
        assert!("arm".parse::<Architecture>().is_err());
    }
}
