"""Messages both ways to a partner with two real Prosody servers (SRV priority 10 and 20), the first of
which is killed under the load and comes back; then the second one.

Prints, from Fedgate's counters and `fedctl streams`, with whom it speaks as time goes, and the account of
every message: delivered once, refused to its sender, or in doubt. Exits with 1 when one is lost or
doubled, or when traffic did not move and come back.

    tests/integration/failover_load.py [--seconds N] [--rate N]
"""
import asyncio
import contextlib
import itertools
import json
import time

from harness.certificates import Authority
from harness.dns import Dns
from harness.fedgate import Fedgate
from harness.process import wait_until
from harness.prosody import Prosody
from harness.world import PARTNER_KEYS, SIP_DOMAIN, XMPP_DOMAIN, binaries
from harness.xmpp_client import body_of
from load import Ledger, LoadAgent, LoadClient, kill_server, load_keys, run_tool

USERS = 10
SAMPLE_SECONDS = 0.1
SETTLE_SECONDS = 60
MOVES_WITHIN = 5
DELIVERED_MIN = 0.5  # for a while nobody is there
IDS = itertools.count()
COUNTERS = ("xmpp.stanzas.out", "xmpp.stanzas.in", "xmpp.out.opened", "xmpp.out.moved",
            "xmpp.out.failed", "xmpp.stanzas.refused")


class Client(LoadClient):
    """An error may come to the same user at the other server. Counts what each server has brought."""

    def __init__(self, ledger, ids, arrivals, *arguments):
        super().__init__(ledger, *arguments)
        self.ids, self.arrivals = ids, arrivals

    def on_stanza(self, stanza):
        if (body_of(stanza) or "").startswith("to XMPP"):
            self.arrivals.append(time.monotonic())
        super().on_stanza(stanza)


class Site:
    """One of the partner's servers, with every user logged in to it."""

    def __init__(self, name, prosody, ledger, ids):
        self.name, self.prosody, self.ledger, self.ids = name, prosody, ledger, ids
        self.clients, self.arrivals, self.alive = [], [], False

    async def start(self, dns):
        await self.prosody.start(dns)
        self.clients = [await Client(self.ledger, self.ids, self.arrivals, self.prosody.address,
                                     XMPP_DOMAIN, f"user{n}", "secret").start()
                        for n in range(USERS)]
        for client in self.clients:    # no id twice
            client.count = next(IDS) * 1_000_000
        self.alive = True

    async def kill(self):
        """By its process id, under load."""
        self.alive = False
        self.ledger.mark_kill(self.name)
        await kill_server(self.prosody, self.ledger, self.clients)
        self.ledger.mark_kill(self.name)    # and what was sent to it while it died
        await self.log_out()

    async def log_out(self):
        for client in self.clients:
            with contextlib.suppress(OSError):
                await client.stop()
        self.clients = []


class Failover:
    def __init__(self, directory, seconds, rate):
        self.seconds, self.rate = seconds, rate
        self.ledger, self.ids = Ledger(), {}
        self.agent = LoadAgent(self.ledger, "tcp")
        self.authority = Authority(directory / "ca")
        self.fedgate = Fedgate(directory / "fedgate", binaries(), self.authority.issue(SIP_DOMAIN),
                               self.authority.certificate, None, {XMPP_DOMAIN: PARTNER_KEYS["external"]},
                               {}, load_keys())
        certificate = self.authority.issue(XMPP_DOMAIN)
        accounts = {f"user{n}": "secret" for n in range(USERS)}
        self.sites = [Site(name, Prosody(directory / name, XMPP_DOMAIN, certificate,
                                         self.authority.certificate, accounts), self.ledger, self.ids)
                      for name in ("first", "second")]
        self.dns = Dns(directory / "dns", self.records())
        self.tasks, self.over, self.faults = set(), False, []

    def records(self):
        for priority, site in zip((10, 20), self.sites):
            host = f"{site.name}.{XMPP_DOMAIN}"
            yield f"_xmpp-server._tcp.{XMPP_DOMAIN}. IN SRV {priority} 0 5269 {host}."
            yield f"{host}. IN A {site.prosody.address}"
        yield f"_xmpp-server._tcp.{SIP_DOMAIN}. IN SRV 0 0 5269 {self.fedgate.address}."
        yield f"{self.fedgate.address}. IN A {self.fedgate.address}"

    async def start(self):
        await self.dns.start()
        await self.agent.start()
        self.fedgate.dns = self.dns
        self.fedgate.domains = {SIP_DOMAIN: {"next_hop": self.agent.uri}}
        await self.fedgate.start()
        await asyncio.gather(*(site.start(self.dns) for site in self.sites))

    async def stop(self):
        for site in self.sites:
            await site.log_out()
            await site.prosody.kill()
        await self.agent.stop()
        try:
            if self.fedgate.process:
                await self.fedgate.stop()
        finally:
            await self.fedgate.kill()
            await self.dns.stop()

    async def send(self):
        """At a steady pace, a message each way in turn; XMPP users write from a server that is alive."""
        number, start = 0, time.monotonic()
        while not self.over:
            await asyncio.sleep(max(0, start + number / self.rate - time.monotonic()))
            user, target = f"user{number % USERS}", f"sip{number % 7}"
            key = self.ledger.enter("to XMPP", (target, user))
            task = asyncio.create_task(self.agent.send_entered(key, target, user, self.fedgate.sip))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            alive = [site for site in self.sites if site.alive]
            if alive:
                client = alive[number % len(alive)].clients[number % USERS]
                key = self.ledger.enter("to SIP", (user, target))
                self.ids[client.message(f"{target}@{SIP_DOMAIN}", key)] = key
            number += 1

    async def sample(self):
        """What Fedgate says of itself, when it changes."""
        start, before = time.monotonic(), None
        while not self.over:
            streams = json.loads(await self.fedgate.control("--json", "streams"))["streams"]
            counters = json.loads(await self.fedgate.control("--json", "counters"))["counters"]
            peers = [f"{self.name_of(row['address'])} ({row['state']})" for row in streams
                     if row["direction"] == "out" and row["their_domain"] == XMPP_DOMAIN]
            shown = (peers, counters["xmpp.out.opened"])
            if shown != before:
                values = ", ".join(f"{name[5:]} {counters.get(name, 0)}" for name in COUNTERS)
                print(f"{time.monotonic() - start:6.1f} s: to {', '.join(peers) or 'nobody'}; {values}")
            before = shown
            await asyncio.sleep(SAMPLE_SECONDS)

    def name_of(self, peer):
        return next((site.name for site in self.sites if peer.startswith(site.prosody.address + ":")),
                    peer or "-")

    async def moves_to(self, site, what, since=None):
        """Until that server brings its users messages."""
        since = since or time.monotonic()
        await wait_until(lambda: site.arrivals and site.arrivals[-1] > since, what, 40)
        seconds = next(at for at in site.arrivals if at > since) - since
        print(f"  {what}: {seconds:.2f} s")
        if seconds > MOVES_WITHIN:
            self.faults.append(f"{what}: {seconds:.1f} s")

    async def run(self):
        first, second = self.sites
        workers = [asyncio.create_task(self.send()), asyncio.create_task(self.sample())]
        pause = self.seconds / 5
        try:
            await self.moves_to(first, "traffic at the first server after the start")
            await asyncio.sleep(pause)
            print("the first server is killed")
            await first.kill()
            await self.moves_to(second, "traffic has moved to the second after")
            await asyncio.sleep(pause)
            print("the first server is started again")
            await first.start(self.dns)
            await asyncio.sleep(pause)
            print("the second server is killed")
            await second.kill()
            await self.moves_to(first, "traffic is back at the first after")
            await asyncio.sleep(pause)
            print("both are dead")
            await first.kill()
            await asyncio.sleep(pause)
            print("the second server is started again")
            await second.start(self.dns)
            await self.moves_to(second, "traffic is back at the second after")
            await asyncio.sleep(pause)
        finally:
            self.over = True
            await asyncio.gather(*workers)
        await asyncio.gather(*self.tasks)
        with contextlib.suppress(Exception):
            await wait_until(lambda: not any(self.ledger.open.values()) and not self.ledger.owed(),
                             "all settled", SETTLE_SECONDS)
        return self.faults + self.ledger.report(DELIVERED_MIN)


async def run_failover(directory, seconds, rate):
    failover = Failover(directory, seconds, rate)
    try:
        await failover.start()
        return await failover.run()
    except Exception:
        print(failover.fedgate.process and failover.fedgate.process.tail(50))
        raise
    finally:
        await failover.stop()


if __name__ == "__main__":
    run_tool(__doc__, run_failover, seconds=(60.0, "all of it"), rate=(200.0, "messages a second, each way"))
