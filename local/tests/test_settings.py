"""Ports and environments."""

import os
import unittest
from unittest.mock import patch

from local import settings
from local.console import Stop

LAST = {"AWS_ENDPOINT_URL": "http://127.0.0.1:5566", "REDIS_PORT": "17379"}


class Chosen(unittest.TestCase):
    def chosen(self, last: dict[str, str], **variables: str) -> settings.Settings:
        with patch.dict(os.environ, variables, clear=True):
            return settings.chosen(last)

    def test_defaults_before_the_first_start(self) -> None:
        self.assertEqual(self.chosen({}), settings.Settings(4566, 16379))

    def test_a_choice_holds_until_another_is_made(self) -> None:
        self.assertEqual(self.chosen(LAST), settings.Settings(5566, 17379))
        self.assertEqual(self.chosen(LAST, TIEOUT_PORT="4566"), settings.Settings(4566, 17379))

    def test_what_is_no_port_is_refused(self) -> None:
        for port in ("80", "65536", "x", "-4566", "45.66", "４５６６"):
            with self.subTest(port), self.assertRaisesRegex(Stop, "TIEOUT_PORT"):
                self.chosen({}, TIEOUT_PORT=port)

    def test_one_port_for_two_services_is_refused(self) -> None:
        with self.assertRaisesRegex(Stop, "both 5000"):
            self.chosen({}, TIEOUT_PORT="5000", TIEOUT_VALKEY_PORT="5000")


class Environments(unittest.TestCase):
    CALLER = {
        "PATH": "/bin",
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "token",
        "AWS_ENDPOINT_URL_S3": "https://elsewhere.example",
        "HTTPS_PROXY": "http://proxy.example",
        "CARGO_HOME": "/cargo",
    }

    def test_services_inherit_next_to_nothing(self) -> None:
        with patch.dict(os.environ, self.CALLER, clear=True):
            environment = settings.sealed({"AWS_REGION": "us-east-1"})
        self.assertEqual(environment["PATH"], "/bin")
        self.assertEqual(environment["AWS_REGION"], "us-east-1")
        self.assertFalse(environment.keys() & {"AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTPS_PROXY", "CARGO_HOME"})

    def test_another_terminal_makes_no_other_service(self) -> None:
        with patch.dict(os.environ, self.CALLER | {"TERM": "xterm"}, clear=True):
            one = settings.sealed({"AWS_REGION": "us-east-1"})
        with patch.dict(os.environ, {"PATH": "/usr/bin", "TERM": "dumb", "LANG": "C"}, clear=True):
            other = settings.sealed({"AWS_REGION": "us-east-1"})
        self.assertNotEqual(one, other)
        self.assertEqual(settings.own(one), settings.own(other))
        self.assertEqual(settings.own(one)["AWS_REGION"], "us-east-1")

    def test_programs_never_see_the_callers_aws(self) -> None:
        with patch.dict(os.environ, self.CALLER, clear=True):
            environment = settings.opened(settings.Settings(5566, 17379))
        self.assertEqual(environment["CARGO_HOME"], "/cargo")
        self.assertEqual(environment["AWS_ENDPOINT_URL"], "http://127.0.0.1:5566")
        self.assertFalse(environment.keys() & {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"})
        self.assertEqual(environment["AWS_CONFIG_FILE"], os.devnull)


if __name__ == "__main__":
    unittest.main()
