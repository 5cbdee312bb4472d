//! Time and memory of a stage of this process.

use std::{fs, time::Instant};

use serde::Serialize;

/// What a stage cost.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    pub(crate) stage: &'static str,
    pub(crate) seconds: f64,
    /// Of all threads together; on a machine that does other things too, this moves less than `seconds`. 0 where the
    /// system does not tell.
    pub(crate) cpu_seconds: f64,
    /// The most memory that the process held meanwhile (`VmHWM`), in bytes; 0 where the system does not tell.
    pub(crate) peak_bytes: u64,
}

/// Measures stages, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Meter(pub(crate) Vec<Measured>);

impl Meter {
    /// Does a stage, and writes down what it cost.
    pub(crate) async fn measure<T>(&mut self, stage: &'static str, work: impl Future<Output = T>) -> T {
        forget_peak();
        let (start, cpu_start) = (Instant::now(), cpu_seconds());
        let done = work.await;
        let (seconds, cpu_seconds) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu_start);
        self.0.push(Measured { stage, seconds, cpu_seconds, peak_bytes: peak_bytes() });
        done
    }
}

/// Lets the next peak begin at what is held now (`man 5 proc`, `clear_refs`).
fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}

/// The 14th and 15th field of `/proc/self/stat` (`man 5 proc`), in hundredths of a second. The second, a name, may hold
/// spaces, and ends with the last bracket.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    f64::from(ticks) / 100.0
}
