"""Which certificates prove a SIP peer, as our next hop and as our client: RFC 5922, RFC 5924.

Each kind of certificate has a SIP domain with an agent of its own, whose next hop is a name of its own.
"""
import asyncio
import unittest
from dataclasses import dataclass

from harness.certificates import Authority
from harness.dns import server_records
from harness.sip_agent import SipAgent
from harness.world import JULIET, SIP_DOMAIN, PeerTest, World

AT_ONCE = 5    # XMPP streams that one address may set up at a time are counted (S2S-62)
SIP_USAGE = "1.3.6.1.5.5.7.3.20"    # id-kp-sipDomain


@dataclass(frozen=True)
class Kind:
    """alt_names: with {domain} and {pool}, the domain's next hop below {above}."""
    alt_names: str
    usage: str = "serverAuth,clientAuth"
    is_good: bool = True
    wildcard: str = "no"
    expired: bool = False
    stranger: bool = False


# By the first label of the domain.
KINDS = {
    "uri": Kind("URI:sip:{domain}"),
    "uri-pool": Kind("URI:sip:{pool}"),
    "uri-one-of": Kind("URI:sip:other.example,URI:sip:{domain}"),
    "uri-other": Kind("URI:sip:other.example,DNS:{domain},DNS:{pool}", is_good=False),  # URIs decide
    "uri-user": Kind("URI:sip:romeo@{domain}", is_good=False),
    "uri-web": Kind("URI:https://{domain},DNS:{domain}"),
    "dns": Kind("DNS:{domain}"),
    "dns-pool": Kind("DNS:{pool}"),
    "dns-case": Kind("DNS:DNS-case.Example"),
    "dns-other": Kind("DNS:other.example", is_good=False),
    "dns-above": Kind("DNS:{above}", is_good=False),
    "subject-only": Kind("", is_good=False),
    "address": Kind("IP:127.0.0.1", is_good=False),
    "wild": Kind("DNS:*.{above}", is_good=False),
    "wild-allowed": Kind("DNS:*.{above}", wildcard="yes"),
    "wild-deep": Kind("DNS:*.example", wildcard="yes", is_good=False),
    "wild-uri": Kind("URI:sip:other.example,DNS:*.{above}", wildcard="yes", is_good=False),
    "usage-sip": Kind("DNS:{domain}", SIP_USAGE),
    "usage-server": Kind("DNS:{domain}", "serverAuth"),
    "usage-none": Kind("DNS:{domain}", ""),
    "usage-any": Kind("DNS:{domain}", "anyExtendedKeyUsage"),
    "usage-client": Kind("DNS:{domain}", "clientAuth", is_good=False),
    "usage-mail": Kind("DNS:{domain}", "emailProtection", is_good=False),
    "expired": Kind("DNS:{domain}", expired=True, is_good=False),
    "stranger": Kind("DNS:{domain}", stranger=True, is_good=False),
}
DOMAINS = {f"{name}.example": kind for name, kind in KINDS.items()}


class IdentityWorld(World):
    """Everything over TLS, and no address is trusted."""

    def __init__(self, directory):
        super().__init__(directory, partner_keys={"connection_limit": 100},
                         keys={"sip.trusted": "192.0.2.1", "sip.options_interval": "1h"})
        self.agents = {}

    def more_records(self):
        return [record for domain in DOMAINS for record in
                [*server_records(domain, self.fedgate.address), f"one.pools.{domain}. IN A 127.0.0.1"]]

    async def start_sip(self):
        self.fedgate.use_sip_tls()
        self.fedgate.certificate = self.authority.issue(SIP_DOMAIN, *DOMAINS)
        stranger = Authority(self.directory / "stranger")
        for domain, kind in DOMAINS.items():
            above = f"pools.{domain}"
            pool = f"one.{above}"
            names = kind.alt_names.format(domain=domain, pool=pool, above=above)
            agent = self.agents[domain] = SipAgent("tls")
            agent.certificate = (stranger if kind.stranger else self.authority).issue(
                domain, alt_names=names, usage=kind.usage, expired=kind.expired)
            agent.ca = self.authority.certificate
            await agent.start()
            self.keys[f"domain/{domain}/next_hop"] = f"sip:{pool}:{agent.port};transport=tls"
            self.keys[f"domain/{domain}/wildcard"] = kind.wildcard
        self.fedgate.keys.update(self.keys)
        return ""

    async def stop(self):
        for agent in self.agents.values():
            await agent.stop()
        await super().stop()


class SipIdentity(PeerTest):
    async def as_next_hop(self, world, domain):
        """Does it get a message?"""
        body = f"to {domain}"
        stanza_id = world.juliet.message(f"romeo@{domain}", body)
        if DOMAINS[domain].is_good:
            return bool(await world.agents[domain].wait_for_message(body))
        self.assertEqual(await world.juliet.wait_for_error(stanza_id), ("wait", "remote-server-timeout"))
        self.assertEqual(world.agents[domain].received, [])
        return False

    async def as_client(self, world, domain):
        response = await world.agents[domain].send_message(
            f"sip:romeo@{domain}", f"sip:{JULIET}", f"from {domain}", world.fedgate.sip)
        self.assertIn(response.status, (200, 403))
        return response.status == 200

    async def test_each_kind(self):  # SIP-30, SIP-31
        world = await self.world(of=IdentityWorld)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(how, domain):
            async with gate:
                return await how(world, domain)
        for how in (self.as_next_hop, self.as_client):
            results = await asyncio.gather(*(one(how, domain) for domain in DOMAINS),
                                           return_exceptions=True)
            for (domain, kind), result in zip(DOMAINS.items(), results):
                with self.subTest(how=how.__name__, kind=domain):
                    if isinstance(result, BaseException):
                        raise result
                    self.assertEqual(result, kind.is_good)


if __name__ == "__main__":
    unittest.main()
