"""Where the SIP side of a domain without next hop is (RFC 3263), out of a real name server."""
import re
import unittest

from harness.process import own_address
from harness.sip_agent import SipAgent
from harness.world import ROMEO, SIP_DOMAIN, PeerTest, World

HOSTING = "hosting.example"


def naptr(order, service, replacement, flags="s", expression=""):
    return f'{SIP_DOMAIN}. IN NAPTR {order} 10 "{flags}" "{service}" "{expression}" {replacement}.'


def srv(name, port, host):
    return f"{name}. IN SRV 0 0 {port} {host}."


class LocatedWorld(World):
    """No next hop: names lead to the agent. proves: what its certificate is for."""

    def __init__(self, directory, records, agent, proves=SIP_DOMAIN, port=0):
        super().__init__(directory, agent=agent)
        self.make_records, self.proves, self.port = records, proves, port

    async def start(self):
        # The port is in the records, so the agent comes first.
        if self.agent.transport == "tls":
            self.agent.certificate = self.authority.issue(self.proves, label="agent")
            self.agent.ca = self.authority.certificate
        await self.agent.start(self.port)
        self.records = self.make_records(self.agent.address, self.agent.port)
        return await super().start()

    async def start_sip(self):
        self.fedgate.use_sip_tls()
        return ""


def hosted(address, port):
    """All of it elsewhere, behind an alias; a service that is not preferred leads nowhere."""
    return [naptr(20, "SIP+D2T", f"_sip._tcp.{HOSTING}"), naptr(5, "SIP+D2U", f"_sip._udp.{HOSTING}"),
            naptr(10, "SIPS+D2T", f"_sips._tcp.{HOSTING}"),
            srv(f"_sips._tcp.{HOSTING}", port, f"pool.{HOSTING}"),
            srv(f"_sip._tcp.{HOSTING}", 1, f"pool.{HOSTING}"),
            f"pool.{HOSTING}. IN CNAME node.{HOSTING}.", f"node.{HOSTING}. IN A {address}"]


def garbage(address, port):
    """NAPTR records that SIP has no use for, or that lead back: SRV decides."""
    return [naptr(1, "SIP+D2T", SIP_DOMAIN, flags=""), naptr(2, "E2U+sip", "", flags="u",
                                                             expression="!^.*$!sip:x@y.example!"),
            naptr(3, "SIP+D2U", SIP_DOMAIN), srv(f"_sip._tcp.{SIP_DOMAIN}", port, f"node.{HOSTING}"),
            f"node.{HOSTING}. IN A {address}"]


def only_an_address(address, _):
    return [f"{SIP_DOMAIN}. IN A {address}"]


class Location(PeerTest):
    async def arrives(self, *arguments, **options):
        world = await self.world(*arguments, of=LocatedWorld, **options)
        world.juliet.message(ROMEO, "by name")
        return await world.agent.wait_for_message("by name")

    async def test_naptr_chooses_the_transport(self):  # SIP-6, SIP-7, SIP-31
        # RFC 3263 4.1, RFC 5922 7.2: wherever the names lead, what is proved is the domain itself.
        message = await self.arrives(hosted, SipAgent("tls"))
        self.assertIn("SIP/2.0/TLS", message.header("via"))

    async def test_who_is_only_named_by_dns_proves_nothing(self):  # SIP-31
        world = await self.world(hosted, SipAgent("tls"), proves=f"pool.{HOSTING}", of=LocatedWorld)
        stanza_id = world.juliet.message(ROMEO, "not to you")
        self.assertEqual(await world.juliet.wait_for_error(stanza_id), ("wait", "remote-server-timeout"))
        self.assertEqual(world.agent.received, [])
        self.assertTrue(re.search("certificate", world.fedgate.process.tail()))

    async def test_garbage_is_passed_over(self):  # SIP-6
        message = await self.arrives(garbage, SipAgent("tcp"))
        self.assertIn("SIP/2.0/TCP", message.header("via"))

    async def test_the_domain_is_the_host(self):  # SIP-6
        address = own_address(5061)
        message = await self.arrives(only_an_address, SipAgent("tls", address), port=5061)
        self.assertIn("SIP/2.0/TLS", message.header("via"))


if __name__ == "__main__":
    unittest.main()
