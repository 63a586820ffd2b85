"""The daemon under test, with a configuration written for it."""
import asyncio
import pathlib
import resource
import signal

from .process import Failed, Placed, Process, own_address


class Fedgate(Placed):
    """certificate, ca: for the external side; partners and domains: name -> {key: value}.

    keys: further configuration, added last. The safe defaults let nothing through, so the switches
    are set here, each by its name.
    """

    def __init__(self, directory, binaries, certificate, ca, dns, partners, domains, keys=None):
        self.directory = pathlib.Path(directory)
        self.binaries = pathlib.Path(binaries)
        self.certificate, self.ca, self.dns = certificate, ca, dns
        self.partners, self.domains, self.keys = partners, domains, dict(keys or {})
        self.address = own_address(5060, 5061, 5269, 5270, 9269, 23456)
        self.sip = (self.address, 5060)
        self.sip_listen = f"udp:{self.address}:5060 tcp:{self.address}:5060"
        self.process = None

    def use_sip_tls(self):
        """SIP over TLS besides the others, with the certificate of the external side."""
        self.sip = (self.address, 5061)
        self.sip_listen += f" tls:{self.address}:5061"
        self.keys.update({"tls.sip.certificate": self.certificate.certificate,
                          "tls.sip.key": self.certificate.key, "tls.sip.ca": self.ca})

    @property
    def configuration(self):
        return self.directory / "fedgate.conf"

    def lines(self):
        yield "federation.allow = yes"
        yield "policy/global/federation_access = yes"
        yield "policy/global/xmpp_access = yes"
        for partner, keys in self.partners.items():
            for key, value in {"type": "federated", **keys}.items():
                yield f"partner/{partner}/{key} = {value}"
        for domain, keys in self.domains.items():
            for key, value in keys.items():
                yield f"domain/{domain}/{key} = {value}"
        yield f"net.dns.servers = {self.dns.server}"
        yield f"tls.external.certificate = {self.certificate.certificate}"
        yield f"tls.external.key = {self.certificate.key}"
        yield f"tls.external.ca = {self.ca}"
        yield f"xmpp.listen = {self.address}:5269"
        yield f"xmpp.listen_tls = {self.address}:5270"
        yield f"link.listen = {self.address}:23456"
        yield f"sip.listen = {self.sip_listen}"
        yield "sip.trusted = 127.0.0.0/8"
        yield f"admin.socket = {self.directory}/admin.sock"
        yield f"admin.http.listen = {self.address}:9269"
        yield f"dirs.state = {self.directory}/state"
        for key, value in self.keys.items():
            yield f"{key} = {value}"

    async def start(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "state").mkdir(exist_ok=True)
        self.configuration.write_text("\n".join(self.lines()) + "\n")
        self.process = await Process("fedgated",
                                     [self.binaries / "fedgated", "-c", self.configuration],
                                     self.directory / "fedgated.log", machine=self.machine).start()
        await self.process.wait_for((self.directory / "admin.sock").exists, "admin socket")
        for port in self.ports():
            await self.process.wait_for(lambda: self.listens(port), f"port {port}")
        return self

    def ports(self):
        """That are open when it has started."""
        return 5269, self.sip[1]

    async def control(self, *words, text=None):
        """What fedctl prints; text: its standard input."""
        child = await asyncio.create_subprocess_exec(
            self.binaries / "fedctl", "-s", f"{self.directory}/admin.sock", *map(str, words),
            stdin=asyncio.subprocess.PIPE if text is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        output, _ = await asyncio.wait_for(child.communicate(text and text.encode()), 40)
        if child.returncode != 0:
            raise Failed(f"fedctl {' '.join(map(str, words))}: {output.decode()}")
        return output.decode()

    async def stop(self):
        """SIGTERM drains and stops; status 0 or it is a failure."""
        await self.process.stop(signal.SIGTERM)
        if self.process.child.returncode != 0:
            raise Failed(f"fedgated ended with status {self.process.child.returncode}:\n"
                         f"{self.process.tail()}")

    async def kill(self):
        if self.process:
            await self.process.kill()
        (self.directory / "admin.sock").unlink(missing_ok=True)

    def set_disk_full(self, full):
        """To the program it is so: it can write to no file. A new process has room."""
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (1 if full else most, most))
