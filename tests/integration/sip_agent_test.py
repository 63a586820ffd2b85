"""The SIP pieces of the harness against each other: our agent and the real sipp, over UDP and TCP."""
import unittest

from harness.sip_agent import SipAgent
from harness.sipp import Sipp
from harness.world import PeerTest


class SipAgents(PeerTest):
    async def agents(self, transport):
        agent = await SipAgent(transport).start()
        self.addAsyncCleanup(agent.stop)
        sipp = Sipp(self.directory / "sipp", transport)
        self.addAsyncCleanup(sipp.stop)
        return agent, sipp

    async def test_sipp_answers(self):
        for transport in ("udp", "tcp"):
            with self.subTest(transport):
                agent, sipp = await self.agents(transport)
                await sipp.start()
                response = await agent.send_message("sip:a@one.example", "sip:b@two.example",
                                                    "caf\u00e9 \U0001f339", ("127.0.0.1", sipp.port))
                self.assertEqual(response.status, 200)
                await sipp.wait_for_body("caf\u00e9 \U0001f339")

    async def test_sipp_sends(self):
        for transport in ("udp", "tcp"):
            with self.subTest(transport):
                agent, sipp = await self.agents(transport)
                events = await sipp.send("sip:a@one.example", "sip:b@two.example", "Hello & more",
                                         ("127.0.0.1", agent.port))
                self.assertEqual([event.first_line.split()[0] for event in events],
                                 ["MESSAGE", "SIP/2.0"])
                message = await agent.wait_for_message("Hello & more")
                self.assertEqual(message.uri, "sip:b@two.example")

    async def test_a_refusal_is_a_refusal(self):
        agent, sipp = await self.agents("tcp")
        agent.status = 486
        events = await sipp.send("sip:a@one.example", "sip:b@two.example", "No?",
                                 ("127.0.0.1", agent.port))
        self.assertEqual(events[-1].first_line, "SIP/2.0 486 Busy Here")

    async def test_sipp_answers_options(self):
        agent, sipp = await self.agents("tcp")
        await sipp.start()
        for method in ("OPTIONS", "MESSAGE", "OPTIONS"):
            response = await agent.send_message("sip:a@one.example", "sip:b@two.example", "probe",
                                                ("127.0.0.1", sipp.port), method=method)
            self.assertEqual(response.status, 200)


if __name__ == "__main__":
    unittest.main()
