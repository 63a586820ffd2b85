"""The sipp program as a SIP user: one that answers MESSAGE, one that sends."""
import datetime
import itertools
import pathlib
import re
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .process import Process, free_port, is_listening
from .tls_relay import PORT as RELAY_PORT
from .tls_relay import TlsRelay

OK = """\
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[pid]-[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
"""
ANSWER = f"""\
<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="a user agent that accepts messages, and says that it is alive">
  <recv request="OPTIONS" optional="true" next="1"/>
  <recv request="MESSAGE"/>
  <label id="1"/>
{OK}</scenario>
"""

SEND = """\
<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="a user agent that sends one message">
  <send{retransmission}><![CDATA[
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

# sipp's -t letters: one socket for all calls. Debian's sipp has no TLS: a relay has.
TRANSPORTS = {"udp": "u1", "tcp": "t1", "tls": "t1"}


@dataclass(frozen=True)
class Event:
    """One message that sipp sent or received."""
    time: float
    is_received: bool
    first_line: str
    body: str


def read_events(path):
    """What a message file of sipp holds so far: a ruler with the time, a line on it, the message."""
    text = path.read_bytes().decode(errors="replace") if path.exists() else ""
    parts = re.split(r"^-{20,} (\S+ \S+)\n(?:TCP|UDP|TLS) message (sent|received).*\n\n", text,
                     flags=re.MULTILINE)
    events = []
    for time, direction, message in zip(parts[1::3], parts[2::3], parts[3::3]):
        head, _, body = message.partition("\r\n\r\n")
        length = re.search(r"^Content-Length:\s*(\d+)", head, re.MULTILINE | re.IGNORECASE)
        body = body.encode()[:int(length[1]) if length else 0].decode(errors="replace")
        events.append(Event(datetime.datetime.fromisoformat(time).timestamp(),
                            direction == "received", head.split("\r\n")[0], body))
    return events


class Sipp:
    """A user agent on an address and port of its own, over the sipp program. answer: a scenario for
    what comes; certificate, ca: for TLS."""

    def __init__(self, directory, transport="tcp", address="127.0.0.1", answer=ANSWER):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.transport, self.address, self.answer = transport, address, answer
        self.certificate = self.ca = None
        self.process = None
        self.relays = []
        self.counter, self.last_status = itertools.count(1), None

    @property
    def uri(self):
        if self.transport == "tls":
            return f"sip:{self.relays[0].address}:{RELAY_PORT};transport=tls"
        return f"sip:{self.address}:{self.port};transport={self.transport}"

    async def relay(self, to, outward):
        self.relays.append(await TlsRelay(to, self.certificate, self.ca, outward).start())
        return self.relays[-1].address, RELAY_PORT

    def command(self, scenario, name, port, *more):
        path = self.directory / f"{name}.xml"
        path.write_text(scenario)
        return ["/usr/bin/sipp", *more, "-sf", path, "-i", self.address, "-p", port,
                "-t", TRANSPORTS[self.transport], "-nostdin", "-default_behaviors", "all,-bye",
                "-trace_msg", "-message_file", self.directory / f"{name}.messages",
                "-trace_err", "-error_file", self.directory / f"{name}.errors"]

    async def start(self):
        self.port = free_port(self.address)
        self.messages = self.directory / "answer.messages"
        self.process = await Process(
            "sipp", self.command(self.answer, "answer", self.port),
            self.directory / "answer.log").start()
        kind = "udp" if self.transport == "udp" else "tcp"
        await self.process.wait_for(lambda: is_listening(self.address, self.port, kind), "sipp's port")
        if self.transport == "tls":
            await self.relay((self.address, self.port), outward=False)
        return self

    def find(self, body):
        """The event of the MESSAGE with this body, or None."""
        return next((event for event in read_events(self.messages)
                     if event.is_received and event.body == body), None)

    async def wait_for_body(self, body):
        return await self.process.wait_for(lambda: self.find(body), f"the message {body!r} at sipp")

    async def send(self, sender, target, body, to, scenario=SEND):
        """Sends one MESSAGE and returns its events; the last is the final response, if one came."""
        name = f"send-{next(self.counter)}"
        scenario = scenario.format(sender=sender, target=escape(target), body=body,
                                   retransmission=' retrans="500"' if self.transport == "udp" else "")
        if self.transport == "tls":
            to = await self.relay(to, outward=True)
        process = await Process(
            "sipp", self.command(scenario, name, free_port(self.address), f"{to[0]}:{to[1]}",
                                 "-m", "1", "-timeout", "20", "-timeout_error"),
            self.directory / f"{name}.log").start()
        self.last_status = await process.exit_status(30)  # 0: all checks of the scenario were met
        return read_events(self.directory / f"{name}.messages")

    async def stop(self):
        if self.process:
            await self.process.kill()
        for relay in self.relays:
            await relay.stop()
