"""fedctl sysctl against a running daemon: the numbers are those of its acceptance checks."""
import asyncio
import json
import os
import pathlib
import time
import unittest

from harness.process import Failed
from harness.world import ROMEO, XMPP_DOMAIN, PeerTest

KEY = "im.max_bytes"


class Sysctl(PeerTest):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.one = await self.world()

    async def sysctl(self, *words, text=None):
        return await self.one.fedgate.control("sysctl", *words, text=text)

    async def value(self, key=KEY):
        return (await self.sysctl("-n", key)).strip()

    async def refused(self, *words, text=None):
        try:
            await self.sysctl(*words, text=text)
        except Failed as refusal:
            return str(refusal)
        self.fail(f"sysctl {words} was not refused")

    async def test_one_bad_line_among_ten_changes_nothing(self):    # 1
        before = await self.sysctl("--diff")
        lines = [f"xmpp.limits.depth = {32 + n}" for n in range(9)]
        for bad in ("xmpp.limits.dept = 3", "xmpp.limits.depth = many", f"{KEY} = 0"):
            text = "\n".join(lines[:5] + [bad] + lines[5:]) + "\n"
            self.assertIn("standard input:6", await self.refused("-p", "-", text=text))
            self.assertEqual(await self.sysctl("--diff"), before)
        # What may be missing is marked, as in sysctl.d; or all that is not known is left out.
        await self.sysctl("-p", "-", text="-xmpp.limits.dept = 3\nxmpp.limits.depth = 33\n")
        self.assertEqual(await self.value("xmpp.limits.depth"), "33")
        self.assertIn("ignored", await self.sysctl("-e", "-p", "-", text="xmpp.limits.dept = 3\nxmpp.limits.depth = 34\n"))
        self.assertEqual(await self.value("xmpp.limits.depth"), "34")
        self.assertIn(KEY, await self.refused("-e", "-p", "-", text=f"{KEY} = 0\n"))

    async def test_a_restart_forgets_what_was_not_saved(self):    # 2
        fedgate = self.one.fedgate
        default = await self.value()
        await self.sysctl("-w", f"{KEY}=20000")
        self.assertEqual(await self.value(), "20000")
        await fedgate.kill()
        await fedgate.start()
        self.assertEqual(await self.value(), default)
        await self.sysctl("-w", "--save", f"{KEY}=20001")
        await fedgate.kill()
        await fedgate.start()
        self.assertEqual(await self.value(), "20001")

    async def test_a_refused_write_says_what_is_allowed(self):    # 3
        self.assertIn("'0' is below the minimum 1; allowed: 1 to 1MiB", await self.refused("-w", f"{KEY}=0"))
        self.assertIn("'70000' is above the maximum 65535; allowed: 0 to 65535 rank",
                      await self.refused("-w", "pool/a/priority=70000"))
        self.assertIn("did you mean im.max_bytes", await self.refused("-w", "im.max_byte=30000"))

    async def test_every_key_is_described(self):    # 4
        rows = json.loads(await self.one.fedgate.control("--json", "sysctl", "-a"))["keys"]
        self.assertGreater(len(rows), 50)
        for row in rows:
            with self.subTest(row["key"]):
                self.assertTrue(row["description"] and row["type"] and row["apply"] and row["scope"])
                self.assertTrue(row["unit"] and row["bounds"])

    async def test_a_change_under_load_drops_nothing(self):    # 5
        world = self.one
        fedgate = world.fedgate

        async def streams():
            rows = json.loads(await fedgate.control("--json", "streams"))["streams"]
            return {(row["direction"], row["address"]) for row in rows if row["proof"]}
        await self.sysctl("-w", f"partner/{XMPP_DOMAIN}/rate_sender_messages=none")
        world.juliet.message(ROMEO, "first")
        await world.agent.wait_for_message("first")
        self.assertEqual((await world.send_from_romeo("first")).status, 200)
        await world.juliet.wait_for_body("first")
        before = await streams()
        sent = []

        async def load():
            while True:
                sent.append(f"message {len(sent)}")
                world.juliet.message(ROMEO, sent[-1])
                await asyncio.sleep(0.005)
        loading = asyncio.create_task(load())
        self.addCleanup(loading.cancel)
        took = []
        for n in range(60):
            began = time.monotonic()
            await self.sysctl("-w", f"{KEY}={20000 + n}", f"xmpp.limits.depth={10 + n % 50}")
            took.append(time.monotonic() - began)
        loading.cancel()
        self.assertGreater(len(sent), 20)
        arrived = [(await world.agent.wait_for_message()).body for _ in sent]
        self.assertEqual(arrived, sent)
        self.assertEqual(await streams(), before)
        print(f"{len(sent)} messages, 60 changes; median of a change {sorted(took)[30] * 1000:.0f} ms")
        self.assertLess(sorted(took)[30], 1)    # P9

    async def test_unconfirmed_it_goes_back(self):    # 6
        default = await self.value()
        await self.sysctl("-w", "xmpp.limits.depth=30")
        began = time.monotonic()
        await self.sysctl("-w", "--confirm", "10s", f"{KEY}=20000", "xmpp.limits.depth=31")
        self.assertEqual(await self.value(), "20000")
        self.assertIn("fedctl sysctl confirm", await self.refused("-w", f"{KEY}=20001"))
        self.assertIn("fedctl sysctl confirm", await self.refused("--reset", KEY))
        self.assertIn("unless fedctl sysctl confirm is said", await self.one.fedgate.control("status"))
        # A commit meanwhile stays, over what was set live before.
        await self.sysctl("-w", "--save", "xmpp.limits.depth=41")
        while await self.value() != default:
            self.assertLess(time.monotonic() - began, 15)
            await asyncio.sleep(0.1)
        self.assertGreaterEqual(time.monotonic() - began, 10)
        self.assertEqual(await self.value("xmpp.limits.depth"), "41")
        await self.one.fedgate.process.wait_for_log("FG-1111")
        await self.sysctl("-w", "--confirm", "10s", f"{KEY}=20002")
        await self.sysctl("confirm")
        self.assertIn("nothing that was set live waits", await self.refused("confirm"))
        await self.sysctl("-w", f"{KEY}=20003")
        self.assertEqual(await self.value(), "20003")

    def cpus_of_cores(self):
        """Where the kernel lets each core's thread run: `Cpus_allowed_list` of the threads core-0, core-1."""
        found = {}
        for task in pathlib.Path(f"/proc/{self.one.fedgate.process.pid}/task").iterdir():
            name = (task / "comm").read_text().strip()
            if name.startswith("core-"):
                status = (task / "status").read_text()
                found[int(name[5:])] = status.split("Cpus_allowed_list:")[1].split("\n")[0].strip()
        return [found[core] for core in sorted(found)]

    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "needs two CPUs")
    async def test_what_one_core_has_shows_there_alone(self):    # 8
        usable = sorted(os.sched_getaffinity(0))
        first, second = usable[:2]
        own = [str(cpu) for cpu in usable]
        both = ",".join(map(str, (first, second))) if second != first + 1 else f"{first}-{second}"
        rest = "".join(f"# core.{{}}.cpu = {both} (of core.*.cpu)\n".format(core) for core in range(2, len(usable)))
        self.assertEqual(self.cpus_of_cores(), own)    # as before there was such a key
        self.assertIn("core.*.cpu =\n# core.0.cpu = (of core.*.cpu)\n# core.1.cpu = (of core.*.cpu)\n",
                      await self.sysctl("core.*.cpu"))
        await self.sysctl("-w", f"core.*.cpu={first},{second}")
        self.assertEqual(self.cpus_of_cores(), [both] * len(usable))
        await self.sysctl("-w", f"core.1.cpu={first}")
        self.assertEqual(self.cpus_of_cores(), [both, str(first)] + [both] * (len(usable) - 2))
        shown = f"core.*.cpu = {both}\n# core.0.cpu = {both} (of core.*.cpu)\ncore.1.cpu = {first}\n{rest}"
        self.assertEqual(await self.sysctl("core.*.cpu"), shown)
        self.assertEqual(await self.sysctl("core/1/cpu"), f"core.1.cpu = {first}\n")
        self.assertEqual(await self.sysctl("-p", "-", text=shown), "nothing changed\n")
        self.assertRegex(await self.sysctl("-d", "core.0.cpu"), rf"value +{both} +\(runtime")
        self.assertRegex(await self.sysctl("--diff"), rf"core\.1\.cpu +{first} +\(empty\) +runtime")
        everything = await self.sysctl("-a")
        self.assertIn(f"core.*.cpu = {both}\ncore.1.cpu = {first}\n", everything)
        self.assertEqual(await self.sysctl("-p", "-", text=everything), "nothing changed\n")
        # Its own taken back, it is as all are; the other one stays where it is.
        await self.sysctl("--reset", "core.1.cpu")
        self.assertEqual(self.cpus_of_cores(), [both] * len(usable))
        await self.sysctl("--reset", "core.*.cpu")
        self.assertEqual(self.cpus_of_cores(), own)
        # Kept, it holds after a restart.
        await self.sysctl("-w", "--save", f"core.0.cpu={second}")
        await self.one.fedgate.kill()
        await self.one.fedgate.start()
        self.assertEqual(self.cpus_of_cores(), [str(second)] + own[1:])

    async def test_a_cpu_or_core_that_is_not_there(self):    # 8
        before = self.cpus_of_cores()
        for setting, words in (("core.*.cpu=1000", "there is no CPU 1000 that this process may use; there is "),
                               ("core.0.cpu=0,999-1000", "there is no CPU 999-1000 that"),
                               ("core.200.cpu=0", f"there are cores 0 to {len(before) - 1} (core.threads)"),
                               ("core.0.cpu=x", "a set of CPUs like 2 or 0-3,8"),
                               ("core.300.cpu=0", "'300' is not a core")):
            for how in (("-w",), ("-w", "--save"), ("-w", "--dry-run")):
                with self.subTest((setting, how)):
                    self.assertIn(words, await self.refused(*how, setting))
        self.assertEqual(self.cpus_of_cores(), before)
        # In a file it is not a reason not to start: the machine may have had it once.
        self.one.fedgate.keys["core.0.cpu"] = f"{before[0]},1000"
        await self.one.fedgate.kill()
        await self.one.fedgate.start()
        self.assertEqual(self.cpus_of_cores(), before)
        self.assertIn("this process may not use CPU 1000", await self.one.fedgate.control("status"))

    async def test_what_is_read_can_be_written(self):    # 7
        await self.sysctl("-w", "--save", f"partner/{XMPP_DOMAIN}/description=their = own ; words")
        everything = await self.sysctl("-a")
        self.assertEqual(await self.sysctl("-p", "-", text=everything), "nothing changed\n")
        self.assertEqual(await self.sysctl("-a"), everything)

    async def test_what_only_a_restart_brings(self):
        self.assertEqual(await self.sysctl("--pending"), "nothing waits for a restart\n")
        self.assertIn("acts at the next start of fedgated", await self.sysctl("-w", "--dry-run", "core.threads=1"))
        self.assertEqual(await self.sysctl("--pending"), "nothing waits for a restart\n")
        with self.assertRaises(Failed):    # its status is 3
            await self.sysctl("-w", "--strict-live", "--save", "core.threads=1")
        self.assertRegex(await self.sysctl("--pending"), r"core.threads +1 +\d+ +commit")
        await self.one.fedgate.kill()
        await self.one.fedgate.start()
        self.assertEqual(await self.sysctl("--pending"), "nothing waits for a restart\n")

    async def test_what_is_looked_for(self):
        found = await self.sysctl("-N", "-r", r"^xmpp\.limits\.(depth|stanza)")
        self.assertEqual(found, "xmpp.limits.depth\nxmpp.limits.stanza_bytes\n")
        self.assertEqual(await self.sysctl("-t", KEY), f"{KEY} = size\n")
        self.assertIn("is no regular expression", await self.refused("-a", "-r", "("))
        for words in (["--confirm", "10s", KEY], ["-e", "-a"], ["-r", "x", "-w", f"{KEY}=3"], ["--pending", KEY]):
            with self.subTest(words):
                await self.refused(*words)


if __name__ == "__main__":
    unittest.main()
