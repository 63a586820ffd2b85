"""What an operator has: events, metrics, readiness, roles, top. With a real Prosody and a real Kamailio."""
import asyncio
import contextlib
import ctypes
import grp
import json
import os
import pty
import shutil
import signal
import socket
import ssl
import subprocess
import time
import unittest
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from harness.gate import GateTest
from harness.process import wait_until
from harness.sip_agent import SipAgent
from harness.split import SplitFedgate
from harness.world import ROMEO, XMPP_DOMAIN, PeerTest, binaries
from link_test import KEYS, SplitWorld

NOBODY = 65534
REFERENCE = ("LS:XmppFederationProxy - Streams", "Failed outbound stream establishes/sec")


class Watched(SplitFedgate):
    """The gateway has the edge's address, and HTTP at a port of its own there."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.gateway.keys["admin.http.listen"] = f"{self.address}:9270"


class WatchedWorld(SplitWorld):
    make_fedgate = Watched


def get(node, path):
    """Status and body, as urllib has them."""
    try:
        with urllib.request.urlopen(f"http://{node.keys.get('admin.http.listen', node.address + ':9269')}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def samples(text):
    """(name, labels) -> value, by Prometheus' own parser; each family is described."""
    found = {}
    for family in text_string_to_metric_families(text):
        if not family.documentation or family.type not in ("counter", "gauge"):
            raise AssertionError(f"{family.name}: {family.type} {family.documentation!r}")
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            if key in found:
                raise AssertionError(f"{key} is there twice")
            found[key] = sample.value
    return found


class Mute(SipAgent):
    """Takes messages, and says nothing to OPTIONS."""

    def on_message(self, message, reply):
        if message.is_response or message.method != "OPTIONS":
            super().on_message(message, reply)


@contextlib.contextmanager
def stopped_core(process):
    """One of its threads that serve partners does not go on; all others do."""
    for task in sorted(os.listdir(f"/proc/{process}/task"), key=int):
        with open(f"/proc/{process}/task/{task}/comm") as name:
            if name.read().strip() == "core-0":
                break
    seize, interrupt, detach, wait_all = 0x4206, 0x4207, 17, 0x40000000
    trace = ctypes.CDLL(None, use_errno=True).ptrace
    for request in (seize, interrupt):
        if trace(request, int(task), None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(int(task), wait_all)
    try:
        yield
    finally:
        trace(detach, int(task), None, None)


class OverHttp(PeerTest):
    async def state(self, node, path, status, words):
        async def is_so():
            got, body = await asyncio.to_thread(get, node, path)
            self.last = f"{got}: {body}"
            return got == status and words in body
        await wait_until(is_so, f"{path} of {node.directory.name}: {status} {words}")
        return json.loads(self.last.split(": ", 1)[1])

    async def test_metrics_and_readiness(self):
        world = await self.world(of=WatchedWorld, keys=KEYS)
        gateway, edge = world.fedgate.gateway, world.fedgate.edges[0]
        for node in (gateway, edge):
            self.assertTrue((await self.state(node, "/ready", 200, "ready"))["ok"])
        world.juliet.message(ROMEO, "counted")
        await world.agent.wait_for_message("counted")
        text = (await asyncio.to_thread(get, gateway, "/metrics"))[1]
        found = samples(text)
        self.assertEqual(found["fedgate_messages_x2s_accepted_total", ()], 1)
        self.assertEqual(found["fedgate_ready", ()], 1)
        links = {dict(labels)["peer"]: value for (name, labels), value in found.items()
                 if name == "fedgate_link_up"}
        self.assertEqual(set(links.values()), {1}, links)
        self.assertEqual([value for (name, _), value in found.items()
                          if name == "fedgate_sip_next_hop_up"], [1])
        found = samples((await asyncio.to_thread(get, edge, "/metrics"))[1])
        labels = tuple(sorted(zip(("object", "counter"), REFERENCE)))
        self.assertEqual(found["fedgate_reference_counter_total", labels],
                         found["fedgate_xmpp_out_failed_total", ()])
        # C8: the partner's certificate has less than 20 days.
        end = subprocess.run(["openssl", "x509", "-in", world.prosody.certificate.certificate, "-noout", "-enddate"],
                             capture_output=True, text=True, check=True).stdout.strip().split("=")[1]
        self.assertEqual(found["fedgate_partner_certificate_end_seconds", (("partner", XMPP_DOMAIN),)],
                         ssl.cert_time_to_seconds(end))
        self.assertRegex(await edge.control("partner", "show", XMPP_DOMAIN),
                         f"! the certificate of {XMPP_DOMAIN} expires in (19|20) days, .*tell their administrator")
        told = await edge.control("events", "--id", "FG-1308")
        self.assertRegex(told, f"FG-1308 A partner's certificate expires soon.*partner={XMPP_DOMAIN}")
        self.assertEqual(told.count("FG-1308"), 1)

        await world.kamailio.kill()
        why = await self.state(gateway, "/ready", 503, "no SIP next hop is up")
        self.assertFalse(why["ok"])
        self.assertEqual((await asyncio.to_thread(get, gateway, "/health"))[0], 200)
        await gateway.kill()
        await self.state(edge, "/ready", 503, "no gateway is connected")
        await self.state(edge, "/health", 200, "alive")
        await gateway.start()    # the world ends with all that it began with

    async def test_a_sip_server_that_is_mute_to_options(self):
        """It serves all the same: not ready is who can't be reached, or does not answer any more."""
        world = await self.world(agent=Mute("tcp"), keys={"sip.options_interval": "200ms"})

        async def is_suspect():
            return " suspect " in await world.fedgate.control("status")
        await wait_until(is_suspect, "that OPTIONS is not answered", 15)
        await self.state(world.fedgate, "/ready", 200, "ready")
        world.juliet.message(ROMEO, "still there?")
        await world.agent.wait_for_message("still there?")
        await world.agent.stop()
        await self.state(world.fedgate, "/ready", 503, "no SIP next hop is up")


class Alone(GateTest):
    async def user(self, group, *words):
        """fedctl's status and what it prints, as nobody with that group."""
        groups = [grp.getgrnam(group).gr_gid] if group else []
        child = await asyncio.create_subprocess_exec(
            self.directory / "fedctl", "-s", f"{self.fedgate.directory}/admin.sock", *words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            user=NOBODY, group=NOBODY, extra_groups=groups, cwd="/")
        output, _ = await asyncio.wait_for(child.communicate(), 30)
        return child.returncode, output.decode()

    async def test_roles(self):
        await self.gate()
        for folder in (self.directory, self.fedgate.directory):
            folder.chmod(0o755)
        shutil.copy(binaries() / "fedctl", self.directory / "fedctl")
        (self.directory / "fedctl").chmod(0o755)
        status, said = await self.user("games", "status")
        self.assertEqual(status, 1)
        self.assertIn("may not be opened by this user", said)
        await self.fedgate.control("sysctl", "-w", "admin.groups.viewer=games",
                                   "admin.groups.operator=staff video", "admin.groups.administrator=adm")
        self.assertIn("names nowhere, and this machine has no such group", await self.fedgate.control(
            "sysctl", "-w", "admin.groups.viewer=games nowhere"))
        self.assertIn("names nowhere, and this machine", await self.fedgate.control("status"))
        await self.fedgate.control("sysctl", "-w", "admin.groups.viewer=games")
        self.assertNotIn("names nowhere", await self.fedgate.control("status"))
        may = {"viewer": {("status",): 0, ("sysctl", "-a"): 0, ("partner", "list"): 0, ("events",): 0,
                          ("partner", "block", "evil.example"): "operator", ("services", "stop"): "operator",
                          ("reload",): "operator", ("sysctl", "-w", "im.max_bytes=1024"): "administrator",
                          ("partner", "add", "new.example"): "administrator"},
               "operator": {("status",): 0, ("partner", "block", "evil.example"): 0, ("reload",): 0,
                            ("sysctl", "-w", "im.max_bytes=1024"): "administrator",
                            ("config", "rollback", "0"): "administrator"},
               "administrator": {("status",): 0, ("sysctl", "-w", "im.max_bytes=2048"): 0}}
        for role, group in (("viewer", "games"), ("operator", "video"), ("administrator", "adm")):
            for words, wanted in may[role].items():
                with self.subTest(role=role, words=words):
                    status, said = await self.user(group, *words)
                    self.assertEqual(status, 1 if wanted else 0, said)
                    if wanted:
                        self.assertIn(f"is for the role {wanted}, and nobody is {role}: "
                                      f"be in a group of admin.groups.{wanted}", said)
        self.assertIn("evil.example", await self.fedgate.control("sysctl", "federation.deny"))
        self.assertIn("= 2KiB", await self.fedgate.control("sysctl", "im.max_bytes"))
        for group in (None, "floppy"):
            status, said = await self.user(group, "status")
            self.assertEqual(status, 1)
            self.assertIn("nobody is in none of the groups of admin.groups.viewer", said)
        refused = await self.fedgate.control("events", "--id", "FG-5102", "--count", "100")
        self.assertIn('user=nobody role=viewer verb="partner block" needs=operator', refused)
        self.assertIn("user=nobody role=nobody needs=viewer", refused)
        done = await self.fedgate.control("events", "--id", "FG-5101", "--count", "100")
        self.assertIn('user=nobody role=operator verb="partner block"', done)
        self.assertNotIn("verb=status", done)
        await self.fedgate.control("sysctl", "-w", "admin.groups.viewer=", "admin.groups.operator=",
                                   "admin.groups.administrator=")
        status, said = await self.user("adm", "status")
        self.assertIn("may not be opened by this user", said)

    async def test_events(self):
        await self.gate()
        self.assertIn("info FG-1002 Fedgate is ready: pid=", await self.fedgate.control("events"))
        fedctl = [binaries() / "fedctl", "-s", f"{self.fedgate.directory}/admin.sock"]
        follower = await asyncio.create_subprocess_exec(*fedctl, "--json", "events", "--follow",
                                                        stdout=asyncio.subprocess.PIPE)

        async def until(id_):
            while True:
                event = json.loads(await asyncio.wait_for(follower.stdout.readline(), 20))
                if event["id"] == id_:
                    return event
        await until("FG-1002")
        os.kill(self.fedgate.process.pid, signal.SIGHUP)
        self.assertEqual((await until("FG-1101"))["severity"], "info")
        await self.fedgate.control("sysctl", "-w", "log.language=fr", "federation.allow=no")
        self.assertEqual((await until("FG-1104"))["event"], "La fédération est coupée : rien ne passe")
        await wait_until(lambda: 'id=FG-1104 event="La fédération est coupée' in self.log(), "the line")
        self.assertIn("remède :", await self.fedgate.control("events", "FG-1104"))
        self.fedgate.configuration.write_text("no.such.key = 1\n")
        os.kill(self.fedgate.process.pid, signal.SIGHUP)
        self.assertIn("no.such.key", (await until("FG-1102"))["fields"]["error"])
        await self.fedgate.stop()
        self.assertEqual(await asyncio.wait_for(follower.wait(), 10), 1)

    async def test_report(self):    # Q2
        await self.gate()
        fedctl = [binaries() / "fedctl", "-s", f"{self.fedgate.directory}/admin.sock"]

        def report(*words):
            done = subprocess.run([*fedctl, *words], capture_output=True, text=True, timeout=30, check=False)
            return done.returncode, done.stdout, done.stderr
        status, text, _ = report("report")
        self.assertEqual([line[3:] for line in text.splitlines() if line.startswith("== ")],
                         ["services", "ports", "routes", "certificates", "events"])
        self.assertIn("LISTENING", text)
        parts = [report(*words) for words in (("services",), ("ports",), ("route", "list"), ("cert", "check"))]
        for _, out, error in parts:    # the first line: days are counted down meanwhile
            self.assertIn("\n" + (out + error).splitlines()[0] + "\n", text)
        self.assertEqual(status, max(part[0] for part in parts))
        found = json.loads(report("--json", "report")[1])
        self.assertEqual({name: part["good"] for name, part in found.items()},
                         dict(zip(found, [part[0] == 0 for part in parts] + [True])))
        await self.fedgate.control("sysctl", "-w", "federation.allow=no")
        self.assertIn("FG-1104", report("report", "--since", "1h")[1])
        self.assertEqual(report("report", "--since", "soon")[:2], (2, ""))
        self.assertEqual(report("report", "ports"), (2, "", "fedctl: report takes nothing more than --since TIME\n"))
        await self.fedgate.stop()
        status, text, error = report("report")
        self.assertEqual((status, text), (1, ""))
        self.assertIn("admin.sock", error)

    async def test_top(self):
        await self.gate()
        self.assertRegex(await self.fedgate.control("top", "--once"), r"PER SECOND +TOTAL\n")
        ours, theirs = pty.openpty()
        child = await asyncio.create_subprocess_exec(
            binaries() / "fedctl", "-s", f"{self.fedgate.directory}/admin.sock", "top", "--interval", "1",
            stdout=theirs)
        os.close(theirs)
        screen = b""
        while screen.count(b"\x1b[H") < 3:
            screen += await asyncio.to_thread(os.read, ours, 65536)
        self.assertIn(b"streams 0 in, 0 out", screen)
        child.send_signal(signal.SIGINT)
        self.assertEqual(await child.wait(), -signal.SIGINT)
        os.close(ours)

    async def test_a_core_that_is_stuck(self):
        """It is told, and nobody waits for it."""
        await self.gate()

        async def health(status):
            return (await asyncio.to_thread(get, self.fedgate, "/health"))[0] == status
        with stopped_core(self.fedgate.process.pid):
            await wait_until(lambda: health(503), "that a core is stuck", 10)
            began = time.monotonic()
            for path, status, words in (("/health", 503, "a core does not answer"),
                                        ("/ready", 503, "a core does not answer"), ("/metrics", 200, "fedgate_ready 0")):
                got, body = await asyncio.to_thread(get, self.fedgate, path)
                self.assertEqual(got, status, body)
                self.assertIn(words, body)
            await self.fedgate.control("status")
            self.assertLess(time.monotonic() - began, 1)
        await wait_until(lambda: health(200), "that it goes on", 10)

    async def test_what_http_clients_can_not_do(self):
        """Silent ones, more than are kept, take nothing from fedctl, and end by themselves."""
        await self.gate()
        silent = [socket.create_connection((self.fedgate.address, 9269), 10) for _ in range(20)]
        for one in silent:
            one.setblocking(False)
        await self.fedgate.control("status")
        await wait_until(lambda: self.are_closed(silent), "that all are closed", 30)
        for one in silent:
            one.close()
        self.assertEqual(get(self.fedgate, "/health")[0], 200)

    @staticmethod
    def are_closed(connections):
        for one in connections:
            try:
                if one.recv(1):
                    return False
            except BlockingIOError:
                return False
            except OSError:
                pass
        return True


if __name__ == "__main__":
    unittest.main(verbosity=2)
