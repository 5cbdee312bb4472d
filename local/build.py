"""One build for all: the Lambdas, the CLI and the tests' tools, in the profile that the tests use too."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import zipfile
from pathlib import Path

from local import paths, venvs
from local.console import Stop, step

COMMAND_LINE = "tieout"
GENERATOR = "generate-orders"
EVENT_GENERATOR = "generate-events"
JOB_GENERATOR = "generate-jobs"
SPARK_UPLOADER = "spark-uploader"
# Rust's names for Lambda's architectures, with the version of the C library that Amazon Linux 2023 has.
TARGETS = {"arm64": "aarch64-unknown-linux-gnu.2.34", "x86_64": "x86_64-unknown-linux-gnu.2.34"}


def functions() -> list[str]:
    """The Lambdas: `functions/<pipeline>/<function>/`, each a package of that name."""
    return sorted(manifest.parent.name for manifest in paths.FUNCTIONS.glob("*/*/Cargo.toml"))


def native() -> str:
    """This machine's architecture, as Lambda calls it."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


def programs() -> dict[str, Path]:
    """Builds every program in one go, so that each dependency is compiled once; says where they lie."""
    with step(f"build {len(functions())} functions and the command line", "minutes when nothing is built yet"):
        return cargo_build("--workspace", "--bins")


def cargo_build(*what: str) -> dict[str, Path]:
    """The programs that were asked for, by name, as Cargo says where it put them."""
    return built(["cargo", "build", *what])


def built(command: list[str]) -> dict[str, Path]:
    """The programs that a command of Cargo built, by name, as it says where it put them."""
    command = [*command, "--message-format=json-render-diagnostics"]
    answer = subprocess.run(command, cwd=paths.ROOT, stdout=subprocess.PIPE, text=True)
    if answer.returncode != 0:
        raise Stop("the build failed; cargo says above why")
    messages = (json.loads(line) for line in answer.stdout.splitlines() if line.startswith("{"))
    return {
        message["target"]["name"]: Path(message["executable"])
        for message in messages
        if message["reason"] == "compiler-artifact" and message.get("executable")
    }


def pack(built: dict[str, Path], folder: Path) -> None:
    """Packs each function as Lambda wants it, as `bootstrap` in a zip file `<folder>/<function>`, if it has changed."""
    wanted = functions()
    folder.mkdir(parents=True, exist_ok=True)
    for function in wanted:
        pack_when_changed(built[function], folder / function)
    pack_spark(folder)
    for other in folder.iterdir():
        if other.name not in (*wanted, SPARK_UPLOADER):
            other.unlink()


def pack_when_changed(program: Path, package: Path) -> None:
    """Packs a program. The package takes over the program's time, by which it is known to be current."""
    built_at = program.stat().st_mtime_ns
    if package.exists() and package.stat().st_mtime_ns == built_at:
        return
    # A constant date makes equal programs equal packages.
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = 0o755 << 16
    part = package.with_suffix(".part")
    with zipfile.ZipFile(part, "w") as archive:
        # Fast, not small: it goes no further than this machine.
        archive.writestr(entry, program.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=1)
    os.utime(part, ns=(built_at, built_at))
    part.replace(package)


def dist(architecture: str) -> None:
    """Builds the functions for AWS into `dist/`. zig links them, so they start on Lambda whatever machine this is."""
    venvs.ensure("cross")
    shutil.rmtree(paths.DIST, ignore_errors=True)
    packages = [word for function in functions() for word in ("--package", function)]
    where = ["--target", TARGETS[architecture], "--lambda-dir", str(paths.DIST)]
    with step(f"build {len(functions())} functions for {architecture} into {paths.shown(paths.DIST)}", "some minutes"):
        command = ["cargo", "lambda", "build", "--release", *where, *packages]
        if subprocess.run(command, cwd=paths.ROOT, env=venvs.on_path("cross")).returncode != 0:
            raise Stop("the build failed; cargo-lambda says above why")
    pack_spark(paths.DIST)


def pack_spark(folder: Path) -> None:
    """Packs the distributed engine with the function that uploads it: the script, and its package in a zip file. Equal
    sources make equal files."""
    package = folder / SPARK_UPLOADER
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    for script in ("run_task.py", "upload.py"):
        shutil.copy2(paths.SPARK / script, package)
    with zipfile.ZipFile(package / "tieout_spark.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for module in sorted((paths.SPARK / "tieout_spark").glob("*.py")):
            archive.writestr(zipfile.ZipInfo(f"tieout_spark/{module.name}"), module.read_bytes(), zipfile.ZIP_DEFLATED)
