"""Ten thousand presence subscriptions in the laboratory of topology.py: fedload plays the partner's servers and the SIP
users, half of the subscriptions each way, and counts who sees what is true."""
import asyncio
import json
import time

from harness.process import Failed
from harness.world import binaries

WATCHERS, CONTACTS, DOMAINS = 10, 500, 4
PAIRS = WATCHERS * CONTACTS
COUNT = 2 * PAIRS
SIP_DOMAIN, PARTNER = "many.example", "load.example"
# A few do the work of thousands.
NO_RATES = {f"rate_{what}": "none" for what in ("bytes", "stanzas", "sender_messages", "connections")}
KEYS = {"tls": "none", "sasl": "none", "dialback": "yes", **NO_RATES}
QUIET_SECONDS = 6    # a watcher is told something each 5 s at most
LIMIT_SECONDS = 60


class Many:
    """machine: where fedload is, outside and inside."""

    def __init__(self, machine, log):
        self.machine, self.log, self.child = machine, log, None
        self.outside, self.inside = (cable.address for cable in machine.cables.values())

    @property
    def partner(self):
        return {f"*.{PARTNER}": {**KEYS, "proxy": f"{self.outside}:5269"}}

    @property
    def domain(self):
        return {SIP_DOMAIN: {"next_hop": f"sip:{self.inside}:5060;transport=tcp"}}

    async def start(self, edge, proxy):
        with open(self.log, "wb") as log:
            self.child = await asyncio.create_subprocess_exec(
                *map(str, (*self.machine.prefix, binaries() / "fedload", "--presence", "--i-own-this-target",
                           "--partner", PARTNER, "--domain", SIP_DOMAIN, "--limit", LIMIT_SECONDS,
                           "--domains", DOMAINS, "--watchers", WATCHERS, "--contacts", CONTACTS, "--window", COUNT,
                           "--xmpp", f"{edge}:5269", "--xmpp-listen", f"{self.outside}:5269",
                           "--sip", f"{proxy}:5060", "--sip-listen", f"{self.inside}:5060")),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log)

    async def tell(self, *words):
        """A command to fedload; its answer."""
        self.child.stdin.write((" ".join(map(str, words)) + "\n").encode())
        line = await asyncio.wait_for(self.child.stdout.readline(), 2 * LIMIT_SECONDS)
        if not line:
            raise Failed(f"fedload ended at {' '.join(map(str, words))}: {self.log.read_text()[-500:]}")
        return json.loads(line)

    async def begin(self):
        """Seconds until all watch, and see, each other."""
        # No faster than a partner's and a SIP server's programs would be.
        answer = await self.tell("run", "watch", 0, PAIRS, 1_000, "subscribe", 0, PAIRS, 1_000)
        if failed := {kind: answer[kind] for kind in ("watch", "subscribe") if answer[kind]["done"] < PAIRS}:
            raise Failed(f"not all of {COUNT} subscriptions were made: {failed}")
        seconds = answer["seconds"]
        await self.tell("idle", QUIET_SECONDS)
        return seconds

    async def change(self):
        """Everybody's state; seconds until all see it, and how many do."""
        begun = time.monotonic()
        self.child.stdin.write(f"run change-xmpp 0 {PAIRS} 0 change-sip 0 {PAIRS} 0\n".encode())
        answer = await asyncio.wait_for(self.child.stdout.readline(), 2 * LIMIT_SECONDS)
        answer = await self.tell("right", COUNT, LIMIT_SECONDS)
        return time.monotonic() - begun, answer["right"]

    async def stop(self):
        if self.child and self.child.returncode is None:
            self.child.kill()
            await self.child.wait()
