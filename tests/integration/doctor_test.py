"""fedctl doctor and fedctl dns check: faults planted one by one, on a real Prosody, Unbound and Kamailio."""
import asyncio
import json
import time
import unittest

from harness.certificates import Authority
from harness.dns import Dns
from harness.gate import GateTest
from harness.process import Failed, wait_until
from harness.signed_dns import tlsa
from harness.world import binaries, SIP_DOMAIN, XMPP_DOMAIN, PARTNER_KEYS, PeerTest, World
from kamailio_test import KamailioWorld
from route_test import RouteWorld, KEYS

STRICT = {"type": "federated", "tls": "required", "sasl": "required", "dialback": "no"}
BY_DIALBACK = {"type": "federated", "tls": "required", "sasl": "none", "dialback": "yes"}
# What is wrong with each of these domains, all on one Prosody.
DOMAINS = ("no-srv", "no-address", "wrong-target", "closed", "expired", "wrong-name", "untrusted",
           "no-dialback", "stranger", "off", "good")


class Ward(World):
    """A partner for each planted fault."""

    def __init__(self, *arguments, **options):
        keys = {}
        for name in DOMAINS:
            if name == "stranger":
                continue
            terms = BY_DIALBACK if name == "no-dialback" else STRICT
            keys |= {f"partner/{name}.example/{key}": value for key, value in terms.items()}
        keys["partner/off.example/enabled"] = "no"
        keys |= {"policy/none/description": "nothing", f"user/nobody@{SIP_DOMAIN}/policy": "none",
                 "xmpp.rate.connections_per_address": "none"}
        super().__init__(*arguments, keys=keys, **options)
        served = self.prosody.certificates
        for name in DOMAINS:
            domain = f"{name}.example"
            if name in ("no-srv", "wrong-target"):
                continue
            served[domain] = (self.authority.issue(domain, expired=True) if name == "expired"
                              else self.authority.issue("elsewhere.example") if name == "wrong-name"
                              else self.authority.self_signed(domain) if name == "untrusted"
                              else self.authority.issue(domain))

    def more_records(self):
        address = self.prosody.address
        lines = [f"host.example. IN A {address}"]
        for name in DOMAINS:
            port, host = (1 if name == "closed" else 5269), "host.example."
            if name == "no-srv":
                continue
            if name == "no-address":
                host = "nowhere.example."
            lines.append(f"_xmpp-server._tcp.{name}.example. IN SRV 0 0 {port} {host}")
        return lines


async def examine(fedgate, domain, *options):
    """The steps by their names, and the first broken one."""
    try:
        text = await fedgate.control("--json", "doctor", domain, *options)
    except Failed as failed:
        text = str(failed).partition(": ")[2]
    answer = json.loads(text)
    return {step["step"]: step for step in answer["steps"]}, answer.get("first")


class Doctor(PeerTest):    # Q3, Q4
    async def test_planted_faults_of_partners(self):
        world = await self.world(of=Ward)
        expected = {    # domain: step, side, what the text says, what the advice says
            "no-srv": ("DNS", "theirs", "there is no record _xmpp-server._tcp.no-srv.example", "publish"),
            "no-address": ("DNS", "theirs", "nowhere.example has no address", "correct the target"),
            "wrong-target": ("stream", "theirs", "host-unknown", "names the wrong one"),
            "closed": ("TCP", "theirs", "Connection refused", "its port is closed"),
            "expired": ("certificate", "theirs", "expired on", "has to renew it"),
            "wrong-name": ("certificate", "theirs", "not wrong-name.example", "get one that names"),
            "untrusted": ("certificate", "theirs", "untrusted.example", "partner set untrusted.example ca="),
            "no-dialback": ("SASL or dialback", "theirs", "", "switch dialback on"),
            "stranger": ("partner rule", "ours", "", "fedctl partner add stranger.example"),
            "off": ("partner rule", "ours", "switched off", "enabled=yes"),
        }
        for name, (step, side, text, advice) in expected.items():
            with self.subTest(name):
                _, first = await examine(world.fedgate, f"{name}.example")
                self.assertIsNotNone(first, name)
                self.assertEqual((first["step"], first["side"]), (step, side), first)
                self.assertIn(text, first["text"])
                self.assertIn(advice, first["advice"])
        for domain in ("good.example", XMPP_DOMAIN):
            steps, first = await examine(world.fedgate, domain)
            self.assertIsNone(first)
            self.assertIn("certificate", steps["SASL or dialback"]["text"])
            self.assertTrue(all(step["state"] == "ok" for step in steps.values()), steps)
        # A user whose policy lets nothing through; everybody else may.
        _, first = await examine(world.fedgate, "good.example", "--from", f"sip:nobody@{SIP_DOMAIN}")
        self.assertEqual((first["step"], first["side"]), ("user policy", "ours"))
        self.assertIn("policy set none federation_access=yes", first["advice"])
        said = await world.fedgate.control("doctor", "good.example")
        self.assertIn("nothing stands in the way", said)
        with self.assertRaisesRegex(Failed, "is not a domain name"):
            await world.fedgate.control("doctor", "not a domain")
        await world.fedgate.control("sysctl", "-w", "federation.allow=no")
        _, first = await examine(world.fedgate, "good.example")
        self.assertIn("federation.allow=yes", first["advice"])

    async def test_a_sip_pool_that_refuses(self):
        world = await self.world(of=KamailioWorld, keys={"sip.options_interval": "1s"})
        _, first = await examine(world.fedgate, XMPP_DOMAIN)
        self.assertIsNone(first)
        await world.kamailio.kill()

        async def is_noticed():
            return " down " in await world.fedgate.control("status")
        await wait_until(is_noticed, "that it is down", 20)
        steps, first = await examine(world.fedgate, XMPP_DOMAIN)
        self.assertEqual((first["step"], first["side"]), ("SIP leg", "ours"), steps)
        self.assertIn(f"domain/{SIP_DOMAIN}/next_hop", first["advice"])

    async def test_a_route_to_a_dead_pool(self):
        world = await self.world(of=RouteWorld, keys=KEYS)
        near, far = world.fedgate.edges
        await near.kill()

        async def has_moved():
            return "near has no edge" in await world.fedgate.control("status")
        await wait_until(has_moved, "the other pool", 20)
        steps, first = await examine(world.fedgate, XMPP_DOMAIN)
        self.assertIsNone(first)
        self.assertEqual(steps["route"]["state"], "warning")
        self.assertIn("near", steps["route"]["text"])
        await far.kill()

        async def are_gone():
            return "no edge is connected" in await world.fedgate.control("status")
        await wait_until(are_gone, "that no edge is there", 20)
        _, first = await examine(world.fedgate, XMPP_DOMAIN)
        self.assertEqual((first["step"], first["side"]), ("route", "ours"))


class Bounds(GateTest):
    async def test_it_says_what_it_had_no_time_for(self):
        silent = await asyncio.start_server(lambda reader, writer: self.addCleanup(writer.close), "127.0.0.1", 0)
        self.addCleanup(silent.close)
        port, hosts = silent.sockets[0].getsockname()[1], [f"s{n}.{XMPP_DOMAIN}" for n in range(3)]
        await self.gate(records=[
            *(f"_xmpp-server._tcp.{XMPP_DOMAIN}. IN SRV {n} 0 {port} {host}." for n, host in enumerate(hosts)),
            *(f"{host}. IN A 127.0.0.1" for host in hosts)])
        began = time.monotonic()
        steps, first = await examine(self.fedgate, XMPP_DOMAIN, "--within", "3s")
        self.assertLess(time.monotonic() - began, 5)
        for word in ("3 s are over", *hosts, "SASL or dialback", "way back"):
            self.assertIn(word, steps["time"]["text"])
        self.assertIn("--within 12s", steps["time"]["advice"])
        self.assertEqual(steps["DNS"]["state"], "ok")    # what was found so far
        self.assertIsNone(first)
        with self.assertRaisesRegex(Failed, "nothing stands in the way as far as it looked"):
            await self.fedgate.control("doctor", XMPP_DOMAIN, "--within", "2s")
        with self.assertRaisesRegex(Failed, "--within is a time from 2s to 600s"):
            await self.fedgate.control("doctor", XMPP_DOMAIN, "--within", "1s")


class Forecast(PeerTest):    # Q3, P11; matrix_test has the 18 rows with each kind of server
    async def test_before_and_after(self):
        world = await self.world(of=Ward)

        async def forecast(domain, *words):
            try:
                text = await world.fedgate.control("doctor", domain, "--forecast", *words)
            except Failed as failed:
                text = str(failed)
            return text
        said = await forecast("good.example")
        self.assertIn("SASL EXTERNAL over TLS will prove us, and they are proved by certificate; "
                      "if their certificate fails: refused", said)
        self.assertIn("* the safest that works: fedctl partner set good.example tls=required sasl=required dialback=no",
                      said)
        self.assertNotIn("good.example", await world.fedgate.control("streams"))    # nothing was opened
        # No dialback there: what was committed can't work, what is proposed does.
        self.assertIn("fedctl partner set no-dialback.example tls=required sasl=required dialback=no",
                      await forecast("no-dialback.example"))
        _, first = await examine(world.fedgate, "no-dialback.example")
        self.assertEqual(first["step"], "SASL or dialback")
        await world.fedgate.control("partner", "set", "no-dialback.example", "tls=required", "sasl=required",
                                    "dialback=no")
        steps, first = await examine(world.fedgate, "no-dialback.example")
        self.assertIsNone(first, steps)
        # One that is not listed, and what can't be.
        self.assertIn("fedctl partner add stranger.example", await forecast("stranger.example"))
        self.assertIn("refused", await forecast("untrusted.example", "tls=required", "sasl=required"))
        self.assertIn("tls: ", await forecast("good.example", "tls=always"))
        self.assertIn("did you mean partner/good.example/sasl", await forecast("good.example", "sasll=none"))
        self.assertIn("is not ATTRIBUTE=VALUE", await forecast("good.example", "required"))


class Lab(unittest.IsolatedAsyncioTestCase):    # Q10
    FAULTS = {"none": "", "no-srv": "DNS", "closed": "TCP", "mute": "stream", "not-xmpp": "stream",
              "wrong-target": "stream", "stream-error": "stream", "no-tls": "TLS", "expired": "certificate",
              "wrong-name": "certificate", "untrusted": "certificate", "no-proof": "SASL or dialback"}

    async def fedctl(self, *words):
        """In a network of its own, which leads nowhere; there is no daemon, either."""
        child = await asyncio.create_subprocess_exec(
            "unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" -s /nowhere "$@"',
            binaries() / "fedctl", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        output, _ = await asyncio.wait_for(child.communicate(), 30)
        return child.returncode, output.decode()

    async def test_each_fault_is_named(self):
        status, listed = await self.fedctl("doctor", "--lab")
        self.assertEqual((status, [line.split()[0] for line in listed.splitlines()]), (0, list(self.FAULTS)))
        results = await asyncio.gather(*(self.fedctl("doctor", "--lab", fault) for fault in self.FAULTS))
        for (fault, step), (status, said) in zip(self.FAULTS.items(), results):
            with self.subTest(fault):
                self.assertEqual(status, 0, said)
                self.assertIn(f"named:   yes, as {step or 'nothing'}\n", said)
                self.assertEqual("\n! " in said, fault != "none", said)
        self.assertEqual(await self.fedctl("doctor", "--lab", "expird"),
                         (2, "fedctl: the lab has no fault 'expird'; did you mean expired? (fedctl help)\n"))


class DnsCheck(GateTest):    # D6
    async def check(self, *records):
        """State of each record, as a name server says that has these."""
        dns = await Dns(self.directory / f"dns{len(records)}", list(records)).start()
        self.addAsyncCleanup(dns.stop)
        try:
            text = await self.fedgate.control("--json", "dns", "check", "--server", dns.server)
        except Failed as failed:
            text = str(failed).partition(": ")[2]
        return json.loads(text)["records"]

    async def test_records(self):
        await self.gate()
        here, host = self.fedgate.address, f"xmpp.{SIP_DOMAIN}"
        good = [f"_xmpp-server._tcp.{SIP_DOMAIN}. IN SRV 10 50 5269 {host}.",
                f"_xmpps-server._tcp.{SIP_DOMAIN}. IN SRV 10 50 5270 {host}."]
        rows = await self.check(*good, f"{host}. IN A {here}")
        self.assertEqual([row["state"] for row in rows], ["right"] * 3, rows)
        self.assertIn("shows our certificate", rows[2]["text"])
        for what, records, record, text in (
                ("none", [], "_xmpp-server", "there is no such record"),
                ("port", [good[0].replace("5269", "5222"), good[1], f"{host}. IN A {here}"], "_xmpp-server",
                 "at port 5222, and we listen at 5269"),
                ("address", good, host, "has no address"),
                ("elsewhere", [*good, f"{host}. IN A 127.0.0.1"], host, "can't be reached"),
                ("besides", [*good, f"{host}. IN A {here}",
                             f"_xmpp-server._tcp.{SIP_DOMAIN}. IN SRV 5 0 5269 old.example.",
                             "# another"], "_xmpp-server", "also leads to old.example:5269")):
            with self.subTest(what):
                rows = await self.check(*[line for line in records if not line.startswith("#")])
                bad = [row for row in rows if row["state"] not in ("right", "unknown")]
                self.assertTrue(any(row["record"].startswith(record) and text in row["text"]
                                    and row["advice"] for row in bad), rows)
        # The zone lines of dns plan are what dns check wants.
        plan = [line for line in (await self.fedgate.control("dns", "plan")).splitlines() if " SRV " in line]
        rows = await self.check(*plan, f"{host}. IN A {here}", "x. IN A 127.0.0.1")
        self.assertEqual({row["state"] for row in rows}, {"right"}, rows)
        # And those that name our certificate, if somebody has published them.
        named = [line for line in (await self.fedgate.control("dns", "plan", "--tlsa")).splitlines() if " TLSA " in line]
        digest = tlsa(self.fedgate.certificate.certificate, 3)
        self.assertEqual(named, [f"_5269._tcp.{host}. 3600 IN TLSA {digest}", f"_5270._tcp.{host}. 3600 IN TLSA {digest}"])
        rows = await self.check(*plan, f"{host}. IN A {here}", *named)
        self.assertEqual([row["state"] for row in rows], ["right"] * 5, rows)
        self.assertIn("DNSSEC does not vouch", rows[4]["text"])
        other = tlsa(self.authority.issue("other.example").certificate, 3)
        rows = await self.check(*plan, f"{host}. IN A {here}", f"_5269._tcp.{host}. IN TLSA {other}",
                                f"_5270._tcp.{host}. IN TLSA 9 9 9 00", "y. IN A 127.0.0.1", "z. IN A 127.0.0.1")
        self.assertEqual([(row["state"], row["text"].split(":")[0]) for row in rows[3:]],
                         [("wrong", "names another certificate than ours"),
                          ("wrong", "says nothing that partners understand")])
        with self.assertRaisesRegex(Failed, "--server is an address"):
            await self.fedgate.control("dns", "check", "--server", "ns.example")
        silent = await self.fedgate.control("--json", "status")
        self.assertTrue(json.loads(silent)["ok"])


if __name__ == "__main__":
    unittest.main()
