"""What a person sees: one plain line a step, with the time that it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stop(Exception):
    """Work cannot go on; the message says why, and what to do about it."""


class Step:
    """A step under way; `note` changes what its line will say."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.outcome = "done"

    def note(self, outcome: str) -> None:
        """Says how it went, in place of "done"."""
        self.outcome = outcome


@contextmanager
def step(title: str, beginning: str = "") -> Iterator[Step]:
    """Prints `title: outcome (seconds)` when the block ends, and nothing when it fails: the failure speaks.

    A step that can take long says so when it begins: `title: beginning …`.
    """
    if beginning:
        say(f"{title}: {beginning} …")
    started = time.monotonic()
    running = Step(title)
    yield running
    say(f"{running.title}: {running.outcome} ({time.monotonic() - started:.1f} s)")


def say(line: str) -> None:
    """Prints a line at once, in order with what programs print."""
    print(line, flush=True)


def complain(line: str) -> None:
    """Prints a line to standard error."""
    sys.stdout.flush()
    print(line, file=sys.stderr, flush=True)
