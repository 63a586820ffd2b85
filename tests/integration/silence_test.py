"""A SIP target that takes the request and never answers: Timer F, 32 s (SIP-10)."""
import unittest

from harness.sip_agent import SipAgent
from harness.world import ROMEO, PeerTest


class Silence(PeerTest):
    async def silent(self, transport):
        world = await self.world(agent=SipAgent(transport, status=None))
        stanza_id = world.juliet.message(ROMEO, "is anybody there?")
        # ERR-408: the local timeout counts as a 408.
        self.assertEqual(await world.juliet.wait_for_error(stanza_id, 40),
                         ("wait", "remote-server-timeout"))

    async def test_over_tcp(self):
        await self.silent("tcp")


if __name__ == "__main__":
    unittest.main()
