"""fedctl test im: a message through Prosody and Kamailio, what stops one, and the scheduled one."""
import json
import unittest

from harness.process import Failed, wait_until
from harness.world import JULIET, ROMEO, SIP_DOMAIN, XMPP_DOMAIN, PeerTest
from kamailio_test import KamailioWorld

FORM = ("Target Fqdn", "Result", "Latency", "Error Message", "Diagnosis")
SCHEDULE = {"test.im.from": ROMEO, "test.im.to": JULIET, "test.im.interval": "2s", "test.im.within": "2s"}


async def test_im(fedgate, *words):
    """The result, whether good or not."""
    try:
        text = await fedgate.control("--json", "test", "im", *words)
    except Failed as failed:
        text = str(failed).partition(": ")[2]
    return json.loads(text)


class TestMessage(PeerTest):    # O7
    async def test_both_ways_and_what_stops_it(self):
        world = await self.world(of=KamailioWorld, keys={"sip.options_interval": "1s"})
        shown = await world.fedgate.control("test", "im", f"sip:{ROMEO}", JULIET, "--text", "is this heard?")
        lines = shown.splitlines()
        self.assertEqual(tuple(line.partition(":")[0].strip() for line in lines[-5:]), FORM)
        self.assertEqual(lines[-4], "Result        : Success")
        self.assertIn("their stream took it after", shown)
        await world.juliet.wait_for_body("is this heard?")
        result = await test_im(world.fedgate, JULIET, ROMEO, "--text", "and this?")
        self.assertTrue(result["good"], result)
        self.assertIn("our SIP server answered 200", result["how"])
        await world.agent.wait_for_message("and this?")
        self.assertTrue(0 < result["latency_s"] < 5, result)
        # Neither of the two has heard of a test that he is said to have made.
        self.assertNotIn("could not be delivered", str(world.agent.received))
        # The reference's line.
        said = await world.fedgate.control("cs", f"Test-CsXmppIM -TargetFqdn pool.example -Receiver {JULIET} "
                                           f"-UserSipAddress sip:{ROMEO}")
        self.assertIn("Target Fqdn   : pool.example\nResult        : Success\nLatency       : 00:00:0", said)
        # Who is not known: by their server, by ours.
        result = await test_im(world.fedgate, ROMEO, f"nobody@{XMPP_DOMAIN}")
        self.assertFalse(result["good"])
        self.assertIn("does not know nobody@", result["diagnosis"])
        result = await test_im(world.fedgate, JULIET, f"nobody@{SIP_DOMAIN}")
        self.assertTrue(result["error"].startswith("404"), result)
        self.assertIn(f"does not know nobody@{SIP_DOMAIN}", result["diagnosis"])
        # Who may not, and whom we don't know.
        result = await test_im(world.fedgate, ROMEO, "x@stranger.example")
        self.assertIn("federation.discovery", result["error"])
        self.assertTrue(result["diagnosis"].startswith("partner rule: "), result)
        await world.fedgate.control("policy", "set", "global", "xmpp_access=no")
        result = await test_im(world.fedgate, ROMEO, JULIET)
        self.assertIn("user policy: policy global", result["diagnosis"])
        self.assertIn("policy set global xmpp_access=yes", result["diagnosis"])
        await world.fedgate.control("policy", "set", "global", "xmpp_access=yes")
        # Their server is away, and then ours.
        await world.prosody.stop()
        result = await test_im(world.fedgate, ROMEO, JULIET, "--within", "5s")
        self.assertFalse(result["good"])
        self.assertTrue(result["diagnosis"].startswith("TCP: "), result)
        await world.kamailio.kill()
        result = await test_im(world.fedgate, JULIET, ROMEO, "--within", "5s")
        self.assertTrue(result["diagnosis"].startswith("SIP leg: "), result)

    async def test_the_scheduled_one(self):    # O8
        world = await self.world(of=KamailioWorld, keys=SCHEDULE)

        async def last(good):
            last = json.loads(await world.fedgate.control("--json", "test")).get("last")
            return last is not None and last["good"] is good
        await wait_until(lambda: last(True), "the first", 15)
        log = world.fedgate.directory / "fedgated.log"
        self.assertNotIn("FG-5121", log.read_text())
        await world.fedgate.control("sysctl", "-w", f"partner/{XMPP_DOMAIN}/enabled=no")
        await wait_until(lambda: last(False), "one that fails", 15)
        self.assertIn("the scheduled test message from", await world.fedgate.control("status"))
        self.assertIn("partner rule: the partner is switched off", await world.fedgate.control("test"))
        await wait_until(lambda: "FG-5121" in log.read_text(), "the event", 5)
        self.assertNotIn("FG-5122", log.read_text())
        await world.fedgate.control("sysctl", "-w", f"partner/{XMPP_DOMAIN}/enabled=yes")
        await wait_until(lambda: last(True), "one that comes through again", 15)
        await wait_until(lambda: "FG-5122" in log.read_text(), "the event", 5)
        self.assertNotIn("the scheduled test message", await world.fedgate.control("status"))


if __name__ == "__main__":
    unittest.main()
