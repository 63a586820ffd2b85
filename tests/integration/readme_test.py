"""What README shows works as it stands there."""
import pathlib
import re
import shlex
import subprocess
import unittest

from harness.gate import GateTest
from harness.kamailio import CONFIGURATION, PRESENCE
from harness.world import binaries

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"


def block_after(words):
    return re.search(re.escape(words) + r".*?```\n(.*?)```", README.read_text(), re.DOTALL)[1]


class Readme(GateTest):
    async def test_the_configuration_is_good(self):
        certificate = self.authority.issue("sip.example")
        text = block_after("## Configuration in ten lines")
        for theirs, ours in (("/etc/fedgate/external.pem", certificate.certificate),
                             ("/etc/fedgate/external.key", certificate.key),
                             ("/etc/ssl/certs/ca-certificates.crt", self.authority.certificate)):
            self.assertIn(f" = {theirs}\n", text)
            text = text.replace(theirs, str(ours))
        path = self.directory / "ten.conf"
        path.write_text(text)
        command = [binaries() / "fedgated", "-c", path, "--check"]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        # And it looks at the files.
        certificate.key.write_text(self.authority.key.read_text())
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertRegex(done.stderr, "^error: .* do not belong together")
        self.assertEqual(done.returncode, 1)

    async def test_the_profiles(self):
        certificate = self.authority.issue("im.sip.example")
        for heading in ("## Lync and Skype for Business", "## MSRP"):
            text = block_after(heading).replace("/etc/fedgate/sip.pem", str(certificate.certificate))
            path = self.directory / "profile.conf"
            path.write_text(text.replace("/etc/fedgate/sip.key", str(certificate.key)))
            done = subprocess.run([binaries() / "fedgated", "-c", path, "--check"], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    async def test_two_machines(self):
        own = self.authority.issue("edge1.int.example", "gw1.int.example")
        text = block_after("## Two machines, and more")
        for name, path in (("internal.pem", own.certificate), ("internal.key", own.key),
                           ("internal-ca.pem", self.authority.certificate)):
            self.assertIn(f" = /etc/fedgate/{name}\n", text)
            text = text.replace(f"/etc/fedgate/{name}", str(path))
        both, edge, gateway = re.match(r"# The same on both.\n(.*)# On the edge;[^\n]*\n(.*)# On the gateway;[^\n]*\n(.*)",
                                       text, re.DOTALL).groups()
        for role in (edge, gateway):
            path = self.directory / "role.conf"
            path.write_text(both + role)
            done = subprocess.run([binaries() / "fedgated", "-c", path, "--check"], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    async def test_the_commands_are_taken(self):
        await self.gate()
        lines = block_after("## Partners").splitlines()
        self.assertTrue(lines)
        for line in lines:
            # The gate has a partner of that name.
            words = shlex.split(line.replace("partner.example", "reader.example"), comments=True)
            self.assertEqual(words.pop(0), "fedctl")
            await self.fedgate.control(*words)

    def test_kamailio_is_told_what_the_tests_tell_it(self):
        shown = block_after("## The SIP side").replace("sip.example\"", '{domain}"')
        shown = re.sub(r'"sip:[^"]*"', '"{fedgate}"', shown)
        used = CONFIGURATION.replace("{{", "{").replace("}}", "}").replace("{presence}", PRESENCE)
        self.assertIn(shown.split(), [used.split()[i:i + len(shown.split())] for i in range(len(used.split()))])


if __name__ == "__main__":
    unittest.main()
