"""Virtual environments, made from a requirements file and made again when it changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from local import paths
from local.console import Stop, step


def ensure(name: str) -> None:
    """Makes `.local/venvs/<name>` from `requirements-<name>.txt`, unless it is there, whole and up to date."""
    folder = paths.VENVS / name
    requirements = paths.REQUIREMENTS / f"requirements-{name}.txt"
    # Written last: an environment without it was interrupted. It also names the Python, which may have been upgraded.
    stamp = folder / "made-from"
    wanted = f"{hashlib.sha256(requirements.read_bytes()).hexdigest()} {sys.version}"
    if stamp.exists() and stamp.read_text() == wanted and (folder / "bin" / "python").exists():
        return
    with step(f"install {paths.shown(requirements)} into {paths.shown(folder)}", "a minute or two"):
        make(folder, requirements)
        stamp.write_text(wanted)


def make(folder: Path, requirements: Path) -> None:
    """Makes the environment anew. A folder cannot be moved afterwards: its scripts name it."""
    shutil.rmtree(folder, ignore_errors=True)
    log = paths.LOGS / f"install-{folder.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    with log.open("w") as output:
        for command in ([sys.executable, "-m", "venv", str(folder)], [*pip, "--requirement", str(requirements)]):
            if subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode != 0:
                raise Stop(f"could not install {paths.shown(requirements)}; {paths.shown(log)} ends:\n{tail(log)}")


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, indented."""
    text = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
    return "\n".join(f"  {line}" for line in text)


def program(environment: str, name: str) -> str:
    """The path of an installed program."""
    return str(paths.VENVS / environment / "bin" / name)


def on_path(environment: str) -> dict[str, str]:
    """The caller's environment, with this one's programs found first."""
    return os.environ | {"PATH": f"{paths.VENVS / environment / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
