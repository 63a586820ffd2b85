"""fedctl trace: both legs of a conversation, live, without what was written, for a limited time."""
import asyncio
import json
import signal
import unittest

from harness.process import Failed
from harness.world import JULIET, ROMEO, XMPP_DOMAIN, PeerTest


class Live:
    """A fedctl trace that runs: its lines as they come."""

    @classmethod
    async def start(cls, fedgate, *words):
        self = cls()
        self.process = await asyncio.create_subprocess_exec(
            fedgate.binaries / "fedctl", "-s", f"{fedgate.directory}/admin.sock", *words,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        self.seen = []
        return self

    async def until(self, *texts, seconds=15):
        """The first line with all of them: what two cores saw in one millisecond has no order."""
        for line in self.seen:
            if all(text in line for text in texts):
                return line

        async def look():
            while line := (await self.process.stdout.readline()).decode():
                self.seen.append(line)
                if all(text in line for text in texts):
                    return line
            raise Failed(f"no line with {texts}:\n" + "".join(self.seen))
        try:
            return await asyncio.wait_for(look(), seconds)
        except TimeoutError:
            raise Failed(f"no line with {texts}:\n" + "".join(self.seen)) from None

    async def end(self):
        self.process.send_signal(signal.SIGINT)
        rest, _ = await asyncio.wait_for(self.process.communicate(), 10)
        self.seen.append(rest.decode())
        return self.process.returncode


class Trace(PeerTest):
    async def refused(self, world, *words):
        try:
            await world.fedgate.control("trace", *words)
        except Failed as refusal:
            return str(refusal)
        self.fail(f"trace {words} was not refused")

    async def test_both_legs_both_ways(self):    # Q5, Q6
        world = await self.world()
        live = await Live.start(world.fedgate, "trace", "--partner", XMPP_DOMAIN, "--user", f"sip:{ROMEO}")
        await live.until("time", XMPP_DOMAIN, "Fedgate", "SIP")
        stanza_id = world.juliet.message(ROMEO, "nobody else reads this")
        await world.agent.wait_for_message("nobody else reads this")
        stanza = await live.until("--message chat", f"-> {ROMEO}", f"id {stanza_id}", "body (22 bytes)",
                                  f"by {XMPP_DOMAIN}, certificate")
        number = stanza.split("#")[1].split()[0]
        request = await live.until("--MESSAGE", f"#{number} ", "Call-ID", "text/plain", "(22 bytes)", "by tcp 127.0.0.1:")
        self.assertIn(f"{JULIET}", request)
        await live.until("200 OK--|", f"#{number} ")

        self.assertEqual((await world.send_from_romeo("nor this")).status, 200)
        await world.juliet.wait_for_body("nor this")
        request = await live.until("MESSAGE--", f"{ROMEO} -> ", "(8 bytes)")
        number = request.split("#")[1].split()[0]
        await live.until("message--|", f"#{number} ", "body (8 bytes)")
        await live.until("--acknowledged-", f"#{number} ")
        await live.until("--200 OK--", f"#{number} ")
        self.assertEqual(await live.end(), 0)
        text = "".join(live.seen)
        for body in ("nobody else", "nor this"):
            self.assertNotIn(body, text)

        # One message of it, by any of its ids; with a trace that has ended.
        found = await world.fedgate.control("trace", stanza_id)
        self.assertIn("--MESSAGE", found)
        self.assertIn("200 OK--", found)
        call_id = found.split("Call-ID ")[1].split(",")[0]
        self.assertEqual(found, await world.fedgate.control("trace", call_id))
        self.assertIn("the last trace has no message with that id", await self.refused(world, "no-such-id"))
        # Both are events.
        log = (world.fedgate.directory / "fedgated.log").read_text()
        self.assertRegex(log, r"FG-5111 .*partner=partner.example user=romeo@corp.example seconds=60")
        self.assertRegex(log, r"FG-5112 ")

    async def test_what_is_refused_shows_why(self):
        world = await self.world()
        live = await Live.start(world.fedgate, "trace", "--user", JULIET)
        await live.until("time")
        world.agent.status = 486
        stanza_id = world.juliet.message(ROMEO, "are you there?")
        await world.juliet.wait_for_error(stanza_id)
        await live.until("486 ")
        await live.until("message error--", f"id {stanza_id}", "error ")
        world.juliet.message("nobody@corp.example", "")
        await live.until("goes no further--", "message without text")
        self.assertEqual(await live.end(), 0)

    async def test_only_what_was_asked_for_and_one_at_a_time(self):
        world = await self.world()
        live = await Live.start(world.fedgate, "--json", "trace", "--partner", "other.example", "--for", "2s")
        world.juliet.message(ROMEO, "not for this trace")
        await world.agent.wait_for_message("not for this trace")
        self.assertRegex(await self.refused(world, "--user", ROMEO), r"a trace of \S+ runs for another \d+ s")
        output, _ = await asyncio.wait_for(live.process.communicate(), 20)    # it ends by itself
        self.assertEqual((live.process.returncode, output), (0, b""))

    async def test_wrong_words(self):
        world = await self.world()
        for words, why in ((["--partner", "no domain"], "is not a domain"), (["--user", "romeo"], "is not an address"),
                           (["--partner", XMPP_DOMAIN, "--for", "2d"], "--for"), ([], "trace takes"),
                           (["--partner"], "needs a value"), (["--body"], "no option --body"),
                           (["a", "b"], "trace takes"), (["--stop", "x"], "trace takes")):
            with self.subTest(words):
                self.assertIn(why, await self.refused(world, *words))
        await world.fedgate.control("trace", "--stop")    # none: all the same

    async def test_who_is_gone_leaves_none_on(self):
        world = await self.world()
        live = await Live.start(world.fedgate, "trace", "--partner", XMPP_DOMAIN, "--for", "600s")
        await live.until("time")
        live.process.kill()
        await live.process.wait()
        self.assertIn("fedctl trace --stop ends it", await self.refused(world, "--partner", XMPP_DOMAIN))
        await world.fedgate.control("trace", "--stop")
        live = await Live.start(world.fedgate, "--json", "trace", "--partner", XMPP_DOMAIN)
        world.juliet.message(ROMEO, "once more")
        await world.agent.wait_for_message("once more")
        row = json.loads(await live.until('"leg":"sip"'))
        self.assertEqual((row["direction"], row["what"]), ("out", "MESSAGE"))
        await world.fedgate.kill()
        _, errors = await asyncio.wait_for(live.process.communicate(), 20)
        self.assertEqual(live.process.returncode, 1)
        self.assertIn("fedgated", errors.decode())
        await world.fedgate.start()


if __name__ == "__main__":
    unittest.main()
