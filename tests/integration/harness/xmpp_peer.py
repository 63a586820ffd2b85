"""The other end of a stream between servers, scripted byte by byte: for what no honest server sends."""
import asyncio
import re
import socket
import ssl

from .process import WAIT_SECONDS, Failed

STREAMS = "http://etherx.jabber.org/streams"
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>"


def header(our, their, more=""):
    return (f"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='{STREAMS}' "
            f"xmlns:db='jabber:server:dialback' from='{our}' to='{their}' version='1.0'{more}>")


class XmppPeer:
    """One connection, opened by us or accepted by a listener."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.text = ""    # received and not yet asked for

    @classmethod
    async def connect(cls, address, port=5269, source=None):
        local = (source, 0) if source else None
        return cls(*await asyncio.open_connection(address, port, local_addr=local))

    def send(self, data):
        self.writer.write(data.encode() if isinstance(data, str) else data)

    async def expect(self, pattern, seconds=WAIT_SECONDS):
        """Reads up to the end of the first match of a regular expression; returns the match."""
        async def read():
            while True:
                match = re.search(pattern, self.text, re.DOTALL)
                if match:
                    self.text = self.text[match.end():]
                    return match
                data = await self.reader.read(65536)
                if not data:
                    raise Failed(f"closed before {pattern!r}: {self.text!r}")
                self.text += data.decode(errors="replace")
        try:
            return await asyncio.wait_for(read(), seconds)
        except asyncio.TimeoutError:
            raise Failed(f"no {pattern!r} in {self.text!r}") from None

    async def rest(self, seconds=WAIT_SECONDS):
        """All that comes until the other side closes."""
        async def read():
            try:
                while data := await self.reader.read(65536):
                    self.text += data.decode(errors="replace")
            except (ConnectionError, ssl.SSLError):
                pass
            return self.text
        try:
            return await asyncio.wait_for(read(), seconds)
        except asyncio.TimeoutError:
            raise Failed(f"the connection stayed open: {self.text!r}") from None

    async def open(self, our, their, more=""):
        """Sends a header; returns the id of the answer and the features."""
        self.send(header(our, their, more))
        found = await self.expect(r"<stream:stream [^>]*?id='(\w+)'.*?(<stream:features>.*?</stream:features>|"
                                  r"<stream:features/>)")
        return found[1], found[2]

    async def start_tls(self, certificate=None):
        self.send(STARTTLS)
        await self.expect("<proceed [^>]*>")
        await self.shake_hands(certificate)

    async def shake_hands(self, certificate=None, server_side=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
        if not server_side:
            context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(certificate.certificate, certificate.key)
        await self.writer.start_tls(context)

    async def authenticate(self, our, their, certificate):
        """STARTTLS and EXTERNAL; the stream is open for stanzas then."""
        await self.open(our, their)
        await self.start_tls(certificate)
        await self.open(our, their)
        self.send(AUTH)
        await self.expect("<success [^>]*>")
        await self.open(our, their)
        return self

    def close(self):
        self.writer.close()

    def abort(self):
        """A reset, not an end."""
        if connection := self.writer.get_extra_info("socket"):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()


class XmppServer:
    """A partner's listener; what it does with a connection is a coroutine function of one XmppPeer."""

    def __init__(self, address, on_peer, port=5269):
        self.address, self.port, self.on_peer = address, port, on_peer
        self.count = 0

    async def start(self):
        async def accepted(reader, writer):
            self.count += 1
            try:
                await self.on_peer(XmppPeer(reader, writer))
            except (Failed, ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()
        self.server = await asyncio.start_server(accepted, self.address, self.port)
        return self

    async def stop(self):
        self.server.close()
