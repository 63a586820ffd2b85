"""An organisation on machines of their own, and what becomes of its messages and presence when one of them fails: two
edges in pool A, one in pool B, two gateways with a PostgreSQL server and its replica, two Kamailios; partners with Prosody
and ejabberd; a DNS server outside and one inside. Each machine is a network namespace; cables are cut, slowed and made
deaf. Draws it, shows `fedctl ports` and `fedctl status` of an edge and of a gateway, then runs the faults.

A line for each fault has
  slowest message   how long the slowest one took, counted from the fault if it was on its way then; each way
  presence right    all users watch all of the other side, and all change their state just after the fault: when everybody
                    saw what is true, counted from the fault ("+": it was after the mending, and from then on), and how long
                    a change took afterwards
  sent ... twice    the account of every message: delivered once, refused to its sender, both (in doubt, so the sender was
                    told), in doubt with a process that died, lost, delivered twice
and below it why messages were refused, how often presence was told again, was older than what was known, or gone, and
how many SIP senders learned later that a message was in doubt, after it had been accepted.

Exits with 1 when a message is lost or doubled, presence stays wrong or goes back, or something took longer than the fault
allows. Needs root, for the namespaces.

    tests/integration/topology.py [--faults all] [--seconds N] [--rate N] [--logs DIRECTORY]
"""
import asyncio
import collections
import glob
import itertools
import json
import re
import shutil
import sys
import time

from harness import network
from harness.certificates import Authority
from harness.dns import Dns
from harness.ejabberd import Ejabberd
from harness.fedgate import Fedgate
from harness.kamailio import Kamailio
from harness.network import Machine, Network
from harness.postgresql import PostgreSql
from harness.process import Failed, is_listening, wait_until
from harness.prosody import Prosody
from harness.split import Role
from harness.world import SIP_DOMAIN, binaries
from load import Ledger, load_keys, run_tool
from topology_many import COUNT, NO_RATES, QUIET_SECONDS, Many
from topology_presence import Agent, Client, Phone, Presence

POOLS = {"A": (("a1", 11), ("a2", 12)), "B": (("b1", 13),)}    # and the last number of their addresses
PRIORITY = {"A": 10, "B": 20}
SITE = "main"
GATEWAYS = (("g1", 21), ("g2", 22))
DATABASES = (("d1", 51), ("d2", 52))    # the primary, its replica
PARTNERS = (("prosody.example", 31), ("ejabberd.example", 32))
XMPP_USERS, SIP_USERS = 5, 7
SETTLE_SECONDS = 60
CHANGE_SECONDS = 0.3
RATES, PROBE_SECONDS, LATE_SECONDS = (50, 100, 150, 200, 250, 300, 350, 400, 500, 600, 800, 1000), 4, 0.5
MANY = "many"    # a fault with a load of its own (topology_many.py)
STOP_SECONDS, BACK_SECONDS, RIGHT_SECONDS, STAYS_SECONDS = 10, 10, 10, 2
PICTURE = """\
      {p0:^30}{p1:^30}
   ----+----------------+--------------+------------- outside {outside}.0/24, dns
       |                |              |
   pool A (priority 10): a1, a2   pool B (20): b1      edges
       |                |              |
   ----+---------+------+-------+------+---+--------- inside {inside}.0/24, dns
                 |              |          |
              g1, g2         k1, k2     d1 -> d2      gateways, SIP pool, their store and its replica
"""


def name_of(machine):
    return f"{machine}.int.example"


class Node(Role):
    inner = None    # its address inside

    def lines(self):
        yield from Fedgate.lines(self)
        yield f"core.roles = {self.role}"

    def listens(self, port, transport="tcp"):
        return is_listening(self.address if port == 5269 else self.inner, port, transport, self.machine)


class Estate:
    """All of it."""

    def __init__(self, directory, ledger):
        self.directory, self.ledger = directory, ledger
        self.outside, self.inside = Network("outside", "10.77.1"), Network("inside", "10.77.2")
        self.machines, self.processes = {}, {}
        self.authority = Authority(directory / "ca")
        self.internal = Authority(directory / "internal", "internal CA")
        self.agent = Agent(ledger)
        self.agent.address = self.inside.address
        self.clients, self.presence, self.many = {}, None, None

    def machine(self, name, number, *networks):
        self.machines[name] = Machine(name)
        for one in networks:
            self.machines[name].plug(one, number)
        return self.machines[name]

    def draw(self):
        print(PICTURE.format(p0=PARTNERS[0][0], p1=PARTNERS[1][0], outside=self.outside.prefix,
                             inside=self.inside.prefix))

    @property
    def edges(self):
        return [self.processes[name] for pool in POOLS.values() for name, _ in pool]

    @property
    def gateways(self):
        return [self.processes[name] for name, _ in GATEWAYS]

    def topology(self):
        """The keys that every node has."""
        for pool, members in POOLS.items():
            yield f"pool/{pool}/priority", PRIORITY[pool]
            yield f"pool/{pool}/members", " ".join(name_of(name) for name, _ in members)
        yield f"site/{SITE}/route", "A"
        yield f"domain/{SIP_DOMAIN}/site", SITE
        yield "pool/gateways/kind", "gateway"
        yield "pool/gateways/members", " ".join(name_of(name) for name, _ in GATEWAYS)

    async def outer_zone(self):
        """What `fedctl dns plan` says, and the partners. ejabberd asks the C library about hosts: so here they are
        addresses."""
        plan = json.loads(await self.gateways[0].control("--json", "dns", "plan"))
        for line in plan["zone"]:
            for name, number in itertools.chain(*POOLS.values()):
                line = line.replace(f" {name_of(name)}.", f" {self.outside.prefix}.{number}.")
            yield line
        for domain, number in PARTNERS:
            yield f"_xmpp-server._tcp.{domain}. IN SRV 0 0 5269 server.{domain}."
            yield f"server.{domain}. IN A {self.outside.prefix}.{number}"

    def inner_zone(self):
        for name, number in (*itertools.chain(*POOLS.values()), *GATEWAYS):
            yield f"{name_of(name)}. IN A {self.inside.prefix}.{number}"

    async def start(self):
        self.dns = {"outside": Dns(self.directory / "dns-outside", (), self.outside.address),
                    "inside": Dns(self.directory / "dns-inside", self.inner_zone(), self.inside.address)}
        for dns in self.dns.values():
            dns.port = 53
        await self.dns["inside"].start(53)
        await self.agent.start()
        self.set_up_partners()
        for number, ((_, last), (_, other)) in enumerate(itertools.permutations(GATEWAYS), 1):
            kamailio = self.processes[f"k{number}"] = Kamailio(self.directory / f"k{number}", SIP_DOMAIN, memory=256)
            kamailio.place(self.machine(f"k{number}", 40 + number, self.inside))
            # 32 KiB by default: what comes at once when a fault is over would cost the phones' connection, and they
            # would ask the other node again.
            kamailio.settings = ("tcp_connect_timeout=2", "tcp_conn_wq_max=1048576")
            kamailio.target, kamailio.other = (f"sip:{self.inside.prefix}.{one}:5060;transport=tcp" for one in (last, other))
        self.many = Many(self.machine("load", 61, self.outside, self.inside), self.directory / "fedload.log")
        partners = asyncio.gather(*(self.start_one(domain.partition(".")[0]) for domain, _ in PARTNERS))
        await asyncio.gather(self.start_databases(), self.start_one("k1"), self.start_one("k2"))
        own = self.authority.issue(SIP_DOMAIN)
        await asyncio.gather(*(self.start_node(name, number, own)
                               for name, number in (*itertools.chain(*POOLS.values()), *GATEWAYS)))
        self.dns["outside"].records = [line async for line in self.outer_zone()]
        await self.dns["outside"].start(53)
        await partners
        await wait_until(self.is_joined, "every gateway has a link to every edge")
        await wait_until(self.is_shared, "every gateway has its part of the store")
        self.clients = {(domain, n): Client(self.ledger, server.address, domain, f"user{n}", "secret")
                        for (domain, _), server in zip(PARTNERS, (self.prosody, self.ejabberd)) for n in range(XMPP_USERS)}
        await asyncio.gather(*(client.start() for client in self.clients.values()))
        clients = {client.jid: client for client in self.clients.values()}
        nodes = [self.processes[name].address for name in ("k1", "k2")]
        for number in range(SIP_USERS):
            phone = Phone(f"sip{number}", self.agent, nodes[::1 if number % 2 else -1], clients)
            self.agent.phones[phone.name] = phone
        self.presence = Presence(clients, {phone.address: phone for phone in self.agent.phones.values()})
        await self.greet()
        await self.presence.begin()
        await self.ejabberd.save()
        return self

    async def greet(self):
        """A message each way, so that streams stand: what waits for one Prosody sends behind what came later."""
        for domain, _ in PARTNERS:
            client, user = self.clients[domain, 0], "sip0"
            key = self.ledger.enter("to SIP", (client.jid, user))
            client.ids[client.message(f"{user}@{SIP_DOMAIN}", key)] = key
            await self.agent.send_through(self.ledger.enter("to XMPP", (user, client.jid)), user, client.jid,
                                          [self.processes["k1"].address])
        await wait_until(lambda: not any(self.ledger.open.values()), "a message each way")

    async def start_databases(self):
        """The replica is one as soon as it is there."""
        for name, number in DATABASES:
            own = self.internal.issue(name_of(name))
            database = PostgreSql(self.processes.get(DATABASES[0][0]))
            self.processes[name] = database.place(self.machine(name, number, self.inside), name_of(name), own,
                                                  self.internal.certificate)
            await database.start()

    @property
    def store(self):
        """The key that gateways have."""
        one, two = (self.processes[name] for name, _ in DATABASES)
        return {"store.url": f"postgresql://fedgate@/postgres?{one.reached(two)}"}

    def set_up_partners(self):
        accounts = {f"user{n}": "secret" for n in range(XMPP_USERS)}
        one, two = (domain for domain, _ in PARTNERS)
        self.prosody = Prosody(self.directory / "prosody", one, self.authority.issue(one), self.authority.certificate,
                               accounts, "modern")
        self.ejabberd = Ejabberd(self.directory / "ejabberd", {two: (self.authority.issue(two), "tls-dialback")},
                                 self.authority.certificate, accounts)
        for server, (domain, number) in zip((self.prosody, self.ejabberd), PARTNERS):
            name = domain.partition(".")[0]
            self.processes[name] = server.place(self.machine(name, number, self.outside))

    async def start_node(self, name, number, own):
        partners = {domain: {"sasl": "optional", "dialback": "yes", **NO_RATES} for domain, _ in PARTNERS} | self.many.partner
        domains = {SIP_DOMAIN: {"next_hop": " ".join(self.processes[k].uri("tcp") for k in ("k1", "k2"))}} | self.many.domain
        is_edge = name[0] != "g"
        machine = self.machine(name, number, *((self.outside, self.inside) if is_edge else (self.inside,)))
        inner = f"{self.inside.prefix}.{number}"
        node = Node("edge" if is_edge else "gateway", name_of(name), self.internal, self.directory / name, binaries(), own,
                    self.authority.certificate, self.dns["outside" if is_edge else "inside"], partners,
                    domains,
                    {**load_keys(), "xmpp.dialback.secret": "0123456789abcdef0123456789abcdef",
                     "sip.trusted": f"{self.inside.prefix}.0/24", "sec.subscriptions_per_watcher": 1000,
                     "sec.subscriptions_per_domain": 100000, "sip.listen": f"tcp:{inner}:5060",
                     "link.listen": f"{inner}:23456", "net.dns.servers": "", "core.threads": 1, **({} if is_edge else self.store),
                     **dict(self.topology())})
        node.place(machine)
        node.keys["net.dns.servers"] = self.dns["outside" if is_edge else "inside"].server
        node.keys["xmpp.listen"] = f"{machine.address}:5269"
        node.keys["xmpp.listen_tls"] = ""
        node.inner = inner
        self.processes[name] = node
        await node.start()

    async def is_joined(self):
        for gateway in self.gateways:
            text = await gateway.control("counters")
            if int(text.split("link.standing")[1].split()[0]) < len(self.edges):
                return False
        return True

    async def is_shared(self):
        texts = [await gateway.control("status") for gateway in self.gateways]
        slots = [int(found[1]) for found in (re.search(r"has (\d+) of 256 slots", text) for text in texts) if found]
        return sum(slots) == 256 and all(0 < some < 256 for some in slots)

    async def start_one(self, name):
        """Again, or a Kamailio for the first time."""
        process = self.processes[name]
        if name.startswith("k"):
            await process.start(process.target)
            for number in range(SIP_USERS):
                await self.agent.register(f"sip{number}", SIP_DOMAIN, (process.address, 5060))
        elif process in (self.prosody, self.ejabberd):
            await process.start(self.dns["outside"])
            for client in self.clients.values():
                if client.address == process.address:
                    await client.start()
        elif isinstance(process, PostgreSql):
            await process.start()
        else:
            (process.directory / "admin.sock").unlink(missing_ok=True)
            await process.start()

    async def stop(self):
        faults = []
        if self.many:
            await self.many.stop()
        if self.presence:
            await self.presence.stop()
        for client in self.clients.values():
            await client.stop()
        await self.agent.stop()
        nodes = {name: process for name, process in self.processes.items()
                 if isinstance(process, Fedgate) and process.process and process.process.is_alive}
        for name, ended in zip(nodes, await asyncio.gather(*(node.stop() for node in nodes.values()),
                                                           return_exceptions=True)):
            if ended:
                faults.append(f"{name}: {ended}")
        for process in self.processes.values():
            await process.kill()
            if isinstance(process, PostgreSql):
                await process.remove()
        for dns in self.dns.values():
            if dns.process:
                await dns.stop()
        for machine in self.machines.values():
            machine.remove()
        return faults

    def logs(self):
        return "\n".join(f"--- {name}\n{process.process.tail(8)}" for name, process in self.processes.items()
                         if process.process)


class Traffic:
    """Messages both ways, at a steady pace, between everybody; when each was entered and came."""

    def __init__(self, estate, ledger, rate):
        self.estate, self.ledger, self.rate = estate, ledger, rate
        self.entered, self.came, self.over, self.tasks = {}, {}, False, set()
        self.numbers = itertools.count()
        deliver = ledger.deliver

        def note(key):
            self.came.setdefault(key, time.monotonic())
            deliver(key)
        ledger.deliver = note

    def enter(self, direction, pair):
        key = self.ledger.enter(direction, pair)
        self.entered[key] = time.monotonic()
        return key

    def send_to_sip(self, number):
        (domain, n), client = list(self.estate.clients.items())[number % len(self.estate.clients)]
        if not client.is_online:
            return
        target = f"sip{number % SIP_USERS}"
        key = self.enter("to SIP", (f"user{n}@{domain}", target))
        client.ids[client.message(f"{target}@{SIP_DOMAIN}", key)] = key

    def send_to_xmpp(self, number):
        domain, n = list(self.estate.clients)[number % len(self.estate.clients)]
        pair = (f"sip{number % SIP_USERS}", f"user{n}@{domain}")
        nodes = [self.estate.processes[name].address for name in ("k1", "k2")]
        task = asyncio.create_task(self.estate.agent.send_through(
            self.enter("to XMPP", pair), *pair, nodes[::1 if number % 2 else -1]))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def run(self, seconds=None):
        start = time.monotonic()
        for count in itertools.count() if seconds is None else range(int(seconds * self.rate)):
            await asyncio.sleep(max(0, start + count / self.rate - time.monotonic()))
            if self.over:
                return
            number = next(self.numbers)
            self.send_to_sip(number)
            self.send_to_xmpp(number)

    async def find_rate(self):
        """The most that all of this, on one machine, does without a message that is late or refused."""
        best = 0
        for rate in RATES:
            self.rate, first, start = rate, len(self.ledger.messages), time.monotonic()
            await self.run(PROBE_SECONDS)
            is_late = time.monotonic() - start > 1.1 * PROBE_SECONDS
            await wait_until(lambda: not any(self.ledger.open.values()), "all settled", SETTLE_SECONDS)
            keys = list(self.ledger.messages)[first:]
            refused = sum(bool(self.ledger.messages[key].refused) for key in keys)
            delays = sorted(self.came.get(key, start) - self.entered[key] for key in keys)
            slow = delays[len(delays) * 95 // 100]
            print(f"    {rate} messages a second each way: {refused} refused, 95 % within {slow:.2f} s"
                  + (", entered too late" if is_late else ""), flush=True)
            if is_late or refused or slow > LATE_SECONDS:
                break
            best = rate
        return best

    def slowest(self, direction, since, unseen=0):
        """Of what was delivered and was under way then or entered since, or still waits: seconds, from then on. unseen: not
        of what entered before that many seconds were over."""
        now = time.monotonic()

        def counts(key, message):
            if unseen and self.entered[key] < since + unseen:
                return False
            return key in self.came or not message.refused and not message.in_kill
        return max((self.came.get(key, now) - max(since, entered) for key, entered in list(self.entered.items())
                    if self.ledger.messages[key].direction == direction and self.came.get(key, now) > since
                    and counts(key, self.ledger.messages[key])), default=0.0)


class Fault:
    """breaks(estate), then mends(estate). within: seconds that a message to XMPP, and to SIP, may take; None: what
    others do, not we, decides. doubt: messages may end in doubt, since a process or a cable had them. back: edges of which
    one has traffic again soon after. two: for a while two gateways believe that they know of the same subscriptions
    (appliance/store/README.md), and one of them may say what was before. unseen: seconds in which a SIP server has not seen
    yet that the gateway's connections are closed: what it has sent by one of them waits for its own timer, in doubt. told: what all nodes say of the partner then; None: not asked."""

    def __init__(self, text, breaks, mends, within=(1, None), doubt=True, back=(), two=False, unseen=0, told=None):
        self.text, self.breaks, self.mends, self.within, self.doubt = text, breaks, mends, within, doubt
        self.back, self.two, self.unseen, self.told = back, two, unseen, told


def kill(*names):
    async def breaks(estate):
        for name in names:
            await estate.processes[name].kill()

    async def mends(estate):
        for name in names:
            await estate.start_one(name)
    return breaks, mends


def cable(name, where, act, *arguments):
    async def breaks(estate):
        getattr(estate.machines[name].cables[where], act)(*arguments)

    async def mends(estate):
        estate.machines[name].cables[where].mend()
    return breaks, mends


def flap(name, where):
    async def breaks(estate):
        one = estate.machines[name].cables[where]
        for _ in range(3):
            one.cut()
            await asyncio.sleep(2)
            one.mend()
            await asyncio.sleep(2)
    return breaks, nothing


def far(name, fault):
    """As fault, of a machine that is 1 ms away: here all others answer before anybody looks, so that a connection is refused
    while it is asked for."""
    breaks_near, mends_near = fault

    async def breaks(estate):
        estate.machines[name].cables["inside"].slow(FAR_SECONDS, 0)
        await breaks_near(estate)

    async def mends(estate):
        await mends_near(estate)
        estate.machines[name].cables["inside"].mend()
    return breaks, mends


async def dns_gone(estate):
    for one in estate.dns.values():
        await one.process.kill()


async def dns_back(estate):
    for one in estate.dns.values():
        await one.start(one.port)


async def primary_killed(estate):
    """The administrator, or a program of his, promotes the replica at once."""
    primary, replica = (estate.processes[name] for name, _ in DATABASES)
    await primary.kill()
    await replica.promote()


async def primary_back(estate):
    """As the replica of the one that was promoted; who is called what, changes."""
    one, two = (name for name, _ in DATABASES)
    primary, replica = estate.processes[one], estate.processes[two]
    await primary.follow(replica)
    estate.processes[one], estate.processes[two] = replica, primary


async def restart_all(estate):
    """One after the other, each in order."""
    for name, node in estate.processes.items():
        if isinstance(node, Node):
            await node.control("services", "stop", "--graceful")
            if status := await node.process.exit_status(STOP_SECONDS):
                raise Failed(f"{name} ended with status {status}")
            await estate.start_one(name)
            await wait_until(estate.is_joined, f"all links, behind the restart of {name}", 30)


def parted(*sides):
    """Machines of one side and of another can't reach each other inside; the rest of the world reaches all."""
    def all_pairs(estate, act):
        for one, other in itertools.product(*(side.split() for side in sides)):
            estate.machines[one].part(estate.machines[other], "inside", act)

    async def breaks(estate):
        all_pairs(estate, "add")

    async def mends(estate):
        all_pairs(estate, "del")
    return breaks, mends


def clock(name, ahead):
    """The node starts again, and believes that it is another day."""
    library = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    prefix = ["env", *(f"LD_PRELOAD={path}" for path in library), f"FAKETIME={ahead}", "DONT_FAKE_MONOTONIC=1"]

    async def breaks(estate):
        if not library:
            raise Failed("Debian's faketime is not installed (tests/setup)")
        await estate.processes[name].stop()
        estate.machines[name].prefix += prefix
        await estate.start_one(name)

    async def mends(estate):
        await estate.processes[name].stop()
        del estate.machines[name].prefix[-len(prefix):]
        await estate.start_one(name)
    return breaks, mends


def describing(name, text, *options, behind):
    """Something of a partner is committed at that node while others are away."""
    breaks_first, mends = behind

    async def breaks(estate):
        await breaks_first(estate)
        await estate.processes[name].control("partner", "set", PARTNERS[0][0], f"description={text}", *options)
    return breaks, mends


async def nothing(_):
    pass


def routed(pool):
    """The administrator moves the site's route; soon that pool has traffic."""
    async def sets(estate):
        async def sent():
            return sum([await estate.processes[name].counter("xmpp.stanzas.out") for name, _ in POOLS[pool]])

        async def has_moved():
            return await sent() > before
        before = await sent()
        for gateway in estate.gateways:
            await gateway.control("route", "set", SITE, pool)
        await wait_until(has_moved, f"traffic by pool {pool}", BACK_SECONDS)
    return sets


def older(name, *keys):
    """The node was away while the topology changed: it starts with a configuration that has not these keys."""
    async def breaks(estate):
        node = estate.processes[name]
        await node.stop()
        estate.newer = {key: node.keys.pop(key) for key in keys}
        await estate.start_one(name)

    async def mends(estate):
        node = estate.processes[name]
        await node.stop()
        node.keys.update(estate.newer)
        await estate.start_one(name)
    return breaks, mends


def bad_certificate(name, other=False):
    """The node starts again with a certificate of the link that nobody takes: of another authority, or expired."""
    async def breaks(estate):
        node, source = estate.processes[name], estate.internal
        await node.stop()
        if other:
            source = Authority(estate.directory / "others", "another CA")
        own = source.issue(node.name, expired=not other)
        estate.good = {key: node.keys[key] for key in ("tls.internal.certificate", "tls.internal.key")}
        node.keys.update({"tls.internal.certificate": own.certificate, "tls.internal.key": own.key})
        await estate.start_one(name)

    async def mends(estate):
        node = estate.processes[name]
        await node.stop()
        node.keys.update(estate.good)
        await estate.start_one(name)
    return breaks, mends


DRAINED = (STOP_SECONDS, STOP_SECONDS)    # what a node that is stopped has may wait until it has ended
FAR_SECONDS = 0.001
FAR_LOST_SECONDS = 9    # Kamailio's own timer (8 s) for what it wrote while it connected
SLOW = "slow", 0.2, 0.05    # seconds each way, and which part is lost
FAULTS = {
    "edge": Fault("edge a1 killed", *kill("a1")),
    "pool": Fault("all of pool A killed", *kill("a1", "a2"), within=(5, None), back=("a1", "a2")),
    "gateway": Fault("gateway g1 killed", *kill("g1"), within=(1, 1), unseen=0.1),
    "far-gateway": Fault("g1 killed, and 1 ms away", *far("g1", kill("g1")), within=(FAR_LOST_SECONDS, 1), unseen=0.1),
    "sip": Fault("Kamailio k1 killed", *kill("k1"), within=(None, 1)),
    "prosody": Fault("the partner's Prosody killed", *kill("prosody"), within=(None, None)),
    "ejabberd": Fault("the partner's ejabberd killed", *kill("ejabberd"), within=(None, None)),
    "dns": Fault("both DNS servers killed", dns_gone, dns_back, within=(1, 1), doubt=False),
    "store": Fault("the store's primary d1 killed", primary_killed, primary_back, within=(1, 1), doubt=False),
    "store-gone": Fault("both of the store killed", *kill("d1", "d2"), within=(1, 1), doubt=False),
    "inner-cable": Fault("a1's inner cable cut", *cable("a1", "inside", "cut"), within=(5, None)),
    "outer-cable": Fault("a1's outer cable cut", *cable("a1", "outside", "cut"), within=(None, None)),
    "gateway-cable": Fault("g1's cable cut", *cable("g1", "inside", "cut"), within=(None, 5), two=True),
    "sip-cable": Fault("k1's cable cut", *cable("k1", "inside", "cut"), within=(None, None)),
    "partner-cable": Fault("Prosody's cable cut", *cable("prosody", "outside", "cut"), within=(None, None)),
    "store-cable": Fault("the cable of d1 cut", *cable("d1", "inside", "cut"), within=(1, 1), doubt=False),
    "from": Fault("what a1 sends inside is lost", *cable("a1", "inside", "deafen"), within=(5, None)),
    "to": Fault("what is sent to a1 inside is lost", *cable("a1", "inside", "muffle"), within=(5, None)),
    "from-gateway": Fault("what g1 sends is lost", *cable("g1", "inside", "deafen"), within=(None, 5), two=True),
    "to-gateway": Fault("what is sent to g1 is lost", *cable("g1", "inside", "muffle"), within=(None, 5), two=True),
    "slow-inner": Fault("a1's inner cable: 200 ms, 5 % lost", *cable("a1", "inside", *SLOW), within=(5, 5)),
    "slow-outer": Fault("a1's outer cable: 200 ms, 5 % lost", *cable("a1", "outside", *SLOW), within=(5, 5)),
    "slow-gateway": Fault("g1's cable: 200 ms, 5 % lost", *cable("g1", "inside", *SLOW), within=(5, 5), two=True),
    "slow-sip": Fault("k1's cable: 200 ms, 5 % lost", *cable("k1", "inside", *SLOW), within=(5, 5)),
    "slow-partner": Fault("Prosody's cable: 200 ms, 5 % lost", *cable("prosody", "outside", *SLOW), within=(5, 5)),
    "slow-store": Fault("d1's cable: 200 ms, 5 % lost", *cable("d1", "inside", *SLOW), within=(1, 1), doubt=False),
    "flapping": Fault("a1's inner cable cut every 2 s", *flap("a1", "inside"), within=(5, None)),
    "flapping-outer": Fault("a1's outer cable cut every 2 s", *flap("a1", "outside"), within=(None, None)),
    "flapping-gateway": Fault("g1's cable cut every 2 s", *flap("g1", "inside"), within=(None, 5), two=True),
    "split-store": Fault("g1 | its store", *parted("g1", "d1 d2"), within=(1, 1), doubt=False, two=True),
    "split-edge": Fault("a1 | g1, g2", *parted("a1", "g1 g2"), within=(5, None)),
    "split-pair": Fault("a1 | g1", *parted("a1", "g1"), within=(5, None)),
    "split-gateway": Fault("g1 | edges, g2, store", *parted("g1", "a1 a2 b1 g2 d1 d2"), within=(None, 5), two=True),
    "split-half": Fault("a1, g1 | a2, b1, g2, store", *parted("a1 g1", "a2 b1 g2 d1 d2"), within=(5, 5), two=True),
    "expired": Fault("a2's certificate of the link expired", *bad_certificate("a2"), within=(1, None)),
    "wrong-ca": Fault("a2's certificate of another CA", *bad_certificate("a2", other=True), within=(1, None)),
    "clock": Fault("g1's clock a day ahead", *clock("g1", "+1d"), within=DRAINED),
    "route": Fault("the route moved to pool B and back", routed("B"), routed("A"), within=(5, 1), doubt=False),
    "old": Fault("g1 without pool B in its configuration", *older("g1", "pool/B/members", "pool/B/priority"), within=DRAINED),
    "clock-edge": Fault("a1's clock a day behind", *clock("a1", "-1d"), within=DRAINED),
    "away": Fault("a commit at g2 while g1 is away", *describing("g2", "kept", behind=kill("g1")), within=(1, 1), unseen=0.1,
                  told="kept"),
    "unconfirmed": Fault("a commit at g2 for 10 s, with g1 | edges", *describing(
        "g2", "tried", "--confirm", "10s", behind=parted("g1", "a1 a2 b1")), within=(None, 5), told="kept"),
    "restart": Fault("every node restarted in order, in turn", restart_all, nothing, within=DRAINED, doubt=False),
}


OLDER = "old after newer"
COLUMNS = ("sent", "once", "refused", "both", "doubt", "lost", "twice")
HEAD = (f"{'':42}{'slowest message':^18}{'presence right':^18}\n{'fault':42}{'to XMPP':>9}{'to SIP':>9}{'':2}{'broken':>8}"
        f"{'after':>8}{''.join(f'{name:>8}' for name in COLUMNS)}")


class Trial:
    def __init__(self, estate, traffic, ledger, seconds):
        self.estate, self.traffic, self.ledger, self.seconds = estate, traffic, ledger, seconds
        self.presence = estate.presence
        self.faults = []

    def account(self, keys):
        """What became of these messages; why those that were refused were."""
        own = [self.ledger.messages[key] for key in keys]
        counts = collections.Counter(sent=len(own))
        for message in own:
            counts["twice"] += message.delivered > 1
            if message.delivered and message.refused:
                counts["both"] += 1
            elif message.delivered:
                counts["once"] += 1
            elif message.refused:
                counts["refused"] += 1
            elif message.accepted or message.in_kill:
                counts["doubt"] += 1
            else:
                counts["lost"] += 1
        return counts, collections.Counter(message.refused for message in own if message.refused)

    def row(self, text, keys, *seconds):
        counts, refused = self.account(keys)
        s2x, x2s, broken, after = seconds
        print(f"{text:42}{s2x:7.2f} s{x2s:7.2f} s  {broken:>8}{after:>8}"
              + "".join(f"{counts[name]:8}" for name in COLUMNS)
              + "".join(f"\n    {count} refused: {why}" for why, count in refused.items()), flush=True)
        for key in [key for key in keys if self.ledger.messages[key].delivered > 1][:5]:
            message = self.ledger.messages[key]
            print(f"    twice: {key}, {' > '.join(message.pair)}, refused {message.refused}, accepted {message.accepted}")
        if counts["lost"] or counts["twice"]:
            self.faults.append(f"{text}: {counts['lost']} lost, {counts['twice']} twice")

    def tally(self):
        return {"presence told again": self.presence.total("again"), OLDER: self.presence.total("older"),
                "gone": self.presence.total("gone"), "SIP senders told later": sum(self.ledger.notices.values())}

    async def seen(self, text, since, seconds, stays=0):
        """When all presence is right; 0: it never was."""
        try:
            return await self.presence.when_right(seconds, stays) - since
        except Failed as failure:
            self.faults.append(f"{text}: {failure}")
            return 0

    async def run(self, name):
        fault = FAULTS[name]
        first = len(self.ledger.messages)
        before = self.tally()
        await asyncio.sleep(self.seconds / 4)
        if fault.doubt:
            self.mark()
        at = time.monotonic()
        change = asyncio.create_task(self.change_soon())
        await fault.breaks(self.estate)
        if fault.doubt:
            self.mark()
        await change
        broken = asyncio.create_task(self.seen(fault.text, 0, self.seconds + SETTLE_SECONDS))
        await asyncio.sleep(self.seconds)
        s2x, x2s = self.traffic.slowest("to XMPP", at, fault.unseen), self.traffic.slowest("to SIP", at)
        mended = time.monotonic()
        await fault.mends(self.estate)
        if fault.doubt:
            self.mark()
        await wait_until(self.estate.is_joined, f"all links, behind: {fault.text}", 30)
        if fault.back:
            await self.comes_back(fault, mended)
        if fault.told is not None:
            await self.is_told(fault, mended)
        await asyncio.wait([broken], timeout=RIGHT_SECONDS)
        if not broken.done():
            wrong = list(self.presence.wrong())
            print(f"    presence is wrong {RIGHT_SECONDS} s after it: {len(wrong)}, as {'; '.join(wrong[:3])}", flush=True)
        right = await broken
        joined = time.monotonic()
        steady = await self.seen(f"{fault.text}, mended", 0, SETTLE_SECONDS, STAYS_SECONDS)
        if not steady or steady > joined + 0.1:
            right = steady
        changed = time.monotonic()
        self.presence.change()
        after = await self.seen(f"{fault.text}, after it", changed, SETTLE_SECONDS)
        await asyncio.sleep(self.seconds / 4)
        keys = list(self.ledger.messages)[first:]
        await self.settled(keys, fault.text)
        self.row(fault.text, keys, s2x, x2s, "never" if not right else f"{right - at:.1f} s" if right < mended
                 else f"+{right - mended:.1f} s", f"{after:.1f} s" if after else "never")
        told = {name: count - before[name] for name, count in self.tally().items()}
        print("    " + ", ".join(f"{name} {count}" for name, count in told.items()), flush=True)
        if told[OLDER] and not fault.two:
            self.faults.append(f"{fault.text}: presence went back {told[OLDER]} times")
        for what, seconds, within in (("to XMPP", s2x, fault.within[0]), ("to SIP", x2s, fault.within[1])):
            if within is not None and seconds > within + 1 / self.traffic.rate + 0.5:
                self.faults.append(f"{fault.text}: a message {what} took {seconds:.1f} s")

    async def comes_back(self, fault, since):
        """They are fresh processes: nothing was sent by them yet."""
        async def has_traffic():
            counts = [await self.estate.processes[name].counter("xmpp.stanzas.out") for name in fault.back]
            return any(counts)
        try:
            await wait_until(has_traffic, "", 2 * BACK_SECONDS)
            seconds = time.monotonic() - since
            print(f"    traffic is back at {' or '.join(fault.back)} {seconds:.1f} s after their start")
        except Failed:
            seconds = 2 * BACK_SECONDS
        if seconds > BACK_SECONDS:
            self.faults.append(f"{fault.text}: no traffic by {', '.join(fault.back)} within {BACK_SECONDS} s of their return")

    async def is_told(self, fault, since):
        """Every node has the commit, or has taken it back."""
        async def told():
            nodes = (*self.estate.edges, *self.estate.gateways)
            return [await node.control("sysctl", "-n", f"partner/{PARTNERS[0][0]}/description") for node in nodes]

        async def all_told():
            return {one.strip() for one in await told()} == {fault.told}
        try:
            await wait_until(all_told, "", BACK_SECONDS)
            print(f"    all nodes have the configuration that holds {time.monotonic() - since:.1f} s after the mending")
        except Failed:
            self.faults.append(f"{fault.text}: nodes say {', '.join(one.strip() for one in await told())}, not {fault.told}")

    async def run_many(self):
        """Many subscriptions, and the gateway killed that has half of them."""
        many = self.estate.many
        await many.start(self.estate.edges[0].address, self.estate.processes["k1"].address)
        seconds = await many.begin()
        first = len(self.ledger.messages)
        self.mark()
        at = time.monotonic()
        await self.estate.processes["g1"].kill()
        self.mark()
        right, count = await many.change()
        s2x, x2s = (self.traffic.slowest(direction, at) for direction in ("to XMPP", "to SIP"))
        await self.estate.start_one("g1")
        self.mark()
        await wait_until(self.estate.is_joined, "all links, behind a killed gateway", 30)
        await asyncio.sleep(QUIET_SECONDS)
        after, count_after = await many.change()
        keys = list(self.ledger.messages)[first:]
        await self.settled(keys, "a killed gateway")
        text = f"g1 killed, {COUNT} subscriptions"
        self.row(text, keys, s2x, x2s, f"{right:.1f} s", f"{after:.1f} s")
        print(f"    made in {seconds:.1f} s; right: {count} and, when it was back, {count_after}")
        if right > RIGHT_SECONDS or count < COUNT or count_after < COUNT:
            self.faults.append(f"{text}: {count} right after {right:.1f} s, then {count_after}")
        await many.stop()

    async def settled(self, keys, text):
        def waiting():
            return [key for key in keys if not self.ledger.messages[key].is_settled and not self.ledger.messages[key].in_kill]
        try:
            await wait_until(lambda: not waiting(), text, SETTLE_SECONDS)
        except Failed:
            for key in waiting()[:5]:
                message = self.ledger.messages[key]
                print(f"    still waits: {key}, {' > '.join(message.pair)}, for {time.monotonic() - self.traffic.entered[key]:.0f} s;"
                      f" delivered {message.delivered}, accepted {message.accepted}", flush=True)
            self.faults.append(f"{text}: {len(waiting())} messages neither here nor refused")

    async def change_soon(self):
        """What was on its way when a process died is another matter."""
        await asyncio.sleep(CHANGE_SECONDS)
        self.presence.change()

    def mark(self):
        """What is under way may end in doubt."""
        for keys in self.ledger.open.values():
            for key in keys:
                self.ledger.messages[key].in_kill = "a fault"
            keys.clear()


async def run_topology(directory, faults="all", seconds=8.0, rate=20.0, logs=""):
    """The network is entered already."""
    ledger = Ledger()
    estate = Estate(directory, ledger)
    estate.draw()
    try:
        await estate.start()
        for node, words in itertools.product((estate.edges[0], estate.gateways[0]), ("ports", "status")):
            print(f"{node.name}: fedctl {words}\n{await node.control(words)}")
        traffic = Traffic(estate, ledger, rate)
        if not rate:
            most = await traffic.find_rate()
            traffic.rate = most / 2
            print(f"{most} messages a second each way pass; {traffic.rate:.0f} from here on\n")
        trial = Trial(estate, traffic, ledger, seconds)
        sender = asyncio.create_task(traffic.run())
        print(HEAD)
        for name in (*FAULTS, MANY) if faults == "all" else faults.split(","):
            await (trial.run_many() if name == MANY else trial.run(name))
        traffic.over = True
        await sender
        found = trial.faults
    except Exception:
        print(estate.logs())
        raise
    finally:
        left = await estate.stop()
        if logs:
            shutil.copytree(directory, logs, dirs_exist_ok=True, ignore=lambda _, names: {
                name for name in names if "." in name and not name.endswith((".log", ".conf"))})
    return found + left


if __name__ == "__main__":
    if not network.enter():
        sys.exit("topology.py: network namespaces need root")
    run_tool(__doc__, run_topology, faults=("all", f"of these, with commas between: {', '.join((*FAULTS, MANY))}"),
             seconds=(8.0, "that each lasts"), rate=(20.0, "messages a second each way; 0: half of what passes"),
             logs=("", "a directory that gets the logs and configurations of all"))
