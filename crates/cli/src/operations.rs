//! `tieout operations`: what a step of a job can be. It asks nobody.

use reconcile::{
    documentation,
    operations::{self, OperationKind},
};
use serde::Serialize;

use crate::{
    error::Failure,
    output::{Output, columns},
};

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    title: &'static str,
    summary: &'static str,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    results: Vec<&'static str>,
    types: &'static str,
    blanks: &'static str,
    rows: &'static str,
    spreadsheet: &'static str,
    reference: String,
}

impl Listed {
    fn of(kind: &OperationKind) -> Self {
        Self { name: kind.name, title: kind.reference.title, summary: kind.reference.summary }
    }
}

pub(crate) fn perform(name: Option<&str>, output: Output) -> Result<(), Failure> {
    let Some(name) = name else {
        let all: Vec<Listed> = operations::all().iter().map(Listed::of).collect();
        return output.tell(&all, |all| {
            let row = |one: &Listed| vec![one.name.to_owned(), one.title.to_owned(), one.summary.to_owned()];
            columns(&all.iter().map(row).collect::<Vec<_>>(), &[])
        });
    };
    let kind = operations::find(name).ok_or_else(|| {
        let near = operations::nearest(name).map(|near| format!("; is {near} meant?")).unwrap_or_default();
        Failure::misuse(format!("there is no operation {name}{near}; `tieout operations` lists them"))
    })?;
    let shown = Shown {
        listed: Listed::of(kind),
        results: kind.results.iter().map(|(name, _)| *name).collect(),
        types: kind.reference.types,
        blanks: kind.reference.blanks,
        rows: kind.reference.rows,
        spreadsheet: kind.reference.spreadsheet,
        reference: documentation::operation(kind),
    };
    output.tell(&shown, |shown| shown.reference.clone())
}
