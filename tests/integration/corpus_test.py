"""What the daemon does with each torture message of RFC 4475 and RFC 5118, over UDP, TCP and TLS."""
import asyncio
import pathlib
import random
import re
import socket
import ssl
import unittest

from harness.gate import GateTest
from harness.process import wait_until

CORPUS = pathlib.Path(__file__).resolve().parent.parent / "corpus"
ANSWER_SECONDS = 20
SILENCE = ()


def read(name):
    return (CORPUS / name).read_bytes()


# The method comes first (RFC 3261 8.2.1), so that a request which the RFC lets pass, or refuses for what it
# wants of a registrar or of a session, is a method that is not taken here. A malformed one is told so.
NOT_TAKEN = "valid; the method is not taken, and Allow names those that are (8.2.1)"
NOT_OURS = "a response to nothing that was asked here is dropped (RFC 3261 18.1.2)"
LENIENT = "the RFC lets one refuse it or guess; nothing here is guessed"

# file: (statuses of the answers to a datagram, and on a stream, does the stream end?, section, reason).
# Where the RFC speaks to proxies and registrars, which Fedgate is not, or allows several, the reason is ours.
ROWS = {
    "rfc4475/wsinv.dat": ((405,), (405,), False, "3.1.1.1", NOT_TAKEN),
    "rfc4475/intmeth.dat": ((405,), (405,), False, "3.1.1.2", "a token that is no method of ours: 405 or 501"),
    "rfc4475/esc01.dat": ((405,), (405,), False, "3.1.1.3", NOT_TAKEN),
    "rfc4475/escnull.dat": ((405,), (405,), False, "3.1.1.4", NOT_TAKEN),
    "rfc4475/esc02.dat": ((405,), (405,), False, "3.1.1.5", "RE%47IST%45R is not REGISTER: escapes don't count"),
    "rfc4475/lwsdisp.dat": ((200,), (200,), False, "3.1.1.6", "valid"),
    "rfc4475/longreq.dat": ((405,), (405,), False, "3.1.1.7", NOT_TAKEN),
    "rfc4475/dblreq.dat": ((405,), (405, 405), True, "3.1.1.8",
                           "a datagram is one message; on a stream there are two, the second with a body that is "
                           "longer than it says: what is left is no message"),
    "rfc4475/semiuri.dat": ((200,), (200,), False, "3.1.1.9", "valid"),
    "rfc4475/transports.dat": ((200,), (200,), False, "3.1.1.10", "valid"),
    "rfc4475/mpart01.dat": ((403,), (403,), False, "3.1.1.11",
                            "valid; example.com is no SIP domain here (messages_test.py delivers it where it is)"),
    "rfc4475/unreason.dat": (SILENCE, SILENCE, False, "3.1.1.12", NOT_OURS),
    "rfc4475/noreason.dat": (SILENCE, SILENCE, False, "3.1.1.13", NOT_OURS),
    "rfc4475/badinv01.dat": ((400,), (400,), False, "3.1.2.1", "400"),
    "rfc4475/clerr.dat": ((400,), (405,), False, "3.1.2.2",
                          "a datagram is cut: 400; a stream waits for all that was announced"),
    "rfc4475/ncl.dat": ((400,), (400,), True, "3.1.2.3", "400, and on a stream the boundary is lost"),
    "rfc4475/scalar02.dat": ((400,), (400,), False, "3.1.2.4", "400 for the CSeq"),
    "rfc4475/scalarlg.dat": (SILENCE, SILENCE, False, "3.1.2.5", "dropped"),
    "rfc4475/quotbal.dat": ((400,), (400,), False, "3.1.2.6", "400"),
    "rfc4475/ltgtruri.dat": ((400,), (400,), False, "3.1.2.7", LENIENT),
    "rfc4475/lwsruri.dat": ((400,), (400,), False, "3.1.2.8", "400"),
    "rfc4475/lwsstart.dat": ((400,), (400,), False, "3.1.2.9", LENIENT),
    "rfc4475/trws.dat": ((400,), (400,), False, "3.1.2.10", LENIENT),
    "rfc4475/escruri.dat": ((400,), (400,), False, "3.1.2.11", LENIENT),
    "rfc4475/baddate.dat": ((405,), (405,), False, "3.1.2.12",
                            "the date concerns nobody here and is ignored, as the RFC would have it; " + NOT_TAKEN),
    "rfc4475/regbadct.dat": ((400,), (400,), False, "3.1.2.13", "400"),
    "rfc4475/badaspec.dat": ((400,), (400,), False, "3.1.2.14", LENIENT),
    "rfc4475/baddn.dat": ((400,), (400,), False, "3.1.2.15", LENIENT),
    "rfc4475/badvers.dat": ((505,), (505,), False, "3.1.2.16", "505"),
    "rfc4475/mismatch01.dat": ((400,), (400,), False, "3.1.2.17", "400"),
    "rfc4475/mismatch02.dat": ((400,), (400,), False, "3.1.2.18", "400 or 501: what is malformed goes first"),
    "rfc4475/bigcode.dat": (SILENCE, SILENCE, False, "3.1.2.19", "dropped"),
    "rfc4475/badbranch.dat": ((200,), (200,), False, "3.2.1", "answered; the branch is no proof of anything"),
    "rfc4475/insuf.dat": ((400,), (400,), False, "3.3.1", "400"),
    "rfc4475/unkscm.dat": ((416,), (416,), False, "3.3.2", "416"),
    "rfc4475/novelsc.dat": ((416,), (416,), False, "3.3.3", "416"),
    "rfc4475/unksm2.dat": ((416,), (416,), False, "3.3.4",
                           "the RFC has 400 for a registrar, since a To must be sip or sips; 416 says that the "
                           "scheme is what is wrong (SIP-46)"),
    "rfc4475/bext01.dat": ((420,), (420,), False, "3.3.5", "420, each option in Unsupported"),
    "rfc4475/invut.dat": ((405,), (405,), False, "3.3.6", NOT_TAKEN + "; a MESSAGE with such a body: 415"),
    "rfc4475/regaut01.dat": ((405,), (405,), False, "3.3.7", NOT_TAKEN),
    "rfc4475/multi01.dat": ((400,), (400,), False, "3.3.8", "400"),
    "rfc4475/mcl01.dat": ((400,), (400,), True, "3.3.9", "400, and on a stream the boundary is lost"),
    "rfc4475/bcast.dat": (SILENCE, SILENCE, False, "3.3.10", NOT_OURS),
    "rfc4475/zeromf.dat": ((200,), (200,), False, "3.3.11", "the hops end here, and so does the request"),
    "rfc4475/cparam01.dat": ((405,), (405,), False, "3.3.12", NOT_TAKEN),
    "rfc4475/cparam02.dat": ((405,), (405,), False, "3.3.13", NOT_TAKEN),
    "rfc4475/regescrt.dat": ((405,), (405,), False, "3.3.14", NOT_TAKEN),
    "rfc4475/sdp01.dat": ((405,), (405,), False, "3.3.15", NOT_TAKEN),
    "rfc4475/inv2543.dat": ((405,), (400,), True, "3.4.1",
                            NOT_TAKEN + "; on a stream a request without Content-Length has no end (RFC 3261 18.3)"),
    "rfc5118/ipv6-good.sip": ((405,), (405,), False, "4.1", NOT_TAKEN),
    "rfc5118/ipv6-bad.sip": ((400,), (400,), False, "4.2", "400"),
    "rfc5118/port-ambiguous.sip": ((405,), (405,), False, "4.3", NOT_TAKEN),
    "rfc5118/port-unambiguous.sip": ((405,), (405,), False, "4.4", NOT_TAKEN),
    "rfc5118/ipv6-via-delim.sip": ((405,), (405,), False, "4.5", NOT_TAKEN),
    "rfc5118/ipv6-via-nodelim.sip": ((200,), (200,), False, "4.5", "valid: received without brackets"),
    "rfc5118/ipv6-in-sdp.sip": ((405,), (405,), False, "4.6", NOT_TAKEN),
    "rfc5118/mult-ip-in-header.sip": ((405,), (405,), False, "4.7", NOT_TAKEN),
    "rfc5118/mult-ip-in-sdp.sip": ((405,), (405,), False, "4.8", NOT_TAKEN),
    "rfc5118/ipv4-mapped-ipv6.sip": ((405,), (405,), False, "4.9", NOT_TAKEN),
    "rfc5118/ipv6-bug-abnf-3-colons.sip": ((200,), (200,), False, "4.10", "the third colon must be tolerated"),
}
# What a stream needs behind a message for its outcome to show: an end of the header section, which the
# archive of the RFC leaves out, and the octets that were announced.
BEHIND = {"rfc4475/baddn.dat": b"\r\n",
          "rfc4475/clerr.dat": b"x" * (9999 - len(read("rfc4475/clerr.dat").partition(b"\r\n\r\n")[2]))}
CONTENT = {405: b"\r\nAllow: MESSAGE, NOTIFY, OPTIONS, SUBSCRIBE\r\n",
           420: b"\r\nUnsupported: nothingSupportsThis, nothingSupportsThisEither\r\n"}
# Where the Vias want their answers, when they don't ask for rport (RFC 3261 18.2.2).
VIA_PORTS = (5060, 5050, 6050, 19823)


def probe(transport, name):
    return (f"OPTIONS sip:corp.example SIP/2.0\r\nVia: SIP/2.0/{transport} probe.invalid;rport;branch=z9hG4bK{name}\r\n"
            f"From: <sip:probe@corp.example>;tag=1\r\nTo: <sip:corp.example>\r\nCall-ID: probe\r\n"
            "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n").encode()


def with_rport(data):
    """::1 is the only IPv6 address of loopback, and others may have its port 5060: so the answer comes back."""
    via = re.search(rb"(?im)^(?:via|v)[ ]*:(?:.|\r\n[ \t])*?(?=;[ ]*branch|\r\n(?![ \t]))", data)
    if not via or b"rport" in data:
        return data
    return data[:via.end()] + b";rport" + data[via.end():]


def free_ports_of_ipv6(count):
    probes = [socket.socket(socket.AF_INET6) for _ in range(count)]
    for one in probes:
        one.bind(("::1", 0))
    ports = [one.getsockname()[1] for one in probes]
    for one in probes:
        one.close()
    return ports


def is_probe(answer):
    return b"\r\nCall-ID: probe\r\n" in answer


def status(answer):
    version, code, _ = answer.split(b" ", 2)
    assert version == b"SIP/2.0", answer
    return int(code)


async def answers_to_datagram(data, daemon, address):
    """What comes before the answer to the probe behind it, on whichever port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sockets = []
    try:
        for port in (0, *VIA_PORTS) if family == socket.AF_INET else (0,):
            sockets.append(socket.socket(family, socket.SOCK_DGRAM))
            sockets[-1].bind((address, port))
            sockets[-1].setblocking(False)
        sockets[0].sendto(data, daemon)
        sockets[0].sendto(probe("UDP", "behind"), daemon)
        got = []

        def take():
            for one in sockets:
                try:
                    got.append(one.recv(65536))
                except BlockingIOError:
                    continue
            return any(map(is_probe, got))
        await wait_until(take, "an answer to the probe", ANSWER_SECONDS)
        take()
        return [answer for answer in got if not is_probe(answer)]
    finally:
        for one in sockets:
            one.close()


async def answers_on_stream(data, daemon, address, context):
    """(the answers before the one to the probe behind it, whether the connection ended instead)"""
    reader, writer = await asyncio.open_connection(*daemon, ssl=context, local_addr=(address, 0))
    answers = []
    try:
        writer.write(data + probe("TLS" if context else "TCP", "behind"))
        while not (answers and is_probe(answers[-1])):
            try:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_SECONDS)
            except (asyncio.IncompleteReadError, ConnectionError) as end:
                assert not getattr(end, "partial", b""), end
                return answers, True
            answers.append(head)
        return answers[:-1], False
    finally:
        writer.close()


class Corpus(GateTest):
    """The messages come from addresses 127.x.y.row: below 127.128 they are trusted."""

    async def start(self):
        await self.gate(keys={"sip.trusted": "127.0.0.0/9 ::1"}, prepare=self.listen)
        third, fourth = random.randint(1, 126), random.randint(0, 255)
        self.friends, self.strangers = f"127.{third}.{fourth}", f"127.{third + 128}.{fourth}"
        self.context = ssl.create_default_context(cafile=self.authority.certificate)
        self.context.check_hostname = False
        self.own, self.own6 = self.fedgate.address, "::1"

    def listen(self, fedgate):
        fedgate.use_sip_tls()
        self.port6, self.tls_port6 = free_ports_of_ipv6(2)
        fedgate.sip_listen += (f" udp:[::1]:{self.port6} tcp:[::1]:{self.port6} tls:[::1]:{self.tls_port6}")

    async def check_datagram(self, data, daemon, address, expected):
        answers = await answers_to_datagram(data, daemon, address)
        self.assertEqual(tuple(map(status, answers)), expected)
        for answer in answers:
            self.assertIn(CONTENT.get(status(answer), b"\r\nVia"), answer)

    async def check_stream(self, name, data, daemon, address, context, expected, ends):
        answers, ended = await answers_on_stream(data + BEHIND.get(name, b""), daemon, address, context)
        self.assertEqual((tuple(map(status, answers)), ended), (expected, ends))
        for answer in answers:
            self.assertIn(CONTENT.get(status(answer), b"\r\nVia"), answer)

    async def test_from_a_trusted_address(self):
        await self.start()
        for row, (name, (datagram, stream, ends, section, _)) in enumerate(ROWS.items()):
            data, address = read(name), f"{self.friends}.{row + 1}"
            with self.subTest(f"{name} ({section}) over UDP"):
                await self.check_datagram(data, (self.own, 5060), address, datagram)
            for port, context in ((5060, None), (5061, self.context)):
                with self.subTest(f"{name} ({section}) over {'TLS' if context else 'TCP'}"):
                    await self.check_stream(name, data, (self.own, port), address, context, stream, ends)

    async def test_over_ipv6(self):
        await self.start()
        for name, (datagram, stream, ends, section, _) in ROWS.items():
            data = read(name)
            with self.subTest(f"{name} ({section}) over UDP"):
                await self.check_datagram(with_rport(data), ("::1", self.port6), "::1", datagram)
            for port, context in ((self.port6, None), (self.tls_port6, self.context)):
                with self.subTest(f"{name} ({section}) over {'TLS' if context else 'TCP'}"):
                    await self.check_stream(name, data, ("::1", port), "::1", context, stream, ends)

    async def test_from_an_address_without_trust(self):    # SIP-30: its 403, and a stream ends with it
        await self.start()
        for row, (name, (datagram, stream, ends, section, _)) in enumerate(ROWS.items()):
            data, address = read(name), f"{self.strangers}.{row + 1}"
            datagram, stream = (tuple(403 if one in (200, 405, 420) else one for one in statuses)
                                for statuses in (datagram, stream))
            with self.subTest(f"{name} ({section}) over UDP"):
                await self.check_datagram(data, (self.own, 5060), address, datagram)
            for port, context in ((5060, None), (5061, self.context)):
                with self.subTest(f"{name} ({section}) over {'TLS' if context else 'TCP'}"):
                    await self.check_stream(name, data, (self.own, port), address, context, stream[:1], True)

    def test_each_file_has_a_row(self):
        files = {f"{path.parent.name}/{path.name}" for path in CORPUS.glob("rfc*/*")}
        self.assertEqual(files, set(ROWS))
        self.assertEqual(len(ROWS), 60)


if __name__ == "__main__":
    unittest.main()
