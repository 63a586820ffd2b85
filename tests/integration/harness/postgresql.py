"""Debian's PostgreSQL: its data and its socket in a directory of its own, as an unprivileged user; on a machine of its
own (place()) also by TCP, with TLS and a password."""
import asyncio
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from .process import Failed, Placed, Process

USER = "postgres"   # of the package; the server refuses to be root
PASSWORD = "geheim"


def programs():
    return max(pathlib.Path("/usr/lib/postgresql").iterdir(), key=lambda path: float(path.name)) / "bin"


class PostgreSql(Placed):
    """primary: it streams from that one."""

    def __init__(self, primary=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="fedgate-pg-"))
        self.data = self.directory / "data"
        self.primary = primary
        self.process = self.name = None
        self.own("", self.directory)

    def own(self, text, path):
        if path != self.directory:
            path.write_text(text)
            path.chmod(0o600)
        if os.getuid() == 0:
            shutil.chown(path, USER, USER)
        return path

    def place(self, machine, name, certificate, ca):
        """name: by which its certificate, and others, know it."""
        self.name = name
        self.key = self.own(certificate.key.read_text(), self.directory / "key.pem")
        self.certificate = self.own(certificate.certificate.read_text(), self.directory / "certificate.pem")
        self.ca = self.own(ca.read_text(), self.directory / "ca.pem")
        self.password = self.own(f"*:*:*:*:{PASSWORD}\n", self.directory / "passfile")
        return super().place(machine)

    @property
    def url(self):
        return f"postgresql://fedgate@/postgres?host={self.directory}"

    def reached(self, *others, **more):
        """The words of a URL that lead to it, or to one of the others, over the network."""
        every = (self, *others)
        words = {"host": ",".join(one.name for one in every), "hostaddr": ",".join(one.address for one in every),
                 "sslrootcert": self.ca, "passfile": self.password, **more}
        return "&".join(f"{name}={value}" for name, value in words.items())

    def command(self, program, *arguments):
        as_user = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.getuid() == 0 else []
        return ["setpriv", "--pdeathsig", "QUIT", *as_user, programs() / program, *arguments]

    @property
    def environment(self):
        """libpq looks for certificates at home, which may be another user's."""
        return {**os.environ, "HOME": str(self.directory)}

    async def run(self, *words):
        prefix = self.machine.prefix if self.machine else []
        child = await asyncio.create_subprocess_exec(
            *prefix, *map(str, self.command(*words)), cwd=self.directory, stdin=subprocess.DEVNULL,
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = await asyncio.wait_for(child.communicate(), 60)
        if child.returncode != 0:
            raise Failed(f"{words[0]}: {output.decode()}")
        return output.decode().strip()

    async def start(self):
        if not self.data.exists():
            await self.make()
        network = ["listen_addresses="]
        if self.machine:
            network = [f"listen_addresses={self.address}", "ssl=on", f"ssl_cert_file={self.certificate}",
                       f"ssl_key_file={self.key}"]
        self.process = await Process(
            "postgres",
            self.command("postgres", "-D", self.data, "-k", self.directory,
                         *(word for setting in ("fsync=off", "shared_buffers=8MB", *network) for word in ("-c", setting))),
            self.directory / "log", cwd=self.directory, env=self.environment, machine=self.machine).start()

        async def answers():
            try:
                return await self.ask("SELECT 1") == "1"
            except Failed:
                return False
        await self.process.wait_for(answers, "answers of PostgreSQL")
        if self.primary:
            await self.process.wait_for(self.streams, "a stream from the primary")
        return self

    async def streams(self):
        return await self.ask("SELECT status FROM pg_stat_wal_receiver") == "streaming"

    async def make(self):
        """Its data: none, or what the primary has."""
        if self.primary:
            source = ["-h", self.primary.directory, "-U", "fedgate"]
            if self.machine:
                source = ["-d", f"postgresql://fedgate@/?{self.primary.reached(sslmode='verify-full')}"]
            await self.run("pg_basebackup", *source, "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync")
            return
        await self.run("initdb", "--no-sync", "--wal-segsize=1", "-A", "trust", "-U", "fedgate", "-E", "UTF8",
                       "--locale=C.UTF-8", "-D", self.data,
                       *(["--pwfile", self.own(PASSWORD, self.directory / "password")] if self.machine else []))
        if self.machine:
            with open(self.data / "pg_hba.conf", "a") as rules:
                rules.write("hostssl all,replication all all scram-sha-256\n")

    async def follow(self, primary):
        """What it had is forgotten: it streams from that one."""
        self.primary = primary
        shutil.rmtree(self.data)
        return await self.start()

    async def ask(self, sql):
        return await self.run("psql", "-X", "-q", "-A", "-t", "-h", self.directory, "-U", "fedgate",
                              "-d", "postgres", "-c", sql)

    async def promote(self):
        await self.run("pg_ctl", "promote", "-s", "-w", "-D", self.data)
        self.primary = None

    async def end(self, how=signal.SIGQUIT):
        """SIGQUIT is its quickest way to end; SIGKILL is a crash."""
        if self.process:
            await self.process.stop(how)

    async def kill(self):
        await self.end(signal.SIGKILL)

    async def remove(self):
        await self.end()
        shutil.rmtree(self.directory, ignore_errors=True)
