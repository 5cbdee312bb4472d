//! Runs to tell of, and what page and mail must say of them.

use money::ControlTotals;

use crate::*;

fn totals() -> ControlTotals {
    let mut totals = ControlTotals::default();
    totals.add_records(9_998).unwrap();
    totals.add("Total Revenue", Some("USD".parse().unwrap()), "13327654321.01".parse().unwrap()).unwrap();
    totals.add("Total Cost", None, "-0.50".parse().unwrap()).unwrap();
    totals
}

fn reject(row: u64, column: &str, value: &str, message: &str) -> Reject {
    Reject {
        row,
        column: Some(column.to_owned()),
        value: Some(value.to_owned()),
        rule: "maxLength".to_owned(),
        message: message.to_owned(),
    }
}

fn published() -> RunFigures {
    RunFigures {
        run: "default-0f1e2d3c4b5a69788796a5b4c3d2e1f0".to_owned(),
        tenant: "default".to_owned(),
        feed: "orders".to_owned(),
        file: "orders-march.csv".to_owned(),
        input: "s3://tieout-input/default/intake/orders/orders-march.csv".to_owned(),
        started_at: "2026-03-01T08:00:00Z".parse().unwrap(),
        ended_at: "2026-03-01T08:00:02.4Z".parse().unwrap(),
        bytes: Some(1_048_576),
        chunks: Some(10),
        records_in: Some(10_000),
        records_out: Some(9_998),
        records_rejected: Some(2),
        totals: Some(totals()),
        totals_rejected: None,
        rejects_by_rule: vec![("maxLength".to_owned(), 1), ("reference".to_owned(), 1)],
        rejects: vec![
            reject(
                17,
                "Country",
                "The United Kingdom of Great Britain and Northern Ireland",
                "has 56 characters, 50 at most",
            ),
            reject(4_711, "uuid", "", "has no row in the reference table financials"),
        ],
        outcome: Outcome::Published { output: "orders-march.csv".to_owned() },
    }
}

fn failed(class: &str) -> RunFigures {
    RunFigures {
        records_in: None,
        records_out: None,
        records_rejected: None,
        totals: None,
        totals_rejected: None,
        rejects_by_rule: Vec::new(),
        rejects: Vec::new(),
        chunks: None,
        outcome: Outcome::Failed {
            class: class.to_owned(),
            message: "orders-march.csv: the header lacks the column \"uuid\"".to_owned(),
        },
        ..published()
    }
}

fn link() -> Link {
    Link {
        url: "https://data.example/orders-march.csv?X-Amz-Expires=3600&X-Amz-Signature=a".to_owned(),
        expires_at: "2026-03-01T09:00:02Z".parse().unwrap(),
    }
}

#[track_caller]
fn assert_says(text: &str, all: &[&str]) {
    for said in all {
        assert!(text.contains(said), "{said:?} is not said in:\n{text}");
    }
}

#[track_caller]
fn assert_silent(text: &str, all: &[&str]) {
    for unsaid in all {
        assert!(!text.contains(unsaid), "{unsaid:?} is said in:\n{text}");
    }
}

#[test]
fn a_page_has_the_run_s_figures() {
    let page = page(&published());
    assert_says(
        &page,
        &["published", "orders-march.csv", "10,000", "9,998", "Ties out", "13,327,654,321.01", "USD", "-0.50"],
    );
    assert_says(&page, &["All of them.", "4,711", "reference", "(empty)", "1,048,576 bytes (1.0 MB)", "2.4 s"]);
    assert_says(&page, &["1 March 2026, 08:00:02 UTC", "tieout run link default-0f1e2d3c4b5a69788796a5b4c3d2e1f0"]);
    assert_silent(&page, &["Tenant", "Nothing was published"]);
}

#[test]
fn a_page_needs_nothing_else() {
    assert_silent(&page(&published()), &["<script", "<link", "<img", "src=", "href=", "url(", "@import"]);
}

#[test]
fn a_page_says_how_many_rejects_it_leaves_out() {
    let page = page(&RunFigures { records_rejected: Some(1_500), ..published() });
    assert_says(&page, &["The first 2 of 1,500."]);
}

#[test]
fn a_clean_run_without_amounts_has_no_empty_tables() {
    let clean = RunFigures {
        records_rejected: Some(0),
        totals: Some(ControlTotals::default()),
        totals_rejected: None,
        rejects_by_rule: Vec::new(),
        rejects: Vec::new(),
        ..published()
    };
    assert_silent(&page(&clean), &["<table", "Control totals", "Rejects", "tieout run rejects"]);
    assert_eq!(mail(&clean, None).subject, "orders-march.csv: 9,998 records published, none rejected");
}

#[test]
fn whatever_stands_in_a_file_stays_text() {
    let evil = "<script>alert(\"1\")</script>\u{202e}\0";
    let escaped = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;\u{202e}␀";
    let mut figures = published();
    figures.file = evil.to_owned();
    figures.rejects = vec![reject(1, evil, evil, evil)];
    let mut totals = ControlTotals::default();
    totals.add(evil, None, "1".parse().unwrap()).unwrap();
    figures.totals = Some(totals);
    let of_published = page(&figures);
    assert_silent(&of_published, &["<script"]);
    // The heading, the total's column, and column, value and message of the reject.
    assert_eq!(of_published.matches(&format!("<bdi>{escaped}</bdi>")).count(), 5, "{of_published}");
    assert_silent(&mail(&figures, Some(&link())).html, &["<script"]);

    figures.outcome = Outcome::Failed { class: evil.to_owned(), message: evil.to_owned() };
    assert_silent(&page(&figures), &["<script"]);
    assert_silent(&mail(&figures, None).html, &["<script"]);
}

#[test]
fn a_long_cell_is_cut() {
    let mut figures = published();
    figures.rejects = vec![reject(1, "notes", &"x".repeat(1_000_000), "is too long")];
    assert!(page(&figures).len() < 20_000);
}

#[test]
fn a_mail_says_how_long_its_link_lives_and_how_to_get_another() {
    let mail = mail(&published(), Some(&link()));
    assert_eq!(mail.subject, "orders-march.csv: 9,998 records published, 2 rejected");
    for body in [&mail.text, &mail.html] {
        assert_says(body, &["Records read", "10,000", "13,327,654,321.01 USD", "until 1 March 2026, 09:00:02 UTC"]);
        assert_says(body, &["tieout run link default-0f1e2d3c4b5a69788796a5b4c3d2e1f0"]);
        assert_silent(body, &["Northern Ireland"]);
    }
    assert_says(&mail.text, &["?X-Amz-Expires=3600&X-Amz-Signature=a\n"]);
    assert_says(
        &mail.html,
        &["href=\"https://data.example/orders-march.csv?X-Amz-Expires=3600&amp;X-Amz-Signature=a\""],
    );
}

#[test]
fn a_mail_without_a_link_says_how_to_get_the_output() {
    assert_says(&mail(&published(), None).text, &["tieout run output default-"]);
}

#[test]
fn a_subject_is_one_short_line() {
    let mut figures = published();
    figures.file = format!("a\r\nBcc: everyone@example.com{}", "b".repeat(500));
    let subject = mail(&figures, None).subject;
    assert!(!subject.contains(char::is_control) && subject.chars().count() <= 121, "{subject:?}");
}

#[test]
fn a_failure_says_what_why_where_and_what_to_do() {
    let figures = failed("InvalidInput");
    let mail = mail(&figures, None);
    assert_eq!(mail.subject, "orders-march.csv failed: InvalidInput");
    for text in [page(&figures).replace("&quot;", "\""), mail.html.replace("&quot;", "\""), mail.text] {
        assert_says(&text, &["the header lacks the column \"uuid\"", "Nothing was published", "where it was"]);
        assert_says(&text, &["s3://tieout-input/default/intake/orders/orders-march.csv", "Correct the file"]);
        assert_silent(&text, &["Ties out", "ties out", "tieout run output"]);
    }
}

#[test]
fn advice_follows_the_class() {
    for (class, said) in [
        ("Throttled", "The file is not at fault"),
        ("ControlTotalMismatch", "never the sender's fault"),
        ("Conflict", "Another run took the same file"),
        ("Bug", "a fault of tieout"),
        ("States.Timeout", "a fault of tieout"),
    ] {
        assert_says(&mail(&failed(class), None).text, &[said]);
    }
}

#[test]
fn a_failed_run_that_was_counted_shows_no_proof() {
    let figures = RunFigures { outcome: failed("ControlTotalMismatch").outcome, ..published() };
    assert_silent(&page(&figures), &["Ties out"]);
}
