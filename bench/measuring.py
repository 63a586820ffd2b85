"""What bench/report and bench/compare share: who is loaded, fedload, CPU time and memory of others, and results
that are kept under date and machine."""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/integration"))
from harness.certificates import openssl    # noqa: E402
from harness.process import Failed, is_listening, own_address    # noqa: E402

SIP_DOMAIN, PRESENCE_DOMAIN, PARTNER, MANY = "sip.example", "presence.example", "partner.example", "load.example"
START_SECONDS, LIMIT_SECONDS = 20, 200
SETTLE_SECONDS = 25    # until a stream that idles has given back what it does not need
NAME = f"bench/{pathlib.Path(sys.argv[0]).name}"
PROGRAMS = ("fedgated", "fedload", "floor")


class Workbench:
    """One run: its programs, its directory, and a certificate that serves every side: what is measured is records,
    not trust."""

    def __init__(self, build, directory):
        self.build, self.directory, self.begun = build.resolve(), directory, time.monotonic()
        self.address, self.load_address = own_address(5060, 5061, 5269, 9269), own_address(5060, 5269)
        self.certificates()

    def say(self, text):
        print(f"{time.monotonic() - self.begun:5.0f} s  {text}", file=sys.stderr, flush=True)

    def certificates(self):
        d = self.directory
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2, "-subj",
                "/CN=bench CA", "-keyout", d / "ca.key", "-out", d / "ca.pem")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=bench",
                "-keyout", d / "key.pem", "-out", d / "request.pem")
        (d / "extensions").write_text("subjectAltName=" + ",".join(self.names()) + "\n")
        openssl("x509", "-req", "-in", d / "request.pem", "-CA", d / "ca.pem", "-CAkey", d / "ca.key", "-days", 2,
                "-extfile", d / "extensions", "-out", d / "cert.pem")

    def names(self):
        """In the certificate."""
        yield from (f"DNS:{name}" for name in (SIP_DOMAIN, PRESENCE_DOMAIN, PARTNER, MANY, f"*.{MANY}"))
        yield from (f"URI:sip:{SIP_DOMAIN}", f"URI:sip:{PRESENCE_DOMAIN}", f"IP:{self.load_address}")

    def fedload(self, target, *words):
        """Its JSON for one run."""
        command = [self.build / "bin/fedload", "--json", "--partner", PARTNER, "--domain", SIP_DOMAIN, "--limit",
                   LIMIT_SECONDS, *target.ends(), *words]
        for pid in target.pids():
            command += ["--pid", pid]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              timeout=LIMIT_SECONDS + 30, stdin=subprocess.DEVNULL)
        if done.returncode != 0 and not (done.returncode == 1 and self.only_disordered(target, done.stdout)):
            raise Failed(f"{done.stderr.strip()}\n{done.stdout.strip()}\n{target.tail()}")
        return json.loads(done.stdout)

    @staticmethod
    def only_disordered(target, answer):
        if target.keeps_order or not answer.startswith("{"):
            return False
        found = json.loads(answer)
        return not found["fault"] and found["delivered"] == found["sent"] and found["doubled"] == 0

    def edge_alone(self, *words):
        """The product's edge alone in a process, which sends back what comes."""
        with Reflect(self) as reflect:
            return self.fedload(reflect, "--there-and-back", *words)


def with_children(pid):
    """A process and all below it."""
    yield pid
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from with_children(int(child))


class Target:
    """Who is loaded: `process`, with its children."""

    keeps_order = True

    def pids(self):
        return [self.process.pid]

    def processes(self):
        return [process for pid in self.pids() for process in with_children(pid)]

    def memory(self):
        """Bytes; what is shared counts once."""
        def of(pid):
            for line in open(f"/proc/{pid}/smaps_rollup"):
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
            raise Failed("no Pss in smaps_rollup")
        return sum(map(of, self.processes()))

    def cpu_ns(self):
        return sum(int((task / "schedstat").read_text().split()[0]) for pid in self.processes()
                   for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


class Daemon(Target):
    """A fedgated of its own."""

    def __init__(self, bench, tls=False, udp=False, threads=1, presence=False, partners=0, profile="page"):
        self.bench, self.tls, self.udp, self.profile = bench, tls, udp, profile
        self.address = own_address(5060, 5061, 5269, 9269)
        self.load_address = bench.load_address
        # Presence keeps its listeners while messages come and go.
        self.presence_address = own_address(5060, 5269) if presence else bench.load_address
        self.state = pathlib.Path(tempfile.mkdtemp(dir=bench.directory))
        self.log = (self.state / "log").open("w")
        self.sip_transport = "udp" if udp else "tls" if tls else "tcp"
        (self.state / "fedgate.conf").write_text("\n".join(self.lines(threads, presence, partners)) + "\n")

    def lines(self, threads, presence, partners):
        directory = self.bench.directory
        yield (ROOT / "tests/load.conf").read_text()
        yield from (f"core.threads = {threads}", "federation.allow = yes", f"dirs.state = {self.state}",
                    f"admin.socket = {self.state}/admin.sock", f"admin.http.listen = {self.address}:9269",
                    "log.level = error", f"xmpp.listen = {self.address}:5269", "xmpp.listen_tls =",
                    f"sip.listen = {self.sip_transport}:{self.address}:5060", "sip.trusted = 127.0.0.0/8",
                    "xmpp.limits.connections = 100000", "xmpp.limits.connections_per_partner = 100000",
                    "xmpp.limits.streams_per_domain_pair = 1000",
                    f"domain/{SIP_DOMAIN}/next_hop = sip:{self.load_address}:5060;transport={self.sip_transport}",
                    f"domain/{SIP_DOMAIN}/profile = {self.profile}",
                    f"domain/{PRESENCE_DOMAIN}/next_hop = "
                    f"sip:{self.presence_address}:5060;transport={self.sip_transport}",
                    "policy/global/federation_access = yes", "policy/global/xmpp_access = yes")
        for side in ("external", "sip"):
            for key, file in (("certificate", "cert"), ("key", "key"), ("ca", "ca")):
                yield f"tls.{side}.{key} = {directory}/{file}.pem"
        tls = "required" if self.tls else "none"
        for partner, address in ((PARTNER, self.load_address), (MANY, self.presence_address),
                                 (f"*.{MANY}", self.presence_address)):
            external = "optional" if self.tls else "none"
            yield from (f"partner/{partner}/{key}" for key in (
                "type = federated", f"tls = {tls}", f"sasl = {external}", "dialback = yes",
                f"proxy = {address}:5269", "rate_bytes = none", "rate_stanzas = none", "rate_sender_messages = none",
                "rate_connections = none"))
        for number in range(partners):
            yield f"partner/n{number}.many.example/type = federated"

    def __enter__(self):
        self.process = subprocess.Popen([self.bench.build / "bin/fedgated", "-c", self.state / "fedgate.conf"],
                                        stderr=self.log)
        end = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                why = self.tail()
                self.__exit__()
                raise Failed(f"fedgated did not start\n{why}")
            time.sleep(0.01)
        return self

    def is_ready(self):
        """Its gateway listens some time before its edge does. Over UDP nobody says that nobody listens."""
        return is_listening(self.address, 5060, "udp" if self.udp else "tcp") and is_listening(self.address, 5269)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.state, ignore_errors=True)

    def tail(self):
        return (self.state / "log").read_text()[-3000:]

    def counter(self, name):
        with urllib.request.urlopen(f"http://{self.address}:9269/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return int(re.search(rf"^fedgate_{name.replace('.', '_')}(?:_total)? (\d+)$", text, re.MULTILINE)[1])

    def ends(self):
        words = ["--xmpp", f"{self.address}:5269", "--sip", f"{self.address}:5060", "--xmpp-listen",
                 f"{self.load_address}:5269", "--sip-listen", f"{self.load_address}:5060"]
        return words + (["--tls", self.bench.directory] if self.tls else []) + (
            ["--sip-transport", "udp"] if self.udp else [])


class Load:
    """A fedload that stays while others run."""

    def __init__(self, bench, daemon, *words):
        command = [bench.build / "bin/fedload", "--limit", 1_000, *words, "--tls", bench.directory]
        self.daemon = daemon
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=daemon.log, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"fedload ended\n{self.daemon.tail()}")
        return json.loads(line)


class Reflect(Load, Target):
    """A target: ends() as a daemon's."""

    def __init__(self, bench):
        self.bench, self.address = bench, own_address(5269)
        self.log = tempfile.TemporaryFile("w+")
        super().__init__(bench, self, "--reflect", "--partner", SIP_DOMAIN, "--domain", PARTNER, "--xmpp",
                         f"{bench.load_address}:5269", "--xmpp-listen", f"{self.address}:5269")
        end = time.monotonic() + START_SECONDS
        while not is_listening(self.address, 5269):
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise Failed(f"fedload --reflect did not start: {self.tail()}")
            time.sleep(0.01)

    def tail(self):
        self.log.seek(0)
        return self.log.read()

    def ends(self):
        return ["--xmpp", f"{self.address}:5269", "--xmpp-listen", f"{self.bench.load_address}:5269", "--tls",
                self.bench.directory]


class IdleStreams(Load):
    def __init__(self, bench, daemon, count):
        super().__init__(bench, daemon, "--json", "--idle", "--partner", MANY, "--count", count, "--domains", 20,
                         "--domain", SIP_DOMAIN, "--xmpp", f"{daemon.address}:5269")
        self.run = self.answer()
        if self.run["delivered"] != count:
            raise Failed(str(self.run))


def idle_streams(stack, bench, targets, count, settle):
    """So many idle streams at each of the targets, side by side, for as long as the stack lasts. Returns bytes for
    one of them, for each target."""
    # What all streams share.
    for target in targets:
        stack.enter_context(IdleStreams(bench, target, max(20, count // 20)))
    time.sleep(settle)
    before = [target.memory() for target in targets]
    for target in targets:
        streams = stack.enter_context(IdleStreams(bench, target, count))
        bench.say(f"{count} streams stand, {streams.run['per_second']:.0f} a second")
    time.sleep(settle)
    return [round((target.memory() - memory) / count) for target, memory in zip(targets, before)]


def markdown(cells):
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    cells = [cells[0], ["-" * width for width in widths], *cells[1:]]
    return ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]


def machine():
    def first_line(*command):
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "unknown"
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    wolfssl = re.search(r"wolfssl-([^/]*)-", first_line(ROOT / "tests/setup", "--print-wolfssl-prefix"))
    return {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "cpu": cpu[1].strip() if cpu else platform.machine(), "cpus": len(os.sched_getaffinity(0)),
            "kernel": platform.release(), "wolfssl": wolfssl[1] if wolfssl else "unknown",
            "liburing": first_line("dpkg-query", "-W", "-f", "${Version}", "liburing-dev"),
            "commit": first_line("git", "describe", "--always", "--dirty"),
            "load_before": f"{os.getloadavg()[0]:.1f}"}


def build(directory):
    """Builds what is missing, or older than the commit that results will name."""
    missing = not all((directory / "bin" / name).exists() for name in PROGRAMS)
    if directory.resolve() != ROOT / "build/release":
        if missing:
            sys.exit(f"{NAME}: build {', '.join(PROGRAMS)} in {directory} first")
        return
    first = [["tests/setup"], ["cmake", "--preset", "release"]] if missing else []
    for command in (*first, ["cmake", "--build", "--preset", "release", "-t", *PROGRAMS]):
        print(f"{NAME}: {' '.join(command)}", file=sys.stderr)
        if subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode != 0:
            sys.exit(f"{NAME}: {' '.join(command)} failed")


def arguments(about, groups):
    """A parser for what both understand."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the best one counts")
    parser.add_argument("--quick", action="store_true", help="little of everything: only whether it works")
    parser.add_argument("--json", action="store_true", help="prints JSON instead of the table")
    parser.add_argument("--save", type=pathlib.Path, metavar="DIRECTORY", help="and keeps both, under date and machine")
    parser.add_argument("groups", nargs="*", metavar="ROW", help=f"of: {', '.join(groups)}; all")
    return parser


def measure(make, options, groups):
    """Runs the groups of make(options, directory). Returns it, what is to be known about machine and run, and the
    groups that failed."""
    if unknown := set(options.groups) - set(groups):
        sys.exit(f"{NAME}: no such row: {', '.join(sorted(unknown))}")
    build(options.build)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    about, directory, failed = machine(), pathlib.Path(tempfile.mkdtemp(prefix="fedgate-bench-")), []
    try:
        bench = make(options, directory)
        for group in options.groups or groups:
            try:
                getattr(bench, group)()
            except (Failed, subprocess.TimeoutExpired) as error:
                failed.append(group)
                print(f"{NAME}: {group}: {error}", file=sys.stderr)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return bench, about | {"load_after": f"{os.getloadavg()[0]:.1f}",
                           "seconds": round(time.monotonic() - bench.begun)}, failed


def save(directory, title, about, **texts):
    """texts: suffix -> text."""
    directory.mkdir(parents=True, exist_ok=True)
    name = f"{title} {about['date'][:10]} {about['cpu']} {about['cpus']} cpus".lower().strip()
    name = re.sub(r"[^a-z0-9]+", "-", name)
    for suffix, text in texts.items():
        (directory / f"{name}.{suffix}").write_text(text)
