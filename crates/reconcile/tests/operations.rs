//! Every operation does what its cases say, and says what it does.

use std::collections::BTreeSet;

use reconcile::{cases::Expected, operations};

#[test]
fn every_case_is_as_it_says() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for kind in operations::all() {
        for case in (kind.cases)() {
            count += 1;
            if let Err(problem) = case.check(kind.name, kind.results) {
                wrong.push(format!("{}: {}\n{problem}", kind.name, case.title));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count} cases\n\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn every_operation_shows_what_it_gives_and_what_it_refuses() {
    let mut names = BTreeSet::new();
    for kind in operations::all() {
        assert!(names.insert(kind.name), "{} is there twice", kind.name);
        let cases = (kind.cases)();
        let titles: BTreeSet<&str> = cases.iter().map(|case| case.title).collect();
        assert_eq!(titles.len(), cases.len(), "{} has two cases of one title", kind.name);
        let gives = cases.iter().filter(|case| matches!(case.expected, Expected::Tables(_)));
        let empty = gives.clone().filter(|case| case.inputs.iter().any(|(_, table)| table.rows.is_empty()));
        assert!(gives.count() >= 2 && empty.count() >= 1, "{} shows too little", kind.name);
        assert!(
            cases.iter().any(|case| matches!(case.expected, Expected::Refused(_))),
            "{} refuses nothing",
            kind.name
        );
    }
}
