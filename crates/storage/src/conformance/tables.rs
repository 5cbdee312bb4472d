//! The laws of [`Tables`].

mod conditions;
mod queries;

use serde_json::{Value, json};

use super::{ODD, check};
use crate::{
    Condition, Item, Key, StorageError, Tables,
    tables::{Outcome, Update},
};

/// The tables that the suite works on, which may hold other items meanwhile.
#[derive(Debug, Clone)]
pub struct TestTables {
    /// A table with `pk` and `sk`, and the index [`TestTables::index`].
    pub sorted: String,
    /// A table with `pk` only.
    pub plain: String,
    /// The name of the index.
    pub index: String,
}

/// All laws, in partitions that begin with `prefix`, of which there are none yet.
pub async fn tables(tables: &dyn Tables, names: &TestTables, prefix: &str) {
    let space = Space { names: names.clone(), partition: prefix.to_owned() };
    check!(tables, space =>
        what_was_put_is_read,
        every_kind_of_value_is_kept,
        numbers_keep_all_64_bits,
        what_no_table_keeps_is_refused,
        odd_keys_name_what_they_say,
        big_items_are_kept_and_bigger_ones_refused,
        bad_keys_are_refused,
        many_keys_are_read_in_their_order,
        values_are_read_by_their_names,
        many_big_items_are_read_and_written,
        many_items_are_put,
        an_update_changes_what_it_names,
        an_update_makes_what_is_not_there,
        additions_add_up,
        impossible_updates_are_refused,
        deleting_nothing_is_no_error,
    );
    conditions::checks(tables, &space).await;
    queries::checks(tables, &space).await;
}

/// A partition of the test tables.
struct Space {
    names: TestTables,
    partition: String,
}

impl Space {
    fn below(&self, name: &str) -> Self {
        Self { names: self.names.clone(), partition: format!("{}#{name}", self.partition) }
    }

    fn sorted(&self) -> &str {
        &self.names.sorted
    }

    fn plain(&self) -> &str {
        &self.names.plain
    }

    /// The key in the sorted table.
    fn key(&self, sort: &str) -> Key {
        Key::sorted(&self.partition, sort)
    }

    /// An item for the sorted table.
    fn item(&self, sort: &str, attributes: Value) -> Item {
        with_key(&self.key(sort), attributes)
    }

    /// The key in the plain table.
    fn plain_key(&self, name: &str) -> Key {
        Key::of(format!("{}#{name}", self.partition))
    }
}

fn with_key(key: &Key, attributes: Value) -> Item {
    let Value::Object(attributes) = attributes else { panic!("{attributes} is no item") };
    key.attributes().into_iter().chain(attributes).collect()
}

async fn put(tables: &dyn Tables, table: &str, item: &Item) {
    assert_eq!(tables.put(table, item.clone(), Condition::Always).await.unwrap(), Outcome::Written);
}

async fn get(tables: &dyn Tables, table: &str, key: &Key) -> Option<Item> {
    tables.get(table, key).await.unwrap()
}

fn is_invalid<T: std::fmt::Debug>(outcome: &Result<T, StorageError>) -> bool {
    matches!(outcome, Err(StorageError::Invalid { .. }))
}

/// An item is read back at once, whole, after a put and after an overwrite; a put leaves nothing of the one before.
async fn what_was_put_is_read(tables: &dyn Tables, space: &Space) {
    let key = space.key("a");
    assert_eq!(get(tables, space.sorted(), &key).await, None);
    for round in 0..20 {
        let item = space.item("a", json!({ "round": round, (format!("only in {round}")): true }));
        put(tables, space.sorted(), &item).await;
        assert_eq!(get(tables, space.sorted(), &key).await, Some(item));
    }
    let (plain, attributes) = (space.plain_key("a"), json!({ "name": "plain" }));
    put(tables, space.plain(), &with_key(&plain, attributes.clone())).await;
    assert_eq!(get(tables, space.plain(), &plain).await, Some(with_key(&plain, attributes)));
    let bare = space.item("bare", json!({}));
    put(tables, space.sorted(), &bare).await;
    assert_eq!(get(tables, space.sorted(), &space.key("bare")).await, Some(bare));
}

/// Null, booleans, numbers, texts, lists and maps, empty and nested, under any names.
async fn every_kind_of_value_is_kept(tables: &dyn Tables, space: &Space) {
    let item = space.item(
        "a",
        json!({
            "null": null, "true": true, "false": false, "zero": 0, "minus": -1, "text": "text", "empty text": "",
            "empty list": [], "empty map": {}, "list": [1, "two", null, [3, [4]], {"five": 5}],
            "map": {"a": {"b": [{"c": null}]}, " ": 1}, "number in text": "007.50",
            "size": 1, "name": "reserved words", "a.b": 1, "a[0]": 2, "#n": 3, ":v": 4, "naïve Größe 🦀": "日本語",
        }),
    );
    put(tables, space.sorted(), &item).await;
    assert_eq!(get(tables, space.sorted(), &space.key("a")).await, Some(item));
}

/// Whole numbers of 64 bits come back to the last digit.
async fn numbers_keep_all_64_bits(tables: &dyn Tables, space: &Space) {
    let borders = json!([
        i64::MIN,
        i64::MIN + 1,
        -(1_i64 << 53) - 1,
        0,
        (1_i64 << 53) + 1,
        10_000_000_000_000_000_u64,
        i64::MAX,
        i64::MAX as u64 + 1,
        u64::MAX - 1,
        u64::MAX,
    ]);
    let item = space.item("a", json!({ "borders": borders }));
    put(tables, space.sorted(), &item).await;
    assert_eq!(get(tables, space.sorted(), &space.key("a")).await, Some(item));
}

/// A float, or an attribute without a name, is refused wherever it hides: in an item, an update, a condition.
async fn what_no_table_keeps_is_refused(tables: &dyn Tables, space: &Space) {
    let key = space.key("a");
    for wrong in [json!(0.1), json!([{ "deep": 1e30 }]), json!({ "": 1 })] {
        let put = tables.put(space.sorted(), space.item("a", json!({ "x": wrong })), Condition::Always).await;
        assert!(is_invalid(&put), "{put:?}");
        let many = tables.put_many(space.sorted(), vec![space.item("a", json!({ "x": wrong }))]).await;
        assert!(is_invalid(&many), "{many:?}");
        let update = Update { set: vec![("x".to_owned(), wrong.clone())], ..Update::default() };
        let update = tables.update(space.sorted(), &key, update, Condition::Always).await;
        assert!(is_invalid(&update), "{update:?}");
        let condition = Condition::Any(vec![Condition::Absent, Condition::Equals("x".to_owned(), wrong)]);
        let put = tables.put(space.sorted(), space.item("a", json!({})), condition).await;
        assert!(is_invalid(&put), "{put:?}");
    }
    assert_eq!(get(tables, space.sorted(), &key).await, None);
}

/// Any letters may stand in keys.
async fn odd_keys_name_what_they_say(tables: &dyn Tables, space: &Space) {
    let keys = ODD.map(|odd| space.below(odd).key(odd));
    for key in &keys {
        put(tables, space.sorted(), &with_key(key, json!({ "sort": key.sort }))).await;
    }
    let found = tables.get_many(space.sorted(), &keys).await.unwrap();
    for (key, item) in keys.iter().zip(found) {
        assert_eq!(item, Some(with_key(key, json!({ "sort": key.sort }))));
        assert_eq!(get(tables, space.sorted(), key).await, item);
    }
}

/// An item of nearly 400 KiB is kept; a larger one is `Invalid`, also when an update would make it so.
async fn big_items_are_kept_and_bigger_ones_refused(tables: &dyn Tables, space: &Space) {
    let key = space.key("a");
    let big = space.item("a", json!({ "text": "x".repeat(399 * 1024) }));
    put(tables, space.sorted(), &big).await;
    assert_eq!(get(tables, space.sorted(), &key).await, Some(big.clone()));
    let bigger = space.item("a", json!({ "text": "x".repeat(401 * 1024) }));
    let refused = tables.put(space.sorted(), bigger.clone(), Condition::Always).await;
    assert!(is_invalid(&refused), "{refused:?}");
    assert!(is_invalid(&tables.put_many(space.sorted(), vec![bigger]).await));
    assert_eq!(get(tables, space.sorted(), &key).await, Some(big));
}

/// No key, an empty one, one that is no text: `Invalid`.
async fn bad_keys_are_refused(tables: &dyn Tables, space: &Space) {
    let Value::Array(wrong) = json!([{}, { "pk": "", "sk": "a" }, { "pk": "a", "sk": "" }, { "pk": 1, "sk": "a" }])
    else {
        panic!("not a list")
    };
    for item in wrong.into_iter().filter_map(|item| item.as_object().cloned()) {
        let refused = tables.put(space.sorted(), item.clone(), Condition::Always).await;
        assert!(is_invalid(&refused), "{item:?} gave {refused:?}");
    }
    for key in [Key::sorted("", "a"), Key::sorted("a", ""), Key::sorted("x".repeat(2049), "a"), Key::of("a")] {
        let refused = tables.get(space.sorted(), &key).await;
        assert!(is_invalid(&refused), "{key:?} gave {refused:?}");
    }
}

/// Items stand where their keys stand: any number of keys, doubles, absent ones, none at all.
async fn many_keys_are_read_in_their_order(tables: &dyn Tables, space: &Space) {
    let number_of = |index: usize| index * 7 % 130;
    let items = (0..130).filter(|number| number % 3 != 0);
    let items = items.map(|number| space.item(&format!("{number:03}"), json!({ "number": number })));
    tables.put_many(space.sorted(), items.collect()).await.unwrap();
    let keys: Vec<_> = (0..350).map(|index| space.key(&format!("{:03}", number_of(index)))).collect();
    let found = tables.get_many(space.sorted(), &keys).await.unwrap();
    assert_eq!(found.len(), keys.len());
    for (index, item) in found.into_iter().enumerate() {
        let number = number_of(index);
        let expected = (number % 3 != 0).then(|| space.item(&format!("{number:03}"), json!({ "number": number })));
        assert_eq!(item, expected);
    }
    assert!(tables.get_many(space.sorted(), &[]).await.unwrap().is_empty());
}

/// Attributes are found by their names, wherever they stand in the item, and those that are not there are `null`.
async fn values_are_read_by_their_names(tables: &dyn Tables, space: &Space) {
    let items = [
        json!({ "first": 1, "second": "two", "third": [3] }),
        json!({ "third": { "3": null }, "second": null, "other": true, "first": -1 }),
        json!({ "other": 1 }),
    ];
    for (number, attributes) in items.into_iter().enumerate() {
        put(tables, space.sorted(), &space.item(&number.to_string(), attributes)).await;
    }
    let keys = ["2", "absent", "0", "1", "0"].map(|sort| space.key(sort));
    let values = [
        Some(json!([null, null, null])),
        None,
        Some(json!(["two", 1, [3]])),
        Some(json!([null, -1, { "3": null }])),
        Some(json!(["two", 1, [3]])),
    ];
    let expected = values.map(|values| values.map(|values| values.as_array().cloned().unwrap()));
    assert_eq!(tables.get_values(space.sorted(), &keys, &["second", "first", "third"]).await.unwrap(), expected);
    assert!(is_invalid(&tables.get_values(space.sorted(), &[space.plain_key("a")], &["first"]).await));
}

/// Items whose sum is more than one call may carry (16 MiB) are written and read, every one.
async fn many_big_items_are_read_and_written(tables: &dyn Tables, space: &Space) {
    let name = |number: usize| format!("{number:02}");
    let items: Vec<_> = (0..60).map(|number| space.item(&name(number), json!({ "x": "x".repeat(300_000) }))).collect();
    tables.put_many(space.sorted(), items.clone()).await.unwrap();
    let keys: Vec<_> = (0..60).map(|number| space.key(&name(number))).collect();
    let found = tables.get_many(space.sorted(), &keys).await.unwrap();
    assert!(found.into_iter().eq(items.into_iter().map(Some)));
}

/// Any number of items are put; of two with one key, one stays.
async fn many_items_are_put(tables: &dyn Tables, space: &Space) {
    let mut items: Vec<_> =
        (0..60).map(|number| with_key(&space.plain_key(&number.to_string()), json!({ "number": number }))).collect();
    let double = with_key(&space.plain_key("7"), json!({ "number": "again" }));
    items.push(double.clone());
    tables.put_many(space.plain(), items.clone()).await.unwrap();
    let keys: Vec<_> = (0..60).map(|number| space.plain_key(&number.to_string())).collect();
    for (number, found) in tables.get_many(space.plain(), &keys).await.unwrap().into_iter().enumerate() {
        let found = found.unwrap();
        assert!(found == items[number] || number == 7 && found == double, "{found:?}");
    }
    tables.put_many(space.plain(), Vec::new()).await.unwrap();
}

/// Set, add and remove change what they name, whatever it was before, and nothing else.
async fn an_update_changes_what_it_names(tables: &dyn Tables, space: &Space) {
    let before = json!({ "kept": [1], "set": "text", "count": 40, "gone": 1, "a.b": 1, "size": 1 });
    put(tables, space.sorted(), &space.item("a", before)).await;
    let update = Update {
        set: vec![("set".to_owned(), json!({ "now": ["a", null] })), ("a.b".to_owned(), json!(2))],
        add: vec![("count".to_owned(), 2), ("size".to_owned(), -3), ("fresh".to_owned(), 5)],
        remove: vec!["gone".to_owned(), "never there".to_owned()],
    };
    let outcome = tables.update(space.sorted(), &space.key("a"), update, Condition::Always).await.unwrap();
    assert_eq!(outcome, Outcome::Written);
    let after = json!({ "kept": [1], "set": { "now": ["a", null] }, "a.b": 2, "count": 42, "size": -2, "fresh": 5 });
    assert_eq!(get(tables, space.sorted(), &space.key("a")).await, Some(space.item("a", after)));
}

/// An update of what is not there makes an item of its key and changes, even of none.
async fn an_update_makes_what_is_not_there(tables: &dyn Tables, space: &Space) {
    let set = Update { set: vec![("x".to_owned(), json!(null))], ..Update::default() };
    let add = Update { add: vec![("x".to_owned(), -7)], ..Update::default() };
    let remove = Update { remove: vec!["x".to_owned()], ..Update::default() };
    let cases = [(set, json!({ "x": null })), (add, json!({ "x": -7 })), (remove, json!({}))];
    for (sort, (update, attributes)) in
        ["set", "add", "remove", "nothing"].into_iter().zip(cases.into_iter().chain([(Update::default(), json!({}))]))
    {
        tables.update(space.sorted(), &space.key(sort), update, Condition::Always).await.unwrap();
        assert_eq!(get(tables, space.sorted(), &space.key(sort)).await, Some(space.item(sort, attributes)));
    }
}

/// Concurrent additions are all counted.
async fn additions_add_up(tables: &dyn Tables, space: &Space) {
    let key = &space.key("a");
    let add = async |addend| {
        let update = Update { add: vec![("count".to_owned(), addend)], ..Update::default() };
        tables.update(space.sorted(), key, update, Condition::Always).await.unwrap();
    };
    futures::future::join_all((1..=20).map(add)).await;
    assert_eq!(get(tables, space.sorted(), key).await, Some(space.item("a", json!({ "count": 210 }))));
}

/// Changing the key, one attribute twice, or adding to a text: `Invalid`, and nothing changes.
async fn impossible_updates_are_refused(tables: &dyn Tables, space: &Space) {
    let item = space.item("a", json!({ "text": "1", "most": u64::MAX }));
    put(tables, space.sorted(), &item).await;
    let wrong = [
        Update { set: vec![("pk".to_owned(), json!("other"))], ..Update::default() },
        Update { remove: vec!["sk".to_owned()], ..Update::default() },
        Update { set: vec![("x".to_owned(), json!(1))], add: vec![("x".to_owned(), 1)], ..Update::default() },
        Update { add: vec![("text".to_owned(), 1)], ..Update::default() },
    ];
    for update in wrong {
        let refused = tables.update(space.sorted(), &space.key("a"), update.clone(), Condition::Always).await;
        assert!(is_invalid(&refused), "{update:?} gave {refused:?}");
    }
    assert_eq!(get(tables, space.sorted(), &space.key("a")).await, Some(item));
}

/// Deleting twice is as good as once.
async fn deleting_nothing_is_no_error(tables: &dyn Tables, space: &Space) {
    put(tables, space.sorted(), &space.item("a", json!({}))).await;
    for _ in 0..2 {
        let outcome = tables.delete(space.sorted(), &space.key("a"), Condition::Always).await.unwrap();
        assert_eq!(outcome, Outcome::Written);
        assert_eq!(get(tables, space.sorted(), &space.key("a")).await, None);
    }
}
