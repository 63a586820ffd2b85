"""One Fedgate with many partners, each a domain of a few real servers: tests of who is let through how."""
import asyncio
import json

from .certificates import Authority
from .dns import Dns, at_address
from .fedgate import Fedgate
from .sip_agent import SipAgent
from .world import SIP_DOMAIN, PeerTest, binaries
from .xmpp_client import XmppClient

DIRECT_DOMAIN = "direct.example"    # a domain of ours that DNS announces as _xmpps-server only
ACCOUNTS = {"juliet": "secret"}
AT_ONCE = 8    # conversations


class Partners(PeerTest):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.authority = Authority(self.directory / "ca")
        self.agent = SipAgent("tcp")
        self.count = 0

    async def start(self, partners, servers, direct=(), certificate=None, keys=None):
        """partners: domain -> its keys; servers: domain -> its server; direct: domains with direct TLS."""
        self.servers, self.direct = servers, set(direct)
        ours = dict.fromkeys(map(self.ours, partners))
        self.addAsyncCleanup(self.agent.stop)
        await self.agent.start()
        self.fedgate = Fedgate(
            self.directory / "fedgate", binaries(),
            certificate or self.authority.issue(*ours), self.authority.certificate,
            None, partners, {domain: {"next_hop": self.agent.uri} for domain in ours},
            # All partners come from one address.
            {"xmpp.rate.connections_per_address": "none", "xmpp.limits.unauthenticated_per_address": 100,
             **(keys or {})})
        self.fedgate.dns = await Dns(self.directory / "dns", dict.fromkeys(self.records())).start()
        self.addAsyncCleanup(self.fedgate.dns.stop)
        self.addAsyncCleanup(self.fedgate.kill)
        for server in set(servers.values()):
            self.addAsyncCleanup(server.kill)
        await asyncio.gather(self.fedgate.start(),
                             *(server.start(self.fedgate.dns) for server in set(servers.values())))

    def ours(self, domain):
        """The domain of ours that converses with a partner's."""
        return DIRECT_DOMAIN if domain in self.direct else SIP_DOMAIN

    def records(self):
        yield from at_address(SIP_DOMAIN, self.fedgate.address)
        yield from at_address(DIRECT_DOMAIN, self.fedgate.address, 5270, "xmpps-server")
        for domain, server in self.servers.items():
            yield from at_address(domain, server.address,
                                  *((5270, "xmpps-server") if domain in self.direct else ()))

    async def juliet_of(self, domain):
        self.count += 1    # one who logs in as another resource puts nobody out
        juliet = await XmppClient(self.servers[domain].address, domain, "juliet", "secret",
                                  resource=f"r{self.count}").start()
        self.addAsyncCleanup(juliet.stop)
        return juliet

    async def converse(self, domain, passes, status=403):
        """A message each way between a romeo of ours and the juliet of that domain, or an error for each;
        status: what romeo's server is told then."""
        juliet = await self.juliet_of(domain)
        romeo = f"romeo.{domain}@{self.ours(domain)}"
        body = f"between {romeo} and {juliet.jid}"
        response = await self.agent.send_message(f"sip:{romeo}", f"sip:{juliet.jid}", body,
                                                 self.fedgate.sip)
        self.assertEqual(response.status, 200 if passes else status)
        stanza_id = juliet.message(romeo, body)
        if passes:
            await juliet.wait_for_body(body)
            await self.agent.wait_for_message(body)
        else:
            kind, condition = await juliet.wait_for_error(stanza_id)
            self.assertIn(condition, ("remote-server-not-found", "remote-server-timeout",
                                      "not-authorized", "internal-server-error"), kind)
        self.assertEqual([s for s in juliet.received if s.tag.endswith("}message")], [])

    async def streams(self):
        """(their domain, direction) -> the (proof, TLS) of its streams."""
        found = {}
        for row in json.loads(await self.fedgate.control("--json", "streams"))["streams"]:
            if row["proof"]:
                found.setdefault((row["their_domain"], row["direction"]), set()).add(
                    (row["proof"], bool(row["tls"])))
        return found

    async def failures(self, domain):
        """direction -> what is told of the last failure with that partner."""
        shown = json.loads(await self.fedgate.control("--json", "partner", "show", domain))
        return {row["direction"]: f"{row['kind']}: {row['text']}" for row in shown["failures"]}

    async def check(self, cases, more=lambda case: None):
        """Each case has a domain, and `seen`: the (proof, TLS) of its streams, or None: none may stand
        (`status`: converse; `why`: matches what is told of it; for one direction only: a dict)."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(case):
            async with gate:
                await self.converse(case.domain, case.seen is not None, getattr(case, "status", 403))
        results = await asyncio.gather(*map(one, cases), return_exceptions=True)
        streams = await self.streams()
        failures = {case.domain: await self.failures(case.domain) for case in cases}
        for case, result in zip(cases, results):
            with self.subTest(str(case), seen=case.seen):
                if isinstance(result, BaseException):
                    raise result
                for direction in ("in", "out"):
                    self.assertEqual(streams.get((case.domain, direction), set()),
                                     {case.seen} if case.seen else set(), direction)
                why = getattr(case, "why", None) or {}
                for direction, told in (dict.fromkeys(("in", "out"), why) if isinstance(why, str) else why).items():
                    self.assertRegex(failures[case.domain].get(direction, ""), told)
                # Who is refused by us finds out why; what they refuse by themselves we may not see.
                self.assertEqual("out" in failures[case.domain], case.seen is None, failures[case.domain])
                if case.seen:
                    self.assertNotIn("in", failures[case.domain])
                more(case)
        self.assertEqual(self.agent.received, [])
        await self.fedgate.stop()
