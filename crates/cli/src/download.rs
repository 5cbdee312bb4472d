//! Bytes on their way out: to standard output, or to a file that appears when it is whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use futures::TryStreamExt;
use indicatif::ProgressBar;
use storage::{Location, Objects};

use crate::{error::Failure, output::byte_bar};

/// Streams an object to standard output, or to a file that appears when it is whole.
pub(crate) async fn fetch(objects: &dyn Objects, from: &Location, to: Option<PathBuf>) -> Result<(), Failure> {
    let Some(path) = to else {
        let mut stdout = io::stdout().lock();
        return copy(objects, from, &mut stdout, &ProgressBar::hidden(), |error| Failure::output(&error)).await;
    };
    let partial = partial(&path);
    let bar = byte_bar("download", objects.head(from, None).await?.bytes);
    let fault = |error: io::Error| Failure::file(&path, &error);
    let mut file = File::create(&partial).map_err(fault)?;
    let copied = copy(objects, from, &mut file, &bar, fault).await;
    bar.finish_and_clear();
    let whole = copied.and_then(|()| file.sync_all().and_then(|()| fs::rename(&partial, &path)).map_err(fault));
    if whole.is_err() {
        let _ = fs::remove_file(&partial);
    }
    whole
}

/// Writes bytes to standard output, or to a file that appears when it is whole.
pub(crate) fn write(bytes: &[u8], to: Option<PathBuf>) -> Result<(), Failure> {
    let Some(path) = to else {
        let mut stdout = io::stdout().lock();
        return stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Failure::output(&error));
    };
    let partial = partial(&path);
    let whole = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, &path));
    whole.map_err(|error| {
        let _ = fs::remove_file(&partial);
        Failure::file(&path, &error)
    })
}

async fn copy(
    objects: &dyn Objects,
    from: &Location,
    to: &mut dyn Write,
    bar: &ProgressBar,
    fault: impl Fn(io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut bytes = objects.read(from, None, None).await?;
    while let Some(some) = bytes.try_next().await? {
        to.write_all(&some).map_err(&fault)?;
        bar.inc(some.len() as u64);
    }
    to.flush().map_err(fault)
}

/// Beside the file, so that renaming it stays within one file system.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use storage::{memory::MemoryObjects, objects::PutOptions};

    use super::*;

    #[tokio::test]
    async fn a_download_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let objects = MemoryObjects::default();
        let from = Location::new("data", "out.csv");
        let missing = fetch(&objects, &from, Some(path.clone())).await;
        assert!(matches!(missing, Err(Failure::Service(_))), "{missing:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        objects.put(&from, Bytes::from_static(b"a,b\n1,2\n"), PutOptions::default()).await.unwrap();
        fetch(&objects, &from, Some(path.clone())).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"a,b\n1,2\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        write(b"a\n", Some(path.clone())).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"a\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(write(b"a\n", Some(folder.path().join("none/out.csv"))), Err(Failure::Misuse(_))));

        let nowhere = fetch(&objects, &from, Some(folder.path().join("none/out.csv"))).await;
        assert!(matches!(nowhere, Err(Failure::Misuse(_))), "{nowhere:?}");
    }
}
