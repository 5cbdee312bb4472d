"""Starting, finding again and stopping a real process."""

import os
import signal
import socket
import sys
import tempfile
import time
import unittest
import warnings
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from local import paths, ports, services
from local.console import Stop
from local.settings import HOST

SERVER = f"import socket, sys, time; s = socket.create_server(('{HOST}', int(sys.argv[1]))); time.sleep(600)"


def connects(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


class ServiceTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in ("RUN", "LOGS"):
            self.enterContext(patch.object(paths, name, folder / name))
        self.enterContext(patch("local.console.print"))
        # A service is meant to outlive the one who started it.
        self.enterContext(warnings.catch_warnings())
        warnings.simplefilter("ignore", ResourceWarning)
        port = free_port()
        command = (sys.executable, "-c", SERVER, str(port))
        self.service = services.Service("server", port, "SERVER_PORT", command, dict(os.environ), "1", connects)
        self.addCleanup(services.terminate, "server")

    def pid(self) -> int:
        record = services.running("server")
        assert record is not None
        return int(str(record["pid"]))

    def test_it_is_started_once_and_stopped_once(self) -> None:
        self.assertIsNone(services.running("server"))
        self.assertTrue(services.ensure(self.service))
        first = self.pid()
        self.assertFalse(services.ensure(self.service))
        self.assertEqual(self.pid(), first)
        self.assertTrue(services.terminate("server"))
        self.assertIsNone(services.running("server"))
        self.assertFalse(services.terminate("server"))
        self.assertTrue(ports.is_free(HOST, self.service.port))

    def test_another_version_is_started_anew(self) -> None:
        services.ensure(self.service)
        first = self.pid()
        self.assertTrue(services.ensure(replace(self.service, version="2")))
        self.assertNotEqual(self.pid(), first)

    def test_a_killed_one_is_started_anew_whatever_its_file_says(self) -> None:
        services.ensure(self.service)
        first = self.pid()
        os.kill(first, signal.SIGKILL)
        while services.running("server"):
            time.sleep(0.01)
        self.assertTrue(services.lock_file("server").exists(), "the file is left behind")
        self.assertTrue(services.ensure(self.service))
        self.assertNotEqual(self.pid(), first)

    def test_one_that_hangs_is_started_anew(self) -> None:
        services.ensure(self.service)
        first = self.pid()
        os.kill(first, signal.SIGSTOP)
        hanging = replace(
            self.service, answers=lambda _: services.running("server") is not None and self.pid() != first
        )
        with patch.object(services, "ANSWER_SECONDS", 0.2), patch.object(services, "STOP_SECONDS", 0.2):
            self.assertTrue(services.ensure(hanging))
        self.assertNotEqual(self.pid(), first)

    def test_a_taken_port_is_named_with_its_variable_and_its_holder(self) -> None:
        with socket.create_server((HOST, self.service.port)), self.assertRaises(Stop) as stopped:
            services.ensure(self.service)
        self.assertIn(f"port {self.service.port}", str(stopped.exception))
        self.assertIn("SERVER_PORT=", str(stopped.exception))
        if Path("/proc/net/tcp").exists():
            self.assertIn(f"process {os.getpid()} ", str(stopped.exception))

    def test_one_that_dies_at_once_is_told_with_the_end_of_its_log(self) -> None:
        dying = replace(self.service, command=(sys.executable, "-c", "raise SystemExit('no such luck')"))
        with self.assertRaisesRegex(Stop, "no such luck"):
            services.ensure(dying)
        self.assertIsNone(services.running("server"))


if __name__ == "__main__":
    unittest.main()
