"""A small XMPP client: log in with SASL PLAIN on loopback, send stanzas, wait for stanzas."""
import asyncio
import base64
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape, quoteattr

from .process import WAIT_SECONDS, Failed

CLIENT = "{jabber:client}"
STREAMS = "{http://etherx.jabber.org/streams}"
STANZA_ERRORS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"


def body_of(stanza):
    return stanza.findtext(CLIENT + "body")


def error_of(stanza):
    """(type, condition) of a stanza error, or None."""
    error = stanza.find(CLIENT + "error")
    if error is None:
        return None
    condition = next((child.tag[len(STANZA_ERRORS):] for child in error
                      if child.tag.startswith(STANZA_ERRORS) and not child.tag.endswith("}text")), "")
    return error.get("type"), condition


class XmppClient:
    first_presence = "<presence/>"

    def __init__(self, address, domain, name, password, port=5222, resource="test"):
        self.address, self.port, self.resource = address, port, resource
        self.domain, self.name, self.password = domain, name, password
        self.received = []
        self.arrived = asyncio.Condition()
        self.reader_task = None
        self.count = 0

    @property
    def jid(self):
        return f"{self.name}@{self.domain}"

    async def start(self):
        self.reader, self.writer = await asyncio.open_connection(self.address, self.port)
        await self.open_stream()
        await self.next_element(STREAMS + "features")
        secret = base64.b64encode(f"\0{self.name}\0{self.password}".encode()).decode()
        self.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"
                  f"{secret}</auth>")
        await self.next_element("{urn:ietf:params:xml:ns:xmpp-sasl}success")
        await self.open_stream()
        await self.next_element(STREAMS + "features")
        self.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                  f"<resource>{self.resource}</resource></bind></iq>")
        await self.next_element(CLIENT + "iq")
        self.send(self.first_presence)
        # Before its own presence is back, what is for it may find nobody.
        await asyncio.wait_for(self.read_own_presence(), WAIT_SECONDS)
        self.reader_task = asyncio.create_task(self.read_all())
        return self

    async def read_own_presence(self):
        while found := await self.read_elements():
            own = [s for s in found if s.tag == CLIENT + "presence" and s.get("type") is None
                   and s.get("from") == f"{self.jid}/{self.resource}"]
            await self.take([s for s in found if s not in own])
            if own:
                return
        raise Failed(f"{self.jid}: the stream ended before its own presence came")

    async def open_stream(self):
        self.parser = ElementTree.XMLPullParser(("start", "end"))
        self.depth, self.root, self.waiting = 0, None, []
        self.send("<?xml version='1.0'?><stream:stream xmlns='jabber:client' version='1.0' "
                  f"xmlns:stream='http://etherx.jabber.org/streams' to={quoteattr(self.domain)}>")

    def send(self, text):
        self.writer.write(text.encode())

    async def read_elements(self):
        """The next whole first-level elements; an empty list at the end of the stream."""
        while True:
            for event, element in self.parser.read_events():
                self.depth += 1 if event == "start" else -1
                if event == "start" and self.root is None:
                    self.root = element
                elif event == "end" and self.depth == 1:
                    self.waiting.append(element)
                    self.root.remove(element)
            if self.waiting:
                found, self.waiting = self.waiting, []
                return found
            data = await self.reader.read(65536)
            if not data:
                return []
            self.parser.feed(data)

    async def next_element(self, tag):
        found = await asyncio.wait_for(self.read_elements(), WAIT_SECONDS)
        if not found or found[0].tag != tag:
            raise Failed(f"{self.jid}: expected {tag}, got {[e.tag for e in found]}")
        return found[0]

    async def read_all(self):
        while found := await self.read_elements():
            await self.take(found)

    async def take(self, found):
        async with self.arrived:
            self.received.extend(found)
            self.arrived.notify_all()

    def message(self, to, body, kind="chat"):
        """Sends a message and returns its id."""
        self.count += 1
        stanza_id = f"{self.name}-{self.count}"
        self.send(f"<message to={quoteattr(to)} type={quoteattr(kind)} id={quoteattr(stanza_id)}>"
                  f"<body>{escape(body)}</body></message>")
        return stanza_id

    async def wait_for(self, wanted, what, seconds=WAIT_SECONDS):
        """Takes out the first stanza for which wanted(stanza) is true."""
        async with self.arrived:
            def find():
                return next((s for s in self.received if wanted(s)), None)
            try:
                await asyncio.wait_for(self.arrived.wait_for(lambda: find() is not None), seconds)
            except asyncio.TimeoutError:
                seen = [ElementTree.tostring(s, "unicode")[:300] for s in self.received]
                raise Failed(f"{self.jid} waited {seconds} s in vain for {what}; "
                             f"received instead: {seen}") from None
            stanza = find()
            self.received.remove(stanza)
            return stanza

    async def wait_for_body(self, body, seconds=WAIT_SECONDS):
        return await self.wait_for(
            lambda s: s.tag == CLIENT + "message" and s.get("type") != "error" and body_of(s) == body,
            f"the message {body[:40]!r}", seconds)

    async def wait_for_error(self, stanza_id, seconds=WAIT_SECONDS):
        """(type, condition) of the error that answers this stanza."""
        stanza = await self.wait_for(
            lambda s: s.get("type") == "error" and s.get("id") == stanza_id,
            f"an error for {stanza_id}", seconds)
        return error_of(stanza)

    async def stop(self):
        if self.reader_task:
            self.reader_task.cancel()
        self.writer.close()
