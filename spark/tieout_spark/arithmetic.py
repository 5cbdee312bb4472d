"""Numbers in SQL: exact, and rounded once. What Spark's decimals do not hold on the way is computed in Python."""

from __future__ import annotations

from typing import Dict

from tieout_spark.faults import NEEDS_EXACT
from tieout_spark.layers import Json, Layers, Make, Sql, as_text, first, overflow
from tieout_spark.numbers import scale_of
from tieout_spark.sql import spark_type


class Arithmetic(Layers):
    """Layers in which numbers are calculated with."""

    def kinds(self) -> Dict[str, Make]:
        return {
            "arithmetic": self._arithmetic,
            "negate": self._negate,
            "absolute": self._absolute,
            "round": self._round,
        }

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
