"""Messages both ways through a real Kamailio, which knows where the SIP users are."""
import asyncio
import json
import unittest

from harness.kamailio import Kamailio
from harness.process import free_port
from harness.world import JULIET, ROMEO, SIP_DOMAIN, PeerTest, World


class KamailioWorld(World):
    """romeo is registered at Kamailio; Fedgate's next hop is Kamailio, by `transport`."""

    def __init__(self, *arguments, transport="tcp", kamailio=None, **options):
        super().__init__(*arguments, **options)
        self.transport, self.kamailio_options = transport, kamailio or {}
        self.kamailio = None

    async def start_sip(self):
        if self.transport == "tls":
            self.fedgate.use_sip_tls()
            self.kamailio_options.update(certificate=self.authority.issue(SIP_DOMAIN, label="kamailio"),
                                         ca=self.authority.certificate)
        await self.agent.start()
        self.kamailio = await Kamailio(self.directory / "kamailio", SIP_DOMAIN,
                                       **self.kamailio_options).start(
            self.fedgate_uri())
        await self.register()
        return self.kamailio.uri(self.transport)

    async def register(self):
        await self.agent.register("romeo", SIP_DOMAIN, (self.kamailio.address, 5060))

    def fedgate_uri(self):
        return f"sip:{self.fedgate.sip[0]}:{self.fedgate.sip[1]};transport={self.transport}"

    async def send_from_romeo(self, body, seconds=20):
        return await self.agent.send_message(f"sip:{ROMEO}", f"sip:{JULIET}", body,
                                             (self.kamailio.address, 5060), seconds)

    async def stop(self):
        try:
            await super().stop()
        finally:
            if self.kamailio:
                await self.kamailio.kill()


class OneAddressWorld(KamailioWorld):
    """TLS only where its connections come from, too, as on a machine with one address."""

    def fedgate_uri(self):
        port = free_port("127.0.0.1")
        self.fedgate.sip = (self.fedgate.address, 5060)
        self.fedgate.sip_listen = f"tcp:{self.fedgate.address}:5060 tls:127.0.0.1:{port}"
        return f"sip:127.0.0.1:{port};transport=tls"


class BothTransportsWorld(KamailioWorld):
    """UDP, and for what is too big for that TCP."""

    async def start_sip(self):
        return f"{await super().start_sip()} {self.kamailio.uri('tcp')}"


class Ipv6World(KamailioWorld):
    """Between Kamailio and Fedgate all is over IPv6."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, keys={"sip.trusted": "127.0.0.0/8 ::1"}, **options)
        self.port, self.own_port = free_port("::1"), free_port("::1")

    async def start_sip(self):
        self.kamailio_options["listen"] = f"{self.transport}:[::1]:{self.port}"
        await super().start_sip()
        return f"sip:[::1]:{self.port};transport={self.transport}"

    def fedgate_uri(self):
        self.fedgate.sip_listen += f" {self.transport}:[::1]:{self.own_port}"
        return f"sip:[::1]:{self.own_port};transport={self.transport}"


class Proxy(PeerTest):
    async def both_ways(self, world):
        world.juliet.message(ROMEO, "to SIP")
        message = await world.agent.wait_for_message("to SIP")
        self.assertEqual(len(message.headers["via"]), 2)
        self.assertEqual((await world.send_from_romeo("to XMPP")).status, 200)
        await world.juliet.wait_for_body("to XMPP")

    async def test_each_transport(self):  # SIP-7, SIP-13, SIP-30, SIP-31
        for transport in ("tcp", "udp", "tls"):
            with self.subTest(transport):
                await self.both_ways(await self.world(transport=transport, of=KamailioWorld))

    async def test_ipv6(self):  # SIP-13, SIP-53
        for transport in ("udp", "tcp", "tls"):
            with self.subTest(transport):
                world = await self.world(transport=transport, of=Ipv6World)
                await self.both_ways(world)
                world.juliet.message(ROMEO, "by IPv6")
                via = (await world.agent.wait_for_message("by IPv6")).headers["via"][1]
                self.assertTrue(via.startswith(f"SIP/2.0/{transport.upper()} [::1]:{world.own_port};"), via)

    async def test_what_is_too_big_for_udp(self):  # SIP-7, IM-18, RFC 3261 18.1.1
        world = await self.world(transport="udp", of=BothTransportsWorld)
        for size, transport in ((200, "UDP"), (2000, "TCP"), (200, "UDP")):
            world.juliet.message(ROMEO, size * "x")
            via = (await world.agent.wait_for_message(size * "x")).headers["via"][1]
            self.assertTrue(via.startswith(f"SIP/2.0/{transport} "), via)
        world = await self.world(transport="udp", of=KamailioWorld)
        stanza_id = world.juliet.message(ROMEO, 2000 * "x")
        self.assertEqual(await world.juliet.wait_for_error(stanza_id), ("modify", "policy-violation"))

    async def test_over_tls_one_connection_is_enough(self):  # SIP-14, RFC 5923
        world = await self.world(transport="tls", of=OneAddressWorld, keys={"core.threads": 1})
        await self.both_ways(world)
        counters = await self.counters(world)
        self.assertEqual(counters["sip.out.connections"], 1)
        self.assertEqual(counters.get("sip.in.connections", 0), 0)

    async def test_nobody_of_that_name(self):  # ERR-404
        world = await self.world(of=KamailioWorld)
        stanza_id = world.juliet.message(f"nobody@{SIP_DOMAIN}", "x")
        self.assertEqual(await world.juliet.wait_for_error(stanza_id), ("cancel", "item-not-found"))

    async def test_digest(self):  # SIP-30
        # RFC 7616 3.4: with qop Kamailio wants to see the count of a nonce's uses rise.
        for algorithm, qop, count in (("MD5", False, False), ("MD5", True, True), ("SHA-256", True, True)):
            with self.subTest(algorithm=algorithm, qop=qop):
                world = await self.world(
                    of=KamailioWorld, kamailio={"password": "pool", "algorithm": algorithm, "qop": qop,
                                                "nonce_count": count},
                    domain_keys={"digest_user": "fedgate", "digest_password": "pool"},
                    keys={"sip.options_interval": "1h"})
                await self.both_ways(world)
                # One more for the challenge, once; then a message is one request.
                before = await self.requests(world)
                for number in range(20):
                    world.juliet.message(ROMEO, f"{number}")
                    await world.agent.wait_for_message(f"{number}")
                self.assertEqual(await self.requests(world) - before, 20)

    async def test_a_nonce_that_has_expired(self):  # SIP-30: `stale`
        world = await self.world(
            of=KamailioWorld, kamailio={"password": "pool", "qop": True, "nonce_expire": 1},
            domain_keys={"digest_user": "fedgate", "digest_password": "pool"},
            keys={"sip.options_interval": "1h"})
        number, again = 0, 0
        while again < 2:    # times that the kept nonce was too old
            before = await self.requests(world)
            number += 1
            world.juliet.message(ROMEO, f"{number}")
            await world.agent.wait_for_message(f"{number}")
            sent = await self.requests(world) - before
            self.assertLessEqual(sent, 2)
            again += number > 1 and sent == 2
            await asyncio.sleep(0.1)

    @staticmethod
    async def counters(world):
        return json.loads(await world.fedgate.control("--json", "counters"))["counters"]

    async def requests(self, world):
        return (await self.counters(world))["sip.requests.out"]

    async def test_a_wrong_password(self):  # SIP-30, ERR-407
        world = await self.world(of=KamailioWorld, kamailio={"password": "pool"},
                                 domain_keys={"digest_user": "fedgate", "digest_password": "another"})
        stanza_id = world.juliet.message(ROMEO, "x")
        self.assertEqual(await world.juliet.wait_for_error(stanza_id), ("auth", "registration-required"))

    async def test_a_redirect_within_the_pool(self):  # SIP-9, ERR-3
        world = await self.world(of=RedirectWorld)
        world.juliet.message(ROMEO, "to SIP")
        message = await world.agent.wait_for_message("to SIP")
        self.assertEqual(message.header("cseq"), "2 MESSAGE")
        self.assertIn(world.second.address, message.header("via"))


class RedirectWorld(KamailioWorld):
    """The first node of the pool knows only that its users are at the second one."""

    async def start_sip(self):
        await self.agent.start()
        fedgate = f"sip:{self.fedgate.sip[0]}:{self.fedgate.sip[1]};transport=tcp"
        self.second = await Kamailio(self.directory / "second", SIP_DOMAIN).start(fedgate)
        await self.agent.register("romeo", SIP_DOMAIN, (self.second.address, 5060))
        to = f"sip:$rU@{self.second.address}:5060;transport=tcp"
        self.kamailio = await Kamailio(self.directory / "kamailio", SIP_DOMAIN, redirect=to).start(fedgate)
        return f"{self.kamailio.uri()} {self.second.uri()}"

    async def stop(self):
        try:
            await super().stop()
        finally:
            await self.second.kill()


if __name__ == "__main__":
    unittest.main()
