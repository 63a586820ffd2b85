"""XEP-0288 with a real Prosody: one TCP connection for both directions, whoever opens it (S2S-15)."""
import json
import unittest

from harness.process import wait_until
from harness.world import ROMEO, XMPP_DOMAIN, PeerTest

KEYS = {"bidi": "yes"}


class Bidi(PeerTest):
    async def streams(self, world):
        """Of the partner, once proved: (direction, both ways, stanzas in, stanzas out)."""
        rows = json.loads(await world.fedgate.control("--json", "streams"))["streams"]
        return [(row["direction"], row["both_ways"], row["stanzas_in"], row["stanzas_out"])
                for row in rows if row["their_domain"] == XMPP_DOMAIN and row["proof"]]

    async def one_stream(self, world, direction):
        async def settled():
            found = await self.streams(world)
            return len(found) == 1 and found[0][2] > 0 and found[0][3] > 0
        await wait_until(settled, "one stream")
        [(found, both_ways, *_)] = await self.streams(world)
        self.assertEqual((found, both_ways), (direction, True))

    async def to_juliet(self, world, body):
        self.assertEqual((await world.send_from_romeo(body)).status, 200)
        await world.juliet.wait_for_body(body)

    async def to_romeo(self, world, body):
        world.juliet.message(ROMEO, body)
        await world.agent.wait_for_message(body)

    async def test_ours(self):
        world = await self.world(variant="modern", partner_keys=KEYS, keys={"core.threads": 3})
        await self.to_juliet(world, "we open it")
        for i in range(20):
            await self.to_romeo(world, f"and they use it {i}")
        await self.one_stream(world, "out")
        await self.to_juliet(world, "so do we")

    async def test_theirs(self):
        world = await self.world(variant="modern", partner_keys=KEYS, keys={"core.threads": 3})
        await self.to_romeo(world, "they open it")
        for i in range(20):
            await self.to_juliet(world, f"and we use it {i}")
        await self.one_stream(world, "in")
        await self.to_romeo(world, "so do they")
        # It goes; ours goes out on a stream of our own.
        await world.prosody.kill()
        await world.prosody.start(world.dns)
        await world.juliet.stop()
        await world.log_in()
        await self.to_juliet(world, "once more")

    async def test_by_dialback(self):
        world = await self.world(variant="modern", partner_keys={**KEYS, "sasl": "none"})
        await self.to_romeo(world, "they open it")
        await self.to_juliet(world, "and we use it")
        await self.one_stream(world, "in")

    async def test_without_the_key(self):
        world = await self.world(variant="modern", partner_keys={})
        await self.to_romeo(world, "their stream")
        await self.to_juliet(world, "our stream")
        await wait_until(lambda: self.streams(world), "streams")
        self.assertEqual(sorted((d, b) for d, b, *_ in await self.streams(world)),
                         [("in", False), ("out", False)])


if __name__ == "__main__":
    unittest.main()
