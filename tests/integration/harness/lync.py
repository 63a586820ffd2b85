"""Lync as sipp plays it: the scenarios of tests/scenario/lync, over TCP, or TLS by a relay."""
import pathlib

from .process import Failed, Process, free_port, is_listening
from .sipp import Sipp, read_events

SCENARIOS = pathlib.Path(__file__).parents[2] / "scenario" / "lync"
STATUS = {"uas_refuses": "480 Temporarily Unavailable", "uas_refuses_text": "415 Unsupported Media Type"}


def told(events):
    return "\n".join(f"{event.time:.2f} {'<' if event.is_received else '>'} {event.first_line} {event.body[:80]!r}"
                     for event in events)


class Lync(Sipp):
    """answer: the scenario of what comes, by name; status: instead of the one that it refuses with. None: it is one
    who calls; what comes to its pool is for the call."""

    def __init__(self, directory, transport="tcp", answer="uas_accepts", status=None, domain="corp.example"):
        scenario = answer and (SCENARIOS / f"{answer}.xml").read_text()
        if status:
            scenario = scenario.replace(STATUS[answer], status)
        super().__init__(directory, transport, answer=scenario)
        self.domain, self.port = domain, None
        self.contacts = {}    # by port: what leads to it

    def command(self, scenario, name, port, *more):
        keys = {"me": f"sip:romeo@{self.domain}", "contact": self.contacts[port]}
        return super().command(scenario, name, port, *more, *(
            part for key, value in keys.items() if f"-key {key}" not in " ".join(map(str, more))
            for part in ("-key", key, value)))

    async def listen(self):
        """A port, and for TLS what leads to it."""
        port = free_port(self.address)
        at = (self.address, port)
        if self.transport == "tls":
            at = await self.relay(at, outward=False)
        self.contacts[port] = f"sip:romeo@{at[0]}:{at[1]};transport={self.transport}"
        return port

    async def start(self):
        self.port = self.port or await self.listen()
        self.messages = self.directory / "answer.messages"
        if not self.answer:
            return self
        self.process = await Process("sipp", self.command(self.answer, "answer", self.port),
                                     self.directory / "answer.log").start()
        await self.process.wait_for(lambda: is_listening(self.address, self.port), "sipp's port")
        return self

    def events(self):
        return read_events(self.messages)

    def told(self):
        """What this pool sent and received, a line each."""
        return told(self.events())

    def heard(self, method):
        """The requests of that method that came, in order."""
        return [event for event in self.events() if event.is_received and event.first_line.startswith(method + " ")]

    async def wait_for_request(self, method, count=1):
        return await self.process.wait_for(lambda: len(self.heard(method)) >= count and self.heard(method)[count - 1],
                                           f"{count} x {method} at sipp")

    async def call(self, name, peer, to, me=None):
        """Plays a scenario that begins; fails unless all its checks were met. Returns its events."""
        port = await self.listen() if self.answer else self.port
        at = await self.relay(to, outward=True) if self.transport == "tls" else to
        more = ["-key", "me", me] if me else []
        process = await Process("sipp", self.command(
            (SCENARIOS / f"{name}.xml").read_text(), name, port, f"{at[0]}:{at[1]}", "-key", "peer", peer, *more,
            "-m", "1", "-timeout", "15", "-timeout_error"), self.directory / f"{name}.log").start()
        status = await process.exit_status(20)
        events = read_events(self.directory / f"{name}.messages")
        if status != 0:
            errors = self.directory / f"{name}.errors"
            raise Failed(f"{name}: sipp says {status}\n{told(events)}\n"
                         f"{errors.read_text(errors='replace')[-1500:] if errors.exists() else ''}")
        return events

    @property
    def uri(self):
        return f"sip:{self.contacts[self.port].partition('@')[2]}"


