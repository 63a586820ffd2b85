"""Commits of one node are in force at all: two edges and two gateways, each a process."""
import asyncio
import hashlib
import json
import os
import re
import ssl
import struct
import subprocess
import time

from harness.certificates import Authority
from harness.dns import Dns
from harness.process import wait_until
from harness.split import EDGES, Role, SplitFedgate
from harness.world import ROMEO, SIP_DOMAIN, PARTNER_KEYS, XMPP_DOMAIN, PeerTest, Servers, World, binaries, server_records

GATEWAYS = "gw1.int.example", "gw2.int.example"
SECONDS = 1     # from one node to all; asserted where the machine is quiet enough to mean it


class Member(Role):
    def lines(self):
        yield from super().lines()
        yield f"pool/gateways/members = {' '.join(GATEWAYS)}"

    def ports(self):
        return (5269, 23456) if self.role == "edge" else (5060,)

    async def ask(self, **request):
        reader, writer = await asyncio.open_unix_connection(self.directory / "admin.sock", limit=1 << 24)
        writer.write(json.dumps(request).encode() + b"\n")
        line = await reader.readline()
        writer.close()
        return json.loads(line)

    async def commit(self):
        return (await self.ask(verb="status"))["commit"]

    async def value(self, key):
        return (await self.ask(verb="sysctl", action="get", keys=[key]))["keys"][0]["value"]

    async def partner(self, name, *options):
        return await self.control("partner", "add", name, "type=federated", *options)

    async def knows(self, *partners):
        return [await self.value(f"partner/{one}/type") for one in partners] == ["federated"] * len(partners)

    @property
    def secret(self):
        return self.directory / "state/dialback.secret"


class Pool(Servers):
    """Nobody outside: only the nodes of the pool."""

    def __init__(self, directory, keys=None):
        super().__init__(directory, keys=keys)
        internal = Authority(self.directory / "internal", "internal CA")
        external = self.authority.issue(SIP_DOMAIN)
        self.nodes = [Member("edge" if name in EDGES else "gateway", name, internal,
                             self.directory / name.split(".")[0], binaries(), external, self.authority.certificate,
                             None, {}, {SIP_DOMAIN: {"next_hop": "sip:127.0.0.1:9;transport=tcp"}},
                             {"core.threads": 2, **self.keys}) for name in (*EDGES, *GATEWAYS)]
        self.edges, self.gateways = self.nodes[:2], self.nodes[2:]

    async def start(self):
        for node in self.gateways:
            node.take(node.address)
        self.dns = await Dns(self.directory / "dns",
                             [f"{edge.name}. IN A {edge.address}" for edge in self.edges]).start()
        for node in self.nodes:
            node.dns = self.dns
        await self.run(*self.nodes)
        return self

    async def run(self, *nodes):
        await asyncio.gather(*(node.start() for node in nodes))
        await self.joined(*nodes)

    async def joined(self, *nodes):
        """Each gateway with each edge that runs."""
        edges = sum(1 for edge in self.edges if edge.process and edge.process.is_alive)
        for node in self.gateways:
            if node.process and node.process.is_alive:
                await wait_until(lambda node=node: self.has(node, 2 * edges), f"links of {node.name}")

    @staticmethod
    async def has(node, count):
        return await node.counter("link.standing") == count

    async def all_have(self, number, *nodes, seconds=20):
        for node in nodes or self.nodes:
            await wait_until(lambda node=node: self.is_at(node, number), f"commit {number} at {node.name}", seconds)

    @staticmethod
    async def is_at(node, number):
        return await node.commit() == number

    def processes(self):
        return [node.process for node in self.nodes]

    async def stop(self):
        for node in self.nodes:
            await node.kill()
        await self.dns.stop()


class Published(PeerTest):
    async def start(self, **keys):
        pool = await self.world(of=Pool, keys=keys)
        return pool, *pool.nodes

    @staticmethod
    async def logs(node):
        return re.search(r"4 \* .* gw1.int.example .*partner add p4.example(.*\n)*NODE +COMMIT +WHY\n(\S.* 4 +-\n){4}",
                         await node.control("config", "log"))

    async def test_in_force_everywhere(self):
        pool, edge1, edge2, gw1, gw2 = await self.start()
        for number, node in enumerate((gw2, gw1, gw2, gw1), 1):
            begin = time.monotonic()
            await node.partner(f"p{number}.example")
            await pool.all_have(number)
            took = time.monotonic() - begin
            print(f"from {node.name} to all: {1000 * took:.0f} ms")
            self.assertLess(took, 4 * SECONDS)
        for node in pool.nodes:
            self.assertTrue(await node.knows("p1.example", "p2.example", "p3.example", "p4.example"))
            await wait_until(lambda node=node: self.logs(node), "what the others have")
        # What is one machine's stays there, and the number is everybody's.
        await gw1.control("sysctl", "-w", "--save", "sip.trusted=192.0.2.0/24", "im.max_bytes=1KiB")
        await pool.all_have(5)
        self.assertEqual([await node.value("sip.trusted") for node in (gw1, gw2)], ["192.0.2.0/24", "127.0.0.0/8"])
        self.assertEqual(await gw2.value("im.max_bytes"), "1KiB")
        self.assertIn("this node alone", await gw1.control("sysctl", "-d", "sip.trusted"))
        # Undone at another node.
        await gw2.control("config", "rollback", "1")
        await pool.all_have(6)
        self.assertTrue(await gw1.knows("p1.example"))
        self.assertFalse(await gw1.knows("p4.example"))
        self.assertEqual(await gw1.value("im.max_bytes"), "32KiB")
        self.assertEqual(await gw1.value("sip.trusted"), "192.0.2.0/24")
        # At an edge: what is its own.
        for words in (("partner", "add", "p5.example"), ("config", "rollback", "3"),
                      ("sysctl", "-w", "--save", "im.max_bytes=2KiB")):
            with self.assertRaisesRegex(Exception, "is committed at a gateway"):
                await edge1.control(*words)
        await edge1.control("sysctl", "-w", "--save", "core.threads=1")
        await gw1.partner("p7.example")
        await pool.all_have(7)
        self.assertEqual([await node.value("core.threads") for node in pool.nodes], ["1", "2", "2", "2"])
        await edge1.kill()
        await edge1.start()
        self.assertEqual([await edge1.commit(), await edge1.value("core.threads")], [7, "1"])
        self.assertTrue(await edge1.knows("p7.example"))

    async def test_ten_thousand_partners(self):
        pool, edge1, edge2, gw1, gw2 = await self.start()
        many = "".join(f"partner/p{n}.partner.example/type = federated\n"
                       f"partner/p{n}.partner.example/description = number {n}\n" for n in range(10_000))
        begin = time.monotonic()
        said = await gw1.ask(verb="sysctl", action="write", file="many.conf", text=many, save=True, comment="many")
        self.assertEqual(said.get("commit"), 1, said.get("errors"))
        took_here = time.monotonic() - begin
        await pool.all_have(1, seconds=120)     # a debug build on a busy machine
        print(f"10,000 partners: {took_here:.2f} s here, {time.monotonic() - begin:.2f} s everywhere")
        for node in pool.nodes:
            self.assertTrue(await node.knows("p9999.partner.example"))

    async def test_one_that_was_away(self):
        pool, edge1, edge2, gw1, gw2 = await self.start()
        await gw1.partner("p1.example")
        await pool.all_have(1)
        await asyncio.gather(edge2.kill(), gw2.kill())
        await gw1.partner("p2.example")
        await gw1.partner("p3.example")
        # One with what it had; one with nothing, and with an older file.
        for path in (gw2.directory / "state").rglob("*.conf"):
            path.unlink()
        gw2.keys["im.max_bytes"] = "1KiB"
        await pool.run(edge2, gw2)
        await pool.all_have(3)
        for node in (edge2, gw2):
            self.assertTrue(await node.knows("p1.example", "p2.example", "p3.example"))
        # One that reaches nobody works on from its replica, and numbers go on.
        await asyncio.gather(*(node.kill() for node in (edge1, edge2, gw1)))
        await gw2.kill()
        await gw2.start()
        self.assertTrue(await gw2.knows("p1.example", "p2.example", "p3.example"))
        await gw2.partner("p4.example")
        self.assertEqual(await gw2.commit(), 4)

    async def test_both_sides_of_a_cut(self):
        pool, edge1, edge2, gw1, gw2 = await self.start()
        await gw1.partner("p1.example")
        await pool.all_have(1)
        await asyncio.gather(edge2.kill(), gw2.kill())
        await gw1.partner("p2.example", "--comment", "of the first side")
        await pool.all_have(2, edge1, gw1)
        await asyncio.gather(edge1.kill(), gw1.kill())
        await pool.run(edge2, gw2)
        second = int(time.time())
        await wait_until(lambda: int(time.time()) > second, "a later time")
        await gw2.partner("p3.example", "--comment", "of the second side")
        await pool.all_have(2, edge2, gw2)
        await pool.run(edge1, gw1)
        for node in pool.nodes:     # the later one
            await wait_until(lambda node=node: node.knows("p1.example", "p3.example"), f"the winner at {node.name}")
            self.assertFalse(await node.knows("p2.example"))
            self.assertEqual(await node.commit(), 2)
        for node in (edge1, gw1):
            self.assertRegex(node.log(), r'FG-1108 .*commit=2 .*comment="of the first side"')
            self.assertRegex(await node.control("config", "log"), r"GAVE WAY.*\n2 .*of the first side +\S+/2.lost-")
        self.assertNotIn("FG-1108", gw2.log())
        lost = next(gw1.directory.glob("state/commits/2.lost-*.conf"))
        self.assertRegex(await gw2.control("config", "check", str(lost)), r"partner/p2.example/type: \S+ -> federated")
        await gw2.control("config", "commit", str(lost))
        await pool.all_have(3)
        for node in pool.nodes:
            self.assertTrue(await node.knows("p1.example", "p2.example", "p3.example"))

    async def test_not_confirmed(self):
        """Taken back by each node alone, when the one that made it has died."""
        pool, edge1, edge2, gw1, gw2 = await self.start()
        await gw1.partner("p1.example")
        await pool.all_have(1)
        said = await gw1.control("partner", "remove", "p1.example", "--confirm", "10s")
        self.assertIn("taken back by every node in 10 s, unless fedctl config confirm is said", said)
        begin = time.monotonic()
        await pool.all_have(2)
        await gw1.kill()
        self.assertFalse(await edge1.knows("p1.example"))
        self.assertRegex(await edge2.control("config", "log"), r"2 \* .*\(not confirmed: taken back in \d+ s\)")
        self.assertIn("unless fedctl config confirm is said", await gw2.control("status"))
        await edge2.kill()      # it knows that after a restart, too
        await edge2.start()
        self.assertFalse(await edge2.knows("p1.example"))
        await pool.all_have(3, edge1, edge2, gw2)
        print(f"taken back after {time.monotonic() - begin:.1f} s")
        self.assertGreater(time.monotonic() - begin, 8)
        for node in (edge1, edge2, gw2):
            self.assertTrue(await node.knows("p1.example"))
            self.assertRegex(await node.control("config", "log"), r"3 \* .* fedgate .*commit 2 was not confirmed")
        await pool.run(gw1)
        await pool.all_have(3)
        self.assertTrue(await gw1.knows("p1.example"))
        self.assertNotIn("FG-1108", gw1.log() + edge1.log() + edge2.log() + gw2.log())

    async def test_confirmed(self):
        pool, edge1, edge2, gw1, gw2 = await self.start()
        await gw1.partner("p1.example", "--confirm", "10s")
        begin = time.monotonic()
        await pool.all_have(1)
        await gw2.control("config", "confirm")
        await pool.all_have(2)
        await asyncio.sleep(11 - (time.monotonic() - begin))
        for node in pool.nodes:
            self.assertEqual(await node.commit(), 2)
            self.assertTrue(await node.knows("p1.example"))
            self.assertNotIn("FG-1109", node.log())

    async def test_one_that_a_node_can_not_use(self):
        pool, edge1, edge2, gw1, gw2 = await self.start()
        await edge1.kill()
        await edge2.kill()
        edge2.keys["partner/p1.example/tls"] = "none"       # of its own file
        await pool.run(edge1, edge2)
        await gw1.partner("p0.example")
        await pool.all_have(1)
        await gw1.partner("p1.example", "dialback=no")
        await pool.all_have(2, edge1, gw1, gw2)
        await wait_until(lambda: "FG-1107" in edge2.log(), "that it says so")
        self.assertEqual(await edge2.commit(), 1)
        self.assertRegex(await edge2.control("status"), r"! commit 2 of the pool can't be used here: .*p1.example")
        await wait_until(lambda: self.tells_of(gw1, "edge2.int.example has commit 1 in force"), "that others know")
        self.assertRegex(await gw1.control("config", "log"), r"edge2.int.example +1 +\S.*p1.example")
        self.assertRegex(await gw1.control("status"), r"! node edge2.int.example has commit 1 in force")
        text = edge2.configuration.read_text()
        edge2.configuration.write_text(text.replace("partner/p1.example/tls = none\n", ""))
        await edge2.control("reload")
        await pool.all_have(2)
        self.assertNotIn("can't be used here", await edge2.control("status"))
        await wait_until(lambda: self.is_fine(gw1), "that others know")

    @staticmethod
    async def is_fine(node):
        return "edge2.int.example has" not in await node.control("status")

    async def test_one_that_is_not_taken_from_who_made_it(self):
        """A node that is told wrong who is an edge: it says so, as others do, and has it when that is corrected."""
        pool, edge1, edge2, gw1, gw2 = await self.start()
        await gw2.kill()
        text = gw2.configuration.read_text()
        members = f"pool/gateways/members = {' '.join(GATEWAYS)}\n"
        self.assertIn(members, text)
        wrong = text.replace(members, f"pool/gateways/members = {gw2.name}\npool/odd/kind = edge\n"
                                      f"pool/odd/members = {gw1.name}\n")
        gw2.lines = lambda: wrong.splitlines()
        await pool.run(gw2)
        await gw1.partner("p1.example")
        await pool.all_have(1, edge1, edge2, gw1)
        await wait_until(lambda: "FG-1106" in gw2.log(), "that it says so")
        self.assertRegex(await gw2.control("status"), r"! commit 1, which edge\d.int.example sent, is not taken here: "
                         r"it was made at gw1.int.example, an edge.*asked for again every 60 s")
        self.assertRegex(await gw2.control("config", "log"), r"NOT TAKEN +FROM +WHY\n1 +edge\d.int.example +it was made")
        await wait_until(lambda: self.tells_of(gw1, "gw2.int.example has commit 0 in force"), "that others know")
        self.assertEqual(await gw2.commit(), 0)
        gw2.configuration.write_text(text)
        await gw2.control("reload")
        await pool.all_have(1, seconds=15)
        self.assertNotIn("is not taken here", await gw2.control("status"))
        await wait_until(lambda: self.is_well(gw1), "that others know that, too")

    @staticmethod
    async def tells_of(node, text):
        return text in await node.control("status")

    @staticmethod
    async def is_well(node):
        return "not taken here" not in await node.control("status")

    async def test_garbage_from_a_peer(self):
        """Somebody with a node's certificate sends what is no commit."""
        pool, edge1, edge2, gw1, gw2 = await self.start()
        await gw1.partner("p1.example")
        await pool.all_have(1)
        await gw2.kill()
        good = kept(gw1, 1)
        for number, (pieces, ends) in enumerate({
                "not a commit": ([piece(b"hello")], False),
                "damaged": ([piece(good.replace(b"p1.example", b"p2.example"))], False),
                "no beginning": ([piece(b"lo", b"hello", 3)], False),
                "a gap": ([piece(b"he", b"hello"), piece(b"o", b"hello", 4)], False),
                "beyond the whole": ([piece(b"hello", b"hell")], True),
                "without end": ([piece(b"a" * 16384, size=1 << 25)], True),
                "an old one": ([piece(good)], False),
                "no digest": ([frame(0x45, b"\0" * 16)], True),
                "no node": ([frame(0x44, b"\7" * 80)], True)}.values()):
            with self.subTest(number=number):
                peer = await Impostor.of(gw2, edge1.address)
                for one in pieces:
                    peer.send(one)
                self.assertEqual(await peer.ends(), ends)
                await peer.close()
        for node in (edge1, edge2, gw1):
            self.assertEqual(await node.commit(), 1)
            self.assertFalse(await node.knows("p2.example"))
        self.assertRegex(edge1.log(), r"FG-1106 .*peer=gw2.int.example error=.*digest does not match")
        self.assertRegex(edge1.log(), r'FG-1106 .*peer=gw2.int.example error="its pieces make no whole"')
        # A whole and newer one that the same has signed is taken: it is a gateway of the pool.
        peer = await Impostor.of(gw2, edge1.address)
        peer.send(piece(forged(good, 9, gw2)))
        await pool.all_have(9, edge1, edge2, gw1)
        await peer.close()

    async def test_an_edge_that_was_taken_over(self):
        """It has its key, and what the gateways have signed, and can change nothing anywhere."""
        pool, edge1, edge2, gw1, gw2 = await self.start()
        await gw1.partner("p0.example")
        await gw1.partner("p1.example", "--confirm", "1h")
        await pool.all_have(2)
        good = kept(gw1, 2)
        signed = good[good.index(b"# signed by: "):]
        stranger = Authority(self.directory / "other", "other CA").issue(GATEWAYS[0])
        await edge2.kill()
        hostile = await HostileEdge.instead_of(edge2, gw1, gw2)
        number = 0
        for text, why in ((forged(good, 9, edge2), "made at edge2.int.example, an edge"),
                          (forged(good, 10 ** 15, edge2), "above the newest one here"),
                          (forged(good, 9), "nobody has signed it"),
                          (forged(good, 9) + signed, "is not that of gw1.int.example"),
                          (forged(good, 9, edge2).replace(b"by: edge2", b"by: gw1"), "another one than it says"),
                          (forged(good, 9, gw1, by=stranger), "authority that is not trusted"),
                          (taken_back(good), "nobody has signed it"),
                          (good.replace(b"p1.example", b"p2.example"), "digest does not match"),
                          (kept(gw1, 1), None)):
            with self.subTest(number := number + 1):
                told = [node.log().count("FG-1106") for node in (gw1, gw2)]
                hostile.send(piece(text))
                await hostile.pongs()
                if why is not None:
                    for node, before in zip((gw1, gw2), told):
                        await wait_until(lambda node=node, before=before:
                                         node.log().count("FG-1106") > before, f"what {node.name} says")
                        self.assertRegex(node.log(), f"FG-1106 .*peer=edge2.int.example .*{why}")
                for node in (edge1, gw1, gw2):
                    self.assertEqual(await node.commit(), 2)
                    self.assertFalse(await node.knows("evil.example"))
                    self.assertTrue(await node.knows("p0.example", "p1.example"))
        self.assertEqual(await gw1.counter("config.commits.refused"), number - 1)
        self.assertNotIn("FG-1106", edge1.log())
        # The pool goes on, and so does the link: it relays what others have made.
        await gw2.control("config", "confirm")
        await pool.all_have(3, edge1, gw1, gw2)
        await hostile.hears(b"confirms commit 2")
        await hostile.close()


def frame(kind, fields):
    return struct.pack(">IB", len(fields) + 1, kind) + fields


def piece(data, whole=None, offset=0, size=None):
    return frame(0x45, hashlib.sha256(whole or data).digest()
                 + struct.pack(">IIII", 0, size or len(whole or data), offset, len(data)) + data)


def kept(node, number):
    """What others get of a commit."""
    return (node.directory / f"state/commits/{number}.conf").read_bytes().partition(b"# this node's own")[0]


def whole(text):
    return b"# fedgate commit, sha256 of what follows: " + hashlib.sha256(text).hexdigest().encode() + b"\n" + text


def forged(good, number, node=None, by=None):
    """Another one, newer, with another partner; signed by a node's key, or another one in its name."""
    text = good[good.index(b"\n") + 1:good.index(b"# signed by: ")]
    text = re.sub(rb"# number: \d+", b"# number: %d" % number, text)
    text = re.sub(rb"# (seconds to confirm|before).*\n", b"", text)
    text = whole(text + b"partner/evil.example/type = federated\n")
    if node is None:
        return text
    own = by or node.issued
    made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", own.key], input=text, capture_output=True, check=True)
    der = ssl.PEM_cert_to_DER_cert(own.certificate.read_text())
    return text + b"# signed by: %s\n# signature: %s\n# certificate: %s\n" % (
        node.name.encode(), made.stdout.hex().encode(), der.hex().encode())


def taken_back(good):
    """As a node would make it, and one partner more."""
    text = good[good.index(b"\n") + 1:good.index(b"# signed by: ")]
    digest = hashlib.sha256(text).hexdigest()[:16].encode()
    return whole(b"# number: 3\n# author: fedgate\n# time: 2026-11-26T18:00:00Z\n# comment: was not confirmed\n"
                 b"# rank: 0\n# after: 2 " + digest + b"\n# set by commit 1\npartner/evil.example/type = federated\n")


class HostileEdge:
    """Gateways dial it."""

    @classmethod
    async def instead_of(cls, edge, *gateways):
        self = cls()
        self.links, self.heard = [], {}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(edge.keys["tls.internal.certificate"], edge.keys["tls.internal.key"])
        context.load_verify_locations(edge.keys["tls.internal.ca"])
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(["fedgate-link"])
        self.name = edge.name.encode()
        self.server = await asyncio.start_server(self.serve, edge.address, 23456, ssl=context,
                                                 reuse_port=True)
        await wait_until(lambda: len(self.links) == len(gateways), "gateways that dial", 20)
        return self

    async def serve(self, reader, writer):
        try:
            while True:
                size, = struct.unpack(">I", await reader.readexactly(4))
                data = await reader.readexactly(size)
                if data[0] == 1:
                    part, = struct.unpack(">H", data[6:8])
                    writer.write(frame(1, struct.pack(">HHBH", 1, 1, 1, part) + os.urandom(32)
                                       + struct.pack(">QQIH", 0, 0, 1 << 22, len(self.name)) + self.name))
                    if part == 0:       # it knows nothing, and wants all
                        writer.write(frame(0x44, struct.pack(">BH", 0, len(self.name)) + self.name
                                           + struct.pack(">QBQ", 0, 0, 0) + bytes(32) + struct.pack(">QH", 0, 0)))
                        self.links.append(writer)
                        self.heard[writer] = b""
                elif data[0] == 3:
                    writer.write(frame(4, data[1:]))
                if writer in self.heard:
                    self.heard[writer] += data
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass

    def send(self, data):
        for writer in self.links:
            writer.write(data)

    async def pongs(self):
        """All are read up to here, and none has ended."""
        for writer in self.links:
            self.heard[writer] = b""
        self.send(frame(3, struct.pack(">Q", 77)))
        await self.hears(b"\4" + struct.pack(">Q", 77))

    async def hears(self, what):
        for writer in self.links:
            await wait_until(lambda writer=writer: what in self.heard[writer], f"{what} from a gateway")

    async def close(self):
        for writer in self.links:
            writer.transport.abort()
        self.server.close()


class Impostor:
    """The other end of a link, by a node's certificate."""

    @classmethod
    async def of(cls, node, address):
        self = cls()
        context = ssl.create_default_context(cafile=node.keys["tls.internal.ca"])
        context.check_hostname = False
        context.load_cert_chain(node.keys["tls.internal.certificate"], node.keys["tls.internal.key"])
        context.set_alpn_protocols(["fedgate-link"])
        self.reader, self.writer = await asyncio.open_connection(address, 23456, ssl=context)
        name = node.name.encode()
        self.send(frame(1, struct.pack(">HHBH16s16sQQIH", 1, 1, 2, 0, b"i" * 16, b"\0" * 16, 0, 0, 1 << 22, len(name))
                        + name))
        await self.reader.readexactly(5)
        return self

    def send(self, data):
        self.writer.write(data)

    async def ends(self):
        """PING, and whether its PONG comes, or END."""
        self.send(frame(3, struct.pack(">Q", 77)))
        pong, end, data = frame(4, struct.pack(">Q", 77)), b"\x06\x02", b""
        while pong not in data and end not in data:
            more = await asyncio.wait_for(self.reader.read(65536), 5)
            if not more:
                return True
            data += more
        return pong not in data

    async def close(self):
        self.writer.close()


class SplitDialback(World):
    """Dialback is asked for at an edge that DNS names, wherever the key was made."""
    make_fedgate = SplitFedgate
    asked = 0

    def where(self, domain, address):
        if domain == XMPP_DOMAIN:
            return server_records(domain, address)
        return server_records(domain, self.fedgate.edges[self.asked].address)

    def more_records(self):
        return [f"{edge.name}. IN A {edge.address}" for edge in self.fedgate.edges]


class AskedSecond(SplitDialback):
    asked = 1


class Dialback(PeerTest):
    async def verifies(self, of):
        world = await self.world("tls-dialback", of=of, keys={"core.threads": 2})
        secrets = [edge.directory / "state/dialback.secret" for edge in world.fedgate.edges]
        await wait_until(lambda: len({path.read_text() for path in secrets}) == 1, "one secret everywhere")
        self.assertEqual({path.stat().st_mode & 0o777 for path in secrets}, {0o600})
        self.assertEqual(len({int(path.stat().st_mtime) for path in secrets}), 1)
        self.assertEqual((await world.send_from_romeo("hello")).status, 200)
        await world.juliet.wait_for_body("hello")
        secret = secrets[0].read_text().strip()
        for one in world.fedgate.all:
            self.assertNotIn(secret, one.log())
            self.assertNotIn(secret, await one.control("sysctl", "-a"))

    async def test_the_first_edge_is_asked(self):
        await self.verifies(SplitDialback)

    async def test_the_second_edge_is_asked(self):
        await self.verifies(AskedSecond)


if __name__ == "__main__":
    import unittest
    unittest.main()
