"""Fedgate alone: its partner is the test itself."""
import shutil

from .certificates import Authority
from .dns import Dns
from .fedgate import Fedgate
from .world import SIP_DOMAIN, XMPP_DOMAIN, PeerTest, binaries

PARTNER = {"tls": "required", "sasl": "required", "dialback": "no"}


class GateTest(PeerTest):
    """self.live: the files that Fedgate serves from; the test may change them."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.authority = Authority(self.directory / "ca")

    async def gate(self, partner_keys=None, keys=None, records=(), prepare=None):
        """prepare: is given the daemon before it starts."""
        self.files = self.directory / "live"
        self.files.mkdir()
        first = self.authority.issue(SIP_DOMAIN)
        self.live = type(first)(self.files / "fullchain.pem", self.files / "privkey.pem")
        shutil.copy(first.certificate, self.live.certificate)
        shutil.copy(first.key, self.live.key)
        dns = await Dns(self.directory / "dns", list(records)).start()
        self.addAsyncCleanup(dns.stop)
        self.fedgate = Fedgate(self.directory / "fedgate", binaries(), self.live,
                               self.authority.certificate, dns,
                               {XMPP_DOMAIN: {**PARTNER, **(partner_keys or {})}},
                               {SIP_DOMAIN: {"next_hop": "sip:127.0.0.1:9;transport=tcp"}},
                               {"xmpp.rate.connections_per_address": "none", "core.threads": "2",
                                **(keys or {})})
        self.addAsyncCleanup(self.fedgate.kill)
        if prepare:
            prepare(self.fedgate)
        await self.fedgate.start()
        return self.fedgate

    def log(self):
        return (self.directory / "fedgate/fedgated.log").read_text()
