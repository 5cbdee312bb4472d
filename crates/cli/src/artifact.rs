//! `tieout artifact`.

use clap::Subcommand;
use ledger::{
    artifacts::{Found, Walk},
    policy::Terms,
};
use report::text;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::{
    args::name,
    error::Failure,
    installation::Installation,
    output::{Output, columns, json, note, print},
};

#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactCommand {
    /// Print what a ledger knows of one order, shipment or invoice
    Get {
        /// The ledger's name
        #[arg(value_parser = name)]
        ledger: String,
        /// The artifact's key. One of several columns is their values joined by `|`: 'DE|A-1'. It may begin with a hyphen;
        /// one that is spelt like an option stands last, behind `--`
        #[arg(allow_hyphen_values = true)]
        key: String,
        /// List its versions instead, the newest first: this many at most
        #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "100", conflicts_with = "lines")]
        history: Option<u32>,
        /// Print the event lines that it keeps instead, a JSON object each: by event time, then event id, the oldest first
        #[arg(long)]
        lines: bool,
    },
}

/// Event lines are printed as they are read, so many bytes at once.
const PRINTED_BYTES: usize = 64 << 10;

pub(crate) async fn perform(command: ArtifactCommand, at: &Installation, output: Output) -> Result<(), Failure> {
    let ArtifactCommand::Get { ledger, key, history, lines } = command;
    let Terms { ledger, .. } = at.terms(&ledger).await?;
    let artifacts = at.artifacts();
    if let Some(limit) = history {
        let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
        let Walk { items: versions, more } = artifacts.history(&ledger, &key, limit).await?;
        if more {
            note(&format!("these are the latest {} versions: there are earlier ones", versions.len()));
        }
        if versions.is_empty() {
            return Err(unknown(at, &ledger.ledger, &key).await?);
        }
        let versions = versions.iter().map(Version::of).collect::<Result<Vec<_>, _>>()?;
        return output.tell(&versions, |versions| table(versions));
    }
    let Some(found) = artifacts.get(&ledger, &key).await? else { return Err(unknown(at, &ledger.ledger, &key).await?) };
    if lines {
        let (mut lines, mut some) = (artifacts.event_lines(&found).await?, String::new());
        while let Some(line) = lines.next().await? {
            some.push_str(&line);
            some.push('\n');
            if some.len() >= PRINTED_BYTES {
                print(&some)?;
                some.clear();
            }
        }
        return print(&some);
    }
    if output.json {
        return json(&raw(&found)?);
    }
    let pretty = serde_json::to_string_pretty(&value(&found)?).map_err(unreadable)?;
    print(&(pretty + "\n"))
}

/// There is no such artifact, as far as the ledger has come.
async fn unknown(at: &Installation, ledger: &str, key: &str) -> Result<Failure, Failure> {
    let terms = at.terms(ledger).await?;
    let indexed = at.book().head(&terms.ledger).await?.indexed;
    let key = text::visible(key, 200);
    Ok(Failure::misuse(format!(
        "ledger {ledger} has no artifact {key:?}, as of batch {indexed}, the last that is indexed: `{}` shows what is on its way",
        text::command(&at.tenant, &format!("ledger show {ledger}"))
    )))
}

fn unreadable(error: serde_json::Error) -> Failure {
    Failure::Service(format!("the artifact cannot be read: {error}"))
}

/// Its line, as it stands.
fn raw(found: &Found) -> Result<&RawValue, Failure> {
    serde_json::from_slice(&found.line).map_err(unreadable)
}

fn value(found: &Found) -> Result<Value, Failure> {
    serde_json::from_slice(&found.line).map_err(unreadable)
}

/// A version of an artifact, and where it stands.
#[derive(Serialize)]
struct Version<'a> {
    sequence: u64,
    file: &'a str,
    offset: u64,
    length: u64,
    artifact: Value,
}

impl<'a> Version<'a> {
    fn of(found: &'a Found) -> Result<Self, Failure> {
        let entry = &found.entry;
        Ok(Self {
            sequence: entry.sequence.get(),
            file: &entry.file,
            offset: entry.offset,
            length: entry.length,
            artifact: value(found)?,
        })
    }
}

fn table(versions: &[Version<'_>]) -> String {
    let header = ["sequence", "status", "events", "offset", "file"].map(str::to_owned).to_vec();
    let rows = versions.iter().map(|version| {
        let said = |name: &str| version.artifact.get(name).filter(|value| !value.is_null());
        vec![
            version.sequence.to_string(),
            said("status").and_then(Value::as_str).unwrap_or_default().to_owned(),
            said("events").and_then(Value::as_u64).map(text::count).unwrap_or_default(),
            version.offset.to_string(),
            text::visible(version.file, 500),
        ]
    });
    columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[0, 2, 3])
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use clap::Parser;
    use ledger::{BatchSequence, IndexEntry};

    use super::*;
    use crate::args::{Args, Command};

    fn found(line: &'static str) -> Found {
        let entry = IndexEntry { file: "f.jsonl".into(), offset: 7, length: 9, sequence: BatchSequence::new(3) };
        Found { entry, line: Bytes::from_static(line.as_bytes()) }
    }

    #[test]
    fn keys_may_begin_with_a_hyphen() {
        let of = |words: &[&str]| Args::try_parse_from(["tieout", "artifact", "get", "orders"].iter().chain(words));
        for (words, expected) in [(&["-A-1", "--lines"][..], "-A-1"), (&["--lines", "--", "--lines"], "--lines")] {
            let Ok(Args { command: Command::Artifact(ArtifactCommand::Get { key, lines, .. }), .. }) = of(words) else {
                panic!("{words:?}")
            };
            assert_eq!((key.as_str(), lines), (expected, true));
        }
    }

    #[test]
    fn versions_have_a_line_each() {
        let versions = [found(r#"{"key":"A","status":"break","events":1200}"#), found(r#"{"key":"A","status":null}"#)];
        let versions: Vec<_> = versions.iter().map(|version| Version::of(version).unwrap()).collect();
        let text = table(&versions);
        let lines: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["3", "break", "1,200", "7", "f.jsonl"]);
        assert_eq!(lines[2], ["3", "7", "f.jsonl"]);
    }

    #[test]
    fn a_line_is_given_as_it_stands() {
        let line = r#"{"key":"A","measures":{"paid":[{"currency":"EUR","amount":"1.50"}]},"z":1}"#;
        assert_eq!(raw(&found(line)).unwrap().get(), line);
        assert!(matches!(raw(&found("{")), Err(Failure::Service(_))));
    }
}
