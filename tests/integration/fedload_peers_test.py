"""fedload against real servers that are not Fedgate: Prosody, ejabberd and Kamailio. Figures are not judged."""
import asyncio
import json
import shutil

from harness.certificates import Authority
from harness.dns import Dns, at_address, server_records
from harness.ejabberd import Ejabberd
from harness.kamailio import Kamailio
from harness.process import own_address
from harness.prosody import Prosody
from harness.world import PeerTest, binaries

OURS, THEIRS = "load.example", "partner.example"
END_SECONDS = 60


class Peers(PeerTest):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.address = own_address(5060, 5269)

    async def fedload(self, *words):
        child = await asyncio.create_subprocess_exec(
            binaries() / "fedload", "--json", "--warm-up", "0", *(str(word) for word in words),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        try:
            out, err = await asyncio.wait_for(child.communicate(), END_SECONDS)
        finally:
            if child.returncode is None:
                child.kill()
        self.assertEqual(child.returncode, 0, (out, err))
        return json.loads(out)

    async def xmpp(self, make, theirs_records):
        authority = Authority(self.directory / "ca")
        ours = authority.issue(OURS)
        tls = self.directory / "tls"
        tls.mkdir()
        for name, path in (("cert", ours.certificate), ("key", ours.key), ("ca", authority.certificate)):
            shutil.copy(path, tls / f"{name}.pem")
        server = make(authority.issue(THEIRS), authority.certificate)
        dns = await Dns(self.directory / "dns", theirs_records(OURS, self.address)).start()
        self.addAsyncCleanup(dns.stop)
        await server.start(dns)
        self.addAsyncCleanup(server.kill)
        words = ("--xmpp", f"{server.address}:5269", "--partner", OURS, "--domain", THEIRS, "--tls", tls, "--pid",
                 server.process.child.pid)
        streams = await self.fedload("--set-ups", "--count", 20, *words)
        self.assertEqual((streams["delivered"], streams["refused"]), (20, 0))
        self.assertGreater(streams["cpu_ns"], 0)
        back = await self.fedload("--there-and-back", "--count", 200, "--window", 20, "--auth", "external",
                                  "--xmpp-listen", f"{self.address}:5269", *words)
        self.assertEqual((back["delivered"], back["lost"], back["out_of_order"]), (200, 0, 0))

    async def test_prosody(self):
        await self.xmpp(lambda certificate, ca: Prosody(self.directory / "prosody", THEIRS, certificate, ca, {}),
                        server_records)

    async def test_ejabberd(self):
        await self.xmpp(lambda certificate, ca: Ejabberd(self.directory / "ejabberd", {THEIRS: (certificate, "external")},
                                                         ca, {"juliet": "secret"}), at_address)

    async def test_kamailio(self):
        kamailio = await Kamailio(self.directory / "kamailio", THEIRS).start(f"sip:{self.address}:5060;transport=tcp")
        self.addAsyncCleanup(kamailio.kill)
        for transport in ("tcp", "udp"):
            kamailio_way = f"sip:{self.address}:5060;transport={transport}"
            if transport == "udp":
                await kamailio.kill()
                await kamailio.start(kamailio_way)
            run = await self.fedload("--sip-to-sip", "--count", 200, "--window", 20, "--domain", OURS, "--sip",
                                     f"{kamailio.address}:5060", "--sip-listen", f"{self.address}:5060",
                                     "--sip-transport", transport)
            self.assertEqual((run["delivered"], run["lost"], run["doubled"]), (200, 0, 0))


if __name__ == "__main__":
    import unittest
    unittest.main()
