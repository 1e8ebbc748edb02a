"""A PostgreSQL server whose disk is full: 503 and never a 2xx for what is not kept, and nothing is run again for it."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.harness import Server, ask, delivery, ended
from tests.faults.test_disk import (
    STORED,
    UNAVAILABLE,
    assert_each_handled,
    begun,
    may_mount,
    send_until_full,
    small_disk,
)
from tests.faults.test_postgres import states
from tests.postgres import USER, execute, migrated, postgres

FULL = """
    CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
    END $$;
    CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON delivery EXECUTE FUNCTION no_space();
    CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON progress EXECUTE FUNCTION no_space();
"""
"""What makes each write fail as the server does when its disk is full (error 53100), on any machine."""


@contextmanager
def full_disk(url: str) -> Generator[None]:
    execute(url, FULL)
    try:
        yield
    finally:
        execute(url, "DROP FUNCTION no_space CASCADE")


def goes_on(server: Server, url: str, acknowledged: list[tuple[str, int]]) -> None:
    """Assert that it keeps what comes now, and handles that and all that it ever acknowledged."""
    assert ask(server.port, delivery("o-9", 1, does="end at once")) == STORED
    expected = {*acknowledged, ("o-9", 1)}
    server.wait_for(lambda: states(url) == {"done": len(expected)}, "the end of it all")
    server.stop()
    assert ended(server.folder) == expected


@pytest.mark.parametrize("ends", ["nothing", "kill", "stop"])
def test_a_disk_that_is_full_between_put_and_settle_has_nothing_run_again_but_what_ended_meanwhile(
    postgres_url: str, tmp_path: Path, ends: str
) -> None:
    lease = 30.0 if ends == "nothing" else 1.0
    with Server(tmp_path, url=postgres_url, worker={"lease": lease, "poll": 0.1}) as server:
        before = [("o-0", number) for number in range(1, 5)]
        for order, number in before:
            assert ask(server.port, delivery(order, number, does="end at once")) == STORED
        server.wait_for(lambda: states(postgres_url) == {"done": len(before)}, "the end of the first ones")
        running = [(f"w-{number}", number) for number in range(1, 9)]
        for order, number in running:
            assert ask(server.port, delivery(order, number, does="wait")) == STORED
        server.wait_for(lambda: begun(tmp_path, "on_loop").keys() >= {*running}, "the begin of all")
        with full_disk(postgres_url):
            tmp_path.joinpath("go").touch()
            server.wait_for(lambda: server.said().count("is not settled") == len(running), "word of all settlements")
            assert ask(server.port, delivery("o-0", 5)) == UNAVAILABLE
            if ends != "nothing":
                server.kill() if ends == "kill" else server.stop()
        if ends != "nothing":
            server.start()
        goes_on(server, postgres_url, [*before, *running])
    assert "No space left on device" in server.said()
    assert_each_handled(tmp_path, running, 1 if ends == "nothing" else 2)


if may_mount():  # the test above needs no such right

    def test_a_small_tablespace_that_is_full_is_answered_503_and_with_space_again_it_goes_on(tmp_path: Path) -> None:
        with (
            postgres() as own,
            small_disk(own.folder / "disk", 8_000_000) as disk,
            Server(tmp_path, url=f"{own.address}/inbox") as server,
        ):
            server.kill()
            disk.joinpath("ballast").write_bytes(b"x" * 5_000_000)
            space = disk / "space"
            space.mkdir()
            if USER is not None:
                shutil.chown(space, USER)
            execute(f"{own.address}/postgres", f"CREATE TABLESPACE small LOCATION '{space}'")
            execute(f"{own.address}/postgres", "CREATE DATABASE inbox")
            url = migrated(f"{own.address}/inbox")
            execute(url, "ALTER TABLE delivery SET TABLESPACE small")
            server.start()
            acknowledged = send_until_full(server)
            assert "No space left on device" in server.said()
            disk.joinpath("ballast").unlink()
            goes_on(server, url, acknowledged)
            execute(f"{own.address}/postgres", "DROP DATABASE inbox WITH (FORCE)")
            execute(f"{own.address}/postgres", "DROP TABLESPACE small")
