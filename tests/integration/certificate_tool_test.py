"""fedctl cert: from the request to what partners see, and what is refused on the way."""
import asyncio
import datetime
import hashlib
import json
import os
import pathlib
import socket
import ssl
import subprocess
import unittest

from harness.certificates import P256, Authority, openssl, xmpp_addresses
from harness.gate import GateTest
from harness.process import Failed, wait_until
from harness.world import SIP_DOMAIN, XMPP_DOMAIN
from harness.xmpp_peer import XmppPeer

NAMES = [f"xmpp.{SIP_DOMAIN}", SIP_DOMAIN, f"sip.{SIP_DOMAIN}"]


def fingerprint_of(pem):
    end = "-----END CERTIFICATE-----"
    first = pathlib.Path(pem).read_text().split(end)[0] + end
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()


class CertificateTool(GateTest):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        await self.gate()
        self.store = self.fedgate.directory / "state/certificates"

    async def cert(self, *words, text=None):
        return await self.fedgate.control("cert", *words, text=text)

    async def cert_json(self, *words):
        return json.loads(await self.fedgate.control("--json", "cert", *words))

    def shown(self, port=5270):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((self.fedgate.address, port), 10) as plain:
            with context.wrap_socket(plain, server_hostname=SIP_DOMAIN) as secure:
                return hashlib.sha256(secure.getpeercert(binary_form=True)).hexdigest()

    async def shows(self, pem):
        wanted = fingerprint_of(pem)
        await wait_until(lambda: asyncio.to_thread(lambda: self.shown() == wanted), "the new one", 10)

    async def stream(self):
        peer = await XmppPeer.connect(self.fedgate.address)
        await peer.authenticate(XMPP_DOMAIN, SIP_DOMAIN, self.authority.issue(XMPP_DOMAIN))
        peer.send("<enable xmlns='urn:xmpp:sm:3'/>")
        await peer.expect("<enabled ")
        return peer

    async def is_alive(self, peer):
        peer.send("<r xmlns='urn:xmpp:sm:3'/>")
        await peer.expect("<a [^>]*h=")

    async def request(self, *options):
        return await self.cert_json("request", *options)

    def sign(self, request, **options):
        return self.authority.issue(*NAMES, request=request["file"], label="signed", **options).certificate

    async def test_from_the_request_to_what_partners_see(self):    # C1, C2, C3, C4, C5, C10
        peer = await self.stream()
        for kind, text in (("rsa:2048", "Public-Key: (2048 bit)"), ("ecdsa:p384", "ASN1 OID: secp384r1")):
            made = await self.request("--key", kind, "--organisation", "Contoso SA", "--unit", "IT",
                                      "--city", "Besançon", "--state", "Doubs", "--country", "fr",
                                      "--friendly-name", "Edge 2026", "--extra", "other.example,bücher.example")
            decoded = subprocess.run(["openssl", "req", "-in", made["file"], "-noout", "-text", "-verify",
                                      "-nameopt", "utf8,sep_comma_plus_space"],
                                     capture_output=True, text=True, check=True).stdout
            self.assertIn("Version: 1 (0x0)", decoded)
            self.assertIn(text, decoded)
            for part in ("C=FR", "O=Contoso SA", "OU=IT", "L=Besançon", "ST=Doubs", f"CN=xmpp.{SIP_DOMAIN}"):
                self.assertIn(part, decoded)
            for name in (*NAMES, "other.example", "xn--bcher-kva.example"):
                self.assertIn(f"DNS:{name}", decoded)
            key = pathlib.Path(made["key_file"])
            self.assertEqual((key.parent, key.stat().st_mode & 0o777), (self.store, 0o600))
            answer = self.sign(made, kind=None)
            self.assertIn("from now on", await self.cert("import", answer, "--assign"))
            await self.shows(answer)
            await self.is_alive(peer)
        listed = {row["name"]: row for row in (await self.cert_json("list"))["certificates"]}
        self.assertEqual(listed[made["name"]]["used_for"], "external")
        self.assertEqual(listed[made["name"]]["friendly_name"], "Edge 2026")
        shown = await self.cert("show", made["name"])
        self.assertIn("ECDSA P-384", shown)
        self.assertIn("Edge 2026", shown)
        self.assertIn("days left", await self.fedgate.control("status"))
        # For another purpose, and back to what the file says.
        await self.cert("assign", made["name"], "--for", "sip")
        self.assertIn(made["name"], await self.fedgate.control("sysctl", "tls.sip.certificate"))
        # Nothing of the keys anywhere but in their files.
        secret = key.read_text().splitlines()[2]
        self.assertNotIn(secret, self.log())
        peer.close()

    async def test_questions_where_nothing_was_said(self):
        answers = ["", "My edge", "ecdsa:p256", "no", "Contoso", "", "FR", "", "Paris",
                   "yes", "yes", "no", "more.example", "", "yes"]
        said = await self.cert("request", "--ask", text="\n".join(answers) + "\n")
        for part in ("My edge", "ECDSA P-256", "L=Paris", "more.example"):
            self.assertIn(part, said)
        details = said.split("names  ")[1].splitlines()[0]
        self.assertNotIn(f"sip.{SIP_DOMAIN}", details)
        name = said.split("Request ")[2].split(" ")[0]
        certificate = self.authority.issue(*NAMES, request=self.store / f"{name}.csr", label="x").certificate
        await self.cert("import", certificate)
        with self.assertRaisesRegex(Failed, "was made to stay here"):
            await self.cert("export", name, "--file", self.directory / "out.pem")
        with self.assertRaisesRegex(Failed, "was made to stay here"):
            await self.cert("export", self.store / f"{name}.pem", "--file", self.directory / "out.pem")
        with self.assertRaisesRegex(Failed, "nothing was made"):
            await self.cert("request", "--ask", text="\n" * 14 + "no\n")

    async def test_pfx_and_protected_keys(self):
        own = self.authority.with_chain(self.authority.issue(*NAMES, rsa=True))
        for old in (False, True):
            pfx = self.directory / f"old-{old}.pfx"
            openssl("pkcs12", "-export", "-in", own.certificate, "-inkey", own.key, "-out", pfx,
                    "-passout", "pass:s3cret", "-name", "From Windows", *(["-legacy"] if old else []))
            with self.assertRaisesRegex(Failed, "can't be opened by this password: say it with"):
                await self.cert("import", pfx)
            with self.assertRaisesRegex(Failed, "can't be opened by this password"):
                await self.cert("import", pfx, "--password-file", "-", text="wrong\n")
            name = f"from-pfx-{old}".lower()
            await self.cert("import", pfx, "--password-file", "-", "--name", name, "--assign", text="s3cret\n")
            await self.shows(own.certificate)
            self.assertEqual((self.store / f"{name}.key").stat().st_mode & 0o777, 0o600)
        self.assertIn("From Windows", await self.cert("show", name))
        protected, out = self.directory / "protected.key", self.directory / "both.pem"
        openssl("pkey", "-in", own.key, "-aes256", "-passout", "pass:s3cret", "-out", protected)
        said = await self.cert("import", own.certificate, "--key", protected, "--password", "s3cret",
                               "--name", "pem")
        self.assertIn("can be read by everybody", said)
        os.chown(self.directory, 65534, 65534)    # a key is its writer's, wherever it is put
        await self.cert("export", "pem", "--file", out)
        os.chown(self.directory, 0, 0)
        self.assertEqual((out.stat().st_mode & 0o777, out.stat().st_uid), (0o600, 0))
        await self.cert("import", out, "--name", "again")
        # Another key under a name that is taken would be the end of that one.
        stranger = self.authority.issue(*NAMES)
        before = (self.store / "again.key").read_bytes()
        with self.assertRaisesRegex(Failed, "take another --name"):
            await self.cert("import", stranger.certificate, "--key", stranger.key, "--name", "again")
        self.assertEqual((self.store / "again.key").read_bytes(), before)
        # The password is for the file that needs one.
        await self.cert("import", self.authority.certificate, pfx, "--password-file", "-", "--name", "third",
                        text="s3cret\n")

    async def test_what_will_not_do_is_said_before_it_is_used(self):    # C7, C11
        before = self.shown()
        other = Authority(self.directory / "other")
        weak = self.authority.issue(*NAMES, kind=("rsa:1024",))
        refused = {
            "bits: partners refuse less than 2048": weak,
            "SHA-1": self.authority.issue(*NAMES, digest="sha1"),
            "it expired on": self.authority.issue(*NAMES, expired=True),
            f"not {SIP_DOMAIN}": self.authority.issue("elsewhere.example"),
            "is for names below it": self.authority.issue(f"*.{SIP_DOMAIN}"),
            "is not for servers": self.authority.issue(*NAMES, usage="clientAuth"),
            "an authority's own certificate": self.authority.issue(
                *NAMES, more="basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign"),
        }
        for why, bad in refused.items():
            with self.subTest(why), self.assertRaisesRegex(Failed, why):
                await self.cert("import", bad.certificate, "--key", bad.key, "--assign")
        good = self.authority.issue(*NAMES)
        with self.assertRaisesRegex(Failed, "no certificate for it"):
            await self.cert("import", good.certificate, "--key", weak.key)
        with self.assertRaisesRegex(Failed, "no key of ours belongs to this"):
            await self.cert("import", good.certificate)
        with self.assertRaisesRegex(Failed, "neither a certificate"):
            await self.cert("import", self.fedgate.configuration)
        self.assertEqual(self.shown(), before)
        self.assertFalse(list(self.store.glob("*.key")) if self.store.exists() else [])
        # And what will do, with a word of warning.
        warned = {
            "the wildcard": self.authority.issue(*NAMES, f"*.{SIP_DOMAIN}"),
            "is for servers only": self.authority.issue(*NAMES, usage="serverAuth"),
            "not trusted": other.issue(*NAMES),
            "self-signed": other.self_signed(*NAMES),
            "ejabberd among them": self.authority.issue(
                *NAMES, alt_names=",".join(f"DNS:{name}" for name in NAMES)
                + "," + xmpp_addresses("elsewhere.example")),
            f"it does not name sip.{SIP_DOMAIN}": self.authority.issue(*NAMES[:2]),
            "it expires in": self.authority.issue(*NAMES, days=(-1, 20)),
        }
        for number, (why, one) in enumerate(warned.items()):
            with self.subTest(why):
                self.assertIn(why, await self.cert("import", one.certificate, "--key", one.key,
                                                   "--name", f"warned-{number}"))
        self.assertIn(": usable", await self.cert("check"))
        quiet = self.authority.issue(*NAMES, days=(-1, 90))
        await self.cert("import", quiet.certificate, "--key", quiet.key, "--name", "quiet")
        self.assertIn(": good", await self.cert("check", "quiet"))
        with self.assertRaisesRegex(Failed, "NOT GOOD"):
            await self.cert("check", weak.certificate)

    async def test_one_that_is_scheduled(self):    # C6
        peer = await self.stream()
        before = self.shown()
        new = self.authority.issue(*NAMES, days=(-1, 90), kind=P256)
        await self.cert("import", new.certificate, "--key", new.key, "--name", "new")
        with self.assertRaisesRegex(Failed, "is past"):
            await self.cert("assign", "new", "--effective", "2020-01-01")
        with self.assertRaisesRegex(Failed, "is no date"):
            await self.cert("assign", "new", "--effective", "tomorrow")
        with self.assertRaisesRegex(Failed, "it expired on"):    # by then
            await self.cert("assign", "new", "--effective", "2100-01-01T06:00:00Z")
        later = f"{datetime.date.today() + datetime.timedelta(days=40)}"
        with self.assertRaisesRegex(Failed, "needs tls.sip.certificate, whose place it takes"):
            await self.cert("assign", "new", "--effective", later, "--for", "sip")
        await self.cert("assign", "new", "--effective", later)
        self.assertIn(f"external from {later}", await self.cert("list"))
        await self.cert("assign", "--cancel", "--for", "external")
        self.assertNotIn(later, await self.cert("list"))
        at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=4)
        await self.cert("assign", "new", "--effective", at.strftime("%Y-%m-%dT%H:%M:%SZ"))
        self.assertIn("external from 2", await self.cert("list"))
        self.assertEqual(self.shown(), before)
        await self.shows(new.certificate)
        self.assertGreaterEqual(datetime.datetime.now(datetime.timezone.utc), at.replace(microsecond=0))
        await self.is_alive(peer)
        rows = (await self.cert_json("list"))["certificates"]
        self.assertEqual([row["used_for"] for row in rows if row["name"] == "new"], ["external"])
        with self.assertRaisesRegex(Failed, "is in use since"):    # else the one before would be back
            await self.cert("assign", "--cancel", "--for", "external")
        peer.close()

    async def test_the_references_commands(self):    # A8
        async def cs(line):
            return json.loads(await self.fedgate.control("--json", "cs", line))
        peer = await self.stream()
        out = self.directory / "edge.csr"
        await cs(f"Request-CsCertificate -New -Type AccessEdgeExternal -Output {out} -KeySize 2048 "
                 "-PrivateKeyExportable $true -AllSipDomain -Organization Contoso -Country FR")
        answer = self.sign({"file": out}, kind=None)
        await cs(f"Import-CsCertificate -Path {answer}")
        thumbprint = subprocess.run(["openssl", "x509", "-in", answer, "-noout", "-fingerprint", "-sha1"],
                                    capture_output=True, text=True, check=True).stdout.strip().split("=")[1]
        await cs(f"Set-CsCertificate -Type AccessEdgeExternal -Thumbprint {thumbprint}")
        await self.shows(answer)
        await self.is_alive(peer)
        shown, = (await cs("Get-CsCertificate"))["objects"]
        serial = subprocess.run(["openssl", "x509", "-in", answer, "-noout", "-serial"],
                                capture_output=True, text=True, check=True).stdout.strip().split("=")[1]
        self.assertEqual((shown["Thumbprint"], shown["SerialNumber"].lstrip("0"), shown["Use"]),
                         (thumbprint.replace(":", ""), serial.lstrip("0"), "AccessEdgeExternal"))
        other = self.authority.issue(*NAMES, rsa=True)
        pfx = self.directory / "other.pfx"
        openssl("pkcs12", "-export", "-in", other.certificate, "-inkey", other.key, "-out", pfx,
                "-passout", "pass:s3cret")
        with self.assertRaisesRegex(Failed, "can't be opened by this password"):
            await cs(f"Set-CsCertificate -Type AccessEdgeExternal -Path {pfx} -Password wrong")
        await cs(f"Set-CsCertificate -Type AccessEdgeExternal -Path {pfx} -Password s3cret -WhatIf")
        self.assertEqual(self.shown(), fingerprint_of(answer))
        await cs(f"Set-CsCertificate -Type AccessEdgeExternal -Path {pfx} -Password s3cret")
        await self.shows(other.certificate)
        self.assertNotIn("s3cret", await self.fedgate.control("config", "log"))
        self.assertTrue((await cs("Test-CsCertificateConfiguration"))["ok"])
        peer.close()

    async def test_no_link_of_another_user_is_followed(self):
        elsewhere = self.directory / "elsewhere"
        elsewhere.mkdir()
        self.store.symlink_to(elsewhere)
        os.lchown(self.store, 65534, 65534)
        with self.assertRaisesRegex(Failed, "is a link that another user has made"):
            await self.request()
        self.assertEqual(list(elsewhere.iterdir()), [])
        os.lchown(self.store, 0, 0)
        await self.request()
        self.assertTrue(list(elsewhere.glob("*.key")))

    async def test_what_is_taken_away(self):
        made = await self.request()
        used = self.authority.issue(*NAMES)
        await self.cert("import", used.certificate, "--key", used.key, "--name", "used", "--assign")
        for name, why in (("used", "is used for external"), ("usedd", "did you mean used")):
            with self.assertRaisesRegex(Failed, why):
                await self.cert("remove", made["name"], name)
        await self.cert("remove", made["name"], "--dry-run")
        self.assertTrue(pathlib.Path(made["key_file"]).exists())
        await self.cert("remove", made["name"])
        self.assertEqual(sorted(path.name for path in self.store.iterdir()), ["used.json", "used.key", "used.pem"])

    # Another certificate may stand on the same key, and without it nothing is served.
    async def test_a_key_in_use_is_not_taken_away(self):
        made = await self.request()
        await self.cert("import", self.sign(made), "--assign")
        await self.fedgate.control("sysctl", "-w", f"tls.external.certificate={self.sign(made)}",
                                   f"tls.external.key={made['key_file']}")
        with self.assertRaisesRegex(Failed, f"the key of {made['name']} is used for external"):
            await self.cert("remove", made["name"])
        self.assertTrue(pathlib.Path(made["key_file"]).exists())

    async def test_without_a_daemon(self):
        await self.fedgate.stop()
        made = await self.request("--config", self.fedgate.configuration)
        answer = self.sign(made)
        await self.cert("import", answer, "--config", self.fedgate.configuration)
        self.assertIn(made["name"], await self.cert("list", "--config", self.fedgate.configuration))
        with self.assertRaisesRegex(Failed, "fedgated is not running"):
            await self.cert("assign", made["name"], "--config", self.fedgate.configuration)


if __name__ == "__main__":
    unittest.main()
