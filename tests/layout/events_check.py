"""Fails when an event is in the catalogue and nowhere raised, or when a test or a page speaks of an id that
is not in it. (That each has its French text is tests/core/base/event_test.cpp.)"""
import pathlib
import re
import sys

CATALOGUE = "core/base/event.hpp"


def faults(root):
    catalogue = (root / CATALOGUE).read_text()
    numbers = dict(re.findall(r"\{EventId::(k\w+), (\d+),", catalogue))
    files = [path for top in ("core", "net", "xml", "sip", "appliance", "bench", "tests")
             for path in (root / top).rglob("*") if path.suffix in (".cpp", ".hpp", ".py", ".md", ".1", ".8")]
    files += root.glob("*.md")
    raised, spoken = set(), {}
    for path in files:
        name = str(path.relative_to(root))
        text = path.read_text()
        if path.suffix in (".cpp", ".hpp") and name != CATALOGUE and not name.startswith(("tests/", "bench/")):
            raised.update(re.findall(r"EventId::(k\w+)", text))
        for number in re.findall(r"\bFG-(\d{4})\b", text):
            spoken.setdefault(number, name)
    for event in sorted(numbers.keys() - raised):
        yield f"{CATALOGUE}: {event} (FG-{numbers[event]}) is raised nowhere"
    for number in sorted(spoken.keys() - set(numbers.values())):
        yield f"{spoken[number]}: FG-{number} is not in the catalogue"


if __name__ == "__main__":
    found = list(faults(pathlib.Path(__file__).resolve().parents[2]))
    print("\n".join(found) or "events: each is raised, and each that is spoken of is in the catalogue")
    sys.exit(bool(found))
