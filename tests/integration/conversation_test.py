"""The scripts in conversations/, each with real servers and people, and the language itself.

CONVERSATION=typing conversation_test.py ProsodyKamailio: that script alone, and its ladder is shown.
"""
import asyncio
import os
import pathlib
import unittest

from harness.conversation import ScriptError, accounts, parse, plays
from harness.conversation_world import ConversationWorld
from harness.world import PeerTest

ONLY = os.environ.get("CONVERSATION")
SCRIPTS = [parse(path) for path in sorted(
    (pathlib.Path(__file__).parent / "conversations").glob(f"{ONLY or '*'}.txt"))]
KEYS = {"xmpp.rate.connections_per_address": "none", "presence.lost_after": "1s",
        "policy/nobody/description": "lets nobody talk to partners"}
AT_ONCE = 8    # plays that leave each other alone


class Conversations(PeerTest):
    """All scripts for the servers of a class below, in one world."""

    async def play_all(self, servers):
        world = await self.world(servers, accounts(SCRIPTS), KEYS, of=ConversationWorld)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(play):
            async with gate:
                await play.run()
                if ONLY:
                    print(f"{play}\n{play.ladder.text()}")
        all_plays = plays(SCRIPTS, servers, world)
        self.assertTrue(all_plays)
        quiet = [play for play in all_plays if not play.script.disturbs_others]
        results = await asyncio.gather(*map(one, quiet), return_exceptions=True)
        for play in all_plays[len(quiet):]:
            results += await asyncio.gather(one(play), return_exceptions=True)
        for play, result in zip(all_plays, results):
            with self.subTest(str(play)):
                if result:
                    raise result
        if any(results):
            # Before the logs: what shows only the beginning of a long output has to show this.
            print(*filter(None, results), world.logs(), sep="\n\n", flush=True)


class ProsodyKamailio(Conversations):
    async def test_all(self):
        await self.play_all("prosody+kamailio")


class EjabberdKamailio(Conversations):
    async def test_all(self):
        await self.play_all("ejabberd+kamailio")


class ProsodyDirect(Conversations):
    async def test_all(self):
        await self.play_all("prosody+direct")


class EjabberdDirect(Conversations):
    """Both are with another one in the classes above; here, what depends on both."""

    async def test_all(self):
        await self.play_all("ejabberd+direct")


class ProsodyPua(Conversations):
    async def test_all(self):
        await self.play_all("prosody+pua")


class EjabberdPua(Conversations):
    async def test_all(self):
        await self.play_all("ejabberd+pua")


class EjabberdBaresip(Conversations):
    async def test_all(self):
        await self.play_all("ejabberd+baresip")


class ProsodyBaresip(Conversations):
    async def test_all(self):
        await self.play_all("prosody+baresip")


class Language(unittest.TestCase):
    HEAD = "people: alice@xmpp bob@sip\nservers: prosody+direct\n"

    def error(self, text):
        with self.assertRaises(ScriptError) as caught:
            parse("x.txt", text)
        return str(caught.exception)

    def test_steps(self):
        script = parse("x.txt", self.HEAD + "# a remark\nalice says \"one # two\"  # to bob\n"
                                            "within 3 s bob sees alice away on phone \"In a...\"\n")
        self.assertEqual(script.casts, [{"alice": "xmpp", "bob": "sip"}])
        self.assertEqual([step.line for step in script.steps], [4, 5])
        self.assertEqual(script.steps[0].arguments, {"who": "alice", "text": "one # two", "whom": "bob"})
        self.assertEqual(script.steps[1].arguments, {"who": "bob", "whom": "alice", "state": "away",
                                                     "device": "phone", "text": "In a..."})
        self.assertEqual(script.steps[1].seconds, 3)

    def test_what_is_wrong_is_named(self):
        self.assertEqual(self.error(self.HEAD + "\nalice add bob\n"),
                         "x.txt:4: 'alice add bob' is no step; did you mean 'WHO adds WHOM'?")
        self.assertEqual(self.error(self.HEAD + "carol adds bob\n"),
                         "x.txt:3: carol is none of the people (alice, bob)")
        self.assertIn("x.txt:1: the first lines have to say", self.error("alice adds bob\n"))
        self.assertIn("x.txt:1: people are written", self.error("people: alice@home\n"))
        self.assertIn('did you mean \'WHO hears "TEXT" [from WHOM]\'', self.error(self.HEAD + 'bob hear "x"\n'))
        self.assertIn("no step", self.error(self.HEAD))

    def test_every_script_has_a_test(self):
        played = {f"{xmpp}+{sip}" for xmpp in ("prosody", "ejabberd")
                  for sip in ("kamailio", "direct", "baresip", "pua")}
        for script in SCRIPTS:
            self.assertLessEqual(set(script.servers), played, script.path)


if __name__ == "__main__":
    unittest.main()
