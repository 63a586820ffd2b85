"""An organisation on machines of their own, and what becomes of its messages when one of them fails: two edges in
pool A, one in pool B, two gateways, two Kamailios; partners with Prosody and ejabberd; a DNS server outside and one
inside. Each machine is a network namespace; cables are cut, slowed and made deaf.

Prints for each fault how long the slowest message took from then on, both ways, and the account of every message:
delivered once, refused to its sender, or in doubt. Exits with 1 when one is lost or doubled, or took longer than the
fault allows. Needs root, for the namespaces.

    tests/integration/topology.py [--faults all] [--seconds N] [--rate N]
"""
import asyncio
import collections
import glob
import itertools
import json
import json
import signal
import time

from harness import network
from harness.certificates import Authority
from harness.dns import Dns
from harness.ejabberd import Ejabberd
from harness.fedgate import Fedgate
from harness.kamailio import Kamailio
from harness.network import Machine, Network
from harness.process import Failed, is_listening, wait_until
from harness.prosody import Prosody
from harness.split import Role
from harness.world import SIP_DOMAIN, binaries
from load import Ledger, LoadClient, load_keys, run_tool
from pool_load import PoolAgent

POOLS = {"A": (("a1", 11), ("a2", 12)), "B": (("b1", 13),)}    # and the last number of their addresses
PRIORITY = {"A": 10, "B": 20}
GATEWAYS = (("g1", 21), ("g2", 22))
PARTNERS = (("prosody.example", 31), ("ejabberd.example", 32))
XMPP_USERS, SIP_USERS = 5, 7
SETTLE_SECONDS = 60
PICTURE = """\
      {p0:^30}{p1:^30}
   ----+----------------+--------------+------------- outside {outside}.0/24, dns
       |                |              |
   pool A (priority 10): a1, a2   pool B (20): b1      edges
       |                |              |
   ----+---------+------+-------+------+------------- inside {inside}.0/24, dns
                 |              |
              g1, g2         k1, k2                   gateways, SIP pool
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
        self.agent = PoolAgent(ledger)
        self.agent.address = self.inside.address
        self.clients = {}

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
        for number, ((gateway, last), (other, other_last)) in enumerate(itertools.permutations(GATEWAYS), 1):
            kamailio = Kamailio(self.directory / f"k{number}", SIP_DOMAIN, memory=256)
            kamailio.place(self.machine(f"k{number}", 40 + number, self.inside))
            kamailio.settings = ("tcp_connect_timeout=2", )
            kamailio.other = f"sip:{self.inside.prefix}.{other_last}:5060;transport=tcp"
            kamailio.target = f"sip:{self.inside.prefix}.{last}:5060;transport=tcp"
            self.processes[f"k{number}"] = kamailio
            await self.start_one(f"k{number}")
        own = self.authority.issue(SIP_DOMAIN)
        for name, number in (*itertools.chain(*POOLS.values()), *GATEWAYS):
            await self.start_node(name, number, own, {domain: {"sasl": "optional", "dialback": "yes"} for domain, _ in PARTNERS})
        self.dns["outside"].records = [line async for line in self.outer_zone()]
        await self.dns["outside"].start(53)
        partners = dict(PARTNERS)
        accounts = {f"user{n}": "secret" for n in range(XMPP_USERS)}
        self.prosody = Prosody(self.directory / "prosody", PARTNERS[0][0], self.authority.issue(PARTNERS[0][0]),
                               self.authority.certificate, accounts, "modern")
        self.ejabberd = Ejabberd(self.directory / "ejabberd",
                                 {PARTNERS[1][0]: (self.authority.issue(PARTNERS[1][0]), "tls-dialback")},
                                 self.authority.certificate, accounts)
        for server, (domain, number) in zip((self.prosody, self.ejabberd), PARTNERS):
            name = domain.partition(".")[0]
            self.processes[name] = server.place(self.machine(name, number, self.outside))
            await server.start(self.dns["outside"])
        await wait_until(self.is_joined, "every gateway has a link to every edge")
        for domain, server in zip(partners, (self.prosody, self.ejabberd)):
            for n in range(XMPP_USERS):
                self.clients[domain, n] = await LoadClient(self.ledger, server.address, domain, f"user{n}", "secret").start()
        return self

    async def start_node(self, name, number, own, partners):
        is_edge = name[0] != "g"
        machine = self.machine(name, number, *((self.outside, self.inside) if is_edge else (self.inside,)))
        inner = f"{self.inside.prefix}.{number}"
        node = Node("edge" if is_edge else "gateway", name_of(name), self.internal, self.directory / name, binaries(), own,
                    self.authority.certificate, self.dns["outside" if is_edge else "inside"], partners,
                    {SIP_DOMAIN: {"next_hop": " ".join(self.processes[k].uri("tcp") for k in ("k1", "k2"))}},
                    {**load_keys(), "xmpp.dialback.secret": "0123456789abcdef0123456789abcdef",
                     "sip.trusted": f"{self.inside.prefix}.0/24", "sip.listen": f"tcp:{inner}:5060",
                     "link.listen": f"{inner}:23456", "net.dns.servers": "", "core.threads": 1, **dict(self.topology())})
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

    async def start_one(self, name):
        """Again, or a Kamailio for the first time."""
        process = self.processes[name]
        if name.startswith("k"):
            await process.start(process.target)
            for number in range(SIP_USERS):
                await self.agent.register(f"sip{number}", SIP_DOMAIN, (process.address, 5060))
        elif process in (self.prosody, self.ejabberd):
            await process.start(self.dns["outside"])
        else:
            (process.directory / "admin.sock").unlink(missing_ok=True)
            await process.start()

    async def stop(self):
        faults = []
        for client in self.clients.values():
            await client.stop()
        await self.agent.stop()
        for name, process in self.processes.items():
            if isinstance(process, Fedgate) and process.process and process.process.is_alive:
                try:
                    await process.stop()
                except Failed as failure:
                    faults.append(f"{name}: {failure}")
            await process.kill()
        for dns in self.dns.values():
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

    async def run(self):
        start = time.monotonic()
        for count in itertools.count():
            await asyncio.sleep(max(0, start + count / self.rate - time.monotonic()))
            if self.over:
                return
            number = next(self.numbers)
            self.send_to_sip(number)
            self.send_to_xmpp(number)

    async def settle(self):
        await wait_until(lambda: not any(self.ledger.open.values()), "all settled", SETTLE_SECONDS)

    def slowest(self, direction, since):
        """Of what was delivered and was under way then or entered since: seconds, from then on."""
        return max((came - max(since, self.entered[key]) for key, came in list(self.came.items())
                    if came > since and key in self.entered and self.ledger.messages[key].direction == direction),
                   default=0.0)


class Fault:
    """breaks(estate), then mends(estate). within: seconds that a message to XMPP, and to SIP, may take; None: what
    others do, not we, decides. doubt: messages may end in doubt, since a process or a cable had them."""

    def __init__(self, text, breaks, mends, within=(1, None), doubt=True):
        self.text, self.breaks, self.mends, self.within, self.doubt = text, breaks, mends, within, doubt


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


async def dns_gone(estate):
    for one in estate.dns.values():
        await one.process.kill()


async def dns_back(estate):
    for one in estate.dns.values():
        await one.start(one.port)


async def restart_all(estate):
    """One after the other, each in order."""
    for name, node in estate.processes.items():
        if isinstance(node, Node):
            await node.stop()
            await estate.start_one(name)
            await wait_until(estate.is_joined, f"all links, behind the restart of {name}", 30)


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


async def nothing(_):
    pass


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


FAULTS = {
    "edge": Fault("edge a1 killed", *kill("a1")),
    "pool": Fault("all of pool A killed", *kill("a1", "a2"), within=(5, None)),
    "gateway": Fault("gateway g1 killed", *kill("g1"), within=(None, 1)),
    "sip": Fault("Kamailio k1 killed", *kill("k1"), within=(None, 1)),
    "inner-cable": Fault("a1's inner cable cut", *cable("a1", "inside", "cut"), within=(5, None)),
    "outer-cable": Fault("a1's outer cable cut", *cable("a1", "outside", "cut"), within=(None, None)),
    "gateway-cable": Fault("g1's cable cut", *cable("g1", "inside", "cut"), within=(None, 5)),
    "one-way": Fault("what a1 sends inside is lost", *cable("a1", "inside", "deafen"), within=(5, None)),
    "slow": Fault("g1's cable: 200 ms, 5 % lost", *cable("g1", "inside", "slow", 0.2, 0.05), within=(5, 5)),
    "flapping": Fault("a1's inner cable cut every 2 s", *flap("a1", "inside"), within=(5, None)),
    "dns": Fault("both DNS servers killed", dns_gone, dns_back, within=(1, 1), doubt=False),
    "expired": Fault("a2's certificate of the link expired", *bad_certificate("a2"), within=(1, None)),
    "wrong-ca": Fault("a2's certificate of another CA", *bad_certificate("a2", other=True), within=(1, None)),
    "clock": Fault("g1's clock a day ahead", *clock("g1", "+1d"), within=(1, 1)),
    "restart": Fault("every node restarted in order, in turn", restart_all, nothing, within=(1, 1), doubt=False),
}


class Trial:
    def __init__(self, estate, traffic, ledger, seconds):
        self.estate, self.traffic, self.ledger, self.seconds = estate, traffic, ledger, seconds
        self.faults = []

    def row(self, text, keys, x2s, s2x):
        own = [self.ledger.messages[key] for key in keys]
        counts = collections.Counter()
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
        refused = collections.Counter(message.refused for message in own if message.refused)
        print(f"{text:38} {s2x:6.2f} s {x2s:6.2f} s {len(own):6} {counts['once']:6} {counts['refused']:7} "
              f"{counts['both']:5} {counts['doubt']:5} {counts['lost']:5} {counts['twice']:6}"
              + "".join(f"\n    {count} refused: {why}" for why, count in refused.items()), flush=True)
        if counts["lost"] or counts["twice"]:
            self.faults.append(f"{text}: {counts['lost']} lost, {counts['twice']} twice")

    async def run(self, name):
        fault = FAULTS[name]
        first = len(self.ledger.messages)
        await asyncio.sleep(self.seconds / 4)
        if fault.doubt:
            self.mark()
        at = time.monotonic()
        await fault.breaks(self.estate)
        if fault.doubt:
            self.mark()
        await asyncio.sleep(self.seconds)
        s2x, x2s = (self.traffic.slowest(direction, at) for direction in ("to XMPP", "to SIP"))
        await fault.mends(self.estate)
        if fault.doubt:
            self.mark()
        await wait_until(self.estate.is_joined, f"all links, behind: {fault.text}", 30)
        await asyncio.sleep(self.seconds / 4)
        keys = list(self.ledger.messages)[first:]
        await wait_until(lambda: all(self.ledger.messages[key].is_settled or self.ledger.messages[key].in_kill
                                     for key in keys), f"all settled, behind: {fault.text}", SETTLE_SECONDS)
        self.row(fault.text, keys, x2s, s2x)
        for what, seconds, within in (("to XMPP", s2x, fault.within[0]), ("to SIP", x2s, fault.within[1])):
            if within is not None and seconds > within + 1 / self.traffic.rate + 0.5:
                self.faults.append(f"{fault.text}: a message {what} took {seconds:.1f} s")

    def mark(self):
        """What is under way may end in doubt."""
        for keys in self.ledger.open.values():
            for key in keys:
                self.ledger.messages[key].in_kill = "a fault"
            keys.clear()


async def run_topology(directory, faults="all", seconds=8, rate=20):
    """The network is entered already."""
    ledger = Ledger()
    estate = Estate(directory, ledger)
    estate.draw()
    try:
        await estate.start()
        for node in (estate.edges[0], estate.gateways[0]):
            print(f"{node.name}: fedctl ports\n{await node.control('ports')}")
        traffic = Traffic(estate, ledger, rate)
        trial = Trial(estate, traffic, ledger, seconds)
        sender = asyncio.create_task(traffic.run())
        print(f"{'':38} {'slowest message':^17}\n{'fault':38} {'to XMPP':>8} {'to SIP':>8} {'sent':>6} {'once':>6} {'refused':>7} "
              f"{'both':>5} {'doubt':>5} {'lost':>5} {'twice':>6}")
        for name in FAULTS if faults == "all" else faults.split(","):
            await trial.run(name)
        traffic.over = True
        await sender
        found = trial.faults
    except Exception:
        print(estate.logs())
        raise
    finally:
        left = await estate.stop()
    return found + left


if __name__ == "__main__":
    if not network.enter():
        sys.exit("topology.py: network namespaces need root")
    run_tool(__doc__, run_topology, faults=("all", f"of these, with commas between: {', '.join(FAULTS)}"),
             seconds=(8, "that each lasts"), rate=(20, "messages a second each way"))
