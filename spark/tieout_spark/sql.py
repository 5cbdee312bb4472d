"""Spark's SQL: types and texts as it writes them."""

from __future__ import annotations

from typing import Any, Dict, Tuple

SPARK_TYPES = {"text": "string", "integer": "bigint", "date": "date", "timestamp": "timestamp", "boolean": "boolean"}


def spark_type(kind: str) -> str:
    """Spark's name of a type."""
    return SPARK_TYPES.get(kind) or f"decimal(38,{kind[8:-1]})"


def literal(text: str) -> str:
    """A text in SQL, whatever characters it has."""
    return f"cast(X'{text.encode().hex()}' as string)"


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return "`" + name.replace("`", "``") + "`"


def sorting(key: Dict[str, Any]) -> Tuple[str, str]:
    """Which way a key of an order goes, and where its blanks come."""
    return "desc" if key["descending"] else "asc", "first" if key.get("blanksFirst", False) else "last"


def fault_at(column: str, message: str) -> str:
    """A fault of a row of an input."""
    return f"named_struct('object', `#object`, 'row', `#row`, 'column', {column}, 'message', {message})"
