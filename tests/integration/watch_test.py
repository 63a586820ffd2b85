"""The subscriber's engines of sip/ against a real presence server: Kamailio with its presence module."""
import asyncio
import fnmatch
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from harness import sip_agent
from harness.kamailio import Kamailio
from harness.process import wait_until

DOMAIN = "sip.example"
ROMEO = f"sip:romeo@{DOMAIN}"
PROGRAM = pathlib.Path(os.environ.get("FEDGATE_BINARIES", "build/debug/bin")) / "watch_agent"

CONFIGURATION = """\
#!KAMAILIO
debug=2
log_stderror=yes
children=2
tcp_children=1
auto_aliases=no
alias="{domain}"
listen=udp:{address}:5060
listen=tcp:{address}:5060
mpath="/usr/lib/{machine}/kamailio/modules/"
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "textops.so"
loadmodule "db_text.so"
loadmodule "presence.so"
loadmodule "presence_xml.so"
modparam("presence|presence_xml", "db_url", "text://{tables}")
modparam("presence", "server_address", "sip:{address}:5060")
modparam("presence", "min_expires", 60)
modparam("presence", "min_expires_action", 1)  # 423
modparam("presence", "send_fast_notify", 1)
modparam("presence_xml", "force_active", {force_active})
modparam("presence_xml", "integrated_xcap_server", 1)

request_route {{
    if (is_method("PUBLISH")) handle_publish();
    else if (is_method("SUBSCRIBE")) handle_subscribe();
    else sl_send_reply("405", "Method Not Allowed");
}}
"""
PIDF = """<?xml version="1.0"?>\
<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="{entity}"><tuple id="t"><status>\
<basic>open</basic></status><note>{note}</note></tuple></presence>"""


class PresenceServer(Kamailio):
    """force_active: everybody may watch everybody; else each one waits to be approved."""

    def __init__(self, directory, force_active=True):
        super().__init__(directory, DOMAIN)
        self.force_active = force_active

    def write(self, fedgate):
        tables = self.directory / "tables"
        shutil.copytree("/usr/share/kamailio/dbtext/kamailio", tables)
        machine = subprocess.run(["dpkg-architecture", "-qDEB_HOST_MULTIARCH"], check=True,
                                 capture_output=True, text=True).stdout.strip()
        path = self.directory / "kamailio.cfg"
        path.write_text(CONFIGURATION.format(domain=DOMAIN, address=self.address, machine=machine,
                                             tables=tables, force_active=int(self.force_active)))
        return path


class Watcher:
    """The program, by its lines."""

    def __init__(self, server, expires=3600):
        self.server, self.expires = server, expires
        self.lines, self.at = [], 0

    async def start(self):
        self.child = await asyncio.create_subprocess_exec(
            PROGRAM, "127.0.0.1", self.server.address, "5060", f"sip:juliet@{DOMAIN}", ROMEO,
            str(self.expires), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        self.reader = asyncio.create_task(self.read())
        return self

    async def read(self):
        async for line in self.child.stdout:
            self.lines.append(line.decode().rstrip())

    def order(self, text):
        self.child.stdin.write(text.encode() + b"\n")

    async def expect(self, *beginnings):
        """A line for each pattern comes, in any order, behind those of the last call."""
        def places():
            new = self.lines[self.at:]
            found = [next((i for i, line in enumerate(new) if fnmatch.fnmatchcase(line, one + "*")), None)
                     for one in beginnings]
            return None if None in found else found
        try:
            found = await wait_until(places, " ".join(beginnings))
        except Exception as failure:
            raise AssertionError(f"{failure}: " + "\n".join(self.lines)) from failure
        self.at += max(found) + 1

    async def stop(self):
        self.child.stdin.close()
        await self.child.wait()
        await self.reader


class Watch(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.etag = None
        asyncio.get_running_loop().set_debug(False)

    async def server(self, **options):
        server = await PresenceServer(self.directory / "kamailio", **options).start("")
        self.addAsyncCleanup(server.kill)
        return server

    async def watcher(self, server, **options):
        watcher = await Watcher(server, **options).start()
        self.addAsyncCleanup(watcher.stop)
        return watcher

    async def publish(self, server, note):
        """romeo's one document; each replaces the last."""
        agent = await sip_agent.SipAgent("udp").start()
        body = PIDF.format(entity=ROMEO, note=note).encode()
        answer = asyncio.get_running_loop().create_future()
        agent.waiting[f"publish-{note}"] = answer
        match = f"SIP-If-Match: {self.etag}\r\n" if self.etag else ""
        agent.datagrams.sendto(
            f"PUBLISH {ROMEO} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{agent.port};branch=z9hG4bK{note}\r\n"
            f"Max-Forwards: 70\r\nFrom: <{ROMEO}>;tag=1\r\nTo: <{ROMEO}>\r\nCall-ID: publish-{note}\r\n"
            f"CSeq: 1 PUBLISH\r\nEvent: presence\r\nExpires: 3600\r\n{match}"
            f"Content-Type: application/pidf+xml\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body,
            (server.address, 5060))
        response = await asyncio.wait_for(answer, 20)
        self.assertEqual(response.status, 200)
        self.etag = response.header("sip-etag")
        agent.datagrams.close()

    async def test_its_whole_life(self):  # SIP-20, SIP-22
        server = await self.server()
        watcher = await self.watcher(server)
        await self.publish(server, "first")
        watcher.order("subscribe")
        await watcher.expect("> SUBSCRIBE", "< SIP/2.0 20", "<  Subscription-State: active;expires=3",
                             "report A", "seen *first")
        await self.publish(server, "second")
        await watcher.expect("< NOTIFY", "seen *second")
        watcher.order("pass 3300")  # of an hour: it is time
        await watcher.expect("> SUBSCRIBE", "< SIP/2.0 20", "<  Subscription-State: active", "report A")
        watcher.order("unsubscribe")
        await watcher.expect(">  Expires: 0", "< SIP/2.0 20", "<  Subscription-State: terminated", "report E")

    async def test_a_short_interval_is_asked_for_anew(self):  # 423
        watcher = await self.watcher(await self.server(), expires=30)
        watcher.order("subscribe")
        await watcher.expect(">  Expires: 30", "< SIP/2.0 423", ">  Expires: 60", "report A")

    async def test_a_poll(self):
        server = await self.server()
        await self.publish(server, "now")
        watcher = await self.watcher(server)
        watcher.order("fetch")
        await watcher.expect(">  Expires: 0", "<  Subscription-State: terminated", "report E", "seen *now")

    async def test_who_is_not_approved_waits(self):
        watcher = await self.watcher(await self.server(force_active=False))
        watcher.order("subscribe")
        await watcher.expect("<  Subscription-State: pending", "report P")
        self.assertNotIn("report A", watcher.lines)

    async def test_a_server_that_forgot_gets_a_new_subscription(self):  # 481
        server = await self.server()
        watcher = await self.watcher(server)
        watcher.order("subscribe")
        await watcher.expect("report A")
        await server.kill()
        shutil.rmtree(server.directory)
        await server.start("")
        watcher.order("pass 3300")
        await watcher.expect("> SUBSCRIBE sip:", "< SIP/2.0 481", f"> SUBSCRIBE {ROMEO}", "report A")
        self.assertNotIn("report L", watcher.lines)


if __name__ == "__main__":
    unittest.main()
