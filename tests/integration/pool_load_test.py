"""A pool of two Kamailio nodes under load, in short: each dies once, and both together."""
import unittest

from harness.world import PeerTest
from pool_load import run_pool


class PoolLoad(PeerTest):
    async def expect_the_law(self, **options):
        self.assertEqual(await run_pool(self.directory, 5, 40, **options), [])

    async def test_killed_nodes_of_a_list(self):  # SIP-8
        await self.expect_the_law()

    async def test_killed_nodes_of_dns(self):  # SIP-6, SIP-8
        await self.expect_the_law(names="srv", transport="tls")

    async def test_nodes_that_accept_and_never_answer(self):  # SIP-8: suspect
        await self.expect_the_law(death="stop", interval="1s")


if __name__ == "__main__":
    unittest.main()
