"""The conversation of appliance/quickstart, on loopback, printed as a ladder with times."""
import asyncio
import pathlib
import signal
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))

from harness.process import Failed  # noqa: E402
from harness.sipp import Sipp  # noqa: E402
from harness.world import JULIET, ROMEO, World  # noqa: E402

LANES = ("juliet, XMPP", "Prosody", "Fedgate", "romeo, SIP")
LANE_WIDTH = 29


def say(text):
    print(f"quickstart: {text}", flush=True)


class Ladder:
    """Who sent what to whom: a lane each, an arrow a step. Times in ms since the ladder began."""

    def __init__(self):
        self.start = time.time()

    def head(self):
        print("\n" + " " * 11 + "".join(lane.ljust(LANE_WIDTH + 1) for lane in LANES).rstrip())

    def step(self, source, target, text, at=None):
        """An arrow between neighbouring lanes; without a time nobody but the programs saw it."""
        low = min(source, target)
        label = f" {text} "[:LANE_WIDTH - 2].center(LANE_WIDTH - 1, "-")
        arrow = f"{label}>" if source < target else f"<{label}"
        lanes = [arrow if lane == low else " " * LANE_WIDTH for lane in range(len(LANES) - 1)]
        shown = f"{(at - self.start) * 1000:7.1f} ms" if at else " " * 10
        print(f"{shown} |" + "|".join(lanes) + "|", flush=True)

    def gap(self):
        print(" " * 11 + "|".join([""] + [" " * LANE_WIDTH] * (len(LANES) - 1) + [""]), flush=True)


async def to_romeo(world, sipp, ladder, body):
    ladder.step(0, 1, f'"{body}"', time.time())
    world.juliet.message(ROMEO, body)
    event = await sipp.wait_for_body(body)
    ladder.step(1, 2, "stanza, S2S TLS")
    ladder.step(2, 3, "SIP MESSAGE", event.time)
    ladder.step(3, 2, "200 OK")


async def to_juliet(world, sipp, ladder, body):
    arrival = asyncio.create_task(timed(world.juliet.wait_for_body(body)))
    events = await sipp.send(f"sip:{ROMEO}", f"sip:{JULIET}", body, world.fedgate.sip)
    if not events:
        arrival.cancel()
        raise Failed("sipp sent nothing")
    ladder.step(3, 2, f'MESSAGE "{body}"', events[0].time)
    answer = events[-1] if events[-1].is_received else None
    if not answer or not answer.first_line.startswith("SIP/2.0 2"):
        arrival.cancel()
        raise Failed(f"the message of romeo was not accepted: "
                     f"{answer.first_line if answer else 'no answer'}")
    arrived = await arrival
    ladder.step(2, 1, "stanza, S2S TLS")
    # Fedgate answers once the stanza is written; Prosody may be faster or slower.
    for moment, arrow in sorted([(answer.time, (2, 3, answer.first_line[len("SIP/2.0 "):])),
                                 (arrived, (1, 0, "message"))]):
        ladder.step(*arrow, moment)


async def timed(waiting):
    await waiting
    return time.time()


def how_to_go_on(world, sipp):
    fedgate = world.fedgate
    control = f"build/release/bin/fedctl -s {fedgate.directory}/admin.sock"
    print(f"""
Fedgate stays up. Type a line and Enter: juliet says it to romeo; begin it with < and romeo says it.
Ctrl-C ends. In another terminal, in {ROOT}:

  {control} status
  {control} ports
  less {fedgate.configuration}
  less {fedgate.process.log}

An XMPP client: account {JULIET}, password secret, server {world.prosody.address} port 5222.
A SIP client:   sends MESSAGE for sip:{JULIET} to {fedgate.address} port 5060, UDP or TCP.
""", flush=True)


async def talk_until_interrupted(world, sipp, ladder):
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, lambda: ended.done() or ended.set_result(None))
    lines = asyncio.Queue()
    if sys.stdin.isatty():
        loop.add_reader(sys.stdin, lambda: lines.put_nowait(sys.stdin.readline()))
    while True:
        line = asyncio.ensure_future(lines.get())
        await asyncio.wait({line, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            line.cancel()
            return
        text = line.result().strip()
        try:
            if text.startswith("<"):
                await to_juliet(world, sipp, ladder, text[1:].strip())
            elif text:
                await to_romeo(world, sipp, ladder, text)
        except Failed as failure:
            say(str(failure))


async def converse(directory, once):
    sipp = Sipp(directory / "sipp")
    say("starting a certificate authority, DNS, Prosody, a SIP user (sipp) and Fedgate")
    world = World(directory, agent=sipp)
    try:
        await world.start()
        ladder = Ladder()
        ladder.head()
        await to_romeo(world, sipp, ladder, "Good morrow, Romeo")
        ladder.gap()
        await to_juliet(world, sipp, ladder, "So young a day?")
        say("both directions arrived")
        if not once:
            how_to_go_on(world, sipp)
            await talk_until_interrupted(world, sipp, ladder)
    except Failed:
        print(world.logs(), file=sys.stderr)
        raise
    finally:
        await world.stop()


def main():
    with tempfile.TemporaryDirectory(prefix="fedgate-quickstart-") as name:
        try:
            asyncio.run(converse(pathlib.Path(name), "--once" in sys.argv))
        except Failed as failure:
            sys.exit(f"quickstart: {failure}")


if __name__ == "__main__":
    main()
