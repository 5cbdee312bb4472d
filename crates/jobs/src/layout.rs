//! Where everything lies: object keys, table keys, names. Every key begins with the tenant.
//!
//! | bucket | key | what |
//! |---|---|---|
//! | data | `<tenant>/…` | what jobs read; the command line uploads to `<tenant>/files/…` |
//! | data | `<tenant>/jobs/<job>/document.json` | the job, as it was submitted |
//! | work | `<tenant>/jobs/<job>/attempt=<n>/task.json` | what the planner made of it, with every input pinned |
//! | work | `<tenant>/jobs/<job>/attempt=<n>/output/…` | the engine's parts and its report; expires by lifecycle rule |
//! | work | `<tenant>/jobs/<job>/attempt=<n>/check/pieces.json` | which parts each call reads, where one call is not enough |
//! | work | `<tenant>/jobs/<job>/attempt=<n>/check/<piece>.json` | what it has found |
//! | work | `<tenant>/jobs/<job>/attempt=<n>/checked.json` | which of them tie out |
//! | data | `<tenant>/jobs/<job>/attempt=<n>/manifest.json` | how the attempt ended: the commit |
//! | data | `<tenant>/jobs/<job>/attempt=<n>/output/…` | the outputs that it names |

use reconcile::task::TaskJob;
use storage::names::{is_name, is_tenant};
use uuid::Uuid;

/// The longest id of a job. Tenant, id and attempt make the name of an execution, which has at most 80 characters.
pub const JOB_CHARS_MAX: usize = 40;
/// The last attempt that there can be: it has six digits.
pub const ATTEMPT_MAX: u32 = 999_999;

/// Whether `text` may name a job: as feeds are named, but for the length.
pub fn is_job(text: &str) -> bool {
    is_name(text) && text.len() <= JOB_CHARS_MAX
}

/// Whether tenant, id and attempt can be those of a job.
pub fn is_attempt(job: &TaskJob) -> bool {
    is_tenant(&job.tenant) && is_job(&job.job) && (1..=ATTEMPT_MAX).contains(&job.attempt)
}

/// The name of an attempt's execution, and of whoever holds a slot for it: no other has it.
pub fn execution(job: &TaskJob) -> String {
    format!("{}-{}-{}", job.tenant, job.job, job.attempt)
}

/// The folder of a job, without a final slash.
pub fn job_folder(tenant: &str, job: &str) -> String {
    format!("{tenant}/jobs/{job}")
}

/// The folder of an attempt, in the work bucket and in the data bucket alike, without a final slash.
pub fn attempt_folder(job: &TaskJob) -> String {
    format!("{}/attempt={}", job_folder(&job.tenant, &job.job), job.attempt)
}

/// The key of a job's document, in the data bucket.
pub fn document_key(tenant: &str, job: &str) -> String {
    format!("{}/document.json", job_folder(tenant, job))
}

/// The key of an attempt's task, in the work bucket.
pub fn task_key(job: &TaskJob) -> String {
    format!("{}/task.json", attempt_folder(job))
}

/// Under which an attempt's engine writes, in the work bucket.
pub fn engine_prefix(job: &TaskJob) -> String {
    format!("{}/output", attempt_folder(job))
}

/// The key of what output-checker commits, in the work bucket.
pub fn checked_key(job: &TaskJob) -> String {
    format!("{}/checked.json", attempt_folder(job))
}

/// The key of the pieces that an attempt's outputs are checked in, in the work bucket.
pub fn pieces_key(job: &TaskJob) -> String {
    format!("{}/check/pieces.json", attempt_folder(job))
}

/// The key of what was found in one of them.
pub fn finding_key(job: &TaskJob, piece: u32) -> String {
    format!("{}/check/{piece:05}.json", attempt_folder(job))
}

/// The key of an attempt's [`crate::manifest::End`], in the data bucket.
pub fn manifest_key(job: &TaskJob) -> String {
    format!("{}/manifest.json", attempt_folder(job))
}

/// Under which all outputs of an attempt lie, in the data bucket, published or not.
pub(crate) fn outputs_prefix(job: &TaskJob) -> String {
    format!("{}/output/", attempt_folder(job))
}

/// A place for outputs that is never used again.
pub(crate) fn output_folder(job: &TaskJob) -> String {
    format!("{}{}", outputs_prefix(job), Uuid::new_v4().simple())
}

/// Where a key that a job names lies in the data bucket: jobs see what is their tenant's.
pub fn input_key(tenant: &str, key: &str) -> String {
    format!("{tenant}/{key}")
}

/// The partition of a job's row in the `jobs` table.
pub(crate) fn job_partition(tenant: &str, job: &str) -> String {
    format!("{tenant}#{job}")
}

/// The partition of a tenant's jobs in the index `by_start`.
pub(crate) fn index_partition(tenant: &str) -> String {
    format!("{tenant}#jobs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_names_make_the_name_of_an_execution() {
        let job = TaskJob { tenant: "t".repeat(32), job: "j".repeat(JOB_CHARS_MAX), attempt: ATTEMPT_MAX };
        assert!(is_attempt(&job));
        assert_eq!(execution(&job).len(), 80);
        storage::workflows::check_start("machine", &execution(&job), "{}").unwrap();
        assert!(!is_job(&"j".repeat(JOB_CHARS_MAX + 1)) && !is_job("A") && !is_job("a/b"));
        assert!(
            !is_attempt(&TaskJob { attempt: 0, ..job.clone() })
                && !is_attempt(&TaskJob { tenant: "A".to_owned(), ..job })
        );
    }
}
