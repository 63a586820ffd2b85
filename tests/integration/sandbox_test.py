"""What fedgated denies to itself before it opens a port, on a plain shell and within its unit's filter."""
import ctypes
import errno
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest

from harness.process import own_address
from harness.world import binaries

UNIT = pathlib.Path(__file__).resolve().parents[2] / "appliance/systemd/fedgated.service.in"
ALLOW, DENY = 0x7fff0000, 0x00050000 | errno.EPERM
REGISTER_RESTRICTIONS = 11
EQUAL = 4


class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("how", ctypes.c_int), ("value", ctypes.c_uint64), ("value2", ctypes.c_uint64)]


class Filter:
    """For a child of ours, before it becomes the program under test."""

    def __init__(self, default):
        self.library = ctypes.CDLL("libseccomp.so.2")
        self.library.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.library.seccomp_init(default))

    def add(self, action, call, *comparisons):
        number = self.library.seccomp_syscall_resolve_name(call.encode())
        done = self.library.seccomp_rule_add_array(self.context, action, number, len(comparisons),
                                                   (Comparison * len(comparisons))(*comparisons))
        if done != 0:
            raise OSError(-done, call)

    def load(self):
        done = self.library.seccomp_load(self.context)
        if done != 0:
            raise OSError(-done, "seccomp_load")


def calls_of(group):
    """As systemd has it: a name, or a group that may have groups in it."""
    if not group.startswith("@"):
        return {group}
    text = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", group], capture_output=True, text=True,
                          check=True).stdout
    lines = [line.strip() for line in text.splitlines()[1:]]
    return set().union(*(calls_of(line) for line in lines if line and not line.startswith("#")))


def filter_of_unit():
    """Its lines SystemCallFilter=: the first says what is allowed, one with ~ takes away."""
    allowed = set()
    for taken, names in re.findall(r"(?m)^SystemCallFilter=(~?)(.+)$", UNIT.read_text()):
        calls = set().union(*map(calls_of, names.split()))
        allowed = allowed - calls if taken else allowed | calls
    own = Filter(DENY)
    for call in sorted(allowed):
        if own.library.seccomp_syscall_resolve_name(call.encode()) != -1:
            own.add(ALLOW, call)
    return own


def without(call, *comparisons):
    own = Filter(ALLOW)
    own.add(DENY, call, *comparisons)
    return own


def rows(text):
    return dict(re.findall(r"(?m)^  (.+?) {2,}(denied|NOT DENIED): ", text))


class Sandbox(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="fedgate-sandbox-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def run_it(self, *arguments, within=None):
        return subprocess.run([binaries() / "fedgated", *arguments], capture_output=True, text=True, timeout=30,
                              check=False, preexec_fn=within and within.load)

    def command(self):
        address = own_address(5060, 5269, 5270)
        keys = {"core.threads": 2, "dirs.state": self.directory / "state", "admin.socket": self.directory / "admin.sock",
                "admin.http.listen": f"{address}:9269", "xmpp.listen": f"{address}:5269",
                "xmpp.listen_tls": f"{address}:5270", "sip.listen": f"udp:{address}:5060"}
        return [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]

    def test_each_thing_is_denied(self):
        done = self.run_it("--sandbox-selftest")
        tried = rows(done.stdout)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual(set(tried.values()), {"denied"})
        self.assertTrue(done.stdout.endswith(f"\n{len(tried)} of {len(tried)} are denied\n"), done.stdout)
        words = ["io_uring_setup", "OPENAT", "execve", "fork", "(mount)", "(mmap)", "raw socket"]
        if "for its sanitizer" not in done.stdout:
            words += ["(clone)", "ptrace"]
        for word in words:
            self.assertTrue(any(word in row for row in tried), word)

    def test_it_goes_with_nothing_else(self):
        done = self.run_it("--sandbox-selftest", "--check")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--sandbox-selftest goes with nothing else", done.stderr)

    # The unit's filter must let it fence itself, and serve.
    def test_within_the_unit(self):
        within = filter_of_unit()
        done = self.run_it("--sandbox-selftest", within=within)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        with subprocess.Popen([binaries() / "fedgated", *self.command()], stderr=subprocess.PIPE, text=True,
                              preexec_fn=within.load) as daemon:
            self.addCleanup(daemon.kill)
            said = ""
            while "FG-1002" not in said and (line := daemon.stderr.readline()):
                said += line
            self.assertIn("FG-1002", said)
            status = pathlib.Path(f"/proc/{daemon.pid}/task")
            for task in status.iterdir():  # those that were there, and those that came
                self.assertRegex((task / "status").read_text(), r"(?m)^Seccomp_filters:\t2$")
            daemon.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(15), 0)

    def refused(self, within, why, error):
        began = time.monotonic()
        done = self.run_it(*self.command(), within=within)
        self.assertEqual(done.returncode, 1)
        self.assertIn("FG-1009", done.stderr)
        self.assertIn(f"fedgated: can't start: {why}: {error}\n", done.stderr)
        self.assertNotIn("FG-1002", done.stderr)
        self.assertLess(time.monotonic() - began, 10)
        done = self.run_it("--sandbox-selftest", within=within)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, f"fedgated: {why}: {error}\n")

    def test_it_does_not_run_without_its_filter(self):
        self.refused(without("seccomp"), "system calls can't be restricted", "Operation not supported")

    def test_it_does_not_run_with_a_ring_that_may_do_all(self):
        self.refused(without("io_uring_register", Comparison(1, EQUAL, REGISTER_RESTRICTIONS, 0)),
                     "io_uring can't be restricted", "Operation not permitted")


if __name__ == "__main__":
    unittest.main()
