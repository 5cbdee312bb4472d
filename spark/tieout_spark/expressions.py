"""Expressions of the plan as SQL.

An expression becomes two: its value, and what is wrong with it (a message, or null). The value is null where that is
so: nothing raises an exception, and Spark may evaluate whatever it likes whenever it likes. What is wrong is said by
the branch that is taken alone.
"""

from __future__ import annotations

from typing import Dict, List, Optional

from tieout_spark.arithmetic import Arithmetic
from tieout_spark.layers import Json, Make, Sql, deepest, first, joined
from tieout_spark.sql import literal, spark_type
from tieout_spark.texts import Texts


class Expressions(Arithmetic, Texts):
    """Layers of what the plan's expressions say."""

    def kinds(self) -> Dict[str, Make]:
        return {
            **Arithmetic.kinds(self),
            **Texts.kinds(self),
            "column": self._column,
            "constant": self._constant,
            "cast": self._cast,
            "dateDifference": self._dateDifference,
            "compare": self._compare,
            "and": self._and,
            "or": self._or,
            "not": self._not,
            "isBlank": self._isBlank,
            "contains": self._contains,
            "case": self._case,
            "coalesce": self._coalesce,
            "require": self._require,
        }

    # Values

    def _column(self, e: Json) -> Sql:
        return self.known.get(e["id"]) or Sql(f"c{e['id']}", e["type"], simple=True)

    def _constant(self, e: Json) -> Sql:
        return constant(e["constant"])

    def _cast(self, e: Json) -> Sql:
        of = self.sql(e["of"])
        return self.cast(of, e["type"])

    def _dateDifference(self, e: Json) -> Sql:
        start, end = self.bound(self.sql(e["from"])), self.bound(self.sql(e["to"]))
        one, two = start.value, end.value
        days = f"cast(datediff({two}, {one}) as bigint)"
        if e["unit"] == "D":
            return joined(days, "integer", [start, end])
        begun = f"((year({two}) - year({one})) * 12 + month({two}) - month({one})"
        months = f"{begun} - case when day({two}) < day({one}) then 1 else 0 end)"
        value = {
            "M": months,
            "Y": f"{months} div 12",
            "YM": f"{months} % 12",
            "MD": f"datediff({two}, add_months({one}, {months}))",
            "YD": f"datediff({two}, add_months({one}, {months} - {months} % 12))",
        }[e["unit"]]
        value = f"case when {one} <= {two} then cast({value} as bigint) end"
        reversed_days = f"concat(cast({one} as string), ' is after ', cast({two} as string))"
        own = f"case when {one} > {two} then {reversed_days} end"
        return Sql(value, "integer", first([start.fault, end.fault, own]), max(start.depth, end.depth))

    # Conditions: never null

    def _compare(self, e: Json) -> Sql:
        left, right = self.sql(e["left"]), self.sql(e["right"])
        sign = {"equal": "=", "less": "<", "lessOrEqual": "<="}[e["comparison"]]
        return joined(f"coalesce({left.value} {sign} {right.value}, false)", "boolean", [left, right])

    def _and(self, e: Json) -> Sql:
        return self.decided(e["of"], "and", False)

    def _or(self, e: Json) -> Sql:
        return self.decided(e["of"], "or", True)

    def decided(self, of: List[Json], word: str, by: bool) -> Sql:
        """Conditions of which the first that is `by` decides: what is wrong behind it does not count."""
        parts = [self.condition(one) for one in of]
        value = f" {word} ".join(part.value for part in parts) or str(not by).lower()
        fault: Optional[str] = None
        for part in reversed(parts):
            if fault is not None:
                stops = part.value if by else f"not {part.value}"
                fault = f"case when {stops} then null else {fault} end"
            fault = first([part.fault, fault])
        return Sql(f"({value})", "boolean", fault, deepest(parts))

    def condition(self, expression: Json) -> Sql:
        """A condition; blank is false."""
        sql = self.sql(expression)
        value = f"({sql.value})" if expression["kind"] in NEVER_BLANK else f"coalesce({sql.value}, false)"
        made = Sql(value, "boolean", sql.fault, sql.depth)
        return self.bound(made) if sql.fault else made

    def _not(self, e: Json) -> Sql:
        of = self.condition(e["of"])
        return Sql(f"(not {of.value})", "boolean", of.fault, of.depth)

    def _isBlank(self, e: Json) -> Sql:
        of = self.sql(e["of"])
        return Sql(f"({of.value} is null)", "boolean", of.fault, of.depth)

    def _contains(self, e: Json) -> Sql:
        of, find = self.sql(e["of"]), self.sql(e["find"])
        return joined(f"coalesce(contains({of.value}, {find.value}), false)", "boolean", [of, find])

    # Branches

    def _case(self, e: Json) -> Sql:
        branches = [(self.condition(one["when"]), self.sql(one["then"])) for one in e["branches"]]
        otherwise = self.sql(e["otherwise"])
        parts = [part for branch in branches for part in branch] + [otherwise]
        whens = " ".join(f"when {when.value} then {then.value}" for when, then in branches)
        value = f"case {whens} else {otherwise.value} end"
        if not any(part.fault for part in parts):
            return Sql(value, otherwise.kind, None, deepest(parts))
        faults = " ".join(
            (f"when {when.fault} is not null then {when.fault} " if when.fault else "")
            + f"when {when.value} then {then.fault or 'null'}"
            for when, then in branches
        )
        return Sql(value, otherwise.kind, f"case {faults} else {otherwise.fault or 'null'} end", deepest(parts))

    def _coalesce(self, e: Json) -> Sql:
        parts = [self.sql(one) for one in e["of"]]
        if any(part.fault for part in parts):
            parts = [self.bound(part) for part in parts]
        value = f"coalesce({', '.join(part.value for part in parts)})"
        fault = None
        if any(part.fault for part in parts):
            faults = " ".join(
                (f"when {part.fault} is not null then {part.fault} " if part.fault else "")
                + f"when {part.value} is not null then null"
                for part in parts
            )
            fault = f"case {faults} end"
        return Sql(value, parts[0].kind, fault, deepest(parts))

    def _require(self, e: Json) -> Sql:
        condition, of = self.condition(e["condition"]), self.sql(e["of"])
        shown = [self.cast(self.sql(one), "text") for one in e["shown"]]
        message = literal(e["message"])
        if shown:
            texts = ", ', ', ".join(f"coalesce({one.value}, '(blank)')" for one in shown)
            message = f"concat({message}, ': ', {texts})"
        value = f"case when {condition.value} then {of.value} end"
        wrong = first([*(one.fault for one in shown), message])
        own = f"case when {condition.value} then {of.fault or 'null'} else {wrong} end"
        return Sql(value, of.kind, first([condition.fault, own]), deepest([condition, of, *shown]))


NEVER_BLANK = ("compare", "and", "or", "not", "isBlank", "contains")


def constant(given: Json) -> Sql:
    """A value of the plan."""
    value, kind = given["value"], given["type"]
    if value is None:
        return Sql(f"cast(null as {spark_type(kind)})", kind, simple=True)
    if kind == "text":
        return Sql(literal(value), kind, simple=True)
    if kind == "timestamp":
        value = value.replace("T", " ").rstrip("Z")
    return Sql(f"cast('{value}' as {spark_type(kind)})", kind, simple=True)
