"""Every row of the negotiation matrix (features.md A5) against real servers, in both directions: the
message crosses by the best method that the row lists and the peer has, or its sender is told."""
import contextlib
import json
import subprocess
import unittest
from dataclasses import dataclass

from harness.certificates import Authority
from harness.dns import Dns
from harness.ejabberd import Ejabberd
from harness.fedgate import Fedgate
from harness.partners import ACCOUNTS, Partners
from harness.process import Failed, wait_until
from harness.prosody import Prosody
from harness.world import SIP_DOMAIN, PeerTest, binaries

STLS, DTLS, DTCP = "S/TLS", "D/TLS", "D/TCP"

# features.md A5, the rows with a method: tls, sasl, dialback -> the expected methods.
ROWS = {
    ("required", "required", "yes"): (STLS,),
    ("required", "required", "no"): (STLS,),
    ("optional", "required", "yes"): (STLS, DTLS, DTCP),
    ("optional", "required", "no"): (STLS,),
    ("none", "required", "yes"): (DTCP,),
    ("required", "optional", "yes"): (STLS, DTLS),
    ("required", "optional", "no"): (STLS,),
    ("optional", "optional", "yes"): (STLS, DTLS, DTCP),
    ("optional", "optional", "no"): (STLS,),
    ("none", "optional", "yes"): (DTCP,),
    ("required", "none", "yes"): (DTLS,),
    ("optional", "none", "yes"): (DTLS, DTCP),
    ("none", "none", "yes"): (DTCP,),
}
INVALID = [("none", "required", "no"), ("none", "optional", "no"), ("required", "none", "no"),
           ("optional", "none", "no"), ("none", "none", "no")]
# The rows with "warn", and those that leave clear text to the peer.
WARNED = [("required", "required", "yes"), ("optional", "required", "yes"), ("optional", "required", "no"),
          ("none", "required", "yes"), ("optional", "optional", "yes"), ("optional", "optional", "no"),
          ("none", "optional", "yes"), ("optional", "none", "yes"), ("none", "none", "yes")]


@dataclass(frozen=True)
class Peer:
    """variant: of the harness; methods: what it can do, the best first. direct: by TLS without STARTTLS,
    in both directions (XEP-0368)."""
    variant: str
    methods: tuple
    trusted: bool = True
    direct: bool = False


PEERS = {
    # TLS and the certificate, nothing else.
    "certificate": Peer("external", (STLS,)),
    # A certificate that nobody knows: dialback, over TLS.
    "stranger": Peer("tls-dialback", (DTLS,), trusted=False),
    # No TLS.
    "clear": Peer("dialback", (DTCP,)),
    # All of it, and nothing insisted on.
    "any": Peer("tls-optional", (STLS, DTLS, DTCP)),
    # It insists on certificates and shows one that proves nothing.
    "impostor": Peer("external", (), trusted=False),
    # With XEP-0198 and XEP-0288 (of Prosody; ejabberd 23.01 has neither between servers).
    "modern": Peer("modern", (STLS, DTLS)),
    # Without STARTTLS, from the first byte.
    "direct": Peer("tls-optional", (STLS, DTLS), direct=True),
}


@dataclass(frozen=True)
class Cell:
    row: tuple
    peer: str
    domain: str

    @property
    def method(self):
        """The one that must be used, or None."""
        return next((m for m in PEERS[self.peer].methods if m in ROWS[self.row]), None)

    @property
    def seen(self):
        """(proof, TLS) in fedctl streams, or None."""
        if self.method == DTLS and PEERS[self.peer].trusted:
            return "certificate", True     # S2S-43, S2S-54: it proves the domain, by whatever element
        return {STLS: ("certificate", True), DTLS: ("dialback over TLS", True),
                DTCP: ("dialback in clear", False)}.get(self.method)

    @property
    def why(self):
        """Matches what is told of its failure, in both directions."""
        if self.method is None and self.peer == "clear":
            return "^tls: TLS is required"
        if self.method is None and self.peer == "stranger" and STLS in ROWS[self.row]:
            return "^certificate: .* not trusted"
        return None

    def __str__(self):
        return f"{'/'.join(self.row)} with {self.domain}"


def domain_of(row, peer, server):
    return f"{'-'.join(row)}.{peer}.{server}.example"


class Matrix(Partners):
    def prepare(self, server, peers):
        """Certificates and domains for each peer, and all cells."""
        strangers = Authority(self.directory / "strangers")
        self.domains = {peer: [domain_of(row, peer, server) for row in ROWS] for peer in peers}
        self.certificates = {peer: (self.authority if PEERS[peer].trusted else strangers).issue(
            f"*.{peer}.{server}.example", label=f"{peer}.{server}") for peer in peers}
        # With direct TLS there is nothing to say about a partner that has none.
        self.cells = [Cell(row, peer, domain_of(row, peer, server)) for row in ROWS for peer in peers
                      if not (PEERS[peer].direct and row[0] == "none")]

    async def run_all(self, servers):
        await self.start(
            {cell.domain: dict(zip(("tls", "sasl", "dialback"), cell.row)) for cell in self.cells},
            {cell.domain: servers[cell.peer] for cell in self.cells},
            [cell.domain for cell in self.cells if PEERS[cell.peer].direct])

        def the_peer_saw_the_same(cell):
            mechanism = {"EXTERNAL" if cell.method == STLS else "dialback"}
            self.assertEqual(servers[cell.peer].mechanisms(cell.domain),
                             {"in": mechanism, "out": mechanism} if cell.method else {})
        for peer in servers:
            if isinstance(servers[peer], Ejabberd) and PEERS[peer].variant == "external":
                continue  # it offers dialback, and then refuses it: no offer tells
            with self.subTest(forecast=peer):
                await self.check_forecast(peer)
        await self.check(self.cells, the_peer_saw_the_same)

    async def check_forecast(self, peer):
        """P11: what doctor says beforehand of every row is what the streams of that row then come to."""
        names = {STLS: "SASL EXTERNAL over TLS", DTLS: "dialback over TLS", DTCP: "dialback in clear", None: "refused"}
        try:
            text = await self.fedgate.control("--json", "doctor", self.domains[peer][0], "--forecast")
        except Failed as failed:
            text = str(failed).partition(": ")[2]
        rows = {(row["tls"], row["sasl"], row["dialback"]): (row["method"], row["proof"])
                for row in json.loads(text)["forecast"]["rows"]}
        self.assertEqual(len(rows), 18)
        for row in INVALID:
            self.assertEqual(rows[row][0], "refused")
        for cell in self.cells:
            if cell.peer == peer:
                self.assertEqual(rows[cell.row], (names[cell.method], cell.seen[0] if cell.seen else ""), cell)

    async def test_prosody(self):
        self.prepare("prosody", PEERS)
        await self.run_all({
            peer: Prosody(self.directory / peer, self.domains[peer][0], self.certificates[peer],
                          self.authority.certificate, ACCOUNTS, PEERS[peer].variant,
                          more=dict.fromkeys(self.domains[peer], self.certificates[peer]),
                          direct_tls=PEERS[peer].direct) for peer in PEERS})

    async def test_ejabberd(self):
        peers = [peer for peer in PEERS if peer != "modern"]
        self.prepare("ejabberd", peers)
        await self.run_all(dict.fromkeys(peers, Ejabberd(
            self.directory / "ejabberd", {domain: (self.certificates[peer], PEERS[peer].variant)
                                          for peer in peers for domain in self.domains[peer]},
            self.authority.certificate, ACCOUNTS)))


class LiveChange(Partners):
    """P9: another row holds at once, for new streams and for those that stand; nobody else notices."""

    async def rows(self):
        """The streams of each domain, so that a new one is seen to be another."""
        return {(row["their_domain"], row["direction"]): row["address"] for row in
                json.loads(await self.fedgate.control("--json", "streams"))["streams"] if row["proof"]}

    async def change(self, **keys):
        await self.fedgate.control("sysctl", "-w", *(f"partner/{domain}/{key}={value}" for domain in self.CHANGED
                                                     for key, value in keys.items()))

    CHANGED = ("changed.prosody.example", "changed.ejabberd.example")

    async def test_from_dialback_to_certificates_and_back(self):
        other = "other.prosody.example"
        stranger = Authority(self.directory / "stranger").issue(*self.CHANGED, other)
        prosody = Prosody(self.directory / "prosody", other, stranger, self.authority.certificate, ACCOUNTS,
                          "tls-dialback", more={self.CHANGED[0]: stranger})
        ejabberd = Ejabberd(self.directory / "ejabberd", {self.CHANGED[1]: (stranger, "tls-dialback")},
                            self.authority.certificate, ACCOUNTS)
        domains = (*self.CHANGED, other)
        await self.start(dict.fromkeys(domains, {"tls": "required", "sasl": "optional", "dialback": "yes"}),
                         dict(zip(domains, (prosody, ejabberd, prosody))))
        for domain in domains:
            await self.converse(domain, True)
        before = await self.rows()
        self.assertEqual(len(before), 6, before)

        await self.change(sasl="required", dialback="no")

        async def only_the_other():
            return {domain for domain, _ in await self.rows()} == {other}
        await wait_until(only_the_other, "the streams that the row forbids are closed")
        for domain in self.CHANGED:
            await self.converse(domain, False)
        await self.converse(other, True)

        await self.change(sasl="optional", dialback="yes")
        for domain in self.CHANGED:
            juliet = await self.juliet_of(domain)
            response = await self.agent.send_message(f"sip:back@{SIP_DOMAIN}", f"sip:{juliet.jid}", "back",
                                                     self.fedgate.sip)
            self.assertEqual(response.status, 200, domain)

            def is_in():
                return any(message.body == domain for message in self.agent.received)

            async def comes_in():
                stanza_id = juliet.message(f"back@{SIP_DOMAIN}", domain)
                # Or nothing: ejabberd 23.01 loses what comes while it forgets that it was refused.
                with contextlib.suppress(Failed):
                    await wait_until(lambda: is_in() or any(s.get("id") == stanza_id for s in juliet.received),
                                     "the message, or an error", 2)
                return is_in()
            await wait_until(comes_in, "their server tries again")    # it has a back-off of its own
        after = await self.rows()
        self.assertEqual({key: after.get(key) for key in before if key[0] == other},
                         {key: address for key, address in before.items() if key[0] == other})
        await self.fedgate.stop()


class Settings(PeerTest):
    """What A5 calls invalid is refused before it holds, and what it warns of is warned of (N7)."""

    def keys(self, row):
        return dict(zip(("tls", "sasl", "dialback"), row))

    def fedgate(self, row):
        certificate = Authority(self.directory / "ca").issue(SIP_DOMAIN)
        return Fedgate(self.directory / "fedgate", binaries(), certificate, self.directory / "ca/ca.pem",
                       Dns(self.directory / "dns", []), {"partner.example": self.keys(row)},
                       {SIP_DOMAIN: {"next_hop": "sip:127.0.0.1:9"}})

    def test_a_check_of_the_file_says_which_rows_are_none(self):
        for row in [*ROWS, *INVALID]:
            with self.subTest("/".join(row)):
                path = self.directory / "fedgate.conf"
                path.write_text("\n".join(f"partner/partner.example/{key} = {value}" for key, value
                                          in {"type": "federated", **self.keys(row)}.items()) + "\n")
                done = subprocess.run([binaries() / "fedgated", "-c", path, "--check"],
                                      capture_output=True, text=True)
                text = done.stdout + done.stderr
                self.assertEqual(done.returncode, 1 if row in INVALID else 0, text)
                self.assertEqual("error: " in text, row in INVALID, text)
                self.assertEqual("no method is left" in text, row in INVALID, text)
                self.assertEqual("warning: " in text, row in WARNED, text)

    async def test_a_live_change_to_no_method_is_refused(self):
        fedgate = self.fedgate(("required", "required", "no"))
        await fedgate.dns.start()
        self.addAsyncCleanup(fedgate.dns.stop)
        self.addAsyncCleanup(fedgate.kill)
        await fedgate.start()
        before = await fedgate.control("sysctl", "partner/partner.example")
        for row in INVALID:
            with self.subTest("/".join(row)):
                with self.assertRaisesRegex(Failed, "no method is left"):
                    await fedgate.control("sysctl", "-w", *(
                        f"partner/partner.example/{key}={value}" for key, value in self.keys(row).items()))
                self.assertEqual(await fedgate.control("sysctl", "partner/partner.example"), before)
        await fedgate.stop()


if __name__ == "__main__":
    unittest.main()
