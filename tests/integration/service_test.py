"""fedgated as a service: what it tells its supervisor."""
import contextlib
import ctypes
import os
import socket
import unittest

from harness.gate import GateTest
from harness.process import Failed, wait_until
from harness.world import binaries

WATCHDOG_S = 2
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
LIBC = ctypes.CDLL(None, use_errno=True)


def ptrace(request, thread):
    if LIBC.ptrace(request, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


@contextlib.contextmanager
def stopped(thread):
    """One thread of another process stands still, as if it hung."""
    ptrace(PTRACE_SEIZE, thread)
    ptrace(PTRACE_INTERRUPT, thread)
    LIBC.waitpid(thread, None, 0x40000000)  # __WALL
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH, thread)


# Runs the program without that system call: EPERM.
CONFINED = """#!/usr/bin/python3
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
steps = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in (
    (0x20, 0, 0, 0), (0x15, 0, 1, {call}), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000))))
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(steps)))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filter, 0, 0):
    raise OSError(ctypes.get_errno(), "prctl")
os.execv("{program}", ["{program}", *sys.argv[1:]])
"""
SCHED_SETAFFINITY = {"x86_64": 203, "aarch64": 122}


class Service(GateTest):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.supervisor = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.supervisor.close)
        self.supervisor.bind(str(self.directory / "notify"))
        self.supervisor.setblocking(False)

    # Not before: unbound, too, tells who asks it to.
    def supervise(self, _):
        os.environ.update(NOTIFY_SOCKET=str(self.directory / "notify"), WATCHDOG_USEC=str(WATCHDOG_S * 1_000_000))
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
            self.addCleanup(os.environ.pop, name)

    async def told(self, within=WATCHDOG_S):
        def one():
            with contextlib.suppress(BlockingIOError):
                return self.supervisor.recv(100).decode()
        return await wait_until(one, "a word to the supervisor", within)

    # Each in its turn, the first one included; and what it says again when all is well again.
    async def test_a_core_that_hangs_is_not_passed_over(self):
        await self.gate(prepare=self.supervise)
        self.assertEqual(await self.told(), "READY=1")
        threads = sorted(map(int, os.listdir(f"/proc/{self.fedgate.process.pid}/task")))[1:3]
        for thread in threads:
            self.assertEqual(await self.told(), "WATCHDOG=1")
            with stopped(thread):
                told = 0
                with contextlib.suppress(Failed):
                    while await self.told():
                        told += 1
                self.assertLess(told, 3)  # what was under way
            self.assertEqual(await self.told(), "WATCHDOG=1")
        await self.fedgate.stop()


    # Where the unit's filter of system calls denies it, nobody finds out by himself.
    async def test_a_core_that_may_not_be_bound_to_its_cpus_is_told(self):
        folder = self.directory / "confined"
        folder.mkdir()
        (folder / "fedctl").symlink_to(binaries() / "fedctl")
        (folder / "fedgated").write_text(CONFINED.format(call=SCHED_SETAFFINITY[os.uname().machine],
                                                         program=binaries() / "fedgated"))
        (folder / "fedgated").chmod(0o755)
        cpu = min(os.sched_getaffinity(0))
        await self.gate(keys={"core.1.cpu": cpu}, prepare=lambda fedgate: setattr(fedgate, "binaries", folder))
        words = "core.1.cpu does not act: the system refuses sched_setaffinity (Operation not permitted)"
        self.assertIn(words, await self.fedgate.control("status"))
        self.assertIn("core.0.cpu, core.1.cpu do not act", await self.fedgate.control("sysctl", "-w", f"core.0.cpu={cpu}"))
        self.assertIn("core.0.cpu, core.1.cpu do not act", await self.fedgate.control("status"))
        await self.fedgate.control("sysctl", "--reset", "core.0.cpu")
        self.assertIn(words, await self.fedgate.control("status"))


if __name__ == "__main__":
    unittest.main()
