"""Presence in the laboratory of topology.py: every XMPP user watches every SIP user, and every SIP user every XMPP user.
A state is a number, which rises with each change; so it is known what each watcher has to see, and that nobody is
told an old state after a newer one."""
import asyncio
import contextlib
import itertools
import re
import time

from harness.process import Failed, wait_until
from harness.sip_person import SipPerson, address_of, pidf
from harness.world import SIP_DOMAIN
from harness.xmpp_client import CLIENT
from load import LoadClient
from pool_load import PoolAgent

TRY_AGAIN_SECONDS, ANSWER_SECONDS = 0.5, 20


class Sight:
    """What one watcher sees: contact -> number, or None: gone."""

    def __init__(self):
        self.seen, self.newest = {}, {}
        self.again = self.older = self.gone = 0

    def see(self, contact, number):
        newest = self.newest.get(contact, 0)
        if number is None:
            self.gone += self.seen.get(contact) is not None
        else:
            self.again += number == newest == self.seen.get(contact)
            self.older += number < newest
            self.newest[contact] = max(newest, number)
        self.seen[contact] = number


class Client(LoadClient):
    """An XMPP user, whom everybody may see."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.sight, self.number = Sight(), 0

    def on_stanza(self, stanza):
        if stanza.tag != CLIENT + "presence":
            super().on_stanza(stanza)
            return
        contact, kind = stanza.get("from").partition("/")[0], stanza.get("type")
        if not contact.endswith("@" + SIP_DOMAIN):
            return
        if kind == "subscribe":
            self.send(f"<presence to='{contact}' type='subscribed'/>")
        elif kind == "error":    # who is to know of this pair is not settled yet: resource-constraint
            asyncio.get_running_loop().call_later(TRY_AGAIN_SECONDS, self.watch, contact)
        elif kind == "unavailable":
            self.sight.see(contact, None)
        elif kind is None:
            self.sight.see(contact, int(stanza.findtext(CLIENT + "status") or 0))

    def watch(self, contact):
        self.send(f"<presence to='{contact}' type='subscribe'/>")

    def change(self):
        self.number += 1
        if self.is_online:
            self.send(self.first_presence)

    @property
    def first_presence(self):
        return f"<presence><status>{self.number}</status></presence>"

    async def read_all(self):
        with contextlib.suppress(ConnectionError):    # the server may die
            await super().read_all()

    @property
    def is_online(self):
        return self.reader_task is not None and not self.reader_task.done()


class NoLadder:
    def arrow(self, *_):
        pass


class Phone(SipPerson):
    """A SIP user at a server that knows nothing of presence: he answers for himself, and everybody may watch him."""

    def __init__(self, name, agent, servers, contacts):
        super().__init__(NoLadder(), name, f"{name}@{SIP_DOMAIN}", None, agent)
        self.servers, self.number, self.sight = servers, 0, Sight()
        self.rules = {contact: "allow" for contact in contacts}
        self.anew = 0    # subscriptions of his that were over, so that he made another
        self.tasks = set()

    def spawn(self, work):
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def change(self):
        self.number += 1
        self.devices["phone"] = ("online", str(self.number))
        for dialog in list(self.watchers.values()):
            self.spawn(self.notify(dialog))

    async def notify(self, dialog, allowed=None):
        """The newest state, until it is taken or the dialog is over. One at a time."""
        dialog.is_due = True
        if getattr(dialog, "is_busy", False):
            return
        dialog.is_busy = True
        while dialog.is_due and dialog.call_id in self.watchers:
            dialog.is_due = False
            was = dialog.state
            try:
                response = await self.say_state(dialog)
            except (Failed, OSError):
                response = None
            if response and (response.status == 481 or was.startswith("terminated")):
                self.watchers.pop(dialog.call_id, None)
            elif not response or response.status >= 300:
                dialog.is_due = True
                await asyncio.sleep(TRY_AGAIN_SECONDS)
        dialog.is_busy = False

    async def say_state(self, dialog):
        state = dialog.state if "reason" in dialog.state else f"{dialog.state};expires={dialog.expires}"
        return await self.request_in(dialog, "NOTIFY", ("Event: presence", f"Subscription-State: {state}"),
                                     pidf(self.aor, self.devices), "application/pidf+xml")

    async def request_in(self, dialog, *arguments, **options):
        """By the dialog's route, or by the first server."""
        route = re.match(r"<sip:([\d.]+)", dialog.route[0]) if dialog.route else None
        self.server = (route[1] if route else self.servers[0], 5060)
        return await super().request_in(dialog, *arguments, **options)

    async def watch(self, contact):
        """Until he watches; by one server or the other."""
        while True:
            with contextlib.suppress(Failed, OSError):
                if await self.subscribe(f"sip:{contact}", 3600):
                    return
            self.servers.reverse()
            await asyncio.sleep(TRY_AGAIN_SECONDS)

    def on_notify(self, message, reply):
        dialog = self.watches.get(message.header("call-id"))
        super().on_notify(message, reply)
        if not dialog:
            return
        if message.body_bytes:
            numbers = [int(note) for state, note in self.seen[dialog.contact].values() if state != "offline" and note]
            self.sight.see(dialog.contact, max(numbers, default=None))
        if dialog.call_id not in self.watches:
            self.anew += 1
            self.spawn(self.watch(dialog.contact))


class Agent(PoolAgent):
    """With phones."""

    def __init__(self, ledger):
        super().__init__(ledger)
        self.phones = {}
        self.on_request = self.dispatch

    def dispatch(self, message, reply):
        phone = self.phones.get(address_of(message.uri).split("@")[0])
        if message.method == "MESSAGE":
            asyncio.get_running_loop().create_task(self.keep(message))
        if message.method in ("SUBSCRIBE", "NOTIFY") and phone:
            phone.on_request(message, reply)
        else:
            reply(self.response(message, 200))

    async def exchange(self, data, key, what, to, seconds=ANSWER_SECONDS):
        self.asked[key] = to
        try:
            if response := await super().exchange(data, key, what, to, seconds):
                return response
            raise ConnectionResetError("the node died")
        finally:
            del self.asked[key]


class Presence:
    """clients: XMPP users by address; phones: SIP users by address."""

    def __init__(self, clients, phones):
        self.clients, self.phones = clients, phones

    @property
    def sights(self):
        return [one.sight for one in (*self.clients.values(), *self.phones.values())]

    async def begin(self):
        for one in (*self.clients.values(), *self.phones.values()):
            one.change()
        for client, phone in itertools.product(self.clients.values(), self.phones.values()):
            client.watch(phone.address)
        await asyncio.gather(*(phone.watch(contact) for phone in self.phones.values() for contact in self.clients))
        await self.when_right(20)

    def change(self):
        for one in (*self.clients.values(), *self.phones.values()):
            one.change()

    def wrong(self):
        """Who does not see what is true."""
        for watchers, contacts in ((self.clients, self.phones), (self.phones, self.clients)):
            for watcher, contact in itertools.product(watchers, contacts):
                seen = watchers[watcher].sight.seen.get(contact)
                if seen != contacts[contact].number:
                    yield f"{watcher} sees {seen} of {contact}, and it is {contacts[contact].number}"

    async def when_right(self, seconds, stays=0):
        """The time since when it is, and has been for so long."""
        since = None

        def is_right():
            nonlocal since
            if next(self.wrong(), None) is not None:
                since = None
            elif since is None:
                since = time.monotonic()
            return since is not None and time.monotonic() >= since + stays
        try:
            await wait_until(is_right, "presence is right", seconds)
        except Failed:
            wrong = list(self.wrong())
            raise Failed(f"presence is not right after {seconds} s: {len(wrong)} of "
                         f"{2 * len(self.clients) * len(self.phones)} wrong: {'; '.join(wrong[:3])}") from None
        return since

    def total(self, name):
        return sum(getattr(sight, name) for sight in self.sights)

    async def stop(self):
        for phone in self.phones.values():
            for task in list(phone.tasks):
                task.cancel()
