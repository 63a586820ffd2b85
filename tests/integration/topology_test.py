"""An organisation's machines, in short: what becomes of messages when one of them fails."""
import unittest

from harness import network
from harness.world import PeerTest
from topology import run_topology


class Topology(PeerTest):
    async def test_faults(self):
        if not network.enter():
            self.skipTest("network namespaces need root")
        self.assertEqual(await run_topology(self.directory, "gateway,restart", seconds=3.0), [])


if __name__ == "__main__":
    unittest.main()
