"""Everything that one conversation needs: an XMPP server, Fedgate, a SIP side, and who speaks."""
import asyncio
import os
import pathlib
import shutil
import tempfile
import unittest

from .certificates import Authority
from .dns import Dns, server_records
from .fedgate import Fedgate
from .prosody import Prosody
from .sip_agent import SipAgent
from .xmpp_client import XmppClient

XMPP_DOMAIN = "partner.example"
SIP_DOMAIN = "corp.example"
JULIET = f"juliet@{XMPP_DOMAIN}"
ROMEO = f"romeo@{SIP_DOMAIN}"

# What Fedgate asks of the partner, for each way in which Prosody is set up.
PARTNER_KEYS = {
    "external": {"tls": "required", "sasl": "required", "dialback": "no"},
    "dialback": {"tls": "none", "sasl": "none", "dialback": "yes"},
    "tls-dialback": {"tls": "required", "sasl": "none", "dialback": "yes"},
    "tls-optional": {"tls": "optional", "sasl": "optional", "dialback": "yes"},
    "modern": {"tls": "required", "sasl": "optional", "dialback": "yes"},
}


def binaries():
    return pathlib.Path(os.environ.get("FEDGATE_BINARIES", "build/release/bin")).resolve()


class Servers:
    """An XMPP server of the partner, Fedgate, and what a class below has on the SIP side; start() starts all in
    the right order, stop() ends all. Parts may be replaced before start()."""

    where = staticmethod(server_records)    # how DNS leads to a server
    make_fedgate = Fedgate

    def __init__(self, directory, partner_keys=None, domain_keys=None, keys=None, records=(), listed=True):
        self.directory = pathlib.Path(directory)
        self.authority = Authority(self.directory / "ca")
        self.partner_keys, self.domain_keys, self.keys = partner_keys or {}, domain_keys or {}, keys or {}
        self.records = list(records)    # more names in DNS
        self.listed = listed            # no: nobody is a partner yet
        self.partner = self.dns = self.fedgate = None

    async def start(self):
        self.fedgate = self.make_fedgate(self.directory / "fedgate", binaries(), self.authority.issue(SIP_DOMAIN),
                                         self.authority.certificate, None,
                                         {XMPP_DOMAIN: self.partner_keys} if self.listed else {}, {}, self.keys)
        self.dns = await Dns(self.directory / "dns",
                             self.where(XMPP_DOMAIN, self.partner.address)
                             + self.where(SIP_DOMAIN, self.fedgate.address) + self.more_records()).start()
        self.fedgate.dns = self.dns
        self.fedgate.domains = {SIP_DOMAIN: {"next_hop": await self.start_sip(), **self.domain_keys}}
        await self.partner.start(self.dns)
        await self.fedgate.start()
        await self.log_in()
        return self

    def more_records(self):
        return self.records

    async def start_sip(self):
        """Starts the SIP side; returns the next hop to it."""
        raise NotImplementedError

    async def log_in(self):
        """Those who are online from the start."""

    def processes(self):
        """Those whose logs are to be seen when something failed."""
        return [part and part.process for part in (self.fedgate, self.partner)]

    def logs(self):
        return "\n".join(f"--- {process.name}\n{process.tail(200)}" for process in self.processes() if process)

    async def stop_people(self):
        """And what is on the SIP side."""

    async def stop(self):
        await self.stop_people()
        await self.partner.kill()
        if self.dns:
            await self.dns.stop()
        # Last, and with the verdict: it must have survived all of that, and drain in order.
        if self.fedgate and self.fedgate.process:
            try:
                if not self.fedgate.process.is_alive:
                    raise AssertionError(f"fedgated died:\n{self.fedgate.process.tail(40)}")
                await self.fedgate.stop()
            finally:
                await self.fedgate.kill()


class World(Servers):
    """A Prosody with juliet, and a SIP user romeo."""

    def __init__(self, directory, variant="external", partner_certificate=None, agent=None,
                 partner_keys=None, domain_keys=None, keys=None, prosody_tls=None, records=(),
                 listed=True):
        super().__init__(directory, {**PARTNER_KEYS[variant], **(partner_keys or {})}, domain_keys, keys, records,
                         listed)
        certificate = partner_certificate or (lambda authority: authority.issue(XMPP_DOMAIN))
        self.prosody = self.partner = Prosody(self.directory / "prosody", XMPP_DOMAIN, certificate(self.authority),
                                              self.authority.certificate, {"juliet": "secret"}, variant, prosody_tls)
        self.agent = agent or SipAgent("tcp")
        self.juliet = None

    async def start_sip(self):
        if self.agent.transport == "tls":
            self.agent.certificate = self.authority.issue(SIP_DOMAIN, label="agent")
            self.agent.ca = self.authority.certificate
            self.fedgate.use_sip_tls()
        await self.agent.start()
        return self.agent.uri

    async def log_in(self):
        self.juliet = await XmppClient(self.prosody.address, XMPP_DOMAIN, "juliet", "secret").start()
        return self.juliet

    async def send_from_romeo(self, body, seconds=20):
        """A MESSAGE from romeo to juliet through Fedgate; returns the final response."""
        return await self.agent.send_message(f"sip:{ROMEO}", f"sip:{JULIET}", body, self.fedgate.sip,
                                             seconds)

    async def stop_people(self):
        if self.juliet:
            await self.juliet.stop()
        await self.agent.stop()


class PeerTest(unittest.IsolatedAsyncioTestCase):
    """A test with a directory of its own; on failure it prints the ends of the logs."""

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)    # unittest sets it: slow, and loud
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="fedgate-test-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.worlds = []

    async def world(self, *arguments, of=World, **options):
        world = of(self.directory / f"world{len(self.worlds)}", *arguments, **options)
        self.worlds.append(world)
        self.addAsyncCleanup(world.stop)
        try:
            return await world.start()
        except Exception:
            print(world.logs())
            raise

    def _callTestMethod(self, method):
        try:
            super()._callTestMethod(method)
        except Exception:
            for world in self.worlds:
                print(world.logs(), flush=True)
            raise
