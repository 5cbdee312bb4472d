//! Ledgers as inputs: the columns that artifacts have, and where these stand in the lines of part-files.
//!
//! A column is called as its value's place in an artifact's line: `key`, `status`, `measures.paid`, `attributes.country`. What
//! a line has by currency is one column, as long as it is of one currency; and one for each currency that is named:
//! `measures.paid.EUR`.

use std::collections::BTreeMap;

use ledger::{
    Definition, MeasureKind,
    contents::{Contents, contents},
    manifest::LedgerId,
};
use money::Currency;
use reconcile::{
    Input, InputColumn, LEDGER_KEY, LEDGER_SEQUENCE, Type,
    json_path::{JsonPath, JsonStep},
    task::LedgerRead,
};

use crate::{
    error::JobError,
    inputs::{Finder, wrong},
};

/// The decimals of an amount whose column says no type.
const AMOUNT: Type = Type::Decimal(2);

/// A ledger, as a job reads it.
pub(crate) struct LedgerInput {
    pub(crate) columns: Vec<InputColumn>,
    pub(crate) paths: BTreeMap<String, JsonPath>,
    pub(crate) read: LedgerRead,
    /// The keys of its part-files, in the data bucket.
    pub(crate) keys: Vec<String>,
}

/// A column that a ledger has, and where its value stands.
struct LedgerColumn {
    kind: Type,
    path: JsonPath,
}

impl Finder<'_> {
    /// What a ledger holds now, as an input.
    pub(crate) async fn ledger(&self, name: &str, input: &Input) -> Result<LedgerInput, JobError> {
        let ledger = input.ledger.as_deref().unwrap_or_default();
        let unknown = || {
            let advice = "`tieout ledger list` lists them";
            wrong(name, format!("there is no ledger {ledger:?} of tenant {}: {advice}", self.tenant))
        };
        let id = LedgerId::new(self.tenant, ledger).ok_or_else(unknown)?;
        let Contents { definition, through, watermark, parts } =
            contents(&**self.objects, self.tables, self.ledgers_table, self.bucket, &id).await?.ok_or_else(unknown)?;
        let (columns, paths) = columns(&definition, &input.columns).map_err(|problem| wrong(name, problem))?;
        let watermark = watermark.map(|watermark| watermark.to_string());
        let read = LedgerRead { ledger: ledger.to_owned(), through: through.get(), watermark };
        Ok(LedgerInput { columns, paths, read, keys: parts.into_iter().map(|part| part.key).collect() })
    }
}

type Columns = (Vec<InputColumn>, BTreeMap<String, JsonPath>);

/// The columns that are asked for, or all that the ledger has; and the ways to those that are no members of a line.
fn columns(definition: &Definition, asked: &[InputColumn]) -> Result<Columns, String> {
    let all = all(definition);
    let wanted: Vec<(InputColumn, JsonPath)> = if asked.is_empty() {
        let column =
            |(name, one): &(String, LedgerColumn)| (InputColumn::new(name.clone(), one.kind), one.path.clone());
        all.iter().map(column).collect()
    } else {
        let path = |name: &str| {
            let exact = all.iter().find(|(known, _)| known == name).map(|(_, column)| column.path.clone());
            exact.or_else(|| of_currency(&all, name)).ok_or_else(|| {
                let known: Vec<&str> = all.iter().map(|(known, _)| known.as_str()).collect();
                format!("ledger {:?} has no column {name:?}; it has {}", definition.name, known.join(", "))
            })
        };
        asked.iter().map(|column| Ok((column.clone(), path(&column.name)?))).collect::<Result<_, String>>()?
    };
    let inner = wanted.iter().filter(|(_, path)| path.0.len() > 1);
    let paths = inner.map(|(column, path)| (column.name.clone(), path.clone())).collect();
    Ok((wanted.into_iter().map(|(column, _)| column).collect(), paths))
}

/// All columns that a ledger has, those of single currencies apart, in the order of an artifact's line.
fn all(definition: &Definition) -> Vec<(String, LedgerColumn)> {
    let member = |name: &str| JsonStep::Member(name.to_owned());
    let column = |name: String, kind: Type, steps: Vec<JsonStep>| (name, LedgerColumn { kind, path: JsonPath(steps) });
    let plain = |name: &str, kind: Type| column(name.to_owned(), kind, vec![member(name)]);
    let mut all = vec![plain(LEDGER_KEY, Type::Text), plain(LEDGER_SEQUENCE, Type::Integer)];
    if definition.status.is_some() {
        all.push(plain("status", Type::Text));
        all.push(column("difference".to_owned(), AMOUNT, vec![member("difference"), JsonStep::Only, member("amount")]));
    }
    all.push(plain("events", Type::Integer));
    for (name, measure) in &definition.measures {
        let mut steps = vec![member("measures"), member(name)];
        let kind = match measure.kind {
            MeasureKind::Count => Type::Integer,
            MeasureKind::Sum | MeasureKind::Min | MeasureKind::Max => {
                steps.extend([JsonStep::Only, member("amount")]);
                AMOUNT
            }
            MeasureKind::First | MeasureKind::Last => {
                steps.extend([JsonStep::Only, member("value")]);
                Type::Text
            }
        };
        all.push(column(format!("measures.{name}"), kind, steps));
    }
    let attribute = |name: &String| {
        column(format!("attributes.{name}"), Type::Text, vec![member("attributes"), member(name), member("value")])
    };
    all.extend(definition.attributes.keys().map(attribute));
    all
}

/// Where the amount, or value, of one currency stands: of a column that differs by currency.
fn of_currency(all: &[(String, LedgerColumn)], name: &str) -> Option<JsonPath> {
    let (whole, currency) = name.rsplit_once('.')?;
    let currency: Currency = currency.parse().ok()?;
    let (_, column) = all.iter().find(|(name, _)| name == whole)?;
    let entry = JsonStep::Entry { member: "currency".to_owned(), is: currency.code().to_owned() };
    let only = column.path.0.iter().position(|step| *step == JsonStep::Only)?;
    let mut steps = column.path.0.clone();
    *steps.get_mut(only)? = entry;
    Some(JsonPath(steps))
}

#[cfg(test)]
mod tests {
    use reconcile::Job;
    use serde_json::{Value as Json, json};

    use super::*;

    fn definition() -> Definition {
        let definition = json!({
            "name": "orders",
            "sources": { "shop": "2024-05-01T00:00:00Z" },
            "events": { "format": "csv", "fields": [
                { "name": "order" }, { "name": "id" }, { "name": "at", "type": "datetime" }, { "name": "kind" },
                { "name": "amount", "type": "number" }, { "name": "currency" }, { "name": "country" },
            ] },
            "artifactKey": ["order"], "eventId": "id", "eventTime": "at",
            "amounts": [{ "column": "amount", "currencyColumn": "currency" }],
            "measures": {
                "invoiced": { "measure": "sum", "column": "amount", "where": { "kind": "invoice" } },
                "paid": { "measure": "sum", "column": "amount", "where": { "kind": "payment" } },
                "last_kind": { "measure": "last", "column": "kind" },
                "payments": { "measure": "count", "where": { "kind": "payment" } },
            },
            "status": { "balance": { "add": ["invoiced"], "subtract": ["paid"] } },
            "attributes": { "country": "country" },
        });
        Definition::from_json(&definition.to_string()).unwrap()
    }

    fn paths(asked: &Json) -> Result<(Json, Json), String> {
        let asked: Vec<InputColumn> = serde_json::from_value(asked.clone()).unwrap();
        let (columns, paths) = columns(&definition(), &asked)?;
        Ok((json!(columns), json!(paths)))
    }

    #[test]
    fn without_columns_all_are_read() {
        let (columns, paths) = paths(&json!([])).unwrap();
        let column = |(name, kind): (&str, &str)| json!({ "name": name, "type": kind });
        let expected = [
            ("key", "text"),
            ("applied_through", "integer"),
            ("status", "text"),
            ("difference", "decimal(2)"),
            ("events", "integer"),
            ("measures.invoiced", "decimal(2)"),
            ("measures.last_kind", "text"),
            ("measures.paid", "decimal(2)"),
            ("measures.payments", "integer"),
            ("attributes.country", "text"),
        ];
        assert_eq!(columns, json!(expected.map(column)));
        let measure = |name: &str| json!([{"member": "measures"}, {"member": name}, "only", {"member": "amount"}]);
        let expected = json!({
            "attributes.country": [{"member": "attributes"}, {"member": "country"}, {"member": "value"}],
            "difference": [{"member": "difference"}, "only", {"member": "amount"}],
            "measures.invoiced": measure("invoiced"),
            "measures.last_kind": [{"member": "measures"}, {"member": "last_kind"}, "only", {"member": "value"}],
            "measures.paid": measure("paid"),
            "measures.payments": [{"member": "measures"}, {"member": "payments"}],
        });
        assert_eq!(paths, expected);
    }

    #[test]
    fn the_documented_input_fits_the_example_ledger() {
        let definition = Definition::from_json(include_str!("../../../examples/ledger/ledger.json")).unwrap();
        let document = include_str!("../../../docs/reconcile.md");
        let (_, input) = document.split_once("```json input\n").unwrap();
        let input: Input = serde_json::from_str(input.split_once("```").unwrap().0).unwrap();
        assert_eq!(input.ledger.as_deref(), Some(&*definition.name));
        let (found, _) = columns(&definition, &input.columns).unwrap();
        assert_eq!(input.schema("artifacts", Some(&found)).unwrap().len(), input.columns.len());
    }

    #[test]
    fn the_example_job_fits_the_example_ledger() {
        let definition = Definition::from_json(include_str!("../../../examples/ledger/ledger.json")).unwrap();
        let job = Job::from_json(include_str!("../../../examples/reconcile/breaks.json")).unwrap();
        let (found, _) = columns(&definition, &job.inputs["artifacts"].columns).unwrap();
        assert_eq!(job.plan(&BTreeMap::from([("artifacts".to_owned(), found)])).unwrap().warnings, [""; 0]);
    }

    #[test]
    fn amounts_are_read_by_their_currency() {
        let asked = json!([{"name": "measures.paid.JPY", "type": "decimal(0)"}, {"name": "key", "type": "text"}]);
        let (columns, found) = paths(&asked).unwrap();
        assert_eq!(columns, asked);
        let entry = json!({"entry": {"member": "currency", "is": "JPY"}});
        let expected = json!([{"member": "measures"}, {"member": "paid"}, entry, {"member": "amount"}]);
        assert_eq!(found, json!({"measures.paid.JPY": expected}));
        for unknown in ["measures.paid.XYZW", "measures.payments.EUR", "measures.net", "paid", "lines", "events.EUR"] {
            let error = paths(&json!([{"name": unknown, "type": "text"}])).unwrap_err();
            assert!(error.contains(&format!("ledger \"orders\" has no column {unknown:?}; it has key, ")), "{error}");
        }
    }
}
