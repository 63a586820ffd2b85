"""Partners by the real fedctl, against a real Prosody: added, seen, changed live, refused and explained."""
import asyncio
import json
import os
import pwd
import time
import unittest

from harness.process import Failed
from harness.world import ROMEO, SIP_DOMAIN, XMPP_DOMAIN, PeerTest

LIVE_SECONDS = 1    # P9


class Partners(PeerTest):
    async def eventually(self, what, condition, seconds=15):
        end = time.monotonic() + seconds
        while not (found := await condition()):
            self.assertLess(time.monotonic(), end, what)
            await asyncio.sleep(0.05)
        return found

    async def addresses(self, world):
        """Of the streams that stand: each is another connection."""
        rows = json.loads(await world.fedgate.control("--json", "streams"))["streams"]
        return {(row["direction"], row["address"]) for row in rows if row["proof"]}

    async def test_a_partner_is_added_and_its_stream_comes_up(self):    # P1, P2, P9, P11
        world = await self.world(listed=False)
        partner = world.fedgate.control
        self.assertEqual((await world.send_from_romeo("too early")).status, 403)
        stanza_id = world.juliet.message(ROMEO, "too early")
        await world.juliet.wait_for_error(stanza_id)
        forecast = await partner("partner", "add", XMPP_DOMAIN, "type=federated", "dialback=no", "--dry-run")
        self.assertIn("expected  SASL EXTERNAL over TLS:", forecast)
        self.assertEqual((await world.send_from_romeo("only a dry run")).status, 403)

        await partner("partner", "add", XMPP_DOMAIN, "type=federated", "dialback=no")
        added = time.monotonic()
        self.assertEqual((await world.send_from_romeo("hello")).status, 200)
        await world.juliet.wait_for_body("hello")
        self.assertLess(time.monotonic() - added, LIVE_SECONDS + 2)    # a whole set-up is in it
        shown = await partner("partner", "show", XMPP_DOMAIN)
        self.assertRegex(shown, rf"out +{SIP_DOMAIN} +{XMPP_DOMAIN} +established +certificate")
        self.assertIn("commit 1", shown)

        # It outlives the process, a kill included.
        await world.fedgate.kill()
        await world.fedgate.start()
        world.juliet.message(ROMEO, "after a restart")
        await world.agent.wait_for_message("after a restart")
        self.assertIn(f"  {pwd.getpwuid(os.getuid()).pw_name}  ", await partner("config", "log"))

    async def test_a_change_ends_the_streams_that_it_forbids(self):    # P7, P9
        world = await self.world(listed=False)
        await world.fedgate.control("partner", "add", XMPP_DOMAIN, "type=federated", "dialback=no")
        self.assertEqual((await world.send_from_romeo("hello")).status, 200)
        before = await self.addresses(world)
        await world.fedgate.control("partner", "add", "other.example")
        await world.fedgate.control("partner", "set", XMPP_DOMAIN, "description=not its streams' business")
        await world.fedgate.control("partner", "set", XMPP_DOMAIN, "contact=+33 1 23 45", "notes=asleep at night")  # P10
        self.assertRegex(await world.fedgate.control("partner", "list"), r"CONTACT[^?]*business +\+33 1 23 45\n")
        self.assertIn("asleep at night", await world.fedgate.control("partner", "show", XMPP_DOMAIN))
        self.assertLessEqual(before, await self.addresses(world))
        await world.fedgate.control("partner", "block", XMPP_DOMAIN, "--for", "1h")
        blocked = time.monotonic()

        async def gone():
            return "established" not in await world.fedgate.control("streams")
        await self.eventually("the streams end", gone)
        self.assertLess(time.monotonic() - blocked, LIVE_SECONDS + 1)
        self.assertEqual((await world.send_from_romeo("blocked")).status, 403)
        self.assertIn(f"{XMPP_DOMAIN}, blocked until", await world.fedgate.control("partner", "show", XMPP_DOMAIN))
        await world.fedgate.control("partner", "unblock", XMPP_DOMAIN)
        self.assertEqual((await world.send_from_romeo("back")).status, 200)

    async def test_an_expired_certificate_is_explained(self):
        world = await self.world(
            listed=False, partner_certificate=lambda authority: authority.issue(XMPP_DOMAIN, expired=True))
        await world.fedgate.control("partner", "add", XMPP_DOMAIN, "type=federated", "dialback=no")
        self.assertEqual((await world.send_from_romeo("hello?")).status, 403)
        shown = await world.fedgate.control("partner", "show", XMPP_DOMAIN)
        self.assertIn("streams   none", shown)
        self.assertRegex(shown, "failed    to them, .*\n *the certificate expired on .* UTC "
                         rf"\(subject {XMPP_DOMAIN}, valid until .*\);\n"
                         " +their administrator has to renew it\n")
        self.assertRegex(shown, r"streams   none; after the failure below we don't try again for \d+ s")
        self.assertIn("certificate, ", await world.fedgate.control("partner", "list"))

    async def test_what_cannot_work_is_refused_and_nothing_changes(self):    # N7
        world = await self.world(listed=False)
        await world.fedgate.control("partner", "add", XMPP_DOMAIN, "type=federated", "dialback=no")
        with self.assertRaisesRegex(Failed, "no method is left"):
            await world.fedgate.control("partner", "set", XMPP_DOMAIN, "tls=none")
        with self.assertRaisesRegex(Failed, "can't be read"):
            await world.fedgate.control("partner", "set", XMPP_DOMAIN, "ca=/nowhere.pem")
        self.assertEqual((await world.send_from_romeo("still here")).status, 200)

    async def test_discovery_takes_every_domain_that_is_not_denied(self):    # P7
        world = await self.world(listed=False, keys={"federation.discovery": "yes", "partner/default/type": "federated",
                                          "partner/default/dialback": "no"})
        self.assertEqual((await world.send_from_romeo("hello")).status, 200)
        await world.juliet.wait_for_body("hello")
        await world.fedgate.control("partner", "block", "*.example")
        self.assertEqual((await world.send_from_romeo("denied")).status, 403)

    async def test_a_wildcard_partner_and_one_without_srv(self):    # P5, P6
        world = await self.world(listed=False)
        pattern = f"*.{XMPP_DOMAIN.partition('.')[2]}"
        await world.fedgate.control("partner", "add", pattern, "type=federated", "dialback=no",
                                    f"proxy={world.prosody.address}:1")
        self.assertEqual((await world.send_from_romeo("DNS would know better")).status, 408)
        await world.fedgate.control("partner", "set", pattern, f"proxy={world.prosody.address}:5269")
        self.assertEqual((await world.send_from_romeo("hello")).status, 200)
        await world.juliet.wait_for_body("hello")


if __name__ == "__main__":
    unittest.main()
