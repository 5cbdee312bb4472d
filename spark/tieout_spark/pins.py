"""Inputs, pinned: each object is the one that was planned with, from before the first row is read to after the last.

Spark's file systems read an object as it is: they cannot be asked for a version. So each object is looked at before
and behind, and nothing that was made of another one is told of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, NamedTuple, Optional

from tieout_spark.faults import LostInputError
from tieout_spark.store import REQUESTS_AT_ONCE, Look, Store


class Pin(NamedTuple):
    """An object of an input."""

    input: str
    number: int
    given: Dict[str, Any]


class Pins:
    """The objects that a task's plan reads."""

    def __init__(self, store: Store, task: Dict[str, Any]) -> None:
        self.store = store
        bodies = [relation["body"] for relation in task["plan"]["relations"]]
        names = dict.fromkeys(body["input"] for body in bodies if body["kind"] == "read")
        self.pins = [
            Pin(name, number, given) for name in names for number, given in enumerate(task["inputs"][name]["objects"])
        ]
        self.first: List[Optional[Look]] = []

    def check(self) -> None:
        """Whether all objects are as they were planned with, and as they were when they were first looked at."""
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            found = list(pool.map(lambda pin: self.store.look(pin.given["bucket"], pin.given["key"]), self.pins))
        self.first = self.first or found
        for pin, look, first in zip(self.pins, found, self.first):
            at = f"s3://{pin.given['bucket']}/{pin.given['key']}"
            if look is None:
                raise LostInputError(f"{at} does not exist", pin.input, pin.number)
            if look != first or not planned(look, pin.given):
                raise LostInputError(f"{at} has changed since it was first read", pin.input, pin.number)


def planned(look: Look, given: Dict[str, Any]) -> bool:
    """Whether an object is the one that a task names: in the same version, or with the same content."""
    if look.bytes != given["bytes"]:
        return False
    if look.version is not None and look.version == given.get("version"):
        return True
    return look.etag is None or look.etag == given["etag"]
