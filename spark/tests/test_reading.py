"""Reading: pieces of large objects, numbers and dates as files write them, and what cannot be read."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from tests.support import session
from tieout_spark import dates, engine, numbers, pieces, plain, reading, records, sources
from tieout_spark.expressions import Expressions
from tieout_spark.faults import FaultError
from tieout_spark.records import Cutter, Dialect, Unreadable, parser
from tieout_spark.sql import spark_type
from tieout_spark.store import Store

PLAIN = Dialect(",", '"', True, False, "utf-8")


def cut(text: bytes, dialect: Dialect = PLAIN) -> list[object]:
    """The records of a text; a message for what is none."""
    cutter = Cutter(dialect)
    found = [*cutter.cut(iter(text.split(b"\n"))), *cutter.end()]
    return [record.message if isinstance(record, Unreadable) else record for record in found]


class Headers(unittest.TestCase):
    def test_no_more_is_read_of_an_object_than_its_header_needs(self) -> None:
        more = b"\n" + b"1,2\n" * 100_000
        long = b'"' + b"n\n" * sources.HEAD_BYTES + b'",b'
        for text, reads in (
            (b"a,b" + more, 1),
            (b"\n\r\n\xef\xbb\xbf", 1),
            (b"a,b", 1),
            (b"a," + b"b" * sources.HEAD_BYTES + more, 2),
            (long + more, 2),
            (b"a,b\r" + b"1,2\r" * 10_000, 2),
        ):
            store = mock.Mock()
            store.head.side_effect = lambda _, most, text=text: text[:most]
            head = sources.head_of(store, "a", PLAIN)
            self.assertEqual(store.head.call_count, reads, text[:20])
            whole = text[: records.RECORD_BYTES_MAX]
            self.assertEqual(cut(head)[:1], cut(whole)[:1])


class Kinds(unittest.TestCase):
    def test_an_expression_of_a_kind_that_is_none_is_named(self) -> None:
        for kind in ("layer", "other"):
            with self.assertRaisesRegex(ValueError, f"of a kind that is none: {kind}"):
                Expressions(False).sql({"kind": kind})


class Lower(unittest.TestCase):
    def test_sigma_ends_a_word_as_unicode_has_it(self) -> None:
        """Of all characters that Java knows: behind one and before one, with letters around."""
        spark, size = session(), 256
        known = (range(start, start + size) for start in range(0, 0x110000, size) if not 0xD800 <= start < 0xE000)
        rows = [
            (chr(code), f"{chr(code)}Σ A{chr(code)}Σ AΣ{chr(code)} AΣ{chr(code)}A") for some in known for code in some
        ]
        texts = spark.createDataFrame(
            [(char, text, sigmas(text.lower())) for char, text in rows], "char string, c0 string, of string"
        )
        layers = Expressions(False)
        made = layers.sql({"kind": "lower", "of": {"kind": "column", "id": 0, "type": "text"}})
        for columns in layers.columns:
            texts = texts.selectExpr("*", *columns)
        found = texts.where(f"regexp_replace({made.value}, '[^σς ]', '') <> of and not char rlike '\\\\p{{Cn}}'")
        # Which is a mark of another kind since Unicode 14.
        self.assertEqual([row["char"] for row in found.select("char").collect()], ["\u1734"])


class Cases(unittest.TestCase):
    def test_letters_that_java_does_not_know_change_their_case(self) -> None:
        """As the embedded engine has them: Unicode has added them since."""
        pairs = [
            ("a\u019b\u0264\u2c5f", "A\ua7dc\ua7cb\u2c2f"),
            ("\u1c8a\ua7c1\ua7db", "\u1c89\ua7c0\ua7da"),
            ("\U00010597 \U000105bc", "\U00010570 \U00010595"),
            ("\U00010d70\U00010d85", "\U00010d50\U00010d65"),
            ("\U00016ebb\U00016ed3", "\U00016ea0\U00016eb8"),
            ("\ua7db\u03b1\u03c2", "\ua7da\u0391\u03a3"),
            ("é", "É"),
        ]
        for kind, texts in (("upper", pairs), ("lower", [(upper, lower) for lower, upper in pairs])):
            layers = Expressions(False)
            made = layers.sql({"kind": kind, "of": {"kind": "column", "id": 0, "type": "text"}})
            frame = session().createDataFrame(texts, "c0 string, expected string")
            for columns in layers.columns:
                frame = frame.selectExpr("*", *columns)
            for found, expected in frame.selectExpr(made.value, "expected").collect():
                self.assertEqual(found, expected, kind)


def sigmas(text: str) -> str:
    """Its sigmas alone, word by word."""
    return "".join(char for char in text if char in "σς ")


class Paths(unittest.TestCase):
    def test_ways_to_inner_values(self) -> None:
        line = json.dumps(
            {
                "key": "a",
                "measures": {
                    "paid": [{"currency": "EUR", "amount": "1.50"}, {"currency": None, "amount": "2"}],
                    "one": [{"currency": None, "amount": "7"}],
                    "none": [],
                    "count": 3,
                },
                "attributes": {"country": None},
            }
        ).encode()

        def found(*steps: Any) -> Any:
            return records.json_cells(line, [[{"member": "measures"}, *steps]])[0]  # type: ignore[index]

        amount = {"member": "amount"}
        self.assertEqual(found({"member": "count"}), "3")
        self.assertEqual(found({"member": "one"}, "only", amount), "7")
        euro = {"entry": {"member": "currency", "is": "EUR"}}
        self.assertEqual(found({"member": "paid"}, euro, amount), "1.50")
        for member, step in (("other", "only"), ("none", "only"), ("one", euro)):
            self.assertIsNone(found({"member": member}, step, amount), member)
        several = records.Misplaced("one entry of 2", ("EUR",), "a")
        self.assertEqual(found({"member": "paid"}, "only", amount), several)
        self.assertEqual(found({"member": "count"}, "only", amount), records.Misplaced("a list", (), "a"))
        self.assertEqual(found({"member": "paid"}, amount), records.Misplaced("an object", (), "a"))
        steps: list[Any] = [{"member": "measures"}, {"member": "paid"}, "only", amount]
        source = sources.Source("a", [("paid", "text")], None, [{}], [], False, {}, [steps])
        told = 'artifact "a": expected one entry of 2: name a currency, paid.EUR'
        self.assertEqual(reading.cell_of(found(*steps[1:]), str, 0, source), (None, told))

    def test_halves_of_characters_are_no_text(self) -> None:
        """The embedded engine refuses them; Spark would write U+FFFD in their place."""
        for line, expected in (
            (b'{"t": "\\ud83d\\ude00"}', ("\U0001f600", None)),
            (b'{"t": "x", "u": "cut \\ud83d"}', ("x", None)),
            (b'{"t": "cut \\ud83d"}', (None, '"cut \\ud83d" is no text')),
            (b'{"t": "a\\u0000"}', (None, '"a\0" is no text')),
            (b'{"t": "x", "\\ud83d": 1}', "names of whole characters"),
            (b'{"t": "\xed\xa0\x80"}', "expected text in utf-8"),
            (b"\xff\xfe{\0}\0", "expected text in utf-8"),
            (b'\xef\xbb\xbf{"t": "x"}', "expected an object of JSON"),
            (b'{"t": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "expected an object of JSON"),
        ):
            found = records.json_cells(line, [[{"member": "t"}]])
            if isinstance(found, Unreadable):
                self.assertIn(expected, found.message)
            else:
                source = sources.Source("a", [("t", "text")], None, [{}], [], False, {})
                self.assertEqual(reading.cell_of(found[0], str, 0, source), expected)

    def test_what_is_no_date_is_told_how_dates_are_written(self) -> None:
        for kind, described, form in (
            ("date", {}, "date as YYYY-MM-DD"),
            ("date", {"format": "%d/%m/%Y"}, "date as %d/%m/%Y"),
            ("timestamp", {}, "timestamp as YYYY-MM-DDThh:mm:ssZ"),
            ("integer", {}, "integer"),
        ):
            source = sources.Source("a", [("c", kind)], None, [described], [], False, {})
            told = reading.cell_of("31.12.2024", records.parser(kind, described), 0, source)
            self.assertEqual(told, (None, f'"31.12.2024" is no {form}'))


class Records(unittest.TestCase):
    def test_line_ends_and_quotes(self) -> None:
        for text, expected in (
            (b"a,b\r\n\r\nc,d\n", [["a", "b"], ["c", "d"]]),
            (b"a\rb\r\rc", [["a"], ["b"], ["c"]]),
            (b'"a\nb","c""d"\r\n"",x', [["a\nb", 'c"d'], ["", "x"]]),
            (b'a"b,c\n"d\r\n"\re,f', [['a"b', "c"], ["d\r\n"], ["e", "f"]]),
            ("é,\u2028x\n".encode(), [["é", "\u2028x"]]),
        ):
            self.assertEqual(cut(text), expected, text)

    def test_what_is_no_record(self) -> None:
        for text, problem in (
            (b'"a"b,c', "behind the closing quote of field 1"),
            (b'"a\nb', "not closed before the end"),
            (b"\xff,a", "expected text in utf-8"),
            (b"a\0", "NUL"),
            (b"x" * (1 << 21), "longer than"),
            (b'"' + b"x\n" * (1 << 20), "longer than"),
        ):
            self.assertIn(problem, str(cut(text)[0]), text[:20])

    def test_dialects(self) -> None:
        western = Dialect(";", None, True, True, "windows-1252")
        self.assertEqual(cut(b'\x80 5; "x"\n', western), [["€ 5", '"x"']])
        self.assertEqual(cut(b'"a\\";b\n', Dialect(";", '"', False, False, "iso-8859-1")), [["a\\", "b"]])

    def test_numbers_and_dates(self) -> None:
        german = {"decimalChar": ",", "groupChar": "."}
        for text, value in (("1,5", "1.50"), ("1.234", None), ("12.50", None)):
            self.assertEqual(parser("decimal(2)", {"decimalChar": ","})(text), value, text)
        for kind, column, text, expected in (
            ("decimal(2)", {}, "+.5", "0.50"),
            ("decimal(2)", {}, "1.505", None),
            ("decimal(2)", german, "1.234.567,8", "1234567.80"),
            ("decimal(2)", german, "12.34", None),
            ("decimal(2)", {"bareNumber": False}, "-$ 5.5 USD", "-5.50"),
            ("decimal(2)", {"bareNumber": False}, "(5)", None),
            ("integer", {}, "9223372036854775808", None),
            ("decimal(2)", {}, "9" * 5000, None),
            ("decimal(2)", {}, "-" + "0" * 5000 + "5.1", "-5.10"),
            ("decimal(2)", {}, "5." + "0" * 5000, None),
            ("decimal(2)", german, "1." + "000." * 2000 + "000", None),
            ("decimal(2)", german, "0." + "000." * 2000 + "005,5", "5.50"),
            ("integer", {"bareNumber": False}, "$" + "9" * 5000, None),
            ("integer", {}, "+" + "0" * 5000, "0"),
            ("date", {"format": "%d.%m.%y"}, "1.2.69", "1969-02-01"),
            ("date", {"format": "%a %d %b %Y"}, "thu 29 February 2024", "2024-02-29"),
            ("date", {"format": "%a %d %b %Y"}, "Fri 29 Feb 2024", None),
            ("timestamp", {}, "2024-05-01T12:00:00.5+02:00", "2024-05-01 10:00:00.500000"),
            ("timestamp", {}, "2024-05-01T10:00:00+25:59", "2024-04-30 08:01:00"),
            ("timestamp", {}, "2024-05-01T10:00:00+26:00", None),
            ("timestamp", {}, "2024-05-01T10:00:00-05:60", None),
            ("timestamp", {"format": "%m/%d/%Y %I:%M %p"}, "5/1/2024 12:30 am", "2024-05-01 00:30:00"),
            ("boolean", {"trueValues": ["ja"], "falseValues": ["nein"]}, "ja", "true"),
            ("boolean", {"trueValues": [], "falseValues": ["nein"]}, "true", None),
        ):
            self.assertEqual(parser(kind, column)(text), expected, (kind, column, text))
        for text, number in (("9" * 5000, None), ("0" * 5000 + "5 CR", "-5.00"), ("5." + "0" * 5000, None)):
            self.assertEqual(numbers.written(text, ".", ",", "negative", "decimal(2)"), number)
        self.assertEqual(records.json_members(b'{"n": ' + b"9" * 5000 + b"}"), {"n"})
        self.assertEqual(dates.date("%d%m%Y", "01022024"), "2024-02-01")
        self.assertEqual(numbers.arithmetic("divide", "2.00", "3", "2,0", "decimal(20)", "up"), "0." + "6" * 19 + "7")


class Cells(unittest.TestCase):
    """What Spark reads of a cell by itself is what is read in Python."""

    def test_cells_of_every_type(self) -> None:
        spark = session()
        numbers_of = [
            "0",
            "-0",
            "+5",
            "5.",
            ".5",
            ".",
            "",
            " 5",
            "5 ",
            "1e5",
            "1.50",
            "1.505",
            "00012",
            "9" * 38,
            "0" * 50,
            "9" * 5000,
            "0" * 5000 + "5",
        ]
        numbers_of += [
            "9" * 36 + ".99",
            "9" * 37 + ".9",
            "9223372036854775807",
            "-9223372036854775809",
            "٣",
            "5d",
            "NaN",
        ]
        days = [
            "2024-02-29",
            "2023-02-29",
            "0000-01-01",
            "0001-01-01",
            "2024-2-29",
            " 2024-02-29",
            "2024-02-29T00:00:00",
        ]
        days += ["9999-12-31", "1.2.69", "+2024-02-29", "2024-02-29\n", "now", "epoch"]
        moments = ["2024-05-01T12:00:00.5+02:00", "2024-05-01", "2024-05-01T12:00Z"]
        words = {"trueValues": ["ja", "1"], "falseValues": ["nein", "1"]}
        for kind, column, texts in (
            ("integer", {}, numbers_of),
            ("decimal(0)", {}, numbers_of),
            ("decimal(2)", {}, numbers_of),
            ("decimal(38)", {}, numbers_of),
            ("decimal(2)", {"decimalChar": ","}, ["1,5", "1.5", *numbers_of]),
            ("integer", {"bareNumber": False}, ["$ 5", "5 EUR", "(5)"]),
            ("date", {}, days),
            ("date", {"format": "%d.%m.%y"}, days),
            ("timestamp", {}, moments),
            ("boolean", words, ["ja", "nein", "1", "true", "JA"]),
            ("boolean", {"trueValues": ["true"], "falseValues": []}, ["true", "false"]),
            ("boolean", {"trueValues": [], "falseValues": ["N"]}, ["true", "TRUE", "N", "false"]),
        ):
            frame = spark.createDataFrame([(text,) for text in texts], "x string").coalesce(1)
            value = plain.value("x", kind, column)
            found = frame.selectExpr(f"cast({value} as string) as x").collect()
            parse = parser(kind, column)
            texts_of = frame.sparkSession.createDataFrame([(parse(text),) for text in texts], "x string").coalesce(1)
            expected = texts_of.selectExpr(f"cast(cast(x as {spark_type(kind)}) as string) as x").collect()
            self.assertEqual([row[0] for row in found], [row[0] for row in expected], (kind, column, texts))

    def test_lines_of_every_dialect(self) -> None:
        spark, folder = session(), Path(self.enterContext(tempfile.TemporaryDirectory()))
        pieces_of = ["a", "", '"', '""', ";", ",", "x y", "€", "\x80", "\r", " ", "'", "|"]
        chosen = random.Random(7)
        lines = ["".join(chosen.choices(pieces_of, k=chosen.randint(0, 9))) for _ in range(3000)]
        for dialect in (
            Dialect(",", '"', True, False, "utf-8"),
            Dialect(";", '"', False, False, "windows-1252"),
            Dialect("|", "'", True, False, "iso-8859-1"),
            Dialect(",", None, True, False, "utf-8"),
        ):
            names = {"utf-8": "utf-8", "windows-1252": "latin-1", "iso-8859-1": "latin-1"}
            raw = [line.encode(names[dialect.encoding], "replace") for line in lines]
            (folder / "lines").write_bytes(b"\n".join(raw))
            made = plain.records(spark, dialect, [f"file://{folder}/lines"])
            made = plain.with_parts(made, dialect).selectExpr(
                "line", f"{plain.plainness(dialect)} as plain", f"{plain.cells_of(dialect)} as cells"
            )
            cell = plain.unquoted("cell", dialect)
            made = made.selectExpr("line", "plain", f"transform(cells, cell -> {cell}) as cells")
            checked = 0
            for line, is_plain, cells in made.collect():
                if is_plain:
                    self.assertEqual(cut(bytes(line), dialect), [cells], (bytes(line), dialect))
                    checked += 1
            self.assertGreater(checked, 500, dialect)


class Pieces(unittest.TestCase):
    """Objects that several workers read."""

    def setUp(self) -> None:
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = Path(self.temporary.name)
        self.spark = session()
        self.addCleanup(self.spark.conf.set, "spark.sql.files.maxPartitionBytes", str(pieces.PIECE_BYTES))

    def run_plan(self, text: bytes, swiftly: bool = False, **dialect: Any) -> tuple[dict[str, object], list[str]]:
        """Numbers the rows of a file, which is cut into pieces of four kilobytes."""
        (self.folder / "data").mkdir(exist_ok=True)
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        (self.folder / "data" / "a.csv").write_bytes(text)
        columns = [{"id": 0, "name": "t", "type": "text"}, {"id": 1, "name": "n", "type": "integer"}]
        place = [{"id": 2, "name": "#object", "type": "integer"}, {"id": 3, "name": "#row", "type": "integer"}]
        relation = {
            "body": {"kind": "read", "input": "a"},
            "columns": columns + place,
            "step": "a",
            "operation": "input",
        }
        order = [{"column": 3, "descending": False}]
        row = {"id": 3, "name": "row", "type": "integer"}
        output = {"name": "out", "format": "csv", "from": 0, "columns": [columns[1], row], "order": order}
        csv = {"delimiter": ",", "quoteChar": '"', "doubleQuote": True, "skipInitialSpace": False, "encoding": "utf-8"}
        described = [{"name": "t", "type": "text"}, {"name": "n", "type": "integer"}]
        csv.update(header=True, caseSensitiveHeader=False, fieldsMatch="exact", missingValues=[""], columns=described)
        csv.update(dialect)
        given = {"format": "csv", "csv": csv}
        task = {
            "version": 1,
            "job": {"tenant": "tests", "job": "pieces", "attempt": 1},
            "plan": {"version": 1, "relations": [relation], "outputs": [output]},
            "inputs": {"a": {**given, "objects": [{"bucket": "data", "key": "a.csv", "etag": "", "bytes": len(text)}]}},
            "output": {"bucket": "work", "prefix": "pieces"},
        }
        self.spark.conf.set("spark.sql.files.maxPartitionBytes", "4000")
        least = 0 if swiftly else 1 << 30
        with mock.patch.object(pieces, "PIECE_BYTES", 0), mock.patch.object(reading, "PLAIN_BYTES_MIN", least):
            report = engine.run(self.spark, Store(self.spark, str(self.folder)), task)
        if "failure" in report:
            return report["failure"], []
        parts = [self.folder / "work" / part["key"] for part in report["outputs"][0]["parts"]]
        return report, "".join(part.read_text() for part in parts).split()

    def test_rows_are_numbered_through_all_pieces(self) -> None:
        texts = ["plain", '"quoted, and\nbroken"', '"""\r\n\n"', '"' + "long\n" * 1500 + '"', "ends"]
        rows = [f"{texts[number % 7 % 5]},{number}" for number in range(1, 121)]
        report, lines = self.run_plan(("t,n\n" + "\n".join(rows)).encode())
        self.assertEqual(lines, [f"{number},{number}" for number in range(1, 121)])
        self.assertEqual(report["inputs"]["a"]["rows"], 120)  # type: ignore[index]

    def test_the_driver_holds_no_more_than_it_has_room_for(self) -> None:
        rows = [f'"{"long" * 400}\n{"cell" * 400}",{number}' for number in range(1, 25)]
        text = ("t,n\n" + "\n".join(rows)).encode()
        with mock.patch.object(pieces, "RESTS_BYTES_MAX", 1 << 20):
            _, lines = self.run_plan(text)
        self.assertEqual(lines, [f"{number},{number}" for number in range(1, 25)])
        with mock.patch.object(pieces, "RESTS_BYTES_MAX", 2_000):
            failure, _ = self.run_plan(text)
        self.assertIn("there is room for 2000", str(failure["message"]))

    def test_what_is_plain_is_read_without_python(self) -> None:
        texts = ["plain", '"quoted, and ""more"""', '""', "é", "x" * 900]
        rows = [f"{texts[number % 5]},{number}" for number in range(1, 121)]
        for text in ("\n".join(rows), "\r\n\r\n".join(rows) + "\r\n"):
            with mock.patch.object(reading, "read_others", side_effect=AssertionError("it is plain")):
                report, lines = self.run_plan(("\ufefft,n\r\n" + text).encode(), True)
            self.assertEqual(lines, [f"{number},{number}" for number in range(1, 121)])
            self.assertEqual(report["inputs"]["a"]["rows"], 120)  # type: ignore[index]

    def test_a_row_that_is_lost_between_counting_and_reading_is_noticed(self) -> None:
        text = "t,n\n" + "\n".join(f"x,{number}" for number in range(1, 121))
        read = plain.read_plain

        def read_short(*given: Any) -> Any:
            return read(*given).where("c1 <> 77")

        problem = self.assertRaisesRegex(RuntimeError, "input a: 119 rows were read, 120 were counted before")
        with mock.patch.object(plain, "read_plain", side_effect=read_short), problem:
            self.run_plan(text.encode(), True)

    def test_what_is_not_plain_or_wrong_is_told_as_ever(self) -> None:
        good = [f"x,{number}" for number in range(1, 1200)]
        for bad in (
            b'"two\nlines",7',
            b'stray "quote,7',
            b"a,b,c",
            b"\xff,7",
            b"nul\0,7",
            b'"open,7',
            b"y,1.5",
            b'"y","9223372036854775808"',
        ):
            text = ("t,n\n" + "\n".join(good) + "\n").encode() + bad + b"\nz,8\n"
            report, lines = self.run_plan(text, True)
            other, expected = self.run_plan(text)
            self.assertEqual(lines, expected, bad)
            if not lines:
                self.assertEqual(report, other, bad)

    def test_a_bad_cell_is_told_by_object_row_and_column(self) -> None:
        rows = [f'"x\n{number}",{number if number != 100 else "12.5"}' for number in range(1, 121)]
        failure, _ = self.run_plan(("t,n\n" + "\n".join(rows)).encode())
        self.assertEqual((failure["object"], failure["row"], failure["column"]), ("a.csv", 100, "n"))
        self.assertEqual((failure["step"], failure["operation"], failure["input"]), ("a", "input", "a"))

    def test_a_large_object_is_cut_alike_beside_many_small_ones(self) -> None:
        large = (b"x" * 995 + b"\n") * (pieces.PIECE_BYTES // 996 + 100)
        (self.folder / "large.txt").write_bytes(large)
        small = [self.folder / f"small-{number}.txt" for number in range(40)]
        for path in small:
            path.write_bytes(b"x\n")

        def starts(paths: list[Path]) -> set[int]:
            rows = pieces.lines(self.spark, [f"file://{path}" for path in paths])
            return {row[0] for row in rows.where("path like '%large%'").select("start").distinct().collect()}

        alone = starts([self.folder / "large.txt"])
        self.assertEqual(alone, {0, pieces.PIECE_BYTES})
        self.assertEqual(starts([*small, self.folder / "large.txt"]), alone)
        source = sources.Source("a", [], None, [], [], True, {})
        with self.assertRaisesRegex(RuntimeError, "cut at 7, and elsewhere"):
            source.piece(("large.txt", 7))

    def test_a_byte_order_mark_of_another_encoding_is_told(self) -> None:
        text = "\ufeffMüller,1\n"
        self.assertEqual(self.run_plan(text.encode(), header=False)[1], ["1,1"])
        for raw, encoding, found in (
            (text.encode(), "windows-1252", "utf-8"),
            (text.encode(), "iso-8859-1", "utf-8"),
            (text.encode("utf-16-le"), "utf-8", "utf-16"),
        ):
            for header in (False, True):
                failure, _ = self.run_plan(raw, header=header, encoding=encoding)
                told = f"mark of {found}, but its declared encoding is {encoding}: save it as {encoding}, or declare"
                self.assertIn(told, str(failure.get("message")), (raw, encoding, header))
                self.assertEqual(failure["object"], "a.csv")

    def test_a_second_byte_order_mark_is_text(self) -> None:
        """Spark itself drops the first one."""
        columns = [{"name": "n", "type": "integer"}, {"name": "t", "type": "text"}]
        for swiftly in (False, True):
            for marks, lines in (("\ufeff", ["1,1", "2,2"]), ("\ufeff\ufeff", [])):
                text = f"{marks}1,x\n2,y\n".encode()
                report, found = self.run_plan(text, swiftly, header=False, columns=columns)
                self.assertEqual(found, lines, (swiftly, marks))
                if not lines:
                    self.assertEqual((report["row"], report["column"]), (1, "n"), swiftly)

    def test_lines_that_end_nowhere_are_told_before_a_worker_holds_them(self) -> None:
        text = ("t,n\n" + "\n".join(f"x,{number}" for number in range(1, 121))).encode()
        for header in (True, False):
            raw = text.replace(b"\n", b"\r") if header else text[4:].replace(b"\n", b"\r")
            self.assertEqual(len(self.run_plan(raw, header=header)[1]), 120)
            with mock.patch.object(sources, "UNBROKEN_BYTES_MAX", 100):
                self.assertEqual(len(self.run_plan(text if header else text[4:], header=header)[1]), 120)
                failure, _ = self.run_plan(raw, header=header)
            self.assertIn("there is no line feed in the first", str(failure["message"]))

    def test_long_lines_of_json_are_told(self) -> None:
        source = sources.Source("a", [("t", "text")], None, [{}], [], False, {}, [[{"member": "t"}]])
        line = b'{"t": "' + b"x" * (16 << 20) + b'"}'
        found = list(reading.numbered_values(iter([b'{"t": "y"}', line]), source, sources.Piece(1), None))
        self.assertEqual(
            [row if isinstance(row, list) else row.message for _, row in found], [["y"], records.LONG_LINE]
        )
        store = Store(self.spark, str(self.folder))
        for text, long in ((line + b"\n", True), (b"{}\n" + line, False)):
            (self.folder / "line").write_bytes(text)
            given = {"objects": [{"bytes": 1 << 30}]}
            try:
                sources.long_line(store, source, given, [f"file://{self.folder}/line"])
                self.assertFalse(long)
            except FaultError as problem:
                self.assertTrue(long, problem)

    def test_what_spark_would_pass_over_or_unpack_is_told(self) -> None:
        for name, form, words in (
            ("_adjustments.csv", "csv", "passes over"),
            (".hidden.parquet", "parquet", "passes over"),
            ("orders.csv.GZ", "csv", "is packed"),
        ):
            self.assertIn(words, str(reading.unread(name, form)), name)
        for name, form in (("orders_.csv", "csv"), ("part.gz.parquet", "parquet"), ("a=1_.jsonl", "jsonLines")):
            self.assertIsNone(reading.unread(name, form), name)

    def test_other_columns_than_planned_are_told(self) -> None:
        failure, _ = self.run_plan(b"t,m\nx,1\n")
        self.assertIn("missing n; unexpected m; the file has t, m", str(failure["message"]))
        failure, _ = self.run_plan(b"t,n\nx,1,2\n")
        self.assertIn("expected 2 fields, found 3", str(failure["message"]))


if __name__ == "__main__":
    unittest.main()
