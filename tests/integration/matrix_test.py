"""Every row of the negotiation matrix (features.md A5) against real servers, in both directions: the
message crosses by the best method that the row lists and the peer has, or its sender is told."""
import asyncio
import json
import subprocess
import unittest
from dataclasses import dataclass

from harness.certificates import Authority
from harness.dns import Dns, at_address
from harness.ejabberd import Ejabberd
from harness.fedgate import Fedgate
from harness.process import Failed
from harness.prosody import Prosody
from harness.sip_agent import SipAgent
from harness.world import SIP_DOMAIN, PeerTest, binaries
from harness.xmpp_client import XmppClient

STLS, DTLS, DTCP = "S/TLS", "D/TLS", "D/TCP"
DIRECT_DOMAIN = "direct.example"    # a domain of ours that DNS announces as _xmpps-server only

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

    @property
    def ours(self):
        return DIRECT_DOMAIN if self.direct else SIP_DOMAIN


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
    # Without STARTTLS, from the first byte.
    "direct": Peer("tls-optional", (STLS, DTLS), direct=True),
}


@dataclass(frozen=True)
class Cell:
    row: tuple
    peer: str
    domain: str
    server: object

    @property
    def method(self):
        """The one that must be used, or None."""
        return next((m for m in PEERS[self.peer].methods if m in ROWS[self.row]), None)

    @property
    def seen(self):
        """(proof, TLS) in fedctl streams."""
        if self.method == DTLS and PEERS[self.peer].trusted:
            return "certificate", True     # S2S-43, S2S-54: it proves the domain, by whatever element
        return {STLS: ("certificate", True), DTLS: ("dialback over TLS", True),
                DTCP: ("dialback in clear", False)}[self.method]

    def __str__(self):
        return f"{'/'.join(self.row)} with {self.domain}"


def domain_of(row, peer, server):
    return f"{'-'.join(row)}.{peer}.{server}.example"


class Matrix(PeerTest):
    async def start(self, make_servers, server):
        """make_servers(authority, domains): the servers for peer -> its domains."""
        authority, self.agent = Authority(self.directory / "ca"), SipAgent("tcp")
        strangers = Authority(self.directory / "strangers")
        domains = {peer: [domain_of(row, peer, server) for row in ROWS] for peer in PEERS}
        certificates = {peer: (authority if PEERS[peer].trusted else strangers).issue(
            f"*.{peer}.{server}.example", label=f"{peer}.{server}") for peer in PEERS}
        servers = make_servers(authority, domains, certificates)
        self.cells = [Cell(row, peer, domain_of(row, peer, server), servers[peer])
                      for row in ROWS for peer in PEERS
                      if not (PEERS[peer].direct and row[0] == "none")]
        self.addAsyncCleanup(self.agent.stop)
        await self.agent.start()
        self.fedgate = Fedgate(
            self.directory / "fedgate", binaries(), authority.issue(SIP_DOMAIN, DIRECT_DOMAIN),
            authority.certificate,
            None, {cell.domain: dict(zip(("tls", "sasl", "dialback"), cell.row)) for cell in self.cells},
            {domain: {"next_hop": self.agent.uri} for domain in (SIP_DOMAIN, DIRECT_DOMAIN)},
            {"xmpp.rate.connections_per_address": "none", "xmpp.limits.unauthenticated_per_address": 100})
        records = (at_address(SIP_DOMAIN, self.fedgate.address)
                   + at_address(DIRECT_DOMAIN, self.fedgate.address, 5270, "xmpps-server"))
        for cell in self.cells:
            service = (5270, "xmpps-server") if PEERS[cell.peer].direct else ()
            records += at_address(cell.domain, cell.server.address, *service)
        self.fedgate.dns = await Dns(self.directory / "dns", dict.fromkeys(records)).start()
        self.addAsyncCleanup(self.fedgate.dns.stop)
        self.addAsyncCleanup(self.fedgate.kill)
        for one in set(servers.values()):
            self.addAsyncCleanup(one.kill)
        await asyncio.gather(self.fedgate.start(),
                             *(one.start(self.fedgate.dns) for one in set(servers.values())))

    async def crosses(self, cell):
        juliet = await XmppClient(cell.server.address, cell.domain, "juliet", "secret").start()
        self.addAsyncCleanup(juliet.stop)
        romeo = f"romeo.{cell.domain}@{PEERS[cell.peer].ours}"
        body = f"between {romeo} and {juliet.jid}"
        response = await self.agent.send_message(f"sip:{romeo}", f"sip:{juliet.jid}", body,
                                                 self.fedgate.sip)
        if cell.method:
            self.assertEqual(response.status, 200)
            await juliet.wait_for_body(body)
        else:
            self.assertEqual(response.status, 403)    # ERR-42, ERR-44
        stanza_id = juliet.message(romeo, body)
        if cell.method:
            await self.agent.wait_for_message(body)
        else:
            kind, condition = await juliet.wait_for_error(stanza_id)
            self.assertIn(condition, ("remote-server-not-found", "remote-server-timeout",
                                      "not-authorized", "internal-server-error"), kind)
        self.assertEqual([s for s in juliet.received if s.tag.endswith("}message")], [])

    async def streams(self):
        """(their domain, direction) -> the (proof, TLS) of its streams."""
        found = {}
        for row in json.loads(await self.fedgate.control("--json", "streams"))["streams"]:
            if row["proof"]:
                found.setdefault((row["their_domain"], row["direction"]), set()).add(
                    (row["proof"], bool(row["tls"])))
        return found

    async def check(self):
        gate = asyncio.Semaphore(8)

        async def one(cell):
            async with gate:
                await self.crosses(cell)
        results = await asyncio.gather(*map(one, self.cells), return_exceptions=True)
        streams = await self.streams()
        for cell, result in zip(self.cells, results):
            with self.subTest(str(cell), method=cell.method):
                if isinstance(result, BaseException):
                    raise result
                for direction in ("in", "out"):
                    self.assertEqual(streams.get((cell.domain, direction), set()),
                                     {cell.seen} if cell.method else set(), direction)
                mechanism = {"EXTERNAL" if cell.method == STLS else "dialback"}
                self.assertEqual(cell.server.mechanisms(cell.domain),
                                 {"in": mechanism, "out": mechanism} if cell.method else {})
        self.assertEqual(self.agent.received, [])
        await self.fedgate.stop()

    async def test_prosody(self):
        def one_for_each_peer(authority, domains, certificates):
            return {peer: Prosody(self.directory / peer, domains[peer][0], certificates[peer],
                                  authority.certificate, {"juliet": "secret"}, PEERS[peer].variant,
                                  more=dict.fromkeys(domains[peer], certificates[peer]),
                                  direct_tls=PEERS[peer].direct)
                    for peer in PEERS}
        await self.start(one_for_each_peer, "prosody")
        await self.check()

    async def test_ejabberd(self):
        def one_for_all_peers(authority, domains, certificates):
            ejabberd = Ejabberd(self.directory / "ejabberd",
                                {domain: (certificates[peer], PEERS[peer].variant)
                                 for peer in PEERS for domain in domains[peer]},
                                authority.certificate, {"juliet": "secret"})
            return dict.fromkeys(PEERS, ejabberd)
        await self.start(one_for_all_peers, "ejabberd")
        await self.check()


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
