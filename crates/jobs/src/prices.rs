//! What a job costs, about: the engine's time and the state machine at AWS's list prices. Requests, storage and the small
//! functions are not in it.

use environment::{ConfigError, parsed};
use reconcile::report::Engine;

/// Lambda on Arm in us-east-1: 0.0000133334 dollars a GB-second, in 10^-10 dollars.
const LAMBDA_GB_SECOND: u128 = 133_334;
/// EMR Serverless on Linux/x86 in us-east-1: 0.052624 dollars a vCPU-hour, in millionths.
const EMR_VCPU_HOUR: u128 = 52_624;
/// And 0.0057785 dollars a GB-hour, in 10^-7 dollars.
const EMR_GB_HOUR: u128 = 57_785;

/// The nine state transitions of a job that goes well, at 0.025 dollars a thousand, in millionths.
const TRANSITIONS: u128 = 9 * 25;

/// What the engines have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// The memory of the embedded engine's function, in MiB.
    pub transform_memory_mib: u64,
    /// The processors of the distributed engine, its driver's too, as if all were at work all the time.
    pub spark_vcpus: u64,
    /// Their memory, in GB.
    pub spark_memory_gb: u64,
}

impl Resources {
    /// Reads `TRANSFORM_MEMORY_MIB`, `SPARK_VCPUS` and `SPARK_MEMORY_GB`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            transform_memory_mib: parsed("TRANSFORM_MEMORY_MIB")?,
            spark_vcpus: parsed("SPARK_VCPUS")?,
            spark_memory_gb: parsed("SPARK_MEMORY_GB")?,
        })
    }
}

/// About what a job costs that took so much time of an engine, in millionths of a dollar.
pub fn cost(engine: Engine, milliseconds: u64, resources: Resources) -> u64 {
    let milliseconds = u128::from(milliseconds);
    let micros = match engine {
        // MiB × ms × price ÷ (1,024 MiB × 1,000 ms × 10^4)
        Engine::Embedded => {
            u128::from(resources.transform_memory_mib) * milliseconds * LAMBDA_GB_SECOND / (1_024 * 1_000 * 10_000)
        }
        Engine::Spark => {
            let hourly = u128::from(resources.spark_vcpus) * EMR_VCPU_HOUR * 10
                + u128::from(resources.spark_memory_gb) * EMR_GB_HOUR;
            hourly * milliseconds / (10 * 3_600_000)
        }
    };
    u64::try_from(micros + TRANSITIONS).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_those_of_the_list() {
        let resources = Resources { transform_memory_mib: 10_240, spark_vcpus: 16, spark_memory_gb: 64 };
        // 10 GB for 100 s: 1,000 GB-seconds.
        assert_eq!(cost(Engine::Embedded, 100_000, resources), 225 + 13_333);
        // An hour: 16 × 0.052624 + 64 × 0.0057785.
        assert_eq!(cost(Engine::Spark, 3_600_000, resources), 225 + 841_984 + 369_824);
    }
}
