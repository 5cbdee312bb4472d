//! The laws of conditions and transactions.

use futures::future::join_all;
use serde_json::{Value, json};

use super::{Space, get, is_invalid, put, with_key};
use crate::{
    Condition, Item, Key, Tables,
    conformance::check,
    tables::{Outcome, TRANSACTION_WRITES_MAX, Transaction, Update, Write},
};
use Condition::{Absent, All, Always, Any, Equals, Lacks, Less, Present};

pub(super) async fn checks(tables: &dyn Tables, space: &Space) {
    check!(tables, space =>
        conditions_hold_or_do_not,
        puts_updates_and_deletes_heed_conditions,
        conditions_no_service_can_ask_are_refused,
        of_many_conditional_puts_one_wins,
        of_many_compare_and_swaps_one_wins,
        a_transaction_writes_all,
        a_refused_transaction_writes_nothing,
        of_many_transactions_one_wins,
        impossible_transactions_are_refused,
    );
}

fn equals(name: &str, value: impl Into<Value>) -> Condition {
    Equals(name.to_owned(), value.into())
}

fn less(name: &str, value: impl Into<Value>) -> Condition {
    Less(name.to_owned(), value.into())
}

fn lacks(name: &str) -> Condition {
    Lacks(name.to_owned())
}

/// Conditions that hold of [`subject`].
fn hold() -> Vec<Condition> {
    vec![
        Always,
        Present,
        equals("pk", "in place of the partition"),
        equals("number", 10),
        equals("text", "b"),
        equals("null", Value::Null),
        equals("list", json!([1, { "two": null }])),
        equals("map", json!({ "b": 2, "a": 1 })),
        equals("a.b #c :d", true),
        less("number", 11),
        less("number", 100),
        less("number", u64::MAX),
        less("minus", -4),
        less("text", "ba"),
        less("text", "ü"),
        lacks("absent"),
        All(vec![]),
        All(vec![Present, equals("number", 10), lacks("absent")]),
        Any(vec![Absent, equals("number", 10)]),
        All(vec![Any(vec![lacks("number"), less("number", 11)]), Any(vec![equals("text", "b"), Absent])]),
        Any(vec![All(vec![Absent, Present]), Always]),
    ]
}

/// Conditions that do not hold of [`subject`].
fn fail() -> Vec<Condition> {
    vec![
        Absent,
        equals("number", 11),
        equals("number", "10"),
        equals("number", Value::Null),
        equals("text", "B"),
        equals("absent", Value::Null),
        equals("null", false),
        equals("list", json!([1])),
        less("number", 10),
        less("number", 9),
        less("number", "z"),
        less("minus", -5),
        less("text", "b"),
        less("text", 99),
        less("text", "Z"),
        less("absent", 1),
        less("null", 1),
        lacks("null"),
        lacks("number"),
        Any(vec![]),
        All(vec![Present, equals("number", 11)]),
        Any(vec![Absent, equals("number", 11)]),
        All(vec![Always, Any(vec![])]),
    ]
}

fn subject(space: &Space, sort: &str) -> Item {
    let attributes = json!({
        "number": 10, "minus": -5, "text": "b", "null": null, "list": [1, { "two": null }],
        "map": { "a": 1, "b": 2 }, "a.b #c :d": true,
    });
    space.item(sort, attributes)
}

fn in_place(condition: Condition, space: &Space) -> Condition {
    match condition {
        Equals(name, _) if name == "pk" => equals("pk", space.partition.as_str()),
        other => other,
    }
}

/// Each condition, true and false, of an item and of none; a refusal shows what stands there.
async fn conditions_hold_or_do_not(tables: &dyn Tables, space: &Space) {
    let subject = subject(space, "subject");
    put(tables, space.sorted(), &subject).await;
    for condition in hold().into_iter().map(|condition| in_place(condition, space)) {
        let outcome = tables.put(space.sorted(), subject.clone(), condition.clone()).await.unwrap();
        assert_eq!(outcome, Outcome::Written, "{condition:?}");
    }
    let other = space.item("subject", json!({ "other": true }));
    for condition in fail() {
        let outcome = tables.put(space.sorted(), other.clone(), condition.clone()).await.unwrap();
        assert_eq!(outcome, Outcome::Refused(Some(subject.clone())), "{condition:?}");
    }
    let of_none_hold = [Always, Absent, lacks("x"), All(vec![]), Any(vec![Present, Absent])];
    let of_none_fail = [Present, equals("x", 1), equals("x", Value::Null), less("x", 1), Any(vec![])];
    let none = space.item("none", json!({}));
    for condition in of_none_fail {
        let outcome = tables.put(space.sorted(), none.clone(), condition.clone()).await.unwrap();
        assert_eq!(outcome, Outcome::Refused(None), "{condition:?}");
    }
    for condition in of_none_hold {
        let outcome = tables.put(space.sorted(), none.clone(), condition.clone()).await.unwrap();
        assert_eq!(outcome, Outcome::Written, "{condition:?}");
        tables.delete(space.sorted(), &space.key("none"), Always).await.unwrap();
    }
}

/// Every write that takes a condition heeds it, in tables of both shapes.
async fn puts_updates_and_deletes_heed_conditions(tables: &dyn Tables, space: &Space) {
    for (table, key) in [(space.sorted(), space.key("a")), (space.plain(), space.plain_key("a"))] {
        let item = with_key(&key, json!({ "state": "open" }));
        let update = || Update { set: vec![("state".to_owned(), json!("closed"))], ..Update::default() };
        let nothing = Outcome::Refused(None);
        assert_eq!(tables.update(table, &key, update(), Present).await.unwrap(), nothing);
        assert_eq!(tables.delete(table, &key, Present).await.unwrap(), nothing);
        assert_eq!(tables.delete(table, &key, equals("state", "open")).await.unwrap(), nothing);
        assert_eq!(get(tables, table, &key).await, None);
        assert_eq!(tables.put(table, item.clone(), Absent).await.unwrap(), Outcome::Written);

        let shown = Outcome::Refused(Some(item.clone()));
        assert_eq!(tables.put(table, item.clone(), Absent).await.unwrap(), shown);
        assert_eq!(tables.update(table, &key, update(), equals("state", "closed")).await.unwrap(), shown);
        assert_eq!(tables.delete(table, &key, equals("state", "closed")).await.unwrap(), shown);
        assert_eq!(get(tables, table, &key).await, Some(item));

        let written = Outcome::Written;
        assert_eq!(tables.update(table, &key, update(), equals("state", "open")).await.unwrap(), written);
        assert_eq!(tables.delete(table, &key, equals("state", "closed")).await.unwrap(), written);
        assert_eq!(get(tables, table, &key).await, None);
    }
}

/// Smaller than a boolean, null, a list or a map: `Invalid`, wherever it hides.
async fn conditions_no_service_can_ask_are_refused(tables: &dyn Tables, space: &Space) {
    for value in [json!(true), Value::Null, json!([1]), json!({ "a": 1 })] {
        let condition = Any(vec![Absent, All(vec![less("x", value)])]);
        let put = tables.put(space.sorted(), space.item("a", json!({})), condition.clone()).await;
        assert!(is_invalid(&put), "{put:?}");
        let delete = tables.delete(space.sorted(), &space.key("a"), condition).await;
        assert!(is_invalid(&delete), "{delete:?}");
    }
}

/// Of eight concurrent creations one is made; each of the others is shown an item.
async fn of_many_conditional_puts_one_wins(tables: &dyn Tables, space: &Space) {
    for round in 0..5 {
        let sort = &format!("item-{round}");
        let create = async |writer: usize| {
            let item = space.item(sort, json!({ "writer": writer }));
            tables.put(space.sorted(), item, Absent).await.unwrap()
        };
        let outcomes = join_all((0..8).map(create)).await;
        let winners: Vec<_> = (0..8).filter(|writer| outcomes[*writer] == Outcome::Written).collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        let winner = space.item(sort, json!({ "writer": winners[0] }));
        let refused = Outcome::Refused(Some(winner.clone()));
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Written || *outcome == refused));
        assert_eq!(get(tables, space.sorted(), &space.key(sort)).await, Some(winner));
    }
}

/// Of eight concurrent updates from one version to the next, one is made.
async fn of_many_compare_and_swaps_one_wins(tables: &dyn Tables, space: &Space) {
    put(tables, space.sorted(), &space.item("a", json!({ "version": 0 }))).await;
    for version in 0..5 {
        let swap = async |writer: usize| {
            let set = vec![("writer".to_owned(), json!(writer))];
            let update = Update { set, add: vec![("version".to_owned(), 1)], ..Update::default() };
            tables.update(space.sorted(), &space.key("a"), update, equals("version", version)).await.unwrap()
        };
        let outcomes = join_all((0..8).map(swap)).await;
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Written).count(), 1);
    }
    assert_eq!(get(tables, space.sorted(), &space.key("a")).await.unwrap()["version"], 5);
}

/// One write of each kind, on two tables, under conditions that hold.
fn writes(space: &Space, condition_of_update: Condition) -> Vec<Write> {
    let sorted = || space.sorted().to_owned();
    let update = Update { add: vec![("count".to_owned(), 1)], ..Update::default() };
    vec![
        Write::Put { table: sorted(), item: space.item("put", json!({ "x": 1 })), condition: Absent },
        Write::Update { table: sorted(), key: space.key("update"), update, condition: condition_of_update },
        Write::Delete { table: sorted(), key: space.key("delete"), condition: Present },
        Write::Check { table: sorted(), key: space.key("check"), condition: equals("open", true) },
        Write::Put {
            table: space.plain().to_owned(),
            item: with_key(&space.plain_key("put"), json!({})),
            condition: Always,
        },
    ]
}

async fn prepare(tables: &dyn Tables, space: &Space) {
    put(tables, space.sorted(), &space.item("update", json!({ "count": 1 }))).await;
    put(tables, space.sorted(), &space.item("delete", json!({}))).await;
    put(tables, space.sorted(), &space.item("check", json!({ "open": true }))).await;
}

/// Everything that stands at the keys of [`writes`].
async fn state(tables: &dyn Tables, space: &Space) -> Vec<Option<Item>> {
    let mut found = Vec::new();
    for sort in ["put", "update", "delete", "check"] {
        found.push(get(tables, space.sorted(), &space.key(sort)).await);
    }
    found.push(get(tables, space.plain(), &space.plain_key("put")).await);
    found
}

/// A transaction whose conditions all hold is written, all of it; an empty one is no error.
async fn a_transaction_writes_all(tables: &dyn Tables, space: &Space) {
    prepare(tables, space).await;
    let written = tables.transact(writes(space, equals("count", 1))).await.unwrap();
    assert_eq!(written, Transaction::Written);
    let expected = vec![
        Some(space.item("put", json!({ "x": 1 }))),
        Some(space.item("update", json!({ "count": 2 }))),
        None,
        Some(space.item("check", json!({ "open": true }))),
        Some(with_key(&space.plain_key("put"), json!({}))),
    ];
    assert_eq!(state(tables, space).await, expected);
    assert_eq!(tables.transact(Vec::new()).await.unwrap(), Transaction::Written);
    let many = (0..TRANSACTION_WRITES_MAX).map(|number| Write::Put {
        table: space.sorted().to_owned(),
        item: space.item(&format!("many-{number}"), json!({})),
        condition: Absent,
    });
    assert_eq!(tables.transact(many.collect()).await.unwrap(), Transaction::Written);
}

/// A transaction with conditions that do not hold writes nothing and tells which they are.
async fn a_refused_transaction_writes_nothing(tables: &dyn Tables, space: &Space) {
    prepare(tables, space).await;
    let before = state(tables, space).await;
    let refused = tables.transact(writes(space, equals("count", 9))).await.unwrap();
    assert_eq!(refused, Transaction::Refused(vec![false, true, false, false, false]));
    assert_eq!(state(tables, space).await, before);

    put(tables, space.sorted(), &space.item("check", json!({ "open": false }))).await;
    put(tables, space.sorted(), &space.item("put", json!({ "old": true }))).await;
    let before = state(tables, space).await;
    let refused = tables.transact(writes(space, Always)).await.unwrap();
    assert_eq!(refused, Transaction::Refused(vec![true, false, false, true, false]));
    assert_eq!(state(tables, space).await, before);
}

/// Of several concurrent transactions for the next number, each number goes to one.
async fn of_many_transactions_one_wins(tables: &dyn Tables, space: &Space) {
    put(tables, space.sorted(), &space.item("counter", json!({ "next": 0 }))).await;
    for next in 0..3 {
        let take = async |writer: usize| {
            let update = Update { add: vec![("next".to_owned(), 1)], ..Update::default() };
            let table = || space.sorted().to_owned();
            let item = space.item(&format!("taken-{next}"), json!({ "writer": writer }));
            let writes = vec![
                Write::Update { table: table(), key: space.key("counter"), update, condition: equals("next", next) },
                Write::Put { table: table(), item, condition: Absent },
            ];
            tables.transact(writes).await.unwrap()
        };
        let outcomes = join_all((0..6).map(take)).await;
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Transaction::Written).count(), 1, "{outcomes:?}");
    }
    assert_eq!(get(tables, space.sorted(), &space.key("counter")).await.unwrap()["next"], 3);
}

/// Too many writes, two of one item, one that alone would be refused: `Invalid`, and nothing is written.
async fn impossible_transactions_are_refused(tables: &dyn Tables, space: &Space) {
    let write = |sort: &str, attributes: Value| Write::Put {
        table: space.sorted().to_owned(),
        item: space.item(sort, attributes),
        condition: Always,
    };
    let check = |key: Key| Write::Check { table: space.sorted().to_owned(), key, condition: Absent };
    let idle = Write::Update {
        table: space.sorted().to_owned(),
        key: space.key("1"),
        update: Update::default(),
        condition: Always,
    };
    let wrong = [
        (0..=TRANSACTION_WRITES_MAX).map(|number| write(&number.to_string(), json!({}))).collect(),
        vec![write("0", json!({})), check(space.key("0"))],
        vec![write("0", json!({})), write("1", json!({ "float": 0.5 }))],
        vec![write("0", json!({})), check(Key::sorted("", "a"))],
        vec![write("0", json!({})), idle],
    ];
    for writes in wrong {
        let refused = tables.transact(writes).await;
        assert!(is_invalid(&refused), "{refused:?}");
    }
    assert_eq!(get(tables, space.sorted(), &space.key("0")).await, None);
}
