"""The harness proves itself: two Prosodies federate, so CA, DNS and configurations are right."""
import unittest

from harness.certificates import Authority
from harness.dns import Dns, server_records
from harness.prosody import Prosody
from harness.world import PeerTest
from harness.xmpp_client import XmppClient


class PairOfProsodies(PeerTest):
    async def pair(self, variant, trusted=True):
        """Two clients, juliet on one server and romeo on the other."""
        authority = Authority(self.directory / "ca")
        other = authority if trusted else Authority(self.directory / "other-ca")
        peers = [Prosody(self.directory / domain, domain, issuer.issue(domain),
                         authority.certificate, {account: "secret"}, variant)
                 for domain, account, issuer in (("one.example", "juliet", authority),
                                                 ("two.example", "romeo", other))]
        dns = await Dns(self.directory / "dns", [line for peer in peers for line in
                                                 server_records(peer.domain, peer.address)]).start()
        self.addAsyncCleanup(dns.stop)
        clients = []
        for peer in peers:
            self.addAsyncCleanup(peer.kill)
            await peer.start(dns)
            client = XmppClient(peer.address, peer.domain, next(iter(peer.accounts)), "secret")
            clients.append(await client.start())
            self.addAsyncCleanup(client.stop)
        return clients

    async def both_talk(self, variant, trusted=True):
        juliet, romeo = await self.pair(variant, trusted)
        juliet.message(romeo.jid, "Wherefore art thou?")
        await romeo.wait_for_body("Wherefore art thou?")
        romeo.message(juliet.jid, "Here & <now> \U0001f339")
        await juliet.wait_for_body("Here & <now> \U0001f339")

    async def test_external(self):
        await self.both_talk("external")

    async def test_external_refuses_a_certificate_of_an_unknown_root(self):
        juliet, romeo = await self.pair("external", trusted=False)
        _, condition = await juliet.wait_for_error(juliet.message(romeo.jid, "?"))
        self.assertIn(condition, ("remote-server-not-found", "not-authorized",
                                  "remote-server-timeout"))

    async def test_dialback_without_tls(self):
        await self.both_talk("dialback")

    async def test_dialback_over_tls_with_an_unknown_root(self):
        await self.both_talk("tls-dialback", trusted=False)


if __name__ == "__main__":
    unittest.main()
