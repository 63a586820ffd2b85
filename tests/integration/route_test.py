"""Routes of sites and pools that change, with two edges and a gateway as processes, a real Prosody and Kamailio."""
import asyncio
import json
import re
import time
import unittest

from harness.process import Failed, wait_until
from harness.split import JoinedFedgate, SplitFedgate
from harness.world import JULIET, ROMEO, SIP_DOMAIN, PeerTest
from kamailio_test import KamailioWorld

MERCUTIO = f"mercutio@{SIP_DOMAIN}"
EDGE1, EDGE2 = "edge1.int.example", "edge2.int.example"
# Romeo's site goes by pool `near`, Mercutio's by `far`.
KEYS = {"core.threads": 2, "xmpp.rate.connections_per_address": "none",
        "pool/edges/members": "", "pool/near/members": EDGE1, "pool/far/members": EDGE2, "pool/far/priority": 10,
        "site/verona/route": "near", "site/mantua/route": "far",
        f"domain/{SIP_DOMAIN}/site": "verona", f"user/{MERCUTIO}/site": "mantua"}


class RouteWorld(KamailioWorld):
    make_fedgate = SplitFedgate

    def more_records(self):
        return self.fedgate.records(SIP_DOMAIN)

    def processes(self):
        return super().processes() + [edge.process for edge in self.fedgate.edges]


class JoinedWorld(RouteWorld):
    make_fedgate = JoinedFedgate


class Joined(PeerTest):
    """Both roles in one process, on two machines."""

    async def test_each_conversation_has_one_owner(self):
        world = await self.world(of=JoinedWorld, keys={"core.threads": 2,
                                                       "xmpp.rate.connections_per_address": "none"})
        first, second = world.fedgate.nodes
        ports = await first.control("ports")
        for row in (rf"xmpp +external +tcp +{first.address}:5269 +LISTENING",
                    rf"link +internal +tls +{first.address}:23456 +LISTENING +4 +4/0 +edge",
                    r"link +internal +tls +node2.int.example:23456 +DIALLED +2 +0/2 +gateway"):
            self.assertRegex(ports, row)

        async def all_ways(what):
            world.juliet.message(ROMEO, what)
            await world.agent.wait_for_message(what)
            for number in range(12):
                body = f"{what}, {number}"
                answer = await world.agent.send_message(f"sip:user{number}@{SIP_DOMAIN}", f"sip:{JULIET}", body,
                                                        (world.kamailio.address, 5060))
                self.assertEqual(answer.status, 200, body)
                await world.juliet.wait_for_body(body)

        await all_ways("both")
        # Each stanza counts where it is sent from, the owner, and where it comes to, the one edge that is used.
        fewer, more = sorted([await node.counter("link.stanzas.to_partners") for node in world.fedgate.nodes])
        self.assertGreater(fewer, 0)
        self.assertGreater(more - (fewer + more) // 2, 0)
        await second.kill()
        await wait_until(lambda: self.alone(first), "that it is noticed")
        await all_ways("one")
        await second.start()
        await wait_until(world.fedgate.is_joined, "all links")
        await all_ways("both again")
        start = time.monotonic()
        await second.stop()      # in order
        print(f"stopped in {time.monotonic() - start:.1f} s")
        await all_ways("one again")

    @staticmethod
    async def alone(node):
        return await node.counter("link.standing") == 2 * node.keys["core.threads"]


class Routes(PeerTest):
    async def start(self):
        self.world_ = await self.world(of=RouteWorld, keys=KEYS)
        return self.world_, self.world_.fedgate.gateway, *self.world_.fedgate.edges

    async def send(self, sender, body, in_doubt=False):
        """in_doubt: it may be refused as what was under way to an edge that died: False."""
        world = self.world_
        answer = await world.agent.send_message(f"sip:{sender}", f"sip:{JULIET}", body,
                                                (world.kamailio.address, 5060))
        if in_doubt and answer.status == 504:
            return False
        self.assertEqual(answer.status, 200)
        await world.juliet.wait_for_body(body)
        return True

    async def way_of(self, sender, body, in_doubt=False):
        """Which edge has carried a message of his; None: it was refused."""
        edges = self.world_.fedgate.edges
        alive = [edge for edge in edges if edge.process.is_alive]
        before = [await edge.counter("link.stanzas.to_partners") for edge in alive]
        if not await self.send(sender, body, in_doubt):
            return None
        after = [await edge.counter("link.stanzas.to_partners") for edge in alive]
        carried = [edge.name for edge, a, b in zip(alive, before, after) if b > a]
        self.assertEqual(len(carried), 1, body)
        return carried[0]

    async def goes_by(self, sender, edge, what, seconds):
        start, number = time.monotonic(), 0
        # The kernel may close a killed program's sockets a moment after it has ended: the first one is in doubt.
        while await self.way_of(sender, f"{what} {number}", in_doubt=number == 0) != edge:
            self.assertLess(time.monotonic() - start, seconds, what)
            number += 1
        return time.monotonic() - start

    async def test_two_routes_at_once_and_failover(self):  # T5, T11, H2, H3
        world, gateway, edge1, edge2 = await self.start()
        self.assertEqual(await self.way_of(ROMEO, "from Verona"), EDGE1)
        self.assertEqual(await self.way_of(MERCUTIO, "from Mantua"), EDGE2)
        status = await gateway.control("status")
        self.assertRegex(status, r"route +mantua: far \(first choice\), since \d+ s\n")
        self.assertRegex(status, r"route +verona: near \(first choice\), since \d+ s\n")
        self.assertRegex(status, r"route +all others: near \(first by priority\), since \d+ s\n")
        world.juliet.message(ROMEO, "to SIP")       # inbound by whichever edge the partner takes
        await world.agent.wait_for_message("to SIP")
        await edge2.kill()
        seconds = await self.goes_by(MERCUTIO, EDGE1, "without far", 5)
        print(f"pool gone: the other one serves after {seconds:.2f} s")
        self.assertRegex(await gateway.control("status"),
                         rf"route +mantua: near, since \d+ s: far has no edge that can be used: {EDGE2}: .+\n")
        rows = {row["site"]: row for row in json.loads(await gateway.control("--json", "status"))["routes"]}
        self.assertEqual((rows["mantua"]["first"], rows["mantua"]["now"]), ("far", "near"))
        self.assertEqual(rows["verona"]["now"], "near")
        await edge2.start()
        seconds = await self.goes_by(MERCUTIO, EDGE2, "far is back", 10)
        print(f"pool back: it serves after {seconds:.2f} s")
        self.assertIn("FG-5004", gateway.log())

    async def test_a_route_moves_under_traffic(self):
        """Nothing is lost, doubled or overtaken."""
        world, gateway, *_ = await self.start()
        total = 300

        async def move():
            for number in range(6):
                await asyncio.sleep(0.4)
                await gateway.control("route", "set", "verona", ("far", "near")[number % 2])

        mover = asyncio.create_task(move())
        for number in range(total):
            await world.agent.send_message(f"sip:{ROMEO}", f"sip:{JULIET}", f"number {number}",
                                           (world.kamailio.address, 5060))
            await asyncio.sleep(0.01)
        await mover
        await self.send(ROMEO, "the last one")
        bodies = [stanza.findtext("{*}body") or "" for stanza in world.juliet.received]
        self.assertEqual([body for body in bodies if body.startswith("number ")],
                         [f"number {number}" for number in range(total)])
        for edge in world.fedgate.edges:
            self.assertGreater(await edge.counter("link.stanzas.to_partners"), 20)
        self.assertIn("route set verona far", await gateway.control("config", "log"))

    async def test_pools_change_live(self):  # T5, H3
        world, gateway, edge1, edge2 = await self.start()
        self.assertEqual(await self.way_of(ROMEO, "before"), EDGE1)
        opened = await edge2.counter("link.opened")
        await gateway.control("route", "unset", "verona")
        answer = await gateway.control("pool", "set", "near", f"members-={EDGE1}")
        self.assertIn(f"pool/near/members: {EDGE1} -> -", answer)
        await wait_until(lambda: 'reason="it does not use this edge any more"' in edge1.log(), "the end of its links")
        self.assertEqual(await self.way_of(ROMEO, "without it"), EDGE2)
        self.assertEqual(await edge2.counter("link.opened"), opened)    # the other link has not noticed
        self.assertNotIn(EDGE1, await gateway.control("ports"))
        await gateway.control("pool", "set", "near", f"members+={EDGE1}")
        await wait_until(world.fedgate.is_joined, "all links")
        await self.goes_by(ROMEO, EDGE1, "it is back", 5)
        # A gateway that an edge does not know any more.
        await edge1.control("sysctl", "-w", "pool/gateways/members=gw2.int.example")
        await wait_until(lambda: "it does not know this gateway any more" in gateway.log(), "the end of the link")
        await self.goes_by(ROMEO, EDGE2, "by the edge that knows it", 5)
        await edge1.control("sysctl", "--reset", "pool/gateways/members")
        await wait_until(world.fedgate.is_joined, "all links")
        await self.goes_by(ROMEO, EDGE1, "it is known again", 10)
        # The listener moves, and the links stay.
        opened = await edge1.counter("link.opened")
        await edge1.control("sysctl", "-w", f"link.listen={edge1.address}:23457")
        self.assertRegex(await edge1.control("ports"), rf"link +internal +tls +{edge1.address}:23457 +LISTENING +2 ")
        await gateway.control("pool", "set", "near", f"members={EDGE1}:23457")
        self.assertEqual(await self.way_of(ROMEO, "another port"), EDGE1)
        self.assertEqual(await edge1.counter("link.opened"), opened)

    async def test_listeners_for_partners_change_live(self):
        world, gateway, edge1, edge2 = await self.start()
        world.juliet.message(ROMEO, "before")
        await world.agent.wait_for_message("before")
        accepted = await edge1.counter("xmpp.in.accepted")
        await edge1.control("sysctl", "-w", f"xmpp.listen={edge1.address}:15269")
        await wait_until(lambda: edge1.listens(15269) and not edge1.listens(5269), "the other listener")
        self.assertRegex(await edge1.control("ports"), rf"xmpp +external +tcp +{edge1.address}:15269 +LISTENING")
        world.juliet.message(ROMEO, "on the stream that stands")
        await world.agent.wait_for_message("on the stream that stands")
        self.assertEqual(await edge1.counter("xmpp.in.accepted"), accepted)
        await edge1.control("sysctl", "--reset", "xmpp.listen")
        await wait_until(lambda: edge1.listens(5269) and not edge1.listens(15269), "the one from before")

    async def test_an_edge_without_a_gateway_takes_no_partners(self):
        world, gateway, edge1, edge2 = await self.start()
        world.juliet.message(ROMEO, "before")       # the partner has a stream to it
        await world.agent.wait_for_message("before")
        self.assertEqual(await edge1.counter("link.stanzas.from_partners"), 1)
        await edge1.control("sysctl", "-w", "pool/gateways/members=gw2.int.example")
        await wait_until(lambda: not edge1.listens(5269), "that it does not listen")
        self.assertTrue(edge1.listens(23456))
        self.assertRegex(await edge1.control("ports"), r"NOT LISTENING: closed, since no gateway is connected")
        self.assertIn("partners are not let in", await edge1.control("status"))
        world.juliet.message(ROMEO, "by the other record")
        await world.agent.wait_for_message("by the other record")
        await edge1.control("sysctl", "--reset", "pool/gateways/members")
        await wait_until(lambda: edge1.listens(5269), "that it listens again")

    async def refused(self, node, *words):
        with self.assertRaises(Failed) as caught:
            await node.control(*words)
        return str(caught.exception).split(": ", 1)[1].strip().removeprefix("fedctl: ")

    async def test_what_is_wrong_is_said(self):
        """One sentence each, and nothing of it is applied."""
        world, gateway, edge1, _ = await self.start()
        before = await gateway.control("sysctl", "-a")
        for words, sentence in (
            ("route set verona east", "there is no pool 'east'; there is edges, far, gateways, near"),
            ("route set verona nera", "there is no pool 'nera'; did you mean near?"),
            ("route set veronna near", "there is no site 'veronna'; did you mean verona?"),
            ("route set verona gateways", "site/verona/route: pool 'gateways' is one of gateways, and there is no "
             "edge pool 'gateways'; there is edges, far, near"),
            ("route set verona edges", "site/verona/route: the edge pool 'edges' has no members: no way leads "
             "through it (pool/edges/members)"),
            ("route unset rome", "there is no site 'rome'; there is mantua, verona"),
            (f"pool set far members+={EDGE1}", f"pool/near/members: {EDGE1} is a member of pool 'far' already; take "
             "it out of one of them"),
            ("pool set far members-=edge9.example", "pool far: members: edge9.example is no member"),
            ("pool set far members=127.0.0.1", "pool/far/members: 127.0.0.1 is an address; write the name in the "
             "certificate of that machine (tls.internal.certificate)"),
            ("pool set far priorty=1", "pool far: a pool has no attribute 'priorty'; did you mean priority?"),
            ("pool set far priority=70000", "pool far: priority: '70000' is above the maximum 65535; allowed: 0 to 65535 rank"),
            ("pool remove far", "site mantua is routed to pool far: first 'fedctl route unset mantua', or set it to "
             "another pool"),
            ("pool show fra", "there is no pool 'fra'; did you mean far?"),
            ("site remove verona", f"domain {SIP_DOMAIN} belongs to site verona: first give domain/{SIP_DOMAIN}/site "
             "another value"),
            ("route move verona far", "route has no action 'move'"),
        ):
            with self.subTest(words):
                self.assertIn(sentence, await self.refused(gateway, *words.split()))
        for key, sentence in (
            (f"link.listen={edge1.address}:5269", "is taken by xmpp.listen"),
            (f"admin.http.listen=[::]:23456", "is taken by link.listen"),
        ):
            with self.subTest(key):
                self.assertIn(sentence, await self.refused(edge1, "sysctl", "-w", key))
        self.assertEqual(await gateway.control("sysctl", "-a"), before)

    async def test_what_may_be_wrong_is_warned_of(self):
        world, gateway, edge1, edge2 = await self.start()
        answer = await gateway.control("sysctl", "-w", "pool/gateways/members=gw9.int.example")
        self.assertRegex(answer, r"warning: the certificate \S+/internal.certificate is for gw1.int.example, which is no "
                                 r"member of a gateway pool: the others will refuse this machine. Get it one for its "
                                 r"name there \(gw9.int.example\), or put its name into pool/NAME/members\n")
        answer = await edge1.control("sysctl", "-w", "domain/other.example/phone=yes")
        self.assertIn("warning: partners can't know us as other.example by our certificate", answer)
        await edge2.kill()
        await gateway.control("route", "unset", "mantua")
        self.assertNotIn("warning", await gateway.control("pool", "set", "far", f"members-={EDGE2}"))
        start = time.monotonic()
        self.assertIn(f"warning: edge {EDGE2}:23456 of pool far can't be reached: connection refused",
                      await gateway.control("pool", "set", "far", f"members+={EDGE2}"))
        self.assertLess(time.monotonic() - start, 2)
        self.assertNotIn("warning", await gateway.control("route", "set", "mantua", "far"))    # it is known

    async def test_verbs(self):
        world, gateway, edge1, _ = await self.start()
        self.assertRegex(await gateway.control("pool", "list"),
                         rf"near +edge +0 +{EDGE1} +up +yes +verona")
        self.assertRegex(await gateway.control("pool", "list"), r"gateways +gateway +- +gw1.int.example +- ")
        self.assertRegex(await gateway.control("site", "list"),
                         rf"mantua +far +far +- +{MERCUTIO}\nverona +near +near +{SIP_DOMAIN} +-\n")
        self.assertRegex(await gateway.control("route", "list"), r"mantua: far \(first choice\), since .*\nverona: near")
        dry = await gateway.control("route", "set", "verona", "far", "--dry-run")
        self.assertRegex(dry, r"dry run, nothing was changed; it would be commit 1: site verona goes by far\n"
                              r"  site/verona/route: near -> far")
        self.assertIn("nothing was committed", await gateway.control("config", "log"))
        await gateway.control("route", "set", "verona", "far", "--comment", "near is being moved")
        self.assertIn("near is being moved", await gateway.control("config", "log"))
        self.assertRegex(await gateway.control("route", "list"), r"verona: far \(first choice\)")
        answer = await gateway.control("pool", "set", "spare", "members=edge9.int.example", "priority=20")
        self.assertIn("warning: edge edge9.int.example:23456 of pool spare can't be reached: its name has no address; it "
                      "is tried again until it is there\n", answer)
        self.assertRegex(await gateway.control("pool", "show", "spare"), r"spare +edge +20 +edge9.int.example")
        await gateway.control("pool", "remove", "spare")
        self.assertNotIn("spare", await gateway.control("pool", "list"))
        await gateway.control("config", "rollback", "0")
        self.assertRegex(await gateway.control("route", "list"), r"verona: near \(first choice\)")


if __name__ == "__main__":
    unittest.main()
