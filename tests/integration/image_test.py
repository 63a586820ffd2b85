"""The appliance: its image is made of the programs under test and starts in QEMU, and a message crosses it each way."""
import pathlib
import subprocess
import tempfile
import unittest

from harness.world import binaries

IMAGE = pathlib.Path(__file__).resolve().parents[2] / "appliance/image"


def run(*command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout, flush=True)
    return done


class Image(unittest.TestCase):
    def test_a_message_crosses_it_each_way(self):
        with tempfile.TemporaryDirectory(prefix="fedgate-image-test-") as out:
            done = run(IMAGE / "build", out, "--quick", "--binaries", binaries())
            self.assertEqual(done.returncode, 0, done.stdout)
            done = run(IMAGE / "boot-test", out)
            self.assertEqual(done.returncode, 0, done.stdout)
            # That these were looked at, besides that nothing was wrong.
            for row in ("a message XMPP -> SIP | yes", "a message SIP -> XMPP | yes", "shells and scripts | yes | 0",
                        "port 2222, which is in the configuration | yes | answered",
                        "port 2223, which is not in the configuration | yes | silent"):
                self.assertIn(row, done.stdout)


if __name__ == "__main__":
    unittest.main()
