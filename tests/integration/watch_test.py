"""The engines of subscriptions and dialogs in sip/ against real peers: Kamailio's presence server, which our
subscriber watches, and sipp, which watches our notifier."""
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
from harness.sipp import Sipp

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


# What sipp sends and wants: through two proxies of its own, three SUBSCRIBEs in one dialog.
SUBSCRIBE = """\
  <send{{retransmission}}><![CDATA[
SUBSCRIBE {uri} SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
{route}From: <{{sender}}>;tag=[call_number]
To: <{{target}}>{tag}
Call-ID: [call_id]
CSeq: {cseq} SUBSCRIBE
Contact: <sip:watcher@[local_ip]:[local_port];n={cseq}>
Event: presence
Expires: {expires}
Content-Length: 0

]]></send>
  <recv response="200" rrs="true">
    <action><ereg regexp="{expires}" search_in="hdr" header="Expires:" check_it="true" assign_to="1"/></action>
  </recv>
  <recv request="NOTIFY">
    <action>
      <ereg regexp="{state}" search_in="hdr" header="Subscription-State:" check_it="true" assign_to="2"/>
      <ereg regexp="127[^,]*;lr;a&gt;, &lt;sip:p2.example;lr&gt;;b=c" search_in="hdr" header="Route:"
            check_it="true" assign_to="3"/>
      <ereg regexp="NOTIFY sip:watcher@[^ ]*;n={cseq} " search_in="msg" check_it="true" assign_to="4"/>
    </action>
  </recv>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
"""
RECORD_ROUTE = """\
Record-Route: <sip:[local_ip]:[local_port];lr;a>
Record-Route: <sip:p2.example;lr>;b=c
"""
WATCH = ("""\
<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="a watcher that subscribes, refreshes and leaves">
""" + SUBSCRIBE.format(uri="{target}", route=RECORD_ROUTE, tag="", cseq=1, expires=120,
                       state="active;expires=1[12]")
    + SUBSCRIBE.format(uri="[next_url]", route="[routes]\n", tag="[peer_tag_param]", cseq=5, expires=300,
                       state="active;expires=[23]")
    + SUBSCRIBE.format(uri="[next_url]", route="[routes]\n", tag="[peer_tag_param]", cseq=6, expires=0,
                       state="terminated;reason=timeout")
    + """<Reference variables="1,2,3,4"/></scenario>
""")


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

    def __init__(self, server=None, expires=3600):
        self.server, self.expires = server, expires
        self.lines, self.at = [], 0

    async def start(self):
        self.child = await asyncio.create_subprocess_exec(
            PROGRAM, "127.0.0.1", self.server.address if self.server else "127.0.0.1",
            "5060" if self.server else "0", f"sip:juliet@{DOMAIN}", ROMEO, str(self.expires), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
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

    async def watcher(self, server=None, **options):
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

    async def test_sipp_watches_through_proxies(self):  # SIP-16, SIP-20, SIP-22
        watched = await self.watcher()
        await watched.expect("port ")
        sipp = Sipp(self.directory / "sipp", "udp")
        events = await sipp.send("sip:watcher@other.example", f"sip:juliet@{DOMAIN}", "",
                                 ("127.0.0.1", int(watched.lines[0].split()[1])), WATCH)
        self.assertEqual([event.first_line.split()[0] for event in events],
                         ["SUBSCRIBE", "SIP/2.0", "NOTIFY", "SIP/2.0"] * 3)
        self.assertEqual(sipp.last_status, 0)


if __name__ == "__main__":
    unittest.main()
