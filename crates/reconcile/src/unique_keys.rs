//! Keys that stand twice in an object of JSON: readers keep the last of them, and say nothing.

use std::{collections::BTreeSet, fmt};

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};

use crate::error::PlanError;

/// Refuses a document of which an object has a key twice. What is no JSON is left to whoever reads it.
pub fn unique_keys(text: &str) -> Result<(), PlanError> {
    let mut path = Vec::new();
    match Values(&mut path).deserialize(&mut serde_json::Deserializer::from_str(text)) {
        Err(error) if error.is_data() => Err(PlanError::document(path.concat(), error.to_string())),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Walks through values. Where it fails, the path leads there.
struct Values<'p>(&'p mut Vec<String>);

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Values<'_> {
    fn step(&mut self, name: String) -> Values<'_> {
        self.0.push(name);
        Values(self.0)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let dot = if self.0.is_empty() { "" } else { "." };
            let name = format!("{dot}{key}");
            if !keys.insert(key) {
                self.0.push(name);
                return Err(de::Error::custom("it is there twice"));
            }
            map.next_value_seed(self.step(name))?;
            self.0.pop();
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut values: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            if values.next_element_seed(self.step(format!("[{index}]")))?.is_none() {
                break;
            }
            self.0.pop();
        }
        self.0.pop();
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_there_twice_is_told_with_its_path() {
        let told = |text: &str| unique_keys(text).err().map(|error| error.to_string());
        for (text, path) in [
            (r#"{"a": 1, "a": 2}"#, "a: it is there twice"),
            (r#"{"inputs": {"bank": {}, "bank": {}}}"#, "inputs.bank: it is there twice"),
            (
                r#"{"steps": [[], {"where": {"x": 1}, "n": [1, 2], "where": null}]}"#,
                "steps[1].where: it is there twice",
            ),
        ] {
            let told = told(text).unwrap();
            assert!(told.contains(path) && told.contains("line 1"), "{told}");
        }
        for text in [r#"{"a": {"b": [1.5, -1, true, null, "x"]}, "b": {"b": []}}"#, "[", "", r#"{"a": 1"#] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
