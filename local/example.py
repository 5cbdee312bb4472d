"""The example feed: `examples/orders/`."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from local import paths
from local.console import Stop, say

FEED = "orders"
FOLDER = paths.EXAMPLES / FEED
ORDERS = FOLDER / "orders.csv"
FINANCIALS = FOLDER / "financials.csv"
ERRORS = FOLDER / "orders-with-errors.csv"


def load(*financials: Path) -> None:
    """Loads the feed, and the rows of these files into its reference table."""
    tieout("feed", "put", str(FOLDER / "feed.json"))
    for rows in financials:
        tieout("reference", "load", "financials", str(rows), "--key", "uuid")


def is_loaded() -> bool:
    """Whether the feed is there."""
    return subprocess.run([paths.COMMAND, "feed", "show", FEED], capture_output=True).returncode == 0


def tieout(*arguments: str) -> None:
    """Runs the command line, and shows what it says."""
    say(f"$ {as_typed(arguments)}")
    if subprocess.run([paths.COMMAND, *arguments]).returncode != 0:
        raise Stop(f"`{as_typed(arguments)}` failed; it says above why")


def as_typed(arguments: tuple[str, ...]) -> str:
    """The command as a person would type it in the project's folder."""
    return shlex.join([paths.shown(paths.COMMAND), *arguments]).replace(f"{paths.ROOT}/", "")
