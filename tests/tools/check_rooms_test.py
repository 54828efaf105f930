"""The room check must find what it is there to find."""

import pathlib
import unittest

import made_tree

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools/check_rooms.py"


def run_on(files):
    return made_tree.check(TOOL, files)


class CheckRooms(unittest.TestCase):
    def assert_finds(self, files, text):
        result = run_on(files)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn(text, result.stdout)

    def test_accepts_a_legal_tree(self):
        result = run_on({"jobs/a.cc": '#include "store/database.h"\n'})
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_finds_a_forbidden_room(self):
        self.assert_finds({"jobs/a.cc": '#include "clip/encoder.h"\n'},
                          "room jobs may not include")

    def test_worker_headers_may_not_include_clip_but_sources_may(self):
        self.assert_finds({"worker/a.h": '#include "clip/encoder.h"\n'},
                          "room worker may not include")
        self.assertEqual(
            run_on({"worker/a.cc": '#include "clip/encoder.h"\n'}).returncode,
            0)

    def test_finds_torch_in_a_worker_header_and_wide_headers_anywhere(self):
        self.assert_finds({"worker/a.h": "#include <ATen/core/Tensor.h>\n"},
                          "stay free of torch")
        self.assert_finds({"clip/a.cc": "#include <torch/torch.h>\n"},
                          "wide torch headers")

    def test_finds_sql_and_protobuf_outside_their_rooms(self):
        self.assert_finds({"jobs/a.cc": "#include <sqlite3.h>\n"}, "SQL")
        self.assert_finds({"worker/a.cc": "#include <grpcpp/grpcpp.h>\n"},
                          "protobuf or gRPC")

    def test_finds_a_file_over_the_ceiling(self):
        self.assert_finds({"common/a.cc": "int a;\n" * 501}, "ceiling is 500")


if __name__ == "__main__":
    unittest.main()
