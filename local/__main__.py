"""`python3 -m local <what>`: what the Makefile calls."""

from __future__ import annotations

import argparse
import os
import sys

from local import bench_ledger, bench_reconcile, build, demo, measure, settings, stack, test_spark
from local.console import Stop, complain


def parser() -> argparse.ArgumentParser:
    """The commands."""
    commands = argparse.ArgumentParser(prog="python3 -m local", description="The local stack of tieout.")
    chosen = commands.add_subparsers(dest="command", required=True)
    for name, action, about in (
        ("up", stack.up, "start, build and deploy whatever is not as it should be"),
        ("down", stack.down, "stop the emulator and Valkey"),
        ("status", stack.status, "say what runs"),
        ("demo", demo.demo, "send 10,000 orders through the stack"),
        ("tools", stack.install_tools, "install what deploys and checks"),
        ("test-spark", test_spark.test_spark, "compare the distributed engine with the reference"),
        ("clean", stack.clean, "stop everything and remove .local/"),
    ):
        chosen.add_parser(name, help=about).set_defaults(action=lambda _, action=action: action())
    dist = chosen.add_parser("dist", help="build the functions for AWS")
    dist.add_argument("architecture", choices=build.TARGETS)
    dist.set_defaults(action=lambda given: build.dist(given.architecture))
    measured = chosen.add_parser("measure", help="time a file of generated orders, from upload to mail")
    measured.add_argument("rows", type=int)
    measured.set_defaults(action=lambda given: measure.measure(given.rows))
    bench = chosen.add_parser("bench-ledger", help="time batches of the ledger on local files, beside DuckDB and Spark")
    bench.add_argument("events", type=int)
    bench.set_defaults(action=lambda given: bench_ledger.bench(given.events))
    job = chosen.add_parser("bench-reconcile", help="time a large job on local files, beside Polars, DuckDB and Spark")
    job.add_argument("memory", type=int)
    job.add_argument("rows", type=int, nargs="+")
    job.set_defaults(action=lambda given: bench_reconcile.bench(given.rows, given.memory))
    with_stack = chosen.add_parser("with-stack", help="run a program in the stack's environment")
    with_stack.add_argument("program", nargs=argparse.REMAINDER)
    with_stack.set_defaults(action=lambda given: run_with_stack(given.program))
    return commands


def run_with_stack(program: list[str]) -> None:
    """Becomes the program, in the stack's environment."""
    if not program:
        raise Stop("name a program to run")
    os.execvpe(program[0], program, settings.opened(settings.current()))


def main() -> int:
    """Does what was asked; 1 when it cannot be done, 130 when interrupted."""
    given = parser().parse_args()
    try:
        given.action(given)
    except Stop as reason:
        complain(f"{given.command}: {reason}")
        return 1
    except KeyboardInterrupt:
        complain(f"{given.command}: interrupted; run it again to go on")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
