"""Plants one fault at a time in a mock tree: rules_check must find each, and nothing in a clean one."""
import pathlib
import tempfile
import unittest

import rules_check

RULES = "# a comment with IM-9\nIM-1..3 ERR-L2\nPRES-1..2 : presence comes later\n"
CLEAN = {
    "tests/layout/rules.txt": RULES,
    "tests/gateway/a_test.cpp": "TEST(A, B) {    // IM-1..IM-2, UTF-8, RFC 3261\n",
    "tests/integration/b_test.py": '"""IM-3, PRES-2"""\n# ERR-L2\n',
}
PLANTED = {
    "IM-4: no test cites it": ("tests/layout/rules.txt", RULES.replace("1..3", "1..4")),
    "IM-1: no test cites it": ("tests/gateway/a_test.cpp", "// IM-12 is not it, nor XIM-1 or IM-1a\n// IM-2"),
    "tests/xml/c_test.cpp:2: ERR-9 is in no list": ("tests/xml/c_test.cpp", "\n// ERR-9"),
    "tests/xml/c_test.cpp:1: IM-4 is in no list": ("tests/xml/c_test.cpp", "// IM-3..4"),
    "rules.txt:4: no reason given for CS-1": ("tests/layout/rules.txt", RULES + "CS-1 :\n"),
    "rules.txt:4: IM-2 is listed twice": ("tests/layout/rules.txt", RULES + "IM-2 : later\n"),
    "rules.txt:4: not a list of ids": ("tests/layout/rules.txt", RULES + "presence comes later\n"),
}


def faults_of(files):
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return rules_check.faults(root)


class Rules(unittest.TestCase):
    def test_a_clean_tree_has_no_fault(self):
        self.assertEqual(faults_of(CLEAN), [])

    def test_each_planted_fault_is_found(self):
        for expected, (name, text) in PLANTED.items():
            with self.subTest(expected):
                found = faults_of({**CLEAN, name: text})
                self.assertTrue(any(fault.startswith(expected) for fault in found), found)


if __name__ == "__main__":
    unittest.main()
