"""A SIP user agent with MSRP (RFC 4975), over TCP or TLS, offering or answering; it can also misbehave.

    peer = await MsrpPeer(address="127.0.0.2").start()
    session = await peer.invite("sip:juliet@...", "sip:romeo@...", (host, port))    # or peer.wait_for_session()
    await session.send("text", chunk=5, success_report=True)
    message = await session.wait_for_message()
"""
import asyncio
import itertools
import re
import ssl
import uuid

from .process import WAIT_SECONDS, Failed
from .sip_agent import SipAgent

START = re.compile(rb"MSRP ([A-Za-z0-9][A-Za-z0-9.+%=-]{3,31}) (?:(\d{3})(?: ([^\r\n]*))?|([A-Z]+))\r\n")
REASONS = {200: "OK", 400: "Bad Request", 408: "Timeout", 413: "Stop Sending", 415: "Unsupported Media Type",
           481: "No Such Session", 501: "Unknown Method", 506: "Session In Use"}


class Malformed(Exception):
    """No MSRP: the connection can't go on."""


class MsrpMessage:
    """A request, or with a status a response; body: bytes, or None where there is none."""

    def __init__(self, transaction, method=None, status=None, headers=(), body=None, flag="$"):
        self.transaction, self.method, self.status = transaction, method, status
        self.headers, self.body, self.flag = list(headers), body, flag

    def header(self, name):
        return next((value for one, value in self.headers if one.lower() == name.lower()), "")

    @property
    def byte_range(self):
        """(first, last, total) as numbers, '*' as None."""
        first, last, total = re.fullmatch(r"(\d+)-(\d+|\*)/(\d+|\*)", self.header("Byte-Range") or "1-*/*").groups()
        return int(first), None if last == "*" else int(last), None if total == "*" else int(total)

    def bytes(self):
        start = f"{self.status} {REASONS.get(self.status, '')}".rstrip() if self.status else self.method
        head = "\r\n".join([f"MSRP {self.transaction} {start}", *(f"{name}: {value}" for name, value in self.headers), ""])
        body = b"" if self.body is None else b"\r\n" + self.body + b"\r\n"
        return head.encode() + body + f"-------{self.transaction}{self.flag}\r\n".encode()


def take_msrp(buffer):
    """The first whole message of a stream's bytes, cut out of the buffer, or None."""
    if b"\r\n" not in buffer:
        return None
    start = START.match(buffer)
    if not start:
        raise Malformed(bytes(buffer[:80]))
    transaction = start[1].decode()
    end = re.compile(rb"\r\n-------" + re.escape(start[1]) + rb"([+$#])\r\n").search(buffer, start.end() - 2)
    if not end:
        return None
    content = bytes(buffer[start.end():end.start() + 2])
    head, separator, body = content.partition(b"\r\n\r\n")
    if separator:
        body = body[:-2]    # the CRLF before the end-line
    headers = []
    for line in head.decode().removesuffix("\r\n").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            raise Malformed(line)
        headers.append((name, value.strip()))
    message = MsrpMessage(transaction, start[4] and start[4].decode(), start[2] and int(start[2]), headers,
                          body if separator else None, end[1].decode())
    del buffer[:end.end()]    # the matches look into it
    return message


def fresh_id():
    return uuid.uuid4().hex[:16]


def chunks_of(body, size):
    """(first, bytes, flag) of each chunk."""
    size = size or max(1, len(body))
    starts = range(0, max(1, len(body)), size)
    return [(at + 1, body[at:at + size], "$" if at == starts[-1] else "+") for at in starts]


def put_together(chunks):
    """The body that the chunks of one message make, in any order: a later one holds; None while bytes are missing."""
    held, size = {}, None
    for first, body, flag in chunks:
        held.update((first + i, byte) for i, byte in enumerate(body))
        if flag == "$":
            size = first - 1 + len(body)
    if size is None or any(i not in held for i in range(1, size + 1)):
        return None
    return bytes(held[i] for i in range(1, size + 1))


class Came:
    """A message that has come whole."""

    def __init__(self, message, body):
        self.message_id, self.content_type = message.header("Message-ID"), message.header("Content-Type")
        self.wants_report = message.header("Success-Report").lower() == "yes"
        self.failure_report = message.header("Failure-Report").lower() or "yes"
        self.body = body

    @property
    def text(self):
        return self.body.decode()


class MsrpSession:
    """One session of the peer's.

    status: what each SEND is answered with, a number or a function of the request; None: silence.
    reports: send a REPORT for each message that asks for success reports. requests, responses: all that came.
    """

    def __init__(self, peer, path):
        self.peer, self.path, self.their_path = peer, path, None
        self.status, self.reports = 200, True
        self.requests, self.responses, self.came, self.success = [], {}, [], []
        self.chunks = {}
        self.writer, self.dialog = None, None
        self.invitation = None    # the INVITE of the other side
        self.is_bound, self.is_closed, self.is_ended = False, False, False
        self.news = asyncio.Condition()
        self.ids = itertools.count(1)

    async def tell(self):
        async with self.news:
            self.news.notify_all()

    async def wait(self, find, what, seconds=WAIT_SECONDS):
        """What find() gives once it gives something."""
        async with self.news:
            try:
                await asyncio.wait_for(self.news.wait_for(find), seconds)
            except asyncio.TimeoutError:
                raise Failed(f"the MSRP peer waited {seconds} s in vain for {what}; requests: "
                             f"{[m.method for m in self.requests[-9:]]}, responses: {self.statuses}") from None
            return find()

    @property
    def statuses(self):
        return {key: message.status for key, message in self.responses.items()}

    # What goes out.

    def paths(self):
        return [("To-Path", self.their_path), ("From-Path", self.path)]

    def write(self, data):
        self.writer.write(data if isinstance(data, bytes) else data.bytes())

    def bind(self):
        """RFC 4975 5.4: the empty SEND of the one that has connected. Its transaction id."""
        transaction = fresh_id()
        self.write(MsrpMessage(transaction, "SEND", None, [*self.paths(), ("Message-ID", fresh_id()),
                                                           ("Byte-Range", "1-0/0")]))
        return transaction

    def chunk(self, message_id, first, body, flag="$", total="*", content_type="text/plain", headers=(), last=None):
        """One SEND, whatever it says of itself (last, total); its transaction id."""
        transaction = fresh_id()
        last = first - 1 + len(body) if last is None else last
        self.write(MsrpMessage(transaction, "SEND", None, [
            *self.paths(), ("Message-ID", message_id), ("Byte-Range", f"{first}-{last}/{total}"), *headers,
            ("Content-Type", content_type)], body, flag))
        return transaction

    async def send(self, text, chunk=None, content_type="text/plain", success_report=False, failure_report=None,
                   total=None, order=None, message_id=None):
        """(message id, transaction ids); order: of the chunks, as their indexes."""
        body = text if isinstance(text, bytes) else text.encode()
        message_id = message_id or fresh_id()
        headers = [("Success-Report", "yes")] * success_report
        headers += [("Failure-Report", failure_report)] * (failure_report is not None)
        chunks = chunks_of(body, chunk)
        transactions = [self.chunk(message_id, first, part, flag, len(body) if total is None else total, content_type,
                                   headers)
                        for first, part, flag in (chunks[i] for i in (order or range(len(chunks))))]
        await self.writer.drain()
        return message_id, transactions

    def abort(self, message_id, first=1):
        """The chunk that ends a message that does not go on."""
        return self.chunk(message_id, first, b"", "#")

    def report(self, came, status="000 200 OK", byte_range=None):
        size = len(came.body)
        self.write(MsrpMessage(fresh_id(), "REPORT", None, [
            *self.paths(), ("Message-ID", came.message_id), ("Byte-Range", byte_range or f"1-{size}/{size}"),
            ("Status", status)]))

    # What comes in.

    async def on_message(self, message):
        if message.status:
            self.responses[message.transaction] = message
        else:
            self.requests.append(message)
            self.is_bound = True
            if message.method == "REPORT":
                self.success.append((message.header("Message-ID"), message.header("Status")))
            else:
                self.on_send(message)
        await self.tell()

    def on_send(self, message):
        status = self.status(message) if callable(self.status) else self.status
        if message.method != "SEND":
            status = 501
        asked = message.header("Failure-Report").lower() or "yes"
        if status is not None and (asked == "yes" or asked == "partial" and status != 200):
            self.write(response_to(message, status))
        if status != 200 or message.method != "SEND":
            return
        message_id = message.header("Message-ID")
        if message.flag == "#":
            self.chunks.pop(message_id, None)
            return
        if message.body is None:
            return
        chunks = self.chunks.setdefault(message_id, [])
        chunks.append((message.byte_range[0], message.body, message.flag))
        body = put_together(chunks)
        if body is None:
            return
        del self.chunks[message_id]
        came = Came(message, body)
        self.came.append(came)
        if self.reports and came.wants_report:
            self.report(came)

    async def wait_for_message(self, text=None, seconds=WAIT_SECONDS):
        """Takes out the first message, with this text if one is given."""
        def find():
            return next((one for one in self.came if text is None or one.text == text), None)
        came = await self.wait(find, f"a message {text or ''}", seconds)
        self.came.remove(came)
        return came

    async def wait_for_answer(self, transaction, seconds=WAIT_SECONDS):
        """The status that a request of ours was answered with."""
        return (await self.wait(lambda: self.responses.get(transaction), f"an answer to {transaction}", seconds)).status

    async def wait_for_report(self, message_id, seconds=WAIT_SECONDS):
        """The Status of the REPORT about a message of ours."""
        return await self.wait(lambda: next((s for one, s in self.success if one == message_id), None),
                               f"a report about {message_id}", seconds)

    async def wait_for_end(self, seconds=WAIT_SECONDS):
        """Until the dialog has ended by the other side's BYE."""
        await self.wait(lambda: self.is_ended, "a BYE", seconds)

    def close(self):
        """The connection alone."""
        if self.writer:
            self.writer.close()

    async def bye(self):
        """Ends the dialog; the final response."""
        response = await self.peer.in_dialog(self.dialog, "BYE")
        self.is_ended = True
        self.close()
        return response


def response_to(request, status):
    """RFC 4975 7.2: to the previous hop of a SEND, else the whole way back."""
    back = request.header("From-Path")
    return MsrpMessage(request.transaction, None, status, [
        ("To-Path", back.split()[0] if request.method == "SEND" else back),
        ("From-Path", request.header("To-Path").split()[0])])


class Dialog:
    """Ours of a call: what in-dialog requests are made of."""

    def __init__(self, call_id, ours, theirs, target, to, cseq):
        self.call_id, self.ours, self.theirs, self.target, self.to = call_id, ours, theirs, target, to
        self.cseq = itertools.count(cseq)


def uri_in(value):
    found = re.search(r"<([^>]*)>", value)
    return found[1] if found else value.split(";")[0]


class MsrpPeer:
    """status: what an INVITE is answered with. on_session(session): called when one is made, before it is answered.

    invitations: all INVITEs that came; all_sessions: those that were made, in order. What comes as MESSAGE is taken,
    and agent.wait_for_message() has it.
    """

    def __init__(self, address="127.0.0.1", msrp="tcp", sip="tcp", certificate=None, ca=None,
                 accept_types="text/plain application/im-iscomposing+xml", max_size=None):
        self.address, self.msrp, self.accept_types, self.max_size = address, msrp, accept_types, max_size
        self.certificate, self.ca = certificate, ca
        self.msrp_certificate = None    # None: the same
        self.agent = SipAgent(sip, address, certificate=certificate, ca=ca)
        self.agent.on_request = self.on_request
        self.status, self.on_session = 200, None
        self.sessions, self.new_sessions, self.strays = {}, asyncio.Queue(), []
        self.invitations, self.all_sessions = [], []
        self.tasks = set()

    @property
    def transport(self):
        """Of SIP."""
        return self.agent.transport

    @property
    def uri(self):
        return self.agent.uri

    def told(self):
        """What each session saw."""
        return "\n".join(f"{session.path} requests {[(m.method, m.header('Byte-Range')) for m in session.requests]}, "
                         f"answers {session.statuses}, bound {session.is_bound}, closed {session.is_closed}, "
                         f"ended {session.is_ended}" for session in self.all_sessions)

    async def start(self, port=0):
        self.agent.certificate, self.agent.ca = self.certificate, self.ca
        await self.agent.start(port)
        context = None
        if self.msrp == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            shown = self.msrp_certificate or self.certificate
            context.load_cert_chain(shown.certificate, shown.key)
        self.server = await asyncio.start_server(self.on_connection, self.address, 0, ssl=context)
        self.msrp_port = self.server.sockets[0].getsockname()[1]
        return self

    async def stop(self):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        for session in self.sessions.values():
            session.close()
        await self.agent.stop()

    def make_session(self):
        scheme = "msrps" if self.msrp == "tls" else "msrp"
        session = MsrpSession(self, f"{scheme}://{self.address}:{self.msrp_port}/{fresh_id()};tcp")
        self.sessions[session.path] = session
        self.all_sessions.append(session)
        return session

    def sdp(self, session):
        proto = "TCP/TLS/MSRP" if self.msrp == "tls" else "TCP/MSRP"
        lines = ["v=0", f"o=- 1 1 IN IP4 {self.address}", "s=-", f"c=IN IP4 {self.address}", "t=0 0",
                 f"m=message {self.msrp_port} {proto} *", f"a=accept-types:{self.accept_types}", f"a=path:{session.path}"]
        lines += [f"a=max-size:{self.max_size}"] * (self.max_size is not None)
        return "\r\n".join([*lines, ""])

    # SIP.

    def contact(self):
        return f"Contact: <sip:{self.agent.address}:{self.agent.port};transport={self.agent.transport}>"

    async def invite(self, sender, target, to, connect=True, headers=(), change=lambda sdp: sdp):
        """Offers, and connects as the offerer does (SESS-21). Failed, with the status, where it is refused.

        change(sdp): what is offered instead."""
        session = self.make_session()
        unique, data = self.agent.request("INVITE", sender, target, change(self.sdp(session)), "application/sdp",
                                          [self.contact(), *headers])
        response = await self.agent.exchange(data, unique, "the INVITE", to)
        ours = re.search(rb"\r\nFrom: ([^\r]*)", data)[1].decode()
        cseq = int(re.search(rb"\r\nCSeq: (\d+)", data)[1])
        contact = uri_in(response.header("contact")) or target
        session.dialog = Dialog(unique, ours, response.header("to"), contact, to, cseq + 1)
        ack = self.dialog_request(session.dialog, "ACK", cseq)
        if response.status >= 300:
            # RFC 3261 17.1.1.3: the branch of the INVITE, and its Request-URI.
            via = re.search(rb"\r\n(Via: [^\r]*)", data)[1]
            ack = re.sub(rb"ACK [^ ]* ", b"ACK " + target.encode() + b" ", re.sub(rb"Via: [^\r]*", via, ack, count=1))
        await self.agent.send_bytes(ack, *to)
        if response.status != 200:
            del self.sessions[session.path]
            raise Failed(f"the INVITE was refused: {response.first_line}")
        session.their_path = path_of(response.body)
        if connect:
            await self.connect(session)
        return session

    def dialog_request(self, dialog, method, cseq):
        return "\r\n".join([
            f"{method} {dialog.target} SIP/2.0",
            f"Via: SIP/2.0/{self.agent.transport.upper()} {self.agent.address}:{self.agent.port};rport"
            f";branch=z9hG4bK{uuid.uuid4().hex}",
            "Max-Forwards: 70", f"From: {dialog.ours}", f"To: {dialog.theirs}", f"Call-ID: {dialog.call_id}",
            f"CSeq: {cseq} {method}", "Content-Length: 0", "", ""]).encode()

    async def in_dialog(self, dialog, method):
        cseq = next(dialog.cseq)
        return await self.agent.exchange(self.dialog_request(dialog, method, cseq), (dialog.call_id, f"{cseq} {method}"),
                                         f"the {method}", dialog.to)

    def on_request(self, request, reply):
        if request.method == "INVITE":
            self.on_invite(request, reply)
            return
        if request.method == "BYE":
            for session in self.sessions.values():
                if session.dialog and session.dialog.call_id == request.header("call-id"):
                    session.is_ended = True
                    self.run(session.tell())
        if request.method == "MESSAGE":
            self.run(self.agent.keep(request))
        reply(self.agent.response(request, 200))

    def on_invite(self, request, reply):
        self.invitations.append(request)
        if self.status != 200:
            reply(self.agent.response(request, self.status))
            return
        session = self.make_session()
        session.invitation, session.their_path = request, path_of(request.body)
        ours = f"{request.header('to')};tag={fresh_id()}"
        host, port = re.match(r"([^:/;]+):(\d+)", request.header("contact").split("sip:", 1)[1].split("@")[-1]).groups()
        session.dialog = Dialog(request.header("call-id"), ours, request.header("from"), uri_in(request.header("contact")),
                                (host, int(port)), 1)
        if self.on_session:
            self.on_session(session)
        body = self.sdp(session).encode()
        response = self.agent.response(request, 200, ours, [self.contact(), "Content-Type: application/sdp"])
        reply(response.replace(b"Content-Length: 0", f"Content-Length: {len(body)}".encode()) + body)
        self.new_sessions.put_nowait(session)

    async def wait_for_session(self, seconds=WAIT_SECONDS):
        """The next session that somebody has made by an INVITE."""
        try:
            return await asyncio.wait_for(self.new_sessions.get(), seconds)
        except asyncio.TimeoutError:
            raise Failed(f"the MSRP peer waited {seconds} s in vain for an INVITE") from None

    # MSRP.

    def run(self, coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def connect(self, session, bind=True):
        """To the first URI of their path; the empty SEND, and its answer."""
        host, port = re.match(r"msrps?://(?:[^@/]*@)?(\[[^]]*\]|[^:/;]*):(\d+)", session.their_path).groups()
        context = None
        if session.their_path.startswith("msrps:"):
            context = ssl.create_default_context(cafile=self.ca)
            context.check_hostname = False
            if self.certificate:
                context.load_cert_chain(self.certificate.certificate, self.certificate.key)
        reader, session.writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=context)
        self.run(self.read(reader, session.writer, session))
        if bind and await session.wait_for_answer(session.bind()) != 200:
            raise Failed(f"the session was refused: {session.statuses}")

    async def on_connection(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        try:
            await self.read(reader, writer, None)
        except asyncio.CancelledError:
            pass
        finally:
            self.tasks.discard(asyncio.current_task())

    async def read(self, reader, writer, session):
        buffer = bytearray()
        try:
            while data := await reader.read(65536):
                buffer += data
                while message := take_msrp(buffer):
                    found = self.session_of(message, writer)
                    if found:
                        session = found
                        await found.on_message(message)
                    elif not message.status:
                        self.strays.append(message)
                        writer.write(response_to(message, 481).bytes())
        except (ConnectionError, ssl.SSLError, Malformed):
            pass
        finally:
            writer.close()
            if session:
                session.is_closed = True
                await session.tell()

    def session_of(self, message, writer):
        """By the path that it goes to; the first request binds it to its connection."""
        session = self.sessions.get(message.header("To-Path"))
        if session and session.writer is None and not message.status:
            session.writer = writer
        return session if session and session.writer is writer else None


def path_of(sdp):
    found = re.search(r"^a=path:([^\r\n]*)", sdp, re.MULTILINE)
    if not found:
        raise Failed(f"no path in {sdp!r}")
    return found[1].strip()
