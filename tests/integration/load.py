"""Messages by the hundred thousand through a real Prosody, both ways, with peers killed in between.

Every message ends in exactly one way: delivered once, or refused to its sender; those that were
outstanding when a peer was killed may be in doubt. Prints the counts, and exits with 1 when the law
is broken or when less than 99.9 % arrived outside the kills.

    tests/integration/load.py [--messages N] [--kills N]
"""
import argparse
import asyncio
import collections
import contextlib
import os
import pathlib
import re
import sys
import tempfile
import time
from dataclasses import dataclass

from harness.process import WAIT_SECONDS, Failed, wait_until
from harness.prosody import VARIANTS
from harness.sip_agent import SipAgent
from harness.world import SIP_DOMAIN, XMPP_DOMAIN, World
from harness.xmpp_client import CLIENT, XmppClient, body_of, error_of

LOAD_CONFIGURATION = pathlib.Path(__file__).parents[1] / "load.conf"
XMPP_USERS, SIP_USERS = 40, 25  # a thousand pairs
WINDOW = 200  # outstanding each way
ANSWER_ON_ITS_WAY = 0.2
SETTLE_SECONDS = 60
DELIVERED_MIN = 0.999
# In Prosody's log: a message on its way to a user, and the word to Fedgate that all before it arrived
# (XEP-0199, XEP-0198).
TO_USER = re.compile(r"Sending\[c2s\]: <message (?=.*\bid='([^']*)')(?=.*\bfrom='([^@']*)@)(?=.*\bto='([^@']*)@)")
ACKNOWLEDGED = re.compile(r"Sending\[s2s\w+\]: <(a |iq (?=.*\bid='fedgate-ping)(?=.*\btype='result'))")


@dataclass
class Message:
    """The life of one message as both its ends saw it."""
    direction: str
    pair: tuple
    delivered: int = 0
    refused: str = ""
    accepted: bool = False  # SIP to XMPP only: a 2xx came
    in_kill: str = ""       # the peer that was killed while it was outstanding

    @property
    def is_settled(self):
        if self.refused:
            return True
        return self.delivered > 0 and (self.accepted or self.direction == "to SIP")


class Ledger:
    def __init__(self):
        self.messages = {}
        self.notices = collections.Counter()  # per pair, after a 2xx (IM-50)
        self.taken_along = collections.Counter()    # per pair
        self.open = {"to SIP": set(), "to XMPP": set()}
        self.unknown = 0
        self.brought = set()    # ids of the messages that came to XMPP users
        self.came = collections.deque(maxlen=WINDOW)    # to SIP, and when

    def enter(self, direction, pair):
        key = f"{direction} {len(self.messages)}"
        self.messages[key] = Message(direction, pair)
        self.open[direction].add(key)
        return key

    def settle(self, key):
        message = self.messages[key]
        if message.is_settled:
            self.open[message.direction].discard(key)

    def deliver(self, key):
        if key not in self.messages:
            self.unknown += 1
            return
        self.messages[key].delivered += 1
        if self.messages[key].direction == "to SIP":
            self.came.append((time.monotonic(), key))
        self.settle(key)

    def refuse(self, key, why):
        self.messages[key].refused = why
        self.settle(key)

    def mark_kill(self, peer):
        """What is outstanding now may end in doubt; nobody waits for it any more. So may what has just
        come to a SIP server: its answer dies with the connection that it was written to."""
        if peer == "SIP":
            for when, key in self.came:
                if time.monotonic() - when < ANSWER_ON_ITS_WAY:
                    self.messages[key].in_kill = peer
        for keys in self.open.values():
            for key in keys:
                self.messages[key].in_kill = peer
            keys.clear()

    def take_along(self, log):
        """What a server had acknowledged and not yet brought to its users when it was killed: it wrote
        the acknowledgement to its socket before the messages. Its own log says so; nobody else knows."""
        waiting = []
        for line in log:
            if found := TO_USER.search(line):
                waiting.append(found.groups())
            elif ACKNOWLEDGED.search(line):
                self.taken_along.update((sender, user) for stanza_id, sender, user in waiting
                                        if stanza_id not in self.brought)
                waiting = []

    def owed(self):
        """What was outstanding at a kill and whose sender, still alive, heard nothing yet."""
        return [m for m in self.messages.values() if m.in_kill and not m.refused and (
            not m.delivered and m.in_kill == "SIP" if m.direction == "to SIP" else not m.accepted)]

    def report(self, delivered_min=DELIVERED_MIN):
        """Prints the counts; returns what breaks the law."""
        faults = []
        for direction in self.open:
            own = [m for m in self.messages.values() if m.direction == direction]
            outside = [m for m in own if not m.in_kill]
            inside = [m for m in own if m.in_kill]
            once = sum(m.delivered == 1 and not m.refused for m in outside)
            refused = collections.Counter(m.refused for m in outside if m.refused and not m.delivered)
            twice = sum(m.delivered > 1 for m in own)
            both = sum(bool(m.delivered and m.refused) for m in outside)
            lost = sum(not m.delivered and not m.refused for m in outside)
            print(f"{direction}: {len(own)} sent, {len({m.pair for m in own})} pairs\n"
                  f"  outside the kills: {once} delivered once, {sum(refused.values())} refused "
                  f"{dict(refused)}, {lost} lost, {both} delivered and refused\n"
                  f"  outstanding at a kill: {len(inside)}, of these "
                  f"{sum(m.delivered == 1 for m in inside)} delivered, "
                  f"{sum(bool(m.refused) for m in inside)} refused or in doubt "
                  f"{dict(collections.Counter(m.refused for m in inside if m.refused))}, "
                  f"{sum(not m.delivered and not m.refused for m in inside)} without a word\n"
                  f"  delivered twice: {twice}")
            if twice or both or lost:
                faults.append(f"{direction}: {twice} twice, {both} both, {lost} lost")
            if once < delivered_min * len(outside):
                faults.append(f"{direction}: only {once} of {len(outside)} delivered")
        print(f"late notices to SIP senders: {sum(self.notices.values())}")
        print(f"acknowledged by a server and lost with it, by its own log: "
              f"{sum(self.taken_along.values())}")
        # Accepted from SIP and then not delivered: a late notice for each (IM-50).
        doubts = collections.Counter(m.pair for m in self.messages.values()
                                     if m.accepted and not m.delivered)
        untold = sum(max(0, n - self.notices[pair] - self.taken_along[pair])
                     for pair, n in doubts.items())
        print(f"accepted from SIP, not delivered, and nobody was told: {untold}")
        if untold:
            faults.append(f"{untold} accepted from SIP, not delivered, and nobody was told")
        if owed := len(self.owed()):
            faults.append(f"{owed} outstanding at a kill whose senders were told nothing")
        if self.unknown:
            faults.append(f"{self.unknown} messages that nobody sent")
        return faults


class LoadClient(XmppClient):
    """Counts instead of keeping."""

    def __init__(self, ledger, *arguments):
        super().__init__(*arguments)
        self.ledger, self.ids = ledger, {}

    async def take(self, found):
        for stanza in found:
            self.on_stanza(stanza)

    def on_stanza(self, stanza):
        if stanza.tag != CLIENT + "message":
            return
        if stanza.get("type") == "error":
            key = self.ids.get(stanza.get("id"))
            if key:
                self.ledger.refuse(key, "/".join(error_of(stanza)))
        elif body := body_of(stanza):
            self.ledger.brought.add(stanza.get("id"))
            self.ledger.deliver(body)


async def kill_server(prosody, ledger, clients):
    """By its process id, under load; what it had still brought, and what it took along, is counted."""
    await prosody.kill()
    for client in clients:
        with contextlib.suppress(OSError):
            await asyncio.wait_for(client.reader_task, WAIT_SECONDS)
    ledger.take_along(prosody.log_lines())


class LoadAgent(SipAgent):
    def __init__(self, ledger, transport):
        super().__init__(transport)
        self.ledger = ledger

    async def send_entered(self, key, user, xmpp_user, to):
        """A message of the ledger; enters what comes of it."""
        try:
            response = await self.send_message(f"sip:{user}@{SIP_DOMAIN}", f"sip:{xmpp_user}@{XMPP_DOMAIN}",
                                               key, to, 40)
        except (Failed, OSError) as failure:
            self.ledger.refuse(key, f"no answer: {type(failure).__name__}")
            return
        if response.status < 300:
            self.ledger.messages[key].accepted = True
            self.ledger.settle(key)
        else:
            self.ledger.refuse(key, response.first_line[len("SIP/2.0 "):])

    async def keep(self, message):
        if message.body in self.ledger.messages:
            self.ledger.deliver(message.body)
            return
        sender = re.search(r"<sip:([^@>]+)@", message.header("from"))
        target = re.match(r"sip:([^@]+)@", message.uri)
        if sender and target:
            self.ledger.notices[(target[1], sender[1])] += 1


class Load:
    def __init__(self, world, ledger, count):
        self.world, self.ledger, self.count = world, ledger, count
        self.clients = []
        self.may_send = asyncio.Event()

    async def log_in(self):
        self.clients = [await LoadClient(self.ledger, self.world.prosody.address, XMPP_DOMAIN,
                                         f"user{n}", "secret").start() for n in range(XMPP_USERS)]
        self.may_send.set()

    async def log_out(self):
        for client in self.clients:
            await client.stop()

    async def room(self, direction):
        while True:
            await self.may_send.wait()
            if len(self.ledger.open[direction]) < WINDOW:
                return
            await asyncio.sleep(0.002)

    async def send_to_sip(self):
        for number in range(self.count):
            await self.room("to SIP")
            client = self.clients[number % XMPP_USERS]
            user = f"sip{number // XMPP_USERS % SIP_USERS}"
            key = self.ledger.enter("to SIP", (client.name, user))
            client.ids[client.message(f"{user}@{SIP_DOMAIN}", key)] = key

    async def send_to_xmpp(self):
        tasks = set()
        for number in range(self.count):
            await self.room("to XMPP")
            pair = (f"sip{number // XMPP_USERS % SIP_USERS}", f"user{number % XMPP_USERS}")
            key = self.ledger.enter("to XMPP", pair)
            task = asyncio.create_task(self.send_one(key, pair))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    async def send_one(self, key, pair):
        await self.world.agent.send_entered(key, *pair, self.world.fedgate.sip)

    async def kill_prosody(self):
        self.may_send.clear()
        self.ledger.mark_kill("Prosody")
        await kill_server(self.world.prosody, self.ledger, self.clients)
        await self.log_out()
        await self.world.prosody.start(self.world.dns)
        await self.log_in()

    async def kill_sip(self):
        self.may_send.clear()
        self.ledger.mark_kill("SIP")
        port = self.world.agent.port
        await self.world.agent.stop()
        self.world.agent = await LoadAgent(self.ledger, self.world.agent.transport).start(port)
        self.may_send.set()

    async def probe(self, peer):
        """A message each way, so that a kill's window is closed only when both ways are open."""
        async def passes():
            sender = self.clients[0]
            key = self.ledger.enter("to SIP", (sender.name, "sip0"))
            sender.ids[sender.message(f"sip0@{SIP_DOMAIN}", key)] = key
            back = self.ledger.enter("to XMPP", ("sip0", sender.name))
            await self.send_one(back, ("sip0", sender.name))
            try:
                await wait_until(lambda: all(self.ledger.messages[k].is_settled for k in (key, back)),
                                 "a probe", 10)
            except Failed:
                pass
            done = all(self.ledger.messages[k].delivered for k in (key, back))
            if not done:    # the window is still open: these belong to it
                for k in (key, back):
                    self.ledger.messages[k].in_kill = peer
                self.ledger.mark_kill(peer)
            return done
        await wait_until(passes, "messages pass again after a kill", 120)

    async def run(self, kills):
        senders = [asyncio.create_task(self.send_to_sip()), asyncio.create_task(self.send_to_xmpp())]
        for number in range(kills):
            target = 2 * self.count * (number + 1) // (kills + 1)
            while len(self.ledger.messages) < target and not all(s.done() for s in senders):
                await asyncio.sleep(0.01)
            peer, kill = (("Prosody", self.kill_prosody), ("SIP", self.kill_sip))[number % 2]
            await kill()
            self.may_send.clear()
            await self.probe(peer)
            self.may_send.set()
        for sender in senders:
            await sender
        try:
            await wait_until(
                lambda: not any(self.ledger.open.values()) and not self.ledger.owed(),
                "all settled", SETTLE_SECONDS)
        except Failed:
            print(f"not settled: {[sorted(keys)[:5] for keys in self.ledger.open.values()]}")


def load_keys():
    lines = LOAD_CONFIGURATION.read_text().splitlines()
    return dict(line.split(" = ", 1) for line in lines if line and not line.startswith("#"))


async def run_load(directory, messages, kills, variant="external"):
    ledger = Ledger()
    world = World(directory, variant, agent=LoadAgent(ledger, "tcp"), keys=load_keys())
    world.prosody.accounts.update({f"user{n}": "secret" for n in range(XMPP_USERS)})
    try:
        await world.start()
        load = Load(world, ledger, messages)
        await load.log_in()
        start, cpu = time.monotonic(), cpu_seconds(world.fedgate.process.pid)
        await load.run(kills)
        seconds = time.monotonic() - start
        cpu = cpu_seconds(world.fedgate.process.pid) - cpu
        faults = ledger.report()
        print(f"{len(ledger.messages)} messages in {seconds:.1f} s; CPU of fedgated: {cpu:.1f} s, "
              f"{cpu / len(ledger.messages) * 1e6:.1f} us a message with TLS on the XMPP side")
        await load.log_out()
    except Exception:
        print(world.logs())
        raise
    finally:
        await world.stop()
    return faults


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_tool(description, run, **options):
    """run() as a program: options are name=(default, help, choices), and become its arguments behind a
    directory."""
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, (default, text, *choices) in options.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=text,
                            choices=choices[0] if choices else None)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedgate-load-") as name:
        faults = asyncio.run(run(pathlib.Path(name), **vars(chosen)))
    if faults:
        sys.exit("the law is broken: " + "; ".join(faults))


if __name__ == "__main__":
    run_tool(__doc__, run_load, messages=(100_000, "each way"), kills=(4, "Prosody and the SIP side in turn"),
             variant=("external", "how Prosody is set up", VARIANTS))
