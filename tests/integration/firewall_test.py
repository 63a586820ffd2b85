"""fedctl firewall and fedctl kernel: what they print is what nft and sysctl take, and lets in what it says."""
import pathlib
import subprocess
import tempfile
import unittest

from harness.world import binaries

KEYS = ["tls.internal.certificate = /etc/fedgate/internal.pem", "tls.internal.key = /etc/fedgate/internal.key",
        "tls.internal.ca = /etc/fedgate/internal-ca.pem"]
HERE, THERE, STRANGER = "10.79.0.1", "10.79.0.2", "10.79.0.3"
# Two addresses knock, by TCP and by UDP: what is let in is refused by the port at once; the rest is not answered.
PORTS = [2855, 2857, 2858, 5060, 5061, 5269, 5270, 23456, 9269, 22, 2222]
KNOCK = f"""
import errno, select, socket, time
for source in ({THERE!r}, {STRANGER!r}):
    poll, knocks, let_in = select.poll(), {{}}, []
    for protocol, kind, ports in (("tcp", socket.SOCK_STREAM, {PORTS}), ("udp", socket.SOCK_DGRAM, [5060, 5061])):
        for port in ports:
            knock = socket.socket(type=kind)
            knock.bind((source, 0))
            knock.setblocking(False)
            knock.connect_ex(({HERE!r}, port))
            if protocol == "udp":
                knock.send(b"knock")
            knocks[knock.fileno()] = (knock, protocol + ":" + str(port))
            poll.register(knock, select.POLLERR)
    end = time.monotonic() + 0.4
    while (left := end - time.monotonic()) > 0:
        for number, _ in poll.poll(left * 1000):
            knock, name = knocks[number]
            poll.unregister(knock)
            if knock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED:
                let_in.append(name)
    print(*let_in)
"""
MACHINES = """
set -e
ip link set lo up
ip link add here type veth peer name there
ip addr add $1/24 dev here
ip link set here up
unshare --net sleep 60 & other=$!
trap 'kill $other' EXIT
until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
ip link set there netns $other
nsenter --net=/proc/$other/ns/net sh -c "ip addr add $2/24 dev there; ip addr add $3/24 dev there; ip link set there up"
for file in $4; do nft -f $file; done
nsenter --net=/proc/$other/ns/net python3 -c "$5"
"""


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False)


class Firewall(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="fedgate-firewall-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def fedctl(self, verb, *options, **keys):
        """As text; the daemon does not run, its configuration is `lines`."""
        file = self.directory / "fedgate.conf"
        lines = [f"dirs.state = {self.directory}/state", *keys.get("lines", [])]
        file.write_text("\n".join(lines) + "\n")
        return run(binaries() / "fedctl", verb, "--config", file, *options)

    def let_in(self, *rules):
        """By tries from THERE and from the STRANGER."""
        files = []
        for i, text in enumerate(rules):
            files.append(self.directory / f"{i}.nft")
            files[-1].write_text(text)
        done = run("unshare", "--net", "bash", "-c", MACHINES, "bash", HERE, THERE, STRANGER, " ".join(map(str, files)),
                   KNOCK)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [set(line.split()) for line in done.stdout.splitlines()]

    def rules(self, *options, lines=()):
        done = self.fedctl("firewall", *options, lines=lines)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_what_listens_is_let_in_from_whom_it_may_come(self):
        lines = ["sip.listen = udp:0.0.0.0:5060 tcp:[::]:5060 tls:[::]:5061", f"sip.trusted = {THERE}/32 ::1",
                 "domain/corp.example/next_hop = sip:192.0.2.7;transport=tcp"]
        everybody = {"tcp:5269", "tcp:5270", "tcp:22"}
        both = self.rules("--also", "tcp:22", lines=lines)
        # Said again, it takes the place of the first.
        self.assertEqual(self.let_in(both, both), [everybody | {"tcp:5060", "udp:5060", "tcp:5061"}, everybody])
        # A listener is closed, and a pool is known by its name: who is at it proves that by his certificate.
        lines[2] = "domain/corp.example/next_hop = sip:pool.corp.example;transport=tls"
        # MSRP: users' agents are anywhere, and each core has a port.
        msrp = ["domain/im.example/profile = msrp", "sip.msrp.tls = no", "core.threads = 3"]
        other = self.rules(lines=[*lines, *msrp, "xmpp.listen_tls =", f"admin.http.listen = {HERE}:9269"])
        everybody = {"tcp:5269", "tcp:5061", "tcp:9269", "tcp:2855", "tcp:2857"}
        self.assertEqual(self.let_in(both, other), [everybody | {"tcp:5060", "udp:5060"}, everybody])
        # Without any, all would have been: it is not the network that closes.
        self.assertEqual(self.let_in()[1], {*(f"tcp:{port}" for port in PORTS), "udp:5060", "udp:5061"})

    # What listens on loopback only, or is the other role's, opens nothing.
    def test_the_defaults_and_the_roles(self):
        self.assertEqual(self.let_in(self.rules())[0], {"tcp:5269", "tcp:5270"})
        self.assertNotRegex(self.rules(), "l4proto .*icmp")    # names need /etc/protocols, which a small machine lacks
        gateway = self.rules(lines=["core.roles = gateway", "pool/edges/members = edge1.int.example", *KEYS,
                                    "domain/corp.example/next_hop = sip:192.0.2.7;transport=tls"])
        self.assertNotIn("5269", gateway)
        self.assertEqual(self.let_in(gateway)[0], set())

    # The link is for gateways: those that have an address.
    def test_gateways(self):
        lines = ["core.roles = edge", "domain/corp.example/profile = page", "pool/gateways/kind = gateway", *KEYS,
                 "pool/gateways/members = localhost gw1.invalid"]
        done = self.fedctl("firewall", lines=lines)
        self.assertEqual((done.returncode, done.stderr),
                         (0, "fedctl: gw1.invalid has no address now, and is not let in: its record, or /etc/hosts\n"))
        self.assertIn("# gw1.invalid has no address now", done.stdout)
        self.assertEqual(self.let_in(done.stdout)[0], {"tcp:5269", "tcp:5270"})
        # As if the name led there.
        text = done.stdout.replace("    chain input", f"    set gateways4 {{ type ipv4_addr; flags interval; "
                                   f"elements = {{ {THERE} }} }}\n    chain input", 1)
        self.assertNotIn("gateways4 tcp", done.stdout)
        rule = "        # link.listen [::]:23456\n"
        text = text.replace(rule, rule + "        ip saddr @gateways4 tcp dport 23456 accept\n")
        self.assertEqual([("tcp:23456" in ports) for ports in self.let_in(text)], [True, False])

    def test_the_kernels_settings(self):
        done = self.fedctl("kernel", lines=["sip.listen = tcp:[::]:40000 tls:0.0.0.0:40001", "core.threads = 2",
                                            "domain/im.example/profile = msrp", "sip.msrp.tls = no",
                                            "sip.msrp.listen = 0.0.0.0:32767",
                                            "xmpp.limits.connections = 2000000"])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        settings = dict(line.lstrip("-").split(" = ") for line in done.stdout.splitlines() if not line.startswith("#"))
        self.assertEqual(settings, {"kernel.io_uring_disabled": "0", "net.core.somaxconn": "4096",
                                    "net.ipv4.tcp_max_syn_backlog": "4096", "net.ipv4.tcp_syncookies": "1",
                                    "net.netfilter.nf_conntrack_max": "4262144", "fs.nr_open": "2004096",
                                    "net.ipv4.ip_local_reserved_ports": "40000,40001,32767-32768"})
        # With SIP over UDP there is what waits for a core.
        file = self.directory / "sysctl.conf"
        done = self.fedctl("kernel", "--file", file)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertIn("net.core.rmem_max = 4194304\n", file.read_text())
        self.assertEqual(run("sysctl", "--dry-run", "-p", file).returncode, 0)

    def test_what_is_typed_wrong_is_refused(self):
        for options, said, status in ((("--also", "22"), "--also 22 is no port: tcp:22 or udp:161", 2),
                                      (("--also", "tcp:99999"), "--also tcp:99999 is no port", 2),
                                      (("--also", "tcp:22;drop"), "is no port", 2),
                                      (("more",), "firewall takes nothing more, not 'more'", 2),
                                      (("--file", "/nowhere/rules"), "/nowhere/rules can't be written", 1)):
            done = self.fedctl("firewall", *options)
            self.assertEqual((done.returncode, done.stdout), (status, ""), options)
            self.assertIn(said, done.stderr)
        done = self.fedctl("firewall", lines=["xmpp.listen = nonsense"])
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("fedgate.conf:2: error: xmpp.listen", done.stderr)


if __name__ == "__main__":
    unittest.main()
