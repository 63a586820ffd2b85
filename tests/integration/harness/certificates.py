"""A throw-away certificate authority, over the openssl program."""
import datetime
import pathlib
import subprocess
from dataclasses import dataclass

P256 = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("rsa:2048",)

CONFIGURATION = """\
[ca]
default_ca = this
[this]
database = {directory}/index.txt
serial = {directory}/serial
crlnumber = {directory}/crlnumber
new_certs_dir = {directory}
policy = any
default_md = sha256
unique_subject = no
default_crl_days = 20
[any]
commonName = optional
"""

# For a program under OpenSSL: all that was ever thought good enough.
LEGACY = """\
openssl_conf = all
[all]
ssl_conf = tls
[tls]
system_default = old
[old]
MinProtocol = TLSv1
CipherString = ALL:@SECLEVEL=0
"""


def legacy_environment(directory):
    path = pathlib.Path(directory) / "openssl.cnf"
    path.write_text(LEGACY)
    return {"OPENSSL_CONF": str(path)}


@dataclass(frozen=True)
class Certificate:
    certificate: pathlib.Path
    key: pathlib.Path


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(map(str, arguments))}: {done.stderr}")


def dns_names(*names):
    return ",".join(f"DNS:{name}" for name in names)


def srv_names(*domains, service="_xmpp-server"):
    return ",".join(f"otherName:1.3.6.1.5.5.7.8.7;IA5STRING:{service}.{domain}" for domain in domains)


def xmpp_addresses(*addresses):
    return ",".join(f"otherName:1.3.6.1.5.5.7.8.5;UTF8:{address}" for address in addresses)


class Authority:
    """Makes its own certificate at once, a root or one that `above` has signed, and others on demand."""

    def __init__(self, directory, name="Fedgate test CA", above=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.count = 0
        (self.directory / "index.txt").touch()
        for counter in ("serial", "crlnumber"):
            (self.directory / counter).write_text("1000\n")
        self.configuration = self.directory / "ca.cnf"
        self.configuration.write_text(CONFIGURATION.format(directory=self.directory))
        if above:
            own = above.issue(name, alt_names="", usage="", more="basicConstraints=critical,CA:TRUE\n"
                              "keyUsage=critical,keyCertSign,cRLSign")
            self.certificate, self.key = own.certificate, own.key
            return
        self.certificate = self.directory / "ca.pem"
        self.key = self.directory / "ca.key"
        openssl("req", "-x509", "-newkey", *P256, "-nodes", "-days", 30, "-subj", f"/CN={name}",
                "-keyout", self.key, "-out", self.certificate,
                "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, *names, rsa=False, expired=False, label=None, kind=None, alt_names=None,
              usage="serverAuth,clientAuth", days=(-1, 20), digest="sha256", more=None, request=None):
        """A certificate for client and server use; its first name is the subject's common name.

        kind: of the key, for openssl; alt_names: the whole subjectAltName, empty: none; days: valid
        from and to, seen from today; more: further lines of extensions instead of the usual ones;
        request: somebody else's, whose key stays where it is.
        """
        stem = self.stem(label or names[0])
        made, own_request, extensions = self.files(stem)
        kind = kind or (RSA if rsa else P256)
        lines = [more or "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature"
                 + (",keyEncipherment" if kind[0].startswith("rsa") else "")]
        if alt_names is None:
            alt_names = dns_names(*names)
        lines += [f"subjectAltName={alt_names}"] if alt_names else []
        lines += [f"extendedKeyUsage={usage}"] if usage else []
        extensions.write_text("\n".join(lines) + "\n")
        if not request:
            openssl("req", "-new", "-newkey", *kind, "-nodes", "-subj", f"/CN={names[0]}",
                    "-keyout", made.key, "-out", own_request)
            made.key.chmod(0o600)
        begin, end = (-20, -1) if expired else days
        self.ca("-in", request or own_request, "-out", made.certificate, "-notext", "-extfile", extensions,
                "-startdate", self.date(begin), "-enddate", self.date(end), "-md", digest)
        return made

    def self_signed(self, *names):
        """One that this authority has nothing to do with."""
        made, _, _ = self.files(self.stem(f"self-{names[0]}"))
        openssl("req", "-x509", "-newkey", *P256, "-nodes", "-days", 20, "-subj", f"/CN={names[0]}",
                "-keyout", made.key, "-out", made.certificate, "-addext",
                f"subjectAltName={dns_names(*names)}", "-addext", "basicConstraints=critical,CA:FALSE")
        return made

    def with_chain(self, leaf):
        """The same with this authority's own certificate behind it."""
        path = leaf.certificate.with_suffix(".chain.pem")
        path.write_bytes(leaf.certificate.read_bytes() + self.certificate.read_bytes())
        return Certificate(path, leaf.key)

    def revoke(self, certificate):
        self.ca("-revoke", certificate.certificate)

    def revocation_list(self):
        """The PEM file of a list that is new now."""
        path = self.directory / "revoked.pem"
        self.ca("-gencrl", "-out", path)
        return path

    def staple(self, certificate):
        """The DER file of an OCSP response about it that is new now."""
        request, path = (certificate.certificate.with_suffix(suffix) for suffix in (".request", ".ocsp"))
        openssl("ocsp", "-issuer", self.certificate, "-cert", certificate.certificate, "-no_nonce",
                "-reqout", request)
        openssl("ocsp", "-index", self.directory / "index.txt", "-CA", self.certificate,
                "-rsigner", self.certificate, "-rkey", self.key, "-ndays", 1,
                "-reqin", request, "-respout", path)
        return path

    def ca(self, *arguments):
        openssl("ca", "-batch", "-config", self.configuration, "-cert", self.certificate,
                "-keyfile", self.key, *arguments)

    def stem(self, label):
        self.count += 1
        return self.directory / f"{label.replace('*', '_')}-{self.count}"

    @staticmethod
    def files(stem):
        def of(suffix):
            return stem.with_name(stem.name + suffix)
        return Certificate(of(".pem"), of(".key")), of(".csr"), of(".ext")

    @staticmethod
    def date(days):
        now = datetime.datetime.now(datetime.timezone.utc)
        return (now + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")
