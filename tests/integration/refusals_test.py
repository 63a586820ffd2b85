"""What can't be delivered comes back on its own side, with the condition that the rules name."""
import re
import unittest

from harness.dns import server_records
from harness.process import wait_until
from harness.sip_agent import SipAgent
from harness.world import JULIET, ROMEO, SIP_DOMAIN, XMPP_DOMAIN, PeerTest, World

# ERR-404, ERR-480, ERR-500. The 503 is last: it marks the target as down for a while (SIP-8).
STATUSES = [(404, ("cancel", "item-not-found")), (486, ("wait", "recipient-unavailable")),
            (503, ("cancel", "internal-server-error"))]


class Refusals(PeerTest):
    async def test_a_status_of_the_sip_side_becomes_a_stanza_error(self):
        world = await self.world()
        for status, condition in STATUSES:
            with self.subTest(status):
                world.agent.status = status
                stanza_id = world.juliet.message(ROMEO, f"answered with {status}")
                self.assertEqual(await world.juliet.wait_for_error(stanza_id), condition)

    async def test_after_a_refusal_the_next_message_passes(self):
        world = await self.world()
        world.agent.status = lambda message: 486 if message.body == "no" else 200
        stanza_id = world.juliet.message(ROMEO, "no")
        world.juliet.message(ROMEO, "yes")
        await world.juliet.wait_for_error(stanza_id)
        await world.agent.wait_for_message("yes")

    async def test_a_dead_sip_target(self):  # ERR-L3
        world = await self.world()
        port = world.agent.port
        await world.agent.stop()
        stanza_id = world.juliet.message(ROMEO, "to nobody")
        self.assertEqual(await world.juliet.wait_for_error(stanza_id), ("wait", "remote-server-timeout"))

        async def tells():
            return re.search(r"^corp.example .* (suspect|down) .*connection (refused|broken)$",
                             await world.fedgate.control("status"), re.MULTILINE)
        await wait_until(tells, "fedctl says what is wrong with it")
        # It comes back, and OPTIONS finds it alive again (SIP-8).
        agent = world.agent = await SipAgent("tcp").start(port)

        async def passes():
            again = world.juliet.message(ROMEO, "to somebody")
            await world.juliet.wait_for(
                lambda s: s.get("id") == again and s.get("type") == "error", "an error", 1)
        for _ in range(40):
            if agent.received:
                break
            try:
                await passes()
            except Exception:
                continue
        await agent.wait_for_message("to somebody")

    async def test_a_partner_that_is_not_listed(self):  # ERR-46, federation.discovery = no
        world = await self.world()
        response = await world.agent.send_message(f"sip:{ROMEO}", "sip:someone@unlisted.example", "hi",
                                                  world.fedgate.sip)
        self.assertEqual(response.status, 403)

    async def test_a_partner_without_any_name_in_dns(self):  # ERR-40
        world = await self.world(keys={"partner/absent.example/type": "federated"})
        response = await world.agent.send_message(f"sip:{ROMEO}", "sip:someone@absent.example", "hi",
                                                  world.fedgate.sip)
        self.assertEqual(response.status, 404)

    async def test_a_partner_that_is_down(self):  # ERR-41
        world = await self.world()
        await world.prosody.kill()
        response = await world.send_from_romeo("to a dead server")
        self.assertEqual(response.status, 408)

    async def test_an_unknown_xmpp_user_is_told_late(self):  # IM-50
        world = await self.world()
        response = await world.agent.send_message(f"sip:{ROMEO}", f"sip:nobody@{XMPP_DOMAIN}", "hi",
                                                  world.fedgate.sip)
        self.assertEqual(response.status, 200)
        notice = await world.agent.wait_for_message()
        self.assertEqual(notice.uri, f"sip:{ROMEO}")
        self.assertIn(f"sip:nobody@{XMPP_DOMAIN}", notice.header("from"))

    async def test_federation_switched_off(self):
        world = await self.world(keys={"federation.allow": "no"})
        response = await world.send_from_romeo("hello")
        self.assertEqual(response.status, 403)

    async def refused_certificate(self, issue, sip_status=403):
        """Neither side lets the other in (ERR-42, S2S-45, S2S-53), and each sender is told."""
        world = await self.world(partner_certificate=issue)
        response = await world.send_from_romeo("to a stranger")
        self.assertEqual(response.status, sip_status)
        stanza_id = world.juliet.message(ROMEO, "from a stranger")
        kind, condition = await world.juliet.wait_for_error(stanza_id)
        self.assertNotEqual(condition, "")
        self.assertEqual(world.agent.received, [])

    async def test_a_certificate_for_another_name(self):
        await self.refused_certificate(lambda authority: authority.issue("other.example"))

    async def test_a_certificate_that_has_expired(self):
        await self.refused_certificate(lambda authority: authority.issue(XMPP_DOMAIN, expired=True))

    async def test_a_certificate_of_an_unknown_root(self):
        await self.refused_certificate(
            lambda authority: type(authority)(authority.directory / "other").issue(XMPP_DOMAIN))

    async def test_tls_is_required_and_the_partner_has_none(self):  # S2S-50, S2S-40
        world = await self.world("dialback", partner_keys={"tls": "required"})
        response = await world.send_from_romeo("in clear?")
        self.assertEqual(response.status, 403)
        stanza_id = world.juliet.message(ROMEO, "in clear?")
        await world.juliet.wait_for_error(stanza_id)
        self.assertEqual(world.agent.received, [])

    async def test_dialback_is_not_allowed(self):
        world = await self.world("tls-dialback", partner_keys={"sasl": "required", "dialback": "no"},
                                 partner_certificate=lambda authority: authority.issue("other.example"))
        self.assertEqual((await world.send_from_romeo("?")).status, 403)
        self.assertEqual(world.agent.received, [])


SECOND = "second.example"


class TwoDomainsWorld(World):
    """Both are ours; the partner may open one stream."""

    def __init__(self, directory):
        super().__init__(directory, partner_keys={"connection_limit": 1})

    def more_records(self):
        return server_records(SECOND, self.fedgate.address)

    async def start_sip(self):
        next_hop = await super().start_sip()
        self.fedgate.certificate = self.authority.issue(SIP_DOMAIN, SECOND)
        self.fedgate.keys[f"domain/{SECOND}/next_hop"] = next_hop
        return next_hop


class OneStreamTooMany(PeerTest):
    async def test_the_partner_is_told_why(self):  # X7, RFC 6120 6.4.6
        world = await self.world(of=TwoDomainsWorld)
        world.juliet.message(ROMEO, "the first stream")
        await world.agent.wait_for_message("the first stream")
        stanza_id = world.juliet.message(f"romeo@{SECOND}", "the second one")
        await world.juliet.wait_for_error(stanza_id)
        reasons = re.findall(r"Outgoing s2s stream \S+ closed: (.*)", "\n".join(world.prosody.log_lines()))
        self.assertEqual([reason.split()[0] for reason in reasons], ["resource-constraint"])


if __name__ == "__main__":
    unittest.main()
