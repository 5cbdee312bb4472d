"""Dates and times as files write them: the patterns of descriptors and of the plan's `parseDate`."""

from __future__ import annotations

import datetime
import re
from functools import cache
from typing import Dict, List, Optional, Tuple

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
# What a directive reads: a number of so many digits at least and at most.
_NUMBERS = {
    "Y": ("year", 4, 4),
    "y": ("short year", 2, 2),
    "m": ("month", 1, 2),
    "d": ("day", 1, 2),
    "H": ("hour", 1, 2),
    "I": ("hour", 1, 2),
    "M": ("minute", 1, 2),
    "S": ("second", 1, 2),
    "f": ("fraction", 1, 9),
}
_NAMES = {"b": ("month name", _MONTHS), "B": ("month name", _MONTHS), "h": ("month name", _MONTHS)}
_NAMES.update({"a": ("weekday", _WEEKDAYS), "A": ("weekday", _WEEKDAYS)})
_COMPOSED = {"F": "%Y-%m-%d", "D": "%m/%d/%y", "T": "%H:%M:%S", "R": "%H:%M", "e": "%n%d"}
_SPACE = " \t\n\f\r"
_OFFSET = re.compile(r"Z|([+-])([0-9]{2}):?([0-9]{2})", re.ASCII)
_ISO_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_ISO_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r"(?:[Zz]|([+-])([0-9]{2})(?::?([0-9]{2}))?)",
    re.ASCII,
)

Item = Tuple[str, str]
Parts = Dict[str, int]


@cache
def items(pattern: str) -> List[Item]:
    """The pattern taken apart: what each item is, and its directive or character."""
    found: List[Item] = []
    rest = iter(pattern)
    for char in rest:
        if char != "%":
            found.append(("space", "") if char in _SPACE else ("literal", char))
            continue
        directive = next(rest, "")
        if directive in _COMPOSED:
            found.extend(items(_COMPOSED[directive]))
        elif directive in ("n", "t"):
            found.append(("space", ""))
        elif directive == "%":
            found.append(("literal", "%"))
        else:
            found.append(("directive", directive))
    return found


def taken(pattern: str, text: str) -> Optional[Parts]:
    """The parts of a date and time, if all of the text is as the pattern says."""
    parts: Parts = {}
    for kind, what in items(pattern):
        if kind == "space":
            text = text.lstrip(_SPACE)
        elif kind == "literal":
            if not text.startswith(what):
                return None
            text = text[1:]
        else:
            length = _read(what, text, parts)
            if length is None:
                return None
            text = text[length:]
    return None if text else parts


def _read(directive: str, text: str, parts: Parts) -> Optional[int]:
    """Reads one part; how many characters it has."""
    if directive in _NUMBERS:
        name, least, most = _NUMBERS[directive]
        digits = len(text[:most]) - len(text[:most].lstrip("0123456789"))
        if digits < least:
            return None
        number = int(text[:digits])
        parts[name] = number * 10 ** (9 - digits) if name == "fraction" else number
        return digits
    if directive in _NAMES:
        name, names = _NAMES[directive]
        lower = text[:9].lower() if text[:9].isascii() else "".join(c.lower() if c.isascii() else c for c in text[:9])
        for length in (None, 3):
            for index, one in enumerate(names):
                if lower.startswith(one[:length]):
                    parts[name] = index
                    return len(one[:length])
        return None
    if directive == "p":
        if text[:2].lower() not in ("am", "pm"):
            return None
        parts["afternoon"] = int(text[:2].lower() == "pm")
        return 2
    return _read_offset(text, parts)


def _read_offset(text: str, parts: Parts) -> Optional[int]:
    found = _OFFSET.match(text)
    if found is None or int(found[2] or 0) > 23 or int(found[3] or 0) > 59:
        return None
    seconds = int(found[2] or 0) * 3600 + int(found[3] or 0) * 60
    parts["offset"] = -seconds if found[1] == "-" else seconds
    return found.end()


def day_of(parts: Parts) -> Optional[datetime.date]:
    """The day, if there is one."""
    year = parts.get("year", 1970)
    if "short year" in parts:
        # POSIX: 69 to 99 are of the last century.
        year = parts["short year"] + (1900 if parts["short year"] >= 69 else 2000)
    month = parts["month name"] + 1 if "month name" in parts else parts.get("month", 1)
    try:
        day = datetime.date(year, month, parts.get("day", 1))
    except ValueError:
        return None
    return day if parts.get("weekday", day.weekday()) == day.weekday() else None


def date(pattern: str, text: Optional[str]) -> Optional[str]:
    """The day that a text stands for, as ISO 8601 has it."""
    if text is None:
        return None
    if pattern == "default":
        return iso_date(text)
    parts = taken(pattern, text)
    day = None if parts is None else day_of(parts)
    return None if day is None else day.isoformat()


def iso_date(text: str) -> Optional[str]:
    """The text, if it is a day as `2024-05-01`."""
    found = _ISO_DATE.fullmatch(text)
    day = found and day_of({"year": int(found[1]), "month": int(found[2]), "day": int(found[3])})
    return text if day else None


def moment(pattern: str, text: str) -> Optional[str]:
    """The moment that a text stands for, in UTC, as `2024-05-01 10:00:00.5`."""
    parts = iso_parts(text) if pattern == "default" else taken(pattern, text)
    day = None if parts is None else day_of(parts)
    # Nothing is rounded: what has parts of a microsecond is no moment.
    if parts is None or day is None or parts.get("fraction", 0) % 1000:
        return None
    hour = parts.get("hour", 0)
    if "afternoon" in parts:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * parts["afternoon"]
    minute, second, fraction = parts.get("minute", 0), parts.get("second", 0), parts.get("fraction", 0)
    try:
        local = datetime.datetime(day.year, day.month, day.day, hour, minute, second, fraction // 1000)
        return (local - datetime.timedelta(seconds=parts.get("offset", 0))).isoformat(" ")
    except (ValueError, OverflowError):
        return None


def iso_parts(text: str) -> Optional[Parts]:
    """The parts of a moment as ISO 8601 has it."""
    found = _ISO_MOMENT.fullmatch(text)
    # Nowhere is the clock more than 25 hours and 59 minutes away.
    if found is None or int(found[7] or 0) > 25 or int(found[8] or 0) > 59:
        return None
    year, month, day = (int(part) for part in found[1].split("-"))
    parts = {"year": year, "month": month, "day": day, "hour": int(found[2]), "minute": int(found[3])}
    parts["second"] = int(found[4] or 0)
    parts["fraction"] = int((found[5] or "").ljust(9, "0"))
    seconds = int(found[7] or 0) * 3600 + int(found[8] or 0) * 60
    parts["offset"] = -seconds if found[6] == "-" else seconds
    return parts
