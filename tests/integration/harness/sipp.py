"""The sipp program as the SIP user of the quickstart: one that answers MESSAGE, one that sends."""
import pathlib
import re
from xml.sax.saxutils import escape

from .process import Process, free_port, is_listening

ANSWER = """\
<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="a user agent that accepts messages">
  <recv request="MESSAGE"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]-[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
"""

SEND = """\
<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="a user agent that sends one message">
  <send retrans="500"><![CDATA[
MESSAGE {target} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <{sender}>;tag=[pid]-[call_number]
To: <{target}>
Call-ID: [call_id]
CSeq: 1 MESSAGE
Content-Type: text/plain;charset=UTF-8
Content-Length: [len]

{body}]]></send>
  <recv response="100" optional="true"/>
  <recv response="202" optional="true" next="1"/>
  <recv response="200"/>
  <label id="1"/>
</scenario>
"""

# sipp's -t letters: one socket for all calls.
TRANSPORTS = {"udp": "u1", "tcp": "t1"}


class Sipp:
    """A user agent on an address and port of its own, over the sipp program."""

    def __init__(self, directory, transport="tcp", address="127.0.0.1"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.transport, self.address = transport, address
        self.process = None

    def command(self, scenario, name, port, *more):
        path = self.directory / f"{name}.xml"
        path.write_text(scenario)
        self.messages = self.directory / f"{name}.messages"
        return ["/usr/bin/sipp", *more, "-sf", path, "-i", self.address, "-p", port,
                "-t", TRANSPORTS[self.transport], "-nostdin", "-trace_msg",
                "-message_file", self.messages, "-trace_err",
                "-error_file", self.directory / f"{name}.errors"]

    async def start_answering(self):
        self.port = free_port(self.address)
        self.process = await Process(
            "sipp", self.command(ANSWER, "answer", self.port),
            self.directory / "answer.log").start()
        await self.process.wait_for(
            lambda: is_listening(self.address, self.port, self.transport), "sipp's port")
        return self

    def received(self):
        """The bodies of the MESSAGEs so far."""
        text = self.messages.read_text(errors="replace") if self.messages.exists() else ""
        parts = re.split(r"^-{20,} .*$", text, flags=re.MULTILINE)
        return [part.partition("\n\n")[2] or part.rpartition("\r\n\r\n")[2] for part in parts
                if "received" in part and "MESSAGE sip:" in part]

    async def wait_for_body(self, body):
        await self.process.wait_for(lambda: any(body in b for b in self.received()),
                                    f"the message {body!r} at sipp")

    async def send(self, sender, target, body, to):
        """Sends one MESSAGE; true when it was accepted with 200 or 202."""
        scenario = SEND.format(sender=sender, target=escape(target), body=body)
        process = await Process(
            "sipp", self.command(scenario, "send", free_port(self.address), f"{to[0]}:{to[1]}",
                                 "-m", "1", "-timeout", "20", "-timeout_error"),
            self.directory / "send.log").start()
        return await process.exit_status(30) == 0

    async def stop(self):
        if self.process:
            await self.process.kill()
