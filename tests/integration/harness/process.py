"""A child process with its log in a file, loopback addresses of one's own, and waiting with a limit."""
import asyncio
import random
import resource
import signal
import socket
import time

WAIT_SECONDS = 20
POLL_SECONDS = 0.02


class Failed(Exception):
    """A step did not arrive; the message says which, for people."""


async def wait_until(condition, what, seconds=WAIT_SECONDS):
    """Waits until condition() is true and returns its value; condition may be a coroutine function."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        if time.monotonic() >= end:
            raise Failed(f"waited {seconds} s in vain: {what}")
        await asyncio.sleep(POLL_SECONDS)


def own_address(*ports):
    """A loopback address on which nobody has these TCP ports, so that standard ports can be used."""
    for _ in range(100):
        address = f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
        probes = []
        try:
            for port in ports:
                probe = socket.socket()
                probes.append(probe)
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
            return address
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()
    raise Failed(f"no loopback address has the ports {ports} free")


def free_port(address="127.0.0.1", kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def is_listening(address, port, transport="tcp", machine=None):
    """Asks the kernel's table: a trial connection would count with the program under test. machine: where, if it
    is not here (network.Machine)."""
    local = socket.inet_aton(address)[::-1].hex().upper() + f":{port:04X}"
    with open(f"/proc/{machine.pid if machine else 'self'}/net/{transport}") as table:
        rows = [line.split() for line in table]
    # State 0A is LISTEN, 07 a bound UDP socket.
    return any(row[1] == local and row[3] in ("0A", "07") for row in rows[1:])


class Placed:
    """A server of the harness, on this machine or, with place(), on one of its own (network.Machine)."""

    machine = None

    def place(self, machine):
        self.machine, self.address = machine, machine.address
        return self

    def listens(self, port, transport="tcp"):
        return is_listening(self.address, port, transport, self.machine)


class Process:
    """One program. Everything it prints goes to its log file. own_group: and leader of a process group,
    for one that has children. machine: where it runs, if not here (network.Machine). It does not outlive us."""

    def __init__(self, name, command, log, cwd=None, env=None, own_group=False, machine=None):
        self.name, self.log, self.cwd, self.env = name, log, cwd, env
        self.command = ["setpriv", "--pdeathsig", "TERM", *(machine.prefix if machine else ()), *command]
        self.own_group = own_group
        self.child = None

    async def start(self):
        with open(self.log, "ab") as output:
            self.child = await asyncio.create_subprocess_exec(
                *map(str, self.command), stdin=asyncio.subprocess.DEVNULL, stdout=output,
                stderr=asyncio.subprocess.STDOUT, cwd=self.cwd, env=self.env,
                start_new_session=self.own_group)
        return self

    @property
    def pid(self):
        return self.child.pid

    @property
    def is_alive(self):
        return self.child is not None and self.child.returncode is None

    def memory(self):
        """Resident bytes."""
        with open(f"/proc/{self.pid}/statm") as sizes:
            return int(sizes.read().split()[1]) * resource.getpagesize()

    def tail(self, lines=15):
        try:
            with open(self.log, errors="replace") as log:
                return "".join(log.readlines()[-lines:])
        except FileNotFoundError:
            return ""

    async def wait_for(self, condition, what, seconds=WAIT_SECONDS):
        """Like wait_until, and fails at once, with the end of the log, when the program ends."""
        async def check():
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if not value and not self.is_alive:
                raise Failed(f"{self.name} ended with status {self.child.returncode} before: {what}\n"
                             f"{self.tail()}")
            return value
        try:
            return await wait_until(check, what, seconds)
        except Failed as failure:
            if not self.is_alive:
                raise
            raise Failed(f"{failure}; the end of the log of {self.name}:\n{self.tail()}") from None

    async def wait_for_log(self, text, seconds=WAIT_SECONDS):
        def seen():
            with open(self.log, errors="replace") as log:
                return text in log.read()
        await self.wait_for(seen, f"{text!r} in the log of {self.name}", seconds)

    async def exit_status(self, seconds=WAIT_SECONDS):
        try:
            return await asyncio.wait_for(self.child.wait(), seconds)
        except asyncio.TimeoutError:
            raise Failed(f"{self.name} did not end in {seconds} s:\n{self.tail()}") from None

    async def stop(self, how=signal.SIGTERM, seconds=WAIT_SECONDS):
        """Ends it; a program that does not end by itself in time is killed, and that is a failure."""
        if not self.is_alive:
            return
        self.child.send_signal(how)
        try:
            await asyncio.wait_for(self.child.wait(), seconds)
        except asyncio.TimeoutError:
            self.child.kill()
            await self.child.wait()
            raise Failed(f"{self.name} did not end on signal {how} in {seconds} s") from None

    async def kill(self):
        if self.is_alive:
            self.child.kill()
            await self.child.wait()
