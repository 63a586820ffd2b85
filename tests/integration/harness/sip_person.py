"""A person on the SIP side, as a script of conversations knows one: a user agent with presence.

Who is at a presence server publishes there, and has it ask who may watch; who is not answers for
herself. What was seen is kept in `seen` (harness/person.py).
"""
import asyncio
import re
import uuid
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

from .person import FOR_NOW, Person
from .process import WAIT_SECONDS, Failed
from .sip_agent import SipAgent, take_message

PIDF = "{urn:ietf:params:xml:ns:pidf}"
RPID = "{urn:ietf:params:xml:ns:pidf:rpid}"
SHOW = "{jabber:client}show"
WATCHER = "{urn:ietf:params:xml:ns:watcherinfo}watcher"
COMPOSING = "urn:ietf:params:xml:ns:im-iscomposing"
NOBODY = '<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="{entity}"/>'

# What an RPID activity means to people, and how they say it.
ACTIVITIES = {"away": "away", "dnd": "busy", "xa": "vacation"}
MEANINGS = {"busy": "dnd", "away": "away", "vacation": "xa"}


def pidf(entity, devices):
    """devices: name -> (state, note). One document, as a user agent or a presence server writes it."""
    tuples, activities = [], ""
    for name, (state, note) in devices.items():
        basic = "closed" if state == "offline" else "open"
        note = f"<note>{escape(note)}</note>" if note else ""
        tuples.append(f'<tuple id="{name}"><status><basic>{basic}</basic></status>{note}</tuple>')
        if state in ACTIVITIES:
            activities = f"<r:activities><r:{ACTIVITIES[state]}/></r:activities>"
    person = f'<d:person id="person">{activities}</d:person>' if activities else ""
    return ('<?xml version="1.0" encoding="UTF-8"?>\n<presence xmlns="urn:ietf:params:xml:ns:pidf" '
            'xmlns:d="urn:ietf:params:xml:ns:pidf:data-model" '
            f'xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" entity="{entity}">{"".join(tuples)}{person}'
            "</presence>")


def read_pidf(text):
    """device -> (state, note), as a watcher understands it."""
    root = ElementTree.fromstring(text)
    activity = next((MEANINGS[name[len(RPID):]] for name in (one.tag for one in root.iter())
                     if name.startswith(RPID) and name[len(RPID):] in MEANINGS), "online")
    found = {}
    for one in root.iter(PIDF + "tuple"):
        is_open = one.findtext(f"{PIDF}status/{PIDF}basic") == "open"
        own = one.findtext(f"{PIDF}status/{SHOW}")
        note = one.findtext(PIDF + "note") or root.findtext(PIDF + "note") or ""
        name = re.sub(r"_([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), one.get("id").removeprefix("ID-"))
        found[name] = (own or activity if is_open else "offline", note)
    return found


def describe(message):
    """A request in the words of a ladder."""
    words, body = [message.method], message.body
    for name in ("subscription-state", "expires"):
        if message.header(name):
            words.append(message.header(name).split(";expires")[0])
    if message.header("event").endswith("winfo"):
        words.insert(1, "winfo")
    elif message.header("content-type") == "application/pidf+xml":
        words += [f'{state} "{note}"' if note else state for state, note in read_pidf(body).values()]
    elif message.method == "MESSAGE":
        found = re.search(r"<state>(\w+)", body) or re.search(r"<(delivered)/>", body)
        words.append(found[1] if found else f'"{body.splitlines()[-1] if body else ""}"')
    return " ".join(words)


def tag_of(value):
    found = re.search(r";\s*tag=([^;>\s]+)", value)
    return found[1] if found else ""


def address_of(value):
    return re.search(r"sips?:([^;>?\s]+)", value)[1]


class Dialog:
    """What RFC 3261 12 keeps of one, for the side that asked or was asked."""

    def __init__(self, our, their, call_id):
        self.our, self.their, self.call_id = our, their, call_id
        self.cseq = self.their_cseq = 0
        self.target, self.route = "", []
        self.contact = ""    # the person at the other end
        self.state = ""

    def take(self, message, reverse):
        if message.headers["contact"]:
            self.target = re.search(r"<([^>]*)>|(\S+)", message.header("contact"))
            self.target = self.target[1] or self.target[2]
        routes = [one.strip() for value in message.headers["record-route"] for one in value.split(",")]
        if routes and not self.route:
            self.route = routes[::-1] if reverse else routes


def reason(response):
    """Of a refusal."""
    return f"{response.status}{FOR_NOW if response.header('retry-after') else ''}"


class Switchboard(SipAgent):
    """A SIP server and the user agents of all its people in one."""

    def __init__(self):
        super().__init__("tcp")
        self.people = {}    # user -> SipPerson
        self.on_request = self.dispatch

    def dispatch(self, message, reply):
        person = self.people.get(address_of(message.uri).split("@")[0])
        if person:
            person.on_request(message, reply)
        else:
            reply(self.response(message, 200 if message.method == "OPTIONS" else 404))


class SipPerson(Person):
    """server: (address, port) of the SIP server; without a switchboard, it is a registrar and presence server,
    and she has a user agent of her own."""

    side = "SIP"

    def __init__(self, ladder, name, address, server, switchboard=None):
        super().__init__(ladder, name, address)
        self.server, self.switchboard = server, switchboard
        self.has_presence = switchboard is None
        self.agent = switchboard
        self.aor = f"sip:{address}"
        self.watches, self.watchers = {}, {}      # call-id -> Dialog; as subscriber, as notifier
        self.rules = {}                           # contact -> allow | block
        self.devices, self.etags = {}, {}         # name -> (state, note); the publication of each
        self.receipts = {}

    # --- on and off

    async def come_online(self):
        user, domain = self.address.split("@")
        if self.switchboard:
            self.switchboard.people[user] = self
        else:
            self.agent = SipAgent("tcp")
            self.agent.on_request = self.on_request
            await self.agent.start()
            await self.agent.register(user, domain, self.server)
            await self.subscribe(self.aor, 3600, "presence.winfo", "application/watcherinfo+xml")
        await self.set_state("online", "", None)

    async def go_offline(self, device=None):
        for name in [device] if device else list(self.devices):
            await self.set_state("offline", "", name)
        if not device:
            await self.leave()

    async def leave(self):
        """What she watched is over, and her user agent goes."""
        for dialog in list(self.watches.values()):
            await self.request_in(dialog, "SUBSCRIBE", (f"Event: {dialog.event}", "Expires: 0"))
        await self.stop()

    async def reconnect(self):
        """Without a farewell; what she watched she asks for anew."""
        contacts = [one.contact for one in self.watches.values() if one.event == "presence"]
        await self.stop()
        await self.come_online()
        for contact in contacts:
            await self.add(contact)

    async def stop(self):
        self.watches.clear()
        self.seen.clear()
        if self.agent and not self.switchboard:
            await self.agent.stop()

    # --- its own state

    async def set_state(self, state, note, device):
        device = device or "phone"
        self.devices[device] = (state, note)
        if self.has_presence:
            await self.publish(device)
        else:
            for dialog in list(self.watchers.values()):
                if dialog.state == "active":
                    await self.notify(dialog)
        if state == "offline":
            self.devices.pop(device)

    async def publish(self, device):
        """RFC 3903: each device has a publication of its own, the server puts them together."""
        is_gone = self.devices[device][0] == "offline"
        etag = self.etags.pop(device, None)
        if is_gone and not etag:
            return
        headers = ["Event: presence", f"Expires: {0 if is_gone else 3600}"]
        headers += [f"SIP-If-Match: {etag}"] if etag else []
        body = "" if is_gone else pidf(self.aor, {device: self.devices[device]})
        response = await self.ask("PUBLISH", self.aor, body, headers, "application/pidf+xml")
        if response.status == 412 and not is_gone:    # RFC 3903 4.3: a server that has forgotten
            return await self.publish(device)
        if response.status != 200:
            raise Failed(f"{self.name} can't publish: {response.first_line}")
        if not is_gone:
            self.etags[device] = response.header("sip-etag")

    # --- who may watch

    async def answer(self, contact, rule):
        self.rules[contact] = rule
        if self.has_presence:
            await self.write_rules()
            return
        for dialog in [one for one in self.watchers.values() if one.contact == contact]:
            dialog.state = "active" if rule == "allow" else "terminated;reason=rejected"
            await self.notify(dialog)

    async def approve(self, contact):
        await self.answer(contact, "allow")

    async def deny(self, contact):
        await self.answer(contact, "block")

    block = deny

    async def write_rules(self):
        """RFC 5025, by RFC 4825: who is in no rule has to wait."""
        rules = "".join(
            f'<rule id="r{number}"><conditions><identity><one id="sip:{escape(contact)}"/></identity></conditions>'
            f"<actions><pr:sub-handling>{rule}</pr:sub-handling></actions><transformations/></rule>"
            for number, (contact, rule) in enumerate(self.rules.items()))
        body = ('<?xml version="1.0" encoding="UTF-8"?>\n<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" '
                f'xmlns:pr="urn:ietf:params:xml:ns:pres-rules">{rules}</ruleset>').encode()
        reader, writer = await asyncio.open_connection(*self.server)
        writer.write((f"PUT /xcap-root/pres-rules/users/{self.aor}/index HTTP/1.1\r\nHost: {self.server[0]}\r\n"
                      "Content-Type: application/auth-policy+xml\r\n"
                      f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
        status = await asyncio.wait_for(reader.readline(), WAIT_SECONDS)
        writer.close()
        if b" 20" not in status:
            raise Failed(f"{self.name} can't write rules: {status.decode()}")

    # --- whom it watches

    async def add(self, contact):
        await self.subscribe(f"sip:{contact}", 3600)

    async def remove(self, contact):
        for dialog in [one for one in self.watches.values() if one.contact == contact]:
            await self.request_in(dialog, "SUBSCRIBE", ("Event: presence", "Expires: 0"))
            self.watches.pop(dialog.call_id, None)
        self.seen.pop(contact, None)

    async def poll(self, contact):
        await self.subscribe(f"sip:{contact}", 0)

    async def subscribe(self, target, expires, event="presence", accept="application/pidf+xml"):
        unique = uuid.uuid4().hex
        dialog = Dialog(f"<{self.aor}>;tag={unique[:8]}", f"<{target}>", unique)
        dialog.contact, dialog.event = address_of(target), event
        dialog.target = target
        self.watches[unique] = dialog
        response = await self.request_in(dialog, "SUBSCRIBE", (
            f"Event: {event}", f"Accept: {accept}", f"Expires: {expires}"))
        if response.status >= 300:
            del self.watches[unique]
            self.tell("refused", dialog.contact, reason(response))
            return None
        dialog.their = response.header("to")
        dialog.take(response, reverse=True)
        return dialog

    # --- talk

    async def say(self, contact, text, receipt=False):
        if not receipt:
            await self.message(contact, text, "text/plain;charset=UTF-8")
            return
        unique = uuid.uuid4().hex[:16]
        self.receipts[unique] = text
        await self.message(contact, (
            f"From: <{self.aor}>\r\nTo: <sip:{contact}>\r\nNS: imdn <urn:ietf:params:imdn>\r\n"
            f"imdn.Message-ID: {unique}\r\nDateTime: 2026-11-26T12:00:00Z\r\n"
            "imdn.Disposition-Notification: positive-delivery\r\n\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}"), "message/cpim")

    async def type(self, contact, state="active"):
        await self.message(contact, (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<isComposing xmlns="{COMPOSING}"><state>{state}</state>'
            "</isComposing>"), "application/im-iscomposing+xml")

    async def stop_typing(self, contact):
        await self.type(contact, "idle")

    async def message(self, contact, body, content_type):
        response = await self.ask("MESSAGE", f"sip:{contact}", body, (), content_type)
        if response.status >= 300:
            self.tell("refused", contact, reason(response))

    # --- what comes

    def on_request(self, message, reply):
        self.ladder.arrow(self, "in", describe(message))
        answer = getattr(self, "on_" + message.method.lower(), None)
        if not answer:
            reply(self.agent.response(message, 200 if message.method == "OPTIONS" else 405))
            return
        answer(message, reply)

    def on_notify(self, message, reply):
        dialog = self.watches.get(message.header("call-id"))
        number = int(message.header("cseq").split()[0])
        if not dialog or number <= dialog.their_cseq:    # RFC 3261 12.2.2
            reply(self.agent.response(message, 500 if dialog else 481))
            return
        dialog.their_cseq = number
        reply(self.agent.response(message, 200))
        if not tag_of(dialog.their):
            dialog.their = message.header("from")
            dialog.take(message, reverse=False)
        was, dialog.state = dialog.state, message.header("subscription-state")
        word = dialog.state.split(";")[0]
        if dialog.event != "presence":
            self.on_watchers(message.body)
            return
        if word == "active" and not was.startswith("active"):
            self.tell("approved", dialog.contact)
        if message.body_bytes:
            self.seen[dialog.contact] = read_pidf(message.body)
        if word == "terminated":
            self.watches.pop(dialog.call_id, None)
            if "rejected" in dialog.state:
                self.seen.pop(dialog.contact, None)
                self.tell("denied", dialog.contact)

    def on_watchers(self, body):
        """RFC 3858: who asks to watch."""
        for watcher in ElementTree.fromstring(body).iter(WATCHER) if body else ():
            if watcher.get("status") in ("pending", "waiting") and watcher.get("event") == "subscribe":
                self.tell("asked", address_of(watcher.text))

    def on_subscribe(self, message, reply):
        if self.has_presence:    # that is the server's business
            reply(self.agent.response(message, 405))
            return
        call_id, expires = message.header("call-id"), int(message.header("expires") or 3600)
        dialog = self.watchers.get(call_id)
        if tag_of(message.header("to")) and not dialog:
            reply(self.agent.response(message, 481))
            return
        is_new = dialog is None
        if is_new:
            dialog = self.watchers[call_id] = Dialog(
                message.header("to") + f";tag={uuid.uuid4().hex[:8]}", message.header("from"), call_id)
            dialog.contact = address_of(message.header("from"))
        dialog.take(message, reverse=False)
        rule = self.rules.get(dialog.contact)
        dialog.state = {"allow": "active", "block": "terminated;reason=rejected"}.get(rule, "pending")
        if expires == 0:
            dialog.state = "terminated;reason=timeout"
        reply(self.agent.response(message, 200, to=dialog.our, headers=(
            f"Contact: <{self.contact}>", f"Expires: {expires}",
            *(f"Record-Route: {value}" for value in message.headers["record-route"]))))
        dialog.expires = expires
        if is_new and dialog.state == "pending":
            self.tell("asked", dialog.contact)
        asyncio.get_running_loop().create_task(self.notify(dialog, rule == "allow"))

    async def notify(self, dialog, allowed=None):
        shows = dialog.state == "active" or allowed
        devices = {name: one for name, one in self.devices.items()} or {"phone": ("offline", "")}
        state = dialog.state + (f";expires={dialog.expires}" if "reason" not in dialog.state else "")
        if "terminated" in dialog.state:
            self.watchers.pop(dialog.call_id, None)
        response = await self.request_in(
            dialog, "NOTIFY", ("Event: presence", f"Subscription-State: {state}"),
            pidf(self.aor, devices) if shows else "", "application/pidf+xml")
        if response.status == 481:
            self.watchers.pop(dialog.call_id, None)

    def on_message(self, message, reply):
        reply(self.agent.response(message, 200))
        sender, kind = address_of(message.header("from")), message.header("content-type").split(";")[0]
        body = message.body
        if kind == "message/cpim":
            head, _, rest = body.replace("\r\n", "\n").partition("\n\n")
            inner, _, body = rest.partition("\n\n")
            kind = re.search(r"(?i)content-type:\s*([^;\s]+)", inner)[1]
            wanted = re.search(r"(?i)imdn\.Message-ID:\s*(\S+)", head)
            if wanted and "positive-delivery" in head:
                asyncio.get_running_loop().create_task(self.confirm(sender, wanted[1]))
        if kind == "application/im-iscomposing+xml":
            self.tell("typing" if ">active<" in body else "stopped typing", sender)
        elif kind == "message/imdn+xml":
            unique = re.search(r"<message-id>\s*([^<\s]+)", body)
            if unique and "<delivered" in body:
                self.tell("receipt", sender, self.receipts.get(unique[1], unique[1]))
        else:
            self.tell("heard", sender, body.replace("\r\n", "\n"))

    async def confirm(self, contact, unique):
        """RFC 5438: it was delivered."""
        await self.message(contact, (
            f"From: <{self.aor}>\r\nTo: <sip:{contact}>\r\nNS: imdn <urn:ietf:params:imdn>\r\n"
            f"imdn.Message-ID: {uuid.uuid4().hex[:16]}\r\nDateTime: 2026-11-26T12:00:01Z\r\n\r\n"
            "Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\n\r\n"
            '<?xml version="1.0" encoding="UTF-8"?>\n<imdn xmlns="urn:ietf:params:xml:ns:imdn">'
            f"<message-id>{unique}</message-id><datetime>2026-11-26T12:00:00Z</datetime>"
            "<delivery-notification><status><delivered/></status></delivery-notification></imdn>"),
            "message/cpim")

    # --- on the wire

    @property
    def contact(self):
        return f"sip:{self.address.split('@')[0]}@{self.agent.address}:{self.agent.port};transport=tcp"

    async def ask(self, method, target, body, headers, content_type):
        dialog = Dialog(f"<{self.aor}>;tag={uuid.uuid4().hex[:8]}", f"<{target}>", uuid.uuid4().hex)
        dialog.target = target
        return await self.request_in(dialog, method, headers, body, content_type, contact=False)

    async def request_in(self, dialog, method, headers, body="", content_type="", contact=True):
        """Sends a request of a dialog through its server and returns the final response."""
        dialog.cseq += 1
        content = body.encode()
        lines = [f"{method} {dialog.target} SIP/2.0",
                 f"Via: SIP/2.0/TCP {self.agent.address}:{self.agent.port};rport;branch=z9hG4bK{uuid.uuid4().hex}",
                 "Max-Forwards: 70", *(f"Route: {one}" for one in dialog.route), f"From: {dialog.our}",
                 f"To: {dialog.their}", f"Call-ID: {dialog.call_id}", f"CSeq: {dialog.cseq} {method}",
                 *([f"Contact: <{self.contact}>"] if contact else []), *headers,
                 *([f"Content-Type: {content_type}"] if content else []), f"Content-Length: {len(content)}", "", ""]
        data = "\r\n".join(lines).encode() + content
        self.ladder.arrow(self, "out", describe(take_message(bytearray(data))))
        response = await self.agent.exchange(data, (dialog.call_id, f"{dialog.cseq} {method}"),
                                             f"the {method} for {dialog.target}", self.server)
        self.ladder.arrow(self, "in", f"{response.status} {method}")
        return response
