"""The micro benchmarks in short: every subject has one, they run, and nothing on the message path takes memory from
the heap. Times are not judged."""
import json
import os
import pathlib
import subprocess
import unittest

BINARIES = pathlib.Path(os.environ.get("FEDGATE_BINARIES", "build/release/bin")).resolve()
PROGRAMS = {    # program -> what it is about
    "bench_xml_framer": ("frame_chat", "view_chat"),
    "bench_gateway_mapping": ("BM_JidToUri", "BM_UriToJid", "BM_StanzaText", "BM_ReadPidf", "BM_WritePidf"),
    "bench_sip_message": ("BM_ReadMessage", "BM_ReadResponse", "BM_WriteMessage", "BM_WriteResponse"),
    "bench_net_tls": ("seal/300", "seal_and_open/300"),
    "bench_core_run": ("BM_TimerArmCancel", "BM_TimerFire", "BM_Mailbox"),
}
# wolfSSL takes its record buffer for each record, and gives it back.
TAKEN = {"seal": 1, "seal_and_open": 2}


class Micro(unittest.TestCase):
    def test_nothing_is_taken_from_the_heap(self):
        for program, subjects in PROGRAMS.items():
            done = subprocess.run([BINARIES / program, "--benchmark_min_time=0.001", "--benchmark_format=json"],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            rows = {row["name"]: row for row in json.loads(done.stdout)["benchmarks"]}
            self.assertEqual(set(subjects) - set(rows), set())
            for name, row in rows.items():
                with self.subTest(f"{program} {name}"):
                    self.assertNotIn("error_message", row)
                    self.assertEqual(row["allocations"], TAKEN.get(name.split("/")[0], 0))


if __name__ == "__main__":
    unittest.main()
