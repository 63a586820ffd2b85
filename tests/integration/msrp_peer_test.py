"""The tests' own MSRP peer: it reads and writes the examples of RFC 4975, and two of them talk to each other."""
import asyncio
import pathlib
import tempfile
import unittest

from harness.certificates import Authority
from harness.msrp_peer import (Malformed, MsrpMessage, MsrpPeer, chunks_of, put_together, response_to,
                               take_msrp)
from harness.process import Failed

ALICE = "msrp://alicepc.example.com:7777/iau39soe2843z;tcp"
BOB = "msrp://bob.example.com:8888/9di4eae923wzd;tcp"


def wire(*lines):
    return "\r\n".join([*lines, ""]).encode()


# RFC 4975 11.1, 11.3, 11.6, as facts.
SEND = wire("MSRP d93kswow SEND", f"To-Path: {BOB}", f"From-Path: {ALICE}", "Message-ID: 12339sdqwer",
            "Byte-Range: 1-16/16", "Content-Type: text/plain", "", "Hi, I'm Alice!", "-------d93kswow$")
ANSWER = wire("MSRP d93kswow 200 OK", f"To-Path: {ALICE}", f"From-Path: {BOB}", "-------d93kswow$")
REPORT = wire("MSRP dkei38sd REPORT", f"To-Path: {ALICE}", f"From-Path: {BOB}", "Message-ID: 12339sdqwer",
              "Byte-Range: 1-106/106", "Status: 000 200 OK", "-------dkei38sd$")
FIRST = wire("MSRP dkei38sd SEND", f"To-Path: {BOB}", f"From-Path: {ALICE}", "Message-ID: 4564dpWd",
             "Byte-Range: 1-*/8", "Content-Type: text/plain", "", "abcd", "-------dkei38sd+")
SECOND = wire("MSRP dkei38ia SEND", f"To-Path: {BOB}", f"From-Path: {ALICE}", "Message-ID: 4564dpWd",
              "Byte-Range: 5-8/8", "Content-Type: text/plain", "", "EFGH", "-------dkei38ia$")


class Wire(unittest.TestCase):
    def test_the_examples_are_read_and_written_as_they_are(self):
        buffer = bytearray(SEND + ANSWER + REPORT + FIRST + SECOND)
        for example in (SEND, ANSWER, REPORT, FIRST, SECOND):
            self.assertEqual(take_msrp(buffer).bytes(), example)
        self.assertIsNone(take_msrp(buffer))
        message = take_msrp(bytearray(SEND))
        self.assertEqual((message.method, message.transaction, message.body, message.flag),
                         ("SEND", "d93kswow", b"Hi, I'm Alice!", "$"))
        self.assertEqual(message.byte_range, (1, 16, 16))
        self.assertEqual(response_to(message, 200).bytes(), ANSWER)
        self.assertEqual(take_msrp(bytearray(FIRST)).byte_range, (1, None, 8))

    def test_a_message_is_whole_with_its_last_byte(self):
        for cut in range(len(SEND)):
            buffer = bytearray(SEND[:cut])
            self.assertIsNone(take_msrp(buffer))
            buffer += SEND[cut:]
            self.assertEqual(take_msrp(buffer).body, b"Hi, I'm Alice!")

    def test_an_end_line_of_another_transaction_is_text(self):
        body = b"a\r\n-------d93kswow\r\n-------d93kswo$\r\n-------d93kswow1$\r\nb"
        self.assertEqual(take_msrp(bytearray(MsrpMessage("d93kswow", "SEND", None, [("X", "y")], body).bytes())).body, body)

    def test_what_is_not_msrp_is_refused(self):
        for text in (b"GET / HTTP/1.1\r\n", b"MSRP abc SEND\r\n", b"MSRP abcd send\r\n"):
            with self.assertRaises(Malformed):
                take_msrp(bytearray(text))

    def test_chunks_are_put_together_in_any_order(self):
        chunks = chunks_of(b"abcdEFGH", 3)
        self.assertEqual(chunks, [(1, b"abc", "+"), (4, b"dEF", "+"), (7, b"GH", "$")])
        self.assertEqual(put_together(chunks[::-1]), b"abcdEFGH")
        self.assertIsNone(put_together(chunks[1:]))
        self.assertEqual(put_together([(1, b"aaaa", "+"), (3, b"bbbb", "$")]), b"aabbbb")
        self.assertEqual((chunks_of(b"", None), put_together([(1, b"", "$")])), ([(1, b"", "$")], b""))


class TwoPeers(unittest.IsolatedAsyncioTestCase):
    async def both(self, **options):
        """(one that has offered, one that has answered), each with its session."""
        alice = await MsrpPeer("127.0.0.1", **options).start()
        bob = await MsrpPeer("127.0.0.2", **options).start()
        self.addAsyncCleanup(alice.stop)
        self.addAsyncCleanup(bob.stop)
        session = await alice.invite("sip:alice@a.example", "sip:bob@b.example", ("127.0.0.2", bob.agent.port))
        return session, await bob.wait_for_session()

    async def talk(self, alice, bob):
        message_id, transactions = await alice.send("Hi, I'm Alice!", chunk=5, success_report=True)
        self.assertEqual(len(transactions), 3)
        self.assertEqual((await bob.wait_for_message()).text, "Hi, I'm Alice!")
        self.assertEqual([await alice.wait_for_answer(one) for one in transactions], [200] * 3)
        self.assertEqual(await alice.wait_for_report(message_id), "000 200 OK")
        await bob.send("Hi, I'm Bob!", order=None)
        self.assertEqual((await alice.wait_for_message("Hi, I'm Bob!")).content_type, "text/plain")

    async def test_they_talk_over_tcp_and_end(self):
        alice, bob = await self.both()
        await self.talk(alice, bob)
        self.assertEqual((await alice.bye()).status, 200)
        await bob.wait_for_end()
        await bob.wait(lambda: bob.is_closed, "the end of the connection")

    async def test_they_talk_over_tls(self):
        with tempfile.TemporaryDirectory() as directory:
            authority = Authority(pathlib.Path(directory))
            certificate = authority.issue("peer", "DNS:peer.example,IP:127.0.0.1,IP:127.0.0.2")
            alice, bob = await self.both(msrp="tls", sip="tls", certificate=certificate, ca=authority.certificate)
            self.assertTrue(alice.path.startswith("msrps://"))
            await self.talk(alice, bob)
            self.assertEqual((await bob.bye()).status, 200)
            await alice.wait_for_end()

    async def test_it_misbehaves_when_it_is_told_to(self):
        alice, bob = await self.both()
        bob.status = None    # silence
        _, (transaction,) = await alice.send("nobody answers")
        await bob.wait(lambda: len(bob.requests) == 2, "the SEND")
        bob.status = lambda message: 413 if message.byte_range[2] == 99 else 200
        _, (refused,) = await alice.send("too long, it says", total=99)
        self.assertEqual(await alice.wait_for_answer(refused), 413)
        self.assertNotIn(transaction, alice.responses)
        bob.reports = False
        await alice.send("in disorder", chunk=4, order=[2, 0, 1], failure_report="no", success_report=True)
        self.assertEqual((await bob.wait_for_message()).text, "in disorder")
        alice.chunk("aborted", 1, b"never ", "+")
        self.assertEqual(await alice.wait_for_answer(alice.abort("aborted", 7)), 200)
        self.assertEqual((bob.came, bob.chunks, alice.success), ([], {}, []))
        alice.write(MsrpMessage("abcd", "NICKNAME", None, alice.paths()))
        self.assertEqual(await alice.wait_for_answer("abcd"), 501)
        alice.write(b"this is no MSRP\r\n")
        await alice.wait(lambda: alice.is_closed, "the end of the connection")

    async def test_what_is_for_nobody_is_answered_481(self):
        alice, bob = await self.both()
        alice.their_path = alice.their_path.replace(";tcp", "x;tcp")
        _, (transaction,) = await alice.send("who?")
        self.assertEqual(await alice.wait_for_answer(transaction), 481)
        self.assertEqual((bob.came, len(bob.peer.strays)), ([], 1))

    async def test_a_refused_invitation_says_so(self):
        alice, bob = await MsrpPeer("127.0.0.1").start(), await MsrpPeer("127.0.0.2").start()
        self.addAsyncCleanup(alice.stop)
        self.addAsyncCleanup(bob.stop)
        bob.status = 488
        with self.assertRaisesRegex(Failed, "488"):
            await alice.invite("sip:alice@a.example", "sip:bob@b.example", ("127.0.0.2", bob.agent.port))


if __name__ == "__main__":
    unittest.main()
