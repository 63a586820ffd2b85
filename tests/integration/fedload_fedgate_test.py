"""fedload's workloads against a real fedgated, small: each ends well. Figures are not judged."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import measuring    # noqa: E402

BUILD = pathlib.Path(os.environ.get("FEDGATE_BINARIES", ROOT / "build/release/bin")).resolve().parent
PEOPLE = ("--partner", measuring.MANY, "--domain", measuring.PRESENCE_DOMAIN, "--watchers", 10, "--contacts", 20)
PAIRS = 200


class Fedgate(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        directory = pathlib.Path(tempfile.mkdtemp(prefix="fedload-"))
        self.stack.callback(shutil.rmtree, directory)
        self.bench = measuring.Workbench(BUILD, directory)

    def run_on(self, words, **keys):
        with measuring.Daemon(self.bench, **keys) as daemon:
            return self.bench.fedload(daemon, *words)

    def assert_whole(self, run, count):
        self.assertEqual({key: run[key] for key in ("sent", "delivered", "refused", "lost", "doubled", "out_of_order")},
                         {"sent": count, "delivered": count, "refused": 0, "lost": 0, "doubled": 0, "out_of_order": 0})
        self.assertGreater(run["cpu_ns"], 0)
        self.assertGreater(run["memory_kib"], 1_000)

    def test_messages_by_every_transport(self):
        for keys in ({}, {"tls": True}, {"udp": True}):
            for way in ("--to-sip", "--to-xmpp"):
                with self.subTest(way, **keys):
                    self.assert_whole(self.run_on((way, "--count", 300, "--warm-up", 0, "--window", 50), **keys), 300)

    def test_set_ups_by_every_method(self):
        for keys, auth, security in (({"tls": True}, "external", "TLS, SASL EXTERNAL"),
                                     ({"tls": True}, "dialback", "TLS, dialback"),
                                     ({}, "dialback", "clear, dialback")):
            with self.subTest(security):
                run = self.run_on(("--set-ups", "--auth", auth, "--count", 50), **keys)
                self.assert_whole(run, 50)
                self.assertEqual(run["security"], security)

    def test_presence(self):
        for workload, count, keys in (("--storm", 2 * PAIRS, {"tls": True}), ("--storm", 2 * PAIRS, {"udp": True}),
                                      ("--refreshes", PAIRS, {}), ("--fan-out", 2 * PAIRS, {"tls": True})):
            with self.subTest(workload, **keys):
                self.assert_whole(self.run_on((workload, *PEOPLE), **keys), count)


if __name__ == "__main__":
    unittest.main()
