"""What outlives the daemon: kill -9, a full disk, a flipped bit, a cut file, what is no store."""
import re
import resource
import sqlite3
import time
import types
import unittest
import zlib

from harness.certificates import Authority
from harness.fedgate import Fedgate
from harness.process import is_listening, wait_until
from harness.world import SIP_DOMAIN, PeerTest, binaries

ROWS = 10_000


def row(number):
    """As the daemon writes it; the domain is none of ours, so that nothing comes of it."""
    kind, xmpp, sip, auth, changed, detail = (
        "watch", f"user{number:06}@elsewhere.example", "romeo@elsewhere.example", 0, 1790000000, b"")
    text = f"{kind}\n{xmpp}\n{sip}\n{auth}\n{changed}\n".encode() + detail
    return kind, xmpp, sip, auth, changed, detail, zlib.crc32(text)


class Store(PeerTest):
    """No partner is needed: rows are planted, and the daemon says what it has found."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        authority = Authority(self.directory / "ca")
        self.fedgate = Fedgate(self.directory / "fedgate", binaries(), authority.issue(SIP_DOMAIN),
                               authority.certificate, types.SimpleNamespace(server="127.0.0.1:9"),
                               {}, {SIP_DOMAIN: {}})
        self.addAsyncCleanup(self.fedgate.kill)
        self.file = self.fedgate.directory / "state/fedgate.db"

    async def status(self):
        return await self.fedgate.control("status")

    async def says(self, *patterns):
        """Waits until `fedctl status` says all of that; returns it."""
        async def found():
            text = await self.status()
            return text if all(re.search(pattern, text) for pattern in patterns) else None
        return await wait_until(found, " and ".join(patterns))

    async def restored(self):
        return int(re.search(r"store\.restored +(\d+)", await self.fedgate.control("counters"))[1])

    async def with_rows(self, count):
        """A store that a daemon has made, with rows, and the daemon gone by kill -9."""
        await self.fedgate.start()
        await self.says(r"0 subscriptions in \S+fedgate.db, 0 waiting")
        await self.fedgate.kill()
        database = sqlite3.connect(self.file)
        database.executemany("INSERT INTO subscriptions VALUES (?, ?, ?, ?, ?, ?, ?)",
                             map(row, range(count)))
        database.commit()
        database.close()

    def aside(self):
        return [path for path in self.file.parent.iterdir() if ".damaged-" in path.name]

    async def test_kill_and_start(self):
        await self.with_rows(ROWS)
        for _ in range(2):
            began = time.monotonic()
            await self.fedgate.start()
            listening = time.monotonic() - began

            async def all_there():
                return await self.restored() == ROWS
            await wait_until(all_there, "all rows handed over")
            print(f"\nlistening after {listening:.2f} s, {ROWS} rows handed over after "
                  f"{time.monotonic() - began:.2f} s", flush=True)
            self.assertLess(listening, 5)   # a second, where nothing else runs
            self.assertNotIn("damaged", await self.status())
            await self.fedgate.kill()
        self.assertEqual(self.aside(), [])

    async def test_a_flipped_bit(self):
        await self.with_rows(1_000)
        content = bytearray(self.file.read_bytes())
        content[content.index(b"user000500")] ^= 1
        self.file.write_bytes(content)
        await self.fedgate.start()
        await self.says("999 subscriptions could be saved, 1 subscription is lost",
                        "the damaged file is kept as .*check disk and memory")
        self.assertEqual(await self.restored(), 999)
        self.assertEqual([path.read_bytes() for path in self.aside()], [content])
        self.assertIn("FG-5203", self.fedgate.process.tail())
        await self.fedgate.kill()
        await self.fedgate.start()          # it is said until the file is removed
        await self.says("the store was damaged once")
        self.aside()[0].unlink()
        self.assertNotIn("damaged", await self.status())
        await self.fedgate.stop()

    async def test_a_cut_file(self):
        await self.with_rows(5_000)
        content = self.file.read_bytes()
        self.file.write_bytes(content[:len(content) // 2])
        await self.fedgate.start()
        text = await self.says(r"(\d+) subscriptions could be saved, (\d+) subscriptions are lost")
        saved, lost = map(int, re.search(r"(\d+) subscriptions could be saved, (\d+)", text).groups())
        self.assertEqual(saved + lost, 5_000)
        self.assertGreater(saved, 1_500)
        await self.says(f"{saved} subscriptions in \\S+fedgate.db, 0 waiting")
        await self.fedgate.stop()

    async def test_a_full_disk(self):
        """No file may grow: the rows are read all the same, and it heals when there is room again."""
        await self.with_rows(1_000)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        log = self.fedgate.directory / "fedgated.log"
        log.write_bytes(b"")
        # The log and the configuration need some; what SQLite shares between processes needs more.
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        try:
            await self.fedgate.start()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        await self.says("FAILING", r"File too large \(since .*new subscriptions are refused, what "
                        "stands goes on.*heals by itself")
        self.assertEqual(await self.restored(), 1_000)
        self.fedgate.set_disk_full(False)
        await self.says(r"1000 subscriptions in \S+fedgate.db, 0 waiting")
        self.assertNotIn("FAILING", await self.status())
        self.assertEqual(self.aside(), [])
        await self.fedgate.stop()

    async def test_what_is_no_store(self):
        self.file.parent.mkdir(parents=True)
        other = sqlite3.connect(self.file)
        other.execute("CREATE TABLE people (name)")
        other.commit()
        other.close()
        content = self.file.read_bytes()
        await self.fedgate.start()
        await self.says("FAILING", "is a database of another program .*new subscriptions are refused",
                        "move it away")
        self.assertEqual(self.file.read_bytes(), content)
        self.file.rename(self.file.with_name("people.db"))
        await self.says(r"0 subscriptions in \S+fedgate.db, 0 waiting")     # it heals by itself
        self.assertNotIn("FAILING", await self.status())
        await self.fedgate.stop()


if __name__ == "__main__":
    unittest.main()
