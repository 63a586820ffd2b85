"""A real baresip: a person's user agent, registered at a SIP server."""
import asyncio
import json
import pathlib

from .process import Failed, Process, own_address, wait_until

CONTROL_PORT, CONSOLE_PORT = 4444, 5555
CONFIGURATION = """\
sip_listen {address}:5060
{tls}
module_path /usr/lib/baresip/modules
module_tmp account.so
module_app contact.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {address}:{control}
module cons.so
cons_listen {address}:{console}
"""


class Baresip:
    """`aor` writes to `peer`; certificate, ca: as for Kamailio, for a registrar over TLS."""

    def __init__(self, directory, aor, peer, registrar, certificate=None, ca=None):
        self.directory = pathlib.Path(directory)
        self.aor, self.peer, self.registrar = aor, peer, registrar
        self.certificate, self.ca = certificate, ca
        self.address = own_address(5060, 5061, CONTROL_PORT, CONSOLE_PORT)
        self.process = self.control = self.console = self.reader_task = None
        self.screen = ""    # what the person sees

    def write(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        tls = ""
        if self.certificate:
            pem = self.directory / "agent.pem"
            pem.write_text("".join(pathlib.Path(path).read_text()
                                   for path in (self.certificate.certificate, self.certificate.key)))
            tls = f"sip_certificate {pem}\nsip_cafile {self.ca}"
        (self.directory / "config").write_text(CONFIGURATION.format(
            address=self.address, tls=tls, control=CONTROL_PORT, console=CONSOLE_PORT))
        (self.directory / "accounts").write_text(
            f'<sip:{self.aor}>;auth_pass=none;regint=60;outbound="{self.registrar}"\n')
        (self.directory / "contacts").write_text(f"<sip:{self.peer}>\n")

    async def start(self):
        self.write()
        self.process = await Process("baresip", ["/usr/bin/baresip", "-v", "-f", self.directory],
                                     self.directory / "baresip.log").start()
        await self.process.wait_for_log("1 binding")    # its REGISTER was accepted
        _, self.control = await asyncio.open_connection(self.address, CONTROL_PORT)
        reader, self.console = await asyncio.open_connection(self.address, CONSOLE_PORT)
        self.reader_task = asyncio.create_task(self.watch(reader))
        return self

    async def watch(self, reader):
        while data := await reader.read(4096):
            self.screen += data.decode(errors="replace")

    async def send(self, text):
        command = json.dumps({"command": "message", "params": text}).encode()
        self.control.write(b"%d:%s," % (len(command), command))
        await self.control.drain()

    async def wait_for(self, text):
        """On the screen."""
        try:
            await wait_until(lambda: text in self.screen, f"{text!r} on the screen of baresip")
        except Failed as failure:
            raise Failed(f"{failure}; it shows {self.screen!r}") from None

    async def stop(self):
        for writer in (self.control, self.console):
            if writer:
                writer.close()
        if self.reader_task:
            self.reader_task.cancel()
        if self.process:
            await self.process.stop()
