//! One table below the other.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::{ColumnId, Expression},
    operations::{Documented, Operation, Reference, Results},
    parameters::TableName,
    plan::{OrderKey, UnionSource},
    planner::{StepPlan, Table},
    types::Type,
};

/// One table below the other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Append {
    /// The tables, in this order.
    tables: Vec<TableName>,
    /// Whether all must have the same columns.
    #[serde(default)]
    columns: AppendColumns,
    /// A further column: the table that a row is of.
    #[serde(default)]
    source: Option<String>,
}

/// Whether all tables must have the same columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum AppendColumns {
    /// All have the same columns, in any order.
    #[default]
    Same,
    /// The result has every column of any table; a cell is blank where its table has no such column.
    Any,
}

/// A hidden column that the order of several tables goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    kind: Type,
    descending: bool,
    blanks_first: bool,
}

impl Slot {
    const fn key(self, column: ColumnId) -> OrderKey {
        OrderKey { column, descending: self.descending, blanks_first: self.blanks_first }
    }
}

impl Operation for Append {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        self.tables.iter().map(|table| ("tables", table)).collect()
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let tables: Vec<Table> = self.tables.iter().map(|name| step.table(name)).collect::<Result<_, _>>()?;
        if tables.is_empty() {
            return Err(step.fail("expected one table at least in `tables`"));
        }
        let columns = self.common_columns(step, &tables)?;
        let slots = slots(step, &tables)?;
        let mut sources = Vec::new();
        for (index, table) in tables.iter().enumerate() {
            sources.push(self.source(step, (index, table), &columns, &slots)?);
        }
        let hidden = slots.iter().map(|slot| ("#".to_owned(), slot.kind));
        let branch = std::iter::once(("#".to_owned(), Type::Integer));
        let source = self.source.iter().map(|name| (name.clone(), Type::Text));
        let all: Vec<(String, Type)> = columns.iter().cloned().chain(source).chain(branch).chain(hidden).collect();
        let (relation, mut made) = step.union(sources, &all);
        let keys = made.split_off(columns.len() + usize::from(self.source.is_some()));
        let (branch, keys) = keys.split_first().ok_or_else(|| step.fail("no order"))?;
        let keys = keys.iter().zip(&slots).map(|(key, slot)| slot.key(key.id));
        let order = std::iter::once(OrderKey::ascending(branch.id)).chain(keys).collect();
        Ok(Table { name: String::new(), relation, columns: made, order, place: None }.into())
    }
}

impl Append {
    /// The columns of the result: those of the first table, then new ones of the others; each with a type for all.
    fn common_columns(&self, step: &StepPlan<'_>, tables: &[Table]) -> Result<Vec<(String, Type)>, PlanError> {
        let mut columns: Vec<(String, Type)> = Vec::new();
        for (index, table) in tables.iter().enumerate() {
            for column in &table.columns {
                match columns.iter_mut().find(|(name, _)| *name == column.name) {
                    Some((_, kind)) => {
                        *kind = kind.common(column.kind).ok_or_else(|| {
                            step.fail_on(&column.name, format!("it is {kind}, but {} in {}", column.kind, table.name))
                        })?;
                    }
                    None if index > 0 && self.columns == AppendColumns::Same => {
                        return Err(
                            step.fail_on(&column.name, format!("only {} has it: say `columns: \"any\"`", table.name))
                        );
                    }
                    None => columns.push((column.name.clone(), column.kind)),
                }
            }
        }
        if self.columns == AppendColumns::Same {
            for table in tables {
                if let Some((name, _)) = columns.iter().find(|(name, _)| table.find(name).is_none()) {
                    return Err(step.fail_on(name, format!("{} does not have it: say `columns: \"any\"`", table.name)));
                }
            }
        }
        Ok(columns)
    }

    fn source(
        &self,
        step: &mut StepPlan<'_>,
        (index, table): (usize, &Table),
        columns: &[(String, Type)],
        slots: &[Slot],
    ) -> Result<UnionSource, PlanError> {
        let cell = |(name, kind): &(String, Type)| match table.find(name) {
            Some(column) => column.expression().cast(*kind).ok_or_else(|| step.fail_on(name, format!("is no {kind}"))),
            None => Ok(Expression::blank(*kind)),
        };
        let mut cells: Vec<Expression> = columns.iter().map(cell).collect::<Result<_, _>>()?;
        cells.extend(self.source.iter().map(|_| Expression::text(&table.name)));
        cells.push(Expression::integer(i64::try_from(index).unwrap_or(i64::MAX)));
        let mut given = keys(step, table)?.into_iter().peekable();
        for slot in slots {
            let key = given.next_if(|(_, key)| key == slot).map(|(id, key)| Expression::Column { id, kind: key.kind });
            cells.push(key.unwrap_or_else(|| Expression::blank(slot.kind)));
        }
        let (table, columns) = step.hidden(table, cells);
        Ok(UnionSource { from: table.relation, columns })
    }
}

fn keys(step: &StepPlan<'_>, table: &Table) -> Result<Vec<(ColumnId, Slot)>, PlanError> {
    let key = |key: &OrderKey| {
        let OrderKey { column, descending, blanks_first } = *key;
        Ok((column, Slot { kind: step.kind(table, column)?, descending, blanks_first }))
    };
    table.order.iter().map(key).collect()
}

/// Columns for the order of every table, in which each finds its own in their order. Tables of one kind share them.
fn slots(step: &StepPlan<'_>, tables: &[Table]) -> Result<Vec<Slot>, PlanError> {
    let mut slots: Vec<Slot> = Vec::new();
    for table in tables {
        let mut at = 0;
        for (_, key) in keys(step, table)? {
            match slots.iter().skip(at).position(|slot| *slot == key) {
                Some(found) => at += found + 1,
                None => {
                    slots.push(key);
                    at = slots.len();
                }
            }
        }
    }
    Ok(slots)
}

impl Documented for Append {
    const NAME: &'static str = "append";
    const REFERENCE: Reference = Reference {
        title: "Append",
        summary: "One table below the other, by the names of their columns.",
        types: "A column has one type for all tables: of numbers that with the most decimals. A number that does not fit it is an error.",
        blanks: "With `columns: \"any\"` a cell is blank where its table has no such column.",
        rows: "All rows of the first table in their order, then those of the second, …; duplicates stay. A table may be there twice.",
        spreadsheet: "As Power Query's Append with `columns: \"any\"`; by default a missing column is an error, because it is mostly a mistyped \
                      name.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("by name; the wider type")
                .input("a", "id: integer | v: integer", &["1 | 5", "2 | "])
                .input("b", "v: decimal(2) | id: integer", &["0.50 | 1"])
                .step(r#"{"tables": ["b", "a", "b"]}"#)
                .gives("v: decimal(2) | id: integer", &["0.50 | 1", "5.00 | 1", " | 2", "0.50 | 1"]),
            Case::new("any columns, and which table a row is of")
                .input("a", "id: integer | x: text", &["1 | p"])
                .input("b", "id: integer | y: date", &["1 | 2024-01-01"])
                .step(r#"{"tables": ["a", "b"], "columns": "any", "source": "of"}"#)
                .gives("id: integer | x: text | y: date | of: text", &["1 | p | | a", "1 | | 2024-01-01 | b"]),
            Case::new("empty tables")
                .input("a", "id: integer", &[])
                .input("b", "id: integer", &["7"])
                .step(r#"{"tables": ["a", "b", "a"]}"#)
                .gives("id: integer", &["7"]),
            Case::new("a column that is missing")
                .input("a", "id: integer | x: text", &[])
                .input("b", "id: integer", &[])
                .step(r#"{"tables": ["a", "b"]}"#)
                .refused(r#"column "x": b does not have it: say `columns: "any"`"#),
            Case::new("a column that is too many")
                .input("a", "id: integer | x: text", &[])
                .input("b", "id: integer", &[])
                .step(r#"{"tables": ["b", "a"]}"#)
                .refused(r#"column "x": only a has it"#),
            Case::new("types that do not go together")
                .input("a", "id: integer", &[])
                .input("b", "id: text", &[])
                .step(r#"{"tables": ["a", "b"]}"#)
                .refused(r#"column "id": it is integer, but text in b"#),
        ]
    }
}
