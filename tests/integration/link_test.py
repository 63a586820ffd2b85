"""Edges and a gateway as processes of their own, with a real Prosody and a real Kamailio."""
import pathlib
import unittest

from harness.conversation import accounts, parse, plays
from harness.conversation_world import ConversationWorld
from harness.split import SplitFedgate
from harness.world import PeerTest

SCRIPTS = [parse(pathlib.Path(__file__).parent / f"conversations/{name}.txt")
           for name in ("messages", "add_and_approve", "typing", "receipts")]
KEYS = {"core.threads": 2}


class SplitWorld(ConversationWorld):
    make_fedgate = SplitFedgate

    def __init__(self, directory, people=(), keys=None):
        super().__init__(directory, "prosody+kamailio", people, {**KEYS, **(keys or {})})

    def more_records(self):
        return self.fedgate.records()

    def processes(self):
        return super().processes() + [edge.process for edge in self.fedgate.edges]


class Link(PeerTest):
    async def test_conversations(self):
        world = await self.world(accounts(SCRIPTS), of=SplitWorld)
        for play in plays(SCRIPTS, "prosody+kamailio", world):
            with self.subTest(str(play)):
                await play.run()


if __name__ == "__main__":
    unittest.main()
