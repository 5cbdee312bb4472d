use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use storage::{
    ByteRange, Location, ObjectInfo, Objects, StorageError,
    objects::{
        ByteStream, Listed, ListedVersion, ObjectWriter, PAGE_OBJECTS, Piece, Put, PutOptions, VersionCursor,
        VersionPage, address, check_write,
    },
};

use crate::{
    lock,
    paths::{self, Trail},
    versions::{self, Number},
};

/// The folder of what is being written. No bucket has this name: names of buckets are encoded, and `@` is not.
const WRITING: &str = "@writing";
/// How much of an object is read at a time: what is read in one piece is not copied together.
const PIECE_BYTES: u64 = 32 << 20;
/// Writes of the same key wait for each other; other keys rarely do.
const LOCKS: usize = 64;

/// Objects in a folder: `<folder>/<bucket>/<key>/@<version>`, in buckets that keep versions and need not be made.
///
/// One process at a time may use a folder. Nothing is synced: a loss of power can lose what was written. Media types
/// are not kept.
#[derive(Clone)]
pub struct DiskObjects {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    locks: [Mutex<()>; LOCKS],
    hasher: RandomState,
    started: AtomicU64,
}

impl DiskObjects {
    /// The objects in `folder`, which is made if it is not there. What a killed process had not finished is removed.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let folder = folder.into();
        let writing = folder.join(WRITING);
        let cleared = match fs::remove_dir_all(&writing) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        };
        cleared.and_then(|()| fs::create_dir_all(&writing)).map_err(|error| failed(error, &folder.display()))?;
        let locks = [const { Mutex::new(()) }; LOCKS];
        Ok(Self { inner: Arc::new(Inner { folder, locks, hasher: RandomState::new(), started: AtomicU64::new(0) }) })
    }

    /// The file that holds the bytes of an object, or of the given version of it, for other programs to read.
    pub fn file(&self, at: &Location, version: Option<&str>) -> Result<PathBuf, StorageError> {
        self.inner.find(at, version).map(|(folder, number)| versions::file(&folder, number))
    }
}

impl fmt::Debug for DiskObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskObjects").field("folder", &self.inner.folder).finish_non_exhaustive()
    }
}

impl Inner {
    fn bucket(&self, bucket: &str) -> PathBuf {
        self.folder.join(paths::path(bucket))
    }

    fn folder(&self, at: &Location) -> PathBuf {
        self.bucket(&at.bucket).join(paths::path(&at.key))
    }

    /// The folder and number of an object, or of the given version of it.
    fn find(&self, at: &Location, version: Option<&str>) -> Result<(PathBuf, Number), StorageError> {
        let folder = self.folder(at);
        let number = match version {
            Some(version) => Number::parse(version).filter(|number| versions::file(&folder, *number).is_file()),
            None => {
                let latest = versions::latest(&folder).map_err(|error| failed(error, at))?;
                latest.filter(|latest| !latest.is_deleted).map(|latest| latest.number)
            }
        };
        let number = number.ok_or_else(|| StorageError::NotFound { what: address(at, version) })?;
        Ok((folder, number))
    }

    fn info(&self, at: &Location, version: Option<&str>) -> Result<(PathBuf, ObjectInfo), StorageError> {
        let (folder, number) = self.find(at, version)?;
        let info = versions::info(&folder, number).map_err(|error| failed(error, &address(at, version)))?;
        Ok((versions::file(&folder, number), info))
    }

    /// A new file, which is removed again unless it becomes a version.
    fn start(&self, at: &Location) -> Result<Unfinished, StorageError> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(WRITING).join(number.to_string());
        let file = File::create(&path).map_err(|error| failed(error, at))?;
        Ok(Unfinished { path, file: BufWriter::new(file), bytes: 0 })
    }

    /// Makes a file the newest version of an object.
    fn commit(&self, at: &Location, written: Unfinished, options: PutOptions) -> Result<Put, StorageError> {
        let mut written = written;
        written.file.flush().map_err(|error| failed(error, at))?;
        let folder = self.folder(at);
        let _guard = lock(self.lock_of(at));
        let latest = versions::latest(&folder).map_err(|error| failed(error, at))?;
        if options.if_absent && latest.is_some_and(|latest| !latest.is_deleted) {
            return Ok(Put::Exists);
        }
        let number = Number::next(latest.map(|latest| latest.number));
        versions::add(&folder, number, &written.path, &options.metadata).map_err(|error| failed(error, at))?;
        Ok(Put::Written(versions::described(written.bytes, number, options.metadata)))
    }

    fn delete(&self, at: &Location, version: Option<&str>) -> io::Result<()> {
        let folder = self.folder(at);
        let _guard = lock(self.lock_of(at));
        match version.map(Number::parse) {
            Some(Some(number)) => versions::remove(&folder, number),
            // None of ours, so it is not there.
            Some(None) => Ok(()),
            None => match versions::latest(&folder)? {
                Some(latest) if !latest.is_deleted => versions::hide(&folder, Number::next(Some(latest.number))),
                _ => Ok(()),
            },
        }
    }

    #[expect(clippy::indexing_slicing, reason = "the index is a remainder by the length")]
    fn lock_of(&self, at: &Location) -> &Mutex<()> {
        &self.locks[(self.hasher.hash_one(at) % LOCKS as u64) as usize]
    }

    /// All keys under `prefix` that have versions or delete markers, with their folders, in order.
    fn keys(&self, bucket: &str, prefix: &str) -> io::Result<BTreeMap<String, PathBuf>> {
        let mut keys = BTreeMap::new();
        let mut folders = vec![(self.bucket(bucket), Trail::start())];
        while let Some((folder, trail)) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            let mut has_versions = false;
            for entry in entries {
                let name = entry?.file_name();
                let Some(name) = name.to_str() else { continue };
                if name.starts_with(paths::VERSION) {
                    has_versions = true;
                } else if let Some(inside) = trail.enter(name).filter(|inside| inside.may_lead_to(prefix)) {
                    folders.push((folder.join(name), inside));
                }
            }
            if let Some(key) = trail.key().filter(|key| has_versions && key.starts_with(prefix)) {
                keys.insert(key.to_owned(), folder);
            }
        }
        Ok(keys)
    }

    fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> io::Result<Vec<Listed>> {
        let mut page = Vec::new();
        for (key, folder) in self.keys(bucket, prefix)? {
            if page.len() == PAGE_OBJECTS {
                break;
            }
            if after.is_some_and(|after| key.as_str() <= after) {
                continue;
            }
            let Some(latest) = versions::latest(&folder)?.filter(|latest| !latest.is_deleted) else { continue };
            let bytes = fs::metadata(versions::file(&folder, latest.number))?.len();
            page.push(Listed { key, bytes, modified: latest.number.written() });
        }
        Ok(page)
    }

    fn list_versions(&self, bucket: &str, prefix: &str, after: Option<&VersionCursor>) -> io::Result<VersionPage> {
        let mut versions: Vec<ListedVersion> = Vec::new();
        for (key, folder) in self.keys(bucket, prefix)? {
            if after.is_some_and(|after| key < after.key) {
                continue;
            }
            let mut found = versions::all(&folder)?;
            found.sort_unstable_by(|left, right| right.cmp(left));
            for version in found.iter().filter(|version| !version.is_deleted) {
                let (number, text) = (version.number, version.number.text());
                if after
                    .is_some_and(|after| key == after.key && after.version.as_ref().is_none_or(|after| text >= *after))
                {
                    continue;
                }
                if let Some(last) = versions.last().filter(|_| versions.len() == PAGE_OBJECTS) {
                    let next = VersionCursor { key: last.key.clone(), version: last.version.clone() };
                    return Ok(VersionPage { versions, next: Some(next) });
                }
                let bytes = fs::metadata(versions::file(&folder, number))?.len();
                versions.push(ListedVersion {
                    key: key.clone(),
                    version: Some(text),
                    bytes,
                    modified: number.written(),
                });
            }
        }
        Ok(VersionPage { versions, next: None })
    }
}

#[async_trait]
impl Objects for DiskObjects {
    async fn head(&self, at: &Location, version: Option<&str>) -> Result<ObjectInfo, StorageError> {
        Ok(self.inner.info(at, version)?.1)
    }

    async fn read(
        &self,
        at: &Location,
        version: Option<&str>,
        range: Option<ByteRange>,
    ) -> Result<ByteStream, StorageError> {
        let what = address(at, version);
        let path = self.file(at, version)?;
        let (file, rest) = open(&path, range).map_err(|error| failed(error, &what))?;
        let pieces = stream::unfold((file, rest), move |(mut file, rest)| {
            let piece =
                (rest > 0).then(|| piece(&mut file, rest.min(PIECE_BYTES)).map_err(|error| failed(error, &what)));
            let step = piece.map(|piece| {
                let left = piece.as_ref().map_or(0, |piece| rest - piece.len() as u64);
                (piece, (file, left))
            });
            futures::future::ready(step)
        });
        Ok(pieces.boxed())
    }

    async fn put(&self, at: &Location, body: Bytes, options: PutOptions) -> Result<Put, StorageError> {
        check_write(at, &options)?;
        let mut writing = self.inner.start(at)?;
        writing.add(&body).map_err(|error| failed(error, at))?;
        self.inner.commit(at, writing, options)
    }

    async fn writer(&self, at: &Location, options: PutOptions) -> Result<Box<dyn ObjectWriter>, StorageError> {
        check_write(at, &options)?;
        let writing = self.inner.start(at)?;
        Ok(Box::new(Writer { inner: Arc::clone(&self.inner), at: at.clone(), options, writing }))
    }

    async fn concatenate(&self, pieces: &[Piece], to: &Location, options: PutOptions) -> Result<Put, StorageError> {
        check_write(to, &options)?;
        let mut writing = self.inner.start(to)?;
        for piece in pieces {
            match piece {
                Piece::Bytes(bytes) => writing.add(bytes).map_err(|error| failed(error, to))?,
                Piece::Object { location, bytes } => {
                    let copied = File::open(self.file(location, None)?).and_then(|mut file| writing.copy(&mut file));
                    if copied.map_err(|error| failed(error, location))? != *bytes {
                        return Err(StorageError::Changed { what: location.to_string() });
                    }
                }
            }
        }
        self.inner.commit(to, writing, options)
    }

    async fn copy(&self, from: &Location, version: Option<&str>, to: &Location) -> Result<ObjectInfo, StorageError> {
        let (path, info) = self.inner.info(from, version)?;
        let options = PutOptions { metadata: info.metadata.clone(), ..PutOptions::default() };
        check_write(to, &options)?;
        let mut writing = self.inner.start(to)?;
        File::open(path)
            .and_then(|mut file| writing.copy(&mut file))
            .map_err(|error| failed(error, &address(from, version)))?;
        Ok(self.inner.commit(to, writing, options)?.written().unwrap_or(info))
    }

    async fn delete(&self, at: &Location, version: Option<&str>) -> Result<(), StorageError> {
        self.inner.delete(at, version).map_err(|error| failed(error, &address(at, version)))
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, StorageError> {
        self.inner.list(bucket, prefix, after).map_err(|error| failed(error, &Location::new(bucket, prefix)))
    }

    async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&VersionCursor>,
    ) -> Result<VersionPage, StorageError> {
        self.inner.list_versions(bucket, prefix, after).map_err(|error| failed(error, &Location::new(bucket, prefix)))
    }
}

/// The file, at the start of the range, and how many bytes are to be read from there.
fn open(path: &Path, range: Option<ByteRange>) -> io::Result<(File, u64)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let range = range.unwrap_or(ByteRange::new(0, length));
    if range.start > 0 {
        file.seek(SeekFrom::Start(range.start.min(length)))?;
    }
    Ok((file, range.end.min(length).saturating_sub(range.start)))
}

/// The next bytes of a file.
fn piece(file: &mut File, bytes: u64) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    file.take(bytes).read_to_end(&mut piece)?;
    if piece.len() as u64 == bytes { Ok(piece.into()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// A file that is visible to nobody.
struct Unfinished {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

impl Unfinished {
    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Adds a whole file, inside the kernel where that is possible; returns its length.
    fn copy(&mut self, from: &mut File) -> io::Result<u64> {
        let copied = io::copy(from, &mut self.file)?;
        self.bytes += copied;
        Ok(copied)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // What became a version is not there any more; what cannot be removed now is removed when the folder is opened.
        let _ = fs::remove_file(&self.path);
    }
}

struct Writer {
    inner: Arc<Inner>,
    at: Location,
    options: PutOptions,
    writing: Unfinished,
}

#[async_trait]
impl ObjectWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.writing.add(&bytes).map_err(|error| failed(error, &self.at))
    }

    async fn finish(self: Box<Self>) -> Result<Put, StorageError> {
        let Self { inner, at, options, writing } = *self;
        inner.commit(&at, writing, options)
    }

    async fn abort(self: Box<Self>) -> Result<(), StorageError> {
        Ok(())
    }
}

fn failed(error: io::Error, what: &impl fmt::Display) -> StorageError {
    let what = what.to_string();
    match error.kind() {
        io::ErrorKind::NotFound => StorageError::NotFound { what },
        io::ErrorKind::PermissionDenied => StorageError::Denied { action: "read or write".to_owned(), what },
        io::ErrorKind::InvalidFilename => StorageError::Invalid { what, reason: error.to_string() },
        _ => StorageError::Unavailable { what, source: error.into() },
    }
}
