"""Expressions of the plan as SQL.

An expression becomes two: its value, and what is wrong with it (a message, or null). The value is null where that is
so: nothing raises an exception, and Spark may evaluate whatever it likes whenever it likes. What is wrong is said by
the branch that is taken alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional

from tieout_spark.faults import NEEDS_EXACT
from tieout_spark.numbers import scale_of
from tieout_spark.sql import literal, spark_type

Json = Dict[str, Any]


@dataclass
class Sql:
    """An expression in SQL."""

    value: str
    kind: str
    # A message, or null; none where nothing can be wrong.
    fault: Optional[str] = None
    # How many layers of columns must have been computed before.
    depth: int = 0
    # Whether it can be repeated without computing anything again.
    simple: bool = False


class Layers:
    """Columns that are computed one after another for one relation: what is used several times is computed once."""

    def __init__(self, exact: bool) -> None:
        self.exact = exact
        self.columns: List[List[str]] = []
        self.count = 0

    def bound(self, sql: Sql) -> Sql:
        """The expression as a column of its own."""
        if sql.simple:
            return sql
        value = self._layer(sql.value, sql.depth)
        fault = sql.fault and self._layer(sql.fault, sql.depth)
        return Sql(value, sql.kind, fault, sql.depth + 1, True)

    def _layer(self, sql: str, depth: int) -> str:
        while len(self.columns) <= depth:
            self.columns.append([])
        self.count += 1
        name = f"t{self.count}"
        self.columns[depth].append(f"{sql} as {name}")
        return name

    def sql(self, expression: Json) -> Sql:
        """An expression."""
        made: Sql = getattr(self, f"_{expression['kind']}")(expression)
        return made

    # Values

    def _column(self, e: Json) -> Sql:
        return Sql(f"c{e['id']}", e["type"], simple=True)

    def _constant(self, e: Json) -> Sql:
        return constant(e["constant"])

    def _cast(self, e: Json) -> Sql:
        of = self.sql(e["of"])
        return self.cast(of, e["type"])

    def cast(self, of: Sql, kind: str) -> Sql:
        """The value as another type that holds it, if it fits."""
        if kind == of.kind:
            return of
        if kind == "text":
            return Sql(as_text(of.value, of.kind), kind, of.fault, of.depth)
        if kind == "timestamp":
            return Sql(f"cast({of.value} as timestamp)", kind, of.fault, of.depth)
        of = self.bound(of)
        value = f"try_cast({of.value} as {spark_type(kind)})"
        return self.checked(Sql(value, kind, of.fault, of.depth), [of.value], overflow(kind))

    def checked(self, made: Sql, operands: List[str], message: str) -> Sql:
        """The value, whose absence where no operand is blank is a fault."""
        value = self.bound(Sql(made.value, made.kind, None, made.depth))
        given = " and ".join(f"{operand} is not null" for operand in operands)
        own = f"case when {given} and {value.value} is null then {message} end"
        return Sql(value.value, made.kind, first([made.fault, own]), value.depth, False)

    # Numbers

    def _arithmetic(self, e: Json) -> Sql:
        left, right = self.bound(self.sql(e["left"])), self.bound(self.sql(e["right"]))
        fault = first([left.fault, right.fault])
        if e["operator"] == "divide" and e["onZero"] == "fail":
            zero = f"case when {left.value} is not null and {right.value} = 0 then 'division by zero' end"
            fault = first([fault, zero])
        made = self.calculated(e["operator"], left, right, e["type"], e["rounding"])
        return Sql(made.value, made.kind, first([fault, made.fault]), made.depth)

    def calculated(self, operator: str, left: Sql, right: Sql, kind: str, rounding: str) -> Sql:
        """Two columns calculated with; where a zero divides, blank."""
        depth = max(left.depth, right.depth)
        guard = f"nullif({right.value}, 0)" if operator == "divide" else right.value
        if self.exact or not fits_natively(operator, left.kind, right.kind):
            scales = f"{scale_of(left.kind)},{scale_of(right.kind)}"
            value = (
                f"try_cast(tieout_arithmetic('{operator}', {as_text(left.value, left.kind)}, "
                f"{as_text(right.value, right.kind)}, '{scales}', '{kind}', '{rounding}') as {spark_type(kind)})"
            )
            return self.checked(Sql(value, kind, None, depth), [left.value, guard], overflow(kind))
        if operator in ("multiply", "divide"):
            native = self.product if operator == "multiply" else self.quotient
            made = native(left, right, kind, rounding)
        else:
            made = self.total(operator, left, right, kind)
        return self.checked(made, [left.value, guard], f"'{NEEDS_EXACT}'")

    def total(self, operator: str, left: Sql, right: Sql, kind: str) -> Sql:
        """The sum or difference, null where Spark's decimals do not hold something on the way."""
        wide = max(scale_of(left.kind), scale_of(right.kind))
        one, two = (f"try_cast({side.value} as decimal(38,{wide}))" for side in (left, right))
        sql = f"{'try_add' if operator == 'add' else 'try_subtract'}({one}, {two})"
        return Sql(rounded(sql, wide, kind, "halfUp"), kind, None, max(left.depth, right.depth))

    def product(self, left: Sql, right: Sql, kind: str, rounding: str) -> Sql:
        """The product, null where Spark's decimals do not hold something on the way."""
        scales = scale_of(left.kind), scale_of(right.kind)
        one, two = (f"cast({side.value} as decimal(38,{scale}))" for side, scale in zip((left, right), scales))
        exact = self.bound(Sql(f"try_multiply({one}, {two})", kind, None, max(left.depth, right.depth)))
        return Sql(rounded(exact.value, sum(scales), kind, rounding), kind, None, exact.depth)

    def quotient(self, left: Sql, right: Sql, kind: str, rounding: str) -> Sql:
        """The quotient, null where Spark's decimals do not hold something on the way. Spark's own division rounds
        twice: here the remainder, which is exact, says how the whole number before it is rounded."""
        scale, wide = scale_of(kind), max(scale_of(left.kind), scale_of(right.kind))
        power = f"cast('1{'0' * scale}' as decimal({scale + 1},0))"
        depth = max(left.depth, right.depth)
        dividend = self.bound(
            Sql(f"try_multiply(try_cast({left.value} as decimal(38,{wide})), {power})", kind, None, depth)
        )
        divisor = self.bound(Sql(f"try_cast(nullif({right.value}, 0) as decimal(38,{wide}))", kind, None, depth))
        depth = max(dividend.depth, divisor.depth)
        rest = self.bound(Sql(f"{dividend.value} % {divisor.value}", kind, None, depth))
        difference = f"try_subtract({dividend.value}, {rest.value})"
        whole = self.bound(
            Sql(f"try_cast(try_divide({difference}, {divisor.value}) as decimal(38,0))", kind, None, rest.depth)
        )
        double = f"try_add(abs({rest.value}), abs({rest.value}))"
        half, size = f"({double} = abs({divisor.value}))", f"({double} > abs({divisor.value}))"
        away = {
            "up": f"{rest.value} <> 0",
            "down": "false",
            "halfUp": f"{size} or {half}",
            "halfEven": f"{size} or ({half} and {whole.value} % 2 <> 0)",
        }[rounding]
        step = f"case when ({dividend.value} < 0) = ({divisor.value} < 0) then 1 else -1 end"
        # Where twice the remainder has too many digits there is no answer, and so no quotient.
        stepped = f"try_add({whole.value}, cast({step} as decimal(1,0)))"
        units = f"case when {double} is null then null when {away} then {stepped} else {whole.value} end"
        point = f"cast('{'0.' + '0' * (scale - 1) + '1' if scale else '1'}' as decimal({scale + 1},{scale}))"
        value = f"try_cast(try_multiply(try_cast({units} as decimal(38,0)), {point}) as {spark_type(kind)})"
        return Sql(value, kind, None, whole.depth)

    def _negate(self, e: Json) -> Sql:
        of = self.bound(self.sql(e["of"]))
        zero = f"cast(0 as {spark_type(of.kind)})"
        made = Sql(f"try_subtract({zero}, {of.value})", of.kind, of.fault, of.depth)
        return self.checked(made, [of.value], overflow(of.kind))

    def _absolute(self, e: Json) -> Sql:
        of = self.bound(self.sql(e["of"]))
        zero = f"cast(0 as {spark_type(of.kind)})"
        value = f"case when {of.value} < 0 then try_subtract({zero}, {of.value}) else {of.value} end"
        return self.checked(Sql(value, of.kind, of.fault, of.depth), [of.value], overflow(of.kind))

    def _round(self, e: Json) -> Sql:
        of = self.bound(self.sql(e["of"]))
        decimals, kind, rounding = e["decimals"], e["type"], e["rounding"]
        if decimals < 0:
            arguments = f"{as_text(of.value, of.kind)}, '{of.kind}', {decimals}, '{rounding}', '{kind}'"
            value = f"try_cast(tieout_rounded({arguments}) as {spark_type(kind)})"
        elif decimals < scale_of(of.kind):
            value = rounded(of.value, scale_of(of.kind), f"decimal({decimals})", rounding)
            value = f"try_cast({value} as {spark_type(kind)})"
        else:
            value = f"try_cast({of.value} as {spark_type(kind)})"
        return self.checked(Sql(value, kind, of.fault, of.depth), [of.value], overflow(kind))

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
            texts = ", ', ', ".join(f"coalesce({one.value}, '')" for one in shown)
            message = f"concat({message}, ': ', {texts})"
        value = f"case when {condition.value} then {of.value} end"
        wrong = first([*(one.fault for one in shown), message])
        own = f"case when {condition.value} then {of.fault or 'null'} else {wrong} end"
        return Sql(value, of.kind, first([condition.fault, own]), deepest([condition, of, *shown]))

    # Texts

    def text(self, e: Json, change: Callable[[str], str], repeated: bool = False) -> Sql:
        """What a text becomes; without characters it is blank."""
        of = self.sql(e["of"])
        of = self.bound(of) if repeated else of
        return Sql(f"nullif({change(of.value)}, '')", "text", of.fault, of.depth)

    def _concatenate(self, e: Json) -> Sql:
        parts = [self.sql(one) for one in e["of"]]
        texts = ", ".join(f"coalesce({part.value}, '')" for part in parts)
        return joined(f"nullif(concat({texts}), '')", "text", parts)

    def _trim(self, e: Json) -> Sql:
        return self.text(e, lambda of: f"trim(both ' ' from regexp_replace({of}, ' +', ' '))")

    def _upper(self, e: Json) -> Sql:
        return self.text(e, lambda of: f"upper({of})")

    def _lower(self, e: Json) -> Sql:
        def lower(of: str) -> str:
            final = f"translate(regexp_replace({of}, {literal(FINAL_SIGMA)}, '$1ς'), 'Σ', 'σ')"
            return f"lower(case when contains({of}, 'Σ') then {final} else {of} end)"

        return self.text(e, lower, repeated=True)

    def _substring(self, e: Json) -> Sql:
        start, length = bounded(max(e["start"], 1)), bounded(e["length"])
        return self.text(e, lambda of: f"substring({of}, {start}, {length})")

    def _last(self, e: Json) -> Sql:
        return self.text(e, lambda of: f"right({of}, {bounded(e['length'])})")

    def _length(self, e: Json) -> Sql:
        of = self.sql(e["of"])
        return Sql(f"cast(coalesce(char_length({of.value}), 0) as bigint)", "integer", of.fault, of.depth)

    def _replace(self, e: Json) -> Sql:
        find, other, occurrence = literal(e["find"]), literal(e["with"]), e.get("occurrence")
        if occurrence is None:
            return self.text(e, lambda of: f"replace({of}, {find}, {other})")
        if occurrence == 0:
            occurrence = 1
        pattern = literal("\\Q" + e["find"].replace("\\E", "\\E\\\\E\\Q") + "\\E")

        def nth(of: str) -> str:
            parts = f"split({of}, {pattern}, {bounded(occurrence + 1)})"
            before = f"array_join(slice({parts}, 1, {bounded(occurrence)}), {find})"
            changed = f"concat({before}, {other}, element_at({parts}, -1))"
            return f"case when size({parts}) > {bounded(occurrence)} then {changed} else {of} end"

        return self.text(e, nth, repeated=True)

    # What is read of a text

    def _parseNumber(self, e: Json) -> Sql:
        form, kind = e["format"], e["type"]
        group = literal(form["group"]) if form.get("group") else "cast(null as string)"
        arguments = f"{literal(form['decimal'])}, {group}, '{form['credit']}', '{kind}'"
        made = f"try_cast(tieout_number({{}}, {arguments}) as {spark_type(kind)})"
        return self.parsed(e, made, kind, f" is no {kind}")

    def _parseDate(self, e: Json) -> Sql:
        made = f"try_cast(tieout_date({literal(e['format'])}, {{}}) as date)"
        return self.parsed(e, made, "date", f" is no date as {e['format']}")

    def parsed(self, e: Json, made: str, kind: str, problem: str) -> Sql:
        """What a function in Python reads of a text."""
        of = self.bound(self.sql(e["of"]))
        sql = Sql(made.format(of.value), kind, of.fault, of.depth)
        if e["onError"] == "blank":
            return sql
        return self.checked(sql, [of.value], f"concat('\"', {of.value}, '\"', {literal(problem)})")

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


NEVER_BLANK = ("compare", "and", "or", "not", "isBlank", "contains")

# Σ at the end of a word, as Unicode has it: behind a letter with case and before none, whatever has no case between.
_CASED = r"[\p{IsLowercase}\p{IsUppercase}\p{IsTitlecase}]"
_BETWEEN = r"'.:\u00B7\u0387\u055F\u05F4\u2018\u2019\u2024\u2027\uFE13\uFE52\uFE55\uFF07\uFF0E\uFF1A"
_IGNORABLE = r"[\p{Mn}\p{Me}\p{Cf}\p{Lm}\p{Sk}" + _BETWEEN + "]"
FINAL_SIGMA = f"({_CASED}{_IGNORABLE}*+)Σ(?!{_IGNORABLE}*+{_CASED})"


def bounded(number: int) -> int:
    """A number as Spark's functions take it."""
    return min(number, 2**31 - 1)


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


def as_text(sql: str, kind: str) -> str:
    """A value as outputs write it."""
    if kind == "text":
        return sql
    if kind == "timestamp":
        return f"concat(replace(cast({sql} as string), ' ', 'T'), 'Z')"
    return f"cast({sql} as string)"


def first(faults: List[Optional[str]]) -> Optional[str]:
    """What is wrong first."""
    found = [fault for fault in faults if fault is not None]
    return None if not found else found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"


def deepest(parts: List[Sql]) -> int:
    """How many layers the deepest of them needs."""
    return max((part.depth for part in parts), default=0)


def joined(value: str, kind: str, parts: List[Sql]) -> Sql:
    """What is made of several, all of which are evaluated."""
    return Sql(value, kind, first([part.fault for part in parts]), deepest(parts))


def overflow(kind: str) -> str:
    """A result that its type does not hold."""
    return f"'the result does not fit {kind}'"


def fits_natively(operator: str, left: str, right: str) -> bool:
    """Whether Spark's decimals can hold the result at all."""
    return operator != "multiply" or scale_of(left) + scale_of(right) <= 38


def rounded(sql: str, scale: int, kind: str, rounding: str) -> str:
    """A decimal with the decimals of a type, null where that does not hold it."""
    to = scale_of(kind)
    if to < scale:
        function = {"halfUp": "round", "halfEven": "bround"}.get(rounding)
        if function:
            sql = f"{function}({sql}, {to})"
        else:
            up, down = ("ceil", "floor") if rounding == "up" else ("floor", "ceil")
            sql = f"case when {sql} >= 0 then {up}({sql}, {to}) else {down}({sql}, {to}) end"
    return f"try_cast({sql} as {spark_type(kind)})"
