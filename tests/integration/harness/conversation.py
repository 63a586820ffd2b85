"""Conversations that people can read, and their interpreter.

A script is a text of lines; `#` begins a remark. First who speaks, and between which servers:

    people: alice@xmpp bob@sip, alice@sip bob@xmpp
    servers: prosody+kamailio ejabberd+kamailio prosody+direct

Then one step a line, in the forms of FORMS below, from top to bottom. What somebody sees or hears is
waited for, 10 seconds unless the line begins with `within N s`. `...` in what is seen is any text. The
parts that can be started and ended are fedgate, the partner's server, and the pool: the SIP server.
Where only two people speak, `to WHOM` and `from WHOM` may be left out.
"""
import asyncio
import difflib
import pathlib
import re
import time
from dataclasses import dataclass

from .person import FOR_NOW, Ladder, matches
from .process import Failed, wait_until

WAIT_SECONDS = 10
SIDES = ("xmpp", "sip")
STATES = "online|chat|away|dnd|xa|offline"
WORDS = {"WHOM": r"(?P<whom>\w+)", "WHO": r"(?P<who>\w+)", "STATE": rf"(?P<state>{STATES})",
         '"TEXT"': r'"(?P<text>[^"]*)"', "DEVICE": r"(?P<device>\w+)", "COUNT": r"(?P<count>once|twice|never)",
         "PART": r"(?P<part>fedgate|partner|pool)"}
COUNTS = {"never": 0, "once": 1, "twice": 2}
FORMS = {}    # form -> (pattern, what it does)


class ScriptError(Exception):
    """The text of a script is wrong; the message begins with file and line."""


def form(text):
    """Square brackets: may be left out."""
    pattern = re.sub(r" \[(.*?)\]", r"(?: \1)?", text)
    for word, group in WORDS.items():
        pattern = re.sub(rf"(?<![<\w]){word}(?!\w)", lambda _: group, pattern)

    def keep(action):
        FORMS[text] = (re.compile(pattern), action)
        return action
    return keep


@dataclass(frozen=True)
class Step:
    line: int
    text: str
    action: object
    arguments: dict
    seconds: float


@dataclass(frozen=True)
class Script:
    path: pathlib.Path
    casts: list      # of name -> side
    servers: list    # of "prosody+kamailio"
    steps: list

    @property
    def name(self):
        return self.path.stem

    @property
    def disturbs_others(self):
        return any(step.action in (restart, kill, start, full, administers) for step in self.steps)


def parse(path, text=None):
    """The script of a file."""
    path = pathlib.Path(path)
    casts, servers, steps = [], [], []

    def wrong(number, why):
        raise ScriptError(f"{path.name}:{number}: {why}")
    for number, line in enumerate((path.read_text() if text is None else text).splitlines(), 1):
        line = re.sub(r'^((?:[^"#]|"[^"]*")*)#.*', r"\1", line).strip()
        if not line:
            continue
        header, _, rest = line.partition(":")
        if header == "people":
            casts = [read_cast(one, lambda why: wrong(number, why)) for one in rest.split(",")]
        elif header == "servers":
            servers = rest.split()
        elif not casts or not servers:
            wrong(number, "the first lines have to say people: and servers:")
        else:
            steps.append(read_step(number, line, list(casts[0]), lambda why: wrong(number, why)))
    if not steps:
        wrong(1, "there is no step")
    return Script(path, casts, servers, steps)


def parse_step(script, line):
    """One more step for the people of that script."""
    def wrong(why):
        raise ScriptError(why)
    return read_step(0, line, list(script.casts[0]), wrong)


def read_cast(text, wrong):
    cast = dict(one.partition("@")[::2] for one in text.split())
    if not cast or any(side not in SIDES for side in cast.values()):
        wrong(f"people are written alice@xmpp bob@sip, not {text.strip()!r}")
    return cast


def read_step(number, line, names, wrong):
    limit = re.match(r"within (\d+) s,? ", line)
    text = line[limit.end():] if limit else line
    for pattern, action in FORMS.values():
        if match := pattern.fullmatch(text):
            arguments = match.groupdict()
            others = [name for name in names if name != arguments.get("who")]
            if "whom" in arguments and arguments["whom"] is None and len(others) == 1:
                arguments["whom"] = others[0]
            for word in ("who", "whom"):
                if word in arguments and arguments[word] not in names:
                    wrong(f"{arguments[word]} is none of the people ({', '.join(names)})")
            return Step(number, line, action, arguments, float(limit[1]) if limit else WAIT_SECONDS)
    wrong(f"{text!r} is no step{nearest(text, names)}")


def nearest(text, names):
    """The form that such a line was perhaps meant to have."""
    shape = re.sub(r'"[^"]*"', '"TEXT"', text)
    words = iter(["WHO", "WHOM"])
    shape = re.sub("|".join(rf"\b{name}\b" for name in names), lambda m: next(words, "WHOM"), shape)
    shape = re.sub(rf"\b(?:{STATES})\b", "STATE", shape)
    plain = {one.replace("[", "").replace("]", ""): one for one in FORMS}
    plain.update({re.sub(r" \[.*?\]", "", one): one for one in FORMS})
    found = difflib.get_close_matches(shape, plain, 1, 0.4)
    return f"; did you mean {plain[found[0]]!r}?" if found else ""


class Play:
    """One script with one cast in a world (conversation_world.py) that makes the people. account: tells the
    name of each on the net; show: is given the lines of the ladder as they come."""

    def __init__(self, script, cast, world, account=None, show=None):
        self.script, self.cast, self.world = script, cast, world
        self.ladder = Ladder(*world.titles, show)
        self.people = {name: world.person(self.ladder, name, side, (account or own_account)(script, cast, name))
                       for name, side in cast.items()}
        self.seconds = WAIT_SECONDS

    def __str__(self):
        return f"{self.script.name} ({' '.join(f'{name}@{side}' for name, side in self.cast.items())})"

    async def run(self):
        try:
            await self.begin()
            for step in self.script.steps:
                await self.take(step)
        finally:
            await self.end()

    async def begin(self):
        """Everybody is online when a script begins."""
        try:
            for person in self.people.values():
                await person.come_online()
        except Exception as failure:
            raise self.failed("coming online", failure) from failure

    async def take(self, step):
        self.ladder.step(step.text)
        self.seconds = step.seconds
        try:
            await step.action(self, **step.arguments)
        except Exception as failure:
            where = f"{self.script.path.name}:{step.line}: " if step.line else ""
            raise self.failed(where + step.text, failure) from None if isinstance(failure, Failed) else failure

    def failed(self, where, failure):
        """What people are told of it; they have seen the ladder if it was shown."""
        why = str(failure) if isinstance(failure, Failed) else repr(failure)
        return Failed(f"{self} failed at {where}\n{why}" + ("" if self.ladder.show else "\n" + self.ladder.text()))

    async def end(self):
        for person in self.people.values():
            await person.stop()

    def pair(self, who, whom):
        return self.people[who], self.people[whom].address


def own_account(script, cast, name):
    """Its own for each script and cast, so that many can be played in one world."""
    return f"{name}.{script.name}.{cast[name][0]}"


def accounts(scripts):
    """Those of the XMPP people of all these."""
    return [own_account(script, cast, name) for script in scripts for cast in script.casts
            for name, side in cast.items() if side == "xmpp"]


# --- what there is to say

@form("WHO comes online")
async def comes_online(play, who):
    await play.people[who].come_online()


@form("WHO goes offline [on DEVICE]")
async def goes_offline(play, who, device):
    await play.people[who].go_offline(device)


@form("WHO reconnects")
async def reconnects(play, who):
    await play.people[who].reconnect()


@form('WHO is STATE [on DEVICE] ["TEXT"]')
async def is_state(play, who, state, device, text):
    await play.people[who].set_state(state, text or "", device)


# What somebody does to somebody: the name of the person's method, and more that it is given.
DOES = {
    "WHO adds WHOM": ("add",),
    "WHO removes WHOM": ("remove",),
    "WHO polls WHOM": ("poll",),
    "WHO approves [WHOM]": ("approve",),
    "WHO denies [WHOM]": ("deny",),
    "WHO blocks WHOM": ("block",),
    "WHO types [to WHOM]": ("type",),
    "WHO stops typing [to WHOM]": ("stop_typing",),
    'WHO says "TEXT" [to WHOM]': ("say",),
    'WHO says "TEXT" [to WHOM] and wants a receipt': ("say", True),
}
# What somebody is told once: its name among those that Person.tell() is given, and the text if there is none here.
IS_TOLD = {
    'WHO hears "TEXT" [from WHOM]': ("heard",),
    'WHO gets a receipt for "TEXT" [from WHOM]': ("receipt",),
    "WHO sees WHOM typing": ("typing", ""),
    "WHO sees WHOM stop typing": ("stopped typing", ""),
    "WHO sees WHOM asks": ("asked", ""),
    "WHO sees WHOM approves": ("approved", ""),
    "WHO sees WHOM denies": ("denied", ""),
    "WHO is refused [by WHOM]": ("refused", "..."),
    "WHO is refused for now [by WHOM]": ("refused", "..." + FOR_NOW),
    'WHO is refused as "TEXT" [by WHOM]': ("refused",),
}


def does(what, *more):
    async def act(play, who, whom, text=None):
        person, other = play.pair(who, whom)
        await getattr(person, what)(other, *([] if text is None else [text]), *more)
    return act


def is_told(kind, pattern=None):
    async def wait(play, who, whom, text=pattern):
        person, other = play.pair(who, whom)
        await person.expect(kind, other, text, play.seconds)
    return wait


for rows, make in ((DOES, does), (IS_TOLD, is_told)):
    for text, row in rows.items():
        form(text)(make(*row))


@form('WHO says "TEXT" [to WHOM] until it is taken')
async def says_until_taken(play, who, text, whom):
    """As people do while a server is on its way back: a second after a refusal they try again."""
    person, other = play.pair(who, whom)
    end = time.monotonic() + play.seconds

    def fate():
        refused = [one for one in person.told if one[:2] == ("refused", other)]
        return refused or ("heard", person.address, text) in play.people[whom].told
    while True:
        await person.say(other, text)
        refused = await wait_until(fate, f"{whom} hears it, or {who} is refused", play.seconds)
        if refused is True:
            return
        if time.monotonic() >= end:
            raise Failed(f"{who} is refused: {refused[0][2]}")
        person.told = [one for one in person.told if one not in refused]
        await asyncio.sleep(1)


@form('WHO sees WHOM STATE [on DEVICE] ["TEXT"]')
async def sees_state(play, who, whom, state, device, text):
    person, other = play.pair(who, whom)
    await person.expect_state(other, state, text, device, play.seconds)


@form("WHO sees WHOM gone")
async def sees_gone(play, who, whom):
    person, other = play.pair(who, whom)
    await person.expect_gone(other, play.seconds)


@form("WHO was asked COUNT [by WHOM]")
async def was_asked(play, who, count, whom):
    person, other = play.pair(who, whom)
    if person.asked.get(other, 0) != COUNTS[count]:
        raise Failed(f"{who} was asked {person.asked.get(other, 0)} times")


@form("restart PART")
async def restart(play, part):
    await play.world.stop_part(part)
    await play.world.start_part(part)


@form("kill PART")
async def kill(play, part):
    await play.world.kill_part(part)


@form("start PART")
async def start(play, part):
    await play.world.start_part(part)


@form("the disk of fedgate is full")
async def full(play):
    play.world.fedgate.set_disk_full(True)


@form("the disk of fedgate has room")
async def has_room(play):
    play.world.fedgate.set_disk_full(False)


@form('the policy of WHO is "TEXT"')
async def has_policy(play, who, text):
    """As an administrator does it, for a SIP person; null: none of his own."""
    await play.world.fedgate.control("user", "grant", text, play.people[who].address)


@form('fedctl takes "TEXT"')
async def administers(play, text):
    """A change that concerns everybody."""
    await play.world.fedgate.control(*text.split())


@form('fedctl status shows "TEXT"')
async def status_shows(play, text):
    async def said():
        return matches(text, await play.world.fedgate.control("status"))
    try:
        await wait_until(said, "", play.seconds)
    except Failed:
        raise Failed(f"it shows: {await play.world.fedgate.control('status')}") from None


def plays(scripts, servers, world):
    """All of those that are for these servers, the quiet ones first."""
    mine = [script for script in scripts if servers in script.servers]
    return [Play(script, cast, world) for script in sorted(mine, key=lambda one: (one.disturbs_others, one.name))
            for cast in script.casts]
