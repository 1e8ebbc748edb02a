"""A PgBouncer in front of a server of the tests, if the machine has one."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.helpers import free_port
from tests.postgres import PATIENCE, USER

PROGRAM = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer on this machine")


@contextmanager
def pgbouncer(url: str, folder: Path, mode: str = "session", size: int = 20, **settings: object) -> Generator[str]:
    """Run a PgBouncer with one pool; yield the URL of the database through it."""
    assert PROGRAM is not None
    parts, port = urlsplit(url), free_port()
    options = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": mode,
        "default_pool_size": size,
        "ignore_startup_parameters": "extra_float_digits,options",
        "logfile": "",
    } | settings
    database = parts.path[1:]
    place = f"host=127.0.0.1 port={parts.port} dbname={database} user={parts.username}"
    written = "\n".join(f"{name} = {value}" for name, value in options.items())
    file = folder / "pgbouncer.ini"
    file.write_text(f"[databases]\n{database} = {place}\n[pgbouncer]\n{written}\n")
    log = folder / "pgbouncer.log"
    with log.open("ab") as output, file.open("rb") as written_file:  # its folder is closed to others
        process = subprocess.Popen(
            [PROGRAM, "/dev/stdin"], stdin=written_file, stdout=output, stderr=output, user=USER, cwd="/"
        )
    reached = f"postgresql://{parts.username}@127.0.0.1:{port}/{database}"
    try:
        for _ in range(int(PATIENCE / 0.05)):
            with suppress(psycopg.OperationalError), psycopg.connect(reached):
                break
            assert process.poll() is None, log.read_text()
            threading.Event().wait(0.05)
        yield reached
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)
