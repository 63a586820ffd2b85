"""Messages both ways through a SIP pool of two real Kamailio nodes: one is killed (or stopped: it accepts
and never answers) under the load and comes back, then the other one, then both.

Prints how long traffic needed to move and to come back, what `fedctl` says of the pool, and the account
of every message: delivered once, refused to its sender, or in doubt and refused. What a user agent sees
a second time it knows by Call-ID, From tag and CSeq (RFC 3261 8.2.2.2); both counts are printed. Exits
with 1 when a message is lost or doubled, or when traffic did not move and come back in time.

    tests/integration/pool_load.py [--seconds N] [--rate N] [--transport tcp] [--names list] [--death kill]
"""
import asyncio
import collections
import contextlib
import itertools
import json
import pathlib
import re
import time
import uuid

from harness.kamailio import Kamailio
from harness.process import WAIT_SECONDS, Failed, wait_until
from harness.world import SIP_DOMAIN, XMPP_DOMAIN, World
from load import Ledger, LoadAgent, LoadClient, load_keys, run_tool

XMPP_USERS, SIP_USERS = 10, 7    # seventy pairs
SETTLE_SECONDS = 60
CAPACITY_SECONDS, CAPACITY_WINDOW = 4, 100
MOVES_WITHIN = 1    # SIP-8: a connection that breaks. Silence: OPTIONS, unanswered for 4 s
MOVES_FROM_SILENCE_WITHIN = 15
RETURNS_WITHIN = 10
DELIVERED_MIN = 0.4    # for a while nobody is there
NO_ANSWER_SECONDS = 10    # then the user agent asks the other node
POOL = f"pool.{SIP_DOMAIN}"
COUNTERS = ("sip.requests.out", "sip.requests.moved", "sip.retransmissions.out",
            "sip.transaction.timeouts", "messages.x2s.delivered", "messages.x2s.refused",
            "messages.x2s.in_doubt", "messages.s2x.delivered", "messages.s2x.refused")


class PoolAgent(LoadAgent):
    """The users' agents, registered at both nodes. A request whose node dies goes to the other one, as
    RFC 3263 4.3 has it: with a new branch and all else the same."""

    def __init__(self, ledger):
        super().__init__(ledger, "tcp")
        self.seen, self.again, self.retried = set(), 0, 0
        self.arrivals = collections.defaultdict(list)    # of a node: (when, key)
        self.asked = {}    # by Call-ID: the address of the node that has it

    async def read_stream(self, reader, writer):
        peer = writer.get_extra_info("peername")[:2]
        try:
            await super().read_stream(reader, writer)
        except ConnectionError:
            pass
        finally:
            for call_id, address in self.asked.items():
                if address == peer and not self.waiting[call_id].done():
                    self.waiting[call_id].set_result(None)
            writer.close()

    async def keep(self, message):
        via = re.match(r"SIP/2.0/\w+ ([\d.]+)", message.header("via"))
        self.arrivals[via[1]].append((time.monotonic(), message.body))
        tag = re.search(r";tag=([^;]+)", message.header("from"))
        ids = (message.header("call-id"), tag and tag[1], message.header("cseq"))
        if ids in self.seen:
            self.again += 1
            return
        self.seen.add(ids)
        await super().keep(message)

    async def send_through(self, key, user, xmpp_user, addresses):
        """A message of the ledger, through the first of the nodes that answers."""
        to = xmpp_user if "@" in xmpp_user else f"{xmpp_user}@{XMPP_DOMAIN}"
        call_id, data = self.request("MESSAGE", f"sip:{user}@{SIP_DOMAIN}", f"sip:{to}", key)
        why = ""
        for number, address in enumerate(addresses):
            branch = f"z9hG4bK{uuid.uuid4().hex}".encode()
            self.retried += number > 0
            try:
                response = await self.ask(call_id, re.sub(rb"z9hG4bK\w+", branch, data, count=1), address)
            except (OSError, asyncio.TimeoutError) as failure:
                why = type(failure).__name__
                continue
            if response.status < 300:
                self.ledger.messages[key].accepted = True
                self.ledger.settle(key)
            else:
                self.ledger.refuse(key, response.first_line[len("SIP/2.0 "):])
            return
        self.ledger.refuse(key, f"no answer: {why}")

    async def ask(self, call_id, data, address):
        answer = self.waiting[call_id] = asyncio.get_running_loop().create_future()
        self.asked[call_id] = (address, 5060)
        try:
            await self.send_bytes(data, address, 5060)
            if response := await asyncio.wait_for(answer, NO_ANSWER_SECONDS):
                return response
            raise ConnectionResetError("the node died")
        finally:
            del self.waiting[call_id], self.asked[call_id]


class PoolWorld(World):
    """Two Kamailio nodes where one SIP server would be. names: `list`, the first before the second, or
    `srv`, both alike."""

    def __init__(self, directory, ledger, transport, names, death, interval):
        self.transport, self.names, self.death, self.alive = transport, names, death, []
        self.silence = int(interval[:-1]) + 6    # until it is known, and some more
        super().__init__(directory, agent=PoolAgent(ledger),
                         keys={**load_keys(), "sip.options_interval": interval})
        self.prosody.accounts.update({f"user{n}": "secret" for n in range(XMPP_USERS)})
        options = {}
        if transport == "tls":
            options = {"certificate": self.authority.issue(SIP_DOMAIN, label="kamailio"),
                       "ca": self.authority.certificate}
        self.nodes = [Kamailio(self.directory / f"kamailio{n}", SIP_DOMAIN, memory=512, **options)
                      for n in (1, 2)]
        service = "_sips._tcp" if transport == "tls" else f"_sip._{transport}"
        for number, node in enumerate(self.nodes):
            self.records += [f"{service}.{POOL}. IN SRV 10 50 {node.port(transport)} node{number}.{POOL}.",
                             f"node{number}.{POOL}. IN A {node.address}"]

    async def start_sip(self):
        if self.transport == "tls":
            self.fedgate.use_sip_tls()
        await self.agent.start()
        for node in self.nodes:
            await self.start_node(node)
        if self.names == "srv":
            return f"sip:{POOL};transport={self.transport}"
        return " ".join(node.uri(self.transport) for node in self.nodes)

    async def start_node(self, node):
        """Up means: it knows its users."""
        if node.process and node.process.is_alive:
            node.resume()
            self.alive.append(node)
            return time.monotonic()
        await node.start(f"sip:{self.fedgate.sip[0]}:{self.fedgate.sip[1]};transport={self.transport}")
        started = time.monotonic()
        for number in range(SIP_USERS):
            await self.agent.register(f"sip{number}", SIP_DOMAIN, (node.address, 5060))
        self.alive.append(node)
        return started

    async def kill_node(self, node):
        self.alive.remove(node)
        if self.death == "stop":
            node.pause()
        else:
            await node.kill()
        return time.monotonic()

    async def stop(self):
        try:
            await super().stop()
        finally:
            for node in self.nodes:
                await node.kill()


class PoolLoad:
    def __init__(self, world, ledger):
        self.world, self.ledger = world, ledger
        self.clients, self.tasks, self.faults = [], set(), []
        self.entered, self.delays = {}, []    # to SIP: when entered; (entered, delay) of what came
        self.numbers, self.over = itertools.count(), False

    async def log_in(self):
        self.clients = [await LoadClient(self.ledger, self.world.prosody.address, XMPP_DOMAIN,
                                         f"user{n}", "secret").start() for n in range(XMPP_USERS)]

    async def log_out(self):
        for client in self.clients:
            await client.stop()

    def send_to_sip(self, number):
        client, target = self.clients[number % XMPP_USERS], f"sip{number % SIP_USERS}"
        key = self.ledger.enter("to SIP", (client.name, target))
        self.entered[key] = time.monotonic()
        client.ids[client.message(f"{target}@{SIP_DOMAIN}", key)] = key

    def send_to_xmpp(self, number):
        """Each node is the first choice of every second message, whether it lives or not."""
        pair = (f"sip{number % SIP_USERS}", f"user{number % XMPP_USERS}")
        nodes = [node.address for node in self.world.nodes]
        task = asyncio.create_task(self.world.agent.send_through(
            self.ledger.enter("to XMPP", pair), *pair, nodes[::1 if number % 2 else -1]))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def find_capacity(self):
        """Messages a second, both ways together, that pass when a fixed number is on its way."""
        start, first = time.monotonic(), len(self.ledger.messages)
        while time.monotonic() - start < CAPACITY_SECONDS:
            for direction, send in (("to SIP", self.send_to_sip), ("to XMPP", self.send_to_xmpp)):
                if len(self.ledger.open[direction]) < CAPACITY_WINDOW:
                    send(next(self.numbers))
            await asyncio.sleep(0)
        await wait_until(lambda: not any(self.ledger.open.values()), "all settled")
        return (len(self.ledger.messages) - first) / (time.monotonic() - start)

    async def send(self, rate):
        """At a steady pace, a message each way in turn."""
        start = time.monotonic()
        for count in itertools.count():
            await asyncio.sleep(max(0, start + count / rate - time.monotonic()))
            if self.over:
                return
            number = next(self.numbers)
            self.send_to_sip(number)
            self.send_to_xmpp(number)

    def arrived(self, node, since):
        return [at for at, _ in self.world.agent.arrivals[node.address] if at > since]

    def mark_kill(self):
        """And what has just come to the agents: the answers to it may be lost with a node."""
        self.ledger.mark_kill("SIP")
        for node in self.world.nodes:
            for _, key in itertools.takewhile(lambda arrival: arrival[0] > time.monotonic() - 1,
                                              reversed(self.world.agent.arrivals[node.address])):
                if key in self.ledger.messages:
                    self.ledger.messages[key].in_kill = "SIP"

    async def kill(self, node, name):
        self.mark_kill()
        at = await self.world.kill_node(node)
        self.mark_kill()    # and what was sent to it while it died
        print(f"{name} is {'stopped' if self.world.death == 'stop' else 'killed'}")
        return at

    async def moves(self, at, name, pause):
        """The longest, from then on, that a message to SIP took which was under way or was written since."""
        silence = self.world.death == "stop" or self.world.transport == "udp"
        within = MOVES_FROM_SILENCE_WITHIN if silence else MOVES_WITHIN
        await asyncio.sleep(max(pause, self.world.silence if silence else 0))
        came = {key: when for node in self.world.nodes
                for when, key in reversed(self.world.agent.arrivals[node.address]) if when > at}
        now = time.monotonic()
        delays = [came.get(key, now) - max(at, entered) for key, entered in self.entered.items()
                  if key in came or (entered > at and not self.ledger.messages[key].refused)]
        late = [came[key] for key in came if came[key] - self.entered.get(key, now) > 0.25]
        print(f"  without {name}: {len(came)} messages came to SIP users, the slowest after {max(delays):.2f} s, "
              f"the last that was delayed {max(late, default=at) - at:.2f} s after the kill")
        if max(delays) > within:
            self.faults.append(f"without {name} a message took {max(delays):.1f} s")

    async def returns(self, node, name):
        """How long after its start it has traffic; a second node of a list has none while the first is up."""
        self.mark_kill()    # a node that was stopped may have what was sent to it
        at = await self.world.start_node(node)
        if self.world.names == "list" and node is not self.world.nodes[0] and len(self.world.alive) > 1:
            return
        await wait_until(lambda: self.arrived(node, at), f"traffic at {name}", 2 * RETURNS_WITHIN + WAIT_SECONDS)
        seconds = self.arrived(node, at)[0] - at
        print(f"{name} is started again: traffic after {seconds:.2f} s")
        if seconds > RETURNS_WITHIN:
            self.faults.append(f"{name} had no traffic for {seconds:.1f} s")

    async def tell(self, live=True):
        """live: what is down is known to be by now, and so is what is up."""
        counters = json.loads(await self.world.fedgate.control("--json", "counters"))["counters"]
        print("  " + ", ".join(f"{name} {counters.get(name, 0)}" for name in COUNTERS))
        hops = json.loads(await self.world.fedgate.control("--json", "status"))["next_hops"]
        for hop, node in itertools.product(hops, self.world.nodes):
            if hop["address"] != f"{node.address}:{node.port(self.world.transport)}":
                continue
            print(f"  {hop['next_hop']} ({hop['address']}) {hop['state']} for {hop['since_s']} s {hop['why']}: "
                  f"{hop['answered']} answered, {hop['unanswered']} unanswered, {hop['pending']} pending")
            if live and self.world.transport != "udp" and (hop["state"] == "up") != (node in self.world.alive):
                self.faults.append(f"{hop['address']} is shown {hop['state']}")

    async def run(self, seconds, rate):
        first, second = self.world.nodes
        if rate == 0:
            capacity = await self.find_capacity()
            rate = capacity / 4    # half of it, half of that each way
            print(f"the chain sustains {capacity:.0f} messages a second; {rate:.0f} each way from here on")
        before = {node.address: len(self.world.agent.arrivals[node.address]) for node in self.world.nodes}
        sender, pause = asyncio.create_task(self.send(rate)), seconds / 5
        try:
            await asyncio.sleep(pause)
            print("shares of the nodes:", [len(self.world.agent.arrivals[node.address]) - before[node.address]
                                           for node in self.world.nodes])
            await self.moves(await self.kill(first, "the first node"), "the first node", pause)
            await self.tell()
            await self.returns(first, "the first node")
            await asyncio.sleep(pause / 2)
            await self.moves(await self.kill(second, "the second node"), "the second node", pause)
            await self.returns(second, "the second node")
            await asyncio.sleep(pause / 2)
            await self.kill(first, "the first node")
            await self.kill(second, "the second node")
            await asyncio.sleep(max(pause / 2, self.world.silence if self.world.death == "stop" else 0))
            await self.tell()
            await self.returns(second, "the second node")
            await asyncio.sleep(pause / 2)
        finally:
            self.over = True
            await sender
        await asyncio.gather(*self.tasks)
        with contextlib.suppress(Failed):
            await wait_until(lambda: not any(self.ledger.open.values()) and not self.ledger.owed(),
                             "all settled", SETTLE_SECONDS)
        await self.tell(live=False)
        for line in pathlib.Path(self.world.fedgate.process.log).read_text().splitlines():
            if "SIP next hop" in line:
                print("  " + line)
        agent = self.world.agent
        print(f"requests that the agents sent again, by the other node: {agent.retried}; that came to them "
              f"again, and that they knew: {agent.again}")
        return self.faults + self.ledger.report(DELIVERED_MIN)


async def run_pool(directory, seconds, rate, transport="tcp", names="list", death="kill", interval="5s"):
    ledger = Ledger()
    world = PoolWorld(directory, ledger, transport, names, death, interval)
    try:
        await world.start()
        load = PoolLoad(world, ledger)
        await load.log_in()
        faults = await load.run(seconds, rate)
        await load.log_out()
        return faults
    except Exception:
        print(world.logs())
        raise
    finally:
        await world.stop()


if __name__ == "__main__":
    run_tool(__doc__, run_pool, seconds=(30.0, "all of it, about"),
             rate=(0.0, "messages a second, each way; 0: half of what passes"),
             transport=("tcp", "between Fedgate and the nodes", ("tcp", "tls", "udp")),
             names=("list", "next_hop lists the nodes, or DNS does", ("list", "srv")),
             death=("kill", "SIGKILL, or SIGSTOP", ("kill", "stop")),
             interval=("5s", "sip.options_interval"))
