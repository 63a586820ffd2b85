"""Somebody in the middle of a connection between two servers, who reads and changes what is in clear."""
import asyncio

from .process import own_address


class Link:
    """One connection through him: to `client`, who opened it, and to `server`."""

    def __init__(self, client, server):
        self.readers, self.writers = zip(client, server)
        self.said = ["", ""]    # in clear, by client and server
        self.is_secret = False    # TLS that he has no part in


class Middleman:
    """Hands everything on. An attack overrides on_client() and on_server(): the text to hand on instead.

    links: every connection there was.
    """

    def __init__(self):
        self.address = own_address(5269)
        self.links, self.tasks = [], set()

    async def start(self, target):
        """target(): the address that he is taken for."""
        self.target = target
        self.server = await asyncio.start_server(self.accepted, self.address, 5269)
        return self

    async def on_client(self, link, text):
        return text

    async def on_server(self, link, text):
        return text

    async def accepted(self, *client):
        task = asyncio.current_task()
        self.tasks.add(task)
        link = Link(client, await asyncio.open_connection(self.target(), 5269))
        self.links.append(link)
        try:
            await asyncio.gather(self.pump(link, 0, self.on_client), self.pump(link, 1, self.on_server))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            for writer in link.writers:
                writer.close()

    async def pump(self, link, side, change):
        reader, writer = link.readers[side], link.writers[1 - side]
        while data := await reader.read(65536):
            if data[:1] == b"\x16":    # a handshake record
                link.is_secret = True
            if not link.is_secret:
                text = data.decode()
                link.said[side] += text
                data = (await change(link, text)).encode()
            writer.write(data)
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()

    async def stop(self):
        self.server.close()
        for task in self.tasks:
            task.cancel()
