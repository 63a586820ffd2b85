"""The sipp program as the SIP user: what other people's scenarios find correct."""
import unittest

from harness.sipp import ANSWER, OK, SEND, Sipp
from harness.world import JULIET, ROMEO, PeerTest
from harness.xmpp_client import body_of

# Sends again what was answered, under another branch: as if it had come by a second way.
_, _, SECOND = SEND.replace('label id="1"', 'label id="2"').replace('next="1"', 'next="2"').partition('message">')
TWICE = SEND.replace("</scenario>", "") + SECOND.replace('<recv response="200"/>', '<recv response="482"/>')
# Sends a provisional response before the final one.
SLOW = ANSWER.replace('<recv request="MESSAGE"/>', '<recv request="MESSAGE"/>' + OK.replace(
    "200 OK", "100 Trying") + '<pause milliseconds="700"/>')
BUSY = ANSWER.replace('<recv request="OPTIONS" optional="true" next="1"/>', "").replace(
    "200 OK", "486 Busy Here")


class Scenarios(PeerTest):
    async def sipp_world(self, transport, answer=ANSWER, **options):
        sipp = Sipp(self.directory / f"sipp-{len(self.worlds)}", transport, answer=answer)
        return await self.world(agent=sipp, **options), sipp

    async def test_both_ways(self):  # SIP-7, SIP-13, SIP-30
        for transport in ("udp", "tcp", "tls"):
            with self.subTest(transport):
                world, sipp = await self.sipp_world(transport)
                world.juliet.message(ROMEO, "to SIP")
                await sipp.wait_for_body("to SIP")
                events = await sipp.send(f"sip:{ROMEO}", f"sip:{JULIET}", "to XMPP", world.fedgate.sip)
                self.assertEqual(events[-1].first_line, "SIP/2.0 200 OK")
                await world.juliet.wait_for_body("to XMPP")

    async def test_an_answered_message_that_comes_by_a_second_way(self):  # SIP-11
        world, sipp = await self.sipp_world("udp")
        events = await sipp.send(f"sip:{ROMEO}", f"sip:{JULIET}", "once", world.fedgate.sip, TWICE)
        self.assertEqual([event.first_line for event in events[1::2]],
                         ["SIP/2.0 200 OK", "SIP/2.0 482 Loop Detected"])
        await sipp.send(f"sip:{ROMEO}", f"sip:{JULIET}", "then", world.fedgate.sip)
        await world.juliet.wait_for_body("then")
        bodies = [body_of(stanza) for stanza in world.juliet.received if stanza.tag.endswith("message")]
        self.assertEqual(bodies, ["once"])

    async def test_a_provisional_response_is_no_answer(self):  # SIP-12, ERR-3
        world, sipp = await self.sipp_world("tcp", SLOW)
        for body in ("one", "two"):
            world.juliet.message(ROMEO, body)
            await sipp.wait_for_body(body)

    async def test_busy(self):  # ERR-480
        world, _ = await self.sipp_world("tcp", BUSY, keys={"sip.options_interval": "1h"})
        stanza_id = world.juliet.message(ROMEO, "hello?")
        self.assertEqual(await world.juliet.wait_for_error(stanza_id), ("wait", "recipient-unavailable"))


if __name__ == "__main__":
    unittest.main()
