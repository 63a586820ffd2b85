"""Unbound as the authority for the zones of a test."""
import pathlib

from .process import Placed, Process, free_port

CONFIGURATION = """\
server:
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: ""
    logfile: ""
    use-syslog: no
    do-daemonize: no
    num-threads: 1
    interface: {address}@{port}
    access-control: 0.0.0.0/0 allow
    module-config: "iterator"
    do-not-query-localhost: no
    # What is not here does not exist: no question leaves this machine.
    local-zone: "." static
{records}
remote-control:
    control-enable: no
"""


class Dns(Placed):
    """records: zone lines, as `partner.example. IN A 127.0.0.2`. Listens on UDP and TCP."""

    def __init__(self, directory, records, address="127.0.0.1"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.records, self.address = list(records), address
        self.process = None

    @property
    def server(self):
        return f"{self.address}:{self.port}"

    async def start(self, port=None):
        self.port = port or free_port(self.address)
        path = self.directory / "unbound.conf"
        path.write_text(CONFIGURATION.format(
            directory=self.directory, address=self.address, port=self.port,
            records="\n".join(f"    local-data: '{record}'" for record in self.records)))
        self.process = await Process("unbound", ["/usr/sbin/unbound", "-d", "-c", path],
                                     self.directory / "unbound.log", machine=self.machine).start()
        await self.process.wait_for(lambda: self.listens(self.port), "DNS port")
        return self

    async def stop(self):
        await self.process.stop()


def server_records(domain, address, port=5269, service="xmpp-server", host=None):
    """The lines that lead to one server of a domain."""
    host = host or f"server.{domain}"
    return [f"_{service}._tcp.{domain}. IN SRV 0 0 {port} {host}.", f"{host}. IN A {address}"]


def at_address(domain, address, port=5269, service="xmpp-server"):
    """The same with the address as the host's name: for peers that ask the C library about hosts."""
    return server_records(domain, address, port, service, host=address)
