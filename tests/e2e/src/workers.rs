//! The processes that functions run in.

use std::{fs, process::Command};

use crate::Stack;

/// A process of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker(u32);

/// The workers of a function on this stack: others may run on the machine.
pub fn of(stack: &Stack, function: &str) -> Vec<Worker> {
    let marks = [
        format!("AWS_LAMBDA_FUNCTION_NAME=tieout-{function}"),
        format!("AWS_ENDPOINT_URL={}", stack.var("AWS_ENDPOINT_URL").unwrap()),
    ];
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let workers = processes.filter_map(|process| {
        let id = process.file_name().to_str()?.parse().ok()?;
        let environment = fs::read(process.path().join("environ")).ok()?;
        let has = |mark: &String| environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
        marks.iter().all(has).then_some(Worker(id))
    });
    workers.collect()
}

impl Worker {
    /// Ends it, as a failing machine would.
    pub fn kill(self) {
        self.signal("-KILL");
    }

    /// Holds it where it is: it takes what it is given, and does nothing.
    pub fn freeze(self) {
        self.signal("-STOP");
    }

    /// The most memory that it has had so far, in bytes; `None` once it has ended.
    pub fn peak_bytes(self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
        Some(kibibytes.parse::<u64>().ok()? * 1024)
    }

    /// One that has ended meanwhile is as good.
    fn signal(self, kind: &str) {
        let _ = Command::new("kill").args([kind, &self.0.to_string()]).output();
    }
}
