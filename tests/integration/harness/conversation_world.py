"""The servers of a conversation: an XMPP server, Fedgate, and what is on the SIP side."""
import pathlib

from .baresip import BaresipPerson
from .certificates import Authority
from .dns import Dns, at_address
from .ejabberd import Ejabberd
from .fedgate import Fedgate
from .kamailio import Kamailio
from .prosody import Prosody
from .sip_person import SipPerson, Switchboard
from .world import PARTNER_KEYS, SIP_DOMAIN, XMPP_DOMAIN, binaries
from .xmpp_person import XmppPerson

PASSWORD = "secret"
TITLES = {"prosody": "Prosody", "ejabberd": "ejabberd", "kamailio": "Kamailio, presence server",
          "baresip": "Kamailio, baresip", "direct": "a user agent"}


class ConversationWorld:
    """servers: as "prosody+kamailio"; accounts: of the XMPP people; keys: more of Fedgate's."""

    def __init__(self, directory, servers, accounts, keys=None):
        self.directory = pathlib.Path(directory)
        self.xmpp_name, self.sip_name = servers.split("+")
        self.accounts, self.keys = dict.fromkeys(accounts, PASSWORD), keys or {}
        self.titles = TITLES[self.xmpp_name], TITLES[self.sip_name]
        self.dns = self.fedgate = self.partner = self.kamailio = self.switchboard = None
        self.baresips = []

    async def start(self):
        authority = Authority(self.directory / "ca")
        certificate = authority.issue(XMPP_DOMAIN)
        if self.xmpp_name == "prosody":
            self.partner = Prosody(self.directory / "partner", XMPP_DOMAIN, certificate, authority.certificate,
                                   self.accounts)
        else:
            self.partner = Ejabberd(self.directory / "partner", {XMPP_DOMAIN: (certificate, "external")},
                                    authority.certificate, self.accounts)
        self.fedgate = Fedgate(self.directory / "fedgate", binaries(), authority.issue(SIP_DOMAIN),
                               authority.certificate, None, {XMPP_DOMAIN: PARTNER_KEYS["external"]}, {}, self.keys)
        self.dns = self.fedgate.dns = await Dns(
            self.directory / "dns", at_address(XMPP_DOMAIN, self.partner.address)
            + at_address(SIP_DOMAIN, self.fedgate.address)).start()
        self.fedgate.domains = {SIP_DOMAIN: {"next_hop": await self.start_sip(),
                                            "imdn": "no" if self.sip_name == "baresip" else "yes"}}
        await self.partner.start(self.dns)
        await self.fedgate.start()
        return self

    async def start_sip(self):
        if self.sip_name == "direct":
            self.switchboard = await Switchboard().start()
            return self.switchboard.uri
        self.kamailio = await Kamailio(self.directory / "kamailio", SIP_DOMAIN, presence=self.sip_name == "kamailio").start(
            f"sip:{self.fedgate.address}:5060;transport=tcp")
        return self.kamailio.uri("tcp")

    def person(self, ladder, name, side, account):
        if side == "xmpp":
            return XmppPerson(ladder, name, f"{account}@{XMPP_DOMAIN}", PASSWORD, (self.partner.address, 5222))
        if self.sip_name == "baresip":
            self.baresips.append(BaresipPerson(ladder, name, f"{account}@{SIP_DOMAIN}", self.directory / account,
                                               self.kamailio.uri("tcp")))
            return self.baresips[-1]
        server = self.fedgate.sip if self.switchboard else (self.kamailio.address, 5060)
        return SipPerson(ladder, name, f"{account}@{SIP_DOMAIN}", server, self.switchboard)

    def part(self, what):
        return self.fedgate if what == "fedgate" else self.partner

    async def start_part(self, what):
        await (self.fedgate.start() if what == "fedgate" else self.partner.start(self.dns))

    async def stop_part(self, what):
        await self.part(what).stop()

    async def kill_part(self, what):
        await self.part(what).kill()
        if what == "fedgate":
            (self.fedgate.directory / "admin.sock").unlink(missing_ok=True)

    def logs(self):
        parts = (self.fedgate, self.partner, self.kamailio, *(one.baresip for one in self.baresips))
        return "\n".join(f"--- {part.process.name}\n{part.process.tail(200)}" for part in parts
                         if part and part.process)

    async def stop(self):
        if self.switchboard:
            await self.switchboard.stop()
        for part in (self.partner, self.kamailio):
            if part:
                await part.kill()
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
