"""Messages cross both ways, for every way in which a Prosody proves itself, and every kind of text."""
import unittest

from harness.sip_agent import SipAgent
from harness.world import JULIET, ROMEO, SIP_DOMAIN, PeerTest

# im.max_bytes (IM-19).
BODY_BYTES_MAX = 32768

BODIES = {
    "one byte": "x",
    "32 KiB": "0123456789abcdef" * (BODY_BYTES_MAX // 16),
    "32 KiB of three-byte characters": "\u20ac" * (BODY_BYTES_MAX // 3),
    "beyond the basic plane": "\U0001f339 \U00010348\U0010fffd",
    "all that XML escapes": "& < > \" ' &amp; &lt; ]]> <![CDATA[x]]> <!-- --> <?pi?> &#x26;",
    "all that SIP escapes": "% %41 \\ \" ; , ? @ sip:a@b;gr=c <sip:x@y> \t.",
    "spaces at both ends": "  two before and after  ",
    "what looks like a request": "\n\nMESSAGE sip:romeo@corp.example SIP/2.0\nContent-Length: 0\n\n",
    "lines": "one\ntwo\n\nthree",
    "right to left, and combined": "\u05e9\u05dc\u05d5\u05dd e\u0301 \u200f\u200d",
}


class Messages(PeerTest):
    async def both_ways(self, world, body="Hello & good <day> \U0001f339"):
        world.juliet.message(ROMEO, body)
        # IM-3: a line ends with CRLF on the SIP side; IM-32: with LF on the XMPP side.
        message = await world.agent.wait_for_message(body.replace("\n", "\r\n"))
        self.assertEqual(message.uri, f"sip:{ROMEO}")
        self.assertEqual(message.header("content-type").replace(" ", "").lower(),
                         "text/plain;charset=utf-8")
        self.assertIn(f"<sip:{JULIET};gr=test>", message.header("from"))
        response = await world.send_from_romeo(body.replace("\n", "\r\n"))
        self.assertEqual(response.status, 200)
        stanza = await world.juliet.wait_for_body(body)
        self.assertEqual((stanza.get("from"), stanza.get("type")), (ROMEO, None))  # IM-31, IM-38

    async def test_external(self):
        await self.both_ways(await self.world("external"))

    async def test_dialback_only(self):
        await self.both_ways(await self.world("dialback"))

    async def test_dialback_over_tls(self):
        await self.both_ways(await self.world("tls-dialback"))

    async def test_tls_optional_on_both_sides(self):
        await self.both_ways(await self.world("tls-optional"))

    async def test_a_certificate_with_an_rsa_key(self):
        await self.both_ways(await self.world(
            partner_certificate=lambda authority: authority.issue("partner.example", rsa=True)))

    async def test_tls_1_2_only(self):
        world = await self.world(prosody_tls={"protocol": "tlsv1_2"})
        await self.both_ways(world)

    async def test_sip_over_udp(self):
        await self.both_ways(await self.world(agent=SipAgent("udp")))

    async def test_sip_over_tls(self):
        world = await self.world(agent=SipAgent("tls"))
        await self.both_ways(world)

    async def test_every_kind_of_text(self):
        world = await self.world()
        for what, body in BODIES.items():
            with self.subTest(what):
                await self.both_ways(world, body)

    async def test_a_body_above_the_limit_is_refused_on_its_own_side(self):  # IM-19
        world = await self.world()
        stanza_id = world.juliet.message(ROMEO, "x" * (BODY_BYTES_MAX + 1))
        self.assertEqual(await world.juliet.wait_for_error(stanza_id), ("modify", "policy-violation"))
        response = await world.send_from_romeo("x" * (BODY_BYTES_MAX + 1))
        self.assertEqual(response.status, 413)
        await self.both_ways(world)

    async def test_a_long_text_is_refused_where_only_udp_leads(self):  # IM-18
        world = await self.world(agent=SipAgent("udp"))
        stanza_id = world.juliet.message(ROMEO, "x" * 1400)
        self.assertEqual(await world.juliet.wait_for_error(stanza_id), ("modify", "policy-violation"))
        await self.both_ways(world)

    async def test_many_arrive_once_and_in_order(self):  # GEN-5
        world = await self.world()
        bodies = [f"message {number}" for number in range(40)]
        for body in bodies:
            world.juliet.message(ROMEO, body)
        arrived = [(await world.agent.wait_for_message()).body for _ in bodies]
        self.assertEqual(arrived, bodies)
        for body in bodies:
            self.assertEqual((await world.send_from_romeo(body)).status, 200)
        for body in bodies:
            stanza = await world.juliet.wait_for(lambda s: s.tag.endswith("}message"), body)
            self.assertEqual(stanza.findtext("{jabber:client}body"), body)

    async def test_a_notice_of_archiving_comes_with_the_first_message(self):    # U10
        world = await self.world()
        await self.both_ways(world)
        said = await world.fedgate.control("cs", "Set-CsAccessEdgeConfiguration -EnableArchivingDisclaimer $true")
        self.assertIn("federation.archiving_notice: no -> yes", said)
        self.assertIn("EnableArchivingDisclaimer : True",
                      await world.fedgate.control("cs", "Get-CsAccessEdgeConfiguration"))
        await world.fedgate.control("sysctl", "-w", "federation.archiving_text=We keep what is said.")
        bodies = []

        async def next_body():
            stanza = await world.juliet.wait_for(lambda s: s.tag.endswith("}message"), "a message")
            bodies.append((stanza.get("from"), stanza.findtext("{jabber:client}body")))
        for text in ("first", "second"):
            self.assertEqual((await world.send_from_romeo(text)).status, 200)
        for user in ("benvolio", "romeo", "benvolio"):    # only Benvolio has not written or been written to
            world.juliet.message(f"{user}@{SIP_DOMAIN}", user)
            await world.agent.wait_for_message(user)
        self.assertEqual((await world.send_from_romeo("last")).status, 200)
        for _ in range(5):
            await next_body()
        self.assertEqual(bodies, [(ROMEO, "We keep what is said."), (ROMEO, "first"), (ROMEO, "second"),
                                  (f"benvolio@{SIP_DOMAIN}", "We keep what is said."), (ROMEO, "last")])

    async def test_who_was_seen_can_be_granted_a_policy(self):    # U4
        world = await self.world(keys={"policy/none/description": "nothing", f"user/mute@{SIP_DOMAIN}/policy": "none"})
        await self.both_ways(world)
        world.juliet.message(f"benvolio@{SIP_DOMAIN}", "you, too")
        await world.agent.wait_for_message("you, too")
        world.agent.status = 404
        stanza_id = world.juliet.message(f"nobody@{SIP_DOMAIN}", "you, too")
        await world.juliet.wait_for_error(stanza_id)

        async def seen():
            return (await world.fedgate.control("user", "list", "--seen", "--addresses")).split()
        self.assertEqual(await seen(), [f"benvolio@{SIP_DOMAIN}", ROMEO])
        await world.fedgate.control("cs", "Get-CsUser | Grant-CsExternalAccessPolicy -PolicyName none")
        self.assertEqual(await seen(), [])
        self.assertEqual((await world.send_from_romeo("no more")).status, 403)

    async def test_ports_show_the_listener_and_the_connection(self):
        world = await self.world()
        await self.both_ways(world)
        ports = await world.fedgate.control("ports")
        row = next(line.split() for line in ports.splitlines() if ":5269 " in line)
        self.assertEqual(row[4], "LISTENING", ports)
        self.assertGreaterEqual(int(row[5]), 1, ports)

    async def test_the_sender_must_be_of_a_domain_of_the_route(self):  # SIP-32
        world = await self.world()
        response = await world.agent.send_message(f"sip:someone@{SIP_DOMAIN}.evil.example",
                                                  f"sip:{JULIET}", "not mine", world.fedgate.sip)
        self.assertEqual(response.status, 403)


if __name__ == "__main__":
    unittest.main()
