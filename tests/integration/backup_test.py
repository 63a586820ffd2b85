"""fedctl backup and restore: what was is again, to the byte, and the daemon serves from it; or nothing changes."""
import asyncio
import pathlib
import shutil
import subprocess
import unittest

from harness.gate import GateTest
from harness.world import SIP_DOMAIN, XMPP_DOMAIN
from harness.xmpp_peer import XmppPeer

PASSPHRASE = "correct horse battery"


class Backup(GateTest):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.home = self.directory / "fedgate"
        self.tls = self.home / "tls"
        self.tls.mkdir(parents=True)
        own = self.authority.issue(SIP_DOMAIN)
        for name, path in (("own.pem", own.certificate), ("own.key", own.key), ("ca.pem", self.authority.certificate)):
            shutil.copy(path, self.tls / name)
        (self.tls / "own.key").chmod(0o640)
        await self.gate(keys={"tls.external.certificate": self.tls / "own.pem",
                              "tls.external.key": self.tls / "own.key", "tls.external.ca": self.tls / "ca.pem"})
        self.word = self.home / "passphrase"
        self.word.write_text(PASSPHRASE + "\n")

    def run_tool(self, *words, data=None):
        return subprocess.run([self.fedgate.binaries / "fedctl", "-s", self.home / "admin.sock", *map(str, words)],
                              input=data, capture_output=True, timeout=60, check=False)

    async def tool(self, *words, data=None):
        return await asyncio.to_thread(self.run_tool, *words, data=data)

    def kept(self):
        """What a backup has: by name, its bytes and its mode."""
        files = [self.fedgate.configuration, *self.tls.iterdir(), *(self.home / "state/commits").glob("*"),
                 *(self.home / "state/certificates").glob("*"), self.home / "state/dialback.secret"]
        return {str(file.relative_to(self.home)): (file.read_bytes(), file.stat().st_mode) for file in files}

    async def serves(self):
        peer = await XmppPeer.connect(self.fedgate.address)
        await peer.authenticate(XMPP_DOMAIN, SIP_DOMAIN, self.authority.issue(XMPP_DOMAIN))
        peer.close()

    async def test_what_was_is_again(self):
        await self.fedgate.control("partner", "add", "kept.example", "type=federated", "--comment", "of before")
        await self.fedgate.control("policy", "new", "staff", "federation_access=yes")
        await self.fedgate.control("user", "grant", "staff", f"alice@{SIP_DOMAIN}")
        await self.fedgate.control("cert", "request", "--yes", "--name", "pending")
        before = self.kept()
        made = await self.tool("backup", "--passphrase-file", self.word)
        self.assertEqual(made.returncode, 0, made.stderr)
        backup = made.stdout
        self.assertNotIn(b"kept.example", backup)
        self.assertNotIn(b"PRIVATE KEY", backup)

        # Changed while it runs: it takes what was.
        await self.fedgate.control("partner", "remove", "kept.example")
        await self.fedgate.control("partner", "add", "later.example", "type=federated")
        (self.tls / "own.key").write_text("lost")
        restored = await self.tool("restore", "--passphrase-file", self.word, data=backup)
        self.assertEqual(restored.returncode, 0, restored.stderr)
        self.assertIn(b"in force", restored.stdout)
        self.assertEqual(self.kept(), before)
        partners = await self.fedgate.control("partner", "list")
        self.assertIn("kept.example", partners)
        self.assertNotIn("later.example", partners)
        self.assertIn("of before", await self.fedgate.control("config", "log"))
        await self.serves()
        # The next commit goes on from it.
        await self.fedgate.control("partner", "block", "kept.example")
        self.assertEqual((await self.tool("restore", "--passphrase-file", self.word, data=backup)).returncode, 0)
        self.assertEqual(self.kept(), before)

        # Lost altogether, and the daemon is not there.
        await self.fedgate.stop()
        shutil.rmtree(self.home / "state")
        shutil.rmtree(self.tls)
        self.fedgate.configuration.write_text(f"dirs.state = {self.home}/state\n")
        restored = await self.tool("restore", "--config", self.fedgate.configuration, "--passphrase-file", self.word,
                                   data=backup)
        self.assertEqual(restored.returncode, 0, restored.stderr)
        self.assertEqual(self.kept(), before)
        await self.fedgate.start()
        await self.serves()
        self.assertIn("kept.example", await self.fedgate.control("partner", "list"))

    async def test_bad_ones_change_nothing(self):
        await self.fedgate.control("partner", "add", "kept.example", "type=federated")
        good = (await self.tool("backup", "--passphrase-file", self.word)).stdout
        before = self.kept()
        other = self.home / "other"
        other.write_text("another passphrase")
        flipped = bytearray(good)
        flipped[len(good) // 2] ^= 1
        for data, word, said in ((good, other, b"passphrase"), (good[:-100], self.word, b"damaged"),
                                 (bytes(flipped), self.word, b"damaged"), (b"", self.word, b"empty"),
                                 (b"\x1f\x8b\x08" + bytes(100), self.word, b"no backup"),
                                 (b"fedgate backup 0 x\n", self.word, b"another format")):
            answer = await self.tool("restore", "--passphrase-file", word, data=data)
            self.assertEqual(answer.returncode, 1, answer.stderr)
            self.assertIn(said, answer.stderr)
            self.assertEqual(answer.stderr.count(b"\n"), 1, answer.stderr)
            self.assertEqual(self.kept(), before)
        # Good as a file, but the daemon can't work with it: its key is another one's.
        stranger = self.authority.issue("stranger.example")
        key = (self.tls / "own.key").read_bytes()
        (self.tls / "own.key").write_bytes(pathlib.Path(stranger.key).read_bytes())
        bad = (await self.tool("backup", "--passphrase-file", self.word)).stdout
        (self.tls / "own.key").write_bytes(key)
        answer = await self.tool("restore", "--passphrase-file", self.word, data=bad)
        self.assertEqual(answer.returncode, 1, answer.stdout)
        self.assertIn(b"nothing was changed", answer.stderr)
        self.assertEqual(self.kept(), before)
        for words, status in ((["backup", "extra"], 2), (["restore", "a", "b"], 2), (["backup", "--to", other], 1),
                              (["backup", "--passphrase-file", "/dev/null"], 1)):
            self.assertEqual((await self.tool(*words)).returncode, status)
        await self.serves()

    async def test_to_a_certificate(self):
        whom = self.authority.issue("administrator.example")
        made = await self.tool("backup", "--to", whom.certificate)
        self.assertEqual(made.returncode, 0, made.stderr)
        before = self.kept()
        for key, status in ((self.authority.issue("stranger.example").key, 1), (whom.key, 0)):
            answer = await self.tool("restore", "--dry-run", "--key", key, data=made.stdout)
            self.assertEqual(answer.returncode, status, answer.stderr)
        answer = await self.tool("restore", "--key", whom.key, data=made.stdout)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertEqual(self.kept(), before)


if __name__ == "__main__":
    unittest.main()
