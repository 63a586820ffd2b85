"""fedctl --host: administration from another machine, by who the certificates say that both are; nobody else."""
import asyncio
import json
import pathlib
import socket
import ssl
import subprocess
import time
import unittest

from harness.certificates import Authority
from harness.gate import GateTest
from harness.process import wait_until
from harness.world import SIP_DOMAIN

GATEWAY, ADMINISTRATOR, VIEWER = "gateway.corp.example", "alice.admin.corp.example", "eve.admin.corp.example"
PORT = 9270


class Remote(GateTest):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.own = Authority(self.directory / "administrators")
        server = self.own.issue(GATEWAY)

        def prepare(fedgate):
            fedgate.keys.update({"admin.remote.listen": f"{fedgate.address}:{PORT}",
                                 "admin.remote.certificate": server.certificate, "admin.remote.key": server.key,
                                 "admin.remote.ca": self.own.certificate,
                                 "admin.remote.administrator": ADMINISTRATOR, "admin.remote.viewer": VIEWER})
        await self.gate(prepare=prepare)
        self.pairs = {name: self.own.issue(name) for name in (ADMINISTRATOR, VIEWER, "mallory.corp.example")}
        self.pairs["stranger"] = self.authority.issue(ADMINISTRATOR)

    def run_tool(self, who, *words, host=GATEWAY, data=None):
        pair = self.pairs[who]
        return subprocess.run([self.fedgate.binaries / "fedctl", "--host", host, "--address", self.fedgate.address,
                               "--certificate", pair.certificate, "--key", pair.key,
                               "--authority", self.own.certificate, *map(str, words)],
                              input=data, capture_output=True, text=True, timeout=60, check=False)

    async def tool(self, who, *words, **options):
        return await asyncio.to_thread(self.run_tool, who, *words, **options)

    def refused(self, text):
        return any("FG-5102" in line and text in line for line in self.log().splitlines())

    def connect(self):
        return socket.create_connection((self.fedgate.address, PORT), 10)

    async def test_the_same_as_at_the_machine(self):
        here = json.loads(await self.fedgate.control("--json", "partner", "list"))
        there = await self.tool(ADMINISTRATOR, "--json", "partner", "list")
        self.assertEqual(there.returncode, 0, there.stderr)
        self.assertEqual(json.loads(there.stdout), here)
        for words, data in ((("partner", "add", "far.example", "type=federated"), None),
                            (("user", "import", "-"), "sip_address\n" + "".join(
                                f"user{i}@{SIP_DOMAIN}\n" for i in range(5000)))):
            done = await self.tool(ADMINISTRATOR, *words, data=data)
            self.assertEqual(done.returncode, 0, done.stderr)
        listed = (await self.tool(ADMINISTRATOR, "user", "list", "--addresses")).stdout
        self.assertEqual(len(listed.splitlines()), 5000)
        log = await self.fedgate.control("config", "log")
        self.assertIn(ADMINISTRATOR, log)
        # A viewer reads.
        self.assertEqual((await self.tool(VIEWER, "status")).returncode, 0)
        done = await self.tool(VIEWER, "partner", "remove", "far.example")
        self.assertEqual(done.returncode, 1)
        self.assertIn("is for the role administrator", done.stderr)
        # Struck off the list: live.
        await self.fedgate.control("sysctl", "-w", "admin.remote.viewer=")
        self.assertEqual((await self.tool(VIEWER, "status")).returncode, 1)
        for words in (("cert", "list"), ("restore",)):
            self.assertEqual((await self.tool(ADMINISTRATOR, *words)).returncode, 2)

    async def test_nobody_else(self):
        for who, said in (("stranger", "the certificate"), ("mallory.corp.example", "of no name that")):
            done = await self.tool(who, "status")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(said, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        await wait_until(lambda: self.refused("mallory.corp.example"), "the event", 5)
        # The machine is another one.
        done = await self.tool(ADMINISTRATOR, "status", host="other.corp.example")
        self.assertEqual(done.returncode, 1)
        self.assertIn("not for that name", done.stderr)

        context = ssl.create_default_context(cafile=str(self.own.certificate))

        def ask(context):
            with self.connect() as plain, context.wrap_socket(plain, server_hostname=GATEWAY) as secure:
                secure.sendall(b'{"verb": "status"}\n')
                return secure.recv(65536)
        self.assertIn(b"none was shown", await asyncio.to_thread(ask, context))
        await wait_until(lambda: self.refused("none was shown"), "the event", 5)
        pair = self.pairs[ADMINISTRATOR]
        context.load_cert_chain(pair.certificate, pair.key)
        self.assertIn(b'"ok":true', await asyncio.to_thread(ask, context))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.assertIn(b"TLS 1.3 is needed", await asyncio.to_thread(ask, context))

    async def test_garbage_and_silence_keep_nobody_out(self):
        def waste():
            with self.connect() as plain:
                plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(100_000))
                plain.settimeout(10)
                try:
                    while plain.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
        await asyncio.to_thread(waste)
        await wait_until(lambda: self.refused("TLS failed"), "the event", 5)
        silent = [self.connect() for _ in range(40)]    # more than there are places
        started = time.monotonic()
        done = await self.tool(ADMINISTRATOR, "status")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(time.monotonic() - started, 9)
        # Each of them is cut in the end.
        for one in silent:
            one.settimeout(15)
            try:
                self.assertEqual(await asyncio.to_thread(one.recv, 1), b"")
            except ConnectionResetError:
                pass
            one.close()

    async def test_it_is_off_and_half_of_it_is_refused(self):
        path = self.directory / "off.conf"
        text = pathlib.Path(self.fedgate.configuration).read_text()
        for left_out, said in (("admin.remote.ca", "is needed with admin.remote.listen"),
                               ("admin.remote.key", "is needed with admin.remote.listen")):
            path.write_text("".join(line for line in text.splitlines(True) if not line.startswith(left_out)))
            done = subprocess.run([self.fedgate.binaries / "fedgated", "-c", path, "--check"], capture_output=True,
                                  text=True, check=False)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn(said, done.stderr)
        described = await self.fedgate.control("sysctl", "-d", "admin.remote.listen")
        self.assertIn("Empty: nowhere", described)


if __name__ == "__main__":
    unittest.main()
