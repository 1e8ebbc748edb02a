from __future__ import annotations

import hashlib
import hmac
import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.helpers import NOW, came
from webhook_receiver import (
    BadSignature,
    ConfigurationError,
    HTTPMessageSignature,
    Secret,
    StandardWebhooks,
    UP42Signature,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.senders import github
from webhook_receiver.signatures.secrets import Keyring, mac, masked

from .keys import whsec


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW + seconds, UTC)


def texts(secrets: Sequence[str | Secret] | Secret) -> Keyring[tuple[int, str]]:
    return Keyring(secrets, lambda by, secret: (by, secret.get_secret_value()))


@pytest.mark.parametrize(("name", "given"), [(None, "NoneType"), (7, "int"), ("", "an empty text")])
def test_the_name_of_an_environment_variable_is_a_text(name: Any, given: str) -> None:
    with pytest.raises(ConfigurationError, match=f'such as "WEBHOOK_SECRET", not {given}$'):
        Secret.from_env(name)


def test_a_secret_holds_until_its_end_and_keeps_its_index() -> None:
    keyring = texts([Secret("new"), Secret("old", until=at(10)), Secret("older", until=at(5)), "spare"])
    assert keyring.at(NOW) == [(0, "new"), (1, "old"), (2, "older"), (3, "spare")]
    assert keyring.at(NOW + 4.9) == keyring.at(NOW)
    assert keyring.at(NOW + 5) == [(0, "new"), (1, "old"), (3, "spare")]
    assert keyring.at(NOW + 10) == [(0, "new"), (3, "spare")]
    assert keyring.at(NOW) == [(0, "new"), (1, "old"), (2, "older"), (3, "spare")]  # the clock was set back


def test_an_end_is_a_moment_in_whatever_zone() -> None:
    keyring = texts(Secret("a", until=at(10).astimezone(timezone(timedelta(hours=9)))))
    assert (keyring.at(NOW + 9), keyring.at(NOW + 10)) == ([(0, "a")], [])


@pytest.mark.parametrize("until", [datetime(2030, 1, 31), 1893456000, "2030-01-31"])
def test_an_end_without_a_zone_or_that_is_no_time_is_rejected(until: Any) -> None:
    with pytest.raises(ConfigurationError, match="with a time zone"):
        Secret("a", until=until)


@pytest.mark.parametrize(
    "make",
    [
        UP42Signature,
        github.signature,
        StandardWebhooks,
        lambda secrets: HTTPMessageSignature({str(each.until): each for each in secrets}),
    ],
)
def test_in_every_scheme_an_expired_secret_verifies_nothing_and_signs_nothing(make: Any) -> None:
    given = {"content-type": "a/b", "x-github-delivery": "7"}
    scheme = make([Secret(whsec("old"), until=at(10)), Secret(whsec("new"))])
    by_old, by_new = (
        scheme.sign(RequestHead.of(given), b"{}", NOW).headers,
        scheme.sign(RequestHead.of(given), b"{}", NOW + 10).headers,
    )
    assert (scheme.verify(came(by_old), NOW)(b"{}").by, scheme.verify(came(by_new), NOW)(b"{}").by) == (0, 1)
    with pytest.raises(BadSignature):
        scheme.verify(came(by_old), NOW + 10)(b"{}")
    gone = make([Secret(whsec("old"), until=at(10))])
    with pytest.raises(BadSignature, match="expired"):
        gone.verify(came(by_old), NOW + 10)(b"{}")
    with pytest.raises(ConfigurationError, match="every secret has expired"):
        gone.sign(RequestHead.of(given), b"{}", NOW + 10)


def test_a_secret_from_the_environment_may_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "a")
    assert Secret.from_env("WEBHOOK_SECRET", until=at(10)).until == at(10)


INVISIBLE = {
    "a space": " ",
    "a tab": "\t",
    "a newline": "\n",
    "CRLF": "\r\n",
    "a no-break space": "\u00a0",
    "a narrow no-break space": "\u202f",
    "an ideographic space": "\u3000",
    "a byte order mark": "\ufeff",
    "a zero-width space": "\u200b",
    "a zero-width joiner": "\u200d",
    "a mark of direction": "\u200e",
    "an override of direction": "\u202e",
    "a word joiner": "\u2060",
    "a soft hyphen": "\u00ad",
    "a filler": "\u3164",
    "an empty braille cell": "\u2800",
    "a line separator": "\u2028",
    "NEL": "\u0085",
    "a zero byte": "\0",
    "DEL": "\x7f",
    "a tag": "\U000e0020",
}


def of_text(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Secret:
    return Secret(text)


def of_file(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Secret:
    (tmp_path / "secret").write_bytes(text.encode())
    return Secret.from_file(tmp_path / "secret")


def of_environment(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Secret:
    monkeypatch.setenv("WEBHOOK_SECRET", text)
    return Secret.from_env("WEBHOOK_SECRET")


def of_list(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Secret:
    return masked(["another", SecretStr(text)])[1]


IN_EVERY_FORM = pytest.mark.parametrize(
    ("form", "char"),
    [
        pytest.param(form, char, id=f"{name}-{form.__name__}")
        for name, char in INVISIBLE.items()
        for form in (of_text, of_file, of_environment, of_list)
        if char != "\0" or form is not of_environment  # which holds no zero byte
    ],
)


@IN_EVERY_FORM
def test_what_is_invisible_at_the_ends_of_a_secret_is_taken_off_and_told(
    char: str, form: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for text in (f"{char}try-me", f"try-me{char}", f"{char}{char}try-me{char}"):
        caplog.clear()
        assert form(text, tmp_path, monkeypatch).get_secret_value() == "try-me"
        if form is of_file and text.rstrip("\r\n") == "try-me":
            assert caplog.text == "", "a file ends with a newline"
            continue
        assert f"U+{ord(char[-1]):04X}" in caplog.text
        assert "invisible at the ends of the secret was taken off" in caplog.text
        assert "try-me" not in caplog.text
    assert form(f"try{char}me", tmp_path, monkeypatch).get_secret_value() == f"try{char}me", "within it is left"


# Default_Ignorable_Code_Point, in Unicode's DerivedCoreProperties.txt
IGNORABLE = [
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF)),
    *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
]


@pytest.mark.parametrize(("first", "last"), IGNORABLE, ids=lambda each: f"{each:X}")
def test_no_character_that_unicode_calls_ignorable_is_a_secret_or_an_end_of_one(first: int, last: int) -> None:
    for char in map(chr, range(first, last + 1)):
        with pytest.raises(ConfigurationError, match="blank"):
            Secret(char)
    ignorable = "".join(map(chr, range(first, last + 1)))
    assert Secret(f"{ignorable}try-me{ignorable}").get_secret_value() == "try-me"
    assert Secret(f"try{ignorable}me").get_secret_value() == f"try{ignorable}me"
    for visible in (chr(first - 1), chr(last + 1)):
        if visible.isprintable() and not visible.isspace():
            assert Secret(f"a{visible}").get_secret_value() == f"a{visible}"


@IN_EVERY_FORM
def test_a_blank_secret_is_rejected(
    char: str, form: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for text in ("", char, 2 * char, f"{char} \n"):
        with pytest.raises(ConfigurationError, match=r"a secret must not be empty.*: anyone could sign with it"):
            form(text, tmp_path, monkeypatch)
    assert caplog.text == ""


def test_the_place_of_what_was_taken_off_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    of_environment("try-me\n", tmp_path, monkeypatch)
    of_file("\ufefftry-me\n", tmp_path, monkeypatch)
    said = "what is invisible at the ends of the secret was taken off"
    assert [record.getMessage() for record in caplog.records] == [
        f"the environment variable WEBHOOK_SECRET: {said} (U+000A): give it without",
        f"the file {tmp_path}/secret: {said} (U+FEFF): give it without",
    ]


def test_the_newline_at_the_end_of_a_key_of_several_lines_is_nothing_to_warn_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert Secret("-----BEGIN\nkey\nEND-----\n").get_secret_value() == "-----BEGIN\nkey\nEND-----"
    assert caplog.text == ""
    Secret("-----BEGIN\nkey\nEND-----\n \n")
    assert "(U+0020)" in caplog.text


def test_a_stranger_who_guesses_what_is_invisible_is_not_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "try-me\r\n")
    scheme = UP42Signature(Secret.from_env("WEBHOOK_SECRET"))
    head = RequestHead.of({"content-type": "a/b"})
    assert scheme.verify(came(UP42Signature("try-me").sign(head, b"{}", NOW).headers), NOW)(b"{}").by == 0
    for guess in ("try-me\r\n", "\n"):
        with pytest.raises(BadSignature):
            scheme.verify(came(UP42Signature(Secret.verbatim(guess)).sign(head, b"{}", NOW).headers), NOW)


class File:
    """A secret's file, whose every change is seen although the clock of the file system is coarse."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._changes = 0
        self.write(text)

    def write(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")
        self._changes += 1
        os.utime(self.path, (self._changes, self._changes))


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "secret", "first\n")


def test_a_file_that_changes_is_read_again_at_most_once_a_second(file: File, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    keyring = texts(["fixed", Secret.from_file(file.path)])
    assert keyring.at(NOW) == [(0, "fixed"), (1, "first")]
    file.write("second\n")
    assert keyring.at(NOW + 0.9) == [(0, "fixed"), (1, "first")]
    assert keyring.at(NOW + 1) == [(0, "fixed"), (1, "second")]
    assert keyring.at(NOW + 9) == [(0, "fixed"), (1, "second")]
    assert [record.getMessage() for record in caplog.records] == [f"secret 1 was read again from {file.path}"]


def test_what_the_file_became_before_the_first_delivery_is_not_missed(file: File) -> None:
    secret = Secret.from_file(file.path)
    file.write("second")
    assert texts(secret).at(NOW) == [(0, "second")]


def test_a_link_that_is_turned_to_another_file_is_a_change(file: File, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file.path)
    keyring = texts(Secret.from_file(link))
    assert keyring.at(NOW) == [(0, "first")]
    other = File(tmp_path / "other", "other")
    tmp_path.joinpath("next").symlink_to(other.path)
    tmp_path.joinpath("next").rename(link)  # as Kubernetes does
    assert keyring.at(NOW + 1) == [(0, "other")]


@pytest.mark.parametrize("broken", ["", "\n", "\udcff", None])
def test_a_file_that_is_broken_meanwhile_leaves_the_last_good_secret_and_is_warned_of_once(
    file: File, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    keyring = texts(Secret.from_file(file.path))
    keyring.at(NOW)
    for seconds in range(1, 4):
        if broken is None:
            file.path.unlink(missing_ok=True)
        else:
            file.path.write_bytes(broken.encode("utf-8", "surrogateescape"))
            os.utime(file.path, (seconds + 100, seconds + 100))
        assert keyring.at(NOW + seconds) == [(0, "first")]
    (warning,) = caplog.records
    assert warning.levelname == "WARNING"
    assert "secret 0 stays what it was" in warning.getMessage()
    file.write("second")
    assert keyring.at(NOW + 9) == [(0, "second")]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_file_with_what_is_no_key_of_the_scheme_is_broken_as_well(
    file: File, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(whsec("good"))
    scheme = StandardWebhooks(Secret.from_file(file.path))
    headers = scheme.sign(RequestHead.of({}), b"{}", NOW).headers
    file.write("whsec_%%%")
    assert scheme.verify(came(headers), NOW + 1)(b"{}").by == 0
    assert "is base64" in caplog.text
    assert "%%%" not in caplog.text


def test_the_end_of_a_secret_in_a_file_stays_when_it_changes(file: File) -> None:
    keyring = texts(Secret.from_file(file.path, until=at(10)))
    assert keyring.at(NOW) == [(0, "first")]
    file.write("second")
    assert (keyring.at(NOW + 5), keyring.at(NOW + 10)) == ([(0, "second")], [])


@given(st.sampled_from(["sha1", "sha256", "sha384", "sha512"]), st.binary(min_size=1, max_size=200), st.binary())
def test_the_mac_is_that_of_the_standard_library(name: str, key: bytes, message: bytes) -> None:
    assert mac(key, name)(message) == hmac.digest(key, message, getattr(hashlib, name))
