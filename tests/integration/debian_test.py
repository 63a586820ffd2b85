"""The Debian packages, made of the programs under test: what is in them, and that their scripts are sound."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from harness.world import binaries

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = SOURCE / "appliance/debian/build"
DOCUMENTS = ["changelog.gz", "copyright"]
SERVICE = {"./etc/fedgate/fedgate.conf", "./usr/bin/fedctl",
           *(f"./lib/systemd/system/{unit}" for unit in ("fedgated.service", "fedgate-firewall.path",
                                                         "fedgate-firewall.service")),
           "./usr/lib/sysusers.d/fedgate.conf", "./usr/lib/tmpfiles.d/fedgate.conf", "./usr/sbin/fedgated",
           "./usr/share/bash-completion/completions/fedctl", "./usr/share/lintian/overrides/fedgate",
           *(f"./usr/share/man/{page}.gz" for page in ("man1/fedctl.1", "man5/fedgate.conf.5", "man8/fedgated.8")),
           *(f"./usr/share/doc/fedgate/{name}" for name in ("README.md.gz", "REFERENCE.md.gz", *DOCUMENTS))}
LOAD = {"./usr/bin/fedload", "./usr/share/man/man1/fedload.1.gz",
        *(f"./usr/share/doc/fedload/{name}" for name in DOCUMENTS)}


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, check=False,
                          **options)


def build(out, *options):
    """Compressing is half the time, and dpkg's affair."""
    return run(BUILD, out, "--build", binaries().parent, *options,
               env={**os.environ, "DPKG_DEB_COMPRESSOR_TYPE": "none"})


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="fedgate-debian-")
        cls.addClassCleanup(directory.cleanup)
        cls.directory = pathlib.Path(directory.name)
        cls.service, cls.load = cls.packages("first")

    @classmethod
    def packages(cls, name):
        done = build(cls.directory / name)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return [pathlib.Path(line) for line in done.stdout.split()]

    def unpacked(self, package):
        root = self.directory / "root" / package.name
        if not root.exists():
            root.parent.mkdir(exist_ok=True)
            self.assertEqual(run("dpkg-deb", "-R", package, root).returncode, 0)
        return root

    def field(self, package, name):
        return run("dpkg-deb", "-f", package, name).stdout.strip()

    def test_what_is_in_them(self):
        for package, expected in ((self.service, SERVICE), (self.load, LOAD)):
            rows = [line.split() for line in run("dpkg-deb", "-c", package).stdout.splitlines()]
            self.assertEqual({row[5] for row in rows if row[0][0] != "d"}, expected)
            self.assertEqual({row[1] for row in rows}, {"root/root"})
            modes = {"./etc/fedgate/fedgate.conf": "-rw-r-----"}
            for row in rows:
                default = "drwxr-xr-x" if row[0][0] == "d" else "-rwxr-xr-x" if "bin/" in row[5] else "-rw-r--r--"
                self.assertEqual(row[0], modes.get(row[5], default), row[5])

    def test_the_same_once_more_bit_for_bit(self):
        for first, second in zip((self.service, self.load), self.packages("second")):
            self.assertEqual(first.read_bytes(), second.read_bytes(), first.name)

    # dpkg asks before it takes another one's place.
    def test_the_configuration_is_the_administrators(self):
        self.assertEqual((self.unpacked(self.service) / "DEBIAN/conffiles").read_text(), "/etc/fedgate/fedgate.conf\n")

    def test_a_server_needs_no_pictures(self):
        self.assertIn("libmimalloc2.0", self.field(self.service, "Depends"))
        self.assertNotRegex(self.field(self.service, "Depends"), "rsvg|cairo|glib")

    def test_the_scripts(self):
        scripts = [self.unpacked(self.service) / "DEBIAN" / name for name in ("postinst", "prerm", "postrm")]
        done = run("shellcheck", "--severity=warning", *scripts, BUILD)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        # The user is there before his folders are, and these before the service starts.
        postinst = scripts[0].read_text()
        order = [postinst.index(word) for word in ("systemd-sysusers", "systemd-tmpfiles", "deb-systemd-invoke")]
        self.assertEqual(order, sorted(order))
        self.assertIn("deb-systemd-helper enable 'fedgated.service'", postinst)
        self.assertNotRegex(postinst, r"deb-systemd-invoke.*fedgate-firewall")    # ssh may be at another port

    def test_lintian_has_nothing_to_say(self):
        done = run("lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags",
                   "uses-no-compression-for-control-tarball,uses-no-compression-for-data-tarball", self.service, self.load)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    # What the package has is what was tested, and no more than that.
    def test_the_programs_are_those_that_were_built(self):
        root = self.unpacked(self.service)
        for path in ("usr/bin/fedctl", "usr/sbin/fedgated"):
            built = run("readelf", "-n", binaries() / pathlib.Path(path).name).stdout
            packed = run("readelf", "-n", root / path).stdout
            self.assertEqual(re.findall("Build ID: .*", packed), re.findall("Build ID: .*", built))
            self.assertNotIn(".symtab", run("readelf", "-SW", root / path).stdout)

    def test_bad_options_are_refused(self):
        for options, said in ((("--version", "not a version"), "--version not a version: dpkg takes no such version"),
                              (("--build", "/nowhere"), "/nowhere is no build folder")):
            done = run(BUILD, self.directory / "none", *options)
            self.assertEqual(done.returncode, 1)
            self.assertIn(said, done.stderr)
        self.assertEqual(run(BUILD).returncode, 2)


if __name__ == "__main__":
    unittest.main()
