"""bench/presence in short: its own both ends, a daemon, and what it prints is true."""
import json
import os
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class PresenceLoad(unittest.TestCase):
    def test_many_are_made_and_every_change_is_seen(self):
        build = pathlib.Path(os.environ["FEDGATE_BINARIES"]).parent
        done = subprocess.run([ROOT / "bench/presence", "--quick", "--json", "--build", build, "watchers", "watches", "notify"],
                              capture_output=True, text=True, timeout=200)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {row["bound"]: row for row in json.loads(done.stdout)}
        for name in ("watchers: kill -9, all 2000 right", "watches: kill -9, all 2000 right",
                     "notify: all made",
                     "notify: NOTIFY to presence, all seen", "notify: presence to NOTIFY, all seen"):
            self.assertTrue(rows[name]["judged"] and rows[name]["ok"], rows[name])
            self.assertEqual(rows[name]["promised"], rows[name]["measured"])


if __name__ == "__main__":
    unittest.main()
