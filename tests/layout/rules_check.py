"""Fails when an interworking rule that is implemented has no test, or a test cites a rule nobody lists.

Usage: rules_check.py [ROOT], by default the repository of this file. The rules are those of rules.txt
next to this script; a test cites a rule by its id in a name, a string, a comment or a remark, `A-1..3` means
A-1, A-2 and A-3.
"""
import pathlib
import re
import sys

ID = re.compile(r"\b([A-Z][A-Z0-9]*)-(L?)(\d+)(?:\.\.(?:\1-)?(\d+))?(?!\w)")
TESTS = (("tests", "*_test.cpp"), ("tests/integration", "*.py"), ("tests/integration", "*.txt"))


def ids(text):
    for prefix, local, first, last in ID.findall(text):
        for number in range(int(first), int(last or first) + 1):
            yield f"{prefix}-{local}{number}"


def read_rules(text):
    """The rules that are implemented, those left out, and the faults of the list itself."""
    implemented, left_out, faults = set(), set(), []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#")[0].strip()
        names, colon, reason = line.partition(":")
        if line and ID.sub("", names).strip():
            faults.append(f"rules.txt:{number}: not a list of ids: {names.strip()}")
        if colon and not reason.strip():
            faults.append(f"rules.txt:{number}: no reason given for {names.strip()}")
        for rule in ids(names):
            if rule in implemented | left_out:
                faults.append(f"rules.txt:{number}: {rule} is listed twice")
            (left_out if colon else implemented).add(rule)
    return implemented, left_out, faults


def cited_in(root):
    """Rule -> the first place that cites it."""
    cited = {}
    for folder, pattern in TESTS:
        for path in sorted((root / folder).rglob(pattern)):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                for rule in ids(line):
                    cited.setdefault(rule, f"{path.relative_to(root)}:{number}")
    return cited


def faults(root):
    rules = root / "tests/layout/rules.txt"
    implemented, left_out, found = read_rules(rules.read_text())
    cited = cited_in(root)
    found += [f"{rule}: no test cites it" for rule in sorted(implemented - cited.keys())]
    prefixes = {rule.split("-")[0] for rule in implemented | left_out}
    for rule, place in sorted(cited.items()):
        if rule.split("-")[0] in prefixes and rule not in implemented | left_out:
            found.append(f"{place}: {rule} is in no list of rules.txt")
    return found


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]
    found = faults(root)
    print("\n".join(found) or "rules: each one has a test")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
