from __future__ import annotations

import pickle
import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr

from webhook_receiver import ConfigurationError, Scheme, Secret, Unsigned, UP42Signature, WebhookReceiver
from webhook_receiver.delivery import RequestHead
from webhook_receiver.signatures.secrets import masked

PLAIN = "do-not-show-me"


def test_a_secret_is_its_bytes_in_utf_8_whatever_it_was_given_as() -> None:
    assert masked("sécrèt") == [Secret("sécrèt")]
    assert masked(["a", Secret("b"), SecretStr("c")]) == [Secret("a"), Secret("b"), Secret("c")]


def test_a_secret_is_read_from_a_file_without_its_last_newline(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{PLAIN}\n", encoding="utf-8")
    assert Secret.from_file(file).get_secret_value() == PLAIN


def test_a_secret_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", PLAIN)
    assert Secret.from_env("WEBHOOK_SECRET").get_secret_value() == PLAIN


def test_what_cannot_be_read_is_told_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"missing: No such file"):
        Secret.from_file(tmp_path / "missing")
    tmp_path.joinpath("empty").write_text("\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"in the file .*empty: a secret must not be empty"):
        Secret.from_file(tmp_path / "empty")
    tmp_path.joinpath("latin").write_bytes(b"\xe9")
    with pytest.raises(ConfigurationError, match="a text in UTF-8, and this one is not") as rejected:
        Secret.from_file(tmp_path / "latin")
    assert not hasattr(rejected.value.__context__, "object")  # as a UnicodeError would have, with the whole text
    with pytest.raises(ConfigurationError, match="WEBHOOK_SECRET is not set"):
        Secret.from_env("WEBHOOK_SECRET")
    monkeypatch.setenv("WEBHOOK_SECRET", "")
    with pytest.raises(ConfigurationError, match="in the environment variable WEBHOOK_SECRET"):
        Secret.from_env("WEBHOOK_SECRET")


@pytest.mark.parametrize("secrets", [[], "", [""], ["good", ""], [None], 7, [b"bytes"]])
def test_an_empty_secret_or_none_at_all_is_rejected(secrets: object) -> None:
    with pytest.raises(ConfigurationError, match="secret"):
        UP42Signature(secrets)  # type: ignore[arg-type]


def test_no_repr_and_no_traceback_shows_a_secret() -> None:
    secret = Secret(PLAIN)
    scheme = UP42Signature([secret, PLAIN])
    hooks = WebhookReceiver(scheme=scheme)
    assert all(PLAIN not in shown for shown in (repr(secret), str(secret), f"{secret}", repr(scheme), repr(hooks)))
    try:
        scheme.verify(RequestHead.of({"signature-input": "x", "signature": "y"}), 0)(b"")
    except Exception as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert "in verify" in shown
        assert PLAIN not in shown


def test_a_secret_keeps_its_class_when_it_is_copied() -> None:
    assert pickle.loads(pickle.dumps(Secret(PLAIN))) == Secret(PLAIN)


def test_the_schemes_are_schemes() -> None:
    assert isinstance(UP42Signature(PLAIN), Scheme)
    assert isinstance(Unsigned(), Scheme)
