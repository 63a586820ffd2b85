"""Somebody on the way between Fedgate and a real server, who wants less than both can: N11. Where TLS is
required nothing but stream headers and <starttls/> is ever seen in clear, in either direction."""
import re
import ssl
import unittest
from dataclasses import dataclass

from harness.certificates import Authority
from harness.dns import at_address
from harness.middleman import Middleman
from harness.partners import ACCOUNTS, Partners
from harness.prosody import Prosody

FEATURE = r"<starttls xmlns=['\"]urn:ietf:params:xml:ns:xmpp-tls['\"]\s*(/>|>.*?</starttls>)"
EXTERNAL = ("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
            "</mechanisms>")


class Strips(Middleman):
    async def on_server(self, link, text):
        return re.sub(FEATURE, "", text)


class OffersExternal(Middleman):
    async def on_server(self, link, text):
        return re.sub(FEATURE, EXTERNAL, text)


class MakesOptional(Middleman):
    """<required/> is gone, and dialback is there at once."""
    async def on_server(self, link, text):
        return re.sub(FEATURE, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
                               "<dialback xmlns='urn:xmpp:features:dialback'/>", text)


class Refuses(Middleman):
    async def on_client(self, link, text):
        if "<starttls" not in text:
            return text
        link.writers[0].write(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>")
        return "</stream:stream>"


class MakesOld(Middleman):
    """Both take the other for a server of before 2004: no version, no features."""
    async def on_client(self, link, text):
        return re.sub(r"(<stream:stream[^>]*?) version=['\"]1.0['\"]", r"\1", text)

    async def on_server(self, link, text):
        text = await self.on_client(link, text)
        return re.sub(r"<stream:features.*?(</stream:features>|/>)", "", text)


class Injects(Middleman):
    """Speaks first where the server should, so that it counts as said inside TLS (S2S-12)."""
    async def on_server(self, link, text):
        return text + (f"<stream:features>{EXTERNAL}</stream:features>" if "<proceed" in text else "")


class Terminates(Middleman):
    """Shakes hands with both by a certificate of his own."""
    def __init__(self, certificate):
        super().__init__()
        self.certificate = certificate

    def context(self, protocol):
        context = ssl.SSLContext(protocol)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self.certificate.certificate, self.certificate.key)
        return context

    async def on_server(self, link, text):
        if "<proceed" not in text:
            return text
        await link.writers[1].start_tls(self.context(ssl.PROTOCOL_TLS_CLIENT))
        link.writers[0].write(text.encode())
        await link.writers[0].start_tls(self.context(ssl.PROTOCOL_TLS_SERVER))
        return ""


ROWS = {
    "strict": {"tls": "required", "sasl": "required", "dialback": "no"},
    "lenient": {"tls": "required", "sasl": "optional", "dialback": "yes"},
    "prefer": {"tls": "optional", "sasl": "required", "dialback": "no"},    # no method but S/TLS
    "open": {"tls": "optional", "sasl": "optional", "dialback": "yes"},
}
CERTIFICATE, CLEAR = ("certificate", True), ("dialback in clear", False)
TLS = ("dialback over TLS", True)

# Which defence it was that held, where there is no stream. Behind each of them stands another one (no method
# is left then), so that a missing one is seen here only.
# With `prefer` no method is left without TLS, so it is required in fact.
NO_TLS = dict.fromkeys(("strict", "lenient", "prefer"), "^tls: TLS is required, and the partner has none")
WHY = {"strip": NO_TLS, "external": NO_TLS, "old": NO_TLS,
       "inject": dict.fromkeys(ROWS, "^stream error sent: stream error policy-violation"),
       "terminate": dict.fromkeys(("strict", "prefer"), "^certificate: .*is signed by an authority that is not")}

# The streams that there are in spite of him; a row that is not named has none.
ATTACKS = {
    "nothing": (Middleman, dict.fromkeys(ROWS, CERTIFICATE)),
    "strip": (Strips, {"open": CLEAR}),
    "external": (OffersExternal, {"open": CLEAR}),
    "optional": (MakesOptional, dict.fromkeys(ROWS, CERTIFICATE)),
    "refuse": (Refuses, {}),
    "old": (MakesOld, {"open": CLEAR}),
    "inject": (Injects, {}),
    # Dialback asks DNS, and DNS leads to him: that is what `lenient` says.
    "terminate": (Terminates, {"lenient": TLS, "open": TLS}),
}


@dataclass(frozen=True)
class Case:
    attack: str
    row: str

    @property
    def domain(self):
        return f"{self.row}.{self.attack}.example"

    @property
    def seen(self):
        return ATTACKS[self.attack][1].get(self.row)

    @property
    def why(self):
        told = WHY.get(self.attack, {}).get(self.row)
        return {"out": told} if told and not self.seen else None

    @property
    def status(self):
        """What romeo's server is told if there is none: ERR-42, and ERR-45 for a stream that broke the rules."""
        return 500 if self.attack == "inject" else 403

    def __str__(self):
        return self.domain


class Downgrade(Partners):
    def ours(self, domain):
        return domain.split(".")[1] + ".corp.example"

    def records(self):
        """Everybody's names lead to the man in the middle: theirs, and ours."""
        for domain in self.servers:
            attack = domain.split(".")[1]
            yield from at_address(domain, self.towards_them[attack].address)
            yield from at_address(self.ours(domain), self.towards_us[attack].address)

    async def test_nothing_in_clear_where_tls_is_required(self):
        cases = [Case(attack, row) for attack in ATTACKS for row in ROWS]
        stranger = Authority(self.directory / "stranger").issue("mallory.example")

        def one_for_each():
            return {name: attack(*([stranger] if attack is Terminates else []))
                    for name, (attack, _) in ATTACKS.items()}
        self.towards_them, self.towards_us = one_for_each(), one_for_each()
        domains = [case.domain for case in cases]
        certificate = self.authority.issue(*domains)
        prosody = Prosody(self.directory / "prosody", domains[0], certificate, self.authority.certificate,
                          ACCOUNTS, "tls-optional", more=dict.fromkeys(domains, certificate))
        for men, target in ((self.towards_them, lambda: prosody.address),
                            (self.towards_us, lambda: self.fedgate.address)):
            for man in men.values():
                self.addAsyncCleanup(man.stop)
                await man.start(target)
        await self.start({case.domain: ROWS[case.row] for case in cases},
                         dict.fromkeys(domains, prosody))

        def what_he_has_read(case):
            if case.row == "open" or case.seen == TLS:
                return
            for men, side in ((self.towards_them, 0), (self.towards_us, 1)):
                said = "".join(link.said[side] for link in men[case.attack].links
                               if case.domain in "".join(link.said))
                self.assertIn("<stream:stream", said)
                left = re.sub(r"<\?xml.*?\?>|<stream:stream.*?>|<stream:features>.*?</stream:features>|"
                              r"<(starttls|proceed) [^>]*/>|<stream:error>.*?</stream:error>|"
                              r"<db:result [^>]*type='error'.*?</db:result>|</stream:stream>", "", said)
                self.assertEqual(left.strip(), "", side)
                self.assertNotIn("EXTERNAL", said)
        await self.check(cases, what_he_has_read)


if __name__ == "__main__":
    unittest.main()
