"""Which certificates prove a partner's domain, and which do not, for a real server in both directions.

Each kind of certificate has two domains on one server: with `strict` only a certificate will do, so a
bad one is refused and both senders are told; with `lenient` dialback is allowed, and is what remains.
"""
import unittest
from dataclasses import dataclass
from typing import Callable

from harness.certificates import Authority, dns_names, srv_names, xmpp_addresses
from harness.ejabberd import Ejabberd
from harness.partners import ACCOUNTS, DIRECT_DOMAIN, Partners
from harness.process import Process, is_listening, own_address
from harness.prosody import Prosody

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


def revoked(authority, *domains):
    certificate = authority.issue(*domains)
    authority.revoke(certificate)
    return certificate


NAME = "certificate names .*: not "

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
    "in-between-hidden": Kind(lambda *about: below_another(*about, shown=False),
                              "signed by an authority that is not trusted .Middle"),
    "expired": Kind(issued(expired=True), "expired on "),
    "not-yet": Kind(issued(days=(5, 20)), "is not valid before "),
    "self-signed": Kind(lambda authority, *domains: authority.self_signed(*domains),
                        "is self-signed"),
    "stranger": Kind(lambda authority, *domains: other_authority(authority).issue(*domains),
                     "signed by an authority that is not trusted"),
    "revoked": Kind(revoked, "was revoked on "),
    "rsa-1024": Kind(issued(kind=("rsa:1024",)), "RSA key of 1024 bits"),
    "sha-1": Kind(issued(rsa=True, digest="sha1"), "weaker than SHA-256"),
    # CERT-6: what it is for.
    "server-only": Kind(issued(usage="serverAuth")),
    "any-usage": Kind(issued(usage="")),
    "client-only": Kind(issued(usage="clientAuth"), "is not for servers .extended key usage."),
    "an-authority": Kind(issued(more="basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature,"
                                     "keyCertSign"), "is an authority's, not a server's"),
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
    def seen(self):    # S2S-43..45, S2S-52..54
        """(proof, TLS) in fedctl streams, or None: there is none."""
        if self.kind.is_good:
            return "certificate", True
        return ("dialback over TLS", True) if self.mode == "lenient" else None

    @property
    def why(self):
        return None if self.seen else f"^certificate: .*{self.kind.fault}"

    def __str__(self):
        return self.domain


# ejabberd picks the certificate of a domain by the names in it, so only these can be shown by it.
NAMED = [name for name, kind in KINDS.items() if kind.fault != NAME]


class Identity(Partners):
    def prepare(self, names):
        self.cases = [Case(name, KINDS[name], mode) for name in names for mode in MODES]
        self.certificates = {}
        for name in names:
            domains = [case.domain for case in self.cases if case.name == name]
            self.certificates.update(dict.fromkeys(domains, KINDS[name].issue(self.authority, *domains)))

    async def run_all(self, server):
        await self.start({case.domain: MODES[case.mode] for case in self.cases},
                         {case.domain: server for case in self.cases},
                         keys={"tls.external.crl": self.authority.revocation_list()})
        await self.check(self.cases)

    async def test_prosody(self):
        self.prepare(KINDS)
        first = self.cases[0].domain
        await self.run_all(Prosody(
            self.directory / "prosody", first, self.certificates[first], self.authority.certificate,
            ACCOUNTS, "tls-dialback", more=self.certificates,
            legacy=True, tls={"ciphers": "ALL:@SECLEVEL=0"}))    # it shows weak ones too

    async def test_ejabberd(self):
        self.prepare(NAMED)
        await self.run_all(Ejabberd(
            self.directory / "ejabberd",
            {domain: (certificate, "tls-dialback") for domain, certificate in self.certificates.items()},
            self.authority.certificate, ACCOUNTS, legacy=True))


class StaplingServer:
    """TLS with a staple, and behind it nothing that speaks XMPP."""

    def __init__(self, directory, certificate, staple):
        self.address = own_address(5270)
        self.process = Process("s_server", [
            "openssl", "s_server", "-www", "-accept", f"{self.address}:5270", "-cert", certificate.certificate,
            "-key", certificate.key, "-status_file", staple], directory / "s_server.log")
        self.kill = self.process.kill

    async def start(self, dns):
        await self.process.start()
        await self.process.wait_for(lambda: is_listening(self.address, 5270), "its port")


class Stapled(Partners):
    async def test_a_staple_that_says_revoked(self):    # CERT-5
        domain = "stapled.example"
        certificate = self.authority.issue(domain)
        self.authority.revoke(certificate)
        server = StaplingServer(self.directory, certificate, self.authority.staple(certificate))
        await self.start({domain: MODES["strict"]}, {domain: server}, direct=[domain])
        response = await self.agent.send_message(f"sip:romeo@{DIRECT_DOMAIN}", f"sip:juliet@{domain}", "hi",
                                                 self.fedgate.sip)
        self.assertEqual(response.status, 403)
        self.assertRegex((await self.failures(domain))["out"], "^certificate: .*was revoked on ")
        await self.fedgate.stop()


@dataclass(frozen=True)
class Partner:
    domain: str
    seen: tuple = None
    mechanisms: tuple = ()    # that the peer has seen: of us, of itself
    row: str = "lenient"
    why: str = None


class OurOwn(Partners):
    """The partner does not know the authority of our certificate."""

    CASES = (Partner("demanding.example"),
             # We are proved by dialback, he by his certificate.
             Partner("generous.example", ("certificate", True), ("dialback", "EXTERNAL")))
    VARIANTS = {"demanding.example": "external", "generous.example": "tls-dialback"}

    async def run_all(self, servers):
        await self.start({case.domain: MODES[case.row] for case in self.CASES}, servers)

        def the_peer_saw_the_same(case):
            self.assertEqual(servers[case.domain].mechanisms(case.domain),
                             {way: {how} for way, how in zip(("in", "out"), case.mechanisms)})
        await self.check(self.CASES, the_peer_saw_the_same)

    async def test_prosody(self):
        stranger = Authority(self.directory / "stranger")
        await self.run_all({domain: Prosody(self.directory / domain, domain, self.authority.issue(domain),
                                            stranger.certificate, ACCOUNTS, variant)
                            for domain, variant in self.VARIANTS.items()})

    async def test_ejabberd(self):
        stranger = Authority(self.directory / "stranger")
        hosts = {domain: (self.authority.issue(domain), variant) for domain, variant in self.VARIANTS.items()}
        await self.run_all(dict.fromkeys(hosts, Ejabberd(self.directory / "ejabberd", hosts,
                                                         stranger.certificate, ACCOUNTS)))


class Strength(Partners):
    """S2S-13: TLS 1.2 at least, and AEAD; less is no TLS, and no reason to do without."""

    PEERS = {"today": {}, "tls-1-2": {"protocol": "tlsv1_2"}, "tls-1-1": {"protocol": "tlsv1_1"},
             "no-aead": {"protocol": "tlsv1_2", "ciphers": "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"}}
    GOOD = ("today", "tls-1-2")

    async def test_prosody(self):
        cases = [Partner(f"{row}.{peer}.example", row=row,
                         **({"seen": ("certificate", True)} if peer in self.GOOD else
                            {"why": "^tls: the TLS handshake failed"}))
                 for peer in self.PEERS for row in (*MODES, "open")]
        modes = {**MODES, "open": {"tls": "optional", "sasl": "optional", "dialback": "yes"}}
        servers = {}
        for peer, tls in self.PEERS.items():
            domains = [case.domain for case in cases if f".{peer}." in case.domain]
            certificate = self.authority.issue(*domains)
            servers.update(dict.fromkeys(domains, Prosody(
                self.directory / peer, domains[0], certificate, self.authority.certificate, ACCOUNTS,
                "tls-optional", more=dict.fromkeys(domains, certificate), legacy=True,
                tls={"ciphers": "ALL:@SECLEVEL=0", **tls})))
        await self.start({case.domain: modes[case.row] for case in cases}, servers)
        await self.check(cases)


if __name__ == "__main__":
    unittest.main()
