"""Requests as odd as RFC 3261 lets them be, through the daemon: they arrive at the XMPP user in full."""
import asyncio
import pathlib
import socket
import unittest

from harness.process import wait_until
from harness.sip_agent import take_message
from harness.world import JULIET, ROMEO, XMPP_DOMAIN, PeerTest

CORPUS = pathlib.Path(__file__).resolve().parent.parent / "corpus"
ANSWER_SECONDS = 20

# {n} makes each its own; {length} is the body's. Lines end as in the source and are sent with CRLF.
PLAIN = """MESSAGE sip:{juliet} SIP/2.0
Via: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK{n}
Max-Forwards: 70
From: <sip:{romeo}>;tag=a{n}
To: <sip:{juliet}>
Call-ID: {n}
CSeq: 1 MESSAGE
Content-Type: text/plain;charset=UTF-8
Content-Length: {length}

"""
VALID = {
    "compact forms": """MESSAGE sip:{juliet} SIP/2.0
v:SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK{n}
f:<sip:{romeo}>;tag=a{n}
t:<sip:{juliet}>
i:{n}
CSeq:1 MESSAGE
c:text/plain
k:x-nothing
l:{length}

""",
    "any order, any case, spaces before colons": """MESSAGE sip:{juliet} SIP/2.0
content-LENGTH  \t: {length}
cSEQ : 1 MESSAGE
CALL-id\t:{n}
tO : <SIP:{juliet}>
CONTENT-type: TEXT/Plain ; CharSet="utf-8"
fROM  : <sIp:{romeo}> ; TAG = a{n}
MAX-forwards: 0070
vIA: sip/2.0/tcp 127.0.0.1 : 5999 ; Branch=z9hG4bK{n}

""",
    "folded wherever it may be": """MESSAGE sip:{juliet} SIP/2.0
Via: SIP / 2.0
 /TCP
\t127.0.0.1:5999
   ;
 branch=z9hG4bK{n}
From:
 "a
 folded name" <sip:{romeo}>
 ; tag
 = a{n}
To :
  <sip:{juliet}>
Call-ID:
\t{n}
CSeq:
 1
 MESSAGE
Content-Type: text/plain
  ; charset
  = UTF-8
Content-Length: {length}

""",
    "quoted strings and comments": r"""MESSAGE sip:{juliet} SIP/2.0
Via: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK{n};x="a, b; c \" <sip:mallory@evil.example>"
From: "Romeo, \"<sip:mallory@evil.example>;tag=x\" \\" <sip:{romeo}>;tag=a{n};x="\";y"
To: "Juliet; tag=b" <sip:{juliet}>
Call-ID: {n}
CSeq: 1 MESSAGE
User-Agent: Some/1.0 (a comment (nested, \) and "quoted") <sip:x@y>)
Server: (MESSAGE sip:mallory@evil.example SIP/2.0)
Contact: "Q \"\"" <sip:{romeo}>;q=0.3 , <tel:+1-555>, <mailto:a@b?subject=c>
Content-Type: text/plain
Content-Length: {length}

""",
    "UTF-8 everywhere": """MESSAGE sip:{juliet} SIP/2.0
Via: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK{n}
From: "R\u00f4m\u00e9o \u6771 \U0001f339" <sip:{romeo}>;tag=a{n}
To: \u0416\u0443 <sip:{juliet}>
Call-ID: {n}
CSeq: 1 MESSAGE
Organization: \u0645\u0631\u062d\u0628\u0627
Content-Type: text/plain
Content-Length: {length}

""",
    "escapes and parameters in URIs": """MESSAGE sip:%6aul%69et@%s;transport=tcp;lr;x=%%41;method=MESSAGE SIP/2.0
Via: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK{n}
From: sip:rom%65o@corp.example;tag=a{n}
To: <sip:jul%69et:secret@partner.example:5060;user=ip?Subject=x%20y>
Call-ID: {n}@[2001:db8::1]
CSeq: 1 MESSAGE
Route: <sip:127.0.0.1;lr>
Content-Type: text/plain
Content-Length: {length}

""".replace("%s", XMPP_DOMAIN).replace("%%41", "%41"),
    "IPv6 references": """MESSAGE sip:{juliet} SIP/2.0
Via: SIP/2.0/TCP [2001:db8::9:1]:5999;branch=z9hG4bK{n};received=2001:db8::9:255
Via: SIP/2.0/UDP [2001:db8:::192.0.2.1];branch=z9hG4bKb{n};received=[2001:db8::9:255]
From: <sip:{romeo}>;tag=a{n}
To: <sip:{juliet}>
Call-ID: {n}@[::1]
CSeq: 1 MESSAGE
Contact: <sip:romeo@[2001:db8::9:1]:5999;transport=tcp>
Content-Type: text/plain
Content-Length: {length}

""",
    "many Vias in a list, unknown transports": """MESSAGE sip:{juliet} SIP/2.0
Via: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK{n}, SIP/2.0/UNKNOWN t.example;branch=z9hG4bK1 ,SIP/2.0/SCTP u
Via: SIP/2.0/TLS-SCTP v.example ; hidden ; maddr=192.0.2.1;ttl=1
From: <sip:{romeo}>;tag=a{n}
To: <sip:{juliet}>
Call-ID: {n}
CSeq: 2147483647 MESSAGE
Max-Forwards: 1
Content-Type: text/plain
Content-Length: 000{length}

""",
    "no tags, no Max-Forwards, no Content-Type's parameters": """MESSAGE sip:{juliet} SIP/2.0
Via: SIP/2.0/TCP 127.0.0.1:5999;branch=z9hG4bK{n}
From: <sip:{romeo}>
To: <sip:{juliet}>
Call-ID: {n}
CSeq: 0 MESSAGE
Content-Type: text/plain
Content-Length: {length}

""",
}

BODIES = {
    "nested multipart": ('multipart/mixed; boundary="outer =_;"', """preamble
--outer =_;
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

caf=E9 {n}
--inner
Content-Type: text/html

<b>not this</b>
--inner--
--outer =_;
Content-Type: application/x-extra
Content-Disposition: attachment; handling=optional

ignored
--outer =_;--
epilogue"""),
    "base64": ("multipart/mixed;boundary=b", """--b
Content-Type: text/plain;charset=UTF-8
Content-Transfer-Encoding: base64

Y2Fmw6kg{n64}
--b--
"""),
}
# What is refused, and how.
REFUSED = {
    "sips": (PLAIN.replace("MESSAGE sip:", "MESSAGE sips:"), 480, "ADDR-21"),
    "tel": (PLAIN.replace("MESSAGE sip:{juliet}", "MESSAGE tel:+15551234"), 416, "ADDR-21: phone is off"),
    "another scheme": (PLAIN.replace("MESSAGE sip:", "MESSAGE mailto:"), 416, "SIP-46"),
    "NUL in a user": (PLAIN.replace("MESSAGE sip:", "MESSAGE sip:%00"), 400, "ADDR-23, RFC 4475 3.1.1.4"),
    "an unknown type": (PLAIN.replace("text/plain", "application/unknownformat"), 415, "RFC 4475 3.3.6"),
    "an unknown coding": (PLAIN.replace("Content-Type", "Content-Encoding: gzip\nContent-Type"), 415, "IM-45"),
    "hops used up": (PLAIN.replace("Max-Forwards: 70", "Max-Forwards: 0"), 483, "SIP-17"),
    "an unknown extension": (PLAIN.replace("Max-", "Require: a, gruu, b\nMax-"), 420, "SIP-18"),
    "a dialog": (PLAIN.replace("To: <sip:{juliet}>", "To: <sip:{juliet}>;tag=x"), 481, "SIP-22"),
    "another's domain": (PLAIN.replace("From: <sip:{romeo}>", "From: <sip:a@other.example>"), 403, "SIP-32"),
    "nobody's domain": (PLAIN.replace("MESSAGE sip:{juliet}", "MESSAGE sip:a@corp.example"), 403, "SEC-1"),
}


class SipMessages(PeerTest):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.seen = await self.world()
        self.reader, self.writer = await asyncio.open_connection(*self.seen.fedgate.sip)
        self.addCleanup(self.writer.close)
        self.buffer = bytearray()
        self.number = 0

    def build(self, head, body, **more):
        self.number += 1
        self.name = f"n{self.number}"
        body = body.format(n=self.name, **more).replace("\n", "\r\n").encode()
        text = head.format(n=self.name, juliet=JULIET, romeo=ROMEO, length=len(body)).replace("\n", "\r\n")
        return text.encode() + body

    async def answer(self, data):
        self.writer.write(data)

        async def take():
            while (message := take_message(self.buffer)) is None:
                data = await self.reader.read(65536)
                self.assertTrue(data, "the connection ended")
                self.buffer += data
            return message
        return await asyncio.wait_for(take(), ANSWER_SECONDS)

    async def test_what_is_odd_and_valid_arrives(self):    # SIP-1, SIP-5
        for what, head in VALID.items():
            with self.subTest(what):
                self.assertEqual((await self.answer(self.build(head, f"caf\u00e9 {what} {{n}}"))).status, 200)
                stanza = await self.seen.juliet.wait_for_body(f"caf\u00e9 {what} {self.name}")
                self.assertEqual(stanza.get("from"), ROMEO)

    async def test_bodies_of_many_parts_arrive(self):    # SIP-5, IM-40
        for what, (kind, body) in BODIES.items():
            with self.subTest(what):
                head = PLAIN.replace("text/plain;charset=UTF-8", kind)
                n64 = "bg=="
                self.assertEqual((await self.answer(self.build(head, body, n64=n64))).status, 200)
                await self.seen.juliet.wait_for_body("caf\u00e9 n" if what == "base64"
                                                     else f"caf\u00e9 {self.name}")

    async def test_the_torture_message_with_many_parts_arrives(self):    # SIP-42, RFC 4475 3.1.1.11
        data = (CORPUS / "rfc4475/mpart01.dat").read_bytes()
        head, end, body = data.partition(b"\r\n\r\n")
        head = head.replace(b"kumiko@example.org", JULIET.encode()).replace(b"fluffy@example.com", ROMEO.encode())
        self.assertEqual((await self.answer(head + end + body)).status, 200)
        await self.seen.juliet.wait_for_body("Hello")

    async def test_what_is_refused(self):
        for what, (head, status, rule) in REFUSED.items():
            with self.subTest(f"{what}: {rule}"):
                response = await self.answer(self.build(head, "refused"))
                self.assertEqual(response.status, status)
                if status == 420:
                    self.assertEqual(response.header("unsupported"), "a, b")
                if status == 415:
                    self.assertTrue(response.header("accept") or response.header("accept-encoding"))
        self.assertEqual((await self.answer(self.build(PLAIN, "the last one"))).status, 200)
        await self.seen.juliet.wait_for_body("the last one")
        self.assertEqual(self.seen.juliet.received, [])

    async def test_line_ends_of_lf_in_a_datagram(self):    # SIP-1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", 0))
            one.setblocking(False)
            head = PLAIN.replace("branch", "rport;branch").replace("TCP", "UDP")
            one.sendto(self.build(head, "LF only").replace(b"\r\n", b"\n"), self.seen.fedgate.sip)
            await self.seen.juliet.wait_for_body("LF only")

            def answered():
                try:
                    return one.recv(65536)
                except BlockingIOError:
                    return None
            self.assertTrue((await wait_until(answered, "an answer")).startswith(b"SIP/2.0 200 "))


if __name__ == "__main__":
    unittest.main()
