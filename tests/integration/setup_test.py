"""fedctl setup: by questions on a terminal and by options, at a running daemon and as a file."""
import asyncio
import fcntl
import json
import os
import pty
import signal
import subprocess
import termios
import unittest

from harness.fedgate import Fedgate
from harness.gate import GateTest
from harness.process import Failed, wait_until
from harness.world import ROMEO, SIP_DOMAIN, XMPP_DOMAIN, PeerTest, World, binaries

NOT_YET = ("federation.allow", "policy/", "domain/", "partner/")


class Fresh(Fedgate):
    """It listens and has a certificate, and nobody has said more."""

    def lines(self):
        return (line for line in super().lines() if not line.startswith(NOT_YET))


class FreshWorld(World):
    make_fedgate = Fresh


class Terminal:
    """fedctl on a terminal of its own."""

    def __init__(self, *words):
        self.master, slave = pty.openpty()
        os.set_blocking(self.master, False)
        self.child = subprocess.Popen([binaries() / "fedctl", *map(str, words)], stdin=slave, stdout=slave,
                                      stderr=slave, start_new_session=True,
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.said = ""

    def read(self):
        try:
            self.said += os.read(self.master, 65536).decode().replace("\r\n", "\n")
        except (BlockingIOError, OSError):    # nothing yet; nobody is there any more
            pass
        return self.said

    async def answer(self, question, text):
        """Waits for the question; what was said up to it is used up."""
        await wait_until(lambda: question in self.read(), f"'{question}' in\n{self.said}")
        before, _, self.said = self.said.partition(question)
        os.write(self.master, text.encode())
        return before

    async def end(self):
        await wait_until(lambda: self.read() is None or self.child.poll() is not None, "its end")
        self.read()
        os.close(self.master)
        return self.child.returncode, self.said


class Wizard(PeerTest):
    async def walk(self, world, everybody="yes"):
        terminal = Terminal("-s", world.fedgate.directory / "admin.sock", "setup")
        await terminal.answer("both, edge or gateway [both]: ", "nobody\n")
        self.assertIn("'nobody' is no role", await terminal.answer("both, edge or gateway [both]: ", "\n"))
        await terminal.answer("SIP domains of yours", f"{SIP_DOMAIN}\n")
        await terminal.answer(f"SIP pool of {SIP_DOMAIN}", f"{world.agent.uri}\n")
        await terminal.answer("Listen for SIP at", "\n")
        await terminal.answer("without a certificate", "\n")
        await terminal.answer("federate with first", f"{XMPP_DOMAIN}\n")
        await terminal.answer("May all of your users", f"{everybody}\n")
        await terminal.answer("Turn federation on", "\n")
        return terminal

    async def test_from_nothing_to_a_conversation(self):
        world = await self.world(of=FreshWorld, listed=False)
        self.assertNotEqual((await world.send_from_romeo("too early")).status, 200)
        refused = await self.walk(world)
        await refused.answer("Apply this", "no\n")
        self.assertEqual((await refused.end())[0], 1)
        stopped = await self.walk(world)
        await stopped.answer("Apply this", "\x03")
        self.assertEqual((await stopped.end())[0], -signal.SIGINT)
        self.assertIn("nothing was committed", await world.fedgate.control("config", "log"))

        terminal = await self.walk(world)
        shown = await terminal.answer("Apply this (yes or no) [yes]: ", "\n")
        self.assertIn(f"domain/{SIP_DOMAIN}/next_hop: (empty) -> {world.agent.uri}", shown)
        status, said = await terminal.end()
        self.assertEqual(status, 0, said)
        for part in ("Commit 1, in force now.", "ok  fedgated", f"xmpp tcp {world.fedgate.address}:5269: ok",
                     "link 23456: not needed", "can't reach a loopback address", "fedctl dns check",
                     f"_xmpp-server._tcp.{SIP_DOMAIN}. 3600 IN SRV 10 50 5269 xmpp.{SIP_DOMAIN}."):
            self.assertIn(part, said)
        self.assertNotIn("cert request", said)    # there is one

        async def through():
            return (await world.send_from_romeo("to XMPP")).status == 200
        await wait_until(through, "a message")
        await world.juliet.wait_for_body("to XMPP")
        world.juliet.message(ROMEO, "to SIP")
        await world.agent.wait_for_message("to SIP")

        again = await self.walk(world)
        status, said = await again.end()
        self.assertEqual(status, 0, said)
        self.assertIn("nothing to change", said)
        self.assertNotIn("\n2 ", await world.fedgate.control("config", "log"))

    async def test_by_options(self):
        world = await self.world(of=FreshWorld, listed=False)
        setup = ("--json", "setup", "--domain", SIP_DOMAIN, "--next-hop", world.agent.uri, "--partner", XMPP_DOMAIN,
                 "--everybody", "yes", "--allow", "yes")
        control = world.fedgate.control
        dry = json.loads(await control(*setup, "--dry-run"))
        self.assertEqual((dry["commit"], len(dry["changes"])), (0, 5))
        self.assertEqual(json.loads(await control(*setup))["commit"], 1)
        self.assertEqual((await world.send_from_romeo("to XMPP")).status, 200)
        again = json.loads(await control(*setup))
        self.assertEqual((again["commit"], again["changes"]), (0, []))
        self.assertTrue(again["good"])
        self.assertIn(f"xmpp tcp {world.fedgate.address}:5269: ok, in use", [row["text"] for row in again["checks"]])
        # What somebody has set is another matter.
        with self.assertRaisesRegex(Failed, r"federation.allow is set already, to yes \(commit 1\): nothing was changed"):
            await control("setup", "--allow", "no")
        self.assertIn("nothing passes yet", await control("setup", "--allow", "no", "--force"))
        self.assertEqual((await world.send_from_romeo("off")).status, 403)


class Files(GateTest):
    """Where no daemon runs."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.file = self.directory / "fedgate.conf"
        self.nobody = self.directory / "nobody.sock"

    def setup(self, *words, text="", file=None):
        done = subprocess.run([binaries() / "fedctl", "-s", self.nobody, "setup", "--config", file or self.file,
                               *map(str, words)], input=text, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def refused(self, why, *words, status=1, **options):
        before = self.file.read_bytes() if self.file.exists() else None
        self.assertRegex(f"{self.setup(*words, **options)}", rf"\({status}, .*{why}")
        self.assertEqual(self.file.read_bytes() if self.file.exists() else None, before)

    async def test_the_file(self):
        first = ("--set", f"dirs.state={self.directory}/state", "--domain", f"{SIP_DOMAIN}, Bücher.example",
                 "--next-hop", "sip:pool.corp.example;transport=tls")
        # Nothing is written by half.
        self.refused("the answers ended in the middle: nothing was changed", "--ask", text="\n")
        self.refused("the answers ended in the middle: nothing was changed", *first, "--ask", text="\n" * 6)
        self.refused("no answer 5 times", "--ask", text="both\n" + "corp..example\n" * 5)
        self.refused("there is no domain of ours yet")
        self.refused("is not a domain name", "--domain", "corp..example")
        self.refused("--role: 'proxy' is no role", "--role", "proxy")
        self.refused("--trust: ", *first, "--trust", "everybody")
        self.refused("--set no.such=1: ", *first, "--set", "no.such=1")
        self.refused("has no option --frobnicate", "--frobnicate", status=2)
        self.refused("is not running|can't be written", *first, file=self.directory / "not/there.conf")
        status, said = self.setup(*first, "--dry-run")
        self.assertEqual((status, self.file.exists()), (0, False), said)

        status, said = self.setup(*first)
        self.assertEqual(status, 0, said)
        self.assertIn("start fedgated", said)
        written = self.file.read_text()
        self.assertIn(f"domain/{SIP_DOMAIN}/next_hop = sip:pool.corp.example;transport=tls\n", written)
        self.assertIn("domain/xn--bcher-kva.example/next_hop = ", written)
        self.assertEqual(self.setup(*first), (0, "Everything is set so already: nothing to change.\n" +
                                              said[said.index("\nLeft to do"):]))
        self.assertEqual(self.file.read_text(), written)

        # What people have written stays, but for the value.
        self.file.chmod(0o640)
        self.file.write_text("# mine\nlog.level = debug\n" + written + "federation/allow = no ; not yet\n"
                             .replace(" ; not yet", ""))
        self.refused("federation.allow is set already, to no .*fedgate.conf:", "--allow", "yes")
        status, said = self.setup("--allow", "yes", "--everybody", "yes", "--force")
        self.assertEqual(status, 0, said)
        self.assertIn("federation.allow: no -> yes", said)
        self.assertEqual(self.file.read_text(), "# mine\nlog.level = debug\n" + written + "federation.allow = yes\n"
                         "policy/global/federation_access = yes\npolicy/global/xmpp_access = yes\n")
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o640)
        checked = subprocess.run([binaries() / "fedgated", "-c", self.file, "--check"], capture_output=True, text=True,
                                 check=False)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.file.write_text("xmpp.listen = everywhere\n")
        self.refused("fedgate.conf:1: ", "--allow", "yes", "--force")

    async def test_what_is_committed_stands_over_the_file(self):
        await self.gate()
        await self.fedgate.control("setup", "--allow", "no", "--force")
        await self.fedgate.stop()
        self.file = self.fedgate.configuration
        self.refused("federation.allow = yes would not be in force: commit 1 says no", "--allow", "yes", "--force")

    async def test_machines_of_their_own(self):
        split = ("--role", "gateway", "--edges", "edge1.int.example edge2.int.example", "--gateways",
                 "gw1.int.example", "--domain", SIP_DOMAIN, "--set", f"dirs.state={self.directory}/state")
        self.refused("tls.internal.certificate: is empty; a gateway alone needs it", *split)
        link = [word for leaf in ("certificate", "key", "ca")
                for word in (f"--link-{leaf}", self.directory / f"internal.{leaf}")]
        status, said = self.setup(*split, *link)
        self.assertEqual(status, 0, said)
        for part in (f"internal.certificate is not there): fedctl cert request --for internal --config {self.file}",
                     f"_xmpp-server._tcp.{SIP_DOMAIN}. 3600 IN SRV 10 50 5269 edge2.int.example."):
            self.assertIn(part, said)
        written = self.file.read_text()
        for line in ("core.roles = gateway", "pool/edges/members = edge1.int.example edge2.int.example",
                     "pool/gateways/kind = gateway", "pool/gateways/members = gw1.int.example",
                     f"domain/{SIP_DOMAIN}/next_hop = sip:{SIP_DOMAIN}"):
            self.assertIn(line, written)


if __name__ == "__main__":
    unittest.main()
