//! Every operation does what its cases say, and says what it does.

use std::collections::BTreeSet;

use reconcile::{
    cases::{Case, Expected},
    operations,
};

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

/// The cases prove something only if a wrong one is noticed.
#[test]
fn a_case_that_is_wrong_is_noticed() {
    let case = |title| Case::new(title).input("a", "x: integer", &["2", "1"]);
    let sort = r#"{"from": "a", "by": [{"column": "x"}]}"#;
    let check = |case: Case| case.check("sort", &[]);
    assert_eq!(check(case("right").step(sort).gives("x: integer", &["1", "2"])), Ok(()));
    for (wrong, words) in [
        (
            case("order").step(sort).gives("x: integer", &["2", "1"]),
            "expected\nx: integer\n2\n1\nfound\nx: integer\n1\n2",
        ),
        (case("type").step(sort).gives("x: decimal(0)", &["1", "2"]), "found"),
        (case("name").step(sort).gives("y: integer", &["1", "2"]), "found"),
        (case("a row less").step(sort).gives("x: integer", &["1"]), "found"),
        (case("nothing expected").step(sort), "expects nothing"),
        (case("not refused").step(sort).refused(""), "should be refused"),
        (case("not failing").step(sort).fails(""), "should fail"),
        (case("refused").step("{}").gives("x: integer", &["1", "2"]), "refused: "),
        (case("refused otherwise").step("{}").refused("because"), "refused: "),
        (case("badly written").step(sort).gives("x: integer", &["one", "2"]), "not well written"),
    ] {
        let title = wrong.title;
        let problem = check(wrong).expect_err(title);
        assert!(problem.contains(words), "{title}: {problem}");
    }
}
