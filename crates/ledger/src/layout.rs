//! Where a ledger's things lie. Every key begins with the tenant.
//!
//! | bucket | key | what | commit |
//! |---|---|---|---|
//! | input | `<tenant>/batches/<ledger>/<batch>/…` | a batch: its objects, and its manifest last | |
//! | data | `<tenant>/ledgers/<ledger>/batches/<batch>/<digest>/<attempt>.json` | the manifest with everything pinned | the batch's number, in the book |
//! | work | `<job>/split/<attempt>.json`, `<job>/split.json` | the job's byte ranges; what names them | first |
//! | work | `<job>/reduce/<range>/<attempt>.events`, `<job>/reduce/<range>.json` | a range's events by partition | first |
//! | work | `<job>/reduced/<attempt>/…`, `<job>/reduced.json` | which sections each partition is made of | first |
//! | work | `<job>/combine/<partition>/<attempt>.artifacts`, `<job>/combine/<partition>.json` | stateless artifacts | first |
//! | work | `<job>/prefetch/<partition>/<attempt>.versions`, `<job>/prefetch/<partition>.json` | versions that were found | first |
//! | data | `<job>/apply/<partition>/<attempt>/part-…`, `<job>/apply/<partition>.json` | part-files and sidecars | first |
//! | work, data | `<job>/<stage>-<attempt>.json` | the manifest of a stage | the stage's, in the book |
//! | work | `<job>/index/<attempt>.json` | what index workers have to do | |
//! | data | `<job>/rejects/<step>/<attempt>.csv`, `….jsonl` | events that could not be taken | |
//!
//! `<job>` is `<tenant>/ledgers/<ledger>/job=<number of twelve digits>-<id>`: where the book was restored to an earlier
//! state, the same numbers are given again, and what jobs had written that it does not know is nobody's. *First*: the first
//! attempt to write there is the one that counts, and every other goes by what it finds.

use uuid::Uuid;

use crate::{
    Partition,
    manifest::{LedgerId, ManifestKey},
    messages::RunInput,
    partition::{KeyHash, PARTITION_BITS_MAX},
    stage::Stage,
};

/// The folder of a job, in the work bucket and in the data bucket alike, without a final slash.
pub fn job_folder(run: &RunInput) -> String {
    let LedgerId { tenant, ledger } = &run.ledger;
    format!("{tenant}/ledgers/{ledger}/job={}-{}", run.job.padded(), run.id)
}

/// An id for a job, never used again: twelve hexadecimal digits.
pub(crate) fn job_id() -> String {
    format!("{:012x}", Uuid::new_v4().as_u128() >> 80)
}

/// A name for an attempt, never used again.
pub fn attempt() -> String {
    Uuid::new_v4().simple().to_string()
}

/// A key for a manifest with everything pinned, in the data bucket. It is never used again: manifests of one digest can
/// be of other versions of the same objects, each as they were when somebody tried to register them.
pub fn pinned_key(at: &ManifestKey, digest: &str) -> String {
    let ManifestKey { ledger, batch, .. } = at;
    format!("{}/ledgers/{}/batches/{batch}/{digest}/{}.json", ledger.tenant, ledger.ledger, attempt())
}

/// The key at which the job's ranges are committed, in the work bucket.
pub fn split_key(run: &RunInput) -> String {
    format!("{}/split.json", job_folder(run))
}

/// The key at which a range's events are committed, in the work bucket.
pub fn range_key(run: &RunInput, range: u64) -> String {
    format!("{}/reduce/{range:06}.json", job_folder(run))
}

/// The key at which it is committed what each partition is made of, in the work bucket.
pub fn reduced_key(run: &RunInput) -> String {
    format!("{}/reduced.json", job_folder(run))
}

/// The key at which a partition's stateless artifacts are committed, in the work bucket.
pub fn combined_key(run: &RunInput, partition: Partition) -> String {
    format!("{}/combine/{}.json", job_folder(run), partition.padded())
}

/// The key at which a partition's part of a stage is committed: in the work bucket for prefetch, in the data bucket
/// for apply.
pub fn partition_key(run: &RunInput, stage: Stage, partition: Partition) -> String {
    format!("{}/{stage}/{}.json", job_folder(run), partition.padded())
}

/// The key of an artifact's index entry in the table `artifacts`: `<tenant>#<ledger>#<hash>#<key>`, where `<hash>` is the
/// top twelve bits of the key's hash in three hexadecimal digits.
///
/// Partitions are cut by those bits, so a table that has an order keeps what a worker looks up and puts together, however
/// many partitions there are. DynamoDB has none.
pub fn artifact_key(ledger: &LedgerId, key: &str) -> String {
    let place = artifact_place(key);
    let digit = |shift: u16| char::from_digit(u32::from(place >> shift & 0xf), 16).unwrap_or('0');
    let mut text = String::with_capacity(ledger.tenant.len() + ledger.ledger.len() + key.len() + 6);
    for part in [&*ledger.tenant, "#", &*ledger.ledger, "#"] {
        text.push_str(part);
    }
    [8, 4, 0].into_iter().for_each(|shift| text.push(digit(shift)));
    text.push('#');
    text.push_str(key);
    text
}

/// The top twelve bits of a key's hash: [`artifact_key`] goes by them first, and then by the key.
pub(crate) fn artifact_place(key: &str) -> u16 {
    let bits = u64::BITS - u32::from(PARTITION_BITS_MAX);
    // Twelve bits are left.
    (KeyHash::of(key.as_bytes()).get() >> bits) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::PartitionBits;

    /// What index entries are found by never changes, and a partition's stand together.
    #[test]
    fn index_entries_stand_by_partition_and_key() {
        let ledger = LedgerId { tenant: "t".to_owned(), ledger: "l".to_owned() };
        assert_eq!(artifact_key(&ledger, ""), "t#l#2d0#");
        let keys: Vec<String> = (0..1_000).map(|number| format!("order-{number}")).collect();
        let mut rows: Vec<(String, &str)> = keys.iter().map(|key| (artifact_key(&ledger, key), &**key)).collect();
        rows.sort_unstable();
        let bits = PartitionBits::new(5).unwrap();
        assert!(rows.is_sorted_by_key(|(_, key)| bits.partition(KeyHash::of(key.as_bytes()))));
        assert!(rows.is_sorted_by_key(|(_, key)| (artifact_place(key), *key)));
    }
}
