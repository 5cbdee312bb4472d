//! Conditions, updates and queries → DynamoDB's expressions. Names and values go in by placeholders only: every name
//! may be a reserved word, and nothing a value says can become part of an expression.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use storage::{Condition, tables::Update};

use super::values::to_attribute;

/// The placeholders of one request.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    names: Vec<String>,
    values: Vec<AttributeValue>,
}

impl Expressions {
    /// The request's names; DynamoDB takes no empty map.
    pub(super) fn names(&self) -> Option<HashMap<String, String>> {
        let names = self.names.iter().enumerate().map(|(number, name)| (format!("#n{number}"), name.clone()));
        (!self.names.is_empty()).then(|| names.collect())
    }

    /// The request's values; DynamoDB takes no empty map.
    pub(super) fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        let values = self.values.iter().enumerate().map(|(number, value)| (format!(":v{number}"), value.clone()));
        (!self.values.is_empty()).then(|| values.collect())
    }

    fn name(&mut self, name: &str) -> String {
        let known = self.names.iter().position(|known| known == name);
        let number = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        format!("#n{number}")
    }

    fn value(&mut self, value: &Value) -> String {
        self.values.push(to_attribute(value.clone()));
        format!(":v{}", self.values.len() - 1)
    }

    /// A condition expression; none where anything goes.
    pub(super) fn condition(&mut self, condition: &Condition) -> Option<String> {
        (*condition != Condition::Always).then(|| self.part(condition))
    }

    fn part(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::Always => self.constant(true),
            Condition::Absent => format!("attribute_not_exists({})", self.name("pk")),
            Condition::Present => format!("attribute_exists({})", self.name("pk")),
            Condition::Equals(name, value) => format!("{} = {}", self.name(name), self.value(value)),
            Condition::Less(name, value) => format!("{} < {}", self.name(name), self.value(value)),
            Condition::Lacks(name) => format!("attribute_not_exists({})", self.name(name)),
            Condition::All(parts) => self.join(parts, " AND ", true),
            Condition::Any(parts) => self.join(parts, " OR ", false),
        }
    }

    /// DynamoDB refuses parentheses around parentheses: a single part stands alone.
    fn join(&mut self, parts: &[Condition], operator: &str, of_none: bool) -> String {
        match parts {
            [] => self.constant(of_none),
            [part] => self.part(part),
            parts => format!("({})", parts.iter().map(|part| self.part(part)).collect::<Vec<_>>().join(operator)),
        }
    }

    /// There are no literals for true and false, but every item has a key.
    pub(super) fn constant(&mut self, truth: bool) -> String {
        let operator = if truth { "OR" } else { "AND" };
        let name = self.name("pk");
        format!("(attribute_exists({name}) {operator} attribute_not_exists({name}))")
    }

    /// An update expression; none where nothing changes, which makes an absent item all the same.
    pub(super) fn update(&mut self, update: &Update) -> Option<String> {
        let set = update.set.iter().map(|(name, value)| format!("{} = {}", self.name(name), self.value(value)));
        let set = clause("SET", set.collect());
        let add =
            update.add.iter().map(|(name, number)| format!("{} {}", self.name(name), self.value(&(*number).into())));
        let add = clause("ADD", add.collect());
        let remove = clause("REMOVE", update.remove.iter().map(|name| self.name(name)).collect());
        let clauses: Vec<_> = [set, add, remove].into_iter().flatten().collect();
        (!clauses.is_empty()).then(|| clauses.join(" "))
    }

    /// The key condition of a query of a table or an index.
    pub(super) fn key_condition(&mut self, index: Option<&str>, partition: &str, sort_prefix: Option<&str>) -> String {
        let prefix = index.map(|index| format!("{index}_")).unwrap_or_default();
        let name = self.name(&format!("{prefix}pk"));
        let condition = format!("{name} = {}", self.value(&partition.into()));
        match sort_prefix.filter(|prefix| !prefix.is_empty()) {
            Some(sort_prefix) => {
                let name = self.name(&format!("{prefix}sk"));
                format!("{condition} AND begins_with({name}, {})", self.value(&sort_prefix.into()))
            }
            None => condition,
        }
    }
}

fn clause(word: &str, parts: Vec<String>) -> Option<String> {
    (!parts.is_empty()).then(|| format!("{word} {}", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use Condition::{Absent, All, Always, Any, Equals, Lacks, Present};

    use super::*;

    fn condition(condition: &Condition) -> Option<String> {
        Expressions::default().condition(condition)
    }

    #[test]
    fn single_parts_have_no_parentheses_and_several_have_one_pair() {
        assert_eq!(condition(&Always), None);
        assert_eq!(condition(&All(vec![Any(vec![Absent])])).unwrap(), "attribute_not_exists(#n0)");
        let nested = All(vec![Any(vec![All(vec![Present, Lacks("x".to_owned())])])]);
        assert_eq!(condition(&nested).unwrap(), "(attribute_exists(#n0) AND attribute_not_exists(#n1))");
    }

    #[test]
    fn names_are_shared_and_values_are_not() {
        let mut expressions = Expressions::default();
        let equals = |value: &str| Equals("x".to_owned(), value.into());
        let condition = expressions.condition(&Any(vec![equals("a"), equals("b OR attribute_exists(pk)")])).unwrap();
        assert_eq!(condition, "(#n0 = :v0 OR #n0 = :v1)");
        assert_eq!(expressions.names().unwrap().len(), 1);
        assert_eq!(expressions.values().unwrap().len(), 2);
    }

    #[test]
    fn unused_maps_are_absent() {
        let mut expressions = Expressions::default();
        assert_eq!(expressions.update(&Update::default()), None);
        assert_eq!((expressions.names(), expressions.values()), (None, None));
    }
}
