//! What `docs/security.md` says that the ledger's roles may do is what the template lets them do.

use std::{collections::BTreeSet, fs, path::Path};

use tests::{
    Project,
    cloudformation::{actions, attribute, list, logical_id, role_statements},
};

use crate::{finds, finds_nothing, place};

/// The roles of the table, and the verbs before the colon in its column of the book.
fn documented() -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md"));
    let text = text.expect("docs/security.md can be read");
    let (_, table) = text.split_once("| role | reads | writes | the book | besides |").expect("it has the table");
    let rows = table.lines().skip(2).take_while(|line| line.trim_start().starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let verbs = cells[4].split(':').next().unwrap_or_default();
        (cells[1].to_owned(), verbs.split(", ").map(str::to_owned).collect())
    };
    rows.map(row).collect()
}

fn on_the_book(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    let rows = documented();
    assert_eq!(rows.len(), 10, "a row a function");
    for (role, said) in rows {
        let id = format!("{}Role", logical_id(&role));
        let statements = role_statements(&project.template["Resources"][&id]);
        let of_the_book = statements.into_iter().filter(|statement| {
            list(&statement["Resource"]).into_iter().filter_map(attribute).any(|(table, _)| table == "LedgersTable")
        });
        let may: BTreeSet<String> = of_the_book.flat_map(actions).map(verb).collect();
        if may != said {
            faults.push(format!("{id} may {may:?}, and docs/security.md says {said:?}"));
        }
    }
    faults
}

fn verb(action: &str) -> String {
    match action {
        "dynamodb:GetItem" | "dynamodb:BatchGetItem" => "get",
        "dynamodb:Query" => "query",
        "dynamodb:PutItem" => "put",
        "dynamodb:UpdateItem" => "update",
        "dynamodb:ConditionCheckItem" => "check",
        "dynamodb:DeleteItem" => "delete",
        other => other,
    }
    .to_owned()
}

#[test]
fn what_roles_may_do_to_the_book_is_documented() {
    finds_nothing(on_the_book);
    finds(
        on_the_book,
        "CombinerRole may {\"delete\", \"get\", \"put\"}, and docs/security.md says {\"get\", \"put\"}",
        |broken| {
            let policy = place(broken, "Resources/CombinerRole/Properties/Policies/0/PolicyDocument/Statement");
            let take =
                policy.as_array_mut().unwrap().iter_mut().find(|statement| statement["Sid"] == "TakeStep").unwrap();
            take["Action"].as_array_mut().unwrap().push("dynamodb:DeleteItem".into());
        },
    );
}
