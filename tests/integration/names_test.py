"""How a partner is found: SRV, DNSSEC and DANE, with real name servers and a real Prosody."""
import asyncio
import json
import unittest

from harness.certificates import Authority
from harness.dns import Dns, at_address
from harness.fedgate import Fedgate
from harness.process import wait_until
from harness.prosody import Prosody
from harness.signed_dns import SignedDns, Zone, tlsa
from harness.sip_agent import SipAgent
from harness.world import SIP_DOMAIN, PeerTest, binaries
from harness.xmpp_client import XmppClient

ACCOUNTS = {"juliet": "secret"}
STRICT = {"tls": "required", "sasl": "required", "dialback": "no"}


class Names(PeerTest):
    """Fedgate asks NSD; Prosody, which only has to find our domain, asks a server of its own."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.authority = Authority(self.directory / "ca")
        self.other = Authority(self.directory / "other")
        self.agent = SipAgent("tcp")
        await self.agent.start()
        self.addAsyncCleanup(self.agent.stop)
        self.juliets = {}
        self.certificates = {}

    def certify(self, domain, certificate):
        self.certificates[domain] = certificate
        return certificate

    def trusted(self, domain):
        return self.certify(domain, self.authority.issue(domain))

    def self_signed(self, domain):
        return self.certify(domain, self.authority.self_signed(domain))

    async def relay(self, address):
        """Another port, for what Prosody has on 5269; returns it."""
        async def carry(reader, writer):
            try:
                there, to = await asyncio.open_connection(self.prosody.address, 5269)
            except OSError:
                return writer.close()

            async def pump(source, sink):
                try:
                    while data := await source.read(65536):
                        sink.write(data)
                finally:
                    sink.close()
            await asyncio.gather(pump(reader, to), pump(there, writer), return_exceptions=True)
        server = await asyncio.start_server(carry, address, 0)
        self.addAsyncCleanup(server.wait_closed)
        self.addCleanup(server.close)
        return server.sockets[0].getsockname()[1]

    async def start(self, zones, partners, keys=None, direct_tls=False):
        first = next(iter(self.certificates))
        self.prosody = Prosody(self.directory / "prosody", first, self.certificates[first],
                               self.authority.certificate, ACCOUNTS, "external",
                               more=self.certificates, direct_tls=direct_tls)
        self.fedgate = Fedgate(self.directory / "fedgate", binaries(), self.authority.issue(SIP_DOMAIN),
                               self.authority.certificate, None, partners,
                               {SIP_DOMAIN: {"next_hop": self.agent.uri}}, keys)
        self.zones = SignedDns(self.directory / "zones", await zones(self.prosody))
        await self.zones.start()
        self.addAsyncCleanup(self.zones.stop)
        self.fedgate.dns = self.zones
        self.fedgate.keys.setdefault("net.dns.trust_anchor", self.zones.trust_anchor)
        theirs = await Dns(self.directory / "dns", at_address(SIP_DOMAIN, self.fedgate.address)).start()
        self.addAsyncCleanup(theirs.stop)
        self.addAsyncCleanup(self.prosody.kill)
        self.addAsyncCleanup(self.fedgate.kill)
        await asyncio.gather(self.prosody.start(theirs), self.fedgate.start())

    async def send(self, domain):
        """The status that romeo's server is told of a message to juliet there; 200: she has it."""
        body = f"to {domain}"
        host = domain.encode("idna").decode()    # ADDR-5
        if domain in self.certificates:
            juliet = await XmppClient(self.prosody.address, domain, "juliet", "secret").start()
            self.addAsyncCleanup(juliet.stop)
            self.juliets[domain] = juliet
        response = await self.agent.send_message(f"sip:romeo@{SIP_DOMAIN}", f"sip:juliet@{host}", body,
                                                 self.fedgate.sip)
        if response.status == 200:
            await juliet.wait_for_body(body)
        return response.status

    def has_logged(self, domain, reason):
        return any(domain in line and reason in line
                   for line in self.fedgate.process.log.read_text().splitlines())

    async def check(self, expected):
        """expected: domain -> the status, and a part of the log for it (or None)."""
        statuses = await asyncio.gather(*map(self.send, expected), return_exceptions=True)
        for (domain, (status, reason)), result in zip(expected.items(), statuses):
            with self.subTest(domain):
                if isinstance(result, BaseException):
                    raise result
                self.assertEqual(result, status)
                if reason:
                    await wait_until(lambda: self.has_logged(domain, reason), f"{domain}: {reason}", 5)


class Dane(Names):
    """CERT-8, S2S-56: what TLSA records say, where DNSSEC vouches for them (RFC 7673)."""

    async def test_prosody(self):
        records = []
        at = {}

        def server(domain, record=None, port=5269):
            at[domain] = [f"_xmpp-server._tcp.{domain}. IN SRV 0 0 {port} host.{domain}.",
                          f"host.{domain}. IN A @ADDRESS@"]
            if record:
                at[domain].append(f"_{port}._tcp.host.{domain}. IN TLSA {record}")
        for kind in ("own", "own-whole"):
            domain = f"{kind}.secure"
            certificate = self.self_signed(domain).certificate
            server(domain, tlsa(certificate, 3, 1 if kind == "own" else 0))
        nameless = self.certify("nameless.secure", self.authority.self_signed("else.example"))
        server("nameless.secure", tlsa(nameless.certificate, 3))
        below = self.certify("anchor.secure", self.other.with_chain(self.other.issue("anchor.secure")))
        server("anchor.secure", tlsa(self.other.certificate, 2))
        hosted = self.certify("hosted.secure",
                              self.other.with_chain(self.other.issue("host.hosted.secure")))
        server("hosted.secure", tlsa(self.other.certificate, 2, 0))
        server("besides.secure", tlsa(self.trusted("besides.secure").certificate, 1))
        server("root.secure", tlsa(self.authority.certificate, 0))
        self.trusted("root.secure")
        self.trusted("plainly.secure")
        server("plainly.secure")
        self.trusted("wrong.secure")
        server("wrong.secure", tlsa(nameless.certificate, 3))
        server("besides-untrusted.secure", tlsa(self.self_signed("besides-untrusted.secure").certificate, 1))
        server("odd.secure", "9 9 9 abcdef")
        self.trusted("odd.secure")
        server("ignored.unsigned", tlsa(self.self_signed("ignored.unsigned").certificate, 3))
        server("switched-off.secure", tlsa(self.self_signed("switched-off.secure").certificate, 3))
        server("forged.bogus", tlsa(self.self_signed("forged.bogus").certificate, 3))
        # The name of a proxy is as good as that of an SRV target.
        for domain, shown in (("proxied.secure", self.self_signed("proxied.secure")),
                              ("proxied-wrong.secure", nameless)):
            at[domain] = [f"host.{domain}. IN A @ADDRESS@",
                          f"_5269._tcp.host.{domain}. IN TLSA {tlsa(shown.certificate, 3)}"]
        self.trusted("proxied-wrong.secure")
        del records, below, hosted

        async def zones(prosody):
            def lines(zone):
                return [line.replace("@ADDRESS@", prosody.address) for domain, all in at.items()
                        if domain.endswith(f".{zone}") for line in all]
            return [Zone("secure", lines("secure")), Zone("unsigned", lines("unsigned"), signed=False),
                    Zone("bogus", lines("bogus"), forge=("0 0 5269", "0 0 5270"))]
        partners = {domain: STRICT for domain in at}
        partners["switched-off.secure"] = {**STRICT, "dane": "no"}
        for domain in ("proxied.secure", "proxied-wrong.secure"):
            partners[domain] = {**STRICT, "proxy": f"host.{domain}"}
        partners["wrong.secure"] = {"tls": "optional", "sasl": "optional", "dialback": "yes"}
        await self.start(zones, partners)
        proved = ("own", "own-whole", "nameless", "anchor", "hosted", "besides", "root", "plainly", "odd")
        await self.check({
            **{f"{name}.secure": (200, None) for name in proved},
            "proxied.secure": (200, None),
            "proxied-wrong.secure": (403, "TLSA records"),
            # No PKIX instead, and no dialback.
            "wrong.secure": (403, "TLSA records"),
            "besides-untrusted.secure": (403, "TLSA records"),
            "ignored.unsigned": (403, None),
            "switched-off.secure": (403, None),
            "forged.bogus": (408, "DNSSEC"),
        })
        # Prosody comes to us with the same certificates.
        refused = ("wrong.secure", "besides-untrusted.secure", "ignored.unsigned", "switched-off.secure")
        sent = {domain: self.juliets[domain].message(f"romeo@{SIP_DOMAIN}", f"from {domain}")
                for domain in (*(f"{name}.secure" for name in proved), *refused)}
        for domain, stanza in sent.items():
            if domain in refused:
                await self.juliets[domain].wait_for_error(stanza)
            else:
                await self.agent.wait_for_message(f"from {domain}")
        streams = json.loads(await self.fedgate.control("--json", "streams"))["streams"]
        for direction in ("out", "in"):
            with self.subTest(direction):
                names = (*proved, "proxied") if direction == "out" else proved
                self.assertEqual({row["their_domain"]: row["proof"] for row in streams
                                  if row["direction"] == direction and row["proof"]},
                                 {f"{name}.secure": "certificate" for name in names})
        await self.fedgate.stop()


class Servers(Names):
    """DNS-1..DNS-6, D1, D3, D4, X2, X16."""

    async def test_prosody(self):
        book, book_in_dns = "bücher.example", "xn--bcher-kva.example"
        # Prosody shows its first certificate on its port of direct TLS.
        at_once = self.authority.issue("direct.example", "prefers.example", "by-proxy.example")
        for domain in ("direct.example", "prefers.example", "by-proxy.example"):
            self.certify(domain, at_once)
        for name in ("odd-port", "six", "no-srv"):
            self.trusted(f"{name}.example")
        self.certify(book, self.authority.issue(book_in_dns))

        async def zones(prosody):
            odd, six = await self.relay("127.0.0.1"), await self.relay("::1")
            return [Zone("example", [
                f"_xmpp-server._tcp.odd-port.example. IN SRV 0 0 {odd} host.odd-port.example.",
                "host.odd-port.example. IN A 127.0.0.1",
                f"_xmpp-server._tcp.six.example. IN SRV 0 0 {six} host.six.example.",
                "host.six.example. IN AAAA ::1",
                f"no-srv.example. IN A {prosody.address}",
                "_xmpps-server._tcp.direct.example. IN SRV 0 0 5270 host.direct.example.",
                "_xmpp-server._tcp.direct.example. IN SRV 0 0 0 .",
                f"host.direct.example. IN A {prosody.address}",
                # Nobody on the first; DNS-2: with prefer_direct it is not even tried.
                "_xmpps-server._tcp.prefers.example. IN SRV 5 0 5270 host.prefers.example.",
                "_xmpp-server._tcp.prefers.example. IN SRV 5 0 5268 host.prefers.example.",
                f"host.prefers.example. IN A {prosody.address}",
                f"_xmpp-server._tcp.{book_in_dns}. IN SRV 0 0 5269 host.{book_in_dns}.",
                f"host.{book_in_dns}. IN A {prosody.address}",
                "_xmpp-server._tcp.none.example. IN SRV 0 0 0 .",
                f"none.example. IN A {prosody.address}",
                "_xmpp-server._tcp.dead.example. IN SRV 0 0 1 host.direct.example.",
                f"dead.example. IN A {prosody.address}",
                "_xmpp-server._tcp.loop.example. IN SRV 0 0 5269 host.loop.example.",
                f"host.loop.example. IN A {self.fedgate.address}",
                "_xmpp-server._tcp.cname.example. IN CNAME a.cname.example.",
                "a.cname.example. IN CNAME _xmpp-server._tcp.cname.example.",
                "_xmpps-server._tcp.cname.example. IN CNAME a.cname.example.",
                "cname.example. IN CNAME a.cname.example.",
            ])]
        names = ("odd-port", "six", "no-srv", "direct", "prefers", "none", "dead", "loop", "cname",
                 "nowhere", "silent")
        partners = {f"{name}.example": STRICT for name in names}
        partners["broken.elsewhere"] = STRICT
        partners[book] = STRICT    # D7: as people write it
        partners["prefers.example"] = {**STRICT, "prefer_direct": "yes"}
        partners["by-proxy.example"] = {**STRICT, "prefer_direct": "yes", "proxy": "host.direct.example"}
        await self.start(zones, partners, direct_tls=True)
        silent = asyncio.create_task(self.send("silent.example"))
        await self.check({
            **{f"{name}.example": (200, None) for name in ("odd-port", "six", "no-srv", "direct", "prefers",
                                                       "by-proxy")},
            book: (200, None),
            "none.example": (404, "DNS has no XMPP server"),
            "nowhere.example": (404, "DNS has no XMPP server"),
            "dead.example": (408, "can't be reached"),
            "loop.example": (404, None),
            "cname.example": (408, "DNS did not answer"),
            "broken.elsewhere": (408, "DNS did not answer"),
        })
        # D4: a name server that is silent about one has held up nobody.
        self.assertFalse(silent.done())
        silent.cancel()
        await asyncio.gather(silent, return_exceptions=True)


if __name__ == "__main__":
    unittest.main()
