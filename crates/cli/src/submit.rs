//! `tieout submit`.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    path::Path,
    time::Duration,
};

use bytes::Bytes;
use indicatif::ProgressBar;
use intake::{
    arrival::run_of,
    layout::{DEFAULT_FEED, FILE_BYTES_MAX, upload_key},
};
use storage::{
    Location, ObjectInfo, Objects,
    objects::{ObjectWriter, Put, PutOptions},
};

use crate::{
    args::Submit,
    error::{Failure, shown},
    feed,
    follow::{Absent, follow, tell_end},
    installation::Installation,
    output::{Output, byte_bar},
    progress::Display,
    view::{self, RunView},
};

/// Read from the file at once.
const BLOCK_BYTES: usize = 1024 * 1024;

pub(crate) async fn perform(command: Submit, at: &Installation, output: Output) -> Result<(), Failure> {
    let Submit { feed, file: path, wait, timeout } = command;
    let (mut file, bytes) = open(&path)?;
    let name = file_name(&path)?;
    if feed != DEFAULT_FEED && at.feeds().get(&at.tenant, &feed).await?.is_none() {
        return Err(feed::unknown(&feed));
    }
    let to = Location::new(&at.names.input_bucket, upload_key(&at.tenant, &feed, name));
    let bar = byte_bar(name, bytes);
    let uploaded = upload(&mut file, &path, &at.objects(), (&to, "text/csv"), &bar).await;
    bar.finish_and_clear();
    let run = run_of(&at.tenant, &to, &uploaded?);

    if wait {
        let display = Display::for_people();
        let record = follow(at, &run, Absent::Wait, Duration::from_secs(timeout), &display).await?;
        tell_end(record, at, output).await
    } else {
        output.tell(&RunView::queued(&run, &feed, name, &to), |queued| {
            format!("{} is uploaded: {}\n", queued.input, view::command("watch", &run))
        })
    }
}

/// The file's name, if runs can be named after it.
pub(crate) fn file_name(path: &Path) -> Result<&str, Failure> {
    let refused = |reason: &str| Failure::misuse(format!("{}: the file's name {reason}", shown(path)));
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| refused("is no text"))?;
    if name.chars().any(char::is_control) {
        return Err(refused("has control characters: rename it"));
    }
    if name.len() > FILE_BYTES_MAX {
        return Err(refused(&format!("has {} bytes, and may have {FILE_BYTES_MAX}: shorten it", name.len())));
    }
    Ok(name)
}

/// The file and its length.
pub(crate) fn open(path: &Path) -> Result<(File, u64), Failure> {
    let fault = |error| Failure::file(path, &error);
    // Looked at before it is opened: a pipe without a writer would not open.
    let metadata = fs::metadata(path).map_err(fault)?;
    if metadata.is_dir() {
        return Err(fault(ErrorKind::IsADirectory.into()));
    }
    if !metadata.is_file() {
        return Err(Failure::misuse(format!("{}: no regular file: save it as one first", shown(path))));
    }
    Ok((File::open(path).map_err(fault)?, metadata.len()))
}

/// Uploads the file, whole or not at all.
pub(crate) async fn upload(
    file: &mut impl Read,
    path: &Path,
    objects: &dyn Objects,
    (to, content_type): (&Location, &str),
    bar: &ProgressBar,
) -> Result<ObjectInfo, Failure> {
    let options = PutOptions { content_type: Some(content_type.to_owned()), ..PutOptions::default() };
    let mut writer = objects.writer(to, options).await?;
    if let Err(failure) = send(file, path, &mut *writer, bar).await {
        // What went wrong first is told; parts left behind are removed by the bucket's lifecycle rule.
        let _ = writer.abort().await;
        return Err(failure);
    }
    match writer.finish().await? {
        Put::Written(info) => Ok(info),
        Put::Exists => Err(Failure::Service(format!("{to} exists, though nothing asked for its absence"))),
    }
}

async fn send(
    file: &mut impl Read,
    path: &Path,
    writer: &mut dyn ObjectWriter,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    loop {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        file.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block).map_err(|error| Failure::file(path, &error))?;
        if block.is_empty() {
            return Ok(());
        }
        let bytes = block.len() as u64;
        writer.write(Bytes::from(block)).await?;
        bar.inc(bytes);
    }
}

#[cfg(test)]
mod tests {
    use storage::{memory::MemoryObjects, objects::read_all};

    use super::*;

    #[tokio::test]
    async fn a_file_arrives_whole_whatever_its_length() {
        let folder = tempfile::tempdir().unwrap();
        let objects = MemoryObjects::default();
        for bytes in [0, 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 7] {
            let path = folder.path().join("f.csv");
            let content: Vec<u8> = (0..bytes).map(|index| (index % 251) as u8).collect();
            fs::write(&path, &content).unwrap();
            let to = Location::new("input", format!("default/intake/f/{bytes}.csv"));
            let (mut file, length) = open(&path).unwrap();
            let bar = ProgressBar::hidden();
            let info = upload(&mut file, &path, &objects, (&to, "text/csv"), &bar).await.unwrap();
            assert_eq!((info.bytes, length, bar.position()), (bytes as u64, bytes as u64, bytes as u64));
            let stream = objects.read(&to, info.version.as_deref(), None).await.unwrap();
            assert!(read_all(stream, &to, u64::MAX).await.unwrap() == content, "{bytes} bytes");
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(open(folder.path()), Err(Failure::Misuse(_))));
        assert!(matches!(open(&folder.path().join("none.csv")), Err(Failure::Misuse(_))));
        let Err(Failure::Misuse(message)) = open(Path::new("/dev/null")) else { panic!("it is a device") };
        assert_eq!(message, "/dev/null: no regular file: save it as one first");
    }

    #[test]
    fn a_name_that_cannot_be_a_key_is_refused() {
        assert_eq!(file_name(Path::new("a/märz 1.csv")).unwrap(), "märz 1.csv");
        let long = "é".repeat(FILE_BYTES_MAX / 2) + "f";
        for (name, said) in
            [("a\nb.csv", "a␊b.csv: the file's name has control"), ("\u{9b}2J", "control"), (&long, "801")]
        {
            let Err(Failure::Misuse(message)) = file_name(Path::new(name)) else { panic!("{name:?} is taken") };
            assert!(message.contains(said), "{message}");
            assert!(!message.contains(char::is_control), "{message:?}");
        }
    }
}
