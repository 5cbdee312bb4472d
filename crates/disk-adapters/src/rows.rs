//! Items as rows: a fraction of their size as JSON, so that a table fits where it would not.
//!
//! A row is an item without its key, in the format of `postcard`. Texts that come again and again (names of attributes,
//! paths of files) are numbered, and a row holds their numbers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::{Condition, Item, Key, StorageError};

/// Numbers are given to no more texts than this.
const TEXTS_MAX: usize = 1 << 16;
/// Shorter texts are no longer than their numbers.
const TEXT_BYTES_MIN: usize = 3;
/// A text has come again if it is among so many that came last.
const RECENT: usize = 16;

#[derive(Serialize, Deserialize)]
enum Text<'a> {
    Known(u32),
    Plain(&'a str),
}

#[derive(Serialize, Deserialize)]
enum Stored<'a> {
    Null,
    Bool(bool),
    Whole(u64),
    Negative(i64),
    #[serde(borrow)]
    Text(Text<'a>),
    List(Vec<Stored<'a>>),
    Map(Vec<(Text<'a>, Stored<'a>)>),
}

/// The numbered texts.
#[derive(Debug, Default)]
pub(crate) struct Texts(RwLock<Numbered>);

/// Reads rows.
pub(crate) struct RowReader<'t>(RwLockReadGuard<'t, Numbered>);

#[derive(Debug, Default)]
struct Numbered {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
    recent: VecDeque<Box<str>>,
}

impl Texts {
    /// Texts that have the numbers of their places.
    pub(crate) fn new(texts: impl Iterator<Item = Arc<str>>) -> Self {
        let mut numbered = Numbered::default();
        texts.for_each(|text| {
            numbered.add(text);
        });
        Self(RwLock::new(numbered))
    }

    /// Every text from a number on, with its number.
    pub(crate) fn since(&self, number: u32) -> Vec<(u32, Arc<str>)> {
        (0..).zip(self.read().texts.iter().cloned()).skip(number as usize).collect()
    }

    /// A row of an item.
    pub(crate) fn encode(&self, table: &str, key: &Key, item: &Item) -> Result<Box<[u8]>, StorageError> {
        let attributes = item.iter().filter(|(name, _)| *name != "pk" && *name != "sk");
        let stored: Option<Vec<_>> =
            attributes.map(|(name, value)| Some((self.text(name), self.stored(value)?))).collect();
        let row = stored.and_then(|stored| postcard::to_allocvec(&stored).ok());
        row.map(Vec::into_boxed_slice).ok_or_else(|| unreadable(table, key))
    }

    /// The item of a row.
    pub(crate) fn decode(&self, table: &str, key: &Key, row: &[u8]) -> Result<Item, StorageError> {
        self.reader().item(table, key, row)
    }

    /// Reads many rows. Nobody gives a text a number meanwhile.
    pub(crate) fn reader(&self) -> RowReader<'_> {
        RowReader(self.read())
    }

    /// Whether a condition holds of a row, or of there being none. A comparison looks at its own attribute alone.
    pub(crate) fn holds(
        &self,
        table: &str,
        key: &Key,
        row: Option<&[u8]>,
        condition: &Condition,
    ) -> Result<bool, StorageError> {
        let Some(row) = row else { return Ok(condition.holds(None)) };
        match condition {
            Condition::Always | Condition::Present => Ok(true),
            Condition::Absent => Ok(false),
            Condition::Equals(name, value) if *name != "pk" && *name != "sk" => {
                let numbered = self.read();
                let (_, mut stored) = attributes(row).ok_or_else(|| unreadable(table, key))?;
                let is_named = |attribute: &Option<(Text<'_>, Stored<'_>)>| {
                    attribute.as_ref().is_none_or(|(found, _)| numbered.text(found) == Some(name))
                };
                let found =
                    stored.find(is_named).map(|found| found.ok_or_else(|| unreadable(table, key))).transpose()?;
                let found = found.map(|(_, found)| numbered.value(found).ok_or_else(|| unreadable(table, key)));
                Ok(found.transpose()?.as_ref() == Some(value))
            }
            _ => Ok(condition.holds(Some(&self.decode(table, key, row)?))),
        }
    }

    /// `None` for a number that no table keeps.
    fn stored<'a>(&self, value: &'a Value) -> Option<Stored<'a>> {
        Some(match value {
            Value::Null => Stored::Null,
            Value::Bool(is) => Stored::Bool(*is),
            Value::Number(number) => match number.as_u64() {
                Some(whole) => Stored::Whole(whole),
                None => Stored::Negative(number.as_i64()?),
            },
            Value::String(text) => Stored::Text(self.text(text)),
            Value::Array(values) => Stored::List(values.iter().map(|value| self.stored(value)).collect::<Option<_>>()?),
            Value::Object(map) => {
                let entries = map.iter().map(|(name, value)| Some((self.text(name), self.stored(value)?)));
                Stored::Map(entries.collect::<Option<_>>()?)
            }
        })
    }

    /// A text, by its number if it has one. Gives it one if it has come before.
    fn text<'a>(&self, text: &'a str) -> Text<'a> {
        if text.len() < TEXT_BYTES_MIN {
            return Text::Plain(text);
        }
        if let Some(number) = self.read().numbers.get(text) {
            return Text::Known(*number);
        }
        let mut numbered = self.write();
        if !numbered.recent.iter().any(|recent| **recent == *text) {
            if numbered.recent.len() == RECENT {
                numbered.recent.pop_front();
            }
            numbered.recent.push_back(text.into());
            return Text::Plain(text);
        }
        numbered.add(text.into()).map_or(Text::Plain(text), Text::Known)
    }

    fn read(&self) -> RwLockReadGuard<'_, Numbered> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Numbered> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RowReader<'_> {
    /// The item of a row.
    pub(crate) fn item(&self, table: &str, key: &Key, row: &[u8]) -> Result<Item, StorageError> {
        let Self(numbered) = self;
        let (count, stored) = attributes(row).ok_or_else(|| unreadable(table, key))?;
        let mut item = Item::with_capacity(count + 2);
        for attribute in stored {
            let (name, value) = attribute.ok_or_else(|| unreadable(table, key))?;
            let attribute = numbered.plain(name).zip(numbered.value(value));
            let (name, value) = attribute.ok_or_else(|| unreadable(table, key))?;
            item.insert(name, value);
        }
        item.insert("pk".to_owned(), key.partition.as_str().into());
        if let Some(sort) = &key.sort {
            item.insert("sk".to_owned(), sort.as_str().into());
        }
        Ok(item)
    }

    /// What a row's item has in these attributes.
    pub(crate) fn values(
        &self,
        table: &str,
        key: &Key,
        row: &[u8],
        names: &[&str],
    ) -> Result<Vec<Value>, StorageError> {
        let Self(numbered) = self;
        let (_, stored) = attributes(row).ok_or_else(|| unreadable(table, key))?;
        let mut values = vec![Value::Null; names.len()];
        for (place, attribute) in stored.enumerate() {
            let (name, value) = attribute.ok_or_else(|| unreadable(table, key))?;
            let name = numbered.text(&name).ok_or_else(|| unreadable(table, key))?;
            // They mostly stand in the order in which they are asked for.
            let place = match names.get(place) {
                Some(named) if *named == name => Some(place),
                _ => names.iter().position(|named| *named == name),
            };
            if let Some(held) = place.and_then(|place| values.get_mut(place)) {
                *held = numbered.value(value).ok_or_else(|| unreadable(table, key))?;
            }
        }
        Ok(values)
    }
}

impl Numbered {
    fn add(&mut self, text: Arc<str>) -> Option<u32> {
        if let Some(number) = self.numbers.get(&text) {
            return Some(*number);
        }
        let number = u32::try_from(self.texts.len()).ok().filter(|_| self.texts.len() < TEXTS_MAX)?;
        self.numbers.insert(Arc::clone(&text), number);
        self.texts.push(text);
        Some(number)
    }

    fn text<'t>(&'t self, text: &Text<'t>) -> Option<&'t str> {
        match text {
            Text::Known(number) => self.texts.get(*number as usize).map(|text| &**text),
            Text::Plain(text) => Some(text),
        }
    }

    fn plain(&self, text: Text<'_>) -> Option<String> {
        self.text(&text).map(str::to_owned)
    }

    fn value(&self, stored: Stored<'_>) -> Option<Value> {
        Some(match stored {
            Stored::Null => Value::Null,
            Stored::Bool(is) => is.into(),
            Stored::Whole(whole) => whole.into(),
            Stored::Negative(negative) => negative.into(),
            Stored::Text(text) => Value::String(self.plain(text)?),
            Stored::List(values) => {
                Value::Array(values.into_iter().map(|value| self.value(value)).collect::<Option<_>>()?)
            }
            Stored::Map(entries) => {
                let entry = |(name, value)| Some((self.plain(name)?, self.value(value)?));
                Value::Object(entries.into_iter().map(entry).collect::<Option<_>>()?)
            }
        })
    }
}

/// How many attributes a row has, and one after the other; `None` where they cannot be read.
fn attributes(row: &[u8]) -> Option<(usize, impl Iterator<Item = Option<(Text<'_>, Stored<'_>)>>)> {
    let (count, mut rest) = postcard::take_from_bytes::<usize>(row).ok()?;
    let next = move |_| {
        let (attribute, behind) = postcard::take_from_bytes(rest).ok()?;
        rest = behind;
        Some(attribute)
    };
    // Each takes two bytes at least.
    (count <= row.len()).then(|| (count, (0..count).map(next)))
}

fn unreadable(table: &str, key: &Key) -> StorageError {
    StorageError::Invalid { what: key.address(table), reason: "is no row of this store".to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(file: &str, offset: u64) -> Item {
        let Value::Object(item) = json!({ "pk": "a", "file": file, "offset": offset }) else { panic!("no item") };
        item
    }

    #[test]
    fn what_comes_again_is_numbered_and_comes_back() {
        let (texts, key) = (Texts::default(), Key::of("a"));
        let file = "a/path/that/is/long";
        let rows: Vec<_> = (0..3).map(|n| (item(file, n), texts.encode("t", &key, &item(file, n)).unwrap())).collect();
        assert!(rows[2].1.len() < file.len() && rows[0].1.len() > file.len());
        let kept = Texts::new(texts.since(0).into_iter().map(|(_, text)| text));
        for (item, row) in rows {
            assert_eq!(kept.decode("t", &key, &row).unwrap(), item);
        }
        assert_eq!(texts.since(2).len(), texts.since(0).len() - 2);
    }

    #[test]
    fn texts_that_come_once_have_no_number() {
        let texts = Texts::default();
        for number in 0..1000 {
            texts.encode("t", &Key::of("a"), &item(&format!("file {number}"), 0)).unwrap();
        }
        let names: Vec<_> = texts.since(0).into_iter().map(|(_, text)| text.to_string()).collect();
        assert_eq!(names, ["file", "offset"]);
    }

    #[test]
    fn a_row_of_numbers_that_nobody_gave_is_refused() {
        let (texts, key) = (Texts::default(), Key::of("a"));
        for _ in 0..3 {
            texts.encode("t", &key, &item("file", 1)).unwrap();
        }
        let row = texts.encode("t", &key, &item("file", 1)).unwrap();
        assert!(Texts::default().decode("t", &key, &row).is_err());
        assert!(texts.decode("t", &key, &[0xff, 0xff]).is_err());
    }
}
