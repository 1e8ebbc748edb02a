"""Users in a file: what is in it, who gets in by it, and what it costs to guess."""

from __future__ import annotations

import asyncio
import base64
import stat
import threading
from pathlib import Path

import pytest

from tests.inspector.stage import Browser
from tests.working import until
from webhook_receiver import ConfigurationError, SQLiteInbox
from webhook_receiver.inspector import Inspector, PasswordFile, passwords
from webhook_receiver.inspector.passwords import read_users, write_user

PASSWORD = "corréct: horse"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a password cost less than it does."""
    monkeypatch.setattr(passwords, "_COST", 2)
    monkeypatch.setattr(passwords, "_PACE", 0.0)
    monkeypatch.setattr(passwords, "_REST", 0.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "inspector.passwd"
    write_user(path, "ann", PASSWORD)
    return path


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def at(inbox: SQLiteInbox, file: Path, **options: str) -> Browser:
    return Browser(Inspector(inbox, auth=PasswordFile(file)), **{"base": "https://hooks.example", **options})


def test_a_line_has_a_hash_of_its_own_and_nobody_else_reads_it(file: Path) -> None:
    assert write_user(file, "bo", PASSWORD)
    assert not write_user(file, "bo", PASSWORD)
    text = file.read_text(encoding="utf-8")
    assert PASSWORD not in text
    hashes = {line.partition(":")[2] for line in text.splitlines()}
    assert len(hashes) == 2
    assert all(each.startswith("scrypt$2$8$5$") for each in hashes)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [*file.parent.glob("*.tmp")] == []
    assert PASSWORD not in repr(read_users(file))


@pytest.mark.parametrize("name", ["", "a:b", " ann", "ann\n", "#ann", "a\x1bb"])
def test_a_name_that_cannot_be_one_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="a user's name is a text in one line"):
        write_user(tmp_path / "x", name, PASSWORD)


def test_a_short_password_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="8 characters or more"):
        write_user(tmp_path / "x", "ann", "1234567")


@pytest.mark.parametrize(
    "line",
    [
        "ann:secret",
        "ann:$2b$12$abc",
        "ann:scrypt$3$8$5$AAAA$AAAA",
        "ann:scrypt$0$8$5$AAAA$AAAA",
        "ann:scrypt$4194304$8$5$AAAA$AAAA",
        "ann:scrypt$2$8$99$AAAA$AAAA",
        "ann:scrypt$2$8$5$?$AAAA",
        "ann",
        "ann:scrypt$2$8$5$AAAA",
    ],
)
def test_a_line_that_is_none_is_told_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "inspector.passwd"
    path.write_text(f"# users\n\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"line 3 of .*passwd is no user") as raised:
        PasswordFile(path)
    assert "secret" not in str(raised.value)


def test_a_file_without_users_or_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the users of the inspector from .*: No such file"):
        PasswordFile(tmp_path / "nothing")
    empty = tmp_path / "empty"
    empty.write_text("# nobody\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="has no user, so nobody could get in:  webhook-receiver password"):
        PasswordFile(empty)
    empty.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="it is not UTF-8"):
        PasswordFile(empty)


async def test_the_password_of_a_user_lets_him_in_and_no_other(file: Path, inbox: SQLiteInbox) -> None:
    browser = at(inbox, file)
    asked = await browser.get("/")
    assert asked.status == 401
    assert asked.response.headers["www-authenticate"] == 'Basic realm="webhook-receiver", charset="UTF-8"'
    assert asked.response.headers["x-frame-options"] == "DENY"
    for given in (
        basic("ann", "wrong"),
        basic("nobody", PASSWORD),
        basic("", ""),
        "Basic ?",
        "Basic",
        "Bearer x",
        "Basic YQ==",
    ):
        assert (await browser.get("/", authorization=given)).status == 401, given
    page = await browser.get("/", authorization=basic("ann", PASSWORD))
    assert (page.status, "You are ann." in page.text) == (200, True)
    await browser.client.aclose()


async def test_what_was_right_once_costs_nothing_again(
    file: Path, inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = at(inbox, file)
    assert (await browser.get("/", authorization=basic("ann", PASSWORD))).status == 200
    monkeypatch.setattr(passwords, "_scrypt", lambda *_: pytest.fail("it was tried again"))
    assert (await browser.get("/deliveries", authorization=basic("ann", PASSWORD))).status == 200
    await browser.client.aclose()


async def test_a_changed_file_counts_at_once(file: Path, inbox: SQLiteInbox) -> None:
    browser = at(inbox, file)
    assert (await browser.get("/", authorization=basic("ann", PASSWORD))).status == 200
    write_user(file, "ann", "another password")
    assert (await browser.get("/", authorization=basic("ann", PASSWORD))).status == 401
    assert (await browser.get("/", authorization=basic("ann", "another password"))).status == 200
    await browser.client.aclose()


async def test_a_password_that_is_changed_while_it_is_tried_counts_no_more(
    file: Path, inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_user(file, "bo", PASSWORD)
    users = PasswordFile(file)
    browser = Browser(Inspector(inbox, auth=users), base="https://hooks.example")
    began, go_on = threading.Event(), threading.Event()
    tried = passwords._scrypt

    def held(*given: object) -> bytes:
        began.set()
        assert go_on.wait(10)
        return tried(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(passwords, "_scrypt", held)
    first = asyncio.create_task(browser.get("/", authorization=basic("ann", PASSWORD)))
    assert await asyncio.to_thread(began.wait, 10)
    monkeypatch.setattr(passwords, "_scrypt", tried)
    await asyncio.to_thread(write_user, file, "ann", "another password")
    other = asyncio.create_task(browser.get("/", authorization=basic("bo", PASSWORD)))
    await until(lambda: users._stamp == passwords._stamp(file))  # which the other one has read
    go_on.set()
    assert [(await each).status for each in (first, other)] == [401, 200]
    assert (await browser.get("/", authorization=basic("ann", PASSWORD))).status == 401
    await browser.client.aclose()


async def test_who_guesses_keeps_no_other_user_out(
    file: Path, inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_PACE", 60.0)
    users = PasswordFile(file)
    inspector = Inspector(inbox, auth=users)
    stranger, ann = (Browser(inspector, base="https://x.example", peer=each) for each in ("192.0.2.7", "192.0.2.8"))
    names = [f"name {number}" for number in range(99)]
    lane = users._digest("ann")[0] % passwords._LANES
    elsewhere = next(each for each in names if users._digest(each)[0] % passwords._LANES != lane)
    guesses = [
        asyncio.create_task(stranger.get("/", authorization=basic(name, f"guess {number}")))
        for number, name in enumerate([elsewhere] * 9)
    ]
    await until(lambda: bool(users._lanes))
    for browser in (stranger, ann):  # also from the same address, as behind a proxy
        users._known.clear()
        assert (await browser.get("/", authorization=basic("ann", PASSWORD))).status == 200
    assert [each.result().status for each in guesses if each.done()] == [429] * 5
    for each in guesses:
        each.cancel()
    await asyncio.gather(*guesses, return_exceptions=True)
    assert users._lanes == {}
    for browser in (stranger, ann):
        await browser.client.aclose()


async def test_there_is_a_bound_of_all_that_wait(
    file: Path, inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_MOST_LANES", 3)
    inspector = Inspector(inbox, auth=PasswordFile(file))
    strangers = [Browser(inspector, base="https://x.example", peer=f"192.0.2.{number}") for number in range(1, 9)]
    found = await asyncio.gather(*(each.get("/", authorization=basic("ann", "a wrong one")) for each in strangers))
    assert sorted(each.status for each in found) == [401] * 3 + [429] * 5
    for each in strangers:
        await each.client.aclose()


async def test_while_the_file_cannot_be_read_nobody_gets_in(
    file: Path, inbox: SQLiteInbox, caplog: pytest.LogCaptureFixture
) -> None:
    browser = at(inbox, file)
    assert (await browser.get("/", authorization=basic("ann", PASSWORD))).status == 200
    good = await asyncio.to_thread(file.read_text, "utf-8")
    await asyncio.to_thread(file.write_text, "nonsense", "utf-8")
    for _ in range(3):
        assert (await browser.get("/", authorization=basic("ann", PASSWORD))).status == 401
    assert caplog.text.count("nobody gets into the inspector") == 1
    await asyncio.to_thread(file.write_text, good + "\n", "utf-8")
    assert (await browser.get("/", authorization=basic("ann", PASSWORD))).status == 200
    await browser.client.aclose()


@pytest.mark.parametrize(
    ("base", "peer", "forwarded", "status"),
    [
        ("http://hooks.example", "192.0.2.7", "", 403),
        ("http://hooks.example", "192.0.2.7", "http", 403),
        ("http://hooks.example", "127.0.0.1", "http", 403),
        ("http://hooks.example", "192.0.2.7", "https", 401),
        ("http://hooks.example", "127.0.0.1", "https, http", 401),
        ("http://127.0.0.1:8000", "127.0.0.1", "", 401),
        ("https://hooks.example", "192.0.2.7", "", 401),
    ],
)
async def test_a_password_is_asked_for_where_nobody_on_the_way_reads_it(
    file: Path, inbox: SQLiteInbox, base: str, peer: str, forwarded: str, status: int
) -> None:
    browser = at(inbox, file, base=base, peer=peer)
    found = await browser.get("/", **({"x_forwarded_proto": forwarded} if forwarded else {}))
    assert found.status == status
    if status == 403:
        assert "www-authenticate" not in found.response.headers
        assert "use https" in found.html
        right = basic("ann", PASSWORD)
        assert (await browser.get("/", authorization=right, x_forwarded_proto="http")).status == 403
    await browser.client.aclose()


async def test_guesses_wait_for_one_another_and_too_many_are_sent_away(
    file: Path, inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = most = 0
    tried = passwords._scrypt

    def counting(*given: object) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        running -= 1
        return tried(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(passwords, "_scrypt", counting)
    browser = at(inbox, file)
    given = [browser.get("/", authorization=basic("ann", f"guess {number}")) for number in range(30)]
    found = [each.status for each in await asyncio.gather(*given)]
    assert most == 1
    assert {*found} == {401, 429}
    assert found.count(401) == passwords._MOST_WAITING
    assert (await browser.get("/", authorization=basic("ann", PASSWORD))).status == 200
    await browser.client.aclose()


async def test_a_wrong_name_takes_as_long_as_a_wrong_password(
    file: Path, inbox: SQLiteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters: list[tuple[object, ...]] = []
    tried = passwords._scrypt

    def noting(*given: object) -> bytes:
        parameters.append(given[1:4])
        return tried(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(passwords, "_scrypt", noting)
    browser = at(inbox, file)
    for name in ("ann", "nobody"):
        await browser.get("/", authorization=basic(name, "a wrong one"))
    assert parameters == [(2, 8, 5), (2, 8, 5)]
    await browser.client.aclose()


def test_the_parameters_of_a_new_hash_are_those_that_are_recommended() -> None:
    source = Path(passwords.__file__).read_text(encoding="utf-8")
    assert "_COST, _BLOCK, _PARALLEL = 2**14, 8, 5" in source
