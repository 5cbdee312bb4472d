//! Every operation's cases.

use std::collections::BTreeMap;

use reconcile::{
    Job,
    cases::{Case, Expected},
    operations,
    plan::Plan,
};

use crate::kit::{Data, Lies, compared, small};

/// The case's plan and data; nothing of one that is refused.
fn prepared(case: &Case, kind: &operations::OperationKind) -> Option<(Plan, BTreeMap<String, Data>)> {
    if matches!(case.expected, Expected::Refused(_)) {
        return None;
    }
    let results: Vec<&str> =
        if kind.results.is_empty() { vec![""] } else { kind.results.iter().map(|(name, _)| *name).collect() };
    let job = case.job(kind.name, &results).unwrap().to_string();
    let plan = Job::from_json(&job).unwrap().plan(&BTreeMap::new()).unwrap().plan;
    let data = case.inputs.iter().map(|(name, table)| {
        let table = table.read().unwrap();
        // Two objects, so that the order of rows goes over several.
        let (one, two) = table.rows.split_at(table.rows.len() / 2);
        ((*name).to_owned(), Data { columns: table.columns, objects: vec![one.to_vec(), two.to_vec()] })
    });
    Some((plan, data.collect()))
}

async fn check_all(lies: Lies) {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for kind in operations::all() {
        for case in (kind.cases)() {
            let Some((plan, data)) = prepared(&case, kind) else { continue };
            count += 1;
            if let Err(problem) = compared(&plan, &data, lies, &small()).await {
                wrong.push(format!("{}: {}\n{problem}", kind.name, case.title));
            }
        }
    }
    assert!(wrong.is_empty() && count > 100, "{} of {count} cases\n\n{}", wrong.len(), wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_on_csv() {
    check_all(Lies::Csv).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_on_json_lines() {
    check_all(Lies::JsonLines).await;
}
