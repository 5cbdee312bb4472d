//! Jobs in the book.

use storage::StorageError;

use super::{Book, from_item, rows::job_row, unreadable};
use crate::{JobNumber, head::Head, job::Job, manifest::LedgerId};

/// The ledger's head and its jobs that are not indexed, in order: what the backlog manager goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The head.
    pub head: Head,
    /// The jobs, live and void, behind the cursor `indexed`.
    pub jobs: Vec<Job>,
}

impl Book {
    /// A job.
    pub async fn job(&self, ledger: &LedgerId, job: JobNumber) -> Result<Option<Job>, StorageError> {
        self.get(ledger, &job_row(job)).await
    }

    /// The head and the jobs behind `indexed`. They are read one after the other: what is computed from them is written
    /// on condition that it still holds.
    pub async fn view(&self, ledger: &LedgerId) -> Result<View, StorageError> {
        let head = self.head(ledger).await?;
        let mut jobs: Vec<Job> = Vec::new();
        let mut query = self.rows(ledger, "job#");
        query.descending = true;
        // Newest first, so that the many jobs that are indexed are never read.
        query.limit = Some(16);
        loop {
            let page = self.tables.query(&query).await?;
            for item in page.items {
                let job: Job = from_item(item)?;
                if job.number() <= head.indexed {
                    jobs.reverse();
                    return Ok(View { head, jobs });
                }
                jobs.push(job);
            }
            query.from = page.next;
            if query.from.is_none() {
                jobs.reverse();
                return Ok(View { head, jobs });
            }
        }
    }

    /// Every job behind `after` and before `job`, void ones too, the newest first. Each is found by the number that the
    /// one behind it leaves off at, so none can be passed over.
    pub(crate) async fn jobs_between(
        &self,
        ledger: &LedgerId,
        after: JobNumber,
        job: &Job,
    ) -> Result<Vec<Job>, StorageError> {
        let mut jobs: Vec<Job> = Vec::new();
        loop {
            let number = jobs.last().unwrap_or(job).predecessor();
            if number <= after {
                return Ok(jobs);
            }
            let between = self.job(ledger, number).await?;
            jobs.push(between.ok_or_else(|| unreadable(format!("job {number} of ledger {ledger} is not there")))?);
        }
    }
}
