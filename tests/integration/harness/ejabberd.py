"""A real ejabberd with a configuration, accounts and ports of its own, without Erlang distribution."""
import asyncio
import glob
import json
import os
import pathlib
import re

from .certificates import legacy_environment
from .process import WAIT_SECONDS, Placed, Process, own_address

SAVE_PORT = 5280

# How a domain of it proves itself and what it asks of others; names as prosody.VARIANTS.
VARIANTS = {
    "external": {"tls": "required", "dialback": False},
    "dialback": {"tls": False, "dialback": True},
    "tls-dialback": {"tls": "required", "dialback": True},
    "tls-optional": {"tls": "optional", "dialback": True},
}

# It resolves SRV by Erlang's resolver, which can be led to the test's server. The target's address it
# asks of the C library, which can't: in the test's DNS a target must be an address (dns.at_address).
RESOLVER = """\
{{resolv_conf, ""}}.
{{lookup, [dns]}}.
{{nameserver, {{{address}}}, {port}}}.
"""


def erlang(text):
    return f"<<{json.dumps(text)}/utf8>>"


class Ejabberd(Placed):
    """hosts: domain -> (certificates.Certificate, variant); ca: the root it trusts;
    accounts: name -> password, the same on each domain. legacy: as Prosody's."""

    def __init__(self, directory, hosts, ca, accounts, legacy=False):
        self.legacy = legacy
        self.directory = pathlib.Path(directory)
        self.hosts, self.ca, self.accounts = dict(hosts), ca, accounts
        self.address = own_address(5222, 5269, 5270, SAVE_PORT)
        self.process, self.starts = None, 0

    def configuration(self):
        dialback = {"modules": {"mod_s2s_dialback": {}}}
        return {
            "hosts": list(self.hosts), "loglevel": "info", "ca_file": str(self.ca),
            "s2s_max_retry_delay": 1,    # seconds; it refuses by itself for up to five minutes
            "certfiles": sorted({str(self.whole(certificate)) for certificate, _ in self.hosts.values()}),
            "listen": [
                {"port": 5222, "ip": self.address, "module": "ejabberd_c2s", "max_stanza_size": 1048576},
                # Its default, 5, lets the kernel drop those who come at the same time.
                {"port": 5269, "ip": self.address, "module": "ejabberd_s2s_in", "backlog": 512,
                 "max_stanza_size": 1048576},
                {"port": 5270, "ip": self.address, "module": "ejabberd_s2s_in", "tls": True,
                 "max_stanza_size": 1048576}],
            "host_config": {domain: {"s2s_use_starttls": VARIANTS[variant]["tls"]}
                            for domain, (_, variant) in self.hosts.items()},
            "append_host_config": {domain: dialback for domain, (_, variant) in self.hosts.items()
                                   if VARIANTS[variant]["dialback"]},
            "modules": {"mod_ping": {}, "mod_roster": {}, "mod_disco": {}},
        }

    def whole(self, certificate):
        """Certificate and key in one file: it looks for a key in the files that it was given."""
        path = self.directory / f"{certificate.certificate.stem}.both.pem"
        path.write_bytes(certificate.key.read_bytes() + certificate.certificate.read_bytes())
        return path

    async def start(self, dns):
        (self.directory / "db").mkdir(parents=True, exist_ok=True)
        # JSON is YAML.
        (self.directory / "ejabberd.yml").write_text(json.dumps(self.configuration(), indent=1))
        (self.directory / "inetrc").write_text(RESOLVER.format(
            address=dns.address.replace(".", ","), port=dns.port))
        self.starts += 1
        done = f"accounts made, start {self.starts}"
        register = ", ".join(f"true = lists:member(ejabberd_auth:try_register({erlang(name)}, {erlang(domain)}, "
                             f"{erlang(password)}), [ok, {{error, exists}}])"
                             for domain in self.hosts for name, password in self.accounts.items())
        # Debian keeps some of its Erlang libraries beside the machine's own.
        libraries = pathlib.Path(glob.glob("/usr/lib/*/ejabberd-*/ebin")[0]).parent.parent
        environment = {
            "PATH": os.environ["PATH"], "ERL_LIBS": str(libraries), "HOME": str(self.directory), "ERL_CRASH_DUMP_BYTES": "0",
            "ERL_INETRC": str(self.directory / "inetrc"),
            "EJABBERD_CONFIG_PATH": str(self.directory / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.directory / "log" / "ejabberd.log")}
        if self.legacy:
            environment.update(legacy_environment(self.directory))
        # Not by ejabberdctl: that wants a user of its own and starts epmd.
        self.process = await Process(
            "ejabberd", ["/usr/bin/erl", "-noinput", "+S", "2", "+sbwt", "none",
                         "-mnesia", "dir", json.dumps(str(self.directory / "db")),
                         "-s", "ejabberd", "-eval", f"{register}, {self.saver()}, io:format(\"{done}~n\")."],
            self.directory / "ejabberd.log", env=environment, machine=self.machine).start()
        await self.process.wait_for_log(done)
        for port in (5222, 5269, 5270):
            await self.process.wait_for(lambda: self.listens(port), f"port {port}")
        return self

    def saver(self):
        """Erlang that writes the tables to disk, each time that somebody connects: it would keep what
        is new in memory for three minutes."""
        return (f"spawn(fun() -> {{ok, Door}} = gen_tcp:listen({SAVE_PORT}, [{{ip, {{{self.address.replace('.', ',')}}}}}, "
                "{reuseaddr, true}]), (fun Serve() -> {ok, Asker} = gen_tcp:accept(Door), mnesia:dump_log(), "
                "[ok = dets:sync(Table) || Table <- dets:all()], gen_tcp:close(Asker), Serve() end)() end)")

    async def save(self):
        """What it has promised outlives kill()."""
        reader, writer = await asyncio.open_connection(self.address, SAVE_PORT)
        await asyncio.wait_for(reader.read(), WAIT_SECONDS)
        writer.close()

    def mechanisms(self, domain):
        """How a domain of it and the others have proved themselves: direction -> EXTERNAL or dialback."""
        found = {}
        for line in self.process.log.read_text(errors="replace").splitlines():
            match = re.search(r"Accepted (in|out)bound s2s (\w+) authentication (\S+) -> (\S+)", line)
            if match and domain == match[4 if match[1] == "in" else 3]:
                found.setdefault(match[1], set()).add(match[2])
        return found

    async def stop(self):
        await self.process.stop()

    async def kill(self):
        if self.process:
            await self.process.kill()
