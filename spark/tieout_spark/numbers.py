"""Exact numbers, for what Spark's decimals of 38 digits do not hold on the way, and numbers as people write them.

What crosses between Spark and Python is text: a number with exactly the decimals of its type.
"""

from __future__ import annotations

import re
from typing import Optional

DIGITS_MAX = 38
_LIMIT = 10**DIGITS_MAX
_INTEGERS = range(-(2**63), 2**63)

# Unicode's White_Space.
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))

_PLAIN = re.compile(r"[+-]?(?:[0-9]+(?:\.([0-9]*))?|\.([0-9]+))", re.ASCII)


def scale_of(kind: str) -> int:
    """The decimals of a type; an integer has none."""
    return int(kind[8:-1]) if kind.startswith("decimal") else 0


def units_of(text: str) -> int:
    """The number in units of its last decimal."""
    return int(text.replace(".", ""))


def units_within(digits: str) -> Optional[int]:
    """The whole number of those digits, maybe behind a sign, if it has no more of them than any type holds. Of some
    thousands Python makes none."""
    sign, significant = digits[: len(digits) - len(digits.lstrip("+-"))], digits.lstrip("+-").lstrip("0")
    return int(f"{sign}{significant or 0}") if len(significant) <= DIGITS_MAX else None


def text_of(units: int, scale: int) -> str:
    """So many units as text, with all their decimals."""
    digits = str(abs(units)).rjust(scale + 1, "0")
    sign = "-" if units < 0 else ""
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else sign + digits


def fitted(units: Optional[int], kind: str) -> Optional[str]:
    """The number as text, if the type holds it."""
    if units is None or abs(units) >= _LIMIT or (kind == "integer" and units not in _INTEGERS):
        return None
    return text_of(units, scale_of(kind))


def divided(dividend: int, divisor: int, rounding: str) -> int:
    """The quotient as a whole number."""
    quotient, rest = divmod(abs(dividend), abs(divisor))
    half = (2 * rest > abs(divisor)) - (2 * rest < abs(divisor))
    away = {
        "up": rest > 0,
        "down": False,
        "halfUp": half >= 0,
        "halfEven": half > 0 or (half == 0 and quotient % 2 == 1),
    }[rounding]
    quotient += away
    return -quotient if (dividend < 0) != (divisor < 0) else quotient


def moved(units: int, scale: int, to: int, rounding: str = "halfUp") -> int:
    """The number with other decimals."""
    return units * 10 ** (to - scale) if to >= scale else divided(units, 10 ** (scale - to), rounding)


def arithmetic(
    operator: str, left: Optional[str], right: Optional[str], scales: str, kind: str, rounding: str
) -> Optional[str]:
    """The exact result, rounded once; nothing where an operand is blank, zero divides, or the type does not hold it."""
    if left is None or right is None:
        return None
    one, two, scale = units_of(left), units_of(right), scale_of(kind)
    left_scale, right_scale = (int(text) for text in scales.split(","))
    if operator == "divide":
        if two == 0:
            return None
        up = scale + right_scale - left_scale
        return fitted(divided(one * 10 ** max(up, 0), two * 10 ** max(-up, 0), rounding), kind)
    if operator == "multiply":
        return fitted(moved(one * two, left_scale + right_scale, scale, rounding), kind)
    wide = max(left_scale, right_scale)
    one, two = moved(one, left_scale, wide), moved(two, right_scale, wide)
    return fitted(moved(one - two if operator == "subtract" else one + two, wide, scale), kind)


def rounded(number: Optional[str], of: str, decimals: int, rounding: str, kind: str) -> Optional[str]:
    """The number rounded to so many decimals; to tens, hundreds, … where they are below zero."""
    if number is None:
        return None
    units, scale = units_of(number), scale_of(of)
    if decimals < scale:
        units = moved(moved(units, scale, decimals, rounding), decimals, max(decimals, 0))
        scale = max(decimals, 0)
    return fitted(moved(units, scale, scale_of(kind)), kind)


def combined(high: Optional[str], low: Optional[str], shift: int, kind: str) -> Optional[str]:
    """The sum whose parts have been added apart: `high` in units of 10^`shift`."""
    if high is None or low is None:
        return None
    return fitted(units_of(high) * 10 ** (shift + scale_of(kind)) + units_of(low), kind)


def plain(text: str, kind: str) -> Optional[str]:
    """A plain number in the type, as its cells are written; nothing is rounded."""
    match = _PLAIN.fullmatch(text)
    if match is None or (kind == "integer" and "." in text):
        return None
    decimals, scale = len(match[1] or match[2] or ""), scale_of(kind)
    units = units_within(text.replace(".", ""))
    return None if units is None or decimals > scale else fitted(moved(units, decimals, scale), kind)


def exactly(units: int, scale: int, kind: str) -> Optional[str]:
    """The number in the type, where that holds it without rounding."""
    fits = moved(units, scale, scale_of(kind), "down")
    return fitted(fits, kind) if fits * 10**scale == units * 10 ** scale_of(kind) else None


_SIDES = {"CR": "negative", "DR": "positive"}
_CURRENCY = re.compile(r"[$€£¥₹]|[A-Z]{3}", re.ASCII)


def written(text: Optional[str], decimal: str, group: Optional[str], credit: str, kind: str) -> Optional[str]:
    """The number that a text stands for, as the plan's `parseNumber` says."""
    if text is None:
        return None
    rest, signs, negative = text.strip(WHITE_SPACE), 0, False
    if len(rest) > 1 and rest[0] == "(" and rest[-1] == ")":
        rest, signs, negative = rest[1:-1].strip(WHITE_SPACE), 1, True
    side = _SIDES.get(rest[-2:].upper()) if rest[-2:].isascii() else None
    if side is not None and not (rest[-3:-2].isascii() and rest[-3:-2].isalpha()):
        rest, signs, negative = rest[:-2].rstrip(WHITE_SPACE), signs + 1, negative or side == credit
    rest, more, minus = _without_sign_and_currency(rest)
    if signs + more > 1:
        return None
    whole, _, decimals = rest.partition(decimal)
    ungrouped = _ungrouped(whole, group)
    if ungrouped is None or not _digits(decimals) or not ungrouped + decimals:
        return None
    units = units_within(ungrouped + decimals)
    if units is None or len(decimals) > 255:
        return None
    return exactly(-units if negative or minus else units, len(decimals), kind)


def _without_sign_and_currency(rest: str) -> tuple[str, int, bool]:
    """What stands between them, how many signs there were, and whether one was a minus: in any order, on either
    side."""
    signs, negative, currency = 0, False, False
    for _ in range(2):
        for sign in "-\u2212+":
            if rest.startswith(sign) or rest.endswith(sign):
                rest = (rest[1:] if rest.startswith(sign) else rest[:-1]).strip(WHITE_SPACE)
                signs, negative = signs + 1, negative or sign != "+"
        bare = None if currency else _without_currency(rest)
        if bare is not None:
            rest, currency = bare.strip(WHITE_SPACE), True
    return rest, signs, negative


def _without_currency(text: str) -> Optional[str]:
    """The text without a currency's sign at one end, or else a code of three letters, where anything is left of it."""
    if text[:1] and text[0] in "$€£¥₹":
        return text[1:]
    if text[-1:] and text[-1] in "$€£¥₹":
        return text[:-1]
    for code, rest in ((text[:3], text[3:]), (text[-3:], text[:-3])):
        if len(code) == 3 and _CURRENCY.fullmatch(code):
            return rest or None
    return None


def _digits(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit())


def _ungrouped(whole: str, group: Optional[str]) -> Optional[str]:
    """Digits without the signs between groups of three; nothing where a sign stands elsewhere."""
    if group == " ":
        whole = whole.replace("\xa0", " ").replace("\u202f", " ")
    if group is None or group not in whole:
        return whole if _digits(whole) else None
    first, *rest = whole.split(group)
    formed = 1 <= len(first) <= 3 and all(len(part) == 3 for part in rest)
    return first + "".join(rest) if formed and _digits(first + "".join(rest)) else None
