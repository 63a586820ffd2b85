"""A throw-away certificate authority, over the openssl program."""
import pathlib
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Certificate:
    certificate: pathlib.Path
    key: pathlib.Path


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(map(str, arguments))}: {done.stderr}")


class Authority:
    """Makes a root at once, and certificates on demand: ECDSA P-256 or RSA, with SAN dNSNames."""

    def __init__(self, directory, name="Fedgate test CA"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certificate = self.directory / "ca.pem"
        self.key = self.directory / "ca.key"
        self.serial = 1
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", 30, "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate,
                "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, *names, rsa=False, expired=False, label=None):
        """A certificate for client and server use; its first name is the subject's common name."""
        self.serial += 1
        stem = self.directory / f"{label or names[0]}-{self.serial}"
        made = Certificate(stem.with_suffix(stem.suffix + ".pem"), stem.with_suffix(stem.suffix + ".key"))
        request = stem.with_suffix(stem.suffix + ".csr")
        extensions = stem.with_suffix(stem.suffix + ".ext")
        extensions.write_text(
            "subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\n"
            "basicConstraints=critical,CA:FALSE\n"
            "keyUsage=critical,digitalSignature" + (",keyEncipherment" if rsa else "") + "\n"
            "extendedKeyUsage=serverAuth,clientAuth\n")
        kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("req", "-new", "-newkey", *kind, "-nodes", "-subj", f"/CN={names[0]}",
                "-keyout", made.key, "-out", request)
        # A negative life makes one that ended before it began; x509 takes it as an expired one.
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                "-set_serial", self.serial, "-days", -1 if expired else 20, "-extfile", extensions,
                "-out", made.certificate)
        made.key.chmod(0o600)
        return made
