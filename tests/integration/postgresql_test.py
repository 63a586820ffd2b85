"""The store of a pool: gateways that share a PostgreSQL server, and what becomes of it and of them."""
import asyncio
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import types
import unittest

from harness.certificates import Authority
from harness.fedgate import Fedgate
from harness.postgresql import PostgreSql
from harness.process import Failed, wait_until
from harness.world import SIP_DOMAIN, PeerTest, binaries

ROWS = 10_000
MASK = (1 << 64) - 1


def fnv1a(text, seed):
    value = 0xcbf29ce484222325 ^ seed
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001b3 & MASK
    return value


def slot_of(xmpp, sip):
    """As core/base/rendezvous.hpp has it: edges and gateways, of whatever version, agree on it."""
    value = 0
    for address in (xmpp, sip):
        local, _, domain = address.rpartition("@")
        value = fnv1a(domain, fnv1a("@", fnv1a(local, value)))
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9 & MASK
    value = (value ^ value >> 27) * 0x94d049bb133111eb & MASK
    return (value ^ value >> 31) % 256


def rows(count):
    """The domain is none of ours, so that nothing comes of them."""
    sip = "romeo@elsewhere.example"
    users = (f"user{number:06}@elsewhere.example" for number in range(count))
    return ",".join(f"({slot_of(user, sip)},'watch','{user}','{sip}',0,1790000000,'')" for user in users)


class Pool(PeerTest):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.authority = Authority(self.directory / "ca")
        self.database = PostgreSql()
        self.addAsyncCleanup(self.database.remove)
        await self.database.start()

    def node(self, name, url=None):
        keys = {"store.url": url or self.database.url, "core.node": name, "core.threads": "2"}
        fedgate = Fedgate(self.directory / name, binaries(), self.authority.issue(SIP_DOMAIN),
                          self.authority.certificate, types.SimpleNamespace(server="127.0.0.1:9"),
                          {}, {SIP_DOMAIN: {}}, keys)
        self.addAsyncCleanup(fedgate.kill)
        return fedgate

    async def says(self, fedgate, *patterns):
        async def found():
            text = await fedgate.control("status")
            return text if all(re.search(pattern, text) for pattern in patterns) else None
        return await wait_until(found, " and ".join(patterns))

    async def plant(self, count):
        path = self.database.directory / "rows.sql"
        path.write_text(f"INSERT INTO fedgate_subscriptions VALUES {rows(count)}")
        await self.database.run("psql", "-X", "-q", "-h", self.database.directory, "-U", "fedgate",
                                "-d", "postgres", "-f", path)

    async def test_a_killed_node(self):
        """Its rows go to the other one, and half of all go back when it returns."""
        one, two = self.node("gw1.example"), self.node("gw2.example")
        await one.start()
        await self.says(one, r"0 subscriptions in postgresql://fedgate@/postgres",
                        "gw1.example has 256 of 256 slots")
        await one.kill()
        await self.plant(ROWS)
        await one.start()
        await self.says(one, f"{ROWS} subscriptions in postgresql://")
        await two.start()
        await self.says(two, r"[45]\d\d\d subscriptions in .*gw2.example has 1\d\d of 256 slots, "
                        "gw1.example is there")
        await self.says(one, r"[45]\d\d\d subscriptions in .*gw1.example has 1\d\d of 256 slots, "
                        "gw2.example is there")
        began = time.monotonic()
        await two.kill()
        await self.says(one, f"{ROWS} subscriptions in .*gw1.example has 256 of 256 slots")
        took = time.monotonic() - began
        print(f"\n{ROWS} subscriptions, half of them of a dead node, at the other one after {took:.1f} s",
              flush=True)
        self.assertEqual(int(await self.database.ask("SELECT count(*) FROM fedgate_subscriptions")), ROWS)
        await two.start()
        await self.says(two, "[45]\\d\\d\\d subscriptions in .*gw1.example is there")
        await two.stop()        # in peace: at once
        await self.says(one, f"{ROWS} subscriptions in .*gw1.example has 256 of 256 slots")
        await one.stop()
        self.assertEqual(await self.database.ask("SELECT count(*) FROM fedgate_nodes"), "0")

    async def test_a_dead_primary(self):
        replica = PostgreSql(self.database)
        self.addAsyncCleanup(replica.remove)
        await replica.start()
        one = self.node("gw1.example", f"{self.database.url},{replica.directory}")
        await one.start()
        await self.says(one, "gw1.example has 256 of 256 slots")
        await self.database.end(signal.SIGKILL)
        await self.says(one, "FAILING", r"the store postgresql://fedgate@/postgres can't be \w+: .*"
                        "new subscriptions are refused, what stands goes on.*heals by itself")
        await replica.promote()
        text = await self.says(one, "gw1.example has 256 of 256 slots")
        await wait_until(lambda: self.heals(one), "the store works again")
        self.assertIn("FG-5202", one.process.tail(), text)
        await one.stop()

    async def heals(self, fedgate):
        return "FAILING" not in await fedgate.control("status")

    async def test_what_is_no_url(self):
        for url, fault in (("postgresql://fedgate:geheim@db/fedgate", "holds a password"),
                           ("postgresql://db/fedgate?sslmod=require", "database: invalid URI query parameter"),
                           ("postgresql://fedgate:ge/heim@db/fedgate", "the port is no number"),
                           ("postgresql:db", "is not a URL like")):
            run = subprocess.run([pathlib.Path(binaries()) / "fedgated", "--check", "-c", "/dev/null",
                                  "--set", f"store.url={url}"], capture_output=True, text=True, timeout=20)
            self.assertEqual(run.returncode, 1, url)
            self.assertRegex(run.stderr, f"store.url: .*{re.escape(fault)}")
            self.assertNotIn("heim", run.stderr)


class Killed(unittest.TestCase):
    """Who runs the tests may be killed: nothing of them stays behind."""

    SCRIPT = """
import asyncio, time
from harness.postgresql import PostgreSql
print(asyncio.run(PostgreSql().start()).process.pid, flush=True)
time.sleep(60)
"""

    def test_a_run_that_is_killed(self):
        with subprocess.Popen([sys.executable, "-c", self.SCRIPT], stdout=subprocess.PIPE, text=True,
                              cwd=pathlib.Path(__file__).parent) as run:
            server = pathlib.Path("/proc") / run.stdout.readline().strip()
            directory = (server / "cwd").resolve().parent
            self.assertEqual((server / "comm").read_text(), "postgres\n")
            run.kill()
        asyncio.run(wait_until(lambda: not server.exists(), "the end of PostgreSQL"))
        shutil.rmtree(directory)


if __name__ == "__main__":
    unittest.main()
