//! Random parameters of operations that compute a column.

#![expect(clippy::indexing_slicing, reason = "a key that a JSON object lacks is added")]

use reconcile::Type;
use serde_json::{Value as Json, json};

use super::maker::{Known, Maker};

const ROUNDINGS: [&str; 4] = ["halfUp", "halfEven", "up", "down"];
const DATE_FORMATS: [&str; 6] = ["%d.%m.%Y", "default", "%a, %d-%b-%y", "%Y-%m-%d", "%d.%m.%y", "%F"];

impl Maker {
    /// Parameters for an operation; `None` where the tables there are have nothing for it.
    pub(super) fn parameters(&mut self, operation: &str) -> Option<Json> {
        let table = self.table();
        let mut step = match operation {
            "add" | "subtract" | "multiply" | "divide" => self.arithmetic(&table, operation),
            "abs" | "negate" => json!({"column": self.column(&table, Type::is_number)?}),
            "round" | "roundUp" | "roundDown" => {
                let mut step =
                    json!({"column": self.column(&table, Type::is_number)?, "decimals": self.dice.below(9) as i64 - 3});
                if operation == "round" {
                    step["rounding"] = json!(self.dice.pick(&ROUNDINGS));
                }
                step
            }
            "if" => {
                let (then, otherwise) = self.branches(&table)?;
                let mut step = json!({"where": self.condition(&table, 2)?, "then": then});
                if self.chance(80) {
                    step["else"] = otherwise;
                }
                self.case(&mut step);
                step
            }
            "ifs" => {
                let (then, otherwise) = self.branches(&table)?;
                let branches = [then, otherwise.clone()]
                    .map(|then| Some(json!({"where": self.condition(&table, 1)?, "then": then})));
                let branches: Option<Vec<Json>> = branches.into_iter().collect();
                json!({"branches": branches?, "else": otherwise})
            }
            "coalesce" => {
                let (one, two) = self.branches(&table)?;
                json!({"of": [one, two]})
            }
            "concat" => self.concat(&table)?,
            "trim" | "upper" | "lower" | "len" => json!({"column": self.column(&table, |_| true)?}),
            "left" | "right" => json!({"column": self.column(&table, |_| true)?, "length": self.dice.below(5)}),
            "mid" => {
                json!({"column": self.column(&table, |_| true)?, "start": 1 + self.dice.below(4), "length": self.dice.below(6)})
            }
            "substitute" => self.substitute(&table)?,
            "value" => self.value(&table)?,
            "dateValue" => {
                let on_error = if self.chance(75) { "blank" } else { "fail" };
                json!({"column": self.column(&table, |kind| kind == Type::Text)?, "format": self.dice.pick(&DATE_FORMATS), "onError": on_error})
            }
            "dateDif" => self.date_dif(&table)?,
            "constant" => {
                let kind = super::values::kind(&mut self.dice);
                let value = if self.chance(75) { self.literal(kind) } else { Json::Null };
                json!({"type": kind, "value": value})
            }
            _ => return self.relational(operation, &table),
        };
        step["from"] = json!(table.name);
        step["as"] = json!(self.result(&table));
        Some(step)
    }

    /// A column that is such.
    pub(super) fn column(&mut self, table: &Known, such: impl Fn(Type) -> bool) -> Option<String> {
        let columns = table.such(such);
        self.one(&columns)
    }

    /// Now and then, a rule for upper and lower case.
    pub(super) fn case(&mut self, step: &mut Json) {
        if self.chance(40) {
            step["case"] = json!(self.dice.pick(&["ignore", "sensitive"]));
        }
    }

    fn number(&mut self, table: &Known) -> Json {
        match self.column(table, Type::is_number) {
            Some(column) if self.chance(75) => json!(column),
            _ => {
                let kind = self.dice.pick(&[Type::Integer, Type::Decimal(1), Type::Decimal(3)]);
                json!({"value": self.literal(kind)})
            }
        }
    }

    fn arithmetic(&mut self, table: &Known, operation: &str) -> Json {
        let mut step = json!({"left": self.number(table), "right": self.number(table)});
        if self.chance(30) {
            step["blankAs"] = json!("zero");
        }
        if matches!(operation, "multiply" | "divide") {
            if self.chance(60) {
                step["scale"] = json!(self.dice.pick(&[0, 1, 2, 4, 8, 20]));
            }
            if self.chance(60) {
                step["rounding"] = json!(self.dice.pick(&ROUNDINGS));
            }
        }
        if operation == "divide" && self.chance(75) {
            step["onZero"] = json!("blank");
        }
        step
    }

    /// Two operands of types that go together.
    fn branches(&mut self, table: &Known) -> Option<(Json, Json)> {
        let one = self.column(table, |_| true)?;
        let kind = table.columns.iter().find(|(name, _)| *name == one).map(|(_, kind)| *kind)?;
        let two = if self.chance(50) {
            json!({"value": self.literal(kind), "type": kind})
        } else {
            json!(self.column(table, |other| other.common(kind).is_some())?)
        };
        Some((json!(one), two))
    }

    fn concat(&mut self, table: &Known) -> Option<Json> {
        let mut of: Vec<Json> = Vec::new();
        for _ in 0..1 + self.dice.below(3) {
            of.push(json!(self.column(table, |_| true)?));
        }
        if self.chance(30) {
            of.push(json!({"value": self.literal(Type::Text)}));
        }
        let mut step = json!({"of": of});
        if self.chance(50) {
            step["separator"] = json!(self.dice.pick(&["-", ", ", "😀"]));
        }
        Some(step)
    }

    fn substitute(&mut self, table: &Known) -> Option<Json> {
        let find = self.dice.pick(&["a", "b", " ", "ab", ".", "\\", "$", "😀", "e", "\u{301}", "1", "\n"]);
        let mut step = json!({"column": self.column(table, |_| true)?, "find": find});
        if self.chance(70) {
            step["with"] = json!(self.dice.pick(&["", "x", "aa", "$1", "\\", "😀"]));
        }
        if self.chance(50) {
            step["occurrence"] = json!(1 + self.dice.below(3));
        }
        Some(step)
    }

    fn value(&mut self, table: &Known) -> Option<Json> {
        let kind = self.dice.pick(&[Type::Integer, Type::Decimal(0), Type::Decimal(2), Type::Decimal(3)]);
        let mut step = json!({"column": self.column(table, |kind| kind == Type::Text)?, "type": kind});
        if self.chance(75) {
            step["onError"] = json!("blank");
        }
        if self.chance(20) {
            step["decimalChar"] = json!(",");
            step["groupChar"] = json!(".");
        }
        if self.chance(30) {
            step["credit"] = json!("positive");
        }
        Some(step)
    }

    fn date_dif(&mut self, table: &Known) -> Option<Json> {
        let mut ends = Vec::new();
        for _ in 0..2 {
            ends.push(match self.column(table, |kind| kind == Type::Date) {
                Some(column) if self.chance(70) => json!(column),
                _ => json!({"value": self.literal(Type::Date), "type": "date"}),
            });
        }
        let on_reversed = if self.chance(75) { "blank" } else { "fail" };
        let unit = self.dice.pick(&["D", "M", "Y", "YM", "MD", "YD"]);
        Some(json!({"start": ends.first()?, "end": ends.last()?, "unit": unit, "onReversed": on_reversed}))
    }

    /// A condition on a row of the table.
    pub(super) fn condition(&mut self, table: &Known, depth: u64) -> Option<Json> {
        if depth > 0 && self.chance(40) {
            let key = self.dice.pick(&["all", "any", "not"]);
            let inner = self.condition(table, depth - 1)?;
            if key == "not" {
                return Some(json!({"not": inner}));
            }
            return Some(json!({key: [inner, self.condition(table, depth - 1)?]}));
        }
        let column = self.column(table, |_| true)?;
        let kind = table.columns.iter().find(|(name, _)| *name == column).map(|(_, kind)| *kind)?;
        let mut tests = vec!["=", "<>", "<", "<=", ">", ">=", "in", "blank", "notBlank"];
        if kind == Type::Text {
            tests.extend(["contains", "startsWith", "endsWith"]);
        }
        let is = self.dice.pick(&tests);
        let mut test = json!({"column": column, "is": is});
        match is {
            "blank" | "notBlank" => return Some(test),
            "in" => test["values"] = json!([self.literal(kind), self.literal(kind)]),
            _ => {
                let other = self.column(table, |other| other.common(kind).is_some());
                match other {
                    Some(other) if self.chance(40) => test["to"] = json!(other),
                    _ => test["value"] = self.literal(kind),
                }
            }
        }
        if kind == Type::Text {
            self.case(&mut test);
        }
        Some(test)
    }
}
