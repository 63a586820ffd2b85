"""Debian's PostgreSQL: its data and its socket in a directory of its own, as an unprivileged user."""
import asyncio
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from .process import Failed, Process

USER = "postgres"   # of the package; the server refuses to be root


def programs():
    return max(pathlib.Path("/usr/lib/postgresql").iterdir(), key=lambda path: float(path.name)) / "bin"


class PostgreSql:
    """primary: it streams from that one."""

    def __init__(self, primary=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="fedgate-pg-"))
        self.data = self.directory / "data"
        self.primary = primary
        self.process = None
        if os.getuid() == 0:
            shutil.chown(self.directory, USER, USER)

    @property
    def url(self):
        return f"postgresql://fedgate@/postgres?host={self.directory}"

    def command(self, program, *arguments):
        as_user = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.getuid() == 0 else []
        return ["setpriv", "--pdeathsig", "QUIT", *as_user, programs() / program, *arguments]

    async def run(self, *words):
        child = await asyncio.create_subprocess_exec(
            *map(str, self.command(*words)), cwd=self.directory, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = await asyncio.wait_for(child.communicate(), 60)
        if child.returncode != 0:
            raise Failed(f"{words[0]}: {output.decode()}")
        return output.decode().strip()

    async def start(self):
        if not self.data.exists():
            if self.primary:
                await self.run("pg_basebackup", "-h", self.primary.directory, "-U", "fedgate", "-D",
                               self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync")
            else:
                await self.run("initdb", "--no-sync", "--wal-segsize=1", "-A", "trust", "-U", "fedgate", "-E", "UTF8",
                               "--locale=C.UTF-8", "-D", self.data)
        self.process = await Process(
            "postgres",
            self.command("postgres", "-D", self.data, "-k", self.directory, "-c", "fsync=off", "-c",
                         "listen_addresses=", "-c", "shared_buffers=8MB"),
            self.directory / "log", cwd=self.directory).start()

        async def answers():
            try:
                return await self.ask("SELECT 1") == "1"
            except Failed:
                return False
        await self.process.wait_for(answers, "answers of PostgreSQL")
        return self

    async def ask(self, sql):
        return await self.run("psql", "-X", "-q", "-A", "-t", "-h", self.directory, "-U", "fedgate",
                              "-d", "postgres", "-c", sql)

    async def promote(self):
        await self.run("pg_ctl", "promote", "-s", "-w", "-D", self.data)

    async def end(self, how=signal.SIGQUIT):
        """SIGQUIT is its quickest way to end; SIGKILL is a crash."""
        if self.process:
            await self.process.stop(how)

    async def remove(self):
        await self.end()
        shutil.rmtree(self.directory, ignore_errors=True)
