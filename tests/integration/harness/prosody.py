"""A real Prosody with a configuration, accounts and ports of its own."""
import json
import os
import pathlib
import re
import signal

from .certificates import legacy_environment
from .process import Placed, Process, own_address

CONFIGURATION = """\
run_as_root = {as_root}
daemonize = false
pidfile = "{directory}/prosody.pid"
data_path = "{directory}/data"
log = {{ {{ levels = {{ min = "{log_level}" }}, to = "console" }} }}
admins = {{}}
modules_enabled = {{ "roster", "saslauth", "disco", "ping", "presence", "message", "iq", {modules} }}
modules_disabled = {{ "offline", "posix" }}
authentication = "internal_plain"
storage = "internal"
c2s_interfaces = {{ "{address}" }}
c2s_ports = {{ 5222 }}
c2s_direct_tls_ports = {{}}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
c2s_stanza_size_limit = 1048576
s2s_interfaces = {{ "{address}" }}
s2s_ports = {{ 5269 }}
s2s_direct_tls_interfaces = {{ "{address}" }}
s2s_direct_tls_ports = {{ {direct_tls_port} }}
s2s_direct_tls_ssl = {{ certificate = "{certificate}", key = "{key}" }}
s2s_stanza_size_limit = 1048576
s2s_require_encryption = {require_encryption}
s2s_secure_auth = {secure_auth}
component_interfaces = {{ "{address}" }}
component_ports = {{ 5347 }}
{settings}
use_ipv6 = false
-- All names come from the test's server; libunbound would not ask one on loopback by itself.
unbound = {{
    resolvconf = false, hoststxt = false, forward = "{dns_address}@{dns_port}",
    options = {{ ["do-not-query-localhost:"] = "no", ["module-config:"] = "iterator" }}
}}
ssl = {{ cafile = "{ca}", capath = "{directory}/no-capath" }}
"""

HOST = """\
VirtualHost "{domain}"
    ssl = {{ certificate = "{certificate}", key = "{key}", cafile = "{ca}",
            capath = "{directory}/no-capath", {tls} }}
"""

COMPONENT = """\
Component "{domain}"
    component_secret = "secret"
    ssl = {{ certificate = "{certificate}", key = "{key}", cafile = "{ca}", capath = "{directory}/no-capath" }}
"""

# How it proves itself and what it asks of others: TLS, then SASL EXTERNAL or dialback.
VARIANTS = {
    "external": {"modules": ["tls"], "secure_auth": True, "require_encryption": True},
    "dialback": {"modules": ["dialback"], "secure_auth": False, "require_encryption": False},
    "tls-dialback": {"modules": ["tls", "dialback"], "secure_auth": False,
                     "require_encryption": True},
    "tls-optional": {"modules": ["tls", "dialback"], "secure_auth": False,
                     "require_encryption": False},
    # XEP-0198 and XEP-0288.
    "modern": {"modules": ["tls", "dialback", "smacks", "s2s_bidi"], "secure_auth": False,
               "require_encryption": True},
}


def lua(value):
    return "true" if value else "false"


def file_name(name):
    """As its data store writes it."""
    return "".join(chr(c) if c < 128 and chr(c).isalnum() else f"%{c:02x}" for c in name.encode())


class Prosody(Placed):
    """certificate: a certificates.Certificate; ca: the root it trusts; accounts: name -> password.

    tls: more of its `ssl` options, as protocol. more: further domains, each with its certificate, and
    all the rest the same. direct_tls: listens for TLS without STARTTLS, on 5270. legacy: with all that
    OpenSSL has ever thought good enough. component: a domain that a program serves by XEP-0114, port 5347, with the
    domain's certificate. settings: more lines of its configuration's global part.
    """

    def __init__(self, directory, domain, certificate, ca, accounts, variant="external",
                 tls=None, more=None, direct_tls=False, legacy=False, log_level="debug", component="", settings=()):
        self.directory = pathlib.Path(directory)
        self.domain, self.certificate, self.ca = domain, certificate, ca
        self.certificates = {domain: certificate, **(more or {})}
        self.accounts, self.variant, self.tls = accounts, variant, tls or {}
        self.direct_tls, self.legacy = direct_tls, legacy
        self.log_level, self.component, self.settings = log_level, component, settings
        self.address = own_address(5222, 5269, 5270, 5347)
        self.log, self.log_start = self.directory / "prosody.log", 0
        self.process = None

    def write(self, dns):
        for domain in self.certificates:
            self.write_accounts(domain)
        variant = VARIANTS[self.variant]
        path = self.directory / "prosody.cfg.lua"
        path.write_text(CONFIGURATION.format(
            as_root=lua(os.getuid() == 0), directory=self.directory, address=self.address,
            direct_tls_port=5270 if self.direct_tls else "", ca=self.ca,
            certificate=self.certificate.certificate, key=self.certificate.key, dns_address=dns.address, dns_port=dns.port,
            log_level=self.log_level, settings="\n".join(self.settings), modules=", ".join(json.dumps(m) for m in variant["modules"]),
            secure_auth=lua(variant["secure_auth"]),
            require_encryption=lua(variant["require_encryption"])) + "".join(HOST.format(
                directory=self.directory, domain=domain, ca=self.ca,
                certificate=certificate.certificate, key=certificate.key,
                tls=", ".join(f"{key} = {json.dumps(value)}" for key, value in self.tls.items()))
                for domain, certificate in self.certificates.items()) + (COMPONENT.format(
                    directory=self.directory, domain=self.component, ca=self.ca,
                    certificate=self.certificate.certificate, key=self.certificate.key) if self.component else ""))
        return path

    def write_accounts(self, domain):
        folder = self.directory / "data" / file_name(domain) / "accounts"
        folder.mkdir(parents=True, exist_ok=True)
        for name, password in self.accounts.items():
            (folder / f"{file_name(name)}.dat").write_text(f"return {{ [\"password\"] = {json.dumps(password)} }};\n")

    async def start(self, dns):
        path = self.write(dns)
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        environment = {**os.environ, **(legacy_environment(self.directory) if self.legacy else {})}
        self.process = await Process(f"prosody {self.domain}",
                                     ["/usr/bin/prosody", "-F", "--config", path],
                                     self.log, env=environment, machine=self.machine).start()
        for port in (5222, 5269, *((5270,) if self.direct_tls else ())):
            await self.process.wait_for(lambda: self.listens(port), f"port {port}")
        return self

    def log_lines(self):
        """What it has written since it was last started."""
        with open(self.log, "rb") as log:
            log.seek(self.log_start)
            return log.read().decode(errors="replace").splitlines()

    def mechanisms(self, domain):
        """How a domain of it and the others have proved themselves: direction -> EXTERNAL or dialback."""
        log = self.process.log.read_text(errors="replace")
        found, name = {}, re.escape(domain)
        for direction, complete, external in (
                ("in", rf"Incoming s2s connection \S+->{name} complete",
                 rf"{name}:saslauth\s+info\s+Accepting SASL EXTERNAL"),
                ("out", rf"Outgoing s2s connection {name}->\S+ complete",
                 rf"{name}:saslauth\s+debug\s+SASL EXTERNAL with \S+ succeeded")):
            if re.search(complete, log):
                found[direction] = {"EXTERNAL" if re.search(external, log) else "dialback"}
        return found

    async def stop(self):
        await self.process.stop(signal.SIGTERM)

    async def kill(self):
        if self.process:
            await self.process.kill()
