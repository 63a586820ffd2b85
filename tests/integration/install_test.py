"""cmake --install puts the programs, their manual pages and bash's completion into a prefix."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from harness.gate import GateTest
from harness.world import XMPP_DOMAIN, binaries

PAGES = ["man1/fedctl.1", "man1/fedload.1", "man5/fedgate.conf.5", "man8/fedgated.8"]
WORD = re.compile(r"[\w*/=-]+(?:\.[\w*/=-]+)*")
COMPLETE = r"""
load() { source "$1"; }  # in a function, as bash-completion does
load "$1"
COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
_fedctl
printf '%s\n' "${COMPREPLY[@]}"
"""


def run(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False)


def complete(completion, *words):
    fedctl = binaries() / "fedctl"
    done = run("bash", "--norc", "-c", COMPLETE, "bash", completion, fedctl, *words)
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"{words}: {done.stderr}")
    return done.stdout.split()


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="fedgate-install-")
        cls.addClassCleanup(directory.cleanup)
        cls.prefix = pathlib.Path(directory.name)
        cls.done = run("cmake", "--install", binaries().parent, "--prefix", cls.prefix)

    def setUp(self):
        self.assertEqual((self.done.returncode, self.done.stderr), (0, ""))

    def page(self, name):
        return (self.prefix / "share/man" / name).read_text()

    def complete(self, *words):
        return complete(self.prefix / "share/bash-completion/completions/fedctl", *words)

    def test_all_is_in_its_place(self):
        files = {str(path.relative_to(self.prefix)) for path in self.prefix.rglob("*") if path.is_file()}
        self.assertEqual(files, {"bin/fedctl", "bin/fedload", "sbin/fedgated", *(f"share/man/{page}" for page in PAGES),
                                 "share/bash-completion/completions/fedctl", "lib/systemd/system/fedgated.service",
                                 *(f"lib/systemd/system/fedgate-firewall.{kind}" for kind in ("path", "service")),
                                 "lib/sysusers.d/fedgate.conf", "lib/tmpfiles.d/fedgate.conf",
                                 "etc/fedgate/fedgate.conf"})
        for program in ("bin/fedctl", "bin/fedload", "sbin/fedgated"):
            self.assertEqual(run(self.prefix / program, "--help").returncode, 0)

    # It is the administrator's: another version's installation leaves it.
    def test_a_configuration_that_is_there_stays(self):
        file = self.prefix / "etc/fedgate/fedgate.conf"
        first = file.read_text()
        self.addCleanup(file.write_text, first)
        file.write_text("core.threads = 1\n")
        done = run("cmake", "--install", binaries().parent, "--prefix", self.prefix)
        self.assertEqual((done.returncode, file.read_text()), (0, "core.threads = 1\n"))

    # What it proposes is good, when the signs of a comment are taken away.
    def test_the_first_configuration_is_good(self):
        lines = (self.prefix / "etc/fedgate/fedgate.conf").read_text().splitlines()
        keys = [line[1:] for line in lines if re.match(r"#\w", line) and not line.startswith("#tls.")]
        self.assertGreater(len(keys), 3)
        tried = self.prefix / "tried.conf"
        tried.write_text("\n".join(keys) + f"\ndirs.state = {self.prefix}/state\n")
        self.addCleanup(tried.unlink)
        done = run(self.prefix / "sbin/fedgated", "-c", tried, "--check")
        self.assertEqual((done.returncode, done.stdout), (0, "the configuration is good\n"), done.stderr)

    def test_the_unit_is_in_its_sandbox(self):
        unit = self.prefix / "lib/systemd/system/fedgated.service"
        self.assertNotIn("@", re.sub("@(system-service|privileged|resources)", "", unit.read_text()))
        for one in (unit, *unit.parent.glob("fedgate-firewall.*")):
            done = run("systemd-analyze", "verify", "--man=no", one)
            self.assertEqual((done.returncode, done.stderr), (0, ""), one.name)
        done = run("systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=11", unit)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_the_pages_are_good(self):
        for name in PAGES:
            path = self.prefix / "share/man" / name
            done = run("groff", "-mandoc", "-ww", "-Tascii", "-P-cbou", path)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            for part in ("NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"):
                self.assertRegex(done.stdout, rf"(?m)^{part}$", name)
            self.assertNotRegex(self.page(name), r'\.\\" (HELP|STATUS|KEYS)', name)
            # What it points to is there, or the system's.
            for page, section in re.findall(r"(?m)^\.Xr (\S+) (\d)", self.page(name)):
                self.assertTrue(f"man{section}/{page}.{section}" in PAGES or page.startswith("sysctl"), page)

    # A page has all that its program's help has, word for word.
    def test_they_say_what_help_says(self):
        for program, name in (("bin/fedctl", PAGES[0]), ("bin/fedload", PAGES[1]), ("sbin/fedgated", PAGES[3])):
            # So wide that no word is parted.
            done = run("groff", "-mandoc", "-rLL=1000n", "-Tascii", "-P-cbou", self.prefix / "share/man" / name)
            shown = set(WORD.findall(done.stdout.replace("-\n", "-")))
            told = set(WORD.findall(run(self.prefix / program, "--help").stdout))
            self.assertEqual(told - shown - {"usage", "Exit"}, set(), program)

    # The page has every key, with all that `fedctl sysctl -d` says.
    def test_every_key_is_described(self):
        completion = (self.prefix / "share/bash-completion/completions/fedctl").read_text()
        keys = re.search(r"_fedctl_keys='\n(.*?)'", completion, re.DOTALL)[1].splitlines()
        names = [key.split()[0] for key in keys]
        entries = re.split(r'(?m)^\.It Cm "\\&', self.page("man5/fedgate.conf.5"))[1:]
        described = {entry.split('"')[0]: entry for entry in entries}
        self.assertGreater(len(names), 100)
        self.assertEqual(list(described), names)
        for name, entry in described.items():
            self.assertRegex(entry, r"(?s)\n.{10,}[.?]\n\.br\nType: .+, .+\.\nDefault: .+\.\nActs .+\.\nScope: "
                                    r"(pool|node)\.\n", name)
        self.assertIn("Type: integer, 1 to 10000000 connections.\nDefault: 1000.\nActs for new connections and "
                      "conversations.\nScope: node.\n", described["xmpp.limits.connections"])
        self.assertIn("Never shown.\n", described["xmpp.dialback.secret"])

    def test_verbs_and_actions_are_completed(self):
        self.assertEqual(self.complete("par"), ["partner"])
        self.assertEqual(self.complete("-s", "/tmp/socket", "sys"), ["sysctl"])
        self.assertEqual(self.complete("partner", "se"), ["set"])
        self.assertEqual(self.complete("partner", "un"), ["unblock"])
        self.assertEqual(self.complete("dns", ""), ["check", "plan"])
        self.assertEqual(self.complete("route", ""), ["list", "set", "unset"])
        self.assertEqual(self.complete("user", "grant", "--d"), ["--dry-run"])
        self.assertEqual(self.complete("cert", "request", "--ex"), ["--exportable", "--extra"])
        self.assertEqual(self.complete("--"), ["--address", "--authority", "--certificate", "--host", "--json", "--key"])
        self.assertEqual(self.complete("nonsense", ""), [])

    # And fedctl knows each of them.
    def test_what_is_completed_is_understood(self):
        socket = self.prefix / "nobody.sock"
        verbs = self.complete("")
        self.assertTrue({"status", "doctor", "cs", "sysctl", "help"} <= set(verbs))
        for verb in verbs:
            for action in self.complete(verb, "") if verb != "sysctl" else []:
                done = run(self.prefix / "bin/fedctl", "-s", socket, verb, action)
                self.assertNotRegex(done.stderr, "(no verb|no action|not an action)", f"{verb} {action}")
            done = run(self.prefix / "bin/fedctl", "-s", socket, verb)
            self.assertNotIn("no verb", done.stderr, verb)

    # And where it says which there are, it is those.
    def test_all_that_is_understood_is_completed(self):
        for verb in ("cert", "config", "policy", "pool", "route", "site", "user"):
            said = run(self.prefix / "bin/fedctl", verb).stderr
            actions = re.findall(r"[a-z]+", said.split("needs ")[1].split(" (fedctl help)")[0])
            self.assertEqual(sorted(set(actions) - {"one", "of", "or"}), self.complete(verb, ""), verb)

    def test_keys_attributes_and_values_are_completed(self):
        self.assertEqual(self.complete("sysctl", "xmpp.keep"), ["xmpp.keepalive.interval"])
        self.assertEqual(self.complete("sysctl", "-w", "federation.al"), ["federation.allow="])
        self.assertEqual(self.complete("sysctl", "-w", "partn"), ["partner/"])
        self.assertEqual(self.complete("sysctl", "partner/a.example/leg"), ["partner/a.example/legacy_tls"])
        self.assertEqual(self.complete("sysctl", "-w", "partner/a.example/tls", "=", "opt"), ["optional"])
        self.assertEqual(self.complete("sysctl", "core.*"), ["core.*.cpu"])
        self.assertEqual(self.complete("sysctl", "-w", "core.12"), ["core.12.cpu="])
        self.assertEqual(self.complete("sysctl", "--d"), ["--diff", "--dry-run"])
        self.assertEqual(self.complete("partner", "add", "a.example", "ty"), ["type="])
        self.assertEqual(self.complete("partner", "set", "a.example", "type", "=", "f"), ["federated"])
        self.assertEqual(self.complete("partner", "set", "a.example", "type", "="),
                         ["federated", "public_unverified", "public_verified"])
        self.assertEqual(self.complete("partner", "reset", "a.example", "ty"), ["type"])
        self.assertEqual(self.complete("policy", "new", "FedPic", "xmpp"), ["xmpp_access="])
        self.assertEqual(self.complete("policy", "set", "global", "xmpp_access", "=", ""), ["no", "yes"])
        self.assertEqual(self.complete("pool", "set", "paris", ""), ["kind=", "members=", "priority="])

    # What is typed is a text: completing it runs nothing.
    def test_nothing_that_is_typed_is_run(self):
        trap = self.prefix / "trap"
        for typed in (f"partner/$(touch {trap})/", f"partner/`touch {trap}`/", f"$(touch {trap})", "*"):
            self.complete("sysctl", typed)
            self.complete("partner", "set", typed, "=", typed)
        self.assertFalse(os.path.exists(trap))


class OfARunningDaemon(GateTest):
    async def test_what_it_has_is_completed(self):
        await self.gate(keys={"pool/paris/kind": "edge", "pool/paris/members": "edge1.paris.example",
                              "site/sales/route": "paris", "policy/FedPic/xmpp_access": "yes"})
        completion = binaries().parent / "share/bash-completion/completions/fedctl"

        def of_this(*words):
            return complete(completion, "-s", self.fedgate.directory / "admin.sock", *words)

        for line in ("partner show part", "partner set part", "partner remove part", "doctor part"):
            self.assertEqual(of_this(*line.split()), [XMPP_DOMAIN], line)
        self.assertEqual(of_this("partner", "add", "part"), [])
        self.assertEqual(of_this("user", "grant", "Fed"), ["FedPic"])
        self.assertEqual(of_this("user", "grant", "FedPic", ""), [])
        self.assertEqual(of_this("policy", "show", ""), ["FedPic", "global"])
        self.assertEqual(of_this("pool", "set", ""), ["paris"])
        self.assertEqual(of_this("route", "set", ""), ["sales"])
        self.assertEqual(of_this("route", "set", "sales", ""), ["paris"])
        self.assertEqual(of_this("sysctl", "-w", "partner/part"), [f"partner/{XMPP_DOMAIN}/"])
        self.assertEqual(of_this("sysctl", "-w", "pool/"), ["pool/paris/"])


if __name__ == "__main__":
    unittest.main()
