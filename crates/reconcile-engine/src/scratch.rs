//! Where runs keep what does not fit into memory.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// A process's own folder for what its runs keep on disk.
///
/// A run removes its files itself, unless its process is killed: for memory, or for time. On Lambda the next process finds
/// them on its disk. So a process removes, as it begins, the folders of those that are gone; one that lives holds a lock.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    _held: File,
}

const LOCK: &str = "lock";

impl Scratch {
    /// A new folder within `parent`, which is for such folders alone.
    pub fn begin(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        // One at a time: a folder that is there without a lock is then of nobody who lives.
        let turn = File::create(parent.join(LOCK))?;
        turn.lock()?;
        for entry in fs::read_dir(parent)? {
            let folder = entry?.path();
            if folder.is_dir() && !is_held(&folder) {
                tracing::info!(folder = %folder.display(), "what a killed process left is removed");
                fs::remove_dir_all(&folder)?;
            }
        }
        let folder = parent.join(uuid::Uuid::new_v4().simple().to_string());
        fs::create_dir(&folder)?;
        let held = File::create(folder.join(LOCK))?;
        held.lock()?;
        Ok(Self { folder, _held: held })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Whether the process of a folder lives.
fn is_held(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_goes_and_what_a_living_one_holds_stays() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path().join("spill");
        let living = Scratch::begin(&parent).unwrap();
        let spilled = living.folder().join("datafusion-1");
        fs::write(&spilled, "rows").unwrap();
        let killed = Scratch::begin(&parent).unwrap();
        let left = killed.folder().to_owned();
        fs::create_dir(left.join("datafusion-2")).unwrap();
        fs::write(left.join("datafusion-2/rows"), "rows").unwrap();
        drop(killed);
        assert!(left.exists(), "a process that is killed removes nothing");
        fs::create_dir(parent.join("killed-before-it-had-a-lock")).unwrap();

        let next = Scratch::begin(&parent).unwrap();
        let mut there: Vec<PathBuf> = fs::read_dir(&parent).unwrap().map(|entry| entry.unwrap().path()).collect();
        there.sort();
        let mut wanted = vec![parent.join(LOCK), living.folder().to_owned(), next.folder().to_owned()];
        wanted.sort();
        assert_eq!(there, wanted);
        assert!(spilled.exists());
    }
}
