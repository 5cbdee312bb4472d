//! What a definition cannot say is refused, with the path of the key that is wrong.

use ledger::Ledger;
use serde_json::{Value, json};

fn definition() -> Value {
    json!({
        "name": "orders",
        "sources": { "shop": "2024-05-01T00:00:00Z" },
        "events": { "format": "csv", "fields": [
            { "name": "order" }, { "name": "id" }, { "name": "at", "type": "date" },
            { "name": "amount", "type": "number" }, { "name": "currency" },
        ] },
        "artifactKey": ["order"],
        "eventId": "id",
        "eventTime": "at",
        "amounts": [{ "column": "amount", "currencyColumn": "currency" }],
        "measures": { "net": { "measure": "sum", "column": "amount" }, "count": { "measure": "count" } },
        "status": { "balance": { "add": ["net"], "subtract": ["net"] } },
    })
}

/// The definition with the value at a JSON pointer set, or removed.
fn with(pointer: &str, value: Option<Value>) -> Result<Ledger, String> {
    let mut document = definition();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Array(items), Some(value)) => items[key.parse::<usize>().unwrap()] = value,
        (Value::Object(members), Some(value)) => drop(members.insert(key.to_owned(), value)),
        (Value::Object(members), None) => drop(members.shift_remove(key)),
        _ => unreachable!("a parent has members"),
    }
    Ledger::from_json(&document.to_string()).map_err(|error| error.to_string())
}

#[test]
fn a_small_definition_is_enough() {
    let ledger = Ledger::from_json(&definition().to_string()).unwrap();
    assert_eq!(ledger.definition().partition_bits.partitions(), 16);
    for pointer in ["/amounts", "/status"] {
        with(pointer, None).unwrap();
    }
    with("/sources", Some(json!({ "shop-eu_1.v2": "2024-05-01T00:00:00Z" }))).unwrap();
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    for (pointer, value, says) in [
        ("/name", json!("Orders"), "name: \"Orders\" is no name"),
        ("/tolerence", json!(1), "tolerence: unknown field `tolerence`"),
        ("/sources", json!({}), "sources: names no source"),
        ("/sources", json!({ "A b": "2024-05-01T00:00:00Z" }), "sources.A b: \"A b\" is no name"),
        ("/sources", json!({ "-shop": "2024-05-01T00:00:00Z" }), "sources.-shop: \"-shop\" is no name"),
        ("/sources", json!({ "shop": "May" }), "sources.shop: "),
        ("/policy", json!({ "leaseSeconds": 3599 }), "policy.leaseSeconds: is 3599: must be from 3600"),
        (
            "/policy",
            json!({ "grouping": { "batchesMax": 41 } }),
            "policy.grouping.batchesMax: is 41: must be from 1 to 40",
        ),
        ("/events/format", json!("xml"), "events.format: unknown variant `xml`"),
        ("/events/fields/2", json!({ "name": "at", "type": "geopoint" }), "events.fields: schema: field \"at\""),
        ("/events/fields/2", json!({ "name": "at" }), "eventTime: column \"at\" must be a date or a datetime"),
        ("/events/dialect", json!({ "delimiter": "||" }), "events.dialect: "),
        ("/events/recordBytesMax", json!(0), "events.recordBytesMax: "),
        ("/artifactKey", json!([]), "artifactKey: names no column"),
        ("/artifactKey", json!(["order", "x"]), "artifactKey[1]: there is no column \"x\""),
        ("/eventId", json!("x"), "eventId: there is no column \"x\""),
        ("/amounts/0/column", json!("x"), "amounts[0].column: there is no column \"x\""),
        ("/amounts/0/column", json!("order"), "amounts[0].column: column \"order\" must be a number"),
        ("/amounts/0/currencyColumn", json!("amount"), "amounts[0].currencyColumn: column \"amount\" cannot hold"),
        ("/amounts/0/currency", json!("EUR"), "amounts[0].currencyColumn: there is a currency for all events too"),
        ("/amounts/0/currency", json!("EURO"), "amounts[0].currency: \"EURO\" is not a currency"),
        ("/measures/net/column", json!("x"), "measures.net.column: there is no column \"x\""),
        ("/measures/net/column", json!("order"), "measures.net.column: column \"order\" must be a number"),
        ("/measures/net/measure", json!("average"), "measures.net.measure: unknown variant `average`"),
        ("/measures/net/where", json!({ "x": "1" }), "measures.net.where.x: there is no column \"x\""),
        (
            "/measures/net/where",
            json!({ "amount": "1,5" }),
            "measures.net.where.amount: \"1,5\" is no number such as -1250.5",
        ),
        ("/measures/count/column", json!("order"), "measures.count.column: count counts events"),
        ("/measures/a\"b", json!({ "measure": "count" }), "is no name"),
        ("/measures/a.b", json!({ "measure": "count" }), "measures.a.b: \"a.b\" is no name"),
        ("/status/balance/add", json!([]), "status.balance.add: names no measure"),
        ("/status/balance/add", json!(["count"]), "status.balance.add[0]: there is no sum measure \"count\""),
        ("/status/balance/tolerance", json!("-1"), "status.balance.tolerance: cannot be less than 0"),
        ("/status/balance/tolerance", json!(0.01), "status.balance.tolerance: invalid type: floating point"),
        ("/status", json!({ "rule": "x" }), "status.rule: there is no business rule \"x\"; known: settled"),
        ("/attributes", json!({ "a": "x" }), "attributes.a: there is no column \"x\""),
        ("/eventLines", json!({ "keep": { "last": 0 } }), "eventLines.keep.last: must be from 1 to 1000"),
        ("/eventLines", json!({ "columns": ["order"] }), "eventLines.columns: no lines are kept"),
        ("/eventLines", json!({ "keep": "all", "columns": ["x"] }), "eventLines.columns[0]: there is no column"),
        ("/duplicates", json!({ "idsMax": 0 }), "duplicates.idsMax: must be at least 1"),
        ("/partitionBits", json!(13), "partitionBits: 13 partition bits: expected 0 to 12"),
    ] {
        let error = with(pointer, Some(value)).map(|_| ()).unwrap_err();
        assert!(error.contains(says), "{pointer}: {error}");
    }
    let error = with("/measures/net/column", None).map(|_| ()).unwrap_err();
    assert_eq!(error, "measures.net.column: is missing");
    assert!(Ledger::from_json("{}{}").is_err());
}

#[test]
fn json_lines_have_no_dialect() {
    let mut document = definition();
    document["events"]["format"] = json!("jsonLines");
    Ledger::from_json(&document.to_string()).unwrap();
    let mut spelled = document.clone();
    spelled["events"]["fields"][3]["decimalChar"] = json!(",");
    assert!(Ledger::from_json(&spelled.to_string()).unwrap_err().to_string().starts_with("events.fields[3]: "));
    document["events"]["encoding"] = json!("latin1");
    assert!(Ledger::from_json(&document.to_string()).unwrap_err().to_string().starts_with("events.dialect: "));
}
