"""A person with a real baresip, registered at a real Kamailio, talks with an XMPP user."""
import unittest

from harness.baresip import Baresip
from harness.world import JULIET, ROMEO, SIP_DOMAIN, PeerTest
from kamailio_test import KamailioWorld

TEXT = 'caf\u00e9 \U0001f339 <b>"quoted"</b> & more'


class BaresipWorld(KamailioWorld):
    """romeo's user agent is a baresip; `peer`: whom he writes to."""

    def __init__(self, *arguments, peer=JULIET, **options):
        super().__init__(*arguments, **options)
        self.peer, self.baresip = peer, None

    async def start_sip(self):
        next_hop = await super().start_sip()
        certificate = (self.authority.issue(SIP_DOMAIN, label="baresip")
                       if self.transport == "tls" else None)
        self.baresip = await Baresip(self.directory / "baresip", ROMEO, self.peer, next_hop, certificate,
                                     self.authority.certificate).start()
        return next_hop

    async def register(self):
        """Baresip does."""

    def logs(self):
        return super().logs() + (f"\n--- baresip\n{self.baresip.process.tail(50)}" if self.baresip else "")

    async def stop(self):
        try:
            if self.baresip:
                await self.baresip.stop()
        finally:
            await super().stop()


class Person(PeerTest):
    async def test_both_ways(self):  # SIP-7, IM-1, IM-30
        for transport in ("udp", "tcp", "tls"):
            with self.subTest(transport):
                world = await self.world(transport=transport, of=BaresipWorld)
                world.juliet.message(ROMEO, TEXT)
                await world.baresip.wait_for(f'sip:{JULIET};gr=test: "{TEXT}"')
                await world.baresip.send(TEXT)
                await world.juliet.wait_for_body(TEXT)
                await world.baresip.send("two\nlines")
                await world.juliet.wait_for_body("two\nlines")

    async def test_nobody_of_that_name(self):  # IM-50
        world = await self.world(of=BaresipWorld, peer=f"nobody@{JULIET.split('@')[1]}")
        await world.baresip.send("anybody there?")
        await world.baresip.wait_for("Your message could not be delivered: service-unavailable.")


if __name__ == "__main__":
    unittest.main()
