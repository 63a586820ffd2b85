"""Machines of a test's own, joined by cables that can be cut, slowed and made deaf: Linux network namespaces.

enter() first, once in a process and before anything else of it. All is gone when the process is.
"""
import asyncio
import ctypes
import fcntl
import os
import random
import struct
import subprocess
import time

from .process import Failed

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
FRAME_BYTES = 65_536


def ip(*words, within=None):
    command = [*(within.prefix if within else ()), "ip", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


def enter():
    """From here on this process has a network of its own, with nothing in it. False: it may not."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return False
    ip("link", "set", "lo", "up")
    return True


class Network:
    """A switch. prefix: of its addresses, `10.77.1`; we have number 1."""

    def __init__(self, name, prefix):
        self.name, self.prefix, self.address = name, prefix, f"{prefix}.1"
        ip("link", "add", name, "type", "bridge")
        ip("addr", "add", f"{self.address}/24", "dev", name)
        ip("link", "set", name, "up")


class Machine:
    """address: its first one. plug() it into a network or two."""

    def __init__(self, name):
        self.name, self.cables, self.address = name, {}, None
        here = os.stat("/proc/self/ns/net").st_ino
        self.holder = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"])
        self.pid = self.holder.pid
        end = time.monotonic() + 10
        while os.stat(f"/proc/{self.pid}/ns/net").st_ino == here:
            if self.holder.poll() is not None or time.monotonic() > end:
                raise Failed(f"no network namespace for {name}")
        self.prefix = ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--"]
        ip("link", "set", "lo", "up", within=self)

    def plug(self, network, number):
        cable = self.cables[network.name] = Cable(self, network, number)
        self.address = self.address or cable.address
        return self

    def part(self, other, network, act="add"):
        """What they send each other on that network is lost; act="del": no more."""
        for one, its in ((self, other), (other, self)):
            ip("route", act, "blackhole", its.cables[network].address, within=one)

    def remove(self):
        for cable in self.cables.values():
            cable.mend()
        self.holder.kill()
        self.holder.wait()


class Cable:
    """Between a machine and a network."""

    def __init__(self, machine, network, number):
        self.machine, self.network, self.address = machine, network, f"{network.prefix}.{number}"
        self.here, self.there = f"{network.name[:6]}-{machine.name}", f"to-{network.name}"
        self.relay = None
        ip("link", "add", self.here, "type", "veth", "peer", "name", self.there, "netns", machine.pid)
        ip("link", "set", self.here, "master", network.name, "up")
        ip("addr", "add", f"{self.address}/24", "dev", self.there, within=machine)
        ip("link", "set", self.there, "up", within=machine)

    def cut(self):
        ip("link", "set", self.here, "down")

    def deafen(self):
        """What the machine sends is lost, and what is sent to it comes."""
        for half in ("0/25", "128/25"):
            ip("route", "replace", "blackhole", f"{self.network.prefix}.{half}", within=self.machine)

    def muffle(self):
        """What is sent to the machine is lost, and what it sends comes."""
        self.relay = Relay(self, 0, (1, 0))

    def slow(self, delay, loss):
        """delay: seconds, each way; loss: which part of the frames is lost, each way."""
        self.relay = Relay(self, delay, (loss, loss))

    def mend(self):
        if self.relay:
            self.relay.remove()
            self.relay = None
        ip("link", "set", self.here, "master", self.network.name, "up")
        for half in ("0/25", "128/25"):
            subprocess.run([*self.machine.prefix, "ip", "route", "del", "blackhole", f"{self.network.prefix}.{half}"],
                           capture_output=True)


class Relay:
    """In the middle of a cable: keeps each frame for a while, and loses some. loss: to the machine, and from it."""

    def __init__(self, cable, delay, loss):
        self.delay, self.random = delay, random.Random(1)
        self.bridge = f"{cable.here[:13]}-s"
        ip("link", "add", self.bridge, "type", "bridge")
        ip("link", "set", self.bridge, "up")
        self.ends = [self.tap(f"{cable.here[:12]}-{n}", master) for n, master in
                     enumerate((cable.network.name, self.bridge))]
        ip("link", "set", cable.here, "master", self.bridge)
        self.loop = asyncio.get_running_loop()
        for (end, other), part in zip((self.ends, reversed(self.ends)), loss):
            self.loop.add_reader(end, self.pass_on, end, other, part)

    @staticmethod
    def tap(name, master):
        end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
        ip("link", "set", name, "master", master, "up")
        return end

    def pass_on(self, end, other, loss):
        try:
            while True:
                frame = os.read(end, FRAME_BYTES)
                if self.random.random() >= loss:
                    self.loop.call_later(self.delay, self.write, other, frame)
        except BlockingIOError:
            pass

    def write(self, end, frame):
        try:
            os.write(end, frame)
        except (BlockingIOError, OSError):    # a full queue loses, too; or the cable is mended
            pass

    def remove(self):
        for end in self.ends:
            self.loop.remove_reader(end)
            os.close(end)
        self.ends = [-1, -1]
        ip("link", "del", self.bridge)
