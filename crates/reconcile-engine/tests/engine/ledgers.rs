//! Ledgers: artifacts in their latest versions, by the ways to the values in their lines.

use std::collections::BTreeMap;

use reconcile::{
    Job,
    json_path::{JsonPath, JsonStep},
    plan::Plan,
    reference::{Arrival, InputRows, run},
    report::Outcome,
    task::TaskFormat,
};
use serde_json::json;

use crate::kit::{World, small};

const COLUMNS: [&str; 5] = ["paid", "paid.EUR", "count", "country", "applied_through"];

fn plan() -> Plan {
    let columns = COLUMNS.map(|name| {
        let kind = match name {
            "paid" | "paid.EUR" => "decimal(2)",
            "country" => "text",
            _ => "integer",
        };
        json!({"name": name, "type": kind})
    });
    let job = json!({
        "version": 1,
        "inputs": {"in": {"format": "ledger", "ledger": "orders", "columns": columns}},
        "outputs": [{"name": "out", "from": "in", "format": "csv"}],
    });
    Job::from_json(&job.to_string()).unwrap().plan(&BTreeMap::new()).unwrap().plan
}

fn paths() -> BTreeMap<String, JsonPath> {
    let member = |name: &str| JsonStep::Member(name.to_owned());
    let entry = JsonStep::Entry { member: "currency".to_owned(), is: "EUR".to_owned() };
    let paid = |entry: JsonStep| vec![member("measures"), member("paid"), entry, member("amount")];
    BTreeMap::from(
        [
            ("paid", paid(JsonStep::Only)),
            ("paid.EUR", paid(entry)),
            ("count", vec![member("measures"), member("count")]),
            ("country", vec![member("attributes"), member("country"), member("value")]),
        ]
        .map(|(name, steps)| (name.to_owned(), JsonPath(steps))),
    )
}

/// A version's line; amounts by currency.
fn line(key: &str, through: u64, amounts: &[(Option<&str>, &str)], country: Option<&str>) -> String {
    let entry = |(currency, amount): &(Option<&str>, &str)| json!({"currency": currency, "amount": amount});
    let paid: Vec<_> = amounts.iter().map(entry).collect();
    let country = country.map(|value| json!({"event_id": "e", "value": value}));
    let measures = json!({"count": amounts.len(), "paid": paid});
    format!(
        "{}\n",
        json!({"key": key, "applied_through": through, "measures": measures, "attributes": {"country": country}})
    )
}

async fn outcome(parts: &[String]) -> (World, Outcome, Vec<Vec<u8>>) {
    let mut world = World::new();
    for part in parts {
        world.put("in", TaskFormat::JsonLines, None, part.clone()).await;
    }
    world.inputs.get_mut("in").unwrap().paths = paths();
    let report = world.run(&plan(), &small()).await.unwrap();
    (world, report.outcome, parts.iter().map(|part| part.clone().into_bytes()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_are_read_in_their_latest_versions() {
    let parts = [
        "\u{feff}".to_owned() + &line("b", 2, &[(Some("EUR"), "1.50")], Some("DE")) + &line("c", 2, &[], None),
        line("a", 9, &[(None, "7")], None) + &line("b", 9, &[(Some("EUR"), "2.50")], Some("FR")),
        line("a", 10, &[(None, "8.01")], Some("a \"word\"")),
    ];
    let (world, outcome, objects) = outcome(&parts).await;
    let Outcome::Done(figures) = outcome else { panic!("{outcome:?}") };
    let text = String::from_utf8(world.read(&figures, "out").await).unwrap();
    assert_eq!(text, "8.01,,1,\"a \"\"word\"\"\",10\r\n2.50,2.50,1,FR,9\r\n,,0,,2\r\n");
    assert_eq!(figures.outputs[0].totals["paid"], "10.51");

    let rows = InputRows::of_json_lines(&plan(), "in", &world.inputs["in"], &objects).unwrap();
    let expected = run(&plan(), &BTreeMap::from([("in".to_owned(), rows)]), Arrival::Forwards).unwrap();
    let lines = expected["out"].rows.iter().map(|row| {
        let cells = row.iter().zip(&expected["out"].columns).map(|(cell, (_, kind))| kind.format(cell));
        cells.collect::<Vec<_>>().join(",")
    });
    assert_eq!(lines.collect::<Vec<_>>(), ["8.01,,1,a \"word\",10", "2.50,2.50,1,FR,9", ",,0,,2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_of_several_currencies_has_no_one_amount() {
    let parts = [line("a", 1, &[], None) + &line("b", 1, &[(Some("EUR"), "1"), (Some("USD"), "2")], None)];
    let (_, outcome, objects) = outcome(&parts).await;
    let Outcome::Failed { failure } = outcome else { panic!("{outcome:?}") };
    assert_eq!((failure.row, failure.column.as_deref()), (Some(2), Some("paid")));
    let told = r#"artifact "b": expected one entry of 2: name a currency, paid.EUR or paid.USD"#;
    assert!(failure.message.contains(told), "{}", failure.message);
    let mut world = World::new();
    world.put("in", TaskFormat::JsonLines, None, parts[0].clone()).await;
    world.inputs.get_mut("in").unwrap().paths = paths();
    let error = InputRows::of_json_lines(&plan(), "in", &world.inputs["in"], &objects).unwrap_err();
    let told = "row 2, column \"paid\": expected one entry of 2: name a currency, paid.EUR or paid.USD";
    assert_eq!(error, told);
}
