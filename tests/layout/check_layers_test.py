"""Plants one fault at a time in a mock tree: check_layers must find each, and nothing in a clean one."""
import pathlib
import tempfile
import unittest

import check_layers

CLEAN = {
    "core/base/hash.cpp": "#include <wolfssl/wolfcrypt/sha256.h>",
    "core/base/prefetch.hpp": "__builtin_prefetch(at);",
    "core/run/loop.cpp": '#include <liburing.h>\n#include <sys/socket.h>\n#include "core/base/a.hpp"',
    "net/resolver.cpp": "#include <unbound.h>",
    "net/tls.cpp": '#include <wolfssl/ssl.h>\n#include "core/run/loop.hpp"',
    "xml/document.cpp": '#include "core/rules/partner.hpp"',
    "appliance/edge/edge.cpp": '#include "xml/a.hpp"\n#include "appliance/link/link.hpp"',
    "appliance/fedgated.cpp": '#include "sip/a.hpp"\n#include "appliance/edge/edge.hpp"',
    "tests/sip/message_test.cpp": '#include <gtest/gtest.h>\n#include "sip/message.hpp"',
}
PLANTED = {
    "core includes a protocol": ("core/base/a.hpp", '#include "xml/a.hpp"'),
    "config includes rules": ("core/config/a.cpp", '#include "core/rules/a.hpp"'),
    "net includes xml": ("net/a.cpp", '#include "xml/a.hpp"'),
    "xml includes sip": ("xml/a.cpp", '#include "sip/a.hpp"'),
    "sip includes the loop": ("sip/a.cpp", '#include "core/run/loop.hpp"'),
    "edge includes sip": ("appliance/edge/a.cpp", '#include "sip/uri.hpp"'),
    "gateway includes edge": ("appliance/gateway/a.cpp", '#include "appliance/edge/a.hpp"'),
    "the product includes tests": ("appliance/a.cpp", '#include "tests/a.hpp"'),
    "a pure folder opens sockets": ("sip/a.cpp", "#  include <sys/socket.h>"),
    "a pure folder has threads": ("core/rules/a.hpp", "#include <mutex>"),
    "a pure folder speaks TLS": ("xml/a.cpp", "#include <wolfssl/ssl.h>"),
    "round the door of liburing": ("net/tcp.cpp", "#include <liburing.h>"),
    "round the door of unbound": ("net/srv.cpp", "#include <unbound.h>"),
    "round the door of SQLite": ("appliance/admin/a.cpp", "#include <sqlite3.h>"),
    "round the door of libpq": ("core/rules/a.cpp", "#include <libpq-fe.h>"),
    "round the door of prefetches": ("core/base/slab.hpp", "__builtin_prefetch(at);"),
    "an include without folder": ("xml/a.cpp", '#include "stanza.hpp"'),
    "a new folder that nobody declared": ("core/extra/a.cpp", "#include <vector>"),
}


def faults_of(files):
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        return list(check_layers.faults(root))


class Layers(unittest.TestCase):
    def test_a_clean_tree_has_no_fault(self):
        self.assertEqual(faults_of(CLEAN), [])

    def test_each_planted_fault_is_found(self):
        for what, (name, text) in PLANTED.items():
            with self.subTest(what):
                found = faults_of({**CLEAN, name: text})
                self.assertEqual(len(found), 1, found)
                self.assertTrue(found[0].startswith(name + ":1:"), found)


if __name__ == "__main__":
    unittest.main()
