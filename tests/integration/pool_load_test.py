"""A pool of two Kamailio nodes under load, in short: each is killed once, and both together."""
import unittest

from harness.world import PeerTest
from pool_load import run_pool


class PoolLoad(PeerTest):
    async def test_every_message_has_one_end_and_traffic_comes_back(self):  # SIP-8
        for names in ("list", "srv"):
            with self.subTest(names):
                self.assertEqual(await run_pool(self.directory / names, 5, 40, names=names), [])


if __name__ == "__main__":
    unittest.main()
