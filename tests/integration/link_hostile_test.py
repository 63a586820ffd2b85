"""A peer on the link that has a certificate and no manners: as a gateway to an edge, and as an edge to a gateway.
Whatever it sends, the process goes on, keeps its bounds, and serves the next one."""
import asyncio
import os
import random
import socket
import ssl
import struct
import types
import unittest

from harness.certificates import Authority
from harness.dns import Dns
from harness.process import own_address
from harness.split import Role
from harness.world import SIP_DOMAIN, XMPP_DOMAIN, PeerTest, binaries

PEER = "gw1.int.example"
EDGE = "edge1.int.example"
MEMORY = 400 << 20      # of a process, whatever comes


def text(value):
    return struct.pack(">H", len(value)) + value


def stanza(value):
    return struct.pack(">I", len(value)) + value


def frame(kind, *fields):
    body = bytes([kind]) + b"".join(fields)
    return struct.pack(">I", len(body)) + body


def hello(role=2, part=0, session=bytes(16), window=4 << 20, taken=(0, 0), major=1, minor=0, node=b"hostile"):
    return frame(1, struct.pack(">HHBH", major, minor, role, part), os.urandom(16), session,
                 struct.pack(">QQI", *taken, window), text(node))


def ping(number=7):
    return frame(3, struct.pack(">Q", number))


def to_partner(ticket, body, ours=SIP_DOMAIN.encode(), theirs=XMPP_DOMAIN.encode()):
    return frame(0x81, struct.pack(">Q", ticket), text(ours), text(theirs), stanza(body))


def from_partner(body, theirs=XMPP_DOMAIN.encode(), proof=0):
    return frame(0x80, bytes([proof]), text(theirs), stanza(body))


def request(body, ticket=1, conversation=1):
    return frame(0x82, struct.pack(">QQ", ticket, conversation), stanza(body))


def outcome(ticket, fate, fault=0, acknowledges=0):
    return frame(0x40, struct.pack(">QBBB", ticket, fate, fault, acknowledges))


def answer(ticket, kind=0, status=200, tag=b"t", reason=b"OK", lines=b""):
    return frame(0x42, struct.pack(">QBHH", ticket, kind, status, 0), text(tag), text(reason), text(lines))


def acknowledgement(news, stanzas):
    return frame(2, struct.pack(">QQ", news, stanzas))


def partner_news(ours, theirs, kind=0, fault=0, why=b""):
    return frame(0x41, bytes([kind, fault]), text(ours), text(theirs), text(why))


def gateway_news(kind, name):
    return frame(0x43, bytes([kind]), text(name))


def message(body="x", more="", sender=f"juliet@{XMPP_DOMAIN}/a", to=f"romeo@{SIP_DOMAIN}"):
    return (f"<message from='{sender}' to='{to}' id='{random.getrandbits(60)}' type='chat'{more}>"
            f"<body>{body}</body></message>").encode()


def sip(method="MESSAGE", body=b"hi", more=b""):
    return (f"{method} sip:juliet@{XMPP_DOMAIN} SIP/2.0\r\n"
            f"Via: SIP/2.0/TCP a.example;branch=z9hG4bK{random.getrandbits(60)}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:romeo@{SIP_DOMAIN}>;tag=1\r\nTo: <sip:juliet@{XMPP_DOMAIN}>\r\n"
            f"Call-ID: {random.getrandbits(60)}\r\nCSeq: 1 {method}\r\n").encode() + more + (
                b"Content-Length: %d\r\n\r\n" % len(body) + body)


def scramble(data, source):
    """A few bytes of it are others, some are gone or twice there."""
    data = bytearray(data)
    for _ in range(source.randrange(1, 6)):
        at = source.randrange(len(data))
        how = source.randrange(4)
        if how == 0:
            data[at] = source.randrange(256)
        elif how == 1:
            del data[at:at + source.randrange(1, 9)]
        elif how == 2:
            data[at:at] = data[at:at + source.randrange(1, 40)]
        else:
            data[at:at] = source.randbytes(source.randrange(1, 9))
        if not data:
            break
    return bytes(data)


FROM_TO = b"from='juliet@partner.example' to='romeo@corp.example'"
STANZAS = [
    b"<", b"</message>", b"<message", b"<message/><message/>", b"\0" * 40, b" \n\t", b"text", b"<a>" * 200_000,
    b"<message to='" + b"a" * 100_000 + b"'/>", b"<message " + b"a='b' " * 20_000 + b"/>",
    b"<message from='\xff\xfe@x' to='romeo@corp.example'/>", b"<x:message xmlns:x='jabber:server'/>",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]><message/>", b"<?xml?><message/>", b"<iq type='get' id='&lt;' from='' to=''/>",
    b"<message " + FROM_TO + b"><body>&#0;&#x110000;&unknown;</body></message>",
    b"<message " + FROM_TO + b"><body>", b"<presence type='subscribe' " + FROM_TO,
    b"<message xmlns='jabber:client' from='a@b' to='c@d'><body>x</body></message>",
    b"<message " + FROM_TO + b">" + b"<b>" * 50_000 + b"</b>" * 50_000 + b"</message>",
]


class Peer:
    """The end that misbehaves."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    def send(self, *frames):
        self.writer.write(b"".join(frames))

    async def drained(self, seconds=5):
        try:
            await asyncio.wait_for(self.writer.drain(), seconds)
            return True
        except (asyncio.TimeoutError, ConnectionError, ssl.SSLError):
            return False

    async def read(self):
        """Kind and fields; None: the end."""
        try:
            size, = struct.unpack(">I", await self.reader.readexactly(4))
            data = await self.reader.readexactly(size)
            return data[0], data[1:]
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return None

    async def until(self, kind, seconds=10):
        async def find():
            while (one := await self.read()) is not None:
                if one[0] == kind:
                    return one[1]
            return None
        return await asyncio.wait_for(find(), seconds)

    def close(self):
        self.writer.transport.abort()


class HostileTest(PeerTest):
    keys = {"core.threads": 2}

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.authority = Authority(self.directory / "internal", "internal CA")
        self.external = Authority(self.directory / "ca")
        self.source = random.Random(11)

    def role(self, role, name, **keys):
        one = Role(role, name, self.authority, self.directory / role, binaries(), self.external.issue(SIP_DOMAIN),
                   self.external.certificate, types.SimpleNamespace(server="127.0.0.1:9"), {XMPP_DOMAIN: {}},
                   {SIP_DOMAIN: {"next_hop": "sip:127.0.0.1:9;transport=tcp"}}, {**self.keys, **keys})
        self.addAsyncCleanup(one.kill)
        return one

    def context(self, name, server):
        own = self.authority.issue(name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.load_cert_chain(own.certificate, own.key)
        context.load_verify_locations(self.authority.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(["fedgate-link"])
        return context

    def is_well(self, one):
        self.assertTrue(one.process.is_alive, one.process.tail())
        self.assertLess(one.process.memory(), MEMORY)


class AtAnEdge(HostileTest):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.edge = self.role("edge", EDGE)
        await self.edge.start()
        self.tls = self.context(PEER, False)

    async def connect(self):
        return Peer(*await asyncio.open_connection(self.edge.address, 23456, ssl=self.tls, server_hostname=EDGE))

    async def joined(self, **how):
        peer = await self.connect()
        peer.send(hello(**how))
        self.assertIsNotNone(await peer.until(1))
        return peer

    async def serves(self):
        """One that behaves gets what it wants: at once."""
        self.is_well(self.edge)
        peer = await self.joined()
        peer.send(ping(5))
        self.assertEqual(await peer.until(4), struct.pack(">Q", 5))
        peer.close()

    async def test_garbage(self):
        good = [hello(), ping(), to_partner(9, message()), request(sip()), answer(1), acknowledgement(0, 0),
                frame(5), outcome(1, 0), from_partner(b"<a/>"), gateway_news(0, b"x"), frame(6, b"\0", text(b"bye"))]
        for number in range(150):
            peer = await self.connect()
            if number % 3:
                peer.send(hello(part=number % 4))
            for one in self.source.sample(good, 3):
                peer.send(scramble(one, self.source))
            await peer.drained(1)
            if number % 2:
                await asyncio.sleep(0)
            peer.close()
        await self.serves()

    async def test_greetings(self):
        for bad in (hello(major=2), hello(major=0), hello(role=1), hello(role=3), hello(part=256), hello(part=65535),
                    hello(node=b"\xff\xfe"), hello(node=b"n" * 2000), ping(), frame(0x81), struct.pack(">I", 0),
                    struct.pack(">I", 0xFFFFFFFF), b"GET / HTTP/1.1\r\n\r\n", frame(6, b"\0", text(b""))):
            peer = await self.connect()
            peer.send(bad)
            while await asyncio.wait_for(peer.read(), 10) is not None:
                pass
            peer.close()
        odd = await self.joined(minor=65535)
        odd.send(frame(0x7F, b"new"), frame(0xBF, b"newer"), frame(0x3F), ping(3))
        self.assertEqual(await odd.until(4), struct.pack(">Q", 3))
        small = await self.joined(part=1, window=0)
        small.send(ping(4))
        self.assertEqual(await small.until(4), struct.pack(">Q", 4))
        twice = await self.joined(part=2)
        twice.send(hello(part=2))
        self.assertIn(b"does not belong here", await twice.until(6))
        await self.serves()

    async def test_who_says_nothing(self):
        """More sockets without a word than guests are taken: the next one is served all the same."""
        mute = [socket.create_connection((self.edge.address, 23456)) for _ in range(200)]
        await asyncio.wait_for(self.serves(), 3)
        for one in mute:
            one.close()

    async def test_floods_that_are_not_read(self):
        for flood in (ping(1), to_partner(3, message("x" * 200)), request(sip()), answer(5), to_partner(0, b"<a/>")):
            peer = await self.joined()
            for _ in range(300):
                peer.send(flood * 1000)
                if not await peer.drained(1):
                    break
                self.is_well(self.edge)
            peer.close()
        await self.serves()

    async def test_slowly(self):
        peer = await self.joined()
        for byte in to_partner(1, message()) + ping(9):
            peer.send(bytes([byte]))
            await asyncio.sleep(0.005)
        self.assertEqual(await peer.until(4), struct.pack(">Q", 9))
        big = await self.joined(part=1)       # announces much, and sends it by and by
        big.send(struct.pack(">I", 16 << 20), b"\x81")
        for _ in range(30):
            big.send(bytes(100_000))
            await asyncio.sleep(0.01)
        big.close()
        await self.serves()

    async def test_stanzas(self):
        peer = await self.joined()
        for body in STANZAS:
            peer.send(to_partner(1, body), to_partner(0, body, theirs=b"\xff"), to_partner(2, body, ours=b"no.example"))
        for name in (b"a" * 1023, b"..", b"A.EXAMPLE", b"\0", b"x y", b"[::1]", b"127.0.0.1"):
            peer.send(to_partner(1, message(), theirs=name), to_partner(1, message(), ours=name))
        peer.send(to_partner(1, b"<m>" + b"x" * (15 << 20) + b"</m>"))
        await peer.drained(10)
        peer.send(ping(2))
        self.is_well(self.edge)
        await self.serves()

    async def test_comes_and_goes(self):
        for number in range(150):
            peer = await self.joined(part=number % 7)
            peer.send(to_partner(number + 1, message()))
            if number % 3 == 0:
                peer.send(frame(6, b"\0", text(b"bye")))
            peer.close()
        await self.serves()

    async def test_sessions_of_others(self):
        peer = await self.connect()
        peer.send(hello())
        session = (await peer.until(1))[7 + 16:7 + 32]
        peer.send(frame(2, struct.pack(">QQ", 10_000, 1 << 63)))
        self.assertIn(b"never sent", await peer.until(6))
        other = await self.connect()
        other.send(hello(session=session, taken=(1 << 63, 1 << 63)))
        self.assertIsNotNone(await other.until(1))      # that session is over: a new one
        again = await self.joined()
        again.send(hello(session=session))
        await self.serves()


class AtAGateway(HostileTest):
    """It dials us."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.address = own_address(23456)
        self.peers = asyncio.Queue()
        self.server = await asyncio.start_server(lambda *streams: self.peers.put_nowait(Peer(*streams)),
                                                 self.address, 23456, ssl=self.context(EDGE, True))
        self.addCleanup(self.server.close)
        self.gateway = self.role("gateway", PEER, **{"link.edges": f"{EDGE}:23456"})
        self.gateway.take(own_address(5060))
        self.gateway.dns = await Dns(self.directory / "dns", [f"{EDGE}. IN A {self.address}"]).start()
        self.addAsyncCleanup(self.gateway.dns.stop)
        await self.gateway.start()

    async def joined(self, **how):
        peer = await asyncio.wait_for(self.peers.get(), 10)
        if await peer.until(1) is None:
            return await self.joined(**how)
        peer.send(hello(**{"role": 1, "session": os.urandom(16), **how}))
        return peer

    async def serves(self):
        self.is_well(self.gateway)
        for _ in range(20):
            peer = await self.joined()
            peer.send(ping(5), gateway_news(0, PEER.encode()), gateway_news(1, PEER.encode()))
            if await peer.until(4) == struct.pack(">Q", 5):
                peer.close()
                return
        self.fail("nobody is served")

    async def test_garbage(self):
        good = [ping(), outcome(1, 1), answer(1), gateway_news(1, b"gw2.int.example"), from_partner(message()),
                request(sip()), partner_news(b"a.example", b"b.example"), acknowledgement(0, 0), hello(role=1)]
        for number in range(100):
            peer = await self.joined()
            for one in self.source.sample(good, 3):
                peer.send(scramble(one, self.source))
            await peer.drained(1)
            peer.close()
        await self.serves()

    async def test_greetings(self):
        for how in ({"session": bytes(16)}, {"role": 2}, {"major": 2}, {"taken": (5, 5)}, {"window": 0}, {"window": 1},
                    {"node": b"n" * 1024}, {"part": 9}):
            peer = await self.joined(**how)
            peer.send(ping(), from_partner(message()))
            await peer.drained(1)
            await asyncio.sleep(0.1)
            peer.close()
        await self.serves()

    async def test_stanzas(self):
        """Which no stream has judged."""
        for body in STANZAS:
            peer = await self.joined()
            peer.send(*(from_partner(body, theirs=name) for name in (XMPP_DOMAIN.encode(), b"\xff\0", b"corp.example")))
            peer.send(ping(6))
            await asyncio.wait_for(peer.until(4), 10)
            self.is_well(self.gateway)
            peer.close()
        source = self.source
        seeds = [message(), message(f"{'x' * 500}&amp;&lt;", " xml:lang='de'"),
                 f"<presence from='juliet@{XMPP_DOMAIN}' to='romeo@{SIP_DOMAIN}' type='subscribe'/>".encode(),
                 f"<iq from='juliet@{XMPP_DOMAIN}/a' to='{SIP_DOMAIN}' type='get' id='1'>"
                 "<query xmlns='http://jabber.org/protocol/disco#info'/></iq>".encode()]
        for _ in range(20):
            peer = await self.joined()
            peer.send(*(from_partner(scramble(source.choice(seeds), source)) for _ in range(300)), ping(8))
            await asyncio.wait_for(peer.until(4), 20)
            peer.close()
        await self.serves()

    async def test_a_stanza_for_no_mailbox(self):
        """Larger than what goes from core to core: refused once, and what is behind it passes."""
        peer = await self.joined()
        for user in range(8):       # of both cores
            peer.send(from_partner(message("x" * (6 << 20), sender=f"u{user}@{XMPP_DOMAIN}/a")))
            await peer.drained(10)
        peer.send(from_partner(message("small")), ping(3))
        seen = 0
        while seen < 8:
            self.assertIsNotNone(await peer.until(0x81, 20))
            seen += 1
        self.is_well(self.gateway)
        peer.close()
        await self.serves()

    async def test_requests(self):
        for _ in range(10):
            peer = await self.joined()
            peer.send(gateway_news(0, PEER.encode()))
            peer.send(*(gateway_news(1, f"gw{number}.int.example".encode()) for number in range(2000)))
            peer.send(*(request(scramble(sip(), self.source), ticket) for ticket in range(200)))
            peer.send(request(b"\0" * 100_000), request(sip(body=b"x" * 3_000_000)))
            peer.send(request(sip("INVITE")), request(sip("SUBSCRIBE")),
                      request(sip(more=b"X: " + b"y" * 60_000 + b"\r\n")), ping(2))
            await asyncio.wait_for(peer.until(4), 20)
            peer.close()
        await self.serves()

    async def test_floods(self):
        for flood in (ping(), outcome(1 << 40, 1), answer(1 << 40), from_partner(message()), from_partner(b"<a/>"),
                      request(sip()), partner_news(b"a.example", b"b.example", 2, 2, b"w" * 1000)):
            peer = await self.joined()
            for _ in range(200):
                peer.send(flood * 1000)
                if not await peer.drained(1):
                    break
                self.is_well(self.gateway)
            peer.close()
        peer = await self.joined()
        for number in range(200):      # as many pairs as nobody has
            peer.send(*(partner_news(b"a%d.example" % i, b"b%d.example" % number) for i in range(1000)))
            if not await peer.drained(5):
                break
        self.is_well(self.gateway)
        peer.close()
        await self.serves()


if __name__ == "__main__":
    unittest.main()
