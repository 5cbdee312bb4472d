"""The background processes of the stack: started once, found again, stopped.

A service holds a lock on its file in `.local/run/` for as long as it lives: the lock is taken before the service is
started, which inherits it. So a file left behind by a crash, or a process id used again, misleads nobody.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local import paths, ports
from local.console import Stop, step
from local.settings import HOST
from local.venvs import tail

START_SECONDS = 60
ANSWER_SECONDS = 5
STOP_SECONDS = 10


@dataclass(frozen=True)
class Service:
    """A server of the stack."""

    name: str
    port: int
    port_variable: str
    command: tuple[str, ...]
    environment: dict[str, str]
    # What it is made of besides the command: another value asks for a new start.
    version: str
    answers: Callable[[int], bool]

    @property
    def log(self) -> Path:
        """What it prints."""
        return paths.LOGS / f"{self.name}.log"

    def wanted(self) -> dict[str, object]:
        """What its file says of it while it runs, apart from its process id."""
        return {"port": self.port, "command": list(self.command), "version": self.version}


def ensure(service: Service) -> bool:
    """Makes it run, as described, and answer. Returns whether it was started anew."""
    record = running(service.name)
    with step(f"{service.name} on {HOST}:{service.port}") as line:
        as_wanted = record is not None and service.wanted().items() <= record.items()
        if as_wanted and answers_within(service, ANSWER_SECONDS):
            line.note("runs already")
            return False
        if record is not None:
            terminate(service.name)
        start(service)
        line.note("started")
    return True


def running(name: str) -> dict[str, object] | None:
    """What runs under this name, if anything does."""
    try:
        file = lock_file(name).open("r+")
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return dict(json.loads(file.read() or "{}"))
    return None


def start(service: Service) -> None:
    """Starts it and waits until it answers."""
    if not ports.is_free(HOST, service.port):
        holder = ports.holder(service.port) or "another program"
        raise Stop(
            f"port {service.port}, for {service.name}, is taken by {holder}: "
            f"end that, or choose another port, as in `make up {service.port_variable}={service.port + 1000}`"
        )
    for folder in (paths.RUN, paths.LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    with lock_file(service.name).open("w") as lock, service.log.open("w") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(
            service.command,
            env=service.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[lock.fileno()],
            # A session of its own: Ctrl-C in a terminal ends the caller alone, and its children can be ended with it.
            start_new_session=True,
        )
        lock.write(json.dumps({**service.wanted(), "pid": process.pid}))
    if not answers_within(service, START_SECONDS, process):
        terminate(service.name)
        raise Stop(f"{service.name} did not start; {paths.shown(service.log)} ends:\n{tail(service.log)}")


def answers_within(service: Service, seconds: float, process: subprocess.Popen[bytes] | None = None) -> bool:
    """Waits for an answer; no longer than the process lives."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        if service.answers(service.port):
            return True
        time.sleep(0.05)
    return False


def terminate(name: str) -> bool:
    """Ends it and its children. Returns whether there was anything to end."""
    record = running(name)
    if record is None:
        return False
    if "pid" not in record:
        raise Stop(f"{name} runs, but its starter was killed before it noted the process id: please end it by hand")
    pid = int(str(record["pid"]))
    for kind, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        try:
            os.killpg(pid, kind)
        except ProcessLookupError:
            return True
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if running(name) is None:
                return True
            time.sleep(0.05)
    raise Stop(f"{name} (process {pid}) does not end")


def lock_file(name: str) -> Path:
    """Locked while the service lives; holds what it was started with."""
    return paths.RUN / f"{name}.json"
