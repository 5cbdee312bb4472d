//! `tieout batch submit`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use jiff::{Timestamp, tz::TimeZone};
use ledger::{
    Definition, DuplicateScope, Interval, JobNumber, Ledger, LedgerError,
    manifest::{BatchManifest, BatchObject, LedgerId, ManifestKey},
    register::RegisterError,
};
use money::ControlTotals;
use report::text;
use serde::Serialize;
use storage::{Location, Objects, objects::PutOptions};

use crate::{
    batch::{
        args::BatchSubmit,
        count::{Counted, count},
        follow::{Upload, follow},
        rejects::{self, Rejected},
        view::BatchEnded,
    },
    error::{Failure, shown},
    installation::Installation,
    ledgers,
    output::{Output, byte_bar, note},
    submit::{file_name, open, upload},
};

pub(crate) async fn perform(command: BatchSubmit, at: &Installation, output: Output) -> Result<(), Failure> {
    let patience = command.wait.then(|| Duration::from_secs(command.timeout));
    let batch = prepare(command, at).await?;
    let uploaded = send(&batch, at).await?;
    match patience {
        Some(patience) => wait(&uploaded, patience, at, output).await,
        None => tell_sent(&batch, at, output),
    }
}

/// A batch that can be sent.
struct Prepared {
    key: ManifestKey,
    manifest: BatchManifest,
    /// The files of its objects, by the objects' names.
    files: Vec<(String, PathBuf)>,
}

/// Reads the files as the ledger will, and makes the manifest. What the ledger would not take is told before anything is
/// uploaded.
async fn prepare(command: BatchSubmit, at: &Installation) -> Result<Prepared, Failure> {
    let id = LedgerId { tenant: at.tenant.clone(), ledger: command.ledger.clone() };
    let definitions = at.definitions();
    let version = definitions.version(&id).await?.ok_or_else(|| ledgers::unknown(&id.ledger))?;
    let ledger = definitions.ledger(&id, version).await?;
    let files = named(&command.files)?;
    let batch = command.batch.clone();
    let manifest = manifest(command, &ledger, &files)?;
    let batch = batch.map_or_else(|| default_name(&manifest), Ok)?;
    let key = ManifestKey::new(id, batch);
    manifest.check(&key).map_err(Failure::misuse)?;
    let counts_twice = ledger.definition().duplicates.scope == DuplicateScope::Batch;
    if manifest.again.is_some() && !counts_twice {
        return Err(Failure::misuse(RegisterError::CountsOnce { batch: key.batch }));
    }
    if counts_twice && manifest.again.is_none() {
        at.book().check_contents(&key, &manifest).await.map_err(same_content)?;
    }
    Ok(Prepared { key, manifest, files })
}

fn manifest(command: BatchSubmit, ledger: &Ledger, files: &[(String, PathBuf)]) -> Result<BatchManifest, Failure> {
    let source = source(ledger.definition(), command.source.as_deref())?;
    let interval = Interval::new(command.from, command.to).map_err(Failure::misuse)?;
    let counted: Vec<_> = files.iter().map(|(_, path)| count(ledger, interval, path)).collect::<Result<_, _>>()?;
    tell_rejects(&counted, command.accept_rejects)?;
    let totals = totals(&counted, command.totals.as_deref())?;
    without_amounts(ledger.definition(), &counted)?.iter().for_each(|told| note(told));
    let object = |((name, _), counted): (&(String, PathBuf), &Counted)| BatchObject {
        key: name.clone(),
        records: counted.totals.records(),
        sha256: Some(counted.sha256.clone()),
    };
    Ok(BatchManifest {
        source,
        interval,
        objects: files.iter().zip(&counted).map(object).collect(),
        totals,
        correction: command.correction,
        replaces: command.replaces,
        again: command.again,
    })
}

/// Follows the batch until it is in the ledger, which it may not get into, and tells how it ended.
async fn wait(uploaded: &Upload, patience: Duration, at: &Installation, output: Output) -> Result<(), Failure> {
    let ledger = &uploaded.ledger;
    let batch = follow(&at.book(), &at.steps(), uploaded, patience).await?;
    let job = match batch.job {
        Some(job) => at.book().job(ledger, JobNumber::new(job)).await?,
        None => None,
    };
    let rejected = match &job {
        Some(job) => rejects::of_job(&at.objects(), &at.names, ledger, job).await?,
        None => Some(Rejected::default()),
    };
    let ended = BatchEnded { batch, rejected };
    output.tell(&ended, BatchEnded::text)?;
    if ended.batch.status == "indexed" { Ok(()) } else { Err(Failure::Run) }
}

fn tell_sent(batch: &Prepared, at: &Installation, output: Output) -> Result<(), Failure> {
    let Prepared { key, manifest, .. } = batch;
    let sent = Sent {
        batch: &key.batch,
        ledger: &key.ledger.ledger,
        manifest: Location::new(&at.names.input_bucket, key.key()).to_string(),
        totals: &manifest.totals,
    };
    let show = text::command(&at.tenant, &format!("batch show {} {}", key.ledger.ledger, key.batch));
    output.tell(&sent, |sent| {
        format!("batch {} of {} is uploaded: {show}\n", sent.batch, text::records(sent.totals.records()))
    })
}

#[derive(Serialize)]
struct Sent<'a> {
    batch: &'a str,
    ledger: &'a str,
    manifest: String,
    totals: &'a ControlTotals,
}

/// What keeps a file from being sent, before it is uploaded.
fn same_content(error: RegisterError) -> Failure {
    match error {
        RegisterError::SameContent { object, earlier, earlier_object, .. } => Failure::misuse(format!(
            "{object} has the content of {earlier_object} of batch {earlier}, whose events would count twice; nothing was \
             uploaded. Send what is new alone, or say why they are to count once more with --again <why>"
        )),
        other => LedgerError::from(other).into(),
    }
}

/// The source that is meant, which the ledger must have.
fn source(definition: &Definition, named: Option<&str>) -> Result<String, Failure> {
    let mut sources = definition.sources.keys();
    let all = || definition.sources.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    match (named, sources.next(), sources.next()) {
        (Some(named), _, _) if definition.sources.contains_key(named) => Ok(named.to_owned()),
        (Some(named), _, _) => {
            Err(Failure::misuse(format!("ledger {} has no source {named:?}: it has {}", definition.name, all())))
        }
        (None, Some(only), None) => Ok(only.clone()),
        (None, _, _) => Err(Failure::misuse(format!("say whose events these are with --source, one of {}", all()))),
    }
}

/// The files with the names that their objects get.
fn named(files: &[PathBuf]) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut seen = BTreeSet::new();
    let mut named = Vec::new();
    for path in files {
        let name = file_name(path)?;
        if name == "manifest.json" {
            return Err(Failure::misuse(format!("{}: that is the manifest's own name: rename the file", shown(path))));
        }
        if !seen.insert(name) {
            return Err(Failure::misuse(format!("{}: another file has that name too: rename one", shown(path))));
        }
        named.push((name.to_owned(), path.clone()));
    }
    Ok(named)
}

/// Tells what will be rejected. That nothing would be left is a mistake, most likely in the interval, which would be
/// closed for good: it has to be meant.
fn tell_rejects(counted: &[Counted], all_meant: bool) -> Result<(), Failure> {
    let mut by_rule: BTreeMap<&str, u64> = BTreeMap::new();
    for (rule, records) in counted.iter().flat_map(|counted| &counted.rejected_by_rule) {
        *by_rule.entry(rule).or_default() += records;
    }
    if by_rule.is_empty() {
        return Ok(());
    }
    let rules: Vec<_> = by_rule.iter().map(|(rule, records)| format!("{rule} {}", text::count(*records))).collect();
    let rejected = by_rule.values().sum();
    let told = format!("{} will be rejected, by rule: {}", text::records(rejected), rules.join(", "));
    let records: u64 = counted.iter().map(|counted| counted.totals.records()).sum();
    if rejected == records && !all_meant {
        let hint = "that is all there is: look at --from, --to and the files, or say --accept-rejects";
        return Err(Failure::misuse(format!("{told}; {hint}")));
    }
    note(&told);
    Ok(())
}

/// What there is to be told of amount columns in which no record has anything: in JSON lines their names may be misspelt.
fn without_amounts(definition: &Definition, counted: &[Counted]) -> Result<Vec<String>, Failure> {
    let found = totals(counted, None)?;
    let empty = |column: &&str| found.records() > 0 && found.entries().all(|entry| entry.column != **column);
    let columns = definition.amounts.iter().map(|amount| amount.column.as_str()).filter(empty);
    let told = |column| {
        let records = text::records(found.records());
        format!("none of {records} has anything in {column:?}: look whether the files call it otherwise")
    };
    Ok(columns.map(told).collect())
}

/// What all files together add up to; by the sender's own figures, where there are some and they agree.
fn totals(counted: &[Counted], sender: Option<&Path>) -> Result<ControlTotals, Failure> {
    let mut totals = ControlTotals::default();
    for counted in counted {
        totals.merge(&counted.totals).map_err(Failure::misuse)?;
    }
    let Some(path) = sender else { return Ok(totals) };
    let json = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    let said: ControlTotals =
        serde_json::from_str(&json).map_err(|error| Failure::misuse(format!("{}: {error}", shown(path))))?;
    match said.differences(&totals).as_slice() {
        [] => Ok(said),
        differences => {
            let each: Vec<_> = differences.iter().map(|difference| format!("\n  {difference}")).collect();
            let path = shown(path);
            Err(Failure::misuse(format!(
                "the files do not tie out with {path} (left: it, right: they):{}",
                each.concat()
            )))
        }
    }
}

/// `<source>-<from>` for a day, `<source>-<from>_<to>` for any other interval. What may come again for one interval, a
/// correction or a replacement, is told apart by what it says.
fn default_name(manifest: &BatchManifest) -> Result<String, Failure> {
    let (from, to) = (manifest.interval.from(), manifest.interval.to());
    let midnight = |time: Timestamp| time.as_second().rem_euclid(86_400) == 0 && time.subsec_nanosecond() == 0;
    let short = |time: Timestamp| {
        let zoned = time.to_zoned(TimeZone::UTC);
        let pattern = match (midnight(time), time.subsec_nanosecond(), zoned.second()) {
            (true, ..) => "%Y-%m-%d",
            (_, 0, 0) => "%Y-%m-%dt%H%M",
            (_, 0, _) => "%Y-%m-%dt%H%M%S",
            _ => "%Y-%m-%dt%H%M%S.%f",
        };
        zoned.strftime(pattern).to_string()
    };
    let day = midnight(from) && to.as_second() - from.as_second() == 86_400 && midnight(to);
    let interval = if day { short(from) } else { format!("{}_{}", short(from), short(to)) };
    let digest = manifest.digest();
    let digits = digest.get(..8).unwrap_or(&digest);
    let kind = match (&manifest.correction, &manifest.replaces) {
        (_, Some(_)) => format!("-again-{digits}"),
        (Some(_), None) => format!("-late-{digits}"),
        (None, None) => String::new(),
    };
    let name = format!("{}-{interval}{kind}", manifest.source);
    let named = storage::names::is_name(&name).then_some(name);
    named.ok_or_else(|| Failure::misuse("source and interval make too long a name: give the batch one with --batch"))
}

/// Uploads the files, and then the manifest.
async fn send(batch: &Prepared, at: &Installation) -> Result<Upload, Failure> {
    let Prepared { key, manifest, files } = batch;
    let ManifestKey { ledger, batch, .. } = key;
    let (book, objects, digest) = (at.book(), at.objects(), manifest.digest());
    if book.batch(ledger, batch).await?.is_some_and(|known| known.digest != digest) {
        return Err(Failure::misuse(format!(
            "batch {batch} was registered with other content, and stays as it is; nothing was uploaded. Late or corrected \
             events come as a --correction, a batch in place of a refused or skipped one with --replaces {batch}, and \
             any other under a name of its own with --batch"
        )));
    }
    let fault_before = book.fault(ledger, batch).await?.map(|fault| fault.at);
    for (name, path) in files {
        let (mut file, bytes) = open(path)?;
        let to = Location::new(&at.names.input_bucket, format!("{}{name}", key.folder()));
        let bar = byte_bar(name, bytes);
        let sent = upload(&mut file, path, &objects, (&to, "application/octet-stream"), &bar).await;
        bar.finish_and_clear();
        sent?;
    }
    let to = Location::new(&at.names.input_bucket, key.key());
    let json = serde_json::to_vec_pretty(manifest).map_err(|error| Failure::Service(error.to_string()))?;
    let options = PutOptions { content_type: Some("application/json".to_owned()), ..PutOptions::default() };
    objects.put(&to, Bytes::from(json), options).await?;
    Ok(Upload { ledger: ledger.clone(), batch: batch.clone(), digest, fault_before })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(from: &str, to: &str, more: serde_json::Value) -> BatchManifest {
        let mut manifest =
            json!({ "source": "shop", "interval": { "from": from, "to": to }, "totals": { "records": 0 } });
        manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(manifest).unwrap()
    }

    #[test]
    fn batches_are_named_after_source_and_interval() {
        let name = |from: &str, to: &str| default_name(&manifest(from, to, json!({}))).unwrap();
        assert_eq!(name("2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"), "shop-2026-01-31");
        assert_eq!(name("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"), "shop-2026-01-01_2026-02-01");
        assert_eq!(name("2026-01-01T06:00:00Z", "2026-01-01T06:30:01Z"), "shop-2026-01-01t0600_2026-01-01t063001");
        assert_eq!(name("2026-01-01T23:59:59.5Z", "2026-01-02T00:00:00Z"), "shop-2026-01-01t235959.5_2026-01-02");
        let late = |why: &str| {
            let manifest = manifest("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", json!({ "correction": why }));
            default_name(&manifest).unwrap()
        };
        assert!(late("fees").starts_with("shop-2026-01-01-late-") && late("fees") != late("taxes"));
        assert_eq!(late("fees"), late("fees"));
        let long = manifest("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", json!({ "source": "s".repeat(60) }));
        assert!(matches!(default_name(&long), Err(Failure::Misuse(_))));
    }

    #[test]
    fn columns_without_any_amount_are_told() {
        let definition = json!({
            "name": "orders", "sources": { "shop": "2024-05-01T00:00:00Z" },
            "events": { "format": "jsonLines", "fields": [
                { "name": "id" }, { "name": "at", "type": "datetime" },
                { "name": "amount", "type": "number" }, { "name": "fee", "type": "number" },
            ] },
            "artifactKey": ["id"], "eventId": "id", "eventTime": "at",
            "amounts": [{ "column": "amount" }, { "column": "fee" }],
            "measures": { "seen": { "measure": "count" } },
        });
        let definition: Definition = serde_json::from_value(definition).unwrap();
        let counted = |records: u64, columns: &[&str]| {
            let mut counted = Counted::default();
            counted.totals.add_records(records).unwrap();
            columns.iter().for_each(|column| counted.totals.add(column, None, "1.50".parse().unwrap()).unwrap());
            counted
        };
        let told = |counted: &[Counted]| without_amounts(&definition, counted).unwrap();
        assert_eq!(
            told(&[counted(2, &["fee"]), counted(1, &[])]),
            [r#"none of 3 records has anything in "amount": look whether the files call it otherwise"#]
        );
        assert!(told(&[counted(2, &["fee"]), counted(1, &["amount"])]).is_empty());
        assert!(told(&[]).is_empty(), "a quiet interval has none");
    }

    #[test]
    fn a_batch_of_nothing_but_rejects_has_to_be_meant() {
        let counted = |records: u64, rejected: &[(&str, u64)]| Counted {
            totals: serde_json::from_value(json!({ "records": records })).unwrap(),
            rejected_by_rule: rejected.iter().map(|(rule, records)| ((*rule).to_owned(), *records)).collect(),
            sha256: String::new(),
        };
        let lost = [counted(2, &[("interval", 1), ("required", 1)]), counted(1, &[("interval", 1)])];
        let Err(Failure::Misuse(told)) = tell_rejects(&lost, false) else { panic!("it was taken") };
        assert!(
            told.to_string().contains("3 records will be rejected, by rule: interval 2, required 1; that is all"),
            "{told}"
        );
        tell_rejects(&lost, true).unwrap();
        tell_rejects(&[counted(3, &[("interval", 2)])], false).unwrap();
        tell_rejects(&[counted(0, &[])], false).unwrap();
    }

    #[test]
    fn files_have_names_of_their_own() {
        let of = |paths: &[&str]| named(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(of(&["a/x.csv", "b/y.csv"]).unwrap().len(), 2);
        for wrong in [&["a/x.csv", "b/x.csv"][..], &["manifest.json"], &["a\nb.csv"], &["/"]] {
            assert!(matches!(of(wrong), Err(Failure::Misuse(_))), "{wrong:?}");
        }
    }

    #[test]
    fn the_sender_s_own_totals_must_be_those_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("totals.json");
        let said = |json: &str| {
            fs::write(&path, json).unwrap();
            let mut counted = Counted::default();
            counted.totals.add_record().unwrap();
            totals(&[counted], Some(&path))
        };
        assert_eq!(said(r#"{"records": 1}"#).unwrap().records(), 1);
        let Err(Failure::Misuse(message)) = said(r#"{"records": 2}"#) else { panic!("they differ") };
        assert!(message.contains("do not tie out") && message.contains('2'), "{message}");
        assert!(matches!(said("{"), Err(Failure::Misuse(_))));
    }

    #[test]
    fn a_source_is_one_of_the_ledger_s() {
        let definition = |sources: serde_json::Value| {
            let definition = json!({
                "name": "orders", "sources": sources, "events": { "format": "csv", "fields": [] },
                "artifactKey": ["id"], "eventId": "id", "eventTime": "time",
            });
            Definition::from_json(&definition.to_string()).unwrap()
        };
        let time = "2026-01-01T00:00:00Z";
        let (one, two) = (definition(json!({ "shop": time })), definition(json!({ "shop": time, "bank": time })));
        assert_eq!(source(&one, None).unwrap(), "shop");
        assert_eq!(source(&two, Some("bank")).unwrap(), "bank");
        for (definition, named) in [(&two, None), (&two, Some("post")), (&one, Some("bank"))] {
            let Err(Failure::Misuse(message)) = source(definition, named) else { panic!("{named:?} is taken") };
            assert!(message.contains("shop"), "{message}");
        }
    }
}
