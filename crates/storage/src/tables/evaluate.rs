//! What a condition, an update and a query mean, for versions of [`Tables`](super::Tables) that keep their items
//! themselves.

use std::{borrow::Borrow, cmp::Ordering};

use serde_json::{Number, Value};

use super::{Condition, Cursor, Item, Key, Page, Query, Update, check_item, item_bytes};
use crate::StorageError;

/// The most bytes of items in one page of a query: DynamoDB's bound.
const PAGE_BYTES: usize = 1024 * 1024;

impl Condition {
    /// Whether it holds of what stands at the key. The condition has been checked.
    pub fn holds(&self, item: Option<&Item>) -> bool {
        let attribute = |name: &String| item.and_then(|item| item.get(name));
        match self {
            Self::Always => true,
            Self::Absent => item.is_none(),
            Self::Present => item.is_some(),
            Self::Equals(name, value) => attribute(name) == Some(value),
            Self::Less(name, value) => match (attribute(name), value) {
                (Some(Value::String(found)), Value::String(bound)) => found < bound,
                (Some(Value::Number(found)), Value::Number(bound)) => integer(found) < integer(bound),
                _ => false,
            },
            Self::Lacks(name) => attribute(name).is_none(),
            Self::All(parts) => parts.iter().all(|part| part.holds(item)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(item)),
        }
    }
}

/// The value of a number that has been checked to be a whole one of 64 bits.
fn integer(number: &Number) -> i128 {
    number.as_i128().unwrap_or_default()
}

impl Update {
    /// The item after the update, which has been checked.
    pub fn applied(&self, table: &str, key: &Key, current: Option<&Item>) -> Result<Item, StorageError> {
        let mut item = current.cloned().unwrap_or_else(|| key.attributes());
        for (name, value) in &self.set {
            item.insert(name.clone(), value.clone());
        }
        for (name, addend) in &self.add {
            let sum = match item.get(name) {
                None => Some(i128::from(*addend)),
                Some(Value::Number(number)) => Some(integer(number) + i128::from(*addend)),
                Some(_) => None,
            };
            let number = sum.and_then(Number::from_i128).ok_or_else(|| StorageError::Invalid {
                what: key.address(table),
                reason: format!("adding {addend} to attribute {name} gives no whole number of 64 bits"),
            })?;
            item.insert(name.clone(), Value::Number(number));
        }
        for name in &self.remove {
            item.shift_remove(name);
        }
        check_item(table, &item)?;
        Ok(item)
    }
}

/// The query's page of the `items` of its table, in any order: all of them, or all that it could ask for.
pub fn page_of<I: Borrow<Item>>(query: &Query, items: impl Iterator<Item = I>) -> Result<Page, StorageError> {
    if query.limit == Some(0) {
        let reason = "a query's limit is at least 1".to_owned();
        return Err(StorageError::Invalid { what: query.table.clone(), reason });
    }
    let order = Order::of(query);
    let mut found: Vec<I> = items.filter(|item| order.takes(query, item.borrow())).collect();
    found.sort_by(|a, b| order.compare(a.borrow(), b.borrow()));
    if let Some(Cursor(last)) = &query.from {
        found.retain(|item| order.compare(item.borrow(), last).is_gt());
    }
    Ok(order.page(found, query.limit.unwrap_or(usize::MAX)))
}

/// Which attributes a query goes by: the table's own or an index's.
struct Order {
    partition: String,
    sort: String,
    descending: bool,
}

impl Order {
    fn of(query: &Query) -> Self {
        let (partition, sort) = match &query.index {
            Some(index) => (format!("{index}_pk"), format!("{index}_sk")),
            None => ("pk".to_owned(), "sk".to_owned()),
        };
        Self { partition, sort, descending: query.descending }
    }

    fn takes(&self, query: &Query, item: &Item) -> bool {
        let sort = text(item, &self.sort);
        text(item, &self.partition) == Some(&query.partition)
            && (query.index.is_none() || sort.is_some())
            && query.sort_prefix.as_ref().is_none_or(|prefix| sort.is_some_and(|sort| sort.starts_with(prefix)))
    }

    /// By sort key; those of an index are not unique, so the item's own key breaks the tie.
    fn compare(&self, a: &Item, b: &Item) -> Ordering {
        let key = |item| [text(item, &self.sort), text(item, "pk"), text(item, "sk")];
        let order = key(a).cmp(&key(b));
        if self.descending { order.reverse() } else { order }
    }

    fn page<I: Borrow<Item>>(&self, found: Vec<I>, limit: usize) -> Page {
        let mut items = Vec::new();
        let mut bytes = 0;
        for item in &found {
            let item = item.borrow();
            items.push(item.clone());
            bytes += item_bytes(item);
            if items.len() >= limit || bytes >= PAGE_BYTES {
                let next = Some(Cursor(self.cursor(item)));
                return Page { items, next };
            }
        }
        Page { items, next: None }
    }

    fn cursor(&self, item: &Item) -> Item {
        let keys = ["pk", "sk", &self.partition, &self.sort];
        keys.into_iter().filter_map(|name| Some((name.to_owned(), item.get(name)?.clone()))).collect()
    }
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).and_then(Value::as_str)
}
