//! Random parameters of operations on whole tables.

#![expect(clippy::indexing_slicing, reason = "a key that a JSON object lacks is added")]

use reconcile::Type;
use serde_json::{Value as Json, json};

use super::maker::{Known, Maker};

const FUNCTIONS: [&str; 6] = ["sum", "count", "countDistinct", "average", "min", "max"];

impl Maker {
    /// Parameters for an operation on tables.
    pub(super) fn relational(&mut self, operation: &str, table: &Known) -> Option<Json> {
        let mut step = match operation {
            "vlookup" | "xlookup" => return self.lookup(operation, table),
            "join" => return self.join(table),
            "match" => return self.matching(table),
            "sumIfs" | "countIfs" | "averageIfs" => return self.criteria(operation, table),
            "append" => return Some(self.append(table)),
            "controlTotals" => return self.control_totals(table),
            "filter" => json!({"where": self.condition(table, 2)?}),
            "sort" => {
                let columns = table.such(|_| true);
                let by: Vec<Json> = self
                    .some(&columns, 3)
                    .into_iter()
                    .map(|column| json!({"column": column, "order": self.dice.pick(&["ascending", "descending"])}))
                    .collect();
                json!({"by": by})
            }
            "removeDuplicates" | "flagDuplicates" => self.duplicates(operation, table),
            "groupBy" => self.group_by(table)?,
            "pivot" => self.pivot(table)?,
            "unpivot" => self.unpivot(table)?,
            "runningTotal" => {
                let by = self.keys_of(table);
                json!({"column": self.column(table, Type::is_number)?, "by": by, "as": self.result(table)})
            }
            "variance" => self.variance(table)?,
            "select" => {
                let columns = table.such(|_| true);
                json!({"columns": self.some(&columns, 5)})
            }
            "drop" => {
                let columns = table.such(|_| true);
                json!({"columns": self.some(&columns, 2)})
            }
            "rename" => json!({"columns": [{"column": self.column(table, |_| true)?, "as": self.result(table)}]}),
            _ => return None,
        };
        if matches!(operation, "filter" | "sort" | "removeDuplicates" | "flagDuplicates") {
            self.case(&mut step);
        }
        step["from"] = json!(table.name);
        Some(step)
    }

    /// None, or a few columns that rows are grouped by.
    fn keys_of(&mut self, table: &Known) -> Vec<String> {
        let columns = table.such(|_| true);
        if self.chance(25) { Vec::new() } else { self.some(&columns, 2) }
    }

    /// A column of each table, of types that can be equal.
    fn pair(&mut self, left: &Known, right: &Known) -> Option<Json> {
        let one = self.column(left, |kind| right.columns.iter().any(|(_, other)| other.common(kind).is_some()))?;
        let kind = left.columns.iter().find(|(name, _)| *name == one).map(|(_, kind)| *kind)?;
        let two = self.column(right, |other| other.common(kind).is_some())?;
        Some(json!({"left": one, "right": two}))
    }

    fn pairs(&mut self, left: &Known, right: &Known) -> Option<Vec<Json>> {
        let count = 1 + usize::from(self.chance(25));
        (0..count).map(|_| self.pair(left, right)).collect()
    }

    /// Columns that are taken, now and then one of them twice, under names that nobody has.
    fn taken(&mut self, from: &Known, beside: &Known) -> Vec<Json> {
        let columns = from.such(|_| true);
        let mut taken = self.some(&columns, 3);
        if self.chance(15) {
            taken.extend_from_within(..1);
        }
        let taken = taken.into_iter().enumerate();
        taken
            .map(|(index, column)| json!({"column": column, "as": format!("t{}", beside.columns.len() + index)}))
            .collect()
    }

    fn lookup(&mut self, operation: &str, left: &Known) -> Option<Json> {
        let right = self.other();
        let mut step = json!({"from": left.name, "in": right.name, "on": self.pairs(left, &right)?, "columns": self.taken(&right, left)});
        if self.chance(50) {
            step["match"] = json!(match operation {
                "vlookup" => self.dice.pick(&["exact", "approximate"]),
                _ => self.dice.pick(&["exact", "nextSmaller", "nextLarger"]),
            });
        }
        if self.chance(40) {
            step["take"] = json!("last");
        }
        if self.chance(5) {
            step["notFound"] = json!("fail");
        }
        if self.chance(40) {
            step["found"] = json!(format!("found{}", left.columns.len()));
        }
        self.case(&mut step);
        Some(step)
    }

    fn join(&mut self, left: &Known) -> Option<Json> {
        let right = self.other();
        let join = self.dice.pick(&["inner", "left", "right", "full", "semi", "anti"]);
        let mut step = json!({"left": left.name, "right": right.name, "join": join, "on": self.pairs(left, &right)?});
        if !matches!(join, "semi" | "anti") {
            step["columns"] = json!(self.taken(&right, left));
            if self.chance(85) {
                step["expect"] = json!("manyToMany");
            }
        }
        self.case(&mut step);
        Some(step)
    }

    fn matching(&mut self, left: &Known) -> Option<Json> {
        let right = self.other();
        let mut step = json!({"left": left.name, "right": right.name, "on": self.pairs(left, &right)?, "rightPrefix": "R ",
            "candidates": format!("cand{}", left.columns.len()), "ambiguous": format!("amb{}", left.columns.len())});
        let amounts = (self.column(left, Type::is_number), self.column(&right, Type::is_number));
        if let (Some(one), Some(two)) = amounts
            && self.chance(75)
        {
            step["amount"] = json!({"left": one, "right": two});
            step["difference"] = json!(format!("diff{}", left.columns.len()));
            let most = self.dice.pick(&["0", "0.05", "1", "12.5"]);
            if self.chance(40) {
                step["tolerance"] = json!({"absolute": most});
            } else if self.chance(60) {
                let base = self.dice.pick(&["left", "right", "larger", "smaller"]);
                step["tolerance"] = json!({"percent": {"percent": most, "of": base}});
            }
        }
        self.case(&mut step);
        Some(step)
    }

    fn criteria(&mut self, operation: &str, left: &Known) -> Option<Json> {
        let right = self.other();
        let mut step =
            json!({"from": left.name, "in": right.name, "on": self.pairs(left, &right)?, "as": self.result(left)});
        if operation != "countIfs" || self.chance(50) {
            step["column"] = json!(self.column(&right, |kind| operation == "countIfs" || kind.is_number())?);
        }
        if self.chance(40) {
            step["where"] = self.condition(&right, 1)?;
        }
        self.case(&mut step);
        Some(step)
    }

    fn append(&mut self, table: &Known) -> Json {
        let mut tables = vec![table.name.clone()];
        for _ in 0..1 + self.dice.below(2) {
            tables.push(self.other().name);
        }
        let mut step = json!({"tables": tables, "columns": "any"});
        if self.chance(50) {
            step["source"] = json!(format!("source{}", table.columns.len()));
        }
        step
    }

    fn control_totals(&mut self, table: &Known) -> Option<Json> {
        let numbers = table.such(Type::is_number);
        let mut step = json!({"from": table.name, "columns": self.some(&numbers, 2)});
        if self.chance(50) {
            let columns = table.such(|_| true);
            step["by"] = json!(self.some(&columns, 2));
        }
        if self.chance(50) {
            step["against"] = json!(self.other().name);
            if self.chance(10) {
                step["onDifference"] = json!("fail");
            }
        }
        Some(step)
    }

    fn duplicates(&mut self, operation: &str, table: &Known) -> Json {
        let mut step = json!({});
        let columns = table.such(|_| true);
        if self.chance(70) {
            step["columns"] = json!(self.some(&columns, 5));
        }
        if operation == "flagDuplicates" {
            step["flag"] = json!(self.dice.pick(&["later", "all"]));
            step["as"] = json!(self.result(table));
        } else {
            step["keep"] = json!(self.dice.pick(&["first", "last"]));
        }
        step
    }

    fn group_by(&mut self, table: &Known) -> Option<Json> {
        let by = self.keys_of(table);
        let mut measures = Vec::new();
        for index in 0..1 + self.dice.below(4) {
            let function = self.dice.pick(&FUNCTIONS);
            let numbers = matches!(function, "sum" | "average");
            let column = self.column(table, |kind| !numbers || kind.is_number())?;
            measures.push(json!({"function": function, "column": column, "as": format!("m{index}")}));
        }
        Some(json!({"by": by, "measures": measures}))
    }

    fn pivot(&mut self, table: &Known) -> Option<Json> {
        let column = self.column(table, |kind| kind != Type::Timestamp)?;
        let kind = table.columns.iter().find(|(name, _)| *name == column).map(|(_, kind)| *kind)?;
        let values: Vec<Json> = (0..1 + self.dice.below(3))
            .map(|index| json!({"value": self.literal(kind), "as": format!("p{index}")}))
            .collect();
        let function = self.dice.pick(&FUNCTIONS);
        let of = self.column(table, |kind| !matches!(function, "sum" | "average") || kind.is_number())?;
        let others = if self.chance(10) {
            json!("fail")
        } else if self.chance(50) {
            json!("drop")
        } else {
            json!({"column": "others"})
        };
        let columns = table.such(|_| true);
        let rows: Vec<String> = self.some(&columns, 1).into_iter().filter(|row| *row != column).collect();
        let mut step =
            json!({"rows": rows, "column": column, "values": values, "function": function, "of": of, "others": others});
        if self.chance(40) {
            step["total"] = json!("total");
        }
        Some(step)
    }

    fn unpivot(&mut self, table: &Known) -> Option<Json> {
        let one = self.column(table, |_| true)?;
        let kind = table.columns.iter().find(|(name, _)| *name == one).map(|(_, kind)| *kind)?;
        let like: Vec<String> = table.such(|other| other.common(kind).is_some());
        let blanks = self.dice.pick(&["keep", "drop"]);
        Some(json!({"columns": self.some(&like, 3), "names": "unpivoted", "values": "cell", "blanks": blanks}))
    }

    fn variance(&mut self, table: &Known) -> Option<Json> {
        let (actual, expected) = (self.column(table, Type::is_number)?, self.column(table, Type::is_number)?);
        let mut step = json!({"actual": actual, "expected": expected, "difference": self.result(table)});
        if self.chance(70) {
            step["percent"] = json!(format!("pct{}", table.columns.len()));
            step["percentDecimals"] = json!(self.dice.below(5));
            step["rounding"] = json!(self.dice.pick(&["halfUp", "halfEven", "up", "down"]));
            if self.chance(10) {
                step["onZero"] = json!("fail");
            }
        }
        if self.chance(30) {
            step["blankAs"] = json!("zero");
        }
        Some(step)
    }
}
