"""fedload against targets that are dead, mute, refusing, slow, that talk nonsense, hang up, flood, and that lose, double
and swap: it ends, says in one sentence what is wrong, with a status that is not 0, and keeps to its memory. The targets
are in the test."""
import asyncio
import contextlib
import json
import os
import pathlib
import pty
import re
import resource
import shutil
import struct
import tempfile
import time
import unittest
import xml.etree.ElementTree

from harness.certificates import Authority
from harness.process import free_port, is_listening

BINARIES = pathlib.Path(os.environ.get("FEDGATE_BINARIES", "build/release/bin")).resolve()
END_SECONDS = 60
MEMORY_BYTES = 1 << 30    # of address space
MESSAGE_END = b"\r\n\r\n"
XMPP_ERROR = (b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
              b"id='1' version='1.0'><stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
              b"</stream:error></stream:stream>")


class Relay:
    """A SIP server that answers 200 and sends on. mischief(number) says how often (0, 1, 2), or "later": behind the
    next one. status: what it answers. pause: seconds before each answer. stall: (number, seconds)."""

    def __init__(self, to, mischief=lambda number: 1, status="200 OK", pause=0, stall=None):
        self.to, self.mischief, self.status, self.pause, self.stall = to, mischief, status, pause, stall
        self.held = b""

    async def serve(self, reader, writer):
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(writer.close)
            stack.enter_context(contextlib.suppress(asyncio.IncompleteReadError, ConnectionError))
            first = await self.read(reader)    # before it, it may be the probe
            on_reader, on_writer = await asyncio.open_connection(*self.to)
            stack.callback(on_writer.close)
            stack.callback(asyncio.create_task(on_reader.read(-1)).cancel)
            await self.pass_on(*first, writer, on_writer)
            while True:
                await self.pass_on(*await self.read(reader), writer, on_writer)

    @staticmethod
    async def read(reader):
        head = await reader.readuntil(MESSAGE_END)
        length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
        return head, await reader.readexactly(length)

    async def pass_on(self, head, body, writer, on_writer):
        number = int(re.match(rb"\d*", body)[0] or 0)
        if self.stall and number == self.stall[0]:
            await asyncio.sleep(self.stall[1])
        await asyncio.sleep(self.pause)
        lines = [line for line in head.split(b"\r\n") if re.match(rb"(?i)(via|from|to|call-id|cseq):", line)]
        writer.write(b"\r\n".join([b"SIP/2.0 " + self.status.encode(), *lines, b"Content-Length: 0"]) + MESSAGE_END)
        if not self.status.startswith("2"):
            return
        what = self.mischief(number)
        if what == "later":
            self.held = head + body
            return
        on_writer.write((head + body) * what + self.held)
        self.held = b""


def little_memory():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


async def mute(reader, writer):
    await reader.read(-1)
    writer.close()


class Target(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.sink = ("127.0.0.1", free_port())

    async def server(self, serve):
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.addCleanup(server.close)
        return "127.0.0.1:%d" % server.sockets[0].getsockname()[1]

    async def relay(self, **how):
        return await self.server(Relay(self.sink, **how).serve)

    async def fedload(self, *words, **more):
        """Status, standard output, standard error."""
        child = await asyncio.create_subprocess_exec(BINARIES / "fedload", *(str(word) for word in words),
                                                     stdin=asyncio.subprocess.DEVNULL,
                                                     stdout=asyncio.subprocess.PIPE,
                                                     stderr=more.get("stderr", asyncio.subprocess.PIPE),
                                                     preexec_fn=little_memory)
        try:
            out, err = await asyncio.wait_for(child.communicate(), END_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        return child.returncode, out.decode(), (err or b"").decode()

    async def through(self, sip, *words):
        return await self.fedload("--sip-to-sip", "--sip", sip, "--sip-listen", "%s:%d" % self.sink, "--warm-up", 0,
                                  *words)

    async def assert_says(self, run, sentence):
        status, out, err = await run
        self.assertEqual(status, 1, (out, err))
        self.assertRegex(err, sentence)
        self.assertEqual(err.count("\n"), 1, err)


class BadTargets(Target):
    async def test_dead(self):
        await self.assert_says(self.through("127.0.0.1:%d" % free_port()), "^fedload: nobody answers at --sip")

    async def test_not_ours(self):
        await self.assert_says(self.through("192.0.2.1:5060"), "--i-own-this-target")

    async def test_mute(self):
        await self.assert_says(self.through(await self.server(mute), "--silence", 1), "gone silent: 1000 messages")

    async def test_mute_for_streams(self):
        await self.assert_says(self.streams(await self.server(mute)), "gone silent: 64 streams")

    async def test_refusing(self):
        sip = await self.relay(status="403 Forbidden")
        await self.assert_says(self.through(sip), "the target refuses: SIP 403 Forbidden")

    async def test_refusing_at_length(self):
        sip = await self.relay(status="403 \x9b" + "x" * 2_000)    # begins an order to a terminal
        await self.assert_says(self.through(sip), r"^fedload: the target refuses: SIP 403 [?]{2}x{200,300}\n$")

    async def test_refusing_some(self):
        relay = Relay(self.sink)
        passed = relay.pass_on

        async def pass_on(head, body, *writers):
            relay.status = "486 Busy Here" if body.startswith(b"7 ") else "200 OK"
            await passed(head, body, *writers)
        relay.pass_on = pass_on
        sip = await self.server(relay.serve)
        await self.assert_says(self.through(sip, "--count", 50), "^fedload: 1 were refused, the first one: SIP 486")

    async def test_refusing_streams(self):
        async def refuse(reader, writer):
            if await reader.read(1000):    # not the probe, which closes at once
                writer.write(XMPP_ERROR)
                await reader.read(-1)
            writer.close()
        await self.assert_says(self.streams(await self.server(refuse)),
                               "the target refuses: stream error host-unknown")

    async def test_hanging_up(self):
        async def hang_up(reader, writer):
            await reader.read(100)
            writer.close()
        await self.assert_says(self.through(await self.server(hang_up)), "the SIP connection to the target broke")

    async def test_slow(self):
        sip = await self.relay(pause=0.3)
        await self.assert_says(self.through(sip, "--limit", 2, "--window", 1), "^fedload: too slow: [1-9] of 100000")

    async def test_no_such_name(self):
        await self.assert_says(self.through("nowhere.invalid:5060"), "^fedload: --sip nowhere.invalid:5060: ")

    async def test_name(self):
        target = await self.relay()
        status, _, err = await self.through(target.replace("127.0.0.1", "localhost"), "--count", 10)
        self.assertEqual(status, 0, err)

    async def test_no_such_process(self):
        await self.assert_says(self.through(await self.server(mute), "--pid", 1 << 30), "no process has the number")

    def talking(self, *words, after=1, then_close=False, endless=False):
        """A server that says this once it has read something."""
        async def serve(reader, writer):
            with contextlib.suppress(ConnectionError):
                while after and await reader.read(10_000):
                    for word in words:
                        writer.write(word)
                    while endless and not writer.is_closing():
                        writer.write(words[-1])
                        await writer.drain()
                    await writer.drain()
                    if then_close:
                        break
                writer.close()
        return self.server(serve)

    async def test_nonsense(self):
        for words in (b"\0\xff\x1b[31m nonsense\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n",
                      b"SIP/2.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n"):
            with self.subTest(words):
                await self.assert_says(self.through(await self.talking(words), "--silence", 1),
                                       "the SIP connection to the target broke: |gone silent")

    async def test_endless(self):
        for words in (b"x" * 65_536, b"SIP/2.0 200 OK\r\n" + b"A: b\r\n" * 10_000, b"\r\n" * 10_000,
                      b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
                      b"To: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n" * 100):
            with self.subTest(words[:60]):
                begun = time.monotonic()
                await self.assert_says(self.through(await self.talking(words, endless=True), "--silence", 1, "--limit", 5),
                                       "the SIP connection to the target broke: |gone silent|too slow")
                self.assertLess(time.monotonic() - begun, 10)

    async def test_closes_in_the_middle(self):
        relay = Relay(self.sink)
        passed = relay.pass_on

        async def pass_on(head, body, writer, on_writer):
            if body.startswith(b"50 "):
                writer.close()
            await passed(head, body, writer, on_writer)
        relay.pass_on = pass_on
        status, out, err = await self.through(await self.server(relay.serve), "--json", "--silence", 2)
        self.assertEqual((status, err.count("\n")), (1, 1), err)
        self.assertIn("the SIP connection to the target broke", err)
        self.assertGreaterEqual(json.loads(out)["delivered"], 40)

    async def test_nobody_over_udp(self):
        await self.assert_says(self.through("127.0.0.1:%d" % free_port(), "--sip-transport", "udp", "--silence", 1),
                               "gone silent: 50 messages")

    async def test_tls_that_never_comes(self):
        self.certificates()
        for serve in (mute, None):
            sip = await self.server(serve) if serve else await self.talking(b"no TLS\r\n\r\n")
            await self.assert_says(self.through(sip, "--tls", self.directory, "--silence", 1),
                                   "could not begin|the SIP connection to the target broke")

    async def test_nonsense_for_streams(self):
        header = XMPP_ERROR[:XMPP_ERROR.index(b"<stream:error>")]
        for words, more in ((b"nonsense", {}), (header + b"<stream:features/>", {}), (header + b"<a>" * 10_000, {}),
                            (header + b"<a b='", {"endless": True}), (header[:50], {"then_close": True})):
            with self.subTest(words[:20]):
                await self.assert_says(self.streams(await self.talking(words, **more)),
                                       "the target refuses: |gone silent: 64 streams")

    async def test_nonsense_for_stanzas(self):
        listen = "127.0.0.1:%d" % free_port()
        for serve in (mute, None):
            xmpp = await self.server(serve) if serve else await self.talking(b"nonsense", then_close=True)
            begun = time.monotonic()
            await self.assert_says(self.fedload("--there-and-back", "--xmpp", xmpp, "--xmpp-listen", listen, "--warm-up", 0,
                                                "--silence", 2, "--limit", 20), "the target refuses: |gone silent: ")
            self.assertLess(time.monotonic() - begun, 25)

    async def test_killed_in_the_middle(self):
        """A real server of stanzas, which is gone all at once."""
        port = free_port()
        theirs, ours = f"127.0.0.1:{port}", "127.0.0.1:%d" % free_port()
        target = await asyncio.create_subprocess_exec(
            BINARIES / "fedload", "--reflect", "--partner", "sip.example", "--domain", "partner.example", "--xmpp", ours,
            "--xmpp-listen", theirs, stdin=asyncio.subprocess.PIPE)
        self.addCleanup(lambda: target.returncode is None and target.kill())
        while not is_listening("127.0.0.1", port):
            await asyncio.sleep(0.01)
        run = asyncio.create_task(self.fedload("--there-and-back", "--xmpp", theirs, "--xmpp-listen", ours, "--json",
                                               "--pid", target.pid, "--warm-up", 10, "--count", 1_000_000, "--rate", 2000,
                                               "--silence", 2, "--limit", 30))
        await asyncio.sleep(1)    # well in the middle of its 500
        target.kill()
        await target.wait()
        status, out, err = await run
        self.assertEqual((status, err.count("\n")), (1, 1), err)
        self.assertIn("the target does not deliver any more: ", err)
        run = json.loads(out)
        self.assertGreater(run["delivered"], 100)
        self.assertEqual(run["cpu_ns"], 0)    # not known any more

    async def test_presence(self):
        people = ("--watchers", 10, "--contacts", 20, "--silence", 1, "--limit", 10)
        xmpp_listen = "127.0.0.1:%d" % free_port()
        refusing = Relay(self.sink, status="403 Forbidden").serve
        for workload, serve, sentence in (("--storm", mute, "gone silent: 400 of 400"),
                                          ("--refreshes", refusing, "the target refuses: SIP 403"),
                                          ("--fan-out", None, "the SIP connection to the target broke: ")):
            with self.subTest(workload):
                sip = await self.server(serve) if serve else await self.talking(b"nonsense\r\n\r\n")
                await self.assert_says(
                    self.fedload(workload, *people, "--sip", sip, "--sip-listen", "%s:%d" % self.sink, "--xmpp",
                                 await self.server(mute), "--xmpp-listen", xmpp_listen), sentence)

    def certificates(self):
        if (self.directory / "ca.pem").exists():
            return
        certificate = Authority(self.directory / "ca").issue("partner.example")
        for name, path in (("cert", certificate.certificate), ("key", certificate.key)):
            shutil.copy(path, self.directory / f"{name}.pem")
        shutil.copy(self.directory / "cert.pem", self.directory / "ca.pem")

    def streams(self, xmpp):
        self.certificates()
        return self.fedload("--set-ups", "--xmpp", xmpp, "--tls", self.directory, "--silence", 1)


class Account(Target):
    async def run_through(self, mischief, *words):
        sip = await self.relay(mischief=mischief)
        status, out, err = await self.through(sip, "--json", "--pairs", 5, "--silence", 1, *words)
        run = json.loads(out)
        return status, {key: run[key] for key in ("sent", "delivered", "lost", "doubled", "out_of_order")}, run

    async def test_all_is_well(self):
        status, account, run = await self.run_through(lambda number: 1, "--count", 1000)
        self.assertEqual(account, {"sent": 1000, "delivered": 1000, "lost": 0, "doubled": 0, "out_of_order": 0})
        self.assertEqual((status, run["fault"], run["measured"]), (0, "", 1000))

    async def test_lost(self):
        status, account, run = await self.run_through(lambda number: 0 if number in (3, 70) else 1, "--count", 100)
        self.assertEqual(account, {"sent": 100, "delivered": 98, "lost": 2, "doubled": 0, "out_of_order": 0})
        self.assertEqual(status, 1)
        self.assertIn("gone silent: 2 messages", run["fault"])

    async def test_doubled(self):
        status, account, _ = await self.run_through(lambda number: 2 if number in (3, 70) else 1, "--count", 100)
        self.assertEqual(account, {"sent": 100, "delivered": 100, "lost": 0, "doubled": 2, "out_of_order": 0})
        self.assertEqual(status, 1)

    async def test_out_of_order(self):
        """Held until the next one of the same pair has passed; one pair."""
        status, account, _ = await self.run_through(lambda number: "later" if number == 40 else 1, "--count", 100,
                                                    "--pairs", 1)
        self.assertEqual(account, {"sent": 100, "delivered": 100, "lost": 0, "doubled": 0, "out_of_order": 1})
        self.assertEqual(status, 1)

    async def test_a_stall_is_not_left_out(self):
        """Half a second in which nothing is answered: a hundred messages were due in it, and count with their wait,
        although only one was under way."""
        sip = await self.relay(stall=(100, 0.5))
        begun = time.monotonic()
        status, out, err = await self.through(sip, "--json", "--count", 200, "--rate", 200, "--window", 1)
        self.assertEqual(status, 0, err)
        self.assertGreaterEqual(time.monotonic() - begun, 0.99)
        latency = json.loads(out)["latency_us"]
        self.assertGreaterEqual(latency["max"], 490_000)
        self.assertGreaterEqual(latency["p90"], 300_000)    # the twentieth of the hundred that waited

    async def test_picture(self):
        sip = await self.relay()
        picture = self.directory / "load.svg"
        status, _, err = await self.through(sip, "--count", 500, "--plot", picture)
        self.assertEqual(status, 0, err)
        root = xml.etree.ElementTree.parse(picture).getroot()
        curves = root.findall("{http://www.w3.org/2000/svg}polyline")
        self.assertEqual(len(curves), 4)    # throughput, p99, p50, distribution
        self.assertTrue(all(curve.get("points") for curve in curves))

    async def test_picture_of_points(self):
        sip = await self.relay()
        picture = self.directory / "load.png"
        status, _, err = await self.through(sip, "--count", 100, "--plot", picture)
        self.assertEqual(status, 0, err)
        head = picture.read_bytes()[:24]
        self.assertEqual(head[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual(struct.unpack(">II", head[16:24]), (980, 860))

    async def test_picture_that_cannot_be_written(self):
        """It says so before the load, not behind it."""
        await self.assert_says(self.through(await self.server(mute), "--plot", "/nowhere/load.png"),
                               "^fedload: /nowhere/load.png can't be written")

    async def test_bar_on_a_terminal(self):
        sip = await self.relay(pause=0.001)
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        child = asyncio.create_task(self.fedload("--sip-to-sip", "--sip", sip, "--sip-listen", "%s:%d" % self.sink,
                                                 "--warm-up", 0, "--count", 500, stderr=theirs))
        status, out, _ = await child
        os.close(theirs)
        shown = os.read(ours, 65_536).decode()
        self.assertEqual(status, 0)
        self.assertIn("delivered 500", out)
        self.assertRegex(shown, r"\[#* *\] +\d+ %  \d+/s  p99")

    async def test_usage(self):
        sip = ("--sip-to-sip", "--sip", "127.0.0.1:1", "--sip-listen", "127.0.0.1:1")
        for words in (("--nonsense",), ("--rate", "fast"), ("--set-ups", "--xmpp", "127.0.0.1:1"), (),
                      (*sip, "--plot", "load.jpg"), (*sip, "--rate", "0.000001"), (*sip, "--rate", "inf"),
                      (*sip, "--body", "100000"), (*sip, "--count", "4000000000"), (*sip, "--sip-transport", "sctp"),
                      (*sip, "--auth", "external"), (*sip, "--sessions", "lync"), (*sip, "--hold"),
                      (*sip, "--watchers", "4000000", "--contacts", "4000000")):
            status, _, err = await self.fedload(*words)
            self.assertEqual((status, err.count("\n")), (2, 1), err)


if __name__ == "__main__":
    unittest.main()
