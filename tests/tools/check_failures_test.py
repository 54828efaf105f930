"""The check of docs/failures.md must find what it is there to find."""

import pathlib
import unittest

import made_tree

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools/check_failures.py"

HEAD = ("| failure | what a user sees | failpoint | planted bug | test |\n"
        "| --- | --- | --- | --- | --- |\n")
ROW = "| the disk is full | DISK_FULL | `blob.write` | `bug` | `DiskTest.Full` |\n"
PATCH = """Why.

row: the disk is full
target: store_test
test: DiskTest.Full

diff --git a/store/a.cc b/store/a.cc
--- a/store/a.cc
+++ b/store/a.cc
@@ -1 +1 @@
-int error = FailpointError("blob.write");
+int error = 0;
"""
TREE = {
    "docs/failures.md": HEAD + ROW,
    "common/failpoint.cc": '    {"blob.write", Kind::kError},  // half\n',
    "store/a.cc": 'int error = FailpointError("blob.write");\n',
    "tests/store/CMakeLists.txt": "room_test(\n  NAME store\n  SRCS a.cc)\n",
    "tests/store/a.cc": 'TEST_F(DiskTest, Full) { Arm("blob.write"); }\n',
    "tests/planted/bug.patch": PATCH,
}


def run_on(changes):
    return made_tree.check(TOOL, {**TREE, **changes})


class CheckFailures(unittest.TestCase):
    def assert_finds(self, changes, text):
        result = run_on(changes)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn(text, result.stdout)

    def test_accepts_a_tree_in_order(self):
        result = run_on({})
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("1 rows, 1 failpoints", result.stdout)

    def test_finds_a_table_that_is_another_one(self):
        self.assert_finds({"docs/failures.md": "| failure | test |\n"},
                          "no table")

    def test_finds_what_a_row_names_and_is_not_there(self):
        for old, new, text in (
                ("`blob.write`", "`blob.wrote`", "no failpoint blob.wrote"),
                ("`blob.write`", "", "no failpoint, and no reason"),
                ("`bug`", "`other`", "no tests/planted/other.patch"),
                ("`bug`", "", "no planted bug"),
                ("`DiskTest.Full`", "`DiskTest.Empty`", "no test DiskTest.E"),
                ("`DiskTest.Full`", "", "no test")):
            self.assert_finds(
                {"docs/failures.md": HEAD + ROW.replace(old, new)}, text)

    def test_finds_what_has_no_row(self):
        self.assert_finds({"tests/planted/more.patch": PATCH}, "has no row")
        self.assert_finds(
            {"common/failpoint.cc": TREE["common/failpoint.cc"]
             + '    {"db.write", Kind::kError},\n',
             "store/b.cc": 'FailpointError("db.write");\n'},
            "failpoint db.write: has no row")

    def test_finds_a_point_that_is_not_passed_not_listed_or_not_tested(self):
        self.assert_finds(
            {"common/failpoint.cc": TREE["common/failpoint.cc"]
             + '    {"db.write", Kind::kError},\n'}, "no code comes by it")
        self.assert_finds({"store/b.cc": 'FailpointStep("db.sync");\n'},
                          "does not list db.sync")
        self.assert_finds({"tests/store/a.cc": "TEST_F(DiskTest, Full) {}\n"},
                          "no test reaches it")

    def test_finds_a_patch_that_means_nothing(self):
        for old, new, text in (
                ("-int error", "-int mistake", "does not apply"),
                ("row: the disk is full", "row: the moon", "is of the row"),
                ("target: store_test", "target: moon_test", "no target"),
                ("test: DiskTest.Full", "test: DiskTest.Half", "no test"),
                ("test: DiskTest.Full\n", "", "must say row, target and")):
            self.assert_finds(
                {"tests/planted/bug.patch": PATCH.replace(old, new)}, text)


if __name__ == "__main__":
    unittest.main()
