"""Sessions and presence of the Lync dialect (SESS-*) between a real Prosody or ejabberd and sipp, which plays the
scenarios of tests/scenario/lync. In one world: each pool of SIP users that answers in its own way has a domain.

SESSION_PART=killed session_test.py: that part alone. It takes 32 s, a transaction's time (Timer B): one pool is
silent, and all else is over meanwhile.
"""
import asyncio
import unittest

from harness.lync import Lync
from harness.process import wait_until
from harness.session_world import (ACTIVE, ASK_FOR_RECEIPT, RECEIVED, STATES, THREAD, SessionTest, SessionWorld,
                                   chat_state, domain_of, romeo_of)
from harness.sipp import read_events
from harness.world import JULIET, SIP_DOMAIN
from harness.xmpp_client import CLIENT

# How each pool answers, by the first label of its domain.
POOLS = {
    "loses": ("uas_loses", None), "closes": ("uas_closes", None), "forks": ("uas_forks", None),
    "away": ("uas_refuses", None), "old": ("uas_refuses", "488 Not Acceptable Here"),
    "begins": (None, None), "leaves": (None, None), "picky": ("uas_refuses_text", None), "dies": ("uas_accepts", None),
    "choosy": ("uas_refuses", "606 Not Acceptable"), "silent": ("uas_silent", None),
    "shown": ("uas_presence", None),
}
# Juliet, as Lync reads her.
SHOWN = ("<?xml version='1.0' encoding='UTF-8'?><presence xmlns='urn:ietf:params:xml:ns:pidf' "
         "xmlns:ep='urn:ietf:params:xml:ns:pidf:status:rpid-status' entity='sip:" + JULIET + "'>"
         "<tuple id='0'><status><basic>{}</status>{}</tuple></presence>")


class LyncWorld(SessionWorld):
    """juliet at a Prosody, a Lync over TLS with romeo, and the pools."""

    profile = "lync"
    POOLS = POOLS

    def __init__(self, directory, keys=None):
        super().__init__(directory, Lync(directory / "lync", "tls", "uas_conversation"),
                         {name: Lync(directory / name, "tcp", answer, status, domain_of(name))
                          for name, (answer, status) in self.POOLS.items()}, keys)

    async def log_in(self):
        await super().log_in()
        self.juliet.send("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")    # else nobody tells her
        await self.juliet.wait_for(lambda s: s.get("id") == "roster", "her contacts")             # of an approval

    async def presence_of(self, romeo):
        """What juliet hears next of his presence: (resource, type, show)."""
        stanza = await self.juliet.wait_for(
            lambda s: s.tag == CLIENT + "presence" and s.get("from").startswith(romeo), f"presence of {romeo}")
        return stanza.get("from").partition("/")[2], stanza.get("type"), stanza.findtext(CLIENT + "show")


class EjabberdWorld(LyncWorld):
    """On one core: sipp, as one who calls, answers by the connection that it has opened itself."""

    POOLS = {"begins": (None, None), "watches": (None, None)}

    def __init__(self, directory):
        super().__init__(directory, {"core.threads": "1"})
        self.use_ejabberd()


class Sessions(SessionTest):
    async def test_all(self):
        world = await self.world(of=LyncWorld)
        await self.side_by_side(world, (
            self.xmpp_begins, self.forgotten_in_the_middle, self.killed, self.sip_closes, self.forked, self.away,
            self.old, self.choosy, self.text_refused, self.xmpp_leaves, self.sip_begins, self.refusals, self.silent,
            self.lync_is_watched, self.with_ejabberd))

    async def xmpp_begins(self, world):  # SESS-1, SESS-3, SESS-40..SESS-44, RCPT-3, CS-6, CS-8; over TLS
        lync, romeo = world.agent, f"romeo@{SIP_DOMAIN}"
        asked = world.say(romeo, f"<body>Good morrow</body><thread>t1</thread>{ACTIVE}{ASK_FOR_RECEIPT}")
        await lync.wait_for_body("Good morrow")
        await world.receipt(asked)
        await world.chat_state(romeo, "composing")
        stanza = await world.juliet.wait_for_body("Pardon?")
        self.assertEqual((stanza.get("type"), stanza.findtext(THREAD)), ("chat", "t1"))
        self.assertIsNotNone(stanza.find(STATES + "active"))
        world.say(romeo, chat_state("composing"))
        typing = await lync.wait_for_request("INFO")
        self.assertIn('<status status="type" />', typing.body)
        world.say(romeo, f"<body>I said: morrow</body>{ACTIVE}{ASK_FOR_RECEIPT}")
        await lync.wait_for_body("I said: morrow")    # 202: no receipt
        world.say(romeo, chat_state("gone"))
        await lync.wait_for_request("BYE")
        invite, = lync.heard("INVITE")
        self.assertIn("m=message 5060 sip null\r\na=accept-types:text/plain multipart/alternative text/html\r\n",
                      invite.body)
        self.assertFalse([s for s in world.juliet.received if s.find(RECEIVED) is not None])

    async def forgotten_in_the_middle(self, world):  # SESS-45: nothing lost, nothing twice
        lync = world.pools["loses"]
        for body in ("one", "two"):
            world.say(romeo_of("loses"), f"<body>{body}</body>")
            await lync.wait_for_body(body)
        await lync.wait_for_request("INVITE", 2)
        await lync.wait_for_request("MESSAGE", 3)
        self.assertEqual([event.body for event in lync.heard("MESSAGE")], ["one", "two", "two"])

    async def killed(self, world):  # SESS-45: another process at the same place
        lync = world.pools["dies"]
        world.say(romeo_of("dies"), "<body>before</body>")
        await lync.wait_for_body("before")
        await lync.process.kill()
        lync.messages.unlink()
        await lync.start()
        world.say(romeo_of("dies"), "<body>after</body>")
        await lync.wait_for_request("INVITE")
        await lync.process.wait_for(
            lambda: [e for e in lync.events() if not e.is_received and e.first_line.startswith("SIP/2.0 200")],
            "the session to be accepted")
        await lync.wait_for_request("MESSAGE", 2)    # 481, then in the new session
        self.assertEqual({event.body for event in lync.heard("MESSAGE")}, {"after"})

    async def sip_closes(self, world):  # SESS-7, CS-7
        lync = world.pools["closes"]
        world.say(romeo_of("closes"), f"<body>first</body>{ACTIVE}")
        await lync.wait_for_body("first")
        await world.chat_state(romeo_of("closes"), "gone")
        world.say(romeo_of("closes"), "<body>second</body>")
        await lync.wait_for_body("second")
        self.assertEqual(len(lync.heard("INVITE")), 2)

    async def forked(self, world):  # SESS-13
        lync = world.pools["forks"]
        world.say(romeo_of("forks"), "<body>whoever</body>")
        await lync.wait_for_body("whoever")
        await lync.wait_for_request("BYE")
        self.assertEqual((len(lync.heard("ACK")), len(lync.heard("MESSAGE"))), (2, 1))

    async def away(self, world):  # ERR-480
        refused = world.say(romeo_of("away"), "<body>art thou there?</body>")
        self.assertEqual(await world.juliet.wait_for_error(refused), ("wait", "recipient-unavailable"))

    async def old(self, world):  # SESS-5: who knows no sessions has the text by itself
        await self.one_by_one(world, "old")

    async def choosy(self, world):  # the same, by 606
        await self.one_by_one(world, "choosy")

    async def one_by_one(self, world, pool):
        lync = world.pools[pool]
        for body in ("lonely", "lonelier"):
            world.say(romeo_of(pool), f"<body>{body}</body>")
            await lync.wait_for_body(body)
        self.assertEqual(len(lync.heard("INVITE")), 1)

    async def silent(self, world):  # SESS-4, ERR-408: each text has its own error, and nothing hangs
        lync, romeo = world.pools["silent"], romeo_of("silent")
        for asked in [world.say(romeo, f"<body>{body}</body>") for body in ("anyone?", "no one?")]:
            self.assertEqual(await world.juliet.wait_for_error(asked, 40), ("wait", "remote-server-timeout"))
        self.assertEqual((len(lync.heard("INVITE")), lync.heard("MESSAGE")), (1, []))
        world.say(romeo, "<body>now?</body>")
        await lync.wait_for_request("INVITE", 2)

    async def lync_is_watched(self, world):  # SESS-46, PRES-10, PRES-14, PRES-31, PRES-43, R9, R10
        romeo = romeo_of("shown")
        world.juliet.send(f"<presence to='{romeo}' type='subscribe'/>")
        self.assertEqual(await world.presence_of(romeo), ("", "subscribed", None))
        for state in ((None, None), (None, "dnd"), (None, "away"), (None, "dnd"), ("unavailable", None)):
            self.assertEqual(await world.presence_of(romeo), ("0", *state))
        world.juliet.send(f"<presence to='{romeo}' type='unsubscribe'/>")
        await world.pools["shown"].wait_for_request("SUBSCRIBE", 2)

    async def lync_watches(self, world):  # SESS-46, PRES-13, PRES-60, PRES-63, PRES-67, R9, R10
        lync, romeo = world.pools["watches"], romeo_of("watches")
        call = asyncio.create_task(lync.call("uac_presence", f"sip:{JULIET}", (world.fedgate.address, 5060)))
        self.assertEqual(await world.presence_of(romeo), ("", "subscribe", None))
        world.juliet.send(f"<presence to='{romeo}' type='subscribed'/>")

        def documents():
            events = read_events(lync.directory / "uac_presence.messages")
            return [event.body for event in events if event.is_received and event.body]

        busy = SHOWN.format("open</basic><ep:activities><ep:activity>busy</ep:activity></ep:activities>",
                            "<note xml:lang='en'>in the tower</note>")
        await wait_until(documents, "her presence at sipp")
        world.juliet.send(f"<presence to='{romeo}'><show>dnd</show><status xml:lang='en'>in the tower</status>"
                          "</presence>")
        await wait_until(lambda: busy in documents(), f"that she is busy, in {documents()}")
        world.juliet.send(f"<presence to='{romeo}' type='unavailable'/>")
        await call
        self.assertEqual(documents(), [SHOWN.format("open</basic>", ""), busy,
                                       SHOWN.format("closed</basic>", ""), SHOWN.format("closed</basic>", "")])
        self.assertEqual(await world.presence_of(romeo), ("", "unavailable", None))

    async def with_ejabberd(self, _):  # both conversations, and a watcher, at another XMPP server
        world = await self.world(of=EjabberdWorld)
        try:
            await asyncio.gather(self.xmpp_begins(world), self.sip_begins(world), self.lync_watches(world))
        except Exception:
            print(world.agent.told(), world.logs(), sep="\n\n", flush=True)
            raise

    async def text_refused(self, world):  # ERR-406, SESS-45
        lync = world.pools["picky"]
        for body in ("odd", "odder"):
            refused = world.say(romeo_of("picky"), f"<body>{body}</body>")
            self.assertEqual(await world.juliet.wait_for_error(refused), ("modify", "not-acceptable"))
        self.assertEqual(len(lync.heard("INVITE")), 1)

    async def xmpp_leaves(self, world):  # SESS-7, SESS-10
        caller = romeo_of("leaves")
        call = asyncio.create_task(world.pools["leaves"].call("uac_closed", f"sip:{JULIET}",
                                                              (world.fedgate.address, 5060)))
        await world.juliet.wait_for_body("Good night")
        world.say(caller, chat_state("gone"))
        await call

    async def sip_begins(self, world):  # SESS-10, SESS-41, SESS-43, SESS-44
        caller = romeo_of("begins")
        call = asyncio.create_task(world.pools["begins"].call("uac_conversation", f"sip:{JULIET}",
                                                              (world.fedgate.address, 5060)))
        first = await world.juliet.wait_for_body("Hello, Juliet \U0001f600")
        second = await world.juliet.wait_for_body("How art thou?")
        self.assertEqual((first.get("type"), first.findtext(THREAD)), ("chat", second.findtext(THREAD)))
        world.say(caller, f"<body>Well, and thou?</body>{ACTIVE}")
        await call
        await world.chat_state(caller, "gone")

    async def refusals(self, world):  # SESS-11, SESS-12, SESS-46, SIP-18, SIP-19, SIP-22; over TLS
        lync = Lync(world.directory / "calls", "tls")
        lync.certificate, lync.ca = world.agent.certificate, world.agent.ca
        names = ("media", "conference", "cccp", "multiparty", "forged", "mixed", "refresh", "offerless")
        try:
            for name in names:
                await lync.call(f"uac_{name}", f"sip:{JULIET}", world.fedgate.sip,
                                f"sip:{name}@{SIP_DOMAIN}")
            for name, body in (("mixed", "text only"), ("refresh", "still here"), ("offerless", "no offer")):
                stanza = await world.juliet.wait_for_body(body)
                self.assertTrue(stanza.get("from").startswith(f"{name}@"))
        finally:
            await lync.stop()


if __name__ == "__main__":
    unittest.main()
