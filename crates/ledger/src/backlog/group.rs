//! Batches that wait become jobs.

use serde_json::json;
use storage::{Condition, StorageError, tables::Write};
use tracing::warn;

use super::{
    BacklogManager,
    plan::{is_stale, sizes},
};
use crate::{
    BatchSequence, JobBatches,
    book::{BatchStatus, NumberedBatch, View, number_row},
    head::Field,
    job::Job,
    manifest::LedgerId,
    operate::TAKEN_OUT,
    policy::{JOB_BATCHES_MAX, Terms},
    turns::{TRIES, TurnError, behind},
};

impl BacklogManager {
    /// The batches that wait, as far as one job can hold them.
    pub(super) async fn pending(&self, ledger: &LedgerId, view: &View) -> Result<Vec<NumberedBatch>, StorageError> {
        let (first, last) = (behind(view.head.grouped), view.head.next.previous());
        let most = BatchSequence::new(first.get().saturating_add(JOB_BATCHES_MAX - 1));
        if first > last { Ok(Vec::new()) } else { self.book().numbered(ledger, first, last.min(most)).await }
    }

    /// A new job, and the writes that go with its row: they move `grouped`, and tell each batch its job.
    pub(super) fn group(
        &self,
        view: &View,
        batches: &[NumberedBatch],
        terms: &Terms,
    ) -> Result<(Job, Vec<Write>), TurnError> {
        let (ledger, now) = (&terms.ledger, self.now());
        let wrong = |reason| TurnError::Storage(StorageError::Invalid { what: ledger.to_string(), reason });
        let ends = batches.first().zip(batches.last());
        let (first, last) = ends.ok_or_else(|| wrong("no job is made of no batches".to_owned()))?;
        let span = JobBatches::new(first.number, last.number).map_err(|error| wrong(error.to_string()))?;
        let mut job = Job::new(span, now, &terms.policy);
        job.events = batches.iter().fold(0, |sum, batch| sum.saturating_add(batch.events));
        job.bytes = batches.iter().fold(0, |sum, batch| sum.saturating_add(batch.bytes));
        job.passes = batches.iter().map(|batch| batch.passes).max().unwrap_or_default();
        job.definition = terms.definition;
        let number = job.number();
        // Neither bits nor definitions ever go back along the order of jobs; the head keeps those of the last one.
        job.partition_bits = terms.partition_bits.max(view.head.partition_bits);
        let set = [
            (Field::Grouped, number.get()),
            (Field::Definition, job.definition),
            (Field::PartitionBits, job.partition_bits.get().into()),
        ];
        let mut writes = vec![view.head.change(self.book(), ledger, &set, &[])];
        writes.extend(batches.iter().map(|batch| {
            let set = vec![("job".to_owned(), json!(number))];
            self.book().change(ledger, &number_row(batch.number), set, Condition::Present)
        }));
        Ok((job, writes))
    }

    /// Gives a batch that waits a job of its own that is void from its beginning, so that it can be taken out now: batches
    /// leave by their job. Those before it become jobs as they would have anyway, if sooner. Whether it is
    /// in a job now; not where too many are before it.
    pub(crate) async fn group_out(
        &self,
        number: BatchSequence,
        terms: &Terms,
        status: &BatchStatus,
    ) -> Result<bool, TurnError> {
        for _ in 0..JOB_BATCHES_MAX + u64::from(TRIES) {
            let view = self.book().view(&terms.ledger).await?;
            if number <= view.head.grouped.last_batch() {
                return Ok(true);
            }
            if is_stale(&view, terms) {
                return Err(TurnError::Stale { ledger: terms.ledger.clone() });
            }
            let pending = self.pending(&terms.ledger, &view).await?;
            let Some(at) = pending.iter().position(|batch| batch.number == number) else { return Ok(false) };
            let (before, rest) = pending.split_at(at);
            let writes = match (before, rest) {
                ([], [batch, ..]) => {
                    let (job, mut writes) = self.group(&view, std::slice::from_ref(batch), terms)?;
                    let verdicts = [(number, status.clone())].into();
                    let batches = vec![batch.clone()];
                    writes.extend(self.turns.taking_out(&terms.ledger, job, batches, TAKEN_OUT, &verdicts, 0).await?);
                    writes
                }
                _ => {
                    let next = terms.policy.grouping.next(&sizes(before), 0);
                    let (job, mut writes) = self.group(&view, before.get(..next).unwrap_or_default(), terms)?;
                    writes.push(self.turns.replace_job(&terms.ledger, &job)?);
                    writes
                }
            };
            if self.book().write(writes).await? && before.is_empty() {
                warn!(ledger = %terms.ledger, batch = %number, "batch taken out");
                return Ok(true);
            }
        }
        Err(TurnError::contended_batch(&terms.ledger, number))
    }
}
