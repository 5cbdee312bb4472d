//! What jobs in flight have written, for those behind them.

use crate::{
    apply_error::ApplyError,
    codec::Corrupt,
    part_file::{PartBytes, Sidecar, SidecarEntry, version},
    prefetched::Version,
    sequence::JobNumber,
};

/// What a job between the snapshot and this one has written of the same keys. Every job that is not void has one, even
/// if it has no part-files here.
///
/// A job with fewer partition bits has other keys in its partition too ([`crate::Partition::at`]); they are passed over.
#[derive(Debug, Clone, Copy)]
pub struct Overlay<'a> {
    /// The job.
    pub job: JobNumber,
    /// The part-files of its partition, in order.
    pub parts: &'a [PartBytes<'a>],
}

/// The versions that one job has written, by key.
#[derive(Debug)]
pub(crate) struct OverlayReader<'a> {
    job: JobNumber,
    parts: std::slice::Iter<'a, PartBytes<'a>>,
    part: Option<(Sidecar<'a>, &'a [u8])>,
    next: Option<SidecarEntry<'a>>,
    last: Option<&'a str>,
}

impl<'a> OverlayReader<'a> {
    pub(crate) fn new(overlay: &Overlay<'a>) -> Self {
        Self { job: overlay.job, parts: overlay.parts.iter(), part: None, next: None, last: None }
    }

    /// The job's version of a key. Keys are asked for in order.
    pub(crate) fn find(&mut self, key: &str) -> Result<Option<Version<'a>>, ApplyError> {
        while self.next.is_none_or(|next| next.key < key) {
            if !self.advance()? {
                return Ok(None);
            }
        }
        match (&self.part, &self.next) {
            (Some((sidecar, lines)), Some(next)) if next.key == key => Ok(Some(version(sidecar, next, lines)?)),
            _ => Ok(None),
        }
    }

    fn advance(&mut self) -> Result<bool, ApplyError> {
        loop {
            if let Some(entry) = self.part.as_mut().and_then(|(sidecar, _)| sidecar.next()) {
                let entry = entry?;
                if self.last.is_some_and(|last| last >= entry.key) {
                    return Err(Corrupt::new("sidecar", "its keys are not in order").into());
                }
                (self.last, self.next) = (Some(entry.key), Some(entry));
                return Ok(true);
            }
            let Some(part) = self.parts.next() else { return Ok(false) };
            let sidecar = Sidecar::open(part.sidecar)?;
            if sidecar.sequence() != self.job.last_batch() {
                return Err(Corrupt::new("sidecar", "it is of another job").into());
            }
            self.part = Some((sidecar, part.lines));
        }
    }
}
