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
SESSIONS = ("--sessions", "lync", "--count", 300, "--warm-up", 0, "--pairs", 20, "--window", 50)


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

    def test_messages_in_sessions(self):
        for keys in ({}, {"tls": True}):
            for way in ("--to-sip", "--to-xmpp"):
                with self.subTest(way, **keys):
                    run = self.run_on((way, *SESSIONS), profile="lync", **keys)
                    self.assert_whole(run, 300)
                    self.assertEqual((run["sessions"], run["sessions_ended"]), (20, 20))

    def test_sessions_that_stay(self):
        """They take a message more each, open no other, and end."""
        with measuring.Daemon(self.bench, tls=True, profile="lync") as daemon, \
                measuring.Load(self.bench, daemon, "--json", "--to-sip", "--hold", *SESSIONS, "--partner", measuring.PARTNER,
                               "--domain", measuring.SIP_DOMAIN, *daemon.ends()) as load:
            self.assertEqual(load.answer()["delivered"], 300)
            self.assertEqual(daemon.counter("sessions.open"), 20)
            load.process.stdin.close()
            run = load.answer()
            self.assertEqual([run[key] for key in ("delivered", "sessions", "sessions_ended", "fault")], [320, 20, 20, ""])
            self.assertEqual(daemon.counter("sessions.open"), 0)

    def test_a_domain_without_sessions(self):
        for way, why in (("--to-sip", "300 messages came outside a session"), ("--to-xmpp", "20 sessions were refused, .*405")):
            with self.assertRaisesRegex(measuring.Failed, why):
                self.run_on((way, *SESSIONS))

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
