"""N15: what a TLS client may not ask for, byte by byte and with the openssl program."""
import asyncio
import json
import os
import ssl
import struct
import unittest
import warnings

from harness.certificates import legacy_environment
from harness.gate import GateTest
from harness.process import wait_until
from harness.world import ROMEO, SIP_DOMAIN, XMPP_DOMAIN, PeerTest, World

TLS_1_0, TLS_1_1, TLS_1_2 = 0x0301, 0x0302, 0x0303
GOOD = 0xC02B    # ECDHE-ECDSA-AES128-GCM-SHA256
REFUSED = {
    "RC4": 0x0005, "export": 0x0003, "NULL": 0x003B, "3DES": 0x000A, "anonymous DH": 0x0034,
    "anonymous ECDH": 0xC018, "anonymous GCM": 0x00A6, "RSA key exchange": 0x009C,
    "CBC with SHA-1": 0xC009, "CBC with SHA-256": 0xC023, "CBC with SHA-384": 0xC024,
    "ECDSA RC4": 0xC007, "PSK": 0x00A8,
}
ALERT, HANDSHAKE = 21, 22
HANDSHAKE_FAILURE, PROTOCOL_VERSION = 40, 70


def extension(number, content):
    return struct.pack("!HH", number, len(content)) + content


def hello(version=TLS_1_2, suites=(GOOD,), compression=b"\0"):
    extensions = (extension(10, struct.pack("!HHH", 4, 23, 29)) + extension(11, b"\1\0")
                  + extension(13, struct.pack("!HHHH", 6, 0x0403, 0x0804, 0x0401)))
    body = (struct.pack("!H", version) + os.urandom(32) + b"\0"
            + struct.pack("!H", 2 * len(suites)) + b"".join(struct.pack("!H", suite) for suite in suites)
            + bytes([len(compression)]) + compression + struct.pack("!H", len(extensions)) + extensions)
    message = b"\1" + struct.pack("!I", len(body))[1:] + body
    return struct.pack("!BHH", HANDSHAKE, min(version, TLS_1_0), len(message)) + message


class TlsFloor(GateTest):
    async def answer(self, client_hello):
        """(type, content) of the first record that comes back; None: closed without a word."""
        reader, writer = await asyncio.open_connection(self.fedgate.address, 5270)
        writer.write(client_hello)
        try:
            kind, _, size = struct.unpack("!BHH", await asyncio.wait_for(reader.readexactly(5), 10))
            return kind, await asyncio.wait_for(reader.readexactly(size), 10)
        except asyncio.IncompleteReadError:
            return None
        finally:
            writer.close()

    async def refuses(self, client_hello, alert):
        """With the alert, or without a word."""
        self.assertIn(await self.answer(client_hello), (None, (ALERT, bytes([2, alert]))))

    async def test_old_versions_and_weak_suites_are_refused(self):
        await self.gate()
        kind, content = await self.answer(hello())
        self.assertEqual((kind, content[0]), (HANDSHAKE, 2))
        for name, suite in REFUSED.items():
            with self.subTest(name):
                await self.refuses(hello(suites=(suite,)), HANDSHAKE_FAILURE)
        kind, content = await self.answer(hello(suites=(*REFUSED.values(), GOOD)))
        self.assertEqual(kind, HANDSHAKE)
        self.assertIn(struct.pack("!H", GOOD), content[38:80])    # behind version, random and id
        for version in (0x0300, TLS_1_0, TLS_1_1):
            with self.subTest(version):
                await self.refuses(hello(version), PROTOCOL_VERSION)

    async def test_nothing_is_compressed(self):
        await self.gate()
        kind, content = await self.answer(hello(compression=b"\1\0"))
        self.assertEqual((kind, content[0]), (HANDSHAKE, 2))
        session = content[38]
        self.assertEqual(content[39 + session + 2], 0)    # behind id and suite
        answer = await self.answer(hello(compression=b"\1"))    # null must be offered
        self.assertTrue(answer is None or answer[0] == ALERT)

    async def test_a_client_that_negotiates_anew_is_cut_off(self):
        await self.gate()
        child = await asyncio.create_subprocess_exec(
            "openssl", "s_client", "-connect", f"{self.fedgate.address}:5270", "-tls1_2",
            "-legacy_renegotiation", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, env={**os.environ, **legacy_environment(self.directory)})
        try:
            await asyncio.wait_for(child.stdout.readuntil(b"Extended master secret"), 20)
            child.stdin.write(b"R\n")
            rest = await asyncio.wait_for(child.stdout.read(), 20)    # it ends: we have closed
            self.assertIn(b"RENEGOTIATING", rest)
            self.assertNotEqual(await child.wait(), 0)
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        await wait_until(lambda: "FG-1301" in self.log(), "the event")


OLD = {"CBC with SHA-1": 0xC009, "CBC with SHA-256": 0xC023, "CBC with SHA-384": 0xC024}
OTHER = "other.example"
STRICT = {f"partner/{OTHER}/{key}": value
          for key, value in (("tls", "required"), ("sasl", "required"), ("dialback", "no"))}


def header(domain):
    return (f"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
            f" from='{domain}' to='{SIP_DOMAIN}' version='1.0'>").encode()


class LegacyAtTheDoor(TlsFloor):
    """legacy_tls of one partner: everything above still holds, and for everybody else."""

    async def gate(self, *arguments, **options):
        return await super().gate({"legacy_tls": "yes"},
                                  {"xmpp.limits.unauthenticated_per_address": "100", **STRICT},
                                  *arguments, **options)

    async def start_tls(self, domain):
        reader, writer = await asyncio.open_connection(self.fedgate.address, 5269)
        self.addCleanup(writer.close)
        writer.write(header(domain))
        await asyncio.wait_for(reader.readuntil(b"</stream:features>"), 10)
        writer.write(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await asyncio.wait_for(reader.readuntil(b"/>"), 10)
        return reader, writer

    async def answer_to(self, domain, client_hello):
        reader, writer = await self.start_tls(domain)
        writer.write(client_hello)
        try:
            kind, version, size = struct.unpack("!BHH", await asyncio.wait_for(reader.readexactly(5), 10))
            return kind, version, await asyncio.wait_for(reader.readexactly(size), 10)
        except asyncio.IncompleteReadError:
            return None

    async def test_only_that_partner_is_let_off(self):
        await self.gate()
        for name, suite in REFUSED.items():
            for domain, allowed in ((XMPP_DOMAIN, name in OLD), (OTHER, False)):
                with self.subTest(name=name, domain=domain):
                    answer = await self.answer_to(domain, hello(suites=(suite,)))
                    self.assertEqual(answer is not None and answer[0] == HANDSHAKE, allowed)
        for version in (0x0300, TLS_1_0, TLS_1_1):
            for domain in (XMPP_DOMAIN, OTHER):
                with self.subTest(version=version, domain=domain):
                    answer = await self.answer_to(domain, hello(version, suites=(0xC009,)))
                    allowed = domain == XMPP_DOMAIN and version >= TLS_1_0
                    self.assertEqual(answer is not None and answer[:2] == (HANDSHAKE, version), allowed)

    async def test_what_it_is_let_off_with_serves_no_other(self):
        """Who says to be it before TLS, and under TLS somebody else."""
        await self.gate()
        warnings.simplefilter("ignore", DeprecationWarning)
        for claimed in (XMPP_DOMAIN, OTHER):
            with self.subTest(claimed):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                context.set_ciphers("ALL:@SECLEVEL=0")
                context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
                certificate = self.authority.issue(claimed)
                context.load_cert_chain(certificate.certificate, certificate.key)
                reader, writer = await self.start_tls(XMPP_DOMAIN)
                await writer.start_tls(context)
                writer.write(header(claimed))
                answer = await asyncio.wait_for(reader.readuntil(b"</stream:"), 10)
                self.assertEqual(b"EXTERNAL" in answer, claimed == XMPP_DOMAIN, answer)
                self.assertEqual(b"policy-violation" in answer, claimed == OTHER, answer)


class LegacyPartner(PeerTest):
    """A real server that has TLS 1.0 only."""

    async def test_prosody(self):
        world = World(self.directory / "world", prosody_tls={"protocol": "tlsv1", "ciphers": "ALL:@SECLEVEL=0"})
        world.prosody.legacy = True
        self.addAsyncCleanup(world.stop)
        await world.start()
        self.assertNotEqual((await world.send_from_romeo("too old")).status, 200)
        answer = await world.fedgate.control("partner", "set", XMPP_DOMAIN, "legacy_tls=yes")
        self.assertIn("broken", answer)
        self.assertEqual((await world.send_from_romeo("good enough")).status, 200)
        await world.juliet.wait_for_body("good enough")
        world.juliet.message(ROMEO, "back")
        await world.agent.wait_for_message("back")
        streams = json.loads(await world.fedgate.control("--json", "streams"))["streams"]
        up = {row["direction"]: row for row in streams if row["proof"]}
        for direction in ("in", "out"):
            self.assertEqual(up[direction]["proof"], "certificate")
            self.assertTrue(up[direction]["tls"].startswith("TLSv1 "), up[direction]["tls"])
        self.assertIn("! legacy_tls = yes", await world.fedgate.control("partner", "show", XMPP_DOMAIN))
        # And with the permission the streams go.
        await world.fedgate.control("partner", "set", XMPP_DOMAIN, "legacy_tls=no")

        async def gone():
            rows = json.loads(await world.fedgate.control("--json", "streams"))["streams"]
            return not [row for row in rows if row["proof"]]
        for _ in range(100):
            if await gone():
                break
            await asyncio.sleep(0.05)
        self.assertTrue(await gone())


if __name__ == "__main__":
    unittest.main()
