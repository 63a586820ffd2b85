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

from harness.gate import GateTest
from harness.process import wait_until
from harness.world import SIP_DOMAIN, XMPP_DOMAIN
from harness.xmpp_peer import XmppPeer


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


if __name__ == "__main__":
    unittest.main()
