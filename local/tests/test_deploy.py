"""What is deployed, and how a change of it is noticed."""

import os
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest.mock import patch

from local import build, deploy, states
from local.console import Stop
from local.settings import Settings


class Fingerprint(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.folder / "a").write_text("one")
        (self.folder / "b").mkdir()
        (self.folder / "b" / "c").write_text("two")
        self.before = deploy.fingerprint(self.folder, {"Map": "8"})

    def test_the_same_is_the_same(self) -> None:
        self.assertEqual(deploy.fingerprint(self.folder, {"Map": "8"}), self.before)

    def test_content_names_and_parameters_count(self) -> None:
        self.assertNotEqual(deploy.fingerprint(self.folder, {"Map": "9"}), self.before)
        (self.folder / "b" / "c").write_text("three")
        changed = deploy.fingerprint(self.folder, {"Map": "8"})
        self.assertNotEqual(changed, self.before)
        (self.folder / "b" / "c").rename(self.folder / "b" / "d")
        self.assertNotEqual(deploy.fingerprint(self.folder, {"Map": "8"}), changed)


class Pack(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.dist = self.folder / "dist"
        self.program = self.folder / "splitter"
        self.write("one", 1)
        self.enterContext(patch.object(build, "functions", lambda: ["splitter"]))

    def write(self, content: str, time: int) -> None:
        self.program.write_text(content)
        os.utime(self.program, (time, time))

    def pack(self) -> Path:
        build.pack({"splitter": self.program}, self.dist)
        return self.dist / "splitter"

    def test_a_package_holds_an_executable_bootstrap(self) -> None:
        with zipfile.ZipFile(self.pack()) as package:
            (entry,) = package.infolist()
            self.assertEqual((entry.filename, entry.external_attr >> 16), ("bootstrap", 0o755))
            self.assertEqual(package.read(entry), b"one")

    def test_a_function_is_packed_when_it_was_built_anew(self) -> None:
        first = self.pack().stat().st_ino
        self.assertEqual(self.pack().stat().st_ino, first)
        self.write("two", 2)
        with zipfile.ZipFile(self.pack()) as package:
            self.assertEqual(package.read("bootstrap"), b"two")

    def test_the_same_program_built_again_is_the_same_package(self) -> None:
        first = self.pack().read_bytes()
        self.write("one", 2)
        self.assertEqual(self.pack().read_bytes(), first)

    def test_a_function_that_is_no_more_is_removed(self) -> None:
        self.dist.mkdir()
        (self.dist / "joiner").touch()
        self.pack()
        self.assertEqual(sorted(path.name for path in self.dist.iterdir()), ["spark-uploader", "splitter"])


class Parameters(unittest.TestCase):
    def test_the_stacks_own_addresses_are_used(self) -> None:
        chosen = deploy.parameters(Settings(5566, 17379))
        self.assertEqual(chosen["LocalEndpoint"], "http://127.0.0.1:5566")
        self.assertEqual((chosen["RedisHost"], chosen["RedisPort"]), ("127.0.0.1", "17379"))
        self.assertIn("MapConcurrency", chosen, "from samconfig.toml")


class Substitution(unittest.TestCase):
    TEMPLATE = {
        "Parameters": {"Width": {"Default": 40}},
        "Resources": {"Split": {"Type": "AWS::Serverless::Function"}, "Queue": {"Type": "AWS::SQS::Queue"}},
    }

    def test_values_are_those_of_the_template(self) -> None:
        for local, seconds in ((True, "1"), (False, "10")):
            template = states.Template(self.TEMPLATE, local)
            self.assertEqual(template.value({"Ref": "Width"}), "40")
            self.assertEqual(template.value({"Fn::If": ["IsAws", 10, 1]}), seconds)
            self.assertTrue(template.value({"Fn::GetAtt": ["Split", "Arn"]}).endswith(":function:Split"))
            self.assertEqual(template.value({"Fn::Sub": "${AWS::StackName}-x-${Width}"}), "tieout-x-40")

    def test_what_cannot_be_told_is_said(self) -> None:
        with self.assertRaisesRegex(Stop, "Queue"):
            states.Template(self.TEMPLATE, True).value({"Fn::GetAtt": ["Queue", "Arn"]})

    def test_numbers_become_numbers(self) -> None:
        self.assertEqual(
            states.substituted("m", '{"MaxConcurrency": ${Width}}', {"Width": "40"}), {"MaxConcurrency": 40}
        )

    def test_a_missing_a_surplus_and_a_spoilt_value_are_refused(self) -> None:
        for text, values in (("[${A}]", {}), ("[]", {"A": "1"}), ("[${A}]", {"A": "nan!"})):
            with self.subTest(text), self.assertRaises(Stop):
                states.substituted("m", text, values)


if __name__ == "__main__":
    unittest.main()
