"""Certificates while the daemon runs: a changed file is used, a bad one is not, streams stay."""
import asyncio
import hashlib
import os
import pathlib
import shutil
import socket
import ssl
import time
import unittest

from harness.certificates import Authority
from harness.dns import server_records
from harness.gate import GateTest
from harness.process import Failed, own_address, wait_until
from harness.sip_agent import SipAgent
from harness.world import SIP_DOMAIN, XMPP_DOMAIN
from harness.xmpp_peer import AUTH, STARTTLS, XmppPeer, XmppServer, header


def fingerprint_of(path):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pathlib.Path(path).read_text())).hexdigest()


class LiveCertificates(GateTest):
    def shown(self):
        """SHA-256 of the certificate that a new connection sees."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((self.fedgate.address, 5270), 10) as plain:
            with context.wrap_socket(plain, server_hostname=SIP_DOMAIN) as secure:
                return hashlib.sha256(secure.getpeercert(binary_form=True)).hexdigest()

    async def shows(self, certificate):
        """Returns after how many seconds."""
        start = time.monotonic()
        wanted = fingerprint_of(certificate)
        await wait_until(lambda: asyncio.to_thread(lambda: self.shown() == wanted),
                         "the new certificate", 10)
        return time.monotonic() - start

    def replace(self, live, new):
        """As an administrator's tool does: a new file is renamed over the old one."""
        for source, target in ((new.certificate, live.certificate), (new.key, live.key)):
            shutil.copy(source, self.files / "new")
            os.replace(self.files / "new", target)

    async def is_alive(self, peer):
        peer.send("<r xmlns='urn:xmpp:sm:3'/>")
        await peer.expect("<a [^>]*h=")

    def count_in_log(self, text):
        return self.log().count(text)

    async def test_a_changed_file_is_used_and_a_bad_one_is_not(self):
        await self.gate()
        live = self.live
        peer = await XmppPeer.connect(self.fedgate.address)
        await peer.authenticate(XMPP_DOMAIN, SIP_DOMAIN, self.authority.issue(XMPP_DOMAIN))
        peer.send("<enable xmlns='urn:xmpp:sm:3'/>")
        await peer.expect("<enabled ")

        second = self.authority.issue(SIP_DOMAIN)
        self.replace(live, second)
        seconds = await self.shows(second.certificate)
        self.assertLess(seconds, 1.5)    # within a second, and what the handshakes took
        await self.is_alive(peer)

        # A certificate that does not belong to the key, then one that is cut, then none: one event
        # each, and the good one stays in use.
        read_again = self.count_in_log("FG-1305")
        third = self.authority.issue(SIP_DOMAIN)
        cut = third.certificate.read_bytes()[:400]
        for number, spoil in enumerate((lambda: shutil.copy(third.certificate, live.certificate),
                                        lambda: live.certificate.write_bytes(cut),
                                        lambda: live.certificate.unlink()), 1):
            spoil()
            await wait_until(lambda: self.count_in_log("FG-1304") >= number, f"event {number}")
            self.assertEqual(self.shown(), fingerprint_of(second.certificate))
        self.assertIn("stays in use", await self.fedgate.control("status"))
        before = self.count_in_log("FG-1305")
        self.assertEqual(before, read_again)    # none of these was a success
        self.replace(live, third)
        await self.shows(third.certificate)
        await wait_until(lambda: self.count_in_log("FG-1305") == before + 1, "the good event")
        self.assertEqual(self.count_in_log("FG-1304"), 3)    # not at every look
        self.assertNotIn("stays in use", await self.fedgate.control("status"))
        await self.is_alive(peer)
        peer.close()

    async def test_links_that_lead_elsewhere(self):
        await self.gate()
        live = self.live
        archive = self.directory / "archive"
        archive.mkdir()
        new = self.authority.issue(SIP_DOMAIN)
        for source, target in ((new.certificate, live.certificate), (new.key, live.key)):
            moved = shutil.copy(source, archive / target.name)
            os.symlink(moved, self.files / "link")
            os.replace(self.files / "link", target)
        await self.shows(new.certificate)
        self.assertEqual(self.count_in_log("FG-1304"), 0)


    async def test_files_that_cannot_be_used_are_refused(self):
        await self.gate()
        peer = await XmppPeer.connect(self.fedgate.address)
        await peer.authenticate(XMPP_DOMAIN, SIP_DOMAIN, self.authority.issue(XMPP_DOMAIN))
        peer.send("<enable xmlns='urn:xmpp:sm:3'/>")
        await peer.expect("<enabled ")
        pipe = self.directory / "pipe"
        os.mkfifo(pipe)
        stranger = self.authority.issue("stranger.example")
        for setting, why in ((f"tls.external.certificate={self.directory}", "is not a regular file"),
                             (f"tls.external.key={pipe}", "is not a regular file"),
                             ("tls.external.ca=/nowhere.pem", "can't be read: No such file"),
                             (f"tls.external.ca={self.live.key}", "no usable authority in"),
                             (f"tls.external.crl={self.live.key}", "holds no revocation list"),
                             (f"tls.external.key={stranger.key}", "do not belong together"),
                             (f"partner/{XMPP_DOMAIN}/ca={self.directory}", "is not a regular file")):
            with self.subTest(setting), self.assertRaisesRegex(Failed, why):
                await self.fedgate.control("sysctl", "-w", setting)
        # Said in a file, it can't be refused; what was there before stays, and so do the streams.
        with open(self.fedgate.configuration, "a") as file:
            file.write("tls.external.ca = /nowhere.pem\n")
        await self.fedgate.control("reload")
        self.assertIn("/nowhere.pem can't be read", await self.fedgate.control("status"))
        await self.is_alive(peer)
        again = await XmppPeer.connect(self.fedgate.address)
        await again.authenticate(XMPP_DOMAIN, SIP_DOMAIN, self.authority.issue(XMPP_DOMAIN))

    async def test_a_certificate_that_does_not_name_us_is_told(self):
        await self.gate()
        other = self.authority.issue("other.example")
        await self.fedgate.control("sysctl", "-w", f"tls.external.certificate={other.certificate}",
                                   f"tls.external.key={other.key}")
        self.assertIn(f"can't know us as {SIP_DOMAIN} by our certificate: the certificate names other.example",
                      await self.fedgate.control("status"))


class Judged(GateTest):
    """Partners' certificates, and in which words they are refused."""

    async def try_with(self, certificate):
        """The features that a partner with this certificate is offered, or what ended the stream."""
        peer = await XmppPeer.connect(self.fedgate.address)
        await peer.open(XMPP_DOMAIN, SIP_DOMAIN)
        await peer.start_tls(certificate)
        _, features = await peer.open(XMPP_DOMAIN, SIP_DOMAIN)
        peer.send(AUTH)
        found = await peer.expect("<success|<not-authorized")
        peer.close()
        self.assertEqual(found[0] == "<success", "EXTERNAL" in features)
        return found[0] == "<success"

    async def refused(self, certificate, words):
        self.assertFalse(await self.try_with(certificate))
        await wait_until(lambda: any(words in line and "FG-1302" in line
                                     for line in self.log().splitlines()), words)

    async def test_why_a_certificate_is_refused(self):
        await self.gate()
        self.assertTrue(await self.try_with(self.authority.issue(XMPP_DOMAIN)))
        of = "the certificate "
        await self.refused(self.authority.issue(XMPP_DOMAIN, expired=True), of + "expired on 20")
        await self.refused(self.authority.issue("other.example"), of + f"names other.example: not {XMPP_DOMAIN}")
        await self.refused(None, "no certificate was shown")
        stranger = Authority(self.directory / "stranger", "Stranger CA").issue(XMPP_DOMAIN)
        await self.refused(stranger, of + "is signed by an authority that is not trusted (Stranger CA)")

    async def test_a_revocation_list_counts_as_soon_as_it_is_there(self):
        good, bad = (self.authority.issue(XMPP_DOMAIN) for _ in range(2))
        live = shutil.copy(self.authority.revocation_list(), self.directory / "live.crl")
        await self.gate(keys={"tls.external.crl": live})
        self.assertTrue(await self.try_with(bad))
        self.authority.revoke(bad)
        shutil.copy(self.authority.revocation_list(), self.directory / "new.crl")
        os.replace(self.directory / "new.crl", live)
        await wait_until(lambda: "FG-1305" in self.log(), "the list is read")
        await self.refused(bad, "the certificate was revoked on 20")
        self.assertTrue(await self.try_with(good))
        # A list that can't be read takes nothing back.
        live.write_text("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
        await wait_until(lambda: "FG-1304" in self.log(), "the event")
        self.assertFalse(await self.try_with(bad))
        self.assertTrue(await self.try_with(good))

    async def test_a_stream_ends_when_its_certificate_is_revoked(self):    # RFC 6120 13.7.2.3
        certificate = self.authority.issue(XMPP_DOMAIN)
        live = shutil.copy(self.authority.revocation_list(), self.directory / "live.crl")
        await self.gate(keys={"tls.external.crl": live})
        peer = await XmppPeer.connect(self.fedgate.address)
        await peer.authenticate(XMPP_DOMAIN, SIP_DOMAIN, certificate)
        self.authority.revoke(certificate)
        shutil.copy(self.authority.revocation_list(), live)
        self.assertIn("<reset ", await peer.rest())

    async def test_so_does_a_stream_of_ours(self):
        address = own_address(5269)
        certificate = self.authority.issue(XMPP_DOMAIN)
        end = asyncio.get_running_loop().create_future()

        async def partner(peer):
            await self.accept_external(peer, certificate)
            end.set_result(await peer.rest())
        server = await XmppServer(address, partner).start()
        self.addAsyncCleanup(server.stop)
        live = shutil.copy(self.authority.revocation_list(), self.directory / "live.crl")
        await self.gate(keys={"tls.external.crl": live}, records=server_records(XMPP_DOMAIN, address))
        agent = await SipAgent("tcp").start()
        self.addAsyncCleanup(agent.stop)
        answer = asyncio.create_task(agent.send_message(
            f"sip:romeo@{SIP_DOMAIN}", f"sip:juliet@{XMPP_DOMAIN}", "hello", self.fedgate.sip))
        await wait_until(lambda: "FG-2001" in self.log(), "the stream")
        self.assertEqual((await answer).status, 200)
        self.authority.revoke(certificate)
        shutil.copy(self.authority.revocation_list(), live)
        self.assertIn("<reset ", await asyncio.wait_for(end, 10))
        self.assertIn("the certificate was revoked on 20",
                      await self.fedgate.control("partner", "show", XMPP_DOMAIN))

    @staticmethod
    async def accept_external(peer, certificate):
        """As a server that our side has connected to."""
        async def greet(features):
            await peer.expect(r"<stream:stream [^>]*>")
            peer.send(header(XMPP_DOMAIN, SIP_DOMAIN, " id='x'") + f"<stream:features>{features}</stream:features>")
        await greet(STARTTLS)
        await peer.expect("<starttls[^>]*>")
        peer.send("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await peer.shake_hands(certificate, server_side=True)
        await greet("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>")
        await peer.expect("<auth [^>]*>")
        peer.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
        await greet("")

    async def test_hard_asks_for_a_list(self):
        certificate = self.authority.issue(XMPP_DOMAIN)
        await self.gate(keys={"tls.external.revocation": "hard"})
        await self.refused(certificate, "can't be checked for revocation")
        await self.fedgate.control("sysctl", "-w",
                                   f"tls.external.crl={self.authority.revocation_list()}")
        self.assertTrue(await self.try_with(certificate))

    async def test_a_pinned_certificate_needs_nobody_else(self):    # CERT-7
        pinned = self.authority.self_signed(XMPP_DOMAIN)
        other_name = self.authority.self_signed("other.example")
        pins = [fingerprint_of(one.certificate) for one in (pinned, other_name)]
        with_colons = ":".join(pins[0][at:at + 2] for at in range(0, 64, 2)).upper()
        await self.gate({"pins": f"{with_colons} {pins[1]}"})
        self.assertTrue(await self.try_with(pinned))
        of = "the certificate "
        await self.refused(other_name, of + f"names other.example: not {XMPP_DOMAIN}")
        await self.refused(self.authority.issue(XMPP_DOMAIN), of + "is none of those pinned")

    async def test_strict_usage_is_that_of_the_role(self):    # CERT-6
        server_only = self.authority.issue(XMPP_DOMAIN, usage="serverAuth")
        await self.gate()
        self.assertTrue(await self.try_with(server_only))
        await self.fedgate.control("sysctl", "-w", f"partner/{XMPP_DOMAIN}/eku=strict")
        await self.refused(server_only, "is not for clients (extended key usage)")
        self.assertTrue(await self.try_with(self.authority.issue(XMPP_DOMAIN, usage="clientAuth")))


if __name__ == "__main__":
    unittest.main()
