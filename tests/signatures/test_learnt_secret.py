"""Secrets that a sender tells when it is registered: kept while somebody waits for one, and replaced by no stranger."""

from __future__ import annotations

import logging
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import NOW, Noted, noting
from webhook_receiver import ConfigurationError, HMACBody, QuerySecret, Response, Secret, Sender
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders.asana import asana
from webhook_receiver.senders.challenges import Keep, learn
from webhook_receiver.signatures.learnt_secret import LearntSecret

TOLD = "b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81"
OTHER = "a-secret-of-a-stranger"
EVENT = b'{"event": "task.changed"}'


@pytest.fixture
def learnt(tmp_path: Path) -> LearntSecret:
    return LearntSecret(tmp_path / "asana.secret", clock=lambda: NOW)


def receiver(
    learnt: LearntSecret, keep: Keep | None = None, *, place: str = "header:X-Hook-Secret", **options: Any
) -> Noted:
    return noting(
        sender=Sender(
            name="asana",
            scheme=HMACBody(learnt.secret, signature="x-hook-signature"),
            facts=("made up",),
            challenges=(learn(place, keep or learnt.keep, **options),),
        )
    )


async def tell(noted: Noted, secret: str = TOLD, body: bytes = b"{}", target: str = "/") -> Response:
    receipt = await noted.hooks.receive({"X-Hook-Secret": secret}, body, target=target)
    assert (receipt.delivery, noted.events) == (None, [])
    return receipt.response


async def is_let_in(noted: Noted, secret: str) -> bool:
    head = HMACBody(secret, signature="x-hook-signature").sign(RequestHead.of({}), EVENT, NOW)
    return (await noted.hooks.receive(head.headers, EVENT)).response.status == 204


@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_a_secret_is_learnt_while_it_is_waited_for_and_sent_back(learnt: LearntSecret, body: bytes) -> None:
    noted = receiver(learnt)
    with learnt.open(60):
        response = await tell(noted, body=body)
    assert (response.status, dict(response.headers), response.body) == (
        200,
        {"x-hook-secret": TOLD, "content-length": "0"},
        b"",
    )
    assert await is_let_in(noted, TOLD)
    assert not await is_let_in(noted, OTHER)


async def test_nothing_is_let_in_before_a_secret_is_learnt(learnt: LearntSecret) -> None:
    noted = receiver(learnt)
    for guess in (OTHER, "", " ", "-", learnt.secret.get_secret_value()[:-1]):
        assert not guess.strip() or not await is_let_in(noted, guess)
    assert (await noted.hooks.receive({}, EVENT)).response.status == 401


async def test_without_somebody_who_waits_nothing_is_learnt(learnt: LearntSecret, tmp_path: Path) -> None:
    noted = receiver(learnt)
    assert (await tell(noted, OTHER)).status == 401
    with learnt.open(60):
        pass
    assert (await tell(noted, OTHER)).status == 401
    with learnt.open(0.001):
        object.__setattr__(noted.hooks.runtime, "clock", lambda: NOW + 1)
        assert (await tell(noted, OTHER)).status == 401
    assert os.listdir(tmp_path) == []


async def test_a_stranger_cannot_replace_what_was_learnt(learnt: LearntSecret) -> None:
    noted = receiver(learnt)
    with learnt.open(60):
        assert (await tell(noted)).status == 200
        assert (await tell(noted, OTHER)).status == 401  # one is enough
    assert (await tell(noted, OTHER)).status == 401
    assert await is_let_in(noted, TOLD)
    assert not await is_let_in(noted, OTHER)


async def test_the_same_secret_told_again_has_the_same_answer(learnt: LearntSecret) -> None:
    noted = receiver(learnt)
    with learnt.open(60):
        first = await tell(noted)
    assert await tell(noted) == first
    assert (await tell(noted, TOLD[:-1])).status == 401


async def test_another_registration_replaces_the_secret(learnt: LearntSecret, tmp_path: Path) -> None:
    for secret in (TOLD, OTHER):
        with learnt.open(60):
            assert (await tell(receiver(learnt), secret)).status == 200
    assert (tmp_path / "asana.secret").read_text() == OTHER
    again = LearntSecret(tmp_path / "asana.secret")  # after a restart
    assert await is_let_in(receiver(again), OTHER)
    assert not await is_let_in(receiver(again), TOLD)


async def test_another_process_opens_and_learns(learnt: LearntSecret, tmp_path: Path) -> None:
    noted, script = receiver(learnt), LearntSecret(tmp_path / "asana.secret", clock=lambda: NOW)
    script.open(60)
    assert (await tell(noted)).status == 200
    assert await is_let_in(receiver(script), TOLD)


def test_of_several_told_at_once_one_is_kept(learnt: LearntSecret, tmp_path: Path) -> None:
    for _ in range(20):
        learnt.open(60)
        with ThreadPoolExecutor(8) as threads:
            told = [f"secret-{number}" for number in range(8)]
            kept = [*threads.map(lambda each: learnt.keep(Secret(each), NOW), told)]
        assert kept.count(True) == 1
        assert (tmp_path / "asana.secret").read_text() == told[kept.index(True)]
        (tmp_path / "asana.secret").unlink()


def test_only_its_user_can_read_it(learnt: LearntSecret, tmp_path: Path) -> None:
    learnt.open(60)
    modes = [stat.S_IMODE((tmp_path / "asana.secret.open").stat().st_mode)]
    learnt.keep(Secret(TOLD), NOW)
    modes.append(stat.S_IMODE((tmp_path / "asana.secret").stat().st_mode))
    assert (modes, os.listdir(tmp_path)) == ([0o600, 0o600], ["asana.secret"])


@pytest.mark.parametrize(
    "secret", ["", " ", "a b", "a\tb", "a\x00b", "é", "a" * 1025, "a" * 1_000_000, "a\r\nset-cookie: b", "\ud800"]
)
async def test_what_cannot_be_a_secret_in_a_header_is_none(learnt: LearntSecret, secret: str) -> None:
    noted = receiver(learnt)
    with learnt.open(60):
        assert (await tell(noted, secret)).status == 401
        assert (await noted.hooks.receive([("x-hook-secret", TOLD)] * 2, b"{}")).response.status == 401
        assert (await tell(noted)).status == 200


async def test_a_delivery_is_not_taken_for_a_registration(learnt: LearntSecret) -> None:
    noted = receiver(learnt)
    with learnt.open(60):
        assert (await tell(noted, body=EVENT)).status == 401
        assert (await tell(noted)).status == 200
        head = HMACBody(TOLD, signature="x-hook-signature").sign(RequestHead.of({"x-hook-secret": OTHER}), EVENT, NOW)
        assert (await noted.hooks.receive(head.headers, EVENT)).response.status == 204
    assert len(noted.events) == 1


async def test_a_token_in_the_url_may_be_demanded_too(learnt: LearntSecret) -> None:
    noted = receiver(learnt, scheme=QuerySecret("mine", parameter="token"))
    with learnt.open(60):
        for target in ("/", "/?token=yours"):
            assert (await tell(noted, OTHER, target=target)).status == 401
        assert (await tell(noted, target="/?token=mine")).status == 200


async def test_each_of_several_webhooks_at_one_url_has_its_own_secret(tmp_path: Path) -> None:
    files = [LearntSecret(tmp_path / name, clock=lambda: NOW) for name in ("a", "b")]
    noted = noting(sender=asana([*files, "a secret that was told before"]))
    told = [TOLD, OTHER]
    for file, secret in zip(files, told, strict=True):
        with file.open(60):
            assert (await tell(noted, secret)).headers["x-hook-secret"] == secret
        assert (await tell(noted, "and of a stranger")).status == 401
    event = b'{"events": [{"action": "changed", "resource": {"resource_type": "task"}}]}'
    for secret in (*told, "a secret that was told before"):
        head = HMACBody(secret, signature="x-hook-signature").sign(RequestHead.of({}), event, NOW)
        assert (await noted.hooks.receive(head.headers, event)).response.status == 200
    assert len(noted.events) == 3


async def test_a_secret_in_the_body_is_learnt_and_not_sent_back(learnt: LearntSecret, tmp_path: Path) -> None:
    noted = receiver(learnt, place="body:verification_token")
    token = "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"
    body = b'{"verification_token": "%b"}' % token.encode()
    assert (await noted.hooks.receive({}, body)).response.status == 401
    with learnt.open(600):
        for wrong in (b'{"verification_token": "a", "type": "page.created"}', b'{"verification_token": 7}', b"[]"):
            assert (await noted.hooks.receive({}, wrong)).response.status == 401
        response = (await noted.hooks.receive({}, body)).response
    assert (response.status, dict(response.headers), response.body) == (200, {"content-length": "0"}, b"")
    assert (tmp_path / "asana.secret").read_text() == token
    assert await is_let_in(noted, token)


async def test_a_function_may_keep_it_elsewhere(learnt: LearntSecret) -> None:
    kept: list[tuple[str, float]] = []

    def keep(secret: Secret, now: float) -> bool:
        assert TOLD not in repr(secret)
        kept.append((secret.get_secret_value(), now))
        return len(kept) == 1

    noted = receiver(learnt, keep)
    assert [(await tell(noted)).status for _ in range(2)] == [200, 401]
    assert kept == [(TOLD, NOW)] * 2


@pytest.mark.parametrize("full_disk", [True, False])
async def test_what_cannot_be_kept_is_not_acknowledged_and_the_secret_is_in_no_log(
    learnt: LearntSecret, full_disk: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(secret: Secret, now: float) -> bool:
        raise OSError(28, "No space left on device") if full_disk else RuntimeError("my database is away")

    noted = receiver(learnt, fail)
    with caplog.at_level(logging.DEBUG):
        response = await tell(noted)
        with learnt.open(60):
            assert (await tell(receiver(learnt))).status == 200
    assert response.status == 503
    assert "cannot be kept" in caplog.text
    for text in (caplog.text, repr(response), repr(learnt), repr(learnt.secret), repr(noted.hooks)):
        assert TOLD not in text


def test_a_disk_that_is_full_leaves_the_old_secret_and_the_file_open(
    learnt: LearntSecret, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt.open(60)
    learnt.keep(Secret(TOLD), NOW)
    learnt.open(60)

    def fail(number: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            learnt.keep(Secret(OTHER), NOW)
    assert (tmp_path / "asana.secret").read_text() == TOLD
    assert sorted(os.listdir(tmp_path)) == ["asana.secret", "asana.secret.open"]
    assert learnt.keep(Secret(OTHER), NOW)


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), "60", True])
def test_how_long_it_is_open_is_a_number_of_seconds(learnt: LearntSecret, seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match="number of seconds"):
        learnt.open(seconds)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: LearntSecret(path / "nowhere" / "secret"),
        lambda path: LearntSecret(path),
        lambda path: learn("query:secret", LearntSecret(path / "secret").keep),
        lambda path: learn("header:x-hook-secret", True),  # type: ignore[arg-type]
        lambda path: learn("header:x-hook-secret", LearntSecret(path / "secret").keep, scheme=HMACBody),  # type: ignore[arg-type]
        lambda path: learn(7, LearntSecret(path / "secret").keep),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_work_is_rejected_at_once(make: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        make(tmp_path)


def test_what_is_in_the_file_of_somebody_is_no_time(learnt: LearntSecret, tmp_path: Path) -> None:
    for text in ("", "soon", "nan", "\xff"):
        (tmp_path / "asana.secret.open").write_text(text, encoding="latin-1")
        assert not learnt.keep(Secret(TOLD), NOW)
