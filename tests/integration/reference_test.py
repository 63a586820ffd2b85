"""appliance/REFERENCE.md: each step of the reference document, as it stands there, from top to bottom."""
import asyncio
import pathlib
import re
import shlex
import unittest
from dataclasses import dataclass

from harness.process import Failed, wait_until
from harness.world import ROMEO, SIP_DOMAIN, PeerTest, World
from link_test import Split

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "appliance/REFERENCE.md"
STEPS = [str(number) for number in range(1, 26)] + [f"T{number}" for number in range(1, 13)]
# Those that the document prints to be typed.
LINES = ("Stop-CsWindowsService", "Start-CsWindowsService",
         "New-CsExternalAccessPolicy -Identity <name of policy to create.  If site scope, prepend with",
         "New-CsExternalAccessPolicy -Identity FedPic -EnableFederationAcces $true -EnablePublicCloudAccess $true",
         "Get-CsUser | Grant-CsExternalAccessPolicy -PolicyName FedPic",
         "Set-CsExternalAccessPolicy -Identity <name of the policy being used> EnableXmppAccess $true",
         "Set-CsExternalAccessPolicy -Identity FedPic -EnableXmppAccess $true",
         "ano | findstr 5269", "ano | findstr 23456")
KEYS = {"core.threads": 2, "policy/global/federation_access": "no", "policy/global/xmpp_access": "no"}


@dataclass
class Row:
    line: int
    steps: list
    command: str    # the last one of its cell that fedctl takes; empty: it is done elsewhere
    node: str
    refused: bool
    prints: list


def steps_of(text):
    first, _, last = text.partition("-")
    return [str(number) for number in range(int(first), int(last) + 1)] if last else [text]


def read_rows():
    for number, line in enumerate(DOCUMENT.read_text().splitlines(), 1):
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) != 5 or cells[0] == "step" or cells[0].startswith("---"):
            continue
        commands = [one for one in re.findall("`([^`]+)`", cells[2]) if one.startswith("fedctl ")]
        node, _, refused = cells[3].partition(", ")
        yield Row(number, steps_of(cells[0]), commands[-1] if commands else "", node, bool(refused),
                  re.findall("`([^`]+)`", cells[4]))


ROWS = list(read_rows())


class ReferenceWorld(Split, World):
    pass


class Reference(PeerTest):
    def test_every_step_and_every_line_has_a_row(self):
        known = {step for row in ROWS for step in row.steps}
        self.assertEqual([step for step in STEPS if step not in known], [])
        commands = "\n".join(row.command for row in ROWS)
        self.assertEqual([line for line in LINES if line not in commands], [])
        for row in ROWS:
            if row.command:
                self.assertTrue(row.prints, row)
                self.assertIn(row.node, ("gateway", "edge"), row)

    async def run_row(self, row, node):
        words = [str(self.directory / word) if word in ("people.csv", "partners.txt") else word
                 for word in shlex.split(row.command)[1:]]
        try:
            output = await node.control(*words)
            self.assertFalse(row.refused, f"line {row.line}: {row.command} was not refused")
        except Failed as failure:
            output = str(failure)
            self.assertTrue(row.refused, f"line {row.line}: {output}")
        return output

    async def check(self, row, node):
        """Some are so a moment later: links, streams and nodes that have a commit."""
        changes = any(word in row.command for word in ("cert request", " 'Request-", " 'New-", " 'Set-", " 'Remove-", " 'Grant-", "import", "-w "))
        patterns = [re.sub(r"(\\ )*\\\.\\\.\\\.(\\ )*", ".*", re.escape(one)) for one in row.prints]
        either = len(patterns) == 2 and row.command == "fedctl config log" and "nothing" in patterns[1]
        output = ""

        async def right():
            nonlocal output
            output = await self.run_row(row, node)
            found = [re.search(one, output, re.DOTALL) for one in patterns]
            return any(found) if either else all(found)
        if changes or row.refused:
            self.assertTrue(await right(), f"line {row.line}: {row.command}\n{output}")
            return
        try:
            await wait_until(right, "", 10)
        except Failed:
            self.fail(f"line {row.line}: {row.command}\n{output}")

    async def test_each_row(self):
        world = await self.world(of=ReferenceWorld, keys=KEYS)
        fedgate = world.fedgate
        (self.directory / "people.csv").write_text(
            f"sip_address,name\n{ROMEO},Romeo Montague\nbenvolio@{SIP_DOMAIN},Benvolio\n")
        (self.directory / "partners.txt").write_text(
            "Identity : jabber.example\nTlsNegotiation : Optional\nSaslNegotiation : Optional\n")
        self.assertEqual((await world.send_from_romeo("before")).status, 403)
        for row in ROWS:
            if not row.command:
                continue
            with self.subTest(f"{DOCUMENT.name}:{row.line}: {row.command}"):
                node = fedgate.edges[0] if row.node == "edge" else fedgate.gateway
                await self.check(row, node)
                if "Stop-CsWindowsService" in row.command:
                    await asyncio.wait_for(node.process.child.wait(), 15)
                    self.assertEqual(node.process.child.returncode, 0)
                    await node.start()    # as a supervisor does
                    await wait_until(fedgate.is_joined, "all links")
                if "that they may now" in DOCUMENT.read_text().splitlines()[row.line - 1]:
                    await self.both_ways(world)
        await self.both_ways(world)

    async def both_ways(self, world):
        self.assertEqual((await world.send_from_romeo("to XMPP")).status, 200)
        await world.juliet.wait_for_body("to XMPP")
        world.juliet.message(ROMEO, "to SIP")
        await world.agent.wait_for_message("to SIP")


if __name__ == "__main__":
    unittest.main()
