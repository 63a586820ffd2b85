"""The load test in short: some thousand messages each way, Prosody and the SIP side killed once."""
import unittest

from harness.world import PeerTest
from load import run_load


class Load(PeerTest):
    async def test_every_message_has_one_end(self):
        self.assertEqual(await run_load(self.directory, 2000, 2), [])


if __name__ == "__main__":
    unittest.main()
