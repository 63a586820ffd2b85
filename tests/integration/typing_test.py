"""Typing, receipts and modern chat between a real Prosody and a SIP user agent, through the daemon."""
import re
import unittest
import uuid

from harness.world import JULIET, ROMEO, PeerTest
from harness.xmpp_client import body_of

STATES = "{http://jabber.org/protocol/chatstates}"
RECEIVED = "{urn:xmpp:receipts}received"
REQUEST = "{urn:xmpp:receipts}request"
COMPOSING = ("<?xml version='1.0' encoding='UTF-8'?><isComposing "
             "xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>{}</state></isComposing>")
CPIM = ("From: <im:romeo@sip>\r\nTo: <im:juliet@xmpp>\r\nDateTime: 2026-11-26T12:00:00Z\r\n"
        "NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: {}\r\n{}\r\n"
        "Content-Type: {}\r\n\r\n{}")
ASKS = "imdn.Disposition-Notification: positive-delivery, negative-delivery\r\n"
IMDN = ("<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>{}</message-id>"
        "<datetime>2026-11-26T12:00:00Z</datetime><delivery-notification><status><{}/></status>"
        "</delivery-notification></imdn>")


def state_of(stanza):
    return next((c.tag[len(STATES):] for c in stanza if c.tag.startswith(STATES)), None)


class Typing(PeerTest):
    async def sip(self, world, body, content_type="text/plain"):
        key, data = world.agent.request("MESSAGE", f"sip:{ROMEO}", f"sip:{JULIET}", body,
                                        content_type)
        response = await world.agent.exchange(data, key, f"the {content_type}", world.fedgate.sip)
        self.assertEqual(response.status, 200)

    async def types(self, world, state):
        await self.sip(world, COMPOSING.format(state), "application/im-iscomposing+xml")

    def xmpp(self, world, content, kind="chat"):
        """Juliet sends this; returns its id."""
        unique = uuid.uuid4().hex
        world.juliet.send(f"<message to='{ROMEO}' type='{kind}' id='{unique}'>{content}</message>")
        return unique

    async def state(self, world, name):
        stanza = await world.juliet.wait_for(
            lambda s: s.tag.endswith("}message") and state_of(s) == name, f"that romeo is {name}")
        self.assertTrue(stanza.get("from").startswith(ROMEO))
        return stanza

    async def test_typing_both_ways(self):  # CS-1..CS-11
        world = await self.world()
        self.xmpp(world, f"<body>hi</body><active xmlns='{STATES[1:-1]}'/>")
        await world.agent.wait_for_message("hi")
        await self.types(world, "active")
        await self.state(world, "composing")
        await self.types(world, "idle")
        await self.state(world, "active")
        for name, expected in (("composing", "active"), ("paused", "idle")):
            self.xmpp(world, f"<{name} xmlns='{STATES[1:-1]}'/>")
            message = await world.agent.wait_for_message()
            self.assertEqual(message.header("content-type"), "application/im-iscomposing+xml")
            self.assertIn(f"<state>{expected}</state>", message.body)
        await self.sip(world, "hello")
        stanza = await world.juliet.wait_for_body("hello")
        self.assertEqual(state_of(stanza), "active")

    async def test_receipts_both_ways(self):  # RCPT-1..RCPT-7
        world = await self.world(domain_keys={"imdn": "yes"})
        asked = self.xmpp(world, "<body>hi</body><request xmlns='urn:xmpp:receipts'/>")
        message = await world.agent.wait_for_message()
        self.assertEqual(message.header("content-type"), "message/cpim")
        unique = re.search(r"imdn\.Message-ID: (\S+)", message.body)[1]
        await self.sip(world, CPIM.format("own", "", "message/imdn+xml",
                                          IMDN.format(unique, "delivered")), "message/cpim")
        receipt = await world.juliet.wait_for(lambda s: s.find(RECEIVED) is not None, "a receipt")
        self.assertEqual(receipt.find(RECEIVED).get("id"), asked)
        self.assertEqual(receipt.get("type"), "chat")

        await self.sip(world, CPIM.format("romeo-1", ASKS, "text/plain", "hello"), "message/cpim")
        stanza = await world.juliet.wait_for_body("hello")
        self.assertIsNotNone(stanza.find(REQUEST))
        self.xmpp(world, f"<received xmlns='urn:xmpp:receipts' id='{stanza.get('id')}'/>", "normal")
        message = await world.agent.wait_for_message()
        self.assertIn("<message-id>romeo-1</message-id>", message.body)
        self.assertIn("<delivered/>", message.body)

    async def test_modern_chat_reads_well(self):
        world = await self.world()
        for content, body in (
                ("<body>There</body><replace id='1' xmlns='urn:xmpp:message-correct:0'/>", "* There"),
                ("<reactions id='1' xmlns='urn:xmpp:reactions:0'><reaction>\U0001f44d</reaction>"
                 "</reactions>", "Reacted with \U0001f44d"),
                ("<body>https://x.example/a.png</body><x xmlns='jabber:x:oob'>"
                 "<url>https://x.example/a.png</url></x>", "https://x.example/a.png")):
            self.xmpp(world, content)
            await world.agent.wait_for_message(body)
        refused = self.xmpp(world, "<encrypted xmlns='eu.siacs.conversations.axolotl'>"
                                   "<payload>x</payload></encrypted>")
        self.assertEqual(await world.juliet.wait_for_error(refused), ("modify", "not-acceptable"))
        await self.sip(world, "<p>a <b>b</b><script>alert(1)</script></p>", "text/html")
        stanza = await world.juliet.wait_for_body("a b")
        markup = stanza.find(".//{http://www.w3.org/1999/xhtml}strong")
        self.assertEqual((markup.text, body_of(stanza)), ("b", "a b"))
        self.assertIsNone(stanza.find(".//{http://www.w3.org/1999/xhtml}script"))


if __name__ == "__main__":
    unittest.main()
