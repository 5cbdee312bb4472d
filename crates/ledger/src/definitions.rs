//! The definitions of ledgers, in the table `ledgers`. A job is pinned to the version that it was grouped under.
//!
//! | pk | sk | item |
//! |---|---|---|
//! | `ledgers` | `<tenant>#<ledger>` | the current `definition_version` of a ledger |
//! | `<tenant>#<ledger>` | `definition#<version>` | a version of its `definition`, as text |

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use records::{Field, FieldType};
use serde_json::json;
use storage::{
    Condition, Item, Key, StorageError, Tables,
    tables::{Query, Transaction, Update, Write},
};

use crate::{
    BatchSequence, Definition, Ledger, LedgerError, Rules,
    book::{Book, source_row},
    head,
    manifest::LedgerId,
    policy::Terms,
};

const CATALOGUE: &str = "ledgers";
const VERSION: &str = "definition_version";

/// Versions of definitions, ready to work by.
type Known = HashMap<(LedgerId, u64), Arc<Ledger>>;

/// The definitions of all ledgers.
#[derive(Clone)]
pub struct Definitions {
    tables: Arc<dyn Tables>,
    table: String,
    book: Book,
    rules: Arc<Rules>,
    /// A version never changes, so what was read once is kept: a warm function works for few ledgers.
    known: Arc<Mutex<Known>>,
}

/// What became of a definition that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutDefinition {
    /// It is the current one now, under this version.
    New(u64),
    /// It was the current one already.
    Unchanged(u64),
}

/// How many compiled definitions are kept at once.
const KNOWN_MAX: usize = 64;

impl Definitions {
    /// Definitions in the table `ledgers_table`, which may name `rules`.
    pub fn new(tables: Arc<dyn Tables>, ledgers_table: &str, rules: Rules) -> Self {
        Self {
            book: Book::new(tables.clone(), ledgers_table),
            tables,
            table: ledgers_table.to_owned(),
            rules: Arc::new(rules),
            known: Arc::default(),
        }
    }

    /// Puts a definition for the ledger of its name, if it is another than the current one. Once it has batches, what its
    /// artifacts were made by stays: key, event id, scope of duplicates, what a measure or attribute of a name is, and the
    /// types of the columns. So do the sources that have batches, each with its first instant.
    pub async fn put(&self, tenant: &str, definition: &Definition) -> Result<PutDefinition, LedgerError> {
        self.put_if(tenant, definition, false).await
    }

    /// Puts a definition as [`put`](Self::put) does, though it moves or leaves out sources that have batches: the watermark
    /// moves with them.
    pub async fn put_moving_sources(
        &self,
        tenant: &str,
        definition: &Definition,
    ) -> Result<PutDefinition, LedgerError> {
        self.put_if(tenant, definition, true).await
    }

    async fn put_if(
        &self,
        tenant: &str,
        definition: &Definition,
        sources_may_move: bool,
    ) -> Result<PutDefinition, LedgerError> {
        let unnamed =
            || LedgerError::UnknownLedger(LedgerId { tenant: tenant.to_owned(), ledger: definition.name.clone() });
        let ledger = LedgerId::new(tenant, &definition.name).ok_or_else(unnamed)?;
        let wrong = |source| LedgerError::Definition { ledger: ledger.clone(), source };
        Ledger::new(definition.clone(), &self.rules).map_err(wrong)?;
        let current = self.version(&ledger).await?;
        let version = current.unwrap_or_default() + 1;
        let mut guards = Vec::new();
        if let Some(current) = current {
            let standing = self.definition(&ledger, current).await?;
            if standing == *definition {
                return Ok(PutDefinition::Unchanged(current));
            }
            if let Err(refusal) = self.keeps_meanings(&ledger, current, &standing, definition).await? {
                let head = self.book.head(&ledger).await?;
                if head.next != BatchSequence::FIRST {
                    return Err(refusal);
                }
                // While there is no batch; and the first job, too, goes by this version or a later one.
                guards.push(head.change(
                    &self.book,
                    &ledger,
                    &[(head::Field::Definition, version)],
                    &[head::Field::Next],
                ));
            }
            if !sources_may_move {
                guards.extend(self.keeps_sources(&ledger, &standing, definition).await?);
            }
        }
        let text = serde_json::to_string(definition).map_err(|source| malformed(&ledger, &source))?;
        let mut item =
            Item::from_iter([("definition".to_owned(), json!(text)), ("version".to_owned(), json!(version))]);
        let Key { partition, sort } = row(&ledger, version);
        item.insert("pk".to_owned(), json!(partition));
        item.insert("sk".to_owned(), json!(sort));
        let mut writes = vec![
            Write::Put { table: self.table.clone(), item, condition: Condition::Absent },
            Write::Update {
                table: self.table.clone(),
                key: catalogue_row(&ledger),
                update: Update { set: vec![(VERSION.to_owned(), json!(version))], ..Update::default() },
                condition: current.map_or(Condition::Absent, |old| Condition::Equals(VERSION.to_owned(), json!(old))),
            },
        ];
        writes.extend(guards);
        match self.tables.transact(writes).await? {
            Transaction::Written => Ok(PutDefinition::New(version)),
            // Somebody else's, or this very one, if the answer to a first try was lost.
            Transaction::Refused(_) => match self.version(&ledger).await? {
                Some(version) if self.definition(&ledger, version).await? == *definition => {
                    Ok(PutDefinition::New(version))
                }
                _ => Err(LedgerError::DefinitionContended(ledger)),
            },
        }
    }

    /// Refuses a definition that moves or leaves out a source that has batches. The others are to have none still when it
    /// is written.
    async fn keeps_sources(
        &self,
        ledger: &LedgerId,
        standing: &Definition,
        new: &Definition,
    ) -> Result<Vec<Write>, LedgerError> {
        let mut guards = Vec::new();
        for (source, opens_at) in &standing.sources {
            let opens_then = new.sources.get(source);
            if opens_then == Some(opens_at) {
                continue;
            }
            let (claimed, covered) =
                (self.book.source(ledger, source).await?, self.book.coverage(ledger, source).await?);
            if (claimed.version, covered.version) != (0, 0) {
                let change = match opens_then {
                    Some(then) => format!("begin at {then} in place of {opens_at}"),
                    None => "be none of its sources any more".to_owned(),
                };
                return Err(LedgerError::SourceInUse { ledger: ledger.clone(), source_name: source.clone(), change });
            }
            guards.push(self.book.absent(ledger, &source_row(source)));
        }
        Ok(guards)
    }

    /// Whether a new definition leaves the meaning of all that artifacts hold as it is; else, why not.
    async fn keeps_meanings(
        &self,
        ledger: &LedgerId,
        current: u64,
        standing: &Definition,
        new: &Definition,
    ) -> Result<Result<(), LedgerError>, LedgerError> {
        if let Err(refusal) = unchanged(ledger, standing, new) {
            return Ok(Err(refusal));
        }
        let taken = |what| Ok(Err(LedgerError::NameTaken { ledger: ledger.clone(), what }));
        if let Some(what) = other_meaning(standing, new) {
            return taken(what);
        }
        let is_new = new.measures.keys().any(|name| !standing.measures.contains_key(name))
            || new.attributes.keys().any(|name| !standing.attributes.contains_key(name));
        for version in (1..current).rev().take_while(|_| is_new) {
            if let Some(what) = used_before(&self.definition(ledger, version).await?, standing, new) {
                return taken(format!("{what} after version {version}"));
            }
        }
        Ok(Ok(()))
    }

    /// The current version of a ledger's definition.
    pub async fn version(&self, ledger: &LedgerId) -> Result<Option<u64>, LedgerError> {
        let item = self.tables.get(&self.table, &catalogue_row(ledger)).await?;
        Ok(item.and_then(|item| item.get(VERSION)?.as_u64()))
    }

    /// A version of a ledger's definition, as it was put.
    pub async fn definition(&self, ledger: &LedgerId, version: u64) -> Result<Definition, LedgerError> {
        let item = self.tables.get(&self.table, &row(ledger, version)).await?;
        let text = item.as_ref().and_then(|item| item.get("definition")?.as_str());
        let text = text.ok_or_else(|| LedgerError::UnknownVersion { ledger: ledger.clone(), version })?;
        Definition::from_json(text).map_err(|source| LedgerError::Definition { ledger: ledger.clone(), source })
    }

    /// A version of a ledger's definition, ready to work by.
    pub async fn ledger(&self, ledger: &LedgerId, version: u64) -> Result<Arc<Ledger>, LedgerError> {
        let key = (ledger.clone(), version);
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        let definition = self.definition(ledger, version).await?;
        let compiled = Ledger::new(definition, &self.rules)
            .map_err(|source| LedgerError::Definition { ledger: ledger.clone(), source })?;
        let compiled = Arc::new(compiled);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Any of them: whichever is missed is read and compiled again.
        if known.len() >= KNOWN_MAX
            && let Some(one) = known.keys().next().cloned()
        {
            known.remove(&one);
        }
        known.insert(key, compiled.clone());
        Ok(compiled)
    }

    /// What coordination goes by now.
    pub async fn terms(&self, ledger: &LedgerId) -> Result<Terms, LedgerError> {
        let version = self.version(ledger).await?.ok_or_else(|| LedgerError::UnknownLedger(ledger.clone()))?;
        Ok(self.ledger(ledger, version).await?.definition().terms(ledger.clone(), version))
    }

    /// All ledgers of the tenant, or of all tenants, by tenant and name.
    pub async fn list(&self, tenant: Option<&str>) -> Result<Vec<LedgerId>, LedgerError> {
        let mut query = Query {
            table: self.table.clone(),
            partition: CATALOGUE.to_owned(),
            sort_prefix: tenant.map(|tenant| format!("{tenant}#")),
            ..Query::default()
        };
        let mut ledgers = Vec::new();
        loop {
            let page = self.tables.query(&query).await?;
            ledgers.extend(page.items.iter().filter_map(|item| {
                let (tenant, ledger) = item.get("sk")?.as_str()?.split_once('#')?;
                LedgerId::new(tenant, ledger)
            }));
            match page.next {
                Some(next) => query.from = Some(next),
                None => return Ok(ledgers),
            }
        }
    }
}

/// What is fixed once there are batches, whatever else changes.
fn unchanged(ledger: &LedgerId, standing: &Definition, new: &Definition) -> Result<(), LedgerError> {
    let what = match () {
        () if standing.artifact_key != new.artifact_key => "artifactKey",
        () if standing.event_id != new.event_id => "eventId",
        () if standing.duplicates.scope != new.duplicates.scope => "duplicates.scope",
        () => return Ok(()),
    };
    Err(LedgerError::DefinitionFixed { ledger: ledger.clone(), what })
}

/// What would mean something else than before under its old name: artifacts would go on from values that were made
/// otherwise.
fn other_meaning(standing: &Definition, new: &Definition) -> Option<String> {
    let types = || {
        let both = made_of(standing).intersection(&made_of(new)).copied().collect::<Vec<_>>();
        both.into_iter().find_map(|name| {
            let (old, column) = (column(standing, name)?, column(new, name)?);
            let numbers = [&old.kind, &column.kind].map(is_number);
            let same = old.kind == column.kind || numbers == [true, true];
            (!same).then(|| format!("column {name:?} had another type ({})", old.kind.as_str()))
        })
    };
    let measures = standing.measures.iter().find_map(|(name, old)| {
        let measure = new.measures.get(name)?;
        let amounts =
            |of: &Definition| of.amounts.iter().find(|amount| Some(&amount.column) == old.column.as_ref()).cloned();
        let what = match () {
            () if old.kind != measure.kind => "kind",
            () if old.column != measure.column => "column",
            () if old.filter != measure.filter => "filter (`where`)",
            () if amounts(standing) != amounts(new) => "currency",
            () => return None,
        };
        Some(format!("measure {name:?} had another {what}"))
    });
    let attributes = || {
        let mut both =
            standing.attributes.iter().filter_map(|(name, old)| Some((name, old, new.attributes.get(name)?)));
        both.find(|(_, old, column)| old != column).map(|(name, ..)| format!("attribute {name:?} had another column"))
    };
    measures.or_else(attributes).or_else(types)
}

/// The columns that artifacts are made of, but for those that only event lines show.
fn made_of(definition: &Definition) -> BTreeSet<&str> {
    let Definition { artifact_key, event_id, event_time, amounts, measures, attributes, .. } = definition;
    let amounts = amounts.iter().flat_map(|amount| [Some(&amount.column), amount.currency_column.as_ref()]).flatten();
    let measures = measures.values().flat_map(|measure| measure.column.iter().chain(measure.filter.keys()));
    let columns = artifact_key.iter().chain([event_id, event_time]).chain(amounts).chain(measures);
    columns.chain(attributes.values()).map(String::as_str).collect()
}

fn column<'d>(definition: &'d Definition, name: &str) -> Option<&'d Field> {
    definition.events.fields.iter().find(|field| field.name == name)
}

/// Whole numbers are numbers too: what is known of the one goes on with the other.
fn is_number(of: &FieldType) -> bool {
    matches!(of, FieldType::Number | FieldType::Integer)
}

/// A name that is not in the standing definition and was in one before it: artifacts that no event has reached since
/// still hold its old values.
fn used_before(before: &Definition, standing: &Definition, new: &Definition) -> Option<String> {
    let measure =
        new.measures.keys().find(|name| !standing.measures.contains_key(*name) && before.measures.contains_key(*name));
    let attribute = || {
        let mut names = new.attributes.keys();
        names.find(|name| !standing.attributes.contains_key(*name) && before.attributes.contains_key(*name))
    };
    let measure = measure.map(|name| format!("measure {name:?} was left out"));
    measure.or_else(|| attribute().map(|name| format!("attribute {name:?} was left out")))
}

fn row(ledger: &LedgerId, version: u64) -> Key {
    Key::sorted(format!("{}#{}", ledger.tenant, ledger.ledger), format!("definition#{version:012}"))
}

fn catalogue_row(ledger: &LedgerId) -> Key {
    Key::sorted(CATALOGUE, format!("{}#{}", ledger.tenant, ledger.ledger))
}

fn malformed(ledger: &LedgerId, source: &serde_json::Error) -> StorageError {
    StorageError::Invalid { what: format!("the definition of ledger {ledger}"), reason: source.to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use storage::memory::MemoryTables;

    use super::*;

    #[tokio::test]
    async fn what_is_kept_ready_has_a_bound_and_what_gave_way_is_read_again() {
        let definitions = Definitions::new(Arc::new(MemoryTables::default()), "ledgers", Rules::default());
        let ledger = |number: usize| LedgerId::new("acme", &format!("orders-{number}")).unwrap();
        for number in 0..=KNOWN_MAX {
            let definition = json!({
                "name": ledger(number).ledger, "sources": { "shop": "2026-01-01T00:00:00Z" },
                "events": { "format": "csv", "fields": [
                    { "name": "id" }, { "name": "event" }, { "name": "time", "type": "datetime" }] },
                "artifactKey": ["id"], "eventId": "event", "eventTime": "time",
            });
            let definition = Definition::from_json(&definition.to_string()).unwrap();
            definitions.put("acme", &definition).await.unwrap();
        }
        let kept = || definitions.known.lock().unwrap().len();
        for round in 1..=2 {
            for number in 0..=KNOWN_MAX {
                let compiled = definitions.ledger(&ledger(number), 1).await.unwrap();
                assert_eq!(compiled.definition().name, ledger(number).ledger);
                let again = definitions.ledger(&ledger(number), 1).await.unwrap();
                assert!(Arc::ptr_eq(&compiled, &again), "it was kept");
                assert_eq!(kept(), if round == 1 { KNOWN_MAX.min(number + 1) } else { KNOWN_MAX });
            }
        }
    }
}
