"""Ports: whether one is free and, where the system tells, who holds it."""

from __future__ import annotations

import socket
from pathlib import Path

LISTENING = "0A"


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # A port that was just given up is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def holder(port: int) -> str | None:
    """`process <id> (<command>)`, on Linux and for processes that one may look at."""
    sockets = {
        f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in listening_inodes(Path("/proc/net") / table, port)
    }
    if not sockets:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        if holds_any(process, sockets):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            return f"process {process.name} ({command[:80]})"
    return None


def listening_inodes(table: Path, port: int) -> list[str]:
    """The inodes of the sockets that listen on `port`, from a table in the format of proc(5)."""
    if not table.exists():
        return []
    rows = (line.split() for line in table.read_text().splitlines()[1:])
    return [row[9] for row in rows if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port]


def holds_any(process: Path, sockets: set[str]) -> bool:
    """Whether one of the process's open files is one of the sockets."""
    try:
        return any(str(file.readlink()) in sockets for file in (process / "fd").iterdir())
    except OSError:
        return False
