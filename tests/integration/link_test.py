"""Edges and a gateway as processes of their own, with a real Prosody and a real Kamailio."""
import asyncio
import pathlib
import re
import socket
import unittest

from harness.certificates import Authority
from harness.conversation import accounts, parse, plays
from harness.conversation_world import ConversationWorld
from harness.process import wait_until
from harness.split import SplitFedgate
from harness.world import ROMEO, SIP_DOMAIN, PeerTest
from kamailio_test import KamailioWorld

SCRIPTS = [parse(pathlib.Path(__file__).parent / f"conversations/{name}.txt")
           for name in ("messages", "add_and_approve", "typing", "receipts")]
KEYS = {"core.threads": 2, "xmpp.rate.connections_per_address": "none"}


def is_connected_to(address, port):
    remote = socket.inet_aton(address)[::-1].hex().upper() + f":{port:04X}"
    rows = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(row.split()[2] == remote and row.split()[3] != "06" for row in rows)     # 06: TIME_WAIT


class Split:
    """Of a world: Fedgate is two edges and a gateway."""

    make_fedgate = SplitFedgate

    def more_records(self):
        return self.fedgate.records(SIP_DOMAIN)

    def processes(self):
        return super().processes() + [edge.process for edge in self.fedgate.edges]


class SplitConversations(Split, ConversationWorld):
    pass


class SplitWorld(Split, KamailioWorld):
    pass


class Link(PeerTest):
    async def start(self):
        world = await self.world(of=SplitWorld, keys=KEYS)
        return world, world.fedgate.gateway, *world.fedgate.edges

    async def both_ways(self, world, what):
        stanza_id = world.juliet.message(ROMEO, f"{what}, to SIP")
        await world.agent.wait_for_message(f"{what}, to SIP")
        self.assertEqual((await world.send_from_romeo(f"{what}, to XMPP")).status, 200)
        await world.juliet.wait_for_body(f"{what}, to XMPP")
        return stanza_id

    @staticmethod
    async def is_down(one):
        return await one.counter("link.standing") == 0

    async def test_conversations(self):
        world = await self.world("prosody+kamailio", accounts(SCRIPTS), KEYS, of=SplitConversations)
        for play in plays(SCRIPTS, "prosody+kamailio", world):
            with self.subTest(str(play)):
                await play.run()

    async def test_what_fedctl_shows(self):
        world, gateway, edge, _ = await self.start()
        await self.both_ways(world, "seen")
        ports = await edge.control("ports")
        self.assertRegex(ports, rf"xmpp +external +tcp +{edge.address}:5269 +LISTENING +[12] ")
        self.assertRegex(ports, rf"link +internal +tls +{edge.address}:23456 +LISTENING +2 +2/0 +edge")
        self.assertNotIn("sip", ports)
        self.assertRegex(await edge.control("status"), r"gw1.int.example +\S+ +up .* 2 of 2 +yes")
        self.assertNotIn("store", await edge.control("status"))
        self.assertFalse((edge.directory / "state/fedgate.db").exists())
        ports = await gateway.control("ports")
        self.assertRegex(ports, r"link +internal +tls +edge1.int.example:23456 +DIALLED +2 +0/2 +gateway")
        self.assertNotIn("xmpp", ports)
        self.assertRegex(await gateway.control("status"), r"edge1.int.example:23456 +\S+ +up .* 2 of 2 +yes")
        self.assertIn("this process is a gateway alone", await gateway.control("streams"))

    async def test_a_gateway_is_killed(self):
        world, gateway, *edges = await self.start()
        await self.both_ways(world, "before")
        await gateway.kill()
        for edge in edges:
            await wait_until(lambda: self.is_down(edge), "the end of the links")
        world.juliet.message(ROMEO, "while it was away")     # waits at the edge
        await gateway.start()
        await world.agent.wait_for_message("while it was away")
        await self.both_ways(world, "after")
        self.assertRegex(await edges[0].control("services"), r"edge +running\ngateway +on another machine")
        await gateway.control("services", "stop", "--graceful")    # in order: nobody has to find out
        self.assertEqual(await gateway.process.child.wait(), 0)
        for edge in edges:
            await wait_until(lambda: 'reason="it was stopped"' in edge.log(), "the end of the link")
        stanza_id = world.juliet.message(ROMEO, "too long")
        self.assertEqual(await world.juliet.wait_for_error(stanza_id), ("wait", "remote-server-timeout"))
        self.assertIn("no gateway is connected: nothing gets through", await edges[0].control("status"))
        await wait_until(lambda: not any(edge.listens(5269) for edge in edges), "that partners are sent away")
        await gateway.start()
        await wait_until(lambda: all(edge.listens(5269) for edge in edges), "that partners are let in again")
        await self.both_ways(world, "again")

    async def test_an_edge_is_killed(self):
        world, gateway, *edges = await self.start()
        await self.both_ways(world, "before")
        for edge, end in zip(edges, (edges[0].kill, edges[1].stop)):
            await end()
            await wait_until(lambda: not is_connected_to(edge.address, 5269), "that Prosody knows")
            await self.both_ways(world, f"without {edge.name}")
            self.assertRegex(await gateway.control("status"),
                             rf"{edge.name}:23456 +- +down +.* 0 of 2 +no +\w+")
            await edge.start()
            await wait_until(world.fedgate.is_joined, "all links again")
            await self.both_ways(world, f"{edge.name} is back")

    async def test_only_those_with_a_certificate(self):
        """Certificates are read again by themselves: who is still believed stays connected, and nobody else."""
        world, gateway, *edges = await self.start()
        opened = await gateway.counter("link.opened")
        gateway.use(world.fedgate.authority, world.fedgate.authority)       # renewed
        await wait_until(lambda: "FG-1305" in gateway.log(), "the new certificate")
        await self.both_ways(world, "what stands stays")
        self.assertEqual(await gateway.counter("link.opened"), opened)
        another = Authority(self.directory / "another", "another CA")
        gateway.use(another, another)
        refusal = r"FG-5003 .*not valid here: it is signed by an authority that is not trusted .*{}"
        await wait_until(lambda: re.search(refusal.format("edge1.int.example"), gateway.log()), "that it refuses")
        await wait_until(lambda: self.is_down(gateway), "the end of the links")
        gateway.use(another, world.fedgate.authority)       # it believes the edges, and they do not believe it
        for edge in edges:
            await wait_until(lambda: re.search(refusal.format("gw1.int.example"), edge.log()), "that they refuse")
        self.assertEqual(await gateway.counter("link.standing"), 0)
        self.assertIn("no edge is connected: nothing gets through", await gateway.control("status"))
        gateway.use(world.fedgate.authority, world.fedgate.authority)
        await wait_until(world.fedgate.is_joined, "all links again")
        await self.both_ways(world, "after")

    async def test_a_stolen_key(self):
        """Its certificate is on a list of the authority: who reads the list takes it no more."""
        world, gateway, *edges = await self.start()
        authority = world.fedgate.authority
        await self.both_ways(world, "before")
        authority.revoke(gateway.issued)
        lists = authority.revocation_list()
        for edge in edges:
            await edge.control("sysctl", "-w", f"tls.internal.crl={lists}")
            await wait_until(lambda: re.search("FG-5003 .*was revoked", edge.log()), "that it refuses")
        await wait_until(lambda: self.is_down(gateway), "the end of the links that stood")
        await gateway.kill()
        await gateway.start()
        for edge in edges:
            await wait_until(lambda: len(re.findall("FG-5003 .*was revoked", edge.log())) > 2, "that it refuses again")
        self.assertEqual(await gateway.counter("link.standing"), 0)


if __name__ == "__main__":
    unittest.main()
