"""bench/floor and bench/report in short: they run, and what they print is whole. Figures are not judged."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ.get("FEDGATE_BINARIES", ROOT / "build/release/bin")).resolve()


class Report(unittest.TestCase):
    def test_floor_measures_every_path(self):
        done = subprocess.run([BINARIES / "floor", "--json", "--seconds", "0.1", "--repeat", "1"], capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {row["path"]: row for row in json.loads(done.stdout)}
        self.assertEqual(list(rows), ["tcp", "tls", "tls-small", "udp", "udp-segment"])
        self.assertTrue(all(row["ns"] > 0 and row["messages"] > 0 for row in rows.values()), rows)
        self.assertGreater(rows["tls"]["latency_us"]["p50"], 0)

    def test_report_measures_every_row(self):
        with tempfile.TemporaryDirectory() as directory:
            done = subprocess.run([ROOT / "bench/report", "--quick", "--json", "--build", BINARIES.parent, "--save",
                                   directory], capture_output=True, text=True, timeout=250)
            self.assertEqual(done.returncode, 0, done.stderr)
            table, = pathlib.Path(directory).glob("*.md")
            result = json.loads(done.stdout)
            for row in result["rows"]:
                self.assertIn(row["name"], table.read_text())
                self.assertGreater(row["value"], -2_000_000)
        self.assertEqual({row["group"] for row in result["rows"]},
                         {"paths", "setups", "latency", "notify", "idle", "cost"})
        self.assertEqual(result["failed"], [])
        self.assertGreaterEqual(len(result["rows"]), 17)


if __name__ == "__main__":
    unittest.main()
