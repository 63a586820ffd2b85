"""NSD as the authority of zones with DNSSEC, and a server before it that can lose questions."""
import asyncio
import hashlib
import pathlib
import subprocess
import time

from .certificates import openssl
from .process import Process, free_port, is_listening

CONFIGURATION = """\
server:
    ip-address: {address}@{port}
    username: ""
    chroot: ""
    pidfile: ""
    database: ""
    zonesdir: "{directory}"
    xfrdfile: ""
    zonelistfile: "{directory}/zone.list"
    xfrdir: "{directory}"
    server-count: 1
remote-control:
    control-enable: no
"""
HEAD = "$ORIGIN {zone}.\n$TTL 60\n@ IN SOA ns.{zone}. admin.{zone}. 1 3600 600 86400 60\n@ IN NS ns.{zone}.\n"


def ldns(directory, *arguments):
    done = subprocess.run([*map(str, arguments)], cwd=directory, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments}: {done.stderr}")
    return done.stdout.strip()


class Zone:
    """records: lines of a zone file; signed: with a key of its own; forge: (before, after) on what is
    signed already."""

    def __init__(self, name, records, signed=True, forge=None):
        self.name, self.records, self.signed, self.forge = name, list(records), signed, forge
        self.anchor = ""

    def write(self, directory):
        path = directory / f"{self.name}.zone"
        path.write_text(HEAD.format(zone=self.name) + "\n".join(self.records) + "\n")
        if not self.signed:
            return path
        key = ldns(directory, "ldns-keygen", "-a", "ECDSAP256SHA256", "-k", f"{self.name}.")
        self.anchor = (directory / f"{key}.key").read_text()
        now = int(time.time())
        made = directory / f"{self.name}.signed"
        ldns(directory, "ldns-signzone", "-i", now - 3600, "-e", now + 86400, "-f", made, "-o",
             f"{self.name}.", path, key)
        if self.forge:
            text = made.read_text()
            changed = text.replace(*self.forge)
            if changed == text:
                raise RuntimeError(f"{self.forge[0]!r} is not in the signed zone")
            made.write_text(changed)
        return made


class SignedDns:
    """Answers over UDP and TCP on its own port; `server` is one before it, over UDP, that loses what
    is asked about a name with this label."""

    def __init__(self, directory, zones, lose="silent", address="127.0.0.1"):
        self.directory, self.zones, self.address = pathlib.Path(directory), zones, address
        self.lose = bytes([len(lose)]) + lose.encode()
        self.process = None

    @property
    def server(self):
        return f"{self.address}:{self.relay_port}"

    @property
    def trust_anchor(self):
        return self.directory / "anchors.key"

    async def start(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port(self.address)
        zones = "".join(f"zone:\n    name: \"{zone.name}\"\n    zonefile: \"{zone.write(self.directory)}\"\n"
                        for zone in self.zones)
        self.trust_anchor.write_text("".join(zone.anchor for zone in self.zones))
        path = self.directory / "nsd.conf"
        path.write_text(CONFIGURATION.format(address=self.address, port=self.port,
                                             directory=self.directory) + zones)
        self.process = await Process("nsd", ["/usr/sbin/nsd", "-d", "-c", path],
                                     self.directory / "nsd.log").start()
        await self.process.wait_for(lambda: is_listening(self.address, self.port), "DNS port")
        self.transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Relay(self), local_addr=(self.address, 0))
        self.relay_port = self.transport.get_extra_info("sockname")[1]
        return self

    async def stop(self):
        self.transport.close()
        await self.process.kill()


class Relay(asyncio.DatagramProtocol):
    def __init__(self, dns):
        self.dns, self.tasks = dns, set()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, question, asker):
        if self.dns.lose in question:
            return
        task = asyncio.create_task(self.forward(question, asker))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def forward(self, question, asker):
        answers = asyncio.get_running_loop().create_future()

        class Once(asyncio.DatagramProtocol):
            def datagram_received(self, answer, _):
                if not answers.done():
                    answers.set_result(answer)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            Once, remote_addr=(self.dns.address, self.dns.port))
        try:
            transport.sendto(question)
            self.transport.sendto(await asyncio.wait_for(answers, 5), asker)
        except (asyncio.TimeoutError, OSError):
            pass
        finally:
            transport.close()


def tlsa(certificate, usage, selector=1):
    """The data of a record of matching type SHA-256 for a PEM file."""
    der = pathlib.Path(f"{certificate}.der")
    if selector == 0:
        openssl("x509", "-in", certificate, "-outform", "DER", "-out", der)
    else:
        public = pathlib.Path(f"{certificate}.public")
        openssl("x509", "-in", certificate, "-pubkey", "-noout", "-out", public)
        openssl("pkey", "-pubin", "-in", public, "-outform", "DER", "-out", der)
    return f"{usage} {selector} 1 {hashlib.sha256(der.read_bytes()).hexdigest()}"
