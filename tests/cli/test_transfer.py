"""Export and import: whole, once, in order, and all or nothing of a file that is not right."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.test_inbox import IDS, answering, entry, inbox_command, on, outside, path, records, url
from tests.commands import COMMAND
from webhook_receiver import SQLiteInbox
from webhook_receiver.inbox import State, StoredDelivery
from webhook_receiver.testing import inbox_suite

__all__ = ["path", "url"]  # the fixtures


def dumped(path: Path) -> list[StoredDelivery]:
    return on(path, inbox_suite.dumped)


def exported(url: str, file: Path, *options: str) -> list[str]:
    """Export to a file; return the ids in it."""
    done = inbox_command("export", url, str(file), *options)
    assert (done.exit_code, done.stdout) == (0, "")
    header, *lines = file.read_text(encoding="ascii").splitlines()
    assert json.loads(header) == {"format": "webhook-receiver inbox", "version": 3}
    assert done.stderr == f"{len(lines)} {'delivery' if len(lines) == 1 else 'deliveries'} exported\n"
    return [json.loads(line)["id"] for line in lines]


def test_everything_comes_back_as_it_was_and_a_second_time_nothing_is_doubled(path: Path, url: str) -> None:
    file, other = path.with_name("all.jsonl"), path.with_name("other.db")
    assert exported(url, file, "--all") == ["bb02", "cc03", "dd04", "ee06", "dd05", "aa01"]
    elsewhere = f"sqlite:///{other}"
    assert inbox_command("import", elsewhere, str(file)).stdout == "6 deliveries loaded, 0 were there already\n"
    before, after = dumped(path), dumped(other)
    # The pause stays where it is, so that nothing is held there.
    assert [
        kept._replace(summary=kept.summary._replace(paused_by=None)) for kept in before if kept.summary.paused_by
    ] == [kept._replace(summary=kept.summary._replace(due=None)) for kept in after if kept.summary.id == IDS["held"]]
    assert [kept for kept in before if not kept.summary.paused_by] == [
        kept for kept in after if kept.summary.id != "ee06"
    ]
    again = inbox_command("import", elsewhere, str(file), "--json")
    assert json.loads(again.stdout) == {"new": 0, "already_there": 6}
    assert dumped(other) == after


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ([], ["cc03", "dd04", "ee06", "dd05", "aa01"]),
        (["--state", "done"], ["bb02"]),
        (["--handler", "app:alert"], ["dd04"]),
        (["--event", "order.status", "--since", "1h"], ["cc03", "dd04", "ee06", "aa01"]),
        (["--before", "1h"], []),
        (["--receiver", "another"], []),
    ],
)
def test_what_is_unfinished_is_exported_or_what_the_options_choose(
    path: Path, url: str, options: list[str], ids: list[str]
) -> None:
    assert exported(url, path.with_name("some.jsonl"), *options) == ids


def test_an_export_overwrites_only_when_told_and_leaves_no_half_a_file(path: Path, url: str) -> None:
    file = path.with_name("file.jsonl")
    file.write_text("mine", encoding="utf-8")
    rejected = inbox_command("export", url, str(file))
    assert (rejected.exit_code, rejected.stderr) == (1, f"{file} is there already: --force overwrites it\n")
    assert file.read_text(encoding="utf-8") == "mine"
    assert len(exported(url, file, "--force")) == 5
    assert file.stat().st_mode & 0o077 == 0  # it holds bodies
    nowhere = inbox_command("export", url, str(path.with_name("no") / "file"))
    assert nowhere.exit_code == 1
    assert "No such file or directory" in nowhere.stderr
    assert {each.name for each in path.parent.iterdir()} == {"hooks.db", "file.jsonl"}


def test_an_export_never_overwrites_a_database_or_a_folder(path: Path, url: str) -> None:
    other = path.with_name("other.db")
    with closing(sqlite3.connect(other)) as outsider:
        outsider.execute("CREATE TABLE mine (one)")
    for file, said in [(path, "an inbox with 6 deliveries"), (other, "a SQLite database"), (path.parent, "a folder")]:
        before = file.is_file() and file.read_bytes()
        done = inbox_command("export", url, str(file), "--force")
        assert (done.exit_code, done.stderr.startswith(f"{file} is {said}")) == (1, True), done.stderr
        assert (file.is_file() and file.read_bytes()) == before


def test_an_import_of_an_inbox_is_told_what_comes_first(path: Path, url: str) -> None:
    copy, lines = path.with_name("copy.db"), path.with_name("lines.jsonl")
    assert inbox_command("backup", url, str(copy)).exit_code == 0
    exported(url, lines)
    for where in (str(path), url):
        direct = inbox_command("import", where, str(copy))
        assert (direct.exit_code, direct.stdout) == (1, "")
        assert direct.stderr == (
            f"{copy} is an inbox with 6 deliveries: first  inbox export {copy} file.jsonl --all  and then import that\n"
        )
    before = lines.read_bytes()
    swapped = inbox_command("import", str(lines), str(copy))
    assert (swapped.exit_code, swapped.stdout, lines.read_bytes()) == (1, "", before)
    assert swapped.stderr == (
        f"{copy} is an inbox with 6 deliveries, and {lines} is none. The inbox comes first:  "
        f"inbox import {copy} {lines}\n"
    )


def test_an_export_goes_on_past_what_is_damaged_and_names_it(path: Path, url: str) -> None:
    file = path.with_name("file.jsonl")
    assert len(records(path)) == 6
    change(path, "UPDATE delivery SET body = x'00' WHERE id = 'aa01'")
    change(path, "UPDATE progress SET handlers = '{' WHERE seq = (SELECT seq FROM delivery WHERE id = 'dd04')")
    done = inbox_command("export", url, str(file))
    assert done.exit_code == 3
    first, second, last = done.stderr.splitlines()
    assert first.startswith("dd04 is damaged: what is kept of the handlers' progress")
    assert second.startswith("aa01 is damaged: what is kept of the delivery 'aa01'")
    assert last == "3 deliveries exported, 2 left out"
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()[1:]] == ["cc03", "ee06", "dd05"]
    told = json.loads(inbox_command("export", url, str(file), "--force", "--json").stderr)
    assert (told["exported"], [each["id"] for each in told["damaged"]]) == (3, ["dd04", "aa01"])
    assert inbox_command("import", url, str(file)).stdout == "0 deliveries loaded, 3 were there already\n"


def test_an_export_that_fails_leaves_the_old_file(path: Path, url: str) -> None:
    file = path.with_name("file.jsonl")
    exported(url, file)
    before = file.read_bytes()
    change(path, "ALTER TABLE attempt RENAME COLUMN traceback TO lost")
    failed = inbox_command("export", url, str(file), "--force")
    assert failed.exit_code == 1
    assert file.read_bytes() == before
    assert not list(path.parent.glob(".*"))


def change(path: Path, statement: str) -> None:
    """Change the inbox's file from outside."""
    with closing(sqlite3.connect(path, isolation_level=None)) as outsider:
        outsider.execute(statement)


def test_from_pipe_to_pipe_in_the_order_of_receipt(path: Path, url: str) -> None:
    async def more(inbox: SQLiteInbox) -> None:
        await asyncio.gather(*(inbox.put(entry(f"many{n:03}"), time.time()) for n in range(450)))

    on(path, more)
    other = path.with_name("other.db")
    later = on(other, lambda inbox: inbox.put(entry("zz99"), time.time()))
    assert later.id == "zz99"
    written = outside("export", url, "--state", "waiting")
    assert (written.returncode, written.stderr) == (0, "452 deliveries exported\n")
    read = subprocess.run(
        [*COMMAND, "inbox", "import", f"sqlite:///{other}"],
        input=written.stdout,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (read.returncode, read.stdout) == (0, "452 deliveries loaded, 0 were there already\n")
    waiting = [record.id for record in records(path).values() if record.state is State.WAITING]
    assert list(records(other)) == [*waiting, "zz99"]  # older than what is there, and in their order


def test_both_show_how_far_they_are(path: Path, url: str) -> None:
    file = path.with_name("file.jsonl")
    code, shown = answering("", "export", url, str(file))
    assert (code, "5/5" in shown, "5 deliveries exported" in shown) == (0, True, True)
    code, shown = answering("", "import", f"sqlite:///{path.with_name('other.db')}", str(file))
    assert (code, "5/5" in shown, "5 deliveries loaded" in shown) == (0, True, True)


@pytest.mark.parametrize(
    ("number", "line", "complaint"),
    [
        (1, "", "line 1: not JSON"),
        (1, "{}", "line 1: this is no export of an inbox"),
        (1, '{"format": "webhook-receiver inbox", "version": 4}', "line 1: this export has version 4"),
        (3, "{", "line 3: not JSON"),
        (4, "[" * 100_000, "line 4: not JSON"),
        (5, "{}", "line 5: id: Field required"),
        (6, "", "line 6: not JSON"),
    ],
)
def test_a_file_with_a_bad_line_is_not_loaded_at_all(
    path: Path, url: str, number: int, line: str, complaint: str
) -> None:
    file, other = path.with_name("file.jsonl"), path.with_name("other.db")
    exported(url, file)
    lines = file.read_text(encoding="ascii").splitlines()
    lines[number - 1] = line
    file.write_text("\n".join([*lines, ""]), encoding="ascii")
    done = inbox_command("import", f"sqlite:///{other}", str(file))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(complaint)
    assert done.stderr.endswith("; nothing was loaded\n")
    assert not other.exists()


def test_a_file_that_is_cut_off_or_not_there_is_told(path: Path, url: str) -> None:
    file = path.with_name("file.jsonl")
    exported(url, file)
    os.truncate(file, file.stat().st_size - 10)
    cut = inbox_command("import", url, str(file))
    assert (cut.exit_code, cut.stderr) == (1, "line 6: not JSON; nothing was loaded\n")
    gone = inbox_command("import", url, str(path.with_name("gone")))
    assert gone.exit_code == 2
    assert "No such file or directory" in gone.stderr


def test_an_import_that_the_inbox_stops_says_how_far_it_came_and_goes_on_when_run_again(path: Path, url: str) -> None:
    async def more(inbox: SQLiteInbox) -> None:
        await asyncio.gather(*(inbox.put(entry(f"many{n:03}"), time.time()) for n in range(450)))

    on(path, more)
    file, other = path.with_name("file.jsonl"), path.with_name("other.db")
    exported(url, file, "--all")
    on(other, lambda inbox: inbox.stats())
    with sqlite3.connect(other) as outsider:
        outsider.execute(
            "CREATE TRIGGER full BEFORE INSERT ON delivery WHEN NEW.id = 'many200' BEGIN SELECT RAISE(ABORT, 'x'); END"
        )
    outsider.close()
    stopped = inbox_command("import", f"sqlite:///{other}", str(file))
    assert (stopped.exit_code, stopped.stdout) == (1, "")
    assert "; 56 were loaded before that: import again, it loads the others\n" in stopped.stderr
    with sqlite3.connect(other) as outsider:
        outsider.execute("DROP TRIGGER full")
    outsider.close()
    again = inbox_command("import", f"sqlite:///{other}", str(file))
    assert again.stdout == "400 deliveries loaded, 56 were there already\n"
    assert list(records(other)) == list(records(path))


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Return an inbox with a request of 500 parts between two others."""
    path = tmp_path / "parts.db"

    async def fill(inbox: SQLiteInbox) -> None:
        for given in (
            inbox_suite.batch("first", "a", "b", body=b"of the first"),
            inbox_suite.batch("many", *(f"m-{number}" for number in range(500)), body=b"x" * 100_000),
            inbox_suite.entry("last", body=b"of the last"),
        ):
            await inbox.put(given, time.time())

    on(path, fill)
    return path


def test_the_body_of_many_parts_is_exported_once_and_comes_back_with_each(parts: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "parts.jsonl", tmp_path / "other.db"
    ids = exported(str(parts), file)
    assert ids == ["first", "first.1", "many", *(f"many.{number}" for number in range(1, 500)), "last"]
    assert file.stat().st_size < 500_000
    done = inbox_command("import", str(other), str(file))
    assert done.stdout == "503 deliveries loaded, 0 were there already\n"
    assert dumped(other) == dumped(parts)
    assert other.stat().st_size < 1_000_000
    assert inbox_command("import", str(other), str(file)).stdout == "0 deliveries loaded, 503 were there already\n"


def test_an_export_without_the_first_part_has_the_body_with_the_next_one(parts: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "parts.jsonl", tmp_path / "other.db"
    assert exported(str(parts), file, "--event", "b.event") == ["first.1"]
    assert inbox_command("import", str(other), str(file)).stdout == "1 delivery loaded, 0 were there already\n"
    assert [each.delivery.body for each in dumped(other)] == [b"of the first"]


@pytest.mark.parametrize("left_out", [2, 4])
def test_a_part_without_the_line_that_has_its_body_is_an_error_that_names_the_line(
    parts: Path, tmp_path: Path, left_out: int
) -> None:
    file, other = tmp_path / "parts.jsonl", tmp_path / "other.db"
    exported(str(parts), file)
    lines = file.read_text(encoding="ascii").splitlines(keepends=True)
    file.write_text("".join(lines[: left_out - 1] + lines[left_out:]), encoding="ascii")
    done = inbox_command("import", str(other), str(file))
    why = "body_of: the line that has its headers and its body does not come before it"
    assert (done.exit_code, done.stderr) == (1, f"line {left_out}: {why}; nothing was loaded\n")
    assert not other.exists()
