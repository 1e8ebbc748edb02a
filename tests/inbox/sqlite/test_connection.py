from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from webhook_receiver.inbox import sqlite
from webhook_receiver.inbox.sqlite.connection import connect, takes_several_writers


def test_each_commit_survives_the_loss_of_power_and_other_writers_are_waited_for(tmp_path: Path) -> None:
    connection = connect(tmp_path / "hooks.db", 1.5)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,), "2 is FULL"
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (1500,)
    connection.close()


def test_no_statement_has_a_numbered_placeholder_of_which_python_3_12_warns() -> None:
    # "?1" with a sequence: in 3.12.0 to 3.12.3 (github.com/python/cpython/issues/117995)
    for file in Path(sqlite.__file__).parent.rglob("*.py"):
        assert not re.search(r"\?\d", file.read_text(encoding="utf-8")), file


@pytest.mark.parametrize(
    ("version", "takes"),
    [
        *((each, False) for each in [(3, 38, 0), (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 0), (3, 51, 2)]),
        *((each, True) for each in [(3, 44, 6), (3, 50, 7), (3, 51, 3), (3, 53, 1), (4, 0, 0)]),
    ],
)
def test_a_sqlite_for_several_writers_has_the_fix_of_its_bug(version: tuple[int, ...], takes: bool) -> None:
    assert takes_several_writers(version) is takes


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        connect(tmp_path / "missing" / "hooks.db")


def test_what_was_changed_in_memory_is_taken_back_from_the_last_to_the_first() -> None:
    connection, said = connect(":memory:"), list[int]()
    connection.undo += (lambda: said.append(1), lambda: said.append(2))
    connection.rolled_back()
    assert said == [2, 1]
    connection.undo += (lambda: said.append(3),)
    connection.committed()
    connection.rolled_back()
    assert said == [2, 1]
    connection.close()
