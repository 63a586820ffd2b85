"""TLS for a program that has none: what comes in TLS goes on in clear, or the other way round."""
import asyncio
import ssl

from .process import own_address

PORT = 5061


class TlsRelay:
    """to: (address, port). outward: takes clear connections and goes on in TLS; else the reverse."""

    def __init__(self, to, certificate, ca, outward=False):
        self.to, self.outward = to, outward
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if outward else ssl.PROTOCOL_TLS_SERVER)
        self.context.check_hostname = False
        self.context.load_cert_chain(certificate.certificate, certificate.key)
        self.context.load_verify_locations(ca)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.address = own_address(PORT)
        self.tasks = set()

    async def start(self):
        self.server = await asyncio.start_server(self.accepted, self.address, PORT,
                                                 ssl=None if self.outward else self.context)
        return self

    async def accepted(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            onward = await asyncio.open_connection(*self.to, ssl=self.context if self.outward else None)
            await asyncio.gather(self.pump(reader, onward[1]), self.pump(onward[0], writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()

    async def pump(self, reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def stop(self):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
