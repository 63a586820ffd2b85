"""Sessions over MSRP (profile msrp: SESS-*) between a real Prosody or ejabberd and the tests' own MSRP peer, over TCP or
TLS. In one world each pool of SIP users that answers in its own way has a domain.

SESSION_PART=interrupted msrp_test.py Sessions.test_over_tcp: that part alone.
"""
import asyncio
import json
import unittest

from harness.msrp_peer import MsrpMessage, MsrpPeer, fresh_id, take_msrp
from harness.process import Failed, is_listening, wait_until
from harness.session_world import (ACTIVE, ASK_FOR_RECEIPT, RECEIPTS, STATES, THREAD, SessionTest, SessionWorld,
                                   chat_state, domain_of, romeo_of)
from harness.world import JULIET, ROMEO, SIP_DOMAIN, XMPP_DOMAIN
from harness.xmpp_client import body_of

POOLS = ("begins", "killed", "silent", "old", "older", "small", "picky", "closes", "hostile", "refused", "shared")
TYPING = "application/im-iscomposing+xml"
LONG = "".join(f"{number} été, " for number in range(1500))    # some 17 KiB; chunks end within letters
CORES = 2


def typing(state):
    return (f"<?xml version='1.0'?><isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>{state}</state>"
            "<refresh>60</refresh></isComposing>")


class MsrpWorld(SessionWorld):
    """An MSRP agent with romeo, and the pools."""

    profile = "msrp"

    def __init__(self, directory, transport, pools):
        super().__init__(directory, None, {})
        self.msrp = transport
        self.agent = self.peer(SIP_DOMAIN)
        self.pools = {name: self.peer(domain_of(name)) for name in pools}
        if transport == "tls":
            self.use_ejabberd()
            # By SIP it is who it says.
            self.pools["impostor"].msrp_certificate = self.authority.issue("mallory.example")

    def peer(self, domain):
        certificate = self.authority.issue(domain, label=f"msrp-{domain}") if self.msrp == "tls" else None
        return MsrpPeer(msrp=self.msrp, sip=self.msrp, certificate=certificate, ca=self.authority.certificate)

    async def start_sip(self):
        self.fedgate.keys |= {"sip.msrp.listen": f"{self.fedgate.address}:2855", "core.threads": CORES,
                              "sip.msrp.tls": "yes" if self.msrp == "tls" else "no"}
        return await super().start_sip()

    def more_records(self):
        address = self.fedgate.address
        return [*super().more_records(), f"{SIP_DOMAIN}. IN A {address}", f"other.{SIP_DOMAIN}. IN A {address}"]

    async def invite(self, pool, user="romeo", **options):
        """A session that a user of that pool opens with juliet."""
        peer = self.pools[pool] if pool else self.agent
        domain = domain_of(pool) if pool else SIP_DOMAIN
        return await peer.invite(f"sip:{user}@{domain}", f"sip:{JULIET}", self.fedgate.sip, **options)

    async def counter(self, name):
        return json.loads(await self.fedgate.control("--json", "counters"))["counters"][name]


class Sessions(SessionTest):
    async def test_over_tcp(self):
        world = await self.world("tcp", POOLS, of=MsrpWorld)
        await self.side_by_side(world, (
            self.xmpp_begins, self.sip_begins, self.xmpp_killed, self.answer_lost, self.sip_killed, self.old,
            self.small, self.picky, self.sip_closes, self.hostile, self.refused, self.shared))
        await self.flood(world)
        await self.administered(world)

    async def test_over_tls_with_ejabberd(self):
        world = await self.world("tls", ("begins", "impostor"), of=MsrpWorld)
        await self.side_by_side(world, (self.xmpp_begins, self.sip_begins, self.impostor))
        await self.administered(world)

    async def xmpp_begins(self, world):  # SESS-1, SESS-3, SESS-20..24, RCPT-1..4, RCPT-7, CS-6, CS-8
        asked = world.say(ROMEO, f"<body>Good morrow</body><thread>t1</thread>{ACTIVE}{ASK_FOR_RECEIPT}")
        session = await world.agent.wait_for_session()
        self.assertEqual(session.invitation.header("call-id"), "t1")
        scheme, proto = ("msrps", "TCP/TLS/MSRP") if world.msrp == "tls" else ("msrp", "TCP/MSRP")
        self.assertRegex(session.invitation.body, rf"(?s)c=IN IP4 {world.fedgate.address}\r\n.*"
                         rf"m=message 285[56] {proto} \*\r\n.*a=accept-types:text/plain {TYPING.replace('+', '.')}\r\n")
        self.assertRegex(session.their_path, rf"^{scheme}://{world.fedgate.address}:285[56]/[^;]{{14,}};tcp$")
        first = await session.wait_for_message("Good morrow")
        self.assertTrue(first.wants_report)
        await world.receipt(asked)
        await session.send(typing("active"), content_type=TYPING)
        await world.chat_state(ROMEO, "composing")
        await session.send("Pardon?")
        stanza = await world.juliet.wait_for_body("Pardon?")
        self.assertEqual((stanza.get("type"), stanza.findtext(THREAD)), ("chat", "t1"))
        self.assertIsNotNone(stanza.find(STATES + "active"))
        world.say(ROMEO, chat_state("composing"))
        said = (await session.wait_for_message()).text
        self.assertIn("<state>active</state>", said)
        # Long ones, both ways, with others behind them.
        bodies = [LONG, *(f"and {number}" for number in range(10))]
        for body in bodies:
            world.say(ROMEO, f"<body>{body}</body>")
        await session.wait(lambda: len(session.came) == len(bodies), "all texts")
        self.assertEqual([one.text for one in session.came], bodies)
        self.assertGreater(len([m for m in session.requests if m.flag == "+"]), 5)
        for body in bodies:
            await session.send(body, chunk=1000)
        await world.juliet.wait_for_body(bodies[-1])
        self.assertEqual(self.texts(world, ROMEO), bodies[:-1])
        message_id, _ = await session.send("Hast thou it?", success_report=True)
        stanza = await world.juliet.wait_for_body("Hast thou it?")
        self.assertIsNotNone(stanza.find(RECEIPTS + "request"))
        self.assertNotIn(message_id, dict(session.success))
        world.say(ROMEO, f"<received xmlns='{RECEIPTS[1:-1]}' id='{stanza.get('id')}'/>")
        self.assertEqual(await session.wait_for_report(message_id), "000 200 OK")
        # RFC 4975 7.1.2, RCPT-8: what it has taken a relay behind it has lost.
        lost = world.say(ROMEO, "<body>Soft!</body>")
        session.report(await session.wait_for_message("Soft!"), "000 408 no answer")
        self.assertEqual(await world.juliet.wait_for_error(lost), ("wait", "remote-server-timeout"))
        world.say(ROMEO, chat_state("gone"))
        await session.wait_for_end()
        await session.wait(lambda: session.is_closed, "the end of the connection")
        self.assertEqual(set(session.statuses.values()), {200})

    def texts(self, world, who):
        """What juliet has, and nobody has taken, from there."""
        return [body_of(s) for s in world.juliet.received if s.get("from", "").startswith(who) and body_of(s)]

    async def sip_begins(self, world):  # SESS-7, SESS-10, SESS-11, SESS-21, CS-7
        two_streams = "m=audio 4000 RTP/AVP 0\r\nm=message"
        session = await world.invite("begins", change=lambda sdp: sdp.replace("m=message", two_streams))
        await session.send("Hello, Juliet \U0001f600")
        first = await world.juliet.wait_for_body("Hello, Juliet \U0001f600")
        await session.send("How art thou?", chunk=1)
        second = await world.juliet.wait_for_body("How art thou?")
        self.assertEqual((first.get("type"), first.findtext(THREAD)), ("chat", second.findtext(THREAD)))
        world.say(first.get("from"), f"<body>Well, and thou?</body>{ACTIVE}")
        await session.wait_for_message("Well, and thou?")
        self.assertEqual((await session.bye()).status, 200)
        await world.chat_state(romeo_of("begins"), "gone")
        self.assertEqual(len(world.pools["begins"].invitations), 0)

    async def xmpp_killed(self, world):  # SESS-25: a connection lost in the middle
        peer = world.pools["killed"]
        world.say(romeo_of("killed"), "<body>one</body>")
        session = await peer.wait_for_session()
        await session.wait_for_message("one")
        session.close()
        for body in ("two", "three"):
            world.say(romeo_of("killed"), f"<body>{body}</body>")
        again = await peer.wait_for_session()
        await again.wait(lambda: len(again.came) == 2, "both texts")
        await again.send("still there")
        await world.juliet.wait_for_body("still there")
        self.assertEqual([one.text for one in again.came], ["two", "three"])
        self.assertEqual((len(peer.invitations), session.came), (2, []))

    async def answer_lost(self, world):  # SESS-25: lost before the answer to a SEND
        peer = world.pools["silent"]
        peer.on_session = lambda session: setattr(
            session, "status", lambda message: None if message.body and len(peer.all_sessions) == 1 else 200)
        world.say(romeo_of("silent"), "<body>heard?</body>")
        session = await peer.wait_for_session()
        await session.wait(lambda: any(m.body for m in session.requests), "the text")
        session.close()
        again = await peer.wait_for_session()
        await again.wait_for_message("heard?")
        await session.wait_for_end()
        self.assertEqual((len(peer.invitations), again.came), (2, []))

    async def sip_killed(self, world):  # a session of theirs whose connection is lost in the middle of a text
        session = await world.invite("killed", "tybalt")
        await session.send("before")
        await world.juliet.wait_for_body("before")
        session.chunk(fresh_id(), 1, b"half of ", "+")
        session.close()
        await session.wait_for_end()    # a BYE: they know that the half was not taken
        again = await world.invite("killed", "tybalt")
        await again.send("after")
        await world.juliet.wait_for_body("after")
        self.assertEqual(self.texts(world, f"tybalt@{domain_of('killed')}"), [])

    async def old(self, world):  # SESS-5: who knows no MSRP has the text by itself
        for pool, status in (("old", 488), ("older", 415)):
            peer = world.pools[pool]
            peer.status = status
            for body in ("lonely", "lonelier"):
                world.say(romeo_of(pool), f"<body>{body}</body>")
                await peer.agent.wait_for_message(body)
            self.assertEqual(len(peer.invitations), 1)

    async def small(self, world):  # SESS-23, SESS-25: 413 for what is too long, said or not
        peer = world.pools["small"]
        peer.max_size = 100
        world.say(romeo_of("small"), "<body>short</body>")
        session = await peer.wait_for_session()
        await session.wait_for_message("short")
        refused = world.say(romeo_of("small"), f"<body>{'x' * 101}</body>")
        self.assertEqual(await world.juliet.wait_for_error(refused), ("modify", "policy-violation"))
        world.say(romeo_of("small"), f"<body>{'y' * 100}</body>")
        await session.wait_for_message("y" * 100)
        # Theirs: it says how long it is going to be, or goes on for ever.
        transaction = session.chunk(fresh_id(), 1, b"x" * 10, "+", total=1 << 20)
        self.assertEqual(await session.wait_for_answer(transaction), 413)
        message_id = fresh_id()
        sent = [session.chunk(message_id, first, b"x" * 8192, "+") for first in range(1, 1 << 17, 8192)]
        statuses = [await session.wait_for_answer(one) for one in sent]
        self.assertEqual((statuses[0], statuses[-1], set(statuses)), (200, 413, {200, 413}))
        await session.send("sorry")
        await world.juliet.wait_for_body("sorry")

    async def picky(self, world):  # SESS-25: what the other side does not take
        peer = world.pools["picky"]
        for status, error in ((415, ("modify", "not-acceptable")), (413, ("modify", "policy-violation"))):
            peer.on_session = lambda session, its=status: setattr(
                session, "status", lambda message: its if message.body else 200)
            refused = world.say(romeo_of("picky"), "<body>odd</body>")
            session = await peer.wait_for_session()
            self.assertEqual(await world.juliet.wait_for_error(refused), error)
            await session.wait_for_end()

    async def sip_closes(self, world):  # SESS-7
        peer = world.pools["closes"]
        world.say(romeo_of("closes"), f"<body>first</body>{ACTIVE}")
        session = await peer.wait_for_session()
        await session.wait_for_message("first")
        await session.bye()
        await world.chat_state(romeo_of("closes"), "gone")
        world.say(romeo_of("closes"), "<body>second</body>")
        await (await peer.wait_for_session()).wait_for_message("second")

    async def shared(self, world):  # RFC 4975 5.4: sessions of one core with one agent share a connection
        peer, sessions = world.pools["shared"], {}
        for user in range(CORES + 1):
            world.say(f"u{user}@{domain_of('shared')}", "<body>hello</body>")
            session = await peer.wait_for_session()
            await session.wait_for_message("hello")
            sessions.setdefault(session.their_path.split("/")[2], []).append(session)
        first, second, *_ = max(sessions.values(), key=len)
        self.assertIs(first.writer, second.writer)
        first_user, second_user = (one.invitation.uri.removeprefix("sip:").partition(";")[0] for one in (first, second))
        world.say(first_user, chat_state("gone"))
        await first.wait_for_end()
        world.say(second_user, "<body>still here</body>")
        await second.wait_for_message("still here")
        self.assertEqual(len(peer.invitations), CORES + 1)

    async def refused(self, world):  # SESS-11, SESS-12, SESS-20
        offers = {
            "media": lambda sdp: sdp.replace("m=message", "m=audio").replace("TCP/MSRP *", "RTP/AVP 0"),
            "a file": lambda sdp: sdp.replace("text/plain application/im-iscomposing+xml", "image/png"),
            "the other way": lambda sdp: sdp.replace("TCP/MSRP", "TCP/TLS/MSRP"),
            "no path": lambda sdp: sdp.replace("a=path:", "a=nothing:"),
            "no port": lambda sdp: sdp.replace(f"m=message {world.pools['refused'].msrp_port}", "m=message 0"),
        }
        for name, change in offers.items():
            with self.subTest(name), self.assertRaisesRegex(Failed, " 488 "):
                await world.invite("refused", change=change, connect=False)
        session = await world.invite("refused")
        await session.send("text will do")
        await world.juliet.wait_for_body("text will do")

    async def hostile(self, world):  # RFC 4975 5.4, 14.1; SESS-23
        session = await world.invite("hostile")
        await session.send("good")
        await world.juliet.wait_for_body("good")
        port = int(session.their_path.split(":")[2].split("/")[0])
        other = 2855 + 2856 - port
        endless = b"MSRP abcd1234 SEND\r\nTo-Path: " + session.their_path.encode() + b"\r\n"
        for what in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"x" * 70000, endless + b"X: y\r\n" * 3000,
                     endless + b"From-Path: " + b"x" * 9000,
                     endless + b"From-Path: msrp://a:1/b;tcp\r\nMessage-ID: abcd\r\nByte-Range: 1-*/*\r\n"
                     b"Content-Type: text/plain\r\n\r\n" + b"x" * (2 << 20)):
            await self.is_closed_by(world, port, what)
        # A session of another, at its shard and at the other; one that says other paths; and one of nobody's.
        nobody = session.their_path.replace(";tcp", "x;tcp")
        for to, to_port in ((session.their_path, port), (session.their_path, other), (nobody, port)):
            said = await self.answer(world, to_port, MsrpMessage("abcd1234", "SEND", None, [
                ("To-Path", to), ("From-Path", "msrp://127.0.0.1:9/mallory;tcp"), ("Message-ID", fresh_id()),
                ("Byte-Range", "1-4/4"), ("Content-Type", "text/plain")], b"evil"))
            self.assertIn(said.status, (481, 506), (to, to_port))
        said = await self.answer(world, port, MsrpMessage("abcd1234", "SEND", None, [
            *session.paths(), ("Message-ID", fresh_id()), ("Byte-Range", "1-4/4"), ("Content-Type", "text/plain")],
            b"evil"))
        self.assertIn(said.status, (481, 506))
        # Lengths that are not those of what comes, and what no session knows.
        for last, total in ((3, 4), (400, 4), (4, 3)):
            session.chunk(fresh_id(), 1, b"odd!", "$", total=total, last=last)
        session.write(MsrpMessage("nick1234", "NICKNAME", None, session.paths()))
        self.assertEqual(await session.wait_for_answer("nick1234"), 501)
        self.assertEqual(await session.wait_for_answer((await session.send("x", content_type="image/png"))[1][0]), 415)
        await session.send("still good")
        await world.juliet.wait_for_body("still good")
        self.assertNotIn("evil", self.texts(world, romeo_of("hostile")))

    async def connect(self, world, port, source="127.0.0.9"):
        return await asyncio.open_connection(world.fedgate.address, port, local_addr=(source, 0))

    async def is_closed_by(self, world, port, what):
        reader, writer = await self.connect(world, port)
        try:
            writer.write(what)
            await asyncio.wait_for(reader.read(), 5)
        except ConnectionError:
            pass
        except asyncio.TimeoutError:
            self.fail(f"the connection outlives {what[:60]}")
        finally:
            writer.close()

    async def answer(self, world, port, message):
        reader, writer = await self.connect(world, port)
        writer.write(message.bytes())
        buffer = bytearray()
        while not (said := take_msrp(buffer)):
            data = await asyncio.wait_for(reader.read(65536), 5)
            self.assertTrue(data, "closed without an answer")
            buffer += data
        writer.close()
        return said

    async def flood(self, world):  # connections of one address without a session
        before = await world.counter("msrp.refused")
        streams = [await self.connect(world, 2855, "127.0.0.10") for _ in range(40)]
        refused = 40 - 32
        await wait_until(lambda: sum(reader.at_eof() for reader, _ in streams) == refused, "that some are refused")
        self.assertEqual(await world.counter("msrp.refused"), before + refused)
        session = await world.invite(None, "paris")    # others have room
        await session.send("through")
        await world.juliet.wait_for_body("through")
        for _, writer in streams:
            writer.close()
        await session.bye()

    async def administered(self, world):
        fedgate, tls = world.fedgate, world.msrp == "tls"
        session = await world.invite(None, "benvolio")
        ports = await fedgate.control("ports")
        for port in (2855, 2856):
            self.assertRegex(ports, rf"msrp +internal +{world.msrp} +{fedgate.address}:{port} +LISTENING ")
        self.assertRegex(await fedgate.control("status"), r"MSRP +\d+ connections")
        for name in ("in.connections", "messages.in", "messages.out"):
            self.assertGreater(await world.counter(f"msrp.{name}"), 0)

        async def doctor():
            try:
                said = await fedgate.control("--json", "doctor", XMPP_DOMAIN, "--from", ROMEO)
            except Failed as failed:
                said = str(failed).partition(": ")[2]
            return next(step for step in json.loads(said)["steps"] if step["step"] == "MSRP")
        self.assertEqual((await doctor())["state"], "ok")
        await fedgate.control("sysctl", "-w", "sip.msrp.host=nowhere.example")
        self.assertIn("nowhere.example has no address", (await doctor())["text"])
        if tls:
            await fedgate.control("sysctl", "-w", f"sip.msrp.host=other.{SIP_DOMAIN}")
            self.assertIn(f"not for other.{SIP_DOMAIN}", (await doctor())["text"])
        await fedgate.control("sysctl", "-w", f"sip.msrp.host={SIP_DOMAIN}")
        self.assertEqual((await doctor())["state"], "ok")
        # It moves, and what is open stays.
        await fedgate.control("sysctl", "-w", f"sip.msrp.listen={fedgate.address}:2955")
        await wait_until(lambda: is_listening(fedgate.address, 2956) and not is_listening(fedgate.address, 2856),
                         "the new ports")
        await session.send("before and after")
        await world.juliet.wait_for_body("before and after")
        moved = await world.invite(None, "mercutio", connect=False)
        self.assertRegex(moved.their_path, rf"://{SIP_DOMAIN}:295[56]/")
        # Where it does not live on loopback itself, nobody sends it there.
        await fedgate.control("sysctl", "-w", "sip.msrp.listen=0.0.0.0:0")
        await wait_until(lambda: not is_listening(fedgate.address, 2956), "that the ports move again")
        refused = world.say(f"gregory@{SIP_DOMAIN}", "<body>knock</body>")
        session = await world.agent.wait_for_session()
        await world.juliet.wait_for_error(refused)
        await session.wait_for_end()
        self.assertFalse(session.requests)

    async def impostor(self, world):  # SIP-31: whose certificate proves neither the host nor the domain
        peer = world.pools["impostor"]
        refused = world.say(romeo_of("impostor"), "<body>for thine eyes only</body>")
        kind, condition = await world.juliet.wait_for_error(refused)
        self.assertEqual(kind, "wait" if condition == "remote-server-timeout" else "cancel", condition)
        self.assertFalse([s for s in peer.all_sessions if s.requests])


if __name__ == "__main__":
    unittest.main()
