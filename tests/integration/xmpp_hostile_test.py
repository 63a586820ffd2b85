"""What a partner's server, or somebody who says he is one, may try on port 5269. After each attempt the
honest ones are served."""
import asyncio
import signal
import socket
import ssl
import unittest

from harness.certificates import Authority
from harness.dns import Dns, server_records
from harness.gate import GateTest
from harness.process import own_address, wait_until
from harness.world import JULIET, ROMEO, SIP_DOMAIN, XMPP_DOMAIN, PeerTest
from harness.xmpp_peer import AUTH, STARTTLS, XmppPeer, XmppServer, header

EVIL = "evil.example"      # a partner, and no friend
WEAK = {f"partner/{EVIL}/type": "federated", f"partner/{EVIL}/tls": "optional",
        f"partner/{EVIL}/sasl": "optional", f"partner/{EVIL}/dialback": "yes"}
STRICT = {**WEAK, f"partner/{EVIL}/tls": "required", f"partner/{EVIL}/sasl": "required",
          f"partner/{EVIL}/dialback": "no"}
ANY_RATE = {"xmpp.rate.connections_per_address": "none"}


MALFORMED = {    # S2S-7, S2S-8: behind `<message` come the right addresses
    "<message" + "".join(f" a{number}=''" for number in range(300)) + "/>": "policy-violation",
    "<message" + "".join(f" xmlns:p{number}='u'" for number in range(40)) + "/>": "policy-violation",
    "<message>" + "<a>" * 70: "policy-violation",
    "<message><body>" + "x" * 300_000: "stanza-too-big",
    "<message from='b@other.example'/>": "not-well-formed",
    "<message><body>\0</body></message>": "not-well-formed",
    "<message><body>&#xD800;</body></message>": "not-well-formed",
    "<message><body>]]></body></message>": "not-well-formed",
    "<message><p:a/></message>": "bad-namespace-prefix",
    "<message xmlns='jabber:client'/>": "invalid-namespace",
    "text<message/>": "bad-format",
    "<stream:features/>": "unsupported-stanza-type",
}

HEADER = header(EVIL, SIP_DOMAIN)
BEFORE_LOGIN = {    # the first bytes of a connection, and the error that ends it
    HEADER.encode("utf-16"): "unsupported-encoding",    # S2S-7, with a byte order mark
    HEADER.replace("'?>", "' encoding='ISO-8859-1'?>", 1): "unsupported-encoding",
    HEADER.replace("'?>", "' encoding='UTF-16'?>", 1): "unsupported-encoding",
    HEADER.encode("utf-16-le"): "not-well-formed",
    HEADER.replace(EVIL, "ev\0il"): "not-well-formed",
    HEADER.replace(EVIL, "ev\xe9l").encode("latin-1"): "not-well-formed",
    HEADER.replace("<stream", "<!DOCTYPE a [<!ENTITY b 'c'>]><stream", 1): "restricted-xml",
    HEADER.replace("<stream", "<!-- c --><stream", 1): "restricted-xml",
    HEADER.replace("<stream", "<?php x?><stream", 1): "restricted-xml",
    HEADER.replace(EVIL, "&evil;"): "restricted-xml",
    "GET / HTTP/1.1\r\n": "not-well-formed",
    "<stream:stream" + " " * 10_000: "policy-violation",    # S2S-8
    "<stream:stream" + "".join(f" a{number}=''" for number in range(300)) + ">": "policy-violation",
    HEADER.replace("jabber:server'", "jabber:client'", 1): "invalid-namespace",    # S2S-6
    HEADER.replace(EVIL, "a@b@c"): "invalid-from",
    HEADER.replace(SIP_DOMAIN, "a@b@c"): "improper-addressing",
    HEADER.replace(SIP_DOMAIN, "elsewhere.example"): "host-unknown",    # S2S-4
    HEADER.replace(EVIL, SIP_DOMAIN): "policy-violation",    # SEC-1
    HEADER + f"<message from='a@{EVIL}' to='{ROMEO}'/>": "policy-violation",    # S2S-40
    # Where TLS is required, a key is neither taken nor judged in clear: N11, S2S-40.
    HEADER + f"<db:result from='{EVIL}' to='{SIP_DOMAIN}'>key</db:result>": "policy-violation",
    HEADER + f"<db:verify from='{EVIL}' to='{SIP_DOMAIN}' id='1'>key</db:verify>": "policy-violation",
    HEADER.replace(" version='1.0'>", ">"): "unsupported-version",    # S2S-5: no features, so no TLS
    HEADER + STARTTLS + STARTTLS: "policy-violation",    # S2S-12
    HEADER + STARTTLS + HEADER: "policy-violation",
    HEADER + AUTH * 200: "not-authorized",    # N11: EXTERNAL in clear text
    HEADER + HEADER: "restricted-xml",
    HEADER + "<stream:stream>" * 100: "policy-violation",
    HEADER + "<x>" + "y" * 10_000: "policy-violation",
}
AFTER_LOGIN = {
    "<!-- c -->": "restricted-xml",
    "<message><!-- c --></message>": "restricted-xml",
    "<message><?pi?></message>": "restricted-xml",
    "<message><body>&entity;</body></message>": "restricted-xml",
    "<!DOCTYPE a>": "restricted-xml",
    b"<message><body>\xc0\xaf</body></message>": "not-well-formed",    # an overlong slash
    b"<message><body>\xed\xa0\x80</body></message>": "not-well-formed",    # a surrogate
    b"<message><body>\xff\xfe</body></message>": "not-well-formed",
    "<message><body></message></body>": "not-well-formed",
    f"<message from='a@{EVIL}@{EVIL}' to='{ROMEO}'/>": "invalid-from",
    f"<message from='a@b@{EVIL}' to='{ROMEO}'/>": "invalid-from",
    f"<message from='{JULIET}' to='{ROMEO}'/>": "invalid-from",    # S2S-9
    f"<message from='a@sub.{EVIL}' to='{ROMEO}'/>": "invalid-from",
    f"<message from='a@{EVIL}'/>": "improper-addressing",
    f"<message from='a@{EVIL}' to='b@elsewhere.example'/>": "host-unknown",    # S2S-33
    AUTH: "unsupported-stanza-type",
    STARTTLS: "unsupported-stanza-type",
    HEADER[HEADER.index("<stream"):] * 100: "policy-violation",
    HEADER: "restricted-xml",
}


def message(sender, body, recipient=ROMEO, more=""):
    return f"<message from='{sender}' to='{recipient}' id='h' type='chat'{more}><body>{body}</body></message>"


class XmppHostile(PeerTest):
    async def serves(self, world, body):
        world.juliet.message(ROMEO, body)
        await world.agent.wait_for_message(body)
        self.assertEqual((await world.send_from_romeo(body)).status, 200)
        await world.juliet.wait_for_body(body)

    async def hostile_world(self, keys, **options):
        self.evil = own_address(5269)
        return await self.world(keys={**ANY_RATE, **keys}, records=server_records(EVIL, self.evil), **options)

    def connect(self, world, port=5269):
        return XmppPeer.connect(world.fedgate.address, port, source=self.evil)

    async def test_nothing_passes_before_tls_and_proof(self):
        world = await self.hostile_world(STRICT)
        ours = world.authority.issue(EVIL)
        other = world.authority.issue("other.example")

        async def external_in_clear():    # N11
            peer = await self.connect(world)
            _, features = await peer.open(EVIL, SIP_DOMAIN)
            self.assertRegex(features, "<starttls [^>]*><required/>")
            peer.send(AUTH + header(EVIL, SIP_DOMAIN) + message(f"a@{EVIL}", "in clear"))
            self.assertIn("not-authorized", await peer.rest())

        async def bytes_behind_starttls():    # S2S-12
            peer = await self.connect(world)
            await peer.open(EVIL, SIP_DOMAIN)
            peer.send(STARTTLS + message(f"a@{EVIL}", "injected"))
            answer = await peer.rest()
            self.assertIn("policy-violation", answer)
            self.assertNotIn("proceed", answer)

        async def the_certificate_of_another():    # S2S-45
            peer = await self.connect(world)
            await peer.open(EVIL, SIP_DOMAIN)
            await peer.start_tls(other)
            _, features = await peer.open(EVIL, SIP_DOMAIN)
            self.assertNotIn("EXTERNAL", features)
            peer.send(AUTH + message(f"a@{EVIL}", "with another's certificate"))
            self.assertIn("not-authorized", await peer.rest())

        async def another_authzid():    # S2S-14
            peer = await self.connect(world)
            await peer.open(EVIL, SIP_DOMAIN)
            await peer.start_tls(ours)
            await peer.open(EVIL, SIP_DOMAIN)
            peer.send(AUTH.replace(">=<", ">cGFydG5lci5leGFtcGxl<"))    # partner.example
            await peer.expect("invalid-authzid")
            peer.send(message(f"a@{XMPP_DOMAIN}", "as another"))
            self.assertIn("not-authorized", await peer.rest())

        async def another_header_after_the_proof():
            peer = await self.connect(world)
            await peer.open(EVIL, SIP_DOMAIN)
            await peer.start_tls(ours)
            await peer.open(EVIL, SIP_DOMAIN)
            peer.send(AUTH)
            await peer.expect("<success [^>]*>")
            peer.send(header(XMPP_DOMAIN, SIP_DOMAIN) + message(JULIET, "as juliet"))
            self.assertIn("invalid-from", await peer.rest())

        async def a_forged_sender():    # S2S-9
            peer = await (await self.connect(world)).authenticate(EVIL, SIP_DOMAIN, ours)
            peer.send(message(JULIET, "forged"))
            self.assertIn("invalid-from", await peer.rest())

        async def one_of_ours_as_sender():    # SEC-1
            peer = await (await self.connect(world)).authenticate(EVIL, SIP_DOMAIN, ours)
            peer.send(message(ROMEO, "loop"))
            self.assertIn("invalid-from", await peer.rest())

        async def answers_never_asked_for():    # DB-7
            peer = await self.connect(world)
            await peer.open(EVIL, SIP_DOMAIN)
            peer.send(f"<db:result from='{EVIL}' to='{SIP_DOMAIN}' type='valid'/>"
                      f"<db:verify from='{EVIL}' to='{SIP_DOMAIN}' id='1' type='valid'/>"
                      + message(f"a@{EVIL}", "valid, says he"))
            self.assertRegex(await peer.rest(), "policy-violation|not-authorized")

        for attempt in (external_in_clear, bytes_behind_starttls, the_certificate_of_another, another_authzid,
                        another_header_after_the_proof, a_forged_sender, one_of_ours_as_sender,
                        answers_never_asked_for):
            with self.subTest(attempt.__name__):
                await attempt()
        self.assertEqual(world.agent.received, [])
        honest = await (await self.connect(world)).authenticate(EVIL, SIP_DOMAIN, ours)
        honest.send(message(f"a@{EVIL}", "as himself"))
        await world.agent.wait_for_message("as himself")
        await self.serves(world, "and the others")

    async def test_the_roots_of_one_partner(self):    # partner/*/ca
        """They vouch for him and for nobody else, and nobody else vouches for him."""
        own = Authority(self.directory / "own")
        world = await self.hostile_world({**STRICT, f"partner/{EVIL}/ca": own.certificate})

        async def features(said_before, said_after, certificate):
            peer = await self.connect(world)
            await peer.open(said_before, SIP_DOMAIN)
            await peer.start_tls(certificate)
            _, found = await peer.open(said_after, SIP_DOMAIN)
            peer.close()
            return found
        self.assertNotIn("EXTERNAL", await features(EVIL, XMPP_DOMAIN, own.issue(XMPP_DOMAIN)))
        self.assertNotIn("EXTERNAL", await features(EVIL, EVIL, world.authority.issue(EVIL)))
        self.assertNotIn("EXTERNAL", await features(XMPP_DOMAIN, EVIL, world.authority.issue(EVIL)))
        self.assertIn("EXTERNAL", await features(XMPP_DOMAIN, EVIL, own.issue(EVIL)))
        # Direct TLS: who he is comes after the handshake.
        peer = await self.connect(world, 5270)
        await peer.shake_hands(own.issue(EVIL))
        await peer.open(EVIL, SIP_DOMAIN)
        peer.send(AUTH)
        await peer.expect("<success [^>]*>")
        await peer.open(EVIL, SIP_DOMAIN)
        peer.send(message(f"a@{EVIL}", "over direct TLS"))
        await world.agent.wait_for_message("over direct TLS")
        await self.serves(world, "under the common roots")

    async def test_malformed_stanzas_of_a_partner(self):
        world = await self.hostile_world(STRICT)
        ours = world.authority.issue(EVIL)
        start = f"<message from='a@{EVIL}' to='{ROMEO}'"
        for stanza, condition in MALFORMED.items():
            with self.subTest(condition, stanza=stanza[:40]):
                peer = await (await self.connect(world)).authenticate(EVIL, SIP_DOMAIN, ours)
                peer.send(stanza.replace("<message", start, 1))
                self.assertIn(condition, await peer.rest())
        self.assertEqual(world.agent.received, [])
        await self.serves(world, "after all of them")

    async def test_the_first_bytes_of_a_connection(self):
        world = await self.hostile_world(STRICT)
        for data, condition in BEFORE_LOGIN.items():
            with self.subTest(condition, data=data[:60]):
                peer = await self.connect(world)
                peer.send(data)
                self.assertIn(f"<stream:error><{condition} ", await peer.rest())
                peer.close()    # ten of an address may be on their way out or in
        self.assertEqual(world.agent.received, [])
        await self.serves(world, "after all of them")

    async def test_what_a_partner_may_not_say(self):
        world = await self.hostile_world(STRICT)
        ours = world.authority.issue(EVIL)
        for data, condition in AFTER_LOGIN.items():
            with self.subTest(condition, data=data[:60]):
                peer = await (await self.connect(world)).authenticate(EVIL, SIP_DOMAIN, ours)
                peer.send(data)
                self.assertIn(f"<stream:error><{condition} ", await peer.rest())

        async def proof(element):
            peer = await self.connect(world)
            await peer.open(EVIL, SIP_DOMAIN)
            await peer.start_tls(ours)
            await peer.open(EVIL, SIP_DOMAIN)
            peer.send(element)
            return peer
        for authzid, condition in {    # S2S-14
                "cGFydG5lci5leGFtcGxl": "invalid-authzid", "!!!!": "incorrect-encoding", "Zg": "incorrect-encoding",
                "/w==": "invalid-authzid"}.items():
            peer = await proof(AUTH.replace(">=<", f">{authzid}<"))
            await peer.expect(f"<failure [^>]*><{condition}/>")
        # A flood of proofs ends with the bytes that anybody has before login.
        peer = await proof(AUTH.replace(">=<", ">cGFydG5lci5leGFtcGxl<") * 200)
        self.assertIn("policy-violation", await peer.rest())
        # A domain that the certificate does not prove is no piggyback: DB-12, S2S-46.
        peer = await (await self.connect(world)).authenticate(EVIL, SIP_DOMAIN, ours)
        peer.send(f"<db:result from='{XMPP_DOMAIN}' to='{SIP_DOMAIN}'>key</db:result>")
        await peer.expect("<not-authorized ")
        peer.send(message(JULIET, "as another domain"))
        self.assertIn("<stream:error><invalid-from ", await peer.rest())
        self.assertEqual(world.agent.received, [])
        await self.serves(world, "after all of them")

    async def test_a_byte_at_a_time(self):
        world = await self.hostile_world(STRICT)
        peer = await self.connect(world)
        peer.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        at_once = peer.send

        def slowly(data):
            for byte in data.encode():
                at_once(bytes([byte]))
        peer.send = slowly
        await peer.authenticate(EVIL, SIP_DOMAIN, world.authority.issue(EVIL))
        peer.send(message(f"a@{EVIL}", "in small pieces"))
        await world.agent.wait_for_message("in small pieces")

    async def test_answers_that_nobody_reads(self):
        """S2S-66: who asks and does not read the answers costs a bounded queue, and is not read any more."""
        world = await self.hostile_world(STRICT)
        peer = await (await self.connect(world)).authenticate(EVIL, SIP_DOMAIN, world.authority.issue(EVIL))
        peer.writer.transport.pause_reading()
        before = world.fedgate.process.memory()
        asking = f"<db:verify from='{EVIL}' to='{SIP_DOMAIN}' id='{'i' * 200}'>key</db:verify>" * 500
        sent = 0
        try:
            while sent < 300 * 500:
                peer.send(asking)
                await asyncio.wait_for(peer.writer.drain(), 2)
                sent += 500
        except asyncio.TimeoutError:
            pass    # not read any more
        self.assertLess(sent, 300 * 500)
        self.assertLess(world.fedgate.process.memory() - before, 16 << 20)
        await self.serves(world, "beside him")
        peer.abort()

    async def test_what_leans_on_the_header_of_the_stream(self):
        world = await self.hostile_world(STRICT)
        peer = await self.connect(world)
        await peer.open(EVIL, SIP_DOMAIN)
        await peer.start_tls(world.authority.issue(EVIL))
        await peer.open(EVIL, SIP_DOMAIN)
        peer.send(AUTH)
        await peer.expect("<success [^>]*>")
        await peer.open(EVIL, SIP_DOMAIN, " xmlns:p='jabber:server'")
        peer.send(message(f"a@{EVIL}", "plain").replace("</message>", "<p:thread/><stream:x/></message>"))
        await world.agent.wait_for_message("plain")
        peer.send(f"<p:message from='a@{EVIL}' to='{ROMEO}' id='p'><p:body>prefixed</p:body></p:message>")
        await world.agent.wait_for_message("prefixed")

    async def test_dialback(self):
        """Our own server confirms what we let it: an answer counts for the question it was asked."""
        world = await self.hostile_world(WEAK)
        asked, answer = [], {}

        async def authority(peer):
            await peer.expect(r"<stream:stream [^>]*>")
            peer.send(header(EVIL, SIP_DOMAIN, " id='there'")
                      + "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>")
            found = await peer.expect(r"<db:verify [^>]*?id='(\w+)'>([^<]*)<")
            asked.append((found[1], found[2]))
            given = {"id": found[1], "type": "valid", "from": EVIL, "to": SIP_DOMAIN, **answer}
            peer.send("<db:verify " + " ".join(f"{key}='{value}'" for key, value in given.items()) + "/>")
            await peer.rest(30)
        server = await XmppServer(self.evil, authority).start()
        self.addAsyncCleanup(server.stop)

        async def ask(key, body):
            peer = await self.connect(world)
            identifier, _ = await peer.open(EVIL, SIP_DOMAIN)
            peer.send(f"<db:result from='{EVIL}' to='{SIP_DOMAIN}'>{key}</db:result>")
            return peer, identifier

        for wrong in ({"type": "invalid"}, {"type": "nonsense"}):
            answer = wrong
            peer, identifier = await ask("key", "no")
            await peer.expect("type='(invalid|error)'")
            self.assertEqual(asked[-1], (identifier, "key"))
            peer.send(message(f"a@{EVIL}", "refused and sent all the same"))
            await peer.rest()
        # Answers to another question are no answers.
        for wrong in ({"id": "another"}, {"from": XMPP_DOMAIN}, {"to": "other.example"}):
            answer = wrong
            peer, _ = await ask("key", "no")
            await wait_until(lambda: server.count, "the question")
            peer.send(message(f"a@{EVIL}", "not answered yet"))
            self.assertIn("not-authorized", await peer.rest())
        self.assertEqual(world.agent.received, [])
        answer = {}
        peer, _ = await ask("key", "yes")
        await peer.expect("type='valid'")
        peer.send(message(f"a@{EVIL}", "confirmed"))
        await world.agent.wait_for_message("confirmed")
        # The pair that was proved is no proof for another.
        peer.send(message(JULIET, "of another domain"))
        self.assertIn("invalid-from", await peer.rest())
        await self.serves(world, "after dialback")

    async def test_dial_backs_have_a_rate(self):
        """However often he asks, our questions to the server that he names are few."""
        world = await self.hostile_world({**WEAK, "xmpp.rate.connections_per_address": "60/min"})

        async def refuse(peer):
            await peer.expect(r"<stream:stream [^>]*>")
            peer.send("<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
        server = await XmppServer(self.evil, refuse).start()
        self.addAsyncCleanup(server.stop)
        peer = await self.connect(world)
        await peer.open(EVIL, SIP_DOMAIN)
        for number in range(60):
            peer.send(f"<db:result from='{EVIL}' to='{SIP_DOMAIN}'>{number}</db:result>")
            answer = await peer.expect("<db:result .*?</db:result>")
        self.assertIn("resource-constraint", answer[0])
        self.assertLessEqual(server.count, 40)
        await self.serves(world, "beside him")

    async def test_handshakes_that_stall(self):
        world = await self.hostile_world(STRICT)
        stalled = []
        for part in (b"", b"\x16", b"\x16\x03\x01\x40\x00", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100):
            peer = await self.connect(world)
            await peer.open(EVIL, SIP_DOMAIN)
            peer.send(STARTTLS)
            await peer.expect("<proceed [^>]*>")
            peer.send(part)
            stalled.append(peer)
        garbage = await self.connect(world)
        await garbage.open(EVIL, SIP_DOMAIN)
        garbage.send(STARTTLS)
        await garbage.expect("<proceed [^>]*>")
        garbage.send(b"\x16\x03\x01\xff\xff" + b"\xff" * 70000)
        await garbage.rest(5)
        await self.serves(world, "beside them")
        for peer in stalled:    # S2S-60
            await peer.rest(15)

    async def test_a_flood_of_connections(self):
        """S2S-62, S2S-63 at their defaults: nobody else notices."""
        world = await self.hostile_world({**STRICT, "xmpp.rate.connections_per_address": "60/min"})
        open_peers = []
        for _ in range(300):
            try:
                open_peers.append(await self.connect(world))
            except ConnectionError:
                pass
        await self.serves(world, "through the flood")
        closed = await asyncio.gather(*(asyncio.wait_for(peer.reader.read(1), 0.5) for peer in open_peers),
                                      return_exceptions=True)
        self.assertLessEqual(sum(isinstance(one, asyncio.TimeoutError) for one in closed), 10)
        for peer in open_peers:
            peer.abort()

    async def test_certificates_are_swapped_while_messages_cross(self):
        world = await self.hostile_world(STRICT)
        await self.serves(world, "before")
        fresh = world.authority.issue(SIP_DOMAIN, label="fresh")
        sending = [asyncio.create_task(world.send_from_romeo(f"crossing {number}")) for number in range(20)]
        for number in range(20):
            world.juliet.message(ROMEO, f"crossing too {number}")
        for mine, new in ((world.fedgate.certificate.certificate, fresh.certificate),
                          (world.fedgate.certificate.key, fresh.key)):
            mine.write_bytes(new.read_bytes())
        world.fedgate.process.child.send_signal(signal.SIGHUP)
        self.assertEqual({(await task).status for task in sending}, {200})
        for number in range(20):
            await world.agent.wait_for_message(f"crossing too {number}")
        await self.serves(world, "on the streams there are")

        async def swapped():
            peer = await self.connect(world)
            await peer.open(EVIL, SIP_DOMAIN)
            await peer.start_tls()
            shown = peer.writer.get_extra_info("ssl_object").getpeercert(True)
            peer.close()
            return ssl.DER_cert_to_PEM_cert(shown).strip() in fresh.certificate.read_text()
        await wait_until(swapped, "new streams see the new certificate")

    async def test_a_partner_is_disabled_live(self):    # P9
        world = await self.hostile_world(STRICT)
        ours = world.authority.issue(EVIL)
        streams = [await (await self.connect(world)).authenticate(EVIL, SIP_DOMAIN, ours) for _ in range(2)]
        half_way = await self.connect(world)
        await half_way.open(EVIL, SIP_DOMAIN)
        await half_way.start_tls(ours)
        await half_way.open(EVIL, SIP_DOMAIN)
        streams[0].send(message(f"a@{EVIL}", "as a partner"))
        await world.agent.wait_for_message("as a partner")    # takes it out
        await world.fedgate.control("sysctl", "-w", f"partner/{EVIL}/enabled=no")
        for stream in streams:
            stream.send(message(f"a@{EVIL}", "as a former partner"))
            self.assertIn("policy-violation", await stream.rest())
        # Neither does he get in who had begun before.
        half_way.send(AUTH + header(EVIL, SIP_DOMAIN) + message(f"a@{EVIL}", "as a former partner"))
        self.assertIn("policy-violation", await half_way.rest())
        self.assertEqual(world.agent.received, [])
        await self.serves(world, "and the others")


class HalfBrokenDns(asyncio.DatagramProtocol):
    """SERVFAIL for one domain and all below it; `server` (address:port) knows the rest."""

    def __init__(self, broken):
        self.broken, self.server = broken, None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode())
            at += 1 + data[at]
        if ".".join(labels).lower().endswith(self.broken):
            answer = data[:2] + b"\x81\x82\0\1\0\0\0\0\0\0" + data[12:at + 5]
            self.transport.sendto(answer, address)
        else:
            asyncio.get_running_loop().run_in_executor(None, self.ask, data, address)

    def ask(self, data, address):
        host, port = self.server.split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
            upstream.settimeout(5)
            upstream.sendto(data, (host, int(port)))
            self.transport.sendto(upstream.recv(65536), address)


class DialbackToNowhere(GateTest):
    """DB-6: who can't be asked about a key has not proved anything, and is told so in time."""

    EXPECTED = {    # domain -> the error, and within how many seconds
        "nx.example": ("remote-server-not-found", 5),
        "fail.example": ("remote-server-timeout", 5),
        "closed.example": ("remote-server-timeout", 5),
        "hole.example": ("remote-server-timeout", 12),
        "loop.example": ("remote-server-not-found", 5),
    }

    async def test_it_is_answered(self):
        closed, dark = (own_address(5269) for _ in range(2))
        with socket.socket() as hole, socket.socket() as filler:
            hole.bind((dark, 5269))
            hole.listen(0)    # with one that nobody accepts it is full: what comes is dropped
            filler.connect((dark, 5269))
            transport, names = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: HalfBrokenDns("fail.example"), ("127.0.0.1", 0))
            self.addCleanup(transport.close)
            own = "{}:{}".format(*transport.get_extra_info("sockname"))
            weak = {key.partition("/")[2].partition("/")[2]: value for key, value in WEAK.items()}
            await self.gate(keys={**ANY_RATE, "net.dns.servers": own, **{
                f"partner/{domain}/{key}": value for domain in self.EXPECTED for key, value in weak.items()}})
            dns = await Dns(self.directory / "names", [
                record for name, address in (("closed", closed), ("hole", dark),
                                             ("loop", self.fedgate.address))
                for record in server_records(f"{name}.example", address)]).start()
            self.addAsyncCleanup(dns.stop)
            names.server = dns.server
            await asyncio.gather(*(self.claim(domain, *expected) for domain, expected in self.EXPECTED.items()))
        honest = await XmppPeer.connect(self.fedgate.address)
        await honest.authenticate(XMPP_DOMAIN, SIP_DOMAIN, self.authority.issue(XMPP_DOMAIN))
        honest.close()

    async def claim(self, domain, condition, seconds):
        peer = await XmppPeer.connect(self.fedgate.address)
        await peer.open(domain, SIP_DOMAIN)
        peer.send(f"<db:result from='{domain}' to='{SIP_DOMAIN}'>key</db:result>")
        answer = await peer.expect(r"<db:result [^>]*type='error'.*?</db:result>", seconds)
        self.assertIn(f"<{condition} ", answer[0], domain)
        peer.send(message(f"a@{domain}", "all the same"))
        self.assertIn("not-authorized", await peer.rest(), domain)


if __name__ == "__main__":
    unittest.main()
