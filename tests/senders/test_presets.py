"""What holds for every scheme that is known by its headers: it is told, explained, and made a test of."""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from tests.helpers import NOW, ROOT, order
from webhook_receiver import ConfigurationError, HTTPMessageSignature, Secret
from webhook_receiver.capture.pytest_export import as_test
from webhook_receiver.capture.request_files import SavedRequest
from webhook_receiver.delivery import Headers, RequestHead
from webhook_receiver.explain import Explanation, explain
from webhook_receiver.senders.preset import Preset
from webhook_receiver.senders.registry import presets, recognize

BODY = order()

URL = "https://example.com/webhooks"
GIVEN = {"content-type": "application/json", "x-shopify-webhook-id": "s-1"}

PRESETS = [known for known in presets().values() if known.headers]
every = pytest.mark.parametrize("known", PRESETS, ids=lambda known: known.name)


def body_of(known: Preset) -> bytes:
    """Return a body that the sender signs: some sign forms alone."""
    return known.body if known.name in ("mandrill", "twilio") else BODY


def signed(known: Preset, body: bytes | None = None) -> Headers:
    body = body_of(known) if body is None else body
    given = GIVEN | dict.fromkeys(known.marks, "x-1")
    return known.make(known.example).sign(RequestHead.of(given, url=URL), body, NOW).headers


def explained(known: Preset, body: bytes | None = None, *, secret: str | None = None, **options: Any) -> Explanation:
    body = body_of(known) if body is None else body
    options = {"make": known.make, "now": NOW, "url": URL, **options}
    return explain(signed(known), body, secret or receivers(known), **options)


def receivers(known: Preset) -> str:
    """Return the secret that a receiver has: of a private key, which takes long to read, the public one."""
    if len(known.example) < 1000:
        return known.example
    public = load_der_private_key(b64decode(known.example), None).public_key()
    return b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def looks(known: Preset) -> tuple[tuple[str, ...], tuple[str, ...], bytes]:
    return known.headers, known.marks, known.within


def covers_the_body(known: Preset) -> bool:
    """Return whether each byte of the body counts; to a sender of canonical JSON, white space does not."""
    head = RequestHead.of(GIVEN, url=URL)._replace(headers=signed(known))
    return known.make(known.example).verify(head, NOW)(body_of(known)).body and known.name != "inngest"


def takes(known: Preset, secret: str) -> bool:
    try:
        known.make(secret)
    except ConfigurationError:
        return False
    return True


def names(found: Explanation) -> list[str]:
    return [cause.name for cause in found.causes]


@every
def test_it_is_known_by_its_headers(known: Preset) -> None:
    assert recognize(signed(known)) is next(each for each in PRESETS if looks(each) == looks(known))


@every
def test_what_is_good_is_explained_as_good(known: Preset) -> None:
    assert explained(known).ok
    assert explained(known, now=None).ok


covering = pytest.mark.parametrize("known", [*filter(covers_the_body, PRESETS)], ids=lambda known: known.name)


@covering
def test_a_changed_body_is_explained(known: Preset) -> None:
    assert names(explained(known, BODY + b"\n")) == ["newline-added"]
    assert names(explained(known, json.dumps(json.loads(BODY), indent=2).encode())) == ["json-reserialised"]


@every
def test_a_secret_given_with_more_around_it_is_explained(known: Preset) -> None:
    quoted = f'"{known.example}"'
    if takes(known, quoted):
        assert names(explained(known, secret=quoted)) == ["secret-quotes"]
    else:
        with pytest.raises(ConfigurationError):
            explained(known, secret=quoted)


@every
def test_what_is_old_is_authentic_but_stale_or_has_no_time(known: Preset) -> None:
    found = explained(known, now=NOW + 100_000)
    assert found.authentic
    assert names(found) == ([] if found.ok else ["stale"])


@covering
def test_two_things_at_once_are_explained(known: Preset) -> None:
    if takes(known, f"'{known.example}'"):
        found = explained(known, BODY + b"\n", secret=f"'{known.example}'", now=NOW + 100_000)
        assert names(found)[:2] == ["secret-quotes", "newline-added"]
        assert names(found)[2:] in ([], ["stale"])


@covering
def test_nothing_is_found_where_there_is_nothing(known: Preset) -> None:
    found = explained(known, b'{"another": "body"}')
    assert not found.ok
    assert names(found) == []
    assert found.hints


@every
def test_the_other_scheme_is_named(known: Preset) -> None:
    if known.example == "a-secret-for-tests":
        other = presets()["stripe" if known.name != "stripe" else "github"]
        assert names(explained(known, make=other.make)) == ["wrong-scheme"]


def test_their_tests_pass(tmp_path: Path) -> None:
    for known in PRESETS:
        code = as_test(SavedRequest("POST", "/", signed(known), body_of(known)), known, checked=True)
        tmp_path.joinpath(f"test_{known.function}.py").write_text(code, encoding="utf-8")
    options = ("-q", "-W", "error", "-p", "no:asyncio", "-p", "no:cacheprovider")
    done = run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert f"{len(PRESETS)} passed" in done.stdout, done.stdout


def test_a_secret_whose_time_is_up_is_told() -> None:
    ended = Secret(PRESETS[0].example, until=datetime.fromtimestamp(NOW - 1, UTC))
    found = explain(signed(PRESETS[0]), BODY, [Secret("new"), ended], now=NOW)
    assert names(found) == ["secret-expired"]
    assert explain(signed(PRESETS[0]), BODY, [Secret("new"), ended], now=NOW - 2).verified_by == 1


def test_a_message_signature_is_explained_with_the_key_and_the_algorithm_that_it_names() -> None:
    sender = HTTPMessageSignature({"their-key": "secret"})
    (known,) = [each for each in PRESETS if each.name == "http-message"]
    headers = sender.sign(RequestHead.of({"content-type": "text/plain"}), BODY, NOW).headers
    assert recognize(headers) is known
    assert explain(headers, BODY, ["another", "secret"], make=known.make_for(headers), now=NOW).verified_by == 1
    broken = explain(headers, BODY + b"\n", "secret", make=known.make_for(headers), now=NOW)
    assert names(broken) == ["newline-added"]
    wrong = explain(headers, BODY, "wrong", make=known.make_for(headers), now=NOW)
    assert (names(wrong), wrong.hints[0].partition(":")[0]) == ([], "no usual change explains it")


def test_a_message_signature_over_the_method_and_the_url_is_explained_where_those_are_known() -> None:
    (known,) = [each for each in PRESETS if each.name == "http-message"]
    sender = HTTPMessageSignature({"key-1": "secret"}, components=["@method", "@target-uri"])
    url = "https://hooks.example.com/in?a=1"
    headers = sender.sign(RequestHead.of({}, url=url), BODY, NOW).headers
    assert explain(headers, BODY, "secret", make=known.make_for(headers), now=NOW, url=url).ok
    assert not explain(headers, BODY, "secret", make=known.make_for(headers), now=NOW, url=url, method="PUT").ok
    assert "public_url=" in str(explain(headers, BODY, "secret", make=known.make_for(headers), now=NOW))
