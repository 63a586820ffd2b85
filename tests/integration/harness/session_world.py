"""Sessions between juliet at a Prosody or ejabberd and SIP users: a main one at SIP_DOMAIN, and pools, each with a domain of its
own, that answer each in its own way. The parts of a test share one world."""
import asyncio
import itertools
import os

from .dns import at_address
from .ejabberd import Ejabberd
from .fedgate import Fedgate
from .world import SIP_DOMAIN, XMPP_DOMAIN, PeerTest, World
from .xmpp_client import body_of

STATES = "{http://jabber.org/protocol/chatstates}"
ACTIVE = f"<active xmlns='{STATES[1:-1]}'/>"
RECEIPTS = "{urn:xmpp:receipts}"
RECEIVED = RECEIPTS + "received"
THREAD = "{jabber:client}thread"
ASK_FOR_RECEIPT = f"<request xmlns='{RECEIPTS[1:-1]}'/>"


def chat_state(name):
    return f"<{name} xmlns='{STATES[1:-1]}'/>"


def domain_of(pool):
    return f"{pool}.{SIP_DOMAIN}"


def romeo_of(pool):
    return f"romeo@{domain_of(pool)}"


class SessionWorld(World):
    """pools: by the first label of their domains; each has start(), stop(), uri and told(), as the agent has."""

    profile = None

    def __init__(self, directory, agent, pools, keys=None):
        super().__init__(directory, agent=agent, domain_keys={"profile": self.profile},
                         # A stream of each domain at once.
                         keys={"xmpp.limits.unauthenticated_per_address": "64"} | (keys or {}))
        self.pools = pools
        self.ids = itertools.count(1)

    def use_ejabberd(self):
        """Instead of Prosody; before start()."""
        self.where = at_address
        self.prosody = self.partner = Ejabberd(
            self.directory / "ejabberd", {XMPP_DOMAIN: (self.authority.issue(XMPP_DOMAIN), "external")},
            self.authority.certificate, {"juliet": "secret"})

    def make_fedgate(self, directory, binaries, certificate, *rest):
        names = [SIP_DOMAIN, *map(domain_of, self.pools)]
        return Fedgate(directory, binaries, self.authority.issue(*names, label="fedgate"), *rest)

    def more_records(self):
        return [line for name in self.pools for line in self.where(domain_of(name), self.fedgate.address)]

    async def start_sip(self):
        for name, pool in self.pools.items():
            await pool.start()
            self.fedgate.keys |= {f"domain/{domain_of(name)}/next_hop": pool.uri,
                                  f"domain/{domain_of(name)}/profile": self.profile}
        return await super().start_sip()

    async def stop_people(self):
        await super().stop_people()
        for pool in self.pools.values():
            await pool.stop()

    def told(self):
        """What each pool saw."""
        return [f"{name}:\n{pool.told()}" for name, pool in ({"main": self.agent} | self.pools).items()]

    def say(self, to, content):
        """juliet sends this; returns its id."""
        unique = f"j{next(self.ids)}"
        self.juliet.send(f"<message to='{to}' type='chat' id='{unique}'>{content}</message>")
        return unique

    async def chat_state(self, who, name):
        return await self.juliet.wait_for(
            lambda s: s.get("from", "").startswith(who) and s.find(STATES + name) is not None and not body_of(s),
            f"that {who} is {name}")

    async def receipt(self, of):
        return await self.juliet.wait_for(
            lambda s: s.find(RECEIVED) is not None and s.find(RECEIVED).get("id") == of, f"the receipt of {of}")


class SessionTest(PeerTest):
    async def side_by_side(self, world, parts):
        """All parts of a test at once; SESSION_PART=name: that one alone."""
        parts = [part for part in parts if os.environ.get("SESSION_PART", part.__name__) == part.__name__]
        results = await asyncio.gather(*(part(world) for part in parts), return_exceptions=True)
        if any(results):
            print(*filter(None, results), *world.told(), world.logs(), sep="\n\n", flush=True)
        for part, result in zip(parts, results):
            with self.subTest(part.__name__):
                if result:
                    raise result
