"""Texts in SQL, and what is read of them."""

from __future__ import annotations

from typing import Callable, Dict

from tieout_spark.layers import Json, Layers, Make, Sql, joined
from tieout_spark.sql import literal, spark_type


class Texts(Layers):
    """Layers in which texts change, and become numbers and dates."""

    def kinds(self) -> Dict[str, Make]:
        return {
            "concatenate": self._concatenate,
            "trim": self._trim,
            "upper": self._upper,
            "lower": self._lower,
            "substring": self._substring,
            "last": self._last,
            "length": self._length,
            "replace": self._replace,
            "parseNumber": self._parseNumber,
            "parseDate": self._parseDate,
        }

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
        return self.text(e, lambda of: f"upper({newer(of, LOWER, UPPER)})", repeated=True)

    def _lower(self, e: Json) -> Sql:
        def lower(of: str) -> str:
            changed = f"regexp_replace({newer(of, UPPER, LOWER)}, {literal(FINAL_SIGMA)}, '$1ς')"
            final = f"translate({changed}, 'Σ', 'σ')"
            return f"lower(case when contains({of}, 'Σ') then {final} else {newer(of, UPPER, LOWER)} end)"

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


# Σ at the end of a word, as Unicode has it: behind a letter with case and before none, whatever can be ignored between.
# Some letters are of both kinds: they are ignored.
_BETWEEN = r"'.:\u00B7\u0387\u055F\u05F4\u2018\u2019\u2024\u2027\uFE13\uFE52\uFE55\uFF07\uFF0E\uFF1A"
_IGNORABLE = r"[\p{Mn}\p{Me}\p{Cf}\p{Lm}\p{Sk}" + _BETWEEN + "]"
_CASED = r"[\p{IsLowercase}\p{IsUppercase}\p{IsTitlecase}&&[^" + _IGNORABLE + "]]"
FINAL_SIGMA = f"({_CASED}{_IGNORABLE}*+)Σ(?!{_IGNORABLE}*+{_CASED})"


# Letters that have got another case since the Unicode that Java knows: capital ones, and how far behind them the small
# ones stand.
_SINCE = (
    (range(0x1C89, 0x1C8A), 1),
    (range(0x2C2F, 0x2C30), 0x30),
    (range(0xA7C0, 0xA7C1), 1),
    (range(0xA7CB, 0xA7CC), 0x0264 - 0xA7CB),
    (range(0xA7CC, 0xA7DC, 2), 1),
    (range(0xA7DC, 0xA7DD), 0x019B - 0xA7DC),
    (range(0x10570, 0x1057B), 0x27),
    (range(0x1057C, 0x1058B), 0x27),
    (range(0x1058C, 0x10593), 0x27),
    (range(0x10594, 0x10596), 0x27),
    (range(0x10D50, 0x10D66), 0x20),
    (range(0x16EA0, 0x16EB9), 0x1B),
)
UPPER = "".join(chr(code) for codes, _ in _SINCE for code in codes)
LOWER = "".join(chr(code + distance) for codes, distance in _SINCE for code in codes)


def newer(of: str, letters: str, others: str) -> str:
    """A text with others in place of those letters. Most texts are ASCII, and have none."""
    ascii_only = f"octet_length({of}) = char_length({of})"
    return f"if({ascii_only}, {of}, translate({of}, {literal(letters)}, {literal(others)}))"


def bounded(number: int) -> int:
    """A number as Spark's functions take it."""
    return min(number, 2**31 - 1)
