"""Which certificates prove a partner's domain, and which do not, for a real server in both directions.

Each kind of certificate has two domains on one server: with `strict` only a certificate will do, so a
bad one is refused and both senders are told; with `lenient` dialback is allowed, and is what remains.
"""
import asyncio
import json
import unittest
from dataclasses import dataclass
from typing import Callable

from harness.certificates import (Authority, dns_names, srv_names, xmpp_addresses)
from harness.dns import Dns, at_address
from harness.fedgate import Fedgate
from harness.prosody import Prosody
from harness.sip_agent import SipAgent
from harness.world import SIP_DOMAIN, PeerTest, binaries
from harness.xmpp_client import XmppClient

MODES = {"strict": {"tls": "required", "sasl": "required", "dialback": "no"},
         "lenient": {"tls": "required", "sasl": "optional", "dialback": "yes"}}


@dataclass(frozen=True)
class Kind:
    """issue(authority, first domain, second domain): the certificate; fault: what is told of it."""
    issue: Callable
    fault: str = ""

    @property
    def is_good(self):
        return not self.fault


def issued(alt_names=dns_names, **options):
    return lambda authority, *domains: authority.issue(
        *domains, alt_names=alt_names(*domains), **options)


def other_authority(authority):
    return Authority(authority.directory / "other")


def below_another(authority, *domains, shown=True):
    middle = Authority(authority.directory / f"middle-{shown}", f"Middle {shown}", above=authority)
    leaf = middle.issue(*domains)
    return middle.with_chain(leaf) if shown else leaf


NAME = "name"

# By the subject of a kind: the first label of its domains.
KINDS = {
    # CERT-2, CERT-3, CERT-4: what names a domain.
    "dns-name": Kind(issued()),
    "srv-name": Kind(issued(srv_names)),
    "xmpp-addr": Kind(issued(xmpp_addresses)),
    "upper-case": Kind(issued(lambda *domains: dns_names(*domains).upper())),
    "wildcard": Kind(issued(lambda *domains: dns_names(*("*." + d.split(".", 1)[1] for d in domains)))),
    "among-others": Kind(issued(lambda *domains: dns_names("a.example", *domains, "b.example"))),
    "wrong-name": Kind(issued(lambda *_: dns_names("other.example")), NAME),
    "common-name": Kind(issued(lambda *_: ""), NAME),
    "common-name-beside": Kind(issued(lambda *_: dns_names("other.example")), NAME),
    "parent": Kind(issued(lambda *domains: dns_names(*(d.split(".", 1)[1] for d in domains))), NAME),
    "wide-wildcard": Kind(issued(lambda *_: dns_names("*.example")), NAME),
    "part-wildcard": Kind(issued(lambda *domains: dns_names(*("part-*" + d[len("part-wildcard"):]
                                                              for d in domains))), NAME),
    "client-srv": Kind(issued(lambda *domains: srv_names(*domains, service="_xmpp-client")), NAME),
    "a-user": Kind(issued(lambda *domains: xmpp_addresses(*("romeo@" + d for d in domains))), NAME),
    # CERT-5: chain, time, strength.
    "rsa": Kind(issued(rsa=True)),
    "p384": Kind(issued(kind=("ec", "-pkeyopt", "ec_paramgen_curve:P-384"))),
    "in-between": Kind(below_another),
    "in-between-hidden": Kind(lambda *about: below_another(*about, shown=False), "issuer is not known"),
    "expired": Kind(issued(expired=True), "has expired"),
    "not-yet": Kind(issued(days=(5, 20)), "not valid yet"),
    "self-signed": Kind(lambda authority, *domains: authority.self_signed(*domains),
                        "issuer is not known"),
    "stranger": Kind(lambda authority, *domains: other_authority(authority).issue(*domains),
                     "issuer is not known"),
    "rsa-1024": Kind(issued(kind=("rsa:1024",)), "fewer than 2048 bits"),
    "sha-1": Kind(issued(rsa=True, digest="sha1"), "weaker than SHA-256"),
    # CERT-6: what it is for.
    "server-only": Kind(issued(usage="serverAuth")),
    "any-usage": Kind(issued(usage="")),
    "client-only": Kind(issued(usage="clientAuth"), "extended key usage"),
    "an-authority": Kind(issued(more="basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature,"
                                     "keyCertSign"), "authority's"),
}


@dataclass(frozen=True)
class Case:
    name: str
    kind: Kind
    mode: str

    @property
    def domain(self):
        return f"{self.name}.{self.mode}.example"

    @property
    def proof(self):
        """In fedctl streams, or None: no stream."""
        if self.kind.is_good:
            return "certificate"
        return "dialback over TLS" if self.mode == "lenient" else None


class Identity(PeerTest):
    async def start(self, kinds, **options):
        authority, self.agent = Authority(self.directory / "ca"), SipAgent("tcp")
        self.cases = [Case(name, kind, mode) for name, kind in kinds.items() for mode in MODES]
        certificates = {}
        for name, kind in kinds.items():
            domains = [case.domain for case in self.cases if case.name == name]
            certificates.update(dict.fromkeys(domains, kind.issue(authority, *domains)))
        first = self.cases[0].domain
        self.prosody = Prosody(self.directory / "prosody", first, certificates[first],
                               authority.certificate, {"juliet": "secret"}, "tls-dialback",
                               more=certificates, **options)
        self.addAsyncCleanup(self.agent.stop)
        await self.agent.start()
        self.fedgate = Fedgate(
            self.directory / "fedgate", binaries(), authority.issue(SIP_DOMAIN), authority.certificate,
            None, {case.domain: MODES[case.mode] for case in self.cases},
            {SIP_DOMAIN: {"next_hop": self.agent.uri}},
            {"xmpp.rate.connections_per_address": "none", "xmpp.limits.unauthenticated_per_address": 100})
        records = at_address(SIP_DOMAIN, self.fedgate.address)
        for case in self.cases:
            records += at_address(case.domain, self.prosody.address)
        self.fedgate.dns = await Dns(self.directory / "dns", dict.fromkeys(records)).start()
        self.addAsyncCleanup(self.fedgate.dns.stop)
        self.addAsyncCleanup(self.fedgate.kill)
        self.addAsyncCleanup(self.prosody.kill)
        await asyncio.gather(self.fedgate.start(), self.prosody.start(self.fedgate.dns))

    async def crosses(self, case):
        juliet = await XmppClient(self.prosody.address, case.domain, "juliet", "secret").start()
        self.addAsyncCleanup(juliet.stop)
        romeo = f"romeo.{case.domain}@{SIP_DOMAIN}"
        body = f"between {romeo} and {juliet.jid}"
        response = await self.agent.send_message(f"sip:{romeo}", f"sip:{juliet.jid}", body,
                                                 self.fedgate.sip)
        self.assertEqual(response.status, 200 if case.proof else 403)    # ERR-42
        stanza_id = juliet.message(romeo, body)
        if case.proof:
            await juliet.wait_for_body(body)
            await self.agent.wait_for_message(body)
        else:
            await juliet.wait_for_error(stanza_id)
        self.assertEqual([s for s in juliet.received if s.tag.endswith("}message")], [])

    async def check(self):
        results = await asyncio.gather(*map(self.crosses, self.cases), return_exceptions=True)
        streams = {}
        for row in json.loads(await self.fedgate.control("--json", "streams"))["streams"]:
            if row["proof"]:
                streams[(row["their_domain"], row["direction"])] = (row["proof"], bool(row["tls"]))
        for case, result in zip(self.cases, results):
            with self.subTest(case.domain):
                if isinstance(result, BaseException):
                    raise result
                for direction in ("in", "out"):    # S2S-43..45, S2S-52..54
                    self.assertEqual(streams.get((case.domain, direction)),
                                     case.proof and (case.proof, True), direction)
        self.assertEqual(self.agent.received, [])
        await self.fedgate.stop()

    async def test_every_kind_of_certificate(self):
        await self.start(KINDS, legacy=True)    # it shows weak ones too
        await self.check()


if __name__ == "__main__":
    unittest.main()
