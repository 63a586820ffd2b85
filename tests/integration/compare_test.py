"""bench/compare in short, with the servers that are installed: each has its row, and what is kept can be read."""
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ.get("FEDGATE_BINARIES", ROOT / "build/release/bin")).resolve()
ROWS = {
    "messages": ("Fedgate's edge", "Prosody", "ejabberd"),
    "setups": ("Fedgate", "Prosody", "ejabberd"),
    "idle": ("Fedgate", "Prosody", "ejabberd"),
    "sip": ("Fedgate, XMPP to SIP, TCP", "Fedgate, SIP to XMPP, TCP", "Kamailio, SIP to SIP, TCP",
            "Fedgate, XMPP to SIP, UDP", "Kamailio, SIP to SIP, UDP"),
    "gateway": ("Fedgate", "Prosody + Kamailio's xmpp"),
}


def program():
    """bench/compare as a module."""
    path = ROOT / "bench/compare"
    sys.path.insert(0, str(path.parent))
    loader = importlib.machinery.SourceFileLoader("compare", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("compare", loader))
    loader.exec_module(module)
    return module


class Compare(unittest.TestCase):
    def test_measures_every_row(self):
        with tempfile.TemporaryDirectory() as directory:
            done = subprocess.run([ROOT / "bench/compare", "--quick", "--json", "--build", BINARIES.parent, "--save",
                                   directory], capture_output=True, text=True, timeout=250)
            self.assertEqual(done.returncode, 0, done.stderr)
            table, kept, picture = (next(pathlib.Path(directory).glob(f"*.{suffix}")) for suffix in ("md", "json", "svg"))
            result, table = json.loads(done.stdout), table.read_text()
            self.assertEqual(json.loads(kept.read_text()), result)
            words = "".join(xml.etree.ElementTree.parse(picture).getroot().itertext())
        self.assertEqual(result["failed"], [])
        rows = {(row["group"], row["server"]): row for row in result["rows"]}
        self.assertEqual(list(rows), [(group, name) for group, names in ROWS.items() for name in names])
        servers = program().SERVERS
        for (group, name), row in rows.items():
            with self.subTest(group=group, server=name):
                self.assertIn(name, table)
                self.assertIn(name, words)
                self.assertIn(row["left_out"] if "left_out" in row else f"{row['value']:,} {row['unit']}", table)
                if "left_out" in row:
                    self.assertIn(name.split(",")[0], servers)    # never Fedgate
                    self.assertRegex(row["left_out"], "^not installed: apt-get install |^can't do it as Debian has it: ")
                elif group != "idle":
                    # Between a hundred nanoseconds and ten milliseconds, of one and of all.
                    self.assertTrue(100 < row["cpu_ns"] < 10_000_000, row)
                    self.assertAlmostEqual(row["a_second_a_core"] * row["cpu_ns"], 1e9, delta=row["cpu_ns"])
                    self.assertGreater(row["memory_bytes"], 1 << 20)
                    self.assertEqual(row["processes"] > 1, name.startswith(("Kamailio", "ejabberd")), row)
                else:
                    self.assertLess(abs(row["value"]), 4_096)    # KiB; so few streams are noise beside the rest

    def test_a_server_that_is_not_there_is_left_out(self):
        compare = program()
        compare.SERVERS["Kamailio"] = compare.SERVERS["Kamailio"]._replace(files=("/nowhere/*",))
        self.assertIn("apt-get install kamailio", compare.Bench.why_not("Kamailio, SIP to SIP, UDP"))
        self.assertIsNone(compare.Bench.why_not("Fedgate, XMPP to SIP, UDP"))


if __name__ == "__main__":
    unittest.main()
