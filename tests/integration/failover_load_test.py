"""The failover under load in short."""
import unittest

from failover_load import run_failover
from harness.world import PeerTest


class FailoverLoad(PeerTest):
    async def test_every_message_has_one_end_and_traffic_comes_back(self):
        self.assertEqual(await run_failover(self.directory, 10, 50), [])


if __name__ == "__main__":
    unittest.main()
