//! The part-files of a partition: written as they are made, and read back as they stand in the store.

use futures::TryStreamExt;
use storage::objects::blocks;

use crate::{
    Corrupt, Ledger, LedgerError, Partition,
    apply::Piece,
    commits::{PartWritten, Written},
    messages::RunInput,
    output::Output,
    part_file::{PartBytes, PartFile},
    read_back::ReadBack,
    side_lines::{SideCheck, SideRun},
    workplace::Workplace,
};

const JSON_LINES: &str = "application/jsonl";

/// What was written of a partition.
pub(crate) struct Parts<'a> {
    place: Place<'a>,
    /// The side file of the part-file that is to come.
    side: Option<Output>,
    written: Vec<PartWritten>,
    read_back: ReadBack<'a>,
}

/// Where it is written, and what it is of.
#[derive(Clone, Copy)]
struct Place<'a> {
    workplace: &'a Workplace,
    run: &'a RunInput,
    partition: Partition,
}

impl<'a> Parts<'a> {
    /// Nothing is written yet.
    pub(crate) fn new(workplace: &'a Workplace, ledger: &'a Ledger, run: &'a RunInput, partition: Partition) -> Self {
        let place = Place { workplace, run, partition };
        Self { place, side: None, written: Vec::new(), read_back: ReadBack::new(ledger) }
    }

    /// Writes the next piece; a part-file is read back at once.
    pub(crate) async fn write(&mut self, piece: Piece) -> Result<(), LedgerError> {
        match piece {
            Piece::SideLines { file, bytes } => {
                let Workplace { objects, .. } = self.place.workplace;
                let at = self.place.workplace.data(file);
                self.side.get_or_insert_with(|| Output::new(objects, at, JSON_LINES)).write(bytes).await
            }
            Piece::Part(part) => self.write_part(part).await,
        }
    }

    /// The part-files, once `outcome` is that all are written; else what was begun is given up.
    pub(crate) async fn end(
        self,
        outcome: Result<(), LedgerError>,
    ) -> Result<(Vec<PartWritten>, ReadBack<'a>), LedgerError> {
        if let Some(side) = self.side {
            side.give_up().await;
        }
        outcome.map(|()| (self.written, self.read_back))
    }

    async fn write_part(&mut self, part: PartFile) -> Result<(), LedgerError> {
        let workplace = self.place.workplace;
        let side = match self.side.take() {
            Some(side) => side.finish().await?,
            None => None,
        };
        let (lines_at, sidecar_at) = (workplace.data(part.file), workplace.data(part.sidecar_file));
        let lines = workplace.put(&lines_at, part.lines, JSON_LINES);
        let sidecar = workplace.put(&sidecar_at, part.sidecar, "application/octet-stream");
        let (lines, sidecar) = futures::try_join!(lines, sidecar)?;
        let written = PartWritten { lines, sidecar, side, artifacts: part.artifacts };
        self.read_back(&written, &part.side).await?;
        self.written.push(written);
        Ok(())
    }

    /// Reads a part-file and its side file back, and adds what they hold to what was read back before.
    async fn read_back(&mut self, part: &PartWritten, runs: &[SideRun]) -> Result<(), LedgerError> {
        let place = self.place;
        let workplace = place.workplace;
        for written in [&part.lines, &part.sidecar].into_iter().chain(&part.side) {
            let at = workplace.data(&written.key);
            let found = workplace.objects.head(&at, None).await?.bytes;
            if found != written.bytes {
                return Err(place.different(format!("{at}: {} bytes against {found}", written.bytes)));
            }
        }
        match &part.side {
            Some(side) => place.read_side_back(side, runs).await?,
            None if runs.is_empty() => {}
            None => return Err(place.different(format!("{}: its side file was not written", part.lines.key))),
        }
        let (lines_at, sidecar_at) = (workplace.data(&part.lines.key), workplace.data(&part.sidecar.key));
        let (lines, sidecar) = futures::try_join!(
            workplace.written(&lines_at, part.lines.bytes),
            workplace.written(&sidecar_at, part.sidecar.bytes)
        )?;
        let bytes = PartBytes { sidecar: &sidecar, lines: &lines };
        let added = self.read_back.add(&bytes, &part.lines.key, place.run.batches.hi());
        added.map_err(|source| place.different(format!("{lines_at}: {source}")))
    }
}

impl Place<'_> {
    /// Looks at each run of a side file, block by block.
    async fn read_side_back(&self, side: &Written, runs: &[SideRun]) -> Result<(), LedgerError> {
        let at = self.workplace.data(&side.key);
        let different = |source: Corrupt| self.different(format!("{at}: {source}"));
        let mut check = SideCheck::new(runs);
        let mut blocks = std::pin::pin!(blocks(&*self.workplace.objects, &at, None, side.bytes));
        while let Some(block) = blocks.try_next().await? {
            check.take(&block).map_err(different)?;
        }
        check.finish().map_err(different)
    }

    /// Whatever was written and does not stand as it was.
    fn different(&self, difference: String) -> LedgerError {
        let boundary = format!("partition {} of job {}, written against read back", self.partition, self.run.job);
        LedgerError::ControlTotalMismatch { boundary, difference }
    }
}
