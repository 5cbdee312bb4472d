"""Time and memory of a stage of this process, and of those that it has started."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def measured(stage: str, work: Callable[[], object]) -> dict[str, object]:
    """Does the work; what it cost."""
    for process in family():
        (process / "clear_refs").write_text("5")
    started, cpu_started = time.monotonic(), cpu_seconds()
    work()
    seconds, cpu = time.monotonic() - started, cpu_seconds() - cpu_started
    return {"stage": stage, "seconds": seconds, "cpu_seconds": cpu, "peak_bytes": sum(map(peak_bytes, family()))}


def family() -> list[Path]:
    """This process and its descendants, as Linux shows them; elsewhere none."""
    found = [Path(f"/proc/{os.getpid()}")]
    for process in found:
        tasks = process.glob("task/*/children")
        found.extend(Path(f"/proc/{child}") for task in tasks for child in task.read_text().split())
    return [process for process in found if process.exists()]


def peak_bytes(process: Path) -> int:
    """The most memory that a process held since the beginning of the stage."""
    lines = (process / "status").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def cpu_seconds() -> float:
    """Of all threads of all processes together."""
    stats = [(process / "stat").read_text().rsplit(")", 1)[1].split() for process in family()]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")
