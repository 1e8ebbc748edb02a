from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from webhook_receiver import ConfigurationError, MemoryInbox, SQLiteInbox
from webhook_receiver.inbox import Inbox, State, from_url
from webhook_receiver.testing.inbox_suite import DAY, listed, put


@pytest.mark.parametrize("name", ["window", "retention", "unhandled_retention", "dead_retention", "keep_body"])
def test_a_span_that_is_no_number_of_seconds_is_told(name: str) -> None:
    spans: dict[str, Any] = {name: timedelta(days=30)}
    with pytest.raises(ConfigurationError, match=f"{name} is a number of seconds"):
        SQLiteInbox("hooks.db", **spans)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///hooks.db", "hooks.db"),
        ("sqlite:///data/hooks.db", "data/hooks.db"),
        ("sqlite:////var/lib/hooks.db", "/var/lib/hooks.db"),
        ("sqlite:///my%20hooks%231.db", "my hooks#1.db"),
        ("sqlite:///h%C3%A9.db", "hé.db"),
        ("SQLite:///hooks.db", "hooks.db"),
    ],
)
def test_a_sqlite_url_names_a_file(url: str, path: str) -> None:
    inbox = from_url(url)
    assert type(inbox) is SQLiteInbox
    assert inbox.path == Path(path).absolute()
    assert repr(inbox) == f"<SQLiteInbox {Path(path).absolute()}>"
    assert isinstance(inbox, Inbox)


@pytest.mark.parametrize("url", ["memory://", "memory:", "memory:///"])
def test_a_memory_url_names_no_file(url: str) -> None:
    assert type(from_url(url)) is MemoryInbox


def test_settings_follow_with_units() -> None:
    inbox = from_url("sqlite:///hooks.db?window=2d&retention=90d&min_free=1000000&busy_timeout=1.5s")
    assert isinstance(inbox, SQLiteInbox)
    assert (inbox.window, inbox._retention[State.DONE], inbox._file_guard._min_free, inbox._busy_timeout) == (
        2 * DAY,
        90 * DAY,
        1_000_000,
        1.5,
    )
    in_memory = from_url("memory://?window=1h&retention=2h")
    assert isinstance(in_memory, MemoryInbox)
    assert (in_memory.window, in_memory._retention[State.DONE]) == (3600, 7200)


def test_without_settings_duplicates_are_known_for_a_week_and_what_is_done_is_kept_for_a_month() -> None:
    inbox = from_url("sqlite:///hooks.db")
    assert isinstance(inbox, SQLiteInbox)
    assert (inbox.window, inbox._retention) == (7 * DAY, {State.DONE: 30 * DAY, State.UNHANDLED: 30 * DAY})


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "sqlite:///file.db .*, postgresql://... or memory://; this one begins otherwise"),
        ("hooks.db", "this one begins otherwise"),
        ("redis://localhost", "'redis' is no kind of inbox"),
        ("sqlite://", "names no file, or a host"),
        ("sqlite:///", "names no file"),
        ("sqlite:///data/", "names no file"),
        ("sqlite://hooks.db", "names no file, or a host"),
        ("sqlite:///:memory:", "or memory://"),
        ("sqlite:///hooks#1.db", "%23"),
        ("sqlite:///hooks%00.db", "zero byte"),
        ("sqlite://[hooks.db", "cannot be read"),
        ("memory://host", "no host"),
        ("memory:///file.db", "names no file"),
        (
            "sqlite:///hooks.db?retension=90d",
            "no setting 'retension'; it has window, retention, .*, min_free, busy_timeout",
        ),
        (
            "memory://?min_free=1",
            "no setting 'min_free'; it has window, retention, unhandled_retention, dead_retention, keep_body$",
        ),
        ("sqlite:///hooks.db?window=soon", "window='soon' cannot be read: 'soon' is not a span of time such as"),
        ("sqlite:///hooks.db?window=", "window='' cannot be read"),
        ("sqlite:///hooks.db?min_free=1GB", "min_free='1GB' cannot be read"),
        ("sqlite:///hooks.db?window=1d&window=2d", "'window' is given twice"),
        ("sqlite:///hooks.db?window=0", "above 0 seconds"),
        ("sqlite:///hooks.db?window=30d&retention=7d", "retention no shorter"),
        ("sqlite:///hooks.db?min_free=-1", "min_free"),
        ("sqlite:///hooks.db?busy_timeout=52w", "busy_timeout"),
    ],
)
def test_a_url_that_cannot_work_is_rejected_with_what_to_do(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        from_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2%zz@host/db",
        "postgresql://user:hunter2@host/db?hunter2=on",
        "postgresql://user:hunter2@host/db?password=hunter2&window=hunter2",
        "postgresql://user:hunter2@host/db?window=1d&window=hunter2",
        "postgresql://user:hunter2@host/db?schema=",
        "mysql://user:hunter2@[host/db",
        "sqlite://user:hunter2@host/db",
        "memory://user:hunter2@host",
        "//user:hunter2@host/db",
        "host=db user=app password=hunter2 dbname=hooks",
        "host=db port=5432 password=hunter2?window=1d",
        "app:hunter2@db:5432/hooks",
    ],
)
def test_no_password_is_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        from_url(url)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


async def test_an_inbox_that_does_not_exist_is_created_unless_create_is_false(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hooks.db?min_free=0"
    with pytest.raises(ConfigurationError, match="there is no inbox at"):
        await from_url(url, create=False).open()
    assert os.listdir(tmp_path) == []
    inbox = await from_url(url).open()
    await put(inbox, "d-1")
    await inbox.close()
    again = await from_url(url, create=False).open()
    assert await listed(again) == ["d-1"]
    await again.close()
