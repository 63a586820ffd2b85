"""The conversation of appliance/quickstart (quickstart.txt), on loopback, printed as a ladder with times."""
import asyncio
import pathlib
import signal
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))

from harness.conversation import Play, ScriptError, parse, parse_step  # noqa: E402
from harness.conversation_world import PASSWORD, ConversationWorld  # noqa: E402
from harness.process import Failed  # noqa: E402

SCRIPT = pathlib.Path(__file__).with_suffix(".txt")


def say(text):
    print(f"quickstart: {text}", flush=True)


def how_to_go_on(world, play):
    fedgate, juliet = world.fedgate, play.people["juliet"].address
    control = f"build/release/bin/fedctl -s {fedgate.directory}/admin.sock"
    print(f"""
Fedgate stays up. Type a line and Enter: juliet says it to romeo; begin it with < and romeo says it.
Or a step as above: romeo is away "for lunch"
Ctrl-C ends. In another terminal, in {ROOT}:

  {control} status
  {control} ports
  less {fedgate.configuration}
  less {fedgate.process.log}

An XMPP client: account {juliet}, password {PASSWORD}, server {world.partner.address} port 5222.
A SIP client:   sends MESSAGE for sip:{juliet} to {fedgate.address} port 5060, UDP or TCP.
""", flush=True)


def read_step(play, line):
    """A line as typed: a step, or what one says to the other."""
    try:
        return parse_step(play.script, line)
    except ScriptError:
        who, whom, text = ("romeo", "juliet", line[1:].strip()) if line.startswith("<") else ("juliet", "romeo", line)
        text = text.replace('"', "'")
        return parse_step(play.script, f'{who} says "{text}" to {whom}')


async def talk_until_interrupted(play):
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
        try:
            if text := line.result().strip():
                await play.take(read_step(play, text))
        except Failed as failure:
            say(str(failure))


async def converse(directory, once):
    say("starting a certificate authority, DNS, Prosody, a SIP user agent and Fedgate")
    script = parse(SCRIPT)
    world = ConversationWorld(directory, script.servers[0], ["juliet"])
    world.titles = "juliet, XMPP, at Prosody", "romeo, SIP"
    try:
        await world.start()
        print(flush=True)
        play = Play(script, script.casts[0], world, lambda script, cast, name: name,
                    lambda line: print(line, flush=True))
        try:
            await play.begin()
            for step in script.steps:
                await play.take(step)
            say("every step arrived")
            if not once:
                how_to_go_on(world, play)
                await talk_until_interrupted(play)
        finally:
            await play.end()
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
