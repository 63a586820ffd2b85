"""What the people of a conversation have in common, on whichever side: what they see, and the ladder."""
import re
import time

from .process import Failed, wait_until

ARROW_WIDTH = 34
NAME_WIDTH = 8
FOR_NOW = ", for now"    # of a refusal: it is worth while to try later


class Ladder:
    """Who sent what when: people of XMPP on the left of Fedgate, those of SIP on its right. show: is given each
    line as it comes."""

    def __init__(self, left="XMPP", right="SIP", show=None):
        self.start, self.lines, self.show = time.monotonic(), [], show
        width = NAME_WIDTH + ARROW_WIDTH
        self.append(f"{'':10}  {left:<{width - 3}}Fedgate{right:>{width - 3}}")

    def append(self, line):
        self.lines.append(line)
        if self.show:
            self.show(line)

    def add(self, text):
        self.append(f"{time.monotonic() - self.start:8.3f} s  {text}")

    def step(self, text):
        self.append(f"{'':10}  == {text}")

    def arrow(self, person, direction, text):
        text = f" {text} "[:ARROW_WIDTH - 3]
        to_right = (person.side == "XMPP") == (direction == "out")
        line = "-" + text.ljust(ARROW_WIDTH - 2, "-") + ">" if to_right else "<" + text.rjust(ARROW_WIDTH - 2, "-") + "-"
        name = person.name[:NAME_WIDTH - 1]
        if person.side == "XMPP":
            self.add(f"{name:<{NAME_WIDTH}}{line}|")
        else:
            self.add(f"{'':{NAME_WIDTH + ARROW_WIDTH}}|{line} {name}")

    def text(self):
        return "\n".join(self.lines)


class Person:
    """name: in the script; address: on the net. seen: contact -> device -> (state, note).

    What happens to her and is no state (somebody asks, writes, types) is told once: expect() takes it.
    """

    side = ""

    def __init__(self, ladder, name, address):
        self.ladder, self.name, self.address = ladder, name, address
        self.seen, self.told, self.asked = {}, [], {}

    def tell(self, kind, contact, text=""):
        if kind == "asked":
            self.asked[contact] = self.asked.get(contact, 0) + 1
        self.told.append((kind, contact, text))

    async def expect(self, kind, contact, text, seconds):
        """Takes out the first of this kind."""
        def find():
            return next((one for one in self.told if one[:2] == (kind, contact) and matches(text, one[2] or "")), None)
        try:
            self.told.remove(await wait_until(find, "", seconds))
        except Failed:
            rest = [" ".join(filter(None, (kind, repr(text) if text else "", f"by {who}"))) for kind, who, text in self.told]
            raise Failed(f"{self.name} has noticed {'; '.join(rest) or 'nothing that no step has named'}") from None

    async def expect_state(self, contact, state, note, device, seconds):
        def find():
            self.look()
            return self.sees(contact, state, note, device)
        try:
            await wait_until(find, "", seconds)
        except Failed:
            raise Failed(f"{self.name} sees: {self.shown(contact)}") from None

    async def expect_gone(self, contact, seconds):
        """Nothing is known of the contact, or nothing good."""
        try:
            await wait_until(lambda: all(state == "offline" for state, _ in self.seen.get(contact, {}).values()),
                             "", seconds)
        except Failed:
            raise Failed(f"{self.name} sees: {self.shown(contact)}") from None

    def look(self):
        """For one whose program shows states only when asked."""

    def sees(self, contact, state, note, device):
        devices = self.seen.get(contact)
        if devices is None:
            return state == "offline" and device is None and note is None and self.side == "XMPP"
        known = [one for name, one in devices.items() if device in (None, name)]
        if state == "offline":
            return (all(one[0] == "offline" for one in known)
                    and (note is None or any(matches(note, one[1]) for one in known)))
        return any(one[0] == state and (note is None or matches(note, one[1])) for one in known)

    def shown(self, contact):
        devices = self.seen.get(contact)
        if not devices:
            return "nothing of that contact" if devices is None else "a document without a device"
        return ", ".join(f'{state} on {name}' + (f' "{note}"' if note else "")
                         for name, (state, note) in devices.items())


def matches(pattern, text):
    """... in a pattern is any text."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("..."))), text, re.DOTALL) is not None
