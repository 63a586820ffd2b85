"""Whatever a peer does, also dying in the middle, the daemon serves the next one, and nobody is left
without an answer."""
import asyncio
import unittest

from harness.process import Failed, wait_until
from harness.world import ROMEO, SIP_DOMAIN, XMPP_DOMAIN, PeerTest

STREAM = (f"<?xml version='1.0'?><stream:stream xmlns='jabber:server' from='{XMPP_DOMAIN}' "
          f"to='{SIP_DOMAIN}' version='1.0' xmlns:stream='http://etherx.jabber.org/streams'>").encode()
REQUEST = (f"MESSAGE sip:juliet@{XMPP_DOMAIN} SIP/2.0\r\n"
           "Via: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bKfault\r\nMax-Forwards: 70\r\n"
           f"From: <sip:{ROMEO}>;tag=1\r\nTo: <sip:juliet@{XMPP_DOMAIN}>\r\nCall-ID: fault\r\n"
           "CSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n").encode()

# What is sent -> what must be in the answer before the end of the stream.
BROKEN_STREAMS = {
    "not XML": (b"GET / HTTP/1.1\r\n\r\n", b""),
    "a comment": (STREAM + b"<!-- -->", b"restricted-xml"),
    "a processing instruction": (STREAM + b"<?x?>", b"restricted-xml"),
    "a document type": (b"<!DOCTYPE a>" + STREAM, b"restricted-xml"),
    "an entity": (STREAM + b"<a>&entity;</a>", b"restricted-xml"),
    "tags that do not match": (STREAM + b"<a></b>", b"not-well-formed"),
    "the namespace of clients": (STREAM.replace(b"jabber:server", b"jabber:client"),
                                 b"invalid-namespace"),
    "a host that is not ours": (STREAM.replace(SIP_DOMAIN.encode(), b"unknown.example"),
                                b"host-unknown"),
    "a stanza before TLS, which this partner must use": (  # S2S-40
        STREAM + f"<message from='a@{XMPP_DOMAIN}' to='{ROMEO}'><body>x</body></message>".encode(),
        b"policy-violation"),
    "an element without an end": (STREAM + b"<a b='" + b"x" * 20000, b"policy-violation"),
}
BROKEN_REQUESTS = {
    "not SIP": b"\x16\x03\x01\x02\x00" * 20 + b"\r\n\r\n",
    "a negative length": REQUEST + b"Content-Length: -1\r\n\r\nx",
    "two lengths": REQUEST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a length that is no number": REQUEST + b"Content-Length: 1x\r\n\r\nx",
    "a huge length": REQUEST + b"Content-Length: 99999999999999999999\r\n\r\nx",
    "no length on a stream": REQUEST + b"\r\n\r\n",
    "a head without end": REQUEST + b"X: " + b"y" * 100000,
}


class Faults(PeerTest):
    async def serves(self, world, body):
        world.juliet.message(ROMEO, body)
        await world.agent.wait_for_message(body)
        self.assertEqual((await world.send_from_romeo(body)).status, 200)
        await world.juliet.wait_for_body(body)

    async def exchange(self, address, port, data):
        """All that comes until the other side closes."""
        reader, writer = await asyncio.open_connection(address, port)
        writer.write(data)
        try:
            return await asyncio.wait_for(reader.read(-1), 20)
        except asyncio.TimeoutError:
            raise Failed("the connection stayed open") from None
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def test_broken_streams_are_closed_with_their_error(self):
        world = await self.world(keys={"xmpp.rate.connections_per_address": "none"})
        for what, (data, expected) in BROKEN_STREAMS.items():
            with self.subTest(what):
                answer = await self.exchange(world.fedgate.address, 5269, data)
                self.assertIn(expected, answer)
        await self.serves(world, "after broken streams")

    async def test_broken_requests_are_refused_and_closed(self):
        world = await self.world()
        for what, data in BROKEN_REQUESTS.items():
            with self.subTest(what):
                answer = await self.exchange(*world.fedgate.sip, data)
                self.assertNotIn(b"SIP/2.0 200", answer)
        await self.serves(world, "after broken requests")

    async def test_a_server_that_dies_in_the_middle_of_a_stanza(self):
        world = await self.world("dialback")
        for cut in (1, len(STREAM) // 2, len(STREAM), len(STREAM) + 10):
            _, writer = await asyncio.open_connection(world.fedgate.address, 5269)
            writer.write((STREAM + b"<db:result xmlns:db='jabber:server:dialback'")[:cut])
            await writer.drain()
            writer.transport.abort()
        await self.serves(world, "after half a stanza")

    async def test_a_sip_peer_that_dies_in_the_middle_of_a_request(self):
        world = await self.world()
        for cut in (1, len(REQUEST) // 2, len(REQUEST)):
            _, writer = await asyncio.open_connection(*world.fedgate.sip)
            writer.write((REQUEST + b"Content-Length: 100\r\n\r\nhalf")[:cut])
            await writer.drain()
            writer.transport.abort()
        await self.serves(world, "after half a request")

    async def test_prosody_killed_while_messages_cross(self):
        world = await self.world()
        await self.serves(world, "before the kill")
        sending = [asyncio.create_task(world.send_from_romeo(f"{number} " + "x" * 20000, 40))
                   for number in range(10)]
        await asyncio.sleep(0)
        await world.prosody.kill()
        # Each has an answer: accepted before the kill, or refused.
        statuses = [(await task).status for task in sending]
        self.assertTrue(set(statuses) <= {200, 403, 404, 408, 480, 500, 503, 504}, statuses)
        await world.juliet.stop()
        await world.prosody.start(world.dns)
        await world.log_in()

        async def back():
            return (await world.send_from_romeo("after the kill")).status == 200
        await wait_until(back, "a message passes again", 60)
        await world.juliet.wait_for_body("after the kill")
        await self.serves(world, "and both ways")

    async def test_a_sip_user_killed_while_it_answers(self):
        world = await self.world()

        def die(_):
            asyncio.get_running_loop().create_task(world.agent.stop())
            return None
        world.agent.status = die
        stanza_id = world.juliet.message(ROMEO, "your last")
        # In doubt, and said so.
        self.assertEqual(await world.juliet.wait_for_error(stanza_id, 40),
                         ("wait", "remote-server-timeout"))


if __name__ == "__main__":
    unittest.main()
