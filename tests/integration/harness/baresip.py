"""A real baresip: a person's user agent, registered at a SIP server."""
import asyncio
import json
import pathlib
import re

from .person import Person
from .process import Failed, Process, own_address, wait_until

CONTROL_PORT, CONSOLE_PORT = 4444, 5555
CONFIGURATION = """\
sip_listen {address}:5060
{tls}
module_path /usr/lib/baresip/modules
module_tmp account.so
module_app contact.so
module_app menu.so
module_app presence.so
module_app ctrl_tcp.so
ctrl_tcp_listen {address}:{control}
module cons.so
cons_listen {address}:{console}
"""


class Baresip:
    """`aor` writes to `peer`, and watches: sees his presence; certificate, ca: as for Kamailio, for a
    registrar over TLS. on_text: is given what comes on the screen."""

    def __init__(self, directory, aor, peer, registrar, certificate=None, ca=None, watches=False,
                 on_text=lambda text: None):
        self.directory = pathlib.Path(directory)
        self.aor, self.peer, self.registrar = aor, peer, registrar
        self.watches, self.on_text = watches, on_text
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
        (self.directory / "contacts").write_text(
            f"<sip:{self.peer}>{';presence=p2p' if self.watches else ''}\n")

    async def start(self):
        self.write()
        self.process = await Process(f"baresip {self.aor}", ["/usr/bin/baresip", "-v", "-f", self.directory],
                                     self.directory / "baresip.log").start()
        await self.process.wait_for_log("1 binding")    # its REGISTER was accepted
        _, self.control = await asyncio.open_connection(self.address, CONTROL_PORT)
        reader, self.console = await asyncio.open_connection(self.address, CONSOLE_PORT)
        self.reader_task = asyncio.create_task(self.watch(reader))
        return self

    async def watch(self, reader):
        while data := await reader.read(4096):
            text = data.decode(errors="replace")
            self.screen += text
            self.on_text(text)

    async def send(self, text):
        await self.order("message", text)

    async def order(self, command, text=""):
        command = json.dumps({"command": command, "params": text}).encode()
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


class BaresipPerson(Person):
    """A person with it, as a script of conversations knows one. Everybody may watch her; whom she adds, she
    has in her list when the program starts. published: by her server, as long as the program runs."""

    side = "SIP"

    def __init__(self, ladder, name, address, directory, registrar, published=False):
        super().__init__(ladder, name, address)
        self.directory, self.registrar, self.published = directory, registrar, published
        self.baresip, self.text, self.count = None, "", 0
        self.contact, self.watches, self.is_asked = "nobody@nowhere.example", False, False

    async def come_online(self):
        self.count += 1
        self.baresip = await Baresip(self.directory / str(self.count), self.address, self.contact, self.registrar,
                                     watches=self.watches, on_text=self.on_text).start()
        await self.set_state("online", "", None)

    async def go_offline(self, device=None):
        if self.published:
            await self.stop()
        else:
            await self.set_state("offline", "", device)

    async def reconnect(self):
        await self.stop()
        await self.come_online()

    async def set_state(self, state, note, device):
        if state not in ("online", "offline") or note or device:
            raise Failed("baresip says online and offline, no more")
        await self.baresip.order(f"presence_{state}")
        self.ladder.arrow(self, "out", state)

    async def add(self, contact):
        self.contact, self.watches = contact, True
        await self.reconnect()

    async def say(self, contact, text):
        if contact != self.contact:
            self.contact = contact
            await self.reconnect()
        await self.baresip.send(text)

    def on_text(self, text):
        self.text += re.sub(r"\x1b\[[0-9;]*m", "", text)
        *lines, self.text = self.text.split("\n")
        for line in lines:
            if contact := re.search(r"(Unknown|Online|Offline|Busy)\s+<sip:([^>;]+)", line):
                self.is_asked, seen = False, {"": (contact[1].lower(), "")}
                if contact[1] == "Unknown" or self.seen.get(contact[2]) == seen:
                    continue
                self.seen[contact[2]] = seen
            elif message := re.search(r'sip:([^>;:]+)\S*: "(.*)"', line):
                self.tell("heard", message[1], message[2])
            else:
                continue
            self.ladder.arrow(self, "in", line.strip("> "))

    def look(self):
        """Has it list the contacts, if it is not at it."""
        if not self.is_asked:
            self.is_asked = True
            self.baresip.console.write(b"C")

    async def stop(self):
        self.seen.clear()
        self.is_asked = False
        if self.baresip:
            await self.baresip.stop()
