"""fedgated as a service: what it tells its supervisor."""
import contextlib
import ctypes
import os
import socket
import unittest

from harness.gate import GateTest
from harness.process import Failed, wait_until

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


if __name__ == "__main__":
    unittest.main()
