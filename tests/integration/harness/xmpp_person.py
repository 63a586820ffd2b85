"""A person on the XMPP side, as a script of conversations knows one: slixmpp clients of one account."""
import asyncio
import logging

logging.getLogger("slixmpp").setLevel(logging.CRITICAL)    # it speaks when it is loaded

import slixmpp
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from .person import FOR_NOW, Person
from .process import WAIT_SECONDS, Failed, wait_until
from .xmpp_client import error_of

HOME = "home"
PLUGINS = ("xep_0030", "xep_0085", "xep_0092", "xep_0184", "xep_0199")


def describe(stanza):
    kind = stanza.get("type", "")
    if stanza.tag.endswith("}presence"):
        show, status = (stanza.findtext("{jabber:client}" + name) for name in ("show", "status"))
        return (kind or show or "available") + (f' "{status}"' if status else "")
    body = stanza.findtext("{jabber:client}body")
    words = [f'"{body}"'] if body else []
    words += [child.tag.rpartition("}")[2] for child in stanza if child.tag[1:].startswith(
        ("urn:xmpp:receipts", "http://jabber.org/protocol/chatstates"))]
    return " ".join(["error"] * (kind == "error") + words) or "message"


def reason(stanza):
    """Of a refusal. slixmpp does not know all conditions of RFC 6120."""
    kind, condition = error_of(stanza.xml)
    return condition + (FOR_NOW if kind == "wait" else "")


class XmppPerson(Person):
    """server: the address of her server's port for clients."""

    side = "XMPP"

    def __init__(self, ladder, name, address, password, server):
        super().__init__(ladder, name, address)
        self.password, self.server = password, server
        self.clients, self.texts = {}, {}
        self.present = set()    # devices whose presence the server has taken

    async def log_in(self, device):
        client = slixmpp.ClientXMPP(f"{self.address}/{device}", self.password, plugin_config={
            "feature_mechanisms": {"unencrypted_plain": True}})
        for plugin in PLUGINS:
            client.register_plugin(plugin)
        # Whom she lets see her is for the script to say.
        client.auto_authorize, client.auto_subscribe = None, False
        send = client.send

        def show_and_send(stanza, use_filters=True):
            self.show(stanza, "out")
            send(stanza, use_filters)
        client.send = show_and_send
        ready = asyncio.get_running_loop().create_future()

        def settle(error):
            if not ready.done():
                ready.set_exception(error) if error else ready.set_result(None)
        client.add_event_handler("session_start", lambda _: settle(None))
        client.add_event_handler("failed_auth", lambda _: settle(Failed(f"{self.address} can't log in")))
        client.add_filter("in", lambda stanza: self.show(stanza, "in"))
        client.register_handler(Callback("her presence", MatchXPath("{jabber:client}presence"),
                                         lambda stanza: self.on_presence(device, stanza)))
        client.add_event_handler("message", self.on_message)
        client.add_event_handler("message_error", lambda stanza: self.tell(
            "refused", stanza["from"].bare, reason(stanza)))
        client.add_event_handler("receipt_received", lambda stanza: self.tell(
            "receipt", stanza["from"].bare, self.texts.get(stanza["receipt"])))
        for state in ("composing", "paused", "active", "inactive", "gone"):
            client.add_event_handler(f"chatstate_{state}", self.on_chat_state)
        client.connect(self.server, disable_starttls=True)
        await asyncio.wait_for(ready, WAIT_SECONDS)
        await client.get_roster()
        self.clients[device] = client
        return client

    def show(self, stanza, direction):
        """What concerns people of the other side goes into the ladder."""
        other = stanza["to" if direction == "out" else "from"]
        if isinstance(stanza, (slixmpp.Message, slixmpp.Presence)) and (
                direction == "out" or other.bare != self.address):
            self.ladder.arrow(self, direction, describe(stanza.xml))
        return stanza

    # --- on and off

    async def come_online(self):
        await self.set_state("online", "", None)

    async def set_state(self, state, note, device):
        device = device or HOME
        is_new = device not in self.clients
        client = await self.log_in(device) if is_new else self.clients[device]
        client.send_presence(pshow=None if state == "online" else state, pstatus=note or None)
        if is_new:    # before her own presence is back, what is for her may find nobody
            await wait_until(lambda: device in self.present, f"{self.name} is online on {device}")

    async def go_offline(self, device=None):
        for name in [device] if device else list(self.clients):
            client = self.clients.pop(name)
            self.present.discard(name)
            client.send_presence(ptype="unavailable")
            await client.disconnect()
        if not self.clients:
            self.seen.clear()

    async def reconnect(self):
        """Without a farewell."""
        await self.stop()
        self.seen.clear()
        await self.come_online()

    async def stop(self):
        for client in self.clients.values():
            client.abort()
            client._run_out_filters.cancel()    # a task that abort() forgets
        self.clients.clear()
        self.present.clear()

    @property
    def client(self):
        if not self.clients:
            raise Failed(f"{self.name} is not online")
        return next(iter(self.clients.values()))

    # --- contacts

    def presence(self, contact, kind):
        self.client.send_presence(pto=contact, ptype=kind)

    async def add(self, contact):
        self.presence(contact, "subscribe")

    async def remove(self, contact):
        self.presence(contact, "unsubscribe")
        self.seen.pop(contact, None)

    async def approve(self, contact):
        self.presence(contact, "subscribed")

    async def deny(self, contact):
        self.presence(contact, "unsubscribed")

    block = deny

    def on_presence(self, device, stanza):
        contact = stanza["from"].bare
        if stanza["from"].full == f"{self.address}/{device}" and "type" not in stanza.xml.attrib:
            self.present.add(device)
        if contact == self.address or next(iter(self.clients), HOME) != device:
            return    # each of her clients is told the same
        kind, resource = stanza.xml.get("type"), stanza["from"].resource
        told = {"subscribe": "asked", "subscribed": "approved", "unsubscribed": "denied",
                "error": "refused"}.get(kind)
        if told:
            self.tell(told, contact, reason(stanza) if kind == "error" else "")
            return
        devices = self.seen.setdefault(contact, {})
        note = stanza.xml.findtext("{jabber:client}status") or ""
        if kind is None:
            devices[resource] = (stanza.xml.findtext("{jabber:client}show") or "online", note)
        elif kind == "unavailable":
            for name in [resource] if resource else list(devices) or [""]:
                devices[name] = ("offline", note)

    # --- talk

    async def say(self, contact, text, receipt=False):
        stanza = self.client.make_message(mto=contact, mbody=text, mtype="chat")
        stanza["id"] = self.client.new_id()
        stanza["chat_state"] = "active"
        if receipt:
            stanza["request_receipt"] = True
        self.texts[stanza["id"]] = text
        stanza.send()

    async def type(self, contact, state="composing"):
        stanza = self.client.make_message(mto=contact, mtype="chat")
        stanza["chat_state"] = state
        stanza.send()

    async def stop_typing(self, contact):
        await self.type(contact, "paused")

    def on_message(self, stanza):
        if stanza["body"]:
            self.tell("heard", stanza["from"].bare, stanza["body"])

    def on_chat_state(self, stanza):
        if not stanza["body"]:
            self.tell("typing" if stanza["chat_state"] == "composing" else "stopped typing",
                      stanza["from"].bare)
