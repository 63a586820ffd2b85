"""bench/tuning in short: each tuning step of fedgate.conf(5) changes its figure, and what is changed under load drops
nothing (appliance.md 6.2, checks 5 and 9). No time is judged."""
import json
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ.get("FEDGATE_BINARIES", ROOT / "build/release/bin")).resolve()
FEW_CPUS = len(os.sched_getaffinity(0)) < 2


class Tuning(unittest.TestCase):
    def measure(self, *groups):
        """(before, after) of each group, and its row."""
        done = subprocess.run([ROOT / "bench/tuning", "--quick", "--json", "--build", BINARIES.parent, *groups],
                              capture_output=True, text=True, timeout=200)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = json.loads(done.stdout)["rows"]
        return {row["group"]: (row["before"], row["after"]) for row in rows}, rows

    # What the page says of the bounds is exact.
    def test_each_step_changes_its_figure(self):    # 9
        found, rows = self.measure("threads", "queue", "idle", "sender", "datagrams", *(() if FEW_CPUS else ["cpus"]))
        self.assertEqual(found["queue"], (38, 6))
        self.assertEqual(found["idle"], (50, 0))
        self.assertEqual(found["threads"][0], 100)
        self.assertLess(found["threads"][1], 80)
        for group in ("sender", "datagrams"):
            self.assertGreater(found[group][0], 50, group)
            self.assertEqual(found[group][1], 0, group)
        if not FEW_CPUS:
            self.assertEqual(found["cpus"], (2, 1))
        # Each of the page is measured, and each that is measured is on the page.
        page = (ROOT / "appliance/man/fedgate.conf.5").read_text()
        part = page.split(".Sh TUNING")[1].split(".Sh ")[0]
        documented = dict(re.findall(r"(?m)^\.It Cm (\S+) , No row Li (\w+)$", part))
        self.assertEqual(set(documented.values()) - {"cpus"}, set(found) - {"cpus"})
        for row in rows:
            key, = (key for key, group in documented.items() if group == row["group"])
            self.assertRegex(row["step"], re.escape(key).replace(r"\*/", "[^/]*/"))

    # It fails where a stream was dropped, or a message did not arrive once and in order.
    def test_a_change_under_load_drops_nothing(self):    # 5
        _, rows = self.measure("live")
        self.assertGreater(rows[1]["changes"], 2)

    def test_an_import_is_measured(self):
        found, _ = self.measure("import_users")
        self.assertGreater(found["import_users"][0], 0)


if __name__ == "__main__":
    unittest.main()
