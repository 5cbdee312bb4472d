//! `tieout job submit`: the local files that a job names, and the job.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use jobs::{
    layout::{JOB_CHARS_MAX, input_key, is_job},
    submission,
};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use storage::{Location, Objects, StorageError};

use crate::{
    error::{Failure, shown},
    output::byte_bar,
    submit::{file_name, open, upload},
};

/// A job's document, with the keys of its local files in place of their paths; and those files.
pub(crate) struct Document {
    pub(crate) text: Box<RawValue>,
    pub(crate) files: Vec<LocalFile>,
}

/// A file that a job reads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LocalFile {
    pub(crate) path: PathBuf,
    key: String,
    sha256: Vec<u8>,
}

/// A file as it is read: at its end it must have been the file whose SHA-256 is known.
struct Known<'f> {
    file: &'f mut File,
    hash: Sha256,
    sha256: &'f [u8],
}

impl Read for Known<'_> {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(block)?;
        self.hash.update(block.get(..read).unwrap_or_default());
        if read == 0 && !block.is_empty() && self.hash.clone().finalize().as_slice() != self.sha256 {
            return Err(io::Error::other(
                "it was written to while it was uploaded: nothing has come of it, submit it again",
            ));
        }
        Ok(read)
    }
}

/// What a file has, without the mark that editors put before it.
pub(crate) fn text_of(path: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

type Keys = BTreeMap<String, Box<RawValue>>;

impl Document {
    /// Reads a document. What is no job is passed on as it is: whoever checks it says what is wrong.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = text_of(path)?;
        let wrong = |error: serde_json::Error| Failure::misuse(format!("{}: {error}", shown(path)));
        reconcile::unique_keys(&text).map_err(|error| Failure::misuse(format!("{}: {error}", shown(path))))?;
        let whole: Box<RawValue> = serde_json::from_str(&text).map_err(wrong)?;
        let mut files = Vec::new();
        let folder = path.parent().unwrap_or(Path::new(""));
        let Ok(mut document) = serde_json::from_str::<Keys>(&text) else { return Ok(Self { text: whole, files }) };
        let inputs =
            document.get("inputs").and_then(|inputs| serde_json::from_str::<BTreeMap<String, Keys>>(inputs.get()).ok());
        let Some(mut inputs) = inputs else { return Ok(Self { text: whole, files }) };
        for input in inputs.values_mut() {
            let objects =
                input.get("objects").and_then(|objects| serde_json::from_str::<Vec<String>>(objects.get()).ok());
            let Some(objects) = objects else { continue };
            let mut keys = Vec::with_capacity(objects.len());
            let of_others = files.len();
            for object in objects {
                if !["./", "../", "/"].iter().any(|begin| object.starts_with(begin)) {
                    keys.push(object);
                    continue;
                }
                let mut file = LocalFile::of(folder.join(&object))?;
                if keys.contains(&file.key) {
                    // Another file of the same name and content is another object all the same.
                    let same = files.iter().skip(of_others).find(|other: &&LocalFile| other.is(&file.path));
                    file.key = match same {
                        Some(same) => same.key.clone(),
                        None => file.key.replacen("files/", &format!("files/{}/", keys.len()), 1),
                    };
                }
                keys.push(file.key.clone());
                files.push(file);
            }
            input.insert("objects".to_owned(), to_raw_value(&keys).map_err(wrong)?);
        }
        if files.is_empty() {
            return Ok(Self { text: whole, files });
        }
        document.insert("inputs".to_owned(), to_raw_value(&inputs).map_err(wrong)?);
        Ok(Self { text: to_raw_value(&document).map_err(wrong)?, files })
    }

    /// An id for the job, of the file's name and of what the job says.
    pub(crate) fn id(&self, path: &Path) -> String {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
        let plain =
            |char: char| if char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.') { char } else { '-' };
        let digest = submission::digest(self.text.get());
        let digits = digest.get(..8).unwrap_or_default();
        let stem: String = stem.chars().map(plain).take(JOB_CHARS_MAX - digits.len() - 1).collect();
        let id = format!("{}-{digits}", stem.trim_start_matches(['-', '_', '.']));
        if is_job(&id) { id } else { format!("job-{digits}") }
    }
}

impl LocalFile {
    /// The file, under a key that goes by its content: uploading it twice uploads it once.
    fn of(path: PathBuf) -> Result<Self, Failure> {
        let (mut file, _) = open(&path)?;
        let name = file_name(&path)?;
        let mut hash = Sha256::new();
        let mut block = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut block).map_err(|error| Failure::file(&path, &error))?;
            if read == 0 {
                break;
            }
            hash.update(block.get(..read).unwrap_or_default());
        }
        let sha256 = hash.finalize().to_vec();
        let digits: String = sha256.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let key = format!("files/{digits}/{name}");
        Ok(Self { path, key, sha256 })
    }

    /// Whether the path leads to this file.
    fn is(&self, path: &Path) -> bool {
        fs::canonicalize(&self.path).ok() == fs::canonicalize(path).ok()
    }

    /// Where it is uploaded to.
    pub(crate) fn to(&self, bucket: &str, tenant: &str) -> Location {
        Location::new(bucket, input_key(tenant, &self.key))
    }

    /// Uploads it, unless it is there already.
    pub(crate) async fn upload(&self, objects: &dyn Objects, bucket: &str, tenant: &str) -> Result<(), Failure> {
        let to = self.to(bucket, tenant);
        let (mut file, bytes): (File, u64) = open(&self.path)?;
        match objects.head(&to, None).await {
            Ok(there) if there.bytes == bytes => return Ok(()),
            Ok(_) | Err(StorageError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let bar = byte_bar(&shown(&self.path), bytes);
        let mut file = Known { file: &mut file, hash: Sha256::new(), sha256: &self.sha256 };
        let uploaded = upload(&mut file, &self.path, objects, (&to, "application/octet-stream"), &bar).await;
        bar.finish_and_clear();
        uploaded.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};
    use storage::memory::MemoryObjects;

    use super::*;

    fn document(objects: &Value) -> Value {
        json!({"version": 1, "inputs": {"a": {"format": "csv", "objects": objects}}, "steps": [{"scale": 0.1}], "outputs": []})
    }

    #[tokio::test]
    async fn local_files_become_keys_by_their_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Close 2016.json");
        fs::write(folder.path().join("orders.csv"), "id\n1\n").unwrap();
        fs::write(&path, document(&json!(["./orders.csv", "files/there.csv"])).to_string()).unwrap();
        let read = Document::read(&path).unwrap();
        let said: Value = serde_json::from_str(read.text.get()).unwrap();
        let objects = said["inputs"]["a"]["objects"].as_array().unwrap();
        let key = objects[0].as_str().unwrap();
        assert!(key.starts_with("files/") && key.ends_with("/orders.csv"), "{key}");
        assert_eq!((objects[1].as_str(), &said["steps"][0]["scale"]), (Some("files/there.csv"), &json!(0.1)));
        assert!(read.id(&path).starts_with("close-2016-") && is_job(&read.id(&path)));

        let objects = MemoryObjects::default();
        for _ in 0..2 {
            read.files[0].upload(&objects, "data", "acme").await.unwrap();
        }
        let page = objects.list_versions("data", "acme/files/", None).await.unwrap();
        assert_eq!(page.versions.len(), 1, "it is uploaded once");
    }

    #[test]
    fn two_files_of_one_name_and_content_are_two() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.json");
        for day in ["mon", "tue", "wed"] {
            fs::create_dir(folder.path().join(day)).unwrap();
            fs::write(folder.path().join(day).join("orders.csv"), "id\n").unwrap();
        }
        let distinct = |days: &[&str]| {
            let files: Vec<String> = days.iter().map(|day| format!("./{day}/orders.csv")).collect();
            let mut document = document(&json!(files));
            document["inputs"]["b"] = json!({"format": "csv", "objects": ["./tue/orders.csv", "./mon/orders.csv"]});
            fs::write(&path, document.to_string()).unwrap();
            let said: Value = serde_json::from_str(Document::read(&path).unwrap().text.get()).unwrap();
            ["a", "b"].map(|input| {
                let keys = said["inputs"][input]["objects"].as_array().unwrap();
                keys.iter().map(Value::to_string).collect::<BTreeSet<_>>().len()
            })
        };
        assert_eq!(distinct(&["mon", "tue", "wed"]), [3, 2]);
        assert_eq!(distinct(&["mon", "tue", "wed/../mon", "tue"]), [2, 2], "one file is one");
    }

    /// Under a key that tells its content nothing else may lie: whoever sends the same file later would be told that it is there.
    #[tokio::test]
    async fn a_file_that_is_written_to_meanwhile_is_not_uploaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.csv");
        fs::write(&path, "net\n10.00\n").unwrap();
        let file = LocalFile::of(path.clone()).unwrap();
        fs::write(&path, "net\n10.01\n").unwrap();
        let objects = MemoryObjects::default();
        let failure = format!("{:?}", file.upload(&objects, "data", "acme").await.unwrap_err());
        assert!(failure.contains("it was written to while it was uploaded"), "{failure}");
        assert!(objects.list("data", "acme/files/", None).await.unwrap().is_empty());
    }

    #[test]
    fn what_names_no_local_file_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ä.json");
        let text = document(&json!(["a.csv"])).to_string();
        fs::write(&path, &text).unwrap();
        let read = Document::read(&path).unwrap();
        assert_eq!((read.text.get(), read.files.len()), (text.as_str(), 0));
        assert!(is_job(&read.id(&path)), "{}", read.id(&path));
        fs::write(&path, document(&json!(["./none.csv"])).to_string()).unwrap();
        assert!(matches!(Document::read(&path), Err(Failure::Misuse(_))));
        fs::write(&path, format!("\u{feff}{text}")).unwrap();
        assert_eq!(Document::read(&path).unwrap().text.get(), text, "a byte order mark is no text");
        fs::write(&path, r#"{"inputs": {"bank": {}, "bank": {}}}"#).unwrap();
        assert!(matches!(Document::read(&path), Err(Failure::Misuse(told)) if told.contains("inputs.bank")));
        fs::write(&path, "no JSON").unwrap();
        assert!(matches!(Document::read(&path), Err(Failure::Misuse(_))));
    }
}
