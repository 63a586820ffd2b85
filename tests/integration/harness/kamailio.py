"""A real Kamailio: registrar and proxy of the SIP domain, with a route to Fedgate for all others."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

from .process import Placed, Process, own_address, wait_until

CONFIGURATION = """\
#!KAMAILIO
debug=2
log_stderror=yes
children=2
tcp_children=2
auto_aliases=no
alias="{domain}"
listen=udp:{address}:5060
listen=tcp:{address}:5060
{listen_tls}
{listen}
{enable_tls}
tcp_connection_lifetime=3604
tcp_accept_aliases=yes
{settings}
mpath="/usr/lib/{machine}/kamailio/modules/"
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "auth.so"
{load_tls}
{load_presence}
modparam("usrloc", "db_mode", 0)
modparam("auth", "algorithm", "{algorithm}")
{qop}
{nonce}

request_route {{
    if (!mf_process_maxfwd_header("70")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (is_method("OPTIONS")) {{
        sl_send_reply("200", "OK");
        exit;
    }}
    if (is_method("REGISTER")) {{
{publish}        save("location");
        exit;
    }}
    if (!has_totag()) {{
        remove_hf("Route");  # of a user agent whose outbound proxy this is
        if ($rd == "{address}") {{
            $ru = "sip:" + $rU + "@{domain}";
        }}
    }}

    # A dialog that was recorded below, or by the NOTIFY that made it (RFC 6665 4.3).
    if (has_totag() && loose_route()) {{
        if (is_method("NOTIFY")) {{
            record_route();
        }}
        t_relay();
        exit;
    }}
{presence}
    if (is_method("SUBSCRIBE")) {{
        record_route();
    }}
    if ($rd != "{domain}") {{
        $du = "{fedgate}";
        t_relay();
        exit;
    }}

{authenticate}
{redirect}
    if (!lookup("location")) {{
        sl_send_reply("404", "Not Found");
        exit;
    }}
    t_relay();
}}
"""

# What can't be sent to the first gateway, or it does not take, goes to the second one. A dialog goes where it is. Of what a
# gateway has and never answers the sender is told a little after the 7.5 s in which it would have (README.md).
RELAY_TO_TWO = """\
    if (has_totag() && $rd =~ "^[0-9.]+$") {{
        t_relay();
        exit;
    }}
    if ($rd != "{domain}") {{
        if (is_method("SUBSCRIBE")) {{
            record_route();
        }}
        $du = "{fedgate}";
        t_set_fr(0, 8000);
        t_on_failure("OTHER");
        if (!t_relay_to("0x02")) {{    # no answer when it fails
            $du = "{other}";
            t_relay();
        }}
        exit;
    }}
"""

ON_FAILURE = """
failure_route[OTHER] {{
    if (t_check_status("503")) {{
        $du = "{other}";
        t_relay();
    }}
}}
"""

# Who watches whom, and who may: rules are documents that users write by HTTP (RFC 4825, RFC 5025).
LOAD_PRESENCE = """\
loadmodule "db_text.so"
loadmodule "presence.so"
loadmodule "presence_xml.so"
loadmodule "xhttp.so"
loadmodule "xcap_server.so"
tcp_accept_no_cl=yes
modparam("db_text", "db_mode", 0)
modparam("presence|presence_xml|xcap_server", "db_url", "text://{tables}")
modparam("presence", "server_address", "sip:{address}:5060;transport=tcp")
modparam("presence", "send_fast_notify", 1)
modparam("presence", "subs_db_mode", 1)
modparam("presence_xml", "integrated_xcap_server", 1)
modparam("presence_xml", "force_active", {all_may})
{load_pua}

event_route[xhttp:request] {{
    $xcapuri(u=>data) = $hu;
    if (xcaps_put("$xcapuri(u=>xuid)", "$hu", "$rb")) {{
        pres_update_watchers("$xcapuri(u=>xuid)", "presence");
    }}
}}
"""

# What its users' programs do not do themselves: who is registered is published, and everybody may see it.
LOAD_PUA = """\
loadmodule "pua.so"
loadmodule "pua_usrloc.so"
modparam("pua", "db_url", "text://{tables}")
modparam("pua", "outbound_proxy", "sip:{address}:5060;transport=tcp")
modparam("pua_usrloc", "default_domain", "{domain}")
modparam("pua_usrloc", "entity_prefix", "pres")
"""

PRESENCE = """\
    # The presence of our own users.
    if (is_method("PUBLISH") && uri == myself) {
        handle_publish();
        exit;
    }
    if (is_method("SUBSCRIBE") && uri == myself) {
        handle_subscribe();
        exit;
    }
"""

AUTHENTICATE = """\
    if ($fd != "{domain}") {{
        if (!pv_proxy_authenticate("{domain}", "{password}", "0")) {{
            proxy_challenge("{domain}", "{challenge}");
            exit;
        }}
        consume_credentials();
    }}
"""

REDIRECT = """\
    append_to_reply("Contact: <{to}>\\r\\n");
    sl_send_reply("302", "Moved Temporarily");
    exit;
"""

TLS = """\
[server:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
private_key = {key}
certificate = {certificate}
ca_list = {ca}
[client:default]
method = TLSv1.2+
verify_certificate = yes
private_key = {key}
certificate = {certificate}
ca_list = {ca}
"""


class Kamailio(Placed):
    """certificate, ca: a certificates.Certificate and a root: speaks TLS, too. password: whoever writes
    from another domain has to know it, by digest; algorithm: MD5 or SHA-256; qop: whether it is asked;
    nonce_count: whether it has to rise with each use of a nonce, which lasts nonce_expire seconds.
    redirect: where it says that its users are, in Kamailio's words. listen: one more socket of its.
    memory: MiB that its processes share; a transaction of some KiB stays there for seconds after its end.
    presence: "server": it is the presence server of its users, whom it asks who may watch them; "for its users":
    and publishes for them, too, that they are registered. settings: more lines of its configuration's global part;
    options: of its command line."""

    def __init__(self, directory, domain, certificate=None, ca=None, password="", algorithm="MD5", qop=False,
                 nonce_count=False, nonce_expire=300, redirect="", listen="", memory=64,
                 presence="", settings=(), options=()):
        self.directory, self.domain = pathlib.Path(directory), domain
        self.certificate, self.ca = certificate, ca
        self.password, self.algorithm, self.qop = password, algorithm, qop
        self.nonce_count, self.nonce_expire = nonce_count, nonce_expire
        self.redirect, self.listen, self.memory = redirect, listen, memory
        self.presence, self.settings, self.options = presence, settings, options
        self.other = ""    # the URI of a second gateway
        self.address = own_address(5060, 5061)
        self.process = None

    @staticmethod
    def port(transport):
        return 5061 if transport == "tls" else 5060

    def uri(self, transport="tcp"):
        return f"sip:{self.address}:{self.port(transport)};transport={transport}"

    def write(self, fedgate):
        self.directory.mkdir(parents=True, exist_ok=True)
        path, tls = self.directory / "kamailio.cfg", self.directory / "tls.cfg"
        if self.certificate:
            tls.write_text(TLS.format(key=self.certificate.key, ca=self.ca,
                                      certificate=self.certificate.certificate))
        if self.presence and not (self.directory / "tables").exists():
            shutil.copytree("/usr/share/kamailio/dbtext/kamailio", self.directory / "tables")
        machine = subprocess.run(["dpkg-architecture", "-qDEB_HOST_MULTIARCH"], check=True,
                                 capture_output=True, text=True).stdout.strip()
        path.write_text(CONFIGURATION.format(
            domain=self.domain, address=self.address, fedgate=fedgate, machine=machine, settings="\n".join(self.settings),
            algorithm=self.algorithm,
            authenticate=AUTHENTICATE.format(domain=self.domain, password=self.password,
                                             challenge="1" if self.qop else "0") if self.password else "",
            redirect=REDIRECT.format(to=self.redirect) if self.redirect else "",
            qop='modparam("auth", "qop", "auth")' if self.qop else "",
            nonce=f'modparam("auth", "nonce_expire", {self.nonce_expire})\n'
                  + ('modparam("auth", "nonce_count", 1)' if self.nonce_count else ""),
            listen_tls=f"listen=tls:{self.address}:5061" if self.certificate else "",
            listen=f"listen={self.listen}" if self.listen else "",
            load_presence=self.load_presence(), publish="        pua_set_publish();\n" if self.publishes else "",
            presence=(PRESENCE if self.presence else "") + (RELAY_TO_TWO.format(
                domain=self.domain, fedgate=fedgate, other=self.other) if self.other else ""),
            enable_tls="enable_tls=yes" if self.certificate else "",
            load_tls=f'loadmodule "tls.so"\nmodparam("tls", "config", "{tls}")' if self.certificate else "")
            + (ON_FAILURE.format(other=self.other) if self.other else ""))
        return path

    @property
    def publishes(self):
        return self.presence == "for its users"

    def load_presence(self):
        if not self.presence:
            return ""
        names = {"tables": self.directory / "tables", "address": self.address, "domain": self.domain}
        return LOAD_PRESENCE.format(all_may=int(self.publishes), load_pua=LOAD_PUA.format(**names) if self.publishes else "",
                                    **names)

    async def start(self, fedgate):
        """fedgate: the URI to which it gives what is for another domain."""
        path = self.write(fedgate)
        self.process = await Process(
            f"kamailio {self.address}",
            ["/usr/sbin/kamailio", "-DD", "-E", "-f", path, "-Y", self.directory, "-m", str(self.memory),
             "-M", "8", *self.options],
            self.directory / "kamailio.log", own_group=True, machine=self.machine).start()
        for port in (5060, *((5061,) if self.certificate else ())):
            await self.process.wait_for(lambda: self.listens(port), f"port {port}")
        return self

    async def stop(self):
        await self.process.stop()

    async def kill(self):
        """It is many processes; over when the last one is, and has let go of its sockets."""
        if self.process and self.process.is_alive:
            with contextlib.suppress(ProcessLookupError):    # it has just ended by itself
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.child.wait()
            await wait_until(lambda: not self.listens(5060), f"the end of {self.process.name}")

    def pause(self):
        """It accepts, and never answers."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self):
        os.killpg(self.process.pid, signal.SIGCONT)
