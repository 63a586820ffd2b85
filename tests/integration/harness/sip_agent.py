"""A SIP user agent: answers MESSAGE with a chosen status, or not at all, and sends."""
import asyncio
import collections
import itertools
import ssl
import uuid

from .process import WAIT_SECONDS, Failed

REASONS = {200: "OK", 202: "Accepted", 404: "Not Found", 486: "Busy Here",
           503: "Service Unavailable"}
COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
           "c": "content-type"}


class SipMessage:
    """A request or response as lists of lower-case header names and values, and the body's bytes."""

    def __init__(self, head, body):
        lines = head.decode().split("\r\n")
        self.first_line, self.body_bytes = lines[0], body
        self.headers = collections.defaultdict(list)
        for line in lines[1:]:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            self.headers[COMPACT.get(name, name)].append(value.strip())

    def header(self, name):
        return self.headers[name][0] if self.headers.get(name) else ""

    @property
    def is_response(self):
        return self.first_line.startswith("SIP/2.0 ")

    @property
    def status(self):
        return int(self.first_line.split()[1])

    @property
    def method(self):
        return self.first_line.split()[0]

    @property
    def uri(self):
        return self.first_line.split()[1]

    @property
    def body(self):
        return self.body_bytes.decode()


def take_message(buffer):
    """The first whole message of a stream's bytes, cut out of the buffer, or None."""
    while buffer.startswith(b"\r\n"):
        del buffer[:2]
    head, separator, _ = bytes(buffer).partition(b"\r\n\r\n")
    if not separator:
        return None
    message = SipMessage(head, b"")
    size = int(message.header("content-length") or 0)
    if len(buffer) < len(head) + 4 + size:
        return None
    message.body_bytes = bytes(buffer[len(head) + 4:len(head) + 4 + size])
    del buffer[:len(head) + 4 + size]
    return message


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, agent):
        self.agent = agent

    def datagram_received(self, data, address):
        if data.strip():
            self.agent.on_message(take_message(bytearray(data)),
                                  lambda reply: self.agent.datagrams.sendto(reply, address))


class SipAgent:
    """status: what a MESSAGE is answered with, a number or a function of the request; None: silence.

    OPTIONS is always answered with 200, unless is_silent. received: the MESSAGE requests, in order.
    on_request(message, reply): instead of all that, for one who does more.
    """

    def __init__(self, transport="tcp", address="127.0.0.1", status=200, certificate=None, ca=None):
        self.transport, self.address, self.status = transport, address, status
        self.certificate, self.ca = certificate, ca
        self.is_silent = False
        self.received, self.waiting = [], {}
        self.arrived = asyncio.Condition()
        self.connections, self.tasks = {}, set()
        self.server = self.datagrams = None
        self.connecting, self.is_stopped = asyncio.Lock(), False
        self.counter = itertools.count(1)
        self.on_request = None

    @property
    def uri(self):
        return f"sip:{self.address}:{self.port};transport={self.transport}"

    async def start(self, port=0):
        if self.transport == "udp":
            self.datagrams, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: Datagrams(self), (self.address, port))
            self.port = self.datagrams.get_extra_info("sockname")[1]
        else:
            context = None
            if self.transport == "tls":
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.certificate.certificate, self.certificate.key)
            self.server = await asyncio.start_server(self.on_connection, self.address, port,
                                                     ssl=context)
            self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def on_connection(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            await self.read_stream(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()

    async def read_stream(self, reader, writer):
        buffer = bytearray()
        while data := await reader.read(65536):
            buffer += data
            while message := take_message(buffer):
                self.on_message(message, writer.write)

    def on_message(self, message, reply):
        if message.is_response:
            call_id = message.header("call-id")
            future = self.waiting.get(call_id) or self.waiting.get((call_id, message.header("cseq")))
            if future and not future.done() and message.status >= 200:
                future.set_result(message)
            return
        if self.on_request and message.method != "ACK":
            self.on_request(message, reply)
            return
        if message.method == "MESSAGE":
            asyncio.get_running_loop().create_task(self.keep(message))
        if self.is_silent or message.method == "ACK":
            return
        status = 200 if message.method == "OPTIONS" else self.status
        if callable(status):
            status = status(message)
        if status is not None:
            reply(self.response(message, status))

    async def keep(self, message):
        async with self.arrived:
            self.received.append(message)
            self.arrived.notify_all()

    def response(self, request, status, to=None, headers=()):
        lines = [f"SIP/2.0 {status} {REASONS.get(status, 'Answer')}"]
        lines += [f"Via: {value}" for value in request.headers["via"]]
        to = to or request.header("to")
        lines += [f"From: {request.header('from')}",
                  f"To: {to}" + ("" if ";tag=" in to else f";tag={uuid.uuid4().hex[:8]}"),
                  f"Call-ID: {request.header('call-id')}", f"CSeq: {request.header('cseq')}", *headers,
                  "Content-Length: 0", "", ""]
        return "\r\n".join(lines).encode()

    async def wait_for_message(self, body=None, seconds=WAIT_SECONDS):
        """Takes out the first MESSAGE, with this body if one is given."""
        def find():
            return next((m for m in self.received if body is None or m.body == body), None)
        async with self.arrived:
            try:
                await asyncio.wait_for(self.arrived.wait_for(lambda: find() is not None), seconds)
            except asyncio.TimeoutError:
                seen = [m.body[:60] for m in self.received]
                raise Failed(f"the SIP agent waited {seconds} s in vain for {(body or '')[:40]!r}; "
                             f"received instead: {seen}") from None
            message = find()
            self.received.remove(message)
            return message

    def request(self, method, sender, target, body, content_type="text/plain;charset=UTF-8", headers=()):
        """(call-id, bytes) of a request outside a dialog."""
        unique = uuid.uuid4().hex
        content = body.encode() if isinstance(body, str) else body
        head = [f"{method} {target} SIP/2.0",
                f"Via: SIP/2.0/{self.transport.upper()} {self.address}:{self.port};rport"
                f";branch=z9hG4bK{unique}",
                "Max-Forwards: 70", f"From: <{sender}>;tag={unique[:8]}", f"To: <{target}>",
                f"Call-ID: {unique}", f"CSeq: {next(self.counter)} {method}", *headers,
                f"Content-Type: {content_type}", f"Content-Length: {len(content)}", "", ""]
        return unique, "\r\n".join(head).encode() + content

    async def send_bytes(self, data, address, port):
        if self.transport == "udp":
            self.datagrams.sendto(data, (address, port))
            return
        async with self.connecting:
            writer = self.connections.get((address, port))
            if writer is None or writer.is_closing():
                writer = await self.connect(address, port)
        writer.write(data)

    async def connect(self, address, port):
        if self.is_stopped:
            raise ConnectionResetError("the agent was stopped")
        context = None
        if self.transport == "tls":
            context = ssl.create_default_context(cafile=self.ca)
            context.check_hostname = False
            context.load_cert_chain(self.certificate.certificate, self.certificate.key)
        reader, writer = await asyncio.open_connection(address, port, ssl=context)
        self.connections[(address, port)] = writer
        self.tasks.add(asyncio.get_running_loop().create_task(self.on_connection(reader, writer)))
        return writer

    async def register(self, user, domain, registrar):
        """Registers itself for that user."""
        aor = f"sip:{user}@{domain}"
        contact = f"Contact: <sip:{user}@{self.uri[len('sip:'):]}>"
        response = await self.send_message(aor, aor, "", registrar, method="REGISTER",
                                           headers=(contact, "Expires: 3600"))
        if response.status != 200:
            raise Failed(f"{aor} can't register: {response.first_line}")

    async def send_message(self, sender, target, body, to, seconds=WAIT_SECONDS, method="MESSAGE",
                           headers=()):
        """Sends a request to the (address, port) and returns the final response."""
        call_id, data = self.request(method, sender, target, body, headers=headers)
        return await self.exchange(data, call_id, f"the {method} for {target}", to, seconds)

    async def exchange(self, data, key, what, to, seconds=WAIT_SECONDS):
        """The final response to these bytes; key: their Call-ID, or that and their CSeq."""
        self.waiting[key] = asyncio.get_running_loop().create_future()
        await self.send_bytes(data, *to)
        try:
            return await asyncio.wait_for(self.waiting[key], seconds)
        except asyncio.TimeoutError:
            raise Failed(f"no response to {what} in {seconds} s") from None
        finally:
            del self.waiting[key]

    async def stop(self):
        """Dies: no port, no connection."""
        self.is_stopped = True
        if self.datagrams:
            self.datagrams.close()
        if self.server:
            self.server.close()
        for task in list(self.tasks):
            task.cancel()
        for writer in self.connections.values():
            writer.close()
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError("the agent was stopped"))
                future.exception()    # seen: who waited may be gone
