//! Which columns hold amounts: those of which a sum says something.

use std::collections::BTreeMap;

use crate::{
    expression::{ColumnId, Expression, Operator},
    operations::{ControlTotals, Documented, Variance},
    plan::{Aggregation, Body, Plan, PlanColumn, PlanOutput, Relation, WindowFunction},
    types::Type,
};

/// What the numbers of a column are. Of what is made of several, the last of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nature {
    /// They name or count something, or are the same everywhere.
    Number,
    /// They add up.
    Amount,
    /// They are made of amounts, and do not add up: ratios, averages, running totals, and totals of several columns.
    Figure,
}

impl Plan {
    /// The columns of an output that hold amounts: decimals that are read, sums, and what is added, multiplied or rounded of
    /// them. Whole numbers that are read may be ids; percentages, averages and running totals do not add up.
    pub fn amounts<'p>(&self, output: &'p PlanOutput) -> Vec<&'p PlanColumn> {
        let mut natures = Natures(BTreeMap::new());
        self.relations.iter().for_each(|relation| natures.learn(relation));
        let is_amount = |column: &&PlanColumn| column.kind.is_number() && natures.of(column.id) == Nature::Amount;
        output.columns.iter().filter(is_amount).collect()
    }
}

/// What is known of columns so far.
struct Natures(BTreeMap<ColumnId, Nature>);

impl Natures {
    fn of(&self, column: ColumnId) -> Nature {
        self.0.get(&column).copied().unwrap_or(Nature::Number)
    }

    fn learn(&mut self, relation: &Relation) {
        match &relation.body {
            Body::Read { .. } => {
                self.0.extend(relation.columns.iter().map(|column| (column.id, as_read(column.kind))));
            }
            Body::Project { compute, .. } => {
                let is_variance = relation.operation == Variance::NAME;
                for one in compute {
                    let is_product =
                        matches!(one.expression, Expression::Arithmetic { operator: Operator::Multiply, .. });
                    // A percentage, which is a share multiplied, is one of what is the same everywhere, too.
                    let is_figure = is_variance && is_product;
                    let nature = if is_figure { Nature::Figure } else { self.computed(&one.expression) };
                    self.0.insert(one.column, nature);
                }
            }
            Body::Aggregate { measures, .. } => {
                // There, counts and sums of several columns stand below one another.
                let is_mixed = relation.operation == ControlTotals::NAME;
                for one in measures {
                    let nature = measured(one.function, self.of(one.of));
                    self.0.insert(one.column, if is_mixed { Nature::Figure } else { nature });
                }
            }
            Body::Window { function, column, .. } => {
                let nature = match function {
                    WindowFunction::RowNumber => Nature::Number,
                    WindowFunction::RunningSum { .. } => Nature::Figure,
                    WindowFunction::LastValue { of } => self.of(*of),
                };
                self.0.insert(*column, nature);
            }
            Body::Unpivot { cells, value, .. } => {
                let nature = cells.iter().map(|cell| self.of(cell.column)).max().unwrap_or(Nature::Number);
                self.0.insert(*value, nature);
            }
            Body::Union { sources } => {
                for (at, column) in relation.columns.iter().enumerate() {
                    let of = sources.iter().filter_map(|source| source.columns.get(at));
                    let nature = of.map(|of| self.of(*of)).max().unwrap_or(Nature::Number);
                    self.0.insert(column.id, nature);
                }
            }
            Body::Filter { .. } | Body::Join { .. } | Body::Match { .. } => {}
        }
    }

    fn computed(&self, expression: &Expression) -> Nature {
        let most = |of: &mut dyn Iterator<Item = &Expression>| {
            of.map(|one| self.computed(one)).max().unwrap_or(Nature::Number)
        };
        match expression {
            Expression::Column { id, .. } => self.of(*id),
            Expression::Arithmetic { operator, left, right, .. } => {
                let (one, other) = (self.computed(left), self.computed(right));
                match operator {
                    Operator::Add | Operator::Subtract => one.max(other),
                    // A price of a quantity, a part of an amount.
                    Operator::Multiply if one == Nature::Amount || other == Nature::Amount => Nature::Amount,
                    Operator::Multiply => one.max(other),
                    Operator::Divide if has_column(right) => Nature::Figure,
                    Operator::Divide => one,
                }
            }
            Expression::Negate { of }
            | Expression::Absolute { of }
            | Expression::Round { of, .. }
            | Expression::Cast { of, .. }
            | Expression::Require { of, .. } => self.computed(of),
            Expression::Case { branches, otherwise } => {
                most(&mut branches.iter().map(|branch| &branch.then).chain([otherwise.as_ref()]))
            }
            Expression::Coalesce { of } => most(&mut of.iter()),
            Expression::ParseNumber { kind, .. } => as_read(*kind),
            _ => Nature::Number,
        }
    }
}

const fn as_read(kind: Type) -> Nature {
    if matches!(kind, Type::Decimal(_)) { Nature::Amount } else { Nature::Number }
}

/// Whoever asks for the sum of whole numbers says that they add up.
fn measured(function: Aggregation, of: Nature) -> Nature {
    match function {
        Aggregation::Sum => of.max(Nature::Amount),
        Aggregation::Count | Aggregation::CountDistinct => Nature::Number,
        Aggregation::Average => Nature::Figure,
        Aggregation::Min | Aggregation::Max => of,
    }
}

fn has_column(expression: &Expression) -> bool {
    matches!(expression, Expression::Column { .. }) || expression.parts().into_iter().any(has_column)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::Job;

    /// The amounts of what the last of the steps gives.
    fn amounts(steps: &Json) -> Vec<String> {
        let column = |(name, kind): (&str, &str)| json!({"name": name, "type": kind});
        let columns = [("id", "integer"), ("who", "text"), ("net", "decimal(2)"), ("due", "decimal(2)")].map(column);
        let last = steps.as_array().and_then(|steps| Some(steps.last()?["name"].clone())).unwrap_or(json!("in"));
        let job = json!({
            "version": 1,
            "inputs": {"in": {"format": "jsonLines", "objects": ["in"], "columns": columns}},
            "steps": steps,
            "outputs": [{"name": "out", "from": last, "format": "csv"}],
        });
        let plan = Job::from_json(&job.to_string()).unwrap().plan(&std::collections::BTreeMap::new()).unwrap().plan;
        plan.amounts(&plan.outputs[0]).into_iter().map(|column| column.name.clone()).collect()
    }

    #[test]
    fn ids_ratios_and_running_totals_are_no_amounts() {
        assert_eq!(amounts(&json!([])), ["net", "due"]);
        let steps = json!([
            {"name": "a", "operation": "variance", "from": "in", "actual": "net", "expected": "due", "difference": "open",
                "percent": "percent"},
            {"name": "b", "operation": "runningTotal", "from": "a", "column": "net", "as": "balance"},
            {"name": "c", "operation": "multiply", "from": "b", "left": "id", "right": {"value": 2}, "as": "twice"},
            {"name": "d", "operation": "divide", "from": "c", "left": "net", "right": {"value": 12}, "as": "monthly"},
            {"name": "e", "operation": "round", "from": "d", "column": "percent", "decimals": 1, "as": "rounded"},
            {"name": "f", "operation": "multiply", "from": "e", "left": "net", "right": "percent", "as": "share"},
            {"name": "h", "operation": "variance", "from": "f", "actual": "net", "expected": {"value": "10"},
                "difference": "beyond", "percent": "percent of ten"},
            {"name": "g", "operation": "if", "from": "h", "where": {"column": "who", "is": "blank"},
                "then": {"value": 0}, "else": "open", "as": "known"},
        ]);
        assert_eq!(amounts(&steps), ["net", "due", "open", "monthly", "share", "beyond", "known"]);
    }

    #[test]
    fn sums_that_a_job_asks_for_are_amounts() {
        let measures = json!([
            {"function": "sum", "column": "net", "as": "paid"}, {"function": "sum", "column": "id", "as": "pieces"},
            {"function": "average", "column": "net", "as": "mean"}, {"function": "count", "column": "id", "as": "rows"},
        ]);
        let group = json!({"name": "sums", "operation": "groupBy", "from": "in", "by": ["who"], "measures": measures});
        let lookup = json!({"name": "found", "operation": "vlookup", "from": "in", "in": "sums",
            "on": [{"left": "who", "right": "who"}], "columns": [{"column": "paid"}, {"column": "mean"}]});
        let totals = json!({"name": "totals", "operation": "controlTotals", "from": "in", "columns": ["net", "due"]});
        assert_eq!(amounts(&json!([totals])), [""; 0]);
        assert_eq!(amounts(&json!([group])), ["paid", "pieces"]);
        assert_eq!(amounts(&json!([group, lookup])), ["net", "due", "paid"]);
    }
}
