"""The servers of a conversation: an XMPP server, Fedgate, and what is on the SIP side."""
from .baresip import BaresipPerson
from .dns import at_address
from .ejabberd import Ejabberd
from .kamailio import Kamailio
from .prosody import Prosody
from .sip_person import SipPerson, Switchboard
from .world import PARTNER_KEYS, SIP_DOMAIN, XMPP_DOMAIN, Servers
from .xmpp_person import XmppPerson

PASSWORD = "secret"
TITLES = {"prosody": "Prosody", "ejabberd": "ejabberd", "kamailio": "Kamailio, presence server",
          "baresip": "Kamailio, baresip", "pua": "Kamailio for baresip", "direct": "a user agent"}
# How Kamailio has to do with the presence of its users (kamailio.Kamailio).
PRESENCE = {"kamailio": "server", "baresip": "", "pua": "for its users"}


class ConversationWorld(Servers):
    """servers: as "prosody+kamailio"; accounts: of the XMPP people; keys: more of Fedgate's."""

    where = staticmethod(at_address)

    def __init__(self, directory, servers, accounts, keys=None):
        self.xmpp_name, self.sip_name = servers.split("+")
        super().__init__(directory, PARTNER_KEYS["external"],
                         {"imdn": "no" if self.sip_name in ("baresip", "pua") else "yes"}, keys)
        self.titles = TITLES[self.xmpp_name], TITLES[self.sip_name]
        self.kamailio = self.switchboard = None
        self.baresips = []
        certificate, accounts = self.authority.issue(XMPP_DOMAIN), dict.fromkeys(accounts, PASSWORD)
        if self.xmpp_name == "prosody":
            self.partner = Prosody(self.directory / "partner", XMPP_DOMAIN, certificate, self.authority.certificate,
                                   accounts)
        else:
            self.partner = Ejabberd(self.directory / "partner", {XMPP_DOMAIN: (certificate, "external")},
                                    self.authority.certificate, accounts)

    async def start_sip(self):
        if self.sip_name == "direct":
            self.switchboard = await Switchboard().start()
            return self.switchboard.uri
        self.kamailio = Kamailio(self.directory / "kamailio", SIP_DOMAIN, presence=PRESENCE[self.sip_name])
        await self.start_part("pool")
        return self.kamailio.uri("tcp")

    def person(self, ladder, name, side, account):
        if side == "xmpp":
            return XmppPerson(ladder, name, f"{account}@{XMPP_DOMAIN}", PASSWORD, (self.partner.address, 5222))
        if self.sip_name in ("baresip", "pua"):
            self.baresips.append(BaresipPerson(ladder, name, f"{account}@{SIP_DOMAIN}", self.directory / account,
                                               self.kamailio.uri("tcp"), published=self.sip_name == "pua"))
            return self.baresips[-1]
        server = self.fedgate.sip if self.switchboard else (self.kamailio.address, 5060)
        return SipPerson(ladder, name, f"{account}@{SIP_DOMAIN}", server, self.switchboard)

    def part(self, what):
        return {"fedgate": self.fedgate, "partner": self.partner, "pool": self.kamailio}[what]

    async def start_part(self, what):
        await self.part(what).start(*{"fedgate": (), "partner": (self.dns,),
                                      "pool": (f"sip:{self.fedgate.address}:5060;transport=tcp",)}[what])

    async def stop_part(self, what):
        await self.part(what).stop()

    async def kill_part(self, what):
        if self.part(what) is self.partner and self.xmpp_name == "ejabberd":
            await self.partner.save()
        await self.part(what).kill()

    def processes(self):
        return super().processes() + [part and part.process
                                      for part in (self.kamailio, *(one.baresip for one in self.baresips))]

    async def stop_people(self):
        if self.switchboard:
            await self.switchboard.stop()
        if self.kamailio:
            await self.kamailio.kill()
