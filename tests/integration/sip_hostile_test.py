"""What a hostile or broken SIP peer sends costs a bounded amount of memory, and the next one is served."""
import asyncio
import pathlib
import signal
import unittest

from harness.process import Failed
from harness.sip_agent import SipAgent
from harness.world import ROMEO, XMPP_DOMAIN, PeerTest

CORPUS = pathlib.Path(__file__).resolve().parent.parent / "corpus"
ANSWER_SECONDS = 20
GROWTH_MAX_KIB = 96 << 10    # asan keeps what was freed for a while

HEAD = (f"MESSAGE sip:juliet@{XMPP_DOMAIN} SIP/2.0\r\n"
        "Via: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:{ROMEO}>;tag=1\r\nTo: <sip:juliet@{XMPP_DOMAIN}>\r\nCall-ID: {{branch}}\r\n"
        "CSeq: 1 MESSAGE\r\n")


def request(branch, extra="", body=b"", length=None):
    size = len(body) if length is None else length
    return (HEAD.format(branch=branch) + extra + f"Content-Length: {size}\r\n\r\n").encode() + body


def corpus_messages():
    for path in sorted([*CORPUS.glob("rfc4475/*.dat"), *CORPUS.glob("rfc5118/*.sip")]):
        yield path.name, path.read_bytes()


def resident_kib(process):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class Hostile(PeerTest):
    async def serves(self, world, body):
        world.juliet.message(ROMEO, body)
        await world.agent.wait_for_message(body)
        self.assertEqual((await world.send_from_romeo(body)).status, 200)
        await world.juliet.wait_for_body(body)

    async def open(self, world):
        return await asyncio.open_connection(*world.fedgate.sip)

    async def read_to_end(self, reader):
        """What comes until the other side closes."""
        try:
            return await asyncio.wait_for(reader.read(-1), ANSWER_SECONDS)
        except asyncio.TimeoutError:
            raise Failed("the connection stayed open") from None
        except ConnectionError:
            return b""

    async def exchange(self, world, data, status=None):
        """The first answer to it, or all until the end when none of this status is expected."""
        reader, writer = await self.open(world)
        try:
            writer.write(data)
            if status is None:
                return await self.read_to_end(reader)
            line = await asyncio.wait_for(reader.readline(), ANSWER_SECONDS)
            self.assertTrue(line.startswith(f"SIP/2.0 {status} ".encode()), line)
            return line
        finally:
            writer.close()

    async def test_the_torture_messages(self):
        world = await self.world()
        loop = asyncio.get_running_loop()
        datagrams, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=world.fedgate.sip)
        for name, data in corpus_messages():
            with self.subTest(name):
                datagrams.sendto(data)
                _, writer = await self.open(world)
                writer.write(data)
                writer.write_eof()
                await writer.drain()
                _, halves = await self.open(world)
                halves.write(data[:len(data) // 2])
                await halves.drain()
                halves.write(data[len(data) // 2:] + data)
                await halves.drain()
                self.addCleanup(writer.close)
                self.addCleanup(halves.close)
        datagrams.close()
        await self.serves(world, "after the torture")

    async def test_garbage_closes_the_connection(self):
        world = await self.world()
        garbage = {"a greeting": b"hello\r\n\r\n", "nothing but text": b"hello\r\n" * 30,
                   "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                   "TLS": b"\x16\x03\x01\x02\x00" * 20 + b"\r\n\r\n", "NUL": bytes(40000),
                   "a line without end": b"x" * 100000}
        for what, data in garbage.items():
            with self.subTest(what):
                self.assertNotIn(b"SIP/2.0 2", await self.exchange(world, data))
        await self.serves(world, "after garbage")

    async def test_no_second_opinion_about_the_end_of_a_message(self):    # SIP-3: nothing is smuggled
        world = await self.world()
        hidden = request("hidden", body=b"smuggled")
        name = b"Content-Length: "
        half = str(len(hidden) // 2).encode()
        whole = str(len(hidden)).encode()
        # Each stands for the length of a body that is a request itself.
        fields = {"twice": name + whole + b"\r\n" + name + b"0", "twice the same": (name + whole + b"\r\n") * 2,
                  "long and compact": name + b"0\r\nl: " + whole, "compact and long": b"l: 0\r\n" + name + whole,
                  "none": b"X: y", "misspelt": b"Content-Lenght: " + whole, "two numbers": name + b"0 " + whole,
                  "a list": name + b"0, " + whole, "folded": name + b"\r\n " + whole,
                  "folded behind": name + b"0\r\n " + whole, "folded with nothing": name + b"0\r\n \r\n",
                  "negative": name + b"-" + whole, "minus zero": name + b"-0", "plus": name + b"+" + whole,
                  "hexadecimal": name + b"0x10", "a fraction": name + whole + b".0", "an exponent": name + b"1e2",
                  "quoted": name + b'"' + whole + b'"', "nothing": name, "2^32": name + b"4294967296",
                  "2^64 and some": name + b"18446744073709551616", "2^64 + 5": name + b"18446744073709551621",
                  "parameters": name + whole + b";x=1", "NUL": name + b"0\0" + whole,
                  "a vertical tab": name + b"\x0b" + whole, "a no-break space": name + b"\xc2\xa0" + whole,
                  "full-width digits": name + "\uff10".encode(), "a name with a space": b"Content -Length: " + whole,
                  "a NUL in the name": b"Content-Length\0: " + whole, "no name": b": " + whole,
                  "no colon": b"Content-Length " + whole,
                  "bare CR": name + b"0\rl: " + whole, "bare LF": name + b"0\nl: " + whole,
                  "bare LF before the end": name + whole + b"\n", "CR CR LF": name + b"0\r",
                  "an end by LF": name + b"0\r\nX: y\n\n" + hidden, "an end by CR": name + b"0\r\nX: y\r\r" + hidden}
        for what, field in fields.items():
            with self.subTest(what):
                data = request("outer").replace(name + b"0", field) + hidden + request("behind", body=b"smuggled")
                answers = await self.exchange(world, data)
                self.assertTrue(answers.startswith(b"SIP/2.0 400 "), answers)
                self.assertEqual(answers.count(b"SIP/2.0 4"), 1)
        # What has one meaning: the length counts, whatever the body looks like.
        for what, length in {"zeros in front": b"0000" + whole, "spaces": b" \t " + whole + b"  "}.items():
            with self.subTest(what):
                outer = request(f"outer {what[0]}".replace(" ", ""), "Content-Type: application/x-y\r\n")
                data = outer.replace(name + b"0", name + length) + hidden
                await self.exchange(world, data, 415)
        with self.subTest("half"):    # the rest is a message of its own, and no good one
            answers = await self.exchange(world, request("outer2", "Content-Type: application/x-y\r\n").replace(
                name + b"0", name + half) + hidden)
            self.assertNotIn(b"SIP/2.0 200 ", answers)
        await self.serves(world, "after smuggling")
        self.assertEqual(world.juliet.received, [])

    async def test_sizes(self):    # SIP-3
        world = await self.world()
        good = request("size", "Content-Type: text/plain\r\n", b"x")

        def with_header(size):
            fill = size - good.index(b"\r\n\r\n") - 4
            return good.replace(b"Max-", b"X: " + b"x" * (fill - 5) + b"\r\nMax-")
        head_lines = good.index(b"\r\n\r\n")
        headers = good[:head_lines].count(b"\r\n")
        cases = {"a header section of 32 KiB": (with_header(32768), 200, False),
                 "one byte more": (with_header(32769), 513, True),
                 "one without end": (b"x" * 40 + good[:-5] + b"X: " + b"y" * 40000, 513, True),
                 "128 headers": (good.replace(b"Max-", b"X: y\r\n" * (128 - headers) + b"Max-"), 482, False),
                 "129 headers": (good.replace(b"Max-", b"X: y\r\n" * (129 - headers) + b"Max-"), 513, True),
                 "64 Vias": (good.replace(b"Max-", b"v: SIP/2.0/TCP h\r\n" * 63 + b"Max-"), 482, False),
                 "65 Vias": (good.replace(b"Max-", b"v: SIP/2.0/TCP h" + b", SIP/2.0/TCP h" * 63 + b"\r\nMax-"),
                             513, False),
                 "a body of 64 KiB": (request("body", "Content-Type: application/x-y\r\n", b"x" * 65536), 415, False),
                 "a text over im.max_bytes": (request("text", "Content-Type: text/plain\r\n", b"x" * 32769), 413, False),
                 "a body one byte longer": (request("longer", body=b"x" * 65537), 413, False),
                 "a body of 1 MiB": (request("long", body=b"x" * (1 << 20)), 413, False),
                 "a body over 1 MiB": (request("over", length=(1 << 20) + 1), 413, True),
                 "a body of 1 GB": (request("huge", body=b"x" * 100_000, length=10 ** 9), 413, True)}
        for what, (data, status, ends) in cases.items():
            with self.subTest(what):
                reader, writer = await self.open(world)
                self.addCleanup(writer.close)
                writer.write(data)
                line = await asyncio.wait_for(reader.readline(), ANSWER_SECONDS)
                self.assertTrue(line.startswith(f"SIP/2.0 {status} ".encode()), line)
                # Before the connection ends, or the next request is answered.
                if not ends:
                    writer.write(request(f"next{status}{len(data)}").replace(b"MESSAGE", b"OPTIONS"))
                    await asyncio.wait_for(reader.readuntil(b"SIP/2.0 200 "), ANSWER_SECONDS)
                else:
                    await self.read_to_end(reader)
        await self.serves(world, "after sizes")

    async def test_tls_that_never_comes_to_an_end(self):
        world = await self.world(agent=SipAgent("tls"))
        before = resident_kib(world.fedgate.process)
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"    # the beginning of a ClientHello
        silent = [await self.open(world) for _ in range(200)]
        for number, (_, writer) in enumerate(silent):
            self.addCleanup(writer.close)
            writer.write(hello[:number % (len(hello) + 1)])
        await self.serves(world, "beside half-open TLS")
        self.assertLess(resident_kib(world.fedgate.process) - before, GROWTH_MAX_KIB)
        for reader, _ in silent:    # each is told to go within its time
            await self.read_to_end(reader)

    async def test_places_are_for_those_who_are_trusted(self):
        world = await self.world(keys={"sip.trusted": "127.0.0.1"})
        peers = []
        for _ in range(400):    # more than the shards keep for such peers
            peers.append(await asyncio.open_connection(*world.fedgate.sip,
                                                       local_addr=("127.66.6.6", 0)))
            self.addCleanup(peers[-1][1].close)
        await self.serves(world, "with many strangers")
        reader, writer = peers[0]
        writer.write(request("stranger"))
        self.assertTrue((await reader.readline()).startswith(b"SIP/2.0 403 "))
        for reader, _ in peers:
            await self.read_to_end(reader)

    async def test_a_flood_of_answers_that_nobody_reads(self):
        world = await self.world()
        before = resident_kib(world.fedgate.process)
        _, writer = await self.open(world)
        flood = request("flood").replace(b"MESSAGE", b"UNKNOWN") * 100

        async def pour():
            while True:
                writer.write(flood)
                await writer.drain()
        with self.assertRaises(ConnectionError):
            await asyncio.wait_for(pour(), 60)
        self.assertLess(resident_kib(world.fedgate.process) - before, GROWTH_MAX_KIB)
        await self.serves(world, "after the flood")

    async def test_a_storm_of_datagrams(self):
        world = await self.world()
        before = resident_kib(world.fedgate.process)
        response = (b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK" + b"0" * 32 + b"\r\n"
                    b"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\n"
                    b"CSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n")
        storm = [response, bytes(range(256)), b"\r\n\r\n", request("cut", body=b"x" * 50)[:120],
                 request("short", length=500), b"", response[:40]]
        datagrams, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=world.fedgate.sip)
        for number in range(20_000):
            datagrams.sendto(storm[number % len(storm)])
            if number % 200 == 0:
                await asyncio.sleep(0)
        datagrams.close()
        self.assertLess(resident_kib(world.fedgate.process) - before, GROWTH_MAX_KIB)
        await self.serves(world, "after the storm")

    async def test_a_stop_while_the_sip_server_is_silent(self):    # IM-17
        world = await self.world()
        world.agent.status = None
        ids = [world.juliet.message(ROMEO, f"into the silence {number}") for number in range(5)]
        await world.agent.wait_for_message("into the silence 0")
        await world.fedgate.stop()
        errors = [await world.juliet.wait_for_error(one) for one in ids]
        self.assertEqual(errors[0], ("wait", "remote-server-timeout"))    # in doubt
        self.assertEqual(set(errors[1:]), {("wait", "resource-constraint")})
        await world.fedgate.start()

    async def test_a_domain_removed_while_its_messages_wait(self):    # IM-17
        world = await self.world()
        await self.serves(world, "while it was ours")
        world.agent.status = None
        ids = [world.juliet.message(ROMEO, f"queued {number}") for number in range(3)]
        await world.agent.wait_for_message("queued 0")
        world.fedgate.domains = {"elsewhere.example": {"next_hop": world.agent.uri}}
        world.fedgate.configuration.write_text("\n".join(world.fedgate.lines()) + "\n")
        world.fedgate.process.child.send_signal(signal.SIGHUP)
        errors = [await world.juliet.wait_for_error(one) for one in ids]
        self.assertEqual(errors[0], ("wait", "remote-server-timeout"))    # in doubt
        self.assertEqual(set(errors[1:]), {("cancel", "remote-server-not-found")})


if __name__ == "__main__":
    unittest.main()
