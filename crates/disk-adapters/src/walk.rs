//! Rows that are asked for in the order of their keys.

use redb::{AccessGuard, Range, StorageError};

use crate::store::Rows;

type Bytes = &'static [u8];

/// Looking a row up costs as much as walking past so many.
const STEPS_MAX: usize = 24;
/// So many keys at most are looked up before walking is tried again.
const LOOK_UPS_MAX: u32 = 1 << 12;

/// Walks from row to row where the next key is near, and looks it up where it is not.
pub(crate) struct Walk<'t> {
    rows: &'t Rows,
    way: Option<Way>,
    /// How many keys are looked up before walking is tried again: none at first, and twice as many each time that the
    /// next key was too far away.
    look_ups: u32,
    look_ups_next: u32,
}

/// Where a walk is.
struct Way {
    ahead: Range<'static, Bytes, Bytes>,
    /// The row that was come to; `None` behind the last one.
    at: Option<(AccessGuard<'static, Bytes>, AccessGuard<'static, Bytes>)>,
}

/// A row that was found.
pub(crate) enum Row<'w> {
    WalkedTo(&'w AccessGuard<'static, Bytes>),
    LookedUp(AccessGuard<'static, Bytes>),
}

impl Row<'_> {
    pub(crate) fn value(&self) -> &[u8] {
        match self {
            Self::WalkedTo(row) => row.value(),
            Self::LookedUp(row) => row.value(),
        }
    }
}

impl<'t> Walk<'t> {
    pub(crate) fn new(rows: &'t Rows) -> Self {
        Self { rows, way: None, look_ups: 0, look_ups_next: 1 }
    }

    /// The row of a key, if there is one. No key is before the one that was asked for last.
    pub(crate) fn to(&mut self, key: &[u8]) -> Result<Option<Row<'_>>, StorageError> {
        if self.look_ups > 0 {
            self.look_ups -= 1;
            return self.look_up(key);
        }
        if !self.is_reached(key)? {
            self.way = None;
            self.look_ups = self.look_ups_next;
            self.look_ups_next = (2 * self.look_ups_next).min(LOOK_UPS_MAX);
            return self.look_up(key);
        }
        let at = self.way.as_ref().and_then(|way| way.at.as_ref());
        Ok(at.filter(|(found, _)| found.value() == key).map(|(_, row)| Row::WalkedTo(row)))
    }

    fn look_up(&self, key: &[u8]) -> Result<Option<Row<'_>>, StorageError> {
        Ok(self.rows.get(key)?.map(Row::LookedUp))
    }

    /// Whether the walk has come to a key, or to where it would be.
    fn is_reached(&mut self, key: &[u8]) -> Result<bool, StorageError> {
        let way = match &mut self.way {
            Some(way) => way,
            None => {
                let mut ahead = self.rows.range(key..)?;
                let at = ahead.next().transpose()?;
                // It begins where it is to come to.
                self.way = Some(Way { ahead, at });
                return Ok(true);
            }
        };
        for _ in 0..STEPS_MAX {
            if way.at.as_ref().is_none_or(|(found, _)| found.value() >= key) {
                self.look_ups_next = 1;
                return Ok(true);
            }
            way.at = way.ahead.next().transpose()?;
        }
        Ok(false)
    }
}
