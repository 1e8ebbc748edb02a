"""Each usual cause, made: a good request is broken in one way, and explained by that way alone."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import tracemalloc
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import NOW, SECRET, came
from webhook_receiver import ConfigurationError, HMACBody, Secret, UP42Signature, VerificationError
from webhook_receiver.delivery import Headers, RequestHead, header_pairs
from webhook_receiver.explain import Explanation, explain, trial
from webhook_receiver.explain import explanation as module
from webhook_receiver.explain.body import body_suspicions
from webhook_receiver.explain.secret import secret_suspicions
from webhook_receiver.explain.trial import Case, verifying_time
from webhook_receiver.senders.catalogue.examples import RSA_KEY
from webhook_receiver.senders.preset import Make
from webhook_receiver.senders.registry import Candidate, candidates, presets

DOCUMENT = {
    "event": "order.status",
    "body": {"orderId": "MARKED-1", "status": "FULFILLED", "size": 12, "note": "é/<&>"},
}
BODY = json.dumps(DOCUMENT).encode()
TYPE = "application/json"


@dataclass(frozen=True)
class Sent:
    """A request and how the receiver is set up."""

    headers: Mapping[str, str] = field(default_factory=lambda: signed())
    body: bytes = BODY
    secrets: Any = SECRET
    make: Make = UP42Signature
    now: float | None = NOW

    def explain(self) -> Explanation:
        return explain(self.headers, self.body, self.secrets, make=self.make, now=self.now)

    def but(self, **headers: str | None) -> Sent:
        """Return it with some headers changed, or lost."""
        changed = dict(self.headers) | {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={name: value for name, value in changed.items() if value is not None})


def signed(
    body: bytes = BODY,
    *,
    secret: str | Secret = SECRET,
    now: float = NOW,
    listed: str = "content-type digest",
    **headers: str,
) -> dict[str, str]:
    """Return the headers of a genuine delivery, with `listed` ones signed."""
    given = {"content-type": TYPE} | {name.replace("_", "-"): value for name, value in headers.items()}
    scheme = UP42Signature(secret, components=listed.split(), digest_header=listed.split()[-1])
    return {
        name.decode(): value.decode("latin-1") for name, value in scheme.sign(RequestHead.of(given), body, now).headers
    }


def by_hand(values: str, listed: str, **headers: str) -> dict[str, str]:
    """Return headers signed over any values, as only a sender of its own mind would."""
    mac = b64encode(hmac.digest(SECRET.encode(), values.encode(), "sha256")).decode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return {**given, "signature-input": f"up42-sig=({listed});created={NOW:.0f}", "signature": f"up42-sig={mac}"}


def signed_as_it_is(note: bytes) -> dict[str, str]:
    """Return the headers of a sender that signs a value with the white space around it."""
    head = came([(b"content-type", TYPE.encode()), (b"x-note", note)])
    signed_head = UP42Signature(SECRET, components=["x-note", "digest"]).sign(head, BODY, NOW)
    return {name.decode(): value.decode() for name, value in signed_head.headers}


GOOD = Sent()
SORTED = json.dumps(DOCUMENT, sort_keys=True).encode()
DIGEST = hashlib.sha256(BODY)
ENCODED = b64encode(DIGEST.digest()).decode()
LINES = b'{"event": "order.status",\n "body": {"orderId": "MARKED-1", "status": "FULFILLED"}}\n'
NO_SPACE = json.dumps(DOCUMENT, separators=(",", ":")).encode()

BROKEN: dict[str, tuple[str, Sent]] = {
    "re-indented by a framework": ("json-reserialised", replace(GOOD, body=json.dumps(DOCUMENT, indent=2).encode())),
    "compacted": ("json-reserialised", replace(GOOD, body=NO_SPACE)),
    "indented by 4, and sent so": (
        "json-reserialised",
        replace(GOOD, headers=signed(json.dumps(DOCUMENT, indent=4).encode())),
    ),
    "keys sorted by the sender only": ("json-reserialised", replace(GOOD, headers=signed(SORTED))),
    "escapes undone": ("json-reserialised", replace(GOOD, body=json.dumps(DOCUMENT, ensure_ascii=False).encode())),
    "slashes unescaped, as PHP writes them": (
        "json-reserialised",
        replace(GOOD, headers=signed(NO_SPACE.replace(b"/", b"\\/"))),
    ),
    "HTML unescaped, as Go writes it": (
        "json-reserialised",
        replace(
            GOOD,
            headers=signed(NO_SPACE.replace(b"<", b"\\u003c").replace(b"&", b"\\u0026").replace(b">", b"\\u003e")),
        ),
    ),
    "a newline lost": ("newline-lost", replace(GOOD, headers=signed(BODY + b"\n"))),
    "a newline added": ("newline-added", replace(GOOD, body=BODY + b"\n")),
    "spaces added": ("space-added", replace(GOOD, body=b"  " + BODY + b" ")),
    "LF to CRLF": ("line-endings", replace(GOOD, headers=signed(LINES), body=LINES.replace(b"\n", b"\r\n"))),
    "CRLF to LF": ("line-endings", replace(GOOD, headers=signed(LINES.replace(b"\n", b"\r\n")), body=LINES)),
    "a BOM added": ("bom-added", replace(GOOD, body=b"\xef\xbb\xbf" + BODY)),
    "a BOM lost": ("bom-lost", replace(GOOD, headers=signed(b"\xef\xbb\xbf" + BODY))),
    "UTF-8 read as latin-1": (
        "charset",
        replace(GOOD, headers=signed("ordér".encode()), body="ordér".encode().decode("latin-1").encode()),
    ),
    "UTF-8 written as latin-1": (
        "charset",
        replace(GOOD, headers=signed("ordér".encode()), body="ordér".encode("latin-1")),
    ),
    "JSON written as UTF-16": ("charset", replace(GOOD, body=BODY.decode().encode("utf-16"))),
    "put into a JSON string": ("json-quoted", replace(GOOD, body=json.dumps(BODY.decode()).encode())),
    "taken out of a JSON string": ("json-unquoted", replace(GOOD, headers=signed(json.dumps(BODY.decode()).encode()))),
    "in base64": ("base64-body", replace(GOOD, body=b64encode(BODY))),
    "compressed": ("compressed", replace(GOOD, body=gzip.compress(BODY))),
    "decompressed": ("decompressed", replace(GOOD, headers=signed(gzip.compress(BODY, 6, mtime=0)))),
    "bytes behind the end": ("bytes-added", replace(GOOD, body=BODY + b"xyz").but(content_length=str(len(BODY)))),
    "a secret in quotes": ("secret-quotes", replace(GOOD, secrets=f'"{SECRET}"')),
    "a sender's secret with a newline": (
        "secret-newline",
        replace(GOOD, headers=signed(secret=Secret.verbatim(SECRET + "\n"))),
    ),
    "a prefix too much": ("secret-prefix", replace(GOOD, secrets="whsec_" + SECRET)),
    "a prefix missing": ("secret-prefix", replace(GOOD, headers=signed(secret="whsec_" + SECRET))),
    "a secret in base64": ("secret-encoded", replace(GOOD, secrets=b64encode(SECRET.encode()).decode())),
    "a secret in hex": ("secret-encoded", replace(GOOD, secrets=SECRET.encode().hex())),
    "a secret decoded": ("secret-decoded", replace(GOOD, headers=signed(secret=b64encode(SECRET.encode()).decode()))),
    "a secret of hex decoded": ("secret-decoded", replace(GOOD, headers=signed(secret=SECRET.encode().hex()))),
    "a secret in lower case": ("secret-case", replace(GOOD, headers=signed(secret=SECRET.lower()))),
    "a secret from a URL": (
        "secret-percent",
        replace(GOOD, headers=signed(secret="a+b/c"), secrets="a%2Bb%2Fc"),
    ),
    "one of several secrets in quotes": ("secret-quotes", replace(GOOD, secrets=["not-this-one", f"'{SECRET}'"])),
    "charset added": ("charset-added", GOOD.but(content_type=f"{TYPE}; charset=utf-8")),
    "charset taken away": (
        "content-type-changed",
        replace(GOOD, headers=signed(content_type=f"{TYPE}; charset=utf-8")).but(content_type=TYPE),
    ),
    "content-type lost": ("header-lost", GOOD.but(content_type=None)),
    "digest lost": ("header-lost", GOOD.but(digest=None)),
    "both lost": ("header-lost", GOOD.but(digest=None, content_type=None)),
    "a header renamed": ("header-renamed", GOOD.but(signature=None, http_signature=GOOD.headers["signature"])),
    "a header remapped by a gateway": (
        "header-renamed",
        GOOD.but(digest=None, x_amzn_remapped_digest=GOOD.headers["digest"]),
    ),
    "headers joined": ("header-joined", GOOD.but(content_type=f"{TYPE}, {TYPE}")),
    "a header folded": (
        "header-folded",
        replace(GOOD, headers=signed(listed="x-note digest", x_note="a long one")).but(x_note="a long\r\n one"),
    ),
    "a header's spaces collapsed": (
        "header-space",
        replace(GOOD, headers=signed(listed="x-note digest", x_note="a,b")).but(x_note="a, b"),
    ),
    "a header trimmed": (
        "header-space",
        replace(GOOD, headers=signed_as_it_is(b"a ")).but(x_note="a"),
    ),
    "a header in upper case": (
        "header-case",
        replace(GOOD, headers=signed(listed="x-note digest", x_note="abc")).but(x_note="ABC"),
    ),
    "a digest's name in lower case": (
        "header-case",
        GOOD.but(digest=GOOD.headers["digest"].replace("SHA", "sha")),
    ),
    "a header of another charset": (
        "header-charset",
        replace(GOOD, headers=signed(listed="x-note digest", x_note="é".encode().decode("latin-1"))).but(
            x_note="é".encode().decode("latin-1").encode().decode("latin-1")
        ),
    ),
    "quotes escaped": (
        "header-quoted",
        GOOD.but(signature_input=GOOD.headers["signature-input"].replace('"', '\\"')),
    ),
    "a header in quotes": ("header-quoted", GOOD.but(digest=f'"{GOOD.headers["digest"]}"')),
    "a host changed": (
        "host-changed",
        replace(GOOD, headers=signed(listed="host digest", host="a.example")).but(
            host="10.0.0.7", x_forwarded_host="a.example"
        ),
    ),
    "a signature in hex": (
        "signature-encoding",
        GOOD.but(
            signature="up42-sig="
            + hmac.digest(SECRET.encode(), (TYPE + GOOD.headers["digest"]).encode(), "sha256").hex()
        ),
    ),
    "a signature without its padding": (
        "signature-encoding",
        GOOD.but(signature=GOOD.headers["signature"].rstrip("=")),
    ),
    "a signature without its label": (
        "signature-encoding",
        GOOD.but(signature=GOOD.headers["signature"].partition("=")[2]),
    ),
    "a signature with spaces for its plus signs": (
        "signature-encoding",
        replace(GOOD, headers=signed(listed="x-note digest", x_note="5")).but(
            signature=signed(listed="x-note digest", x_note="5")["signature"].replace("+", " ")
        ),
    ),
    "a digest in hex": (
        "digest-encoding",
        replace(
            GOOD,
            headers=by_hand(f"SHA-256={DIGEST.hexdigest()}", '"digest"', digest=f"SHA-256={DIGEST.hexdigest()}"),
        ),
    ),
    "a digest of its own spelling": (
        "digest-encoding",
        replace(GOOD, headers=by_hand(DIGEST.hexdigest(), '"digest"', digest=DIGEST.hexdigest())),
    ),
    "a digest not listed": (
        "digest-unlisted",
        replace(GOOD, headers=by_hand(TYPE, '"content-type"', content_type=TYPE, digest=f"SHA-256={ENCODED}")),
    ),
    "a digest in another header": (
        "digest-header",
        replace(GOOD, headers=by_hand(f"SHA-256={ENCODED}", '"x-hash"', x_hash=f"SHA-256={ENCODED}")),
    ),
    "another list of headers than is pinned": (
        "scheme-options",
        replace(GOOD, make=partial(UP42Signature, components=["digest"])),
    ),
    "saved long ago": ("stale", replace(GOOD, now=NOW + 100_000)),
    "a clock ahead": ("clock-behind", replace(GOOD, now=NOW - 400)),
    "a time of another zone": ("time-zone", replace(GOOD, now=NOW + 7200)),
    "a time in milliseconds": ("milliseconds", replace(GOOD, headers=signed(now=NOW * 1000))),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_request_that_was_broken_in_one_way_is_explained_by_it(name: str) -> None:
    cause, sent = BROKEN[name]
    found = sent.explain()
    assert [each.name for each in found.causes] == [cause]
    assert not found.ok
    with pytest.raises(VerificationError) as rejected:
        verify(sent)
    assert found.error == type(rejected.value).__name__
    assert found.failed is not None
    assert found.failed.said == str(rejected.value)
    assert found.authentic is (cause in ("stale", "clock-behind", "time-zone", "milliseconds"))


@pytest.mark.parametrize("name", BROKEN)
def test_nothing_that_is_shown_holds_a_secret_a_signature_or_the_body(name: str) -> None:
    _, sent = BROKEN[name]
    found = sent.explain()
    given = [sent.secrets] if isinstance(sent.secrets, str) else sent.secrets
    hidden = [SECRET, *given, "MARKED", ENCODED, DIGEST.hexdigest(), GOOD.headers["signature"].partition("=")[2]]
    hidden.append(sent.headers.get("signature", "none").removeprefix("up42-sig="))
    for shown in (repr(found), str(found), json.dumps(found.as_json())):
        assert [each for each in hidden if each in shown] == []


@pytest.mark.parametrize("name", [name for name, (cause, _) in BROKEN.items() if not cause.startswith("digest-")])
def test_a_cause_is_named_only_because_undoing_it_verifies(name: str) -> None:
    cause, sent = BROKEN[name]
    case = Case(RequestHead.of(sent.headers), sent.body, sent.secrets, sent.make)
    undone = [before for causes, before in module._singles(case, NOW) if causes[0].name == cause]
    if not undone:  # nothing but the time is wrong
        assert replace(sent, now=None).explain().ok
        return
    verified = [before for before in undone if verifying_time(before, NOW) is not None]
    assert verified
    assert verified[0].scheme().verify(came(verified[0].headers), NOW)(verified[0].body)


def verify(sent: Sent) -> None:
    scheme = sent.make(sent.secrets)
    scheme.verify(came(header_pairs(sent.headers)), NOW if sent.now is None else sent.now)(sent.body)


def test_there_are_many_causes() -> None:
    assert len({cause for cause, _ in BROKEN.values()}) >= 35


def test_a_good_request_is_explained_as_good() -> None:
    found = GOOD.explain()
    assert (found.ok, found.authentic, found.error, found.failed) == (True, True, None, None)
    assert (found.verified_by, found.causes, found.hints) == (0, (), ())
    assert [step.state for step in found.steps] == ["passed"] * 5


def test_the_secret_that_verified_is_told() -> None:
    assert replace(GOOD, secrets=["another", SECRET]).explain().verified_by == 1


def test_without_a_time_the_one_that_the_signature_states_is_taken() -> None:
    found = replace(GOOD, now=None).explain()
    assert (found.ok, found.now) == (True, NOW)
    assert not replace(GOOD, secrets="x", now=None).explain().ok
    assert replace(GOOD, headers={}, now=None).explain().now == 0


def test_a_body_that_is_not_covered_is_told_of_a_good_request(caplog: pytest.LogCaptureFixture) -> None:
    make = partial(UP42Signature, body_binding="optional")
    headers = by_hand(TYPE, '"content-type"', content_type=TYPE)
    found = replace(GOOD, headers=headers, make=make).explain()
    assert found.ok
    assert len(found.steps) == 4
    assert "does not cover the body" in found.hints[0]


def test_a_saved_request_that_was_changed_besides_has_both_causes() -> None:
    found = replace(GOOD, body=BODY + b"\n", now=NOW + 100_000).explain()
    assert [cause.name for cause in found.causes] == ["newline-added", "stale"]
    assert [step.state for step in found.steps] == ["passed", "passed", "passed", "failed", "failed"]
    unlisted = replace(BROKEN["a digest not listed"][1], now=NOW + 100_000).explain()
    assert [cause.name for cause in unlisted.causes] == ["digest-unlisted", "stale"]


def test_two_changes_at_once_are_both_found() -> None:
    found = replace(GOOD.but(content_type=f"{TYPE}; charset=utf-8"), body=BODY + b"\n").explain()
    assert [cause.name for cause in found.causes] == ["charset-added", "newline-added"]
    found = replace(GOOD.but(content_type=f"{TYPE}; charset=utf-8"), secrets=f"'{SECRET}'").explain()
    assert [cause.name for cause in found.causes] == ["secret-quotes", "charset-added"]


def test_a_date_header_that_agrees_is_told() -> None:
    headers = dict(GOOD.headers) | {"date": "Thu, 11 Dec 2025 06:03:30 GMT"}
    (cause,) = replace(GOOD, headers=headers, now=NOW + 100_000).explain().causes
    assert "its Date header says the same" in cause.what
    assert "signed 1 d ago, at 2025-12-11 06:03:32 UTC" in cause.what


def test_a_header_that_a_proxy_repeated_is_told() -> None:
    headers: Headers = [*header_pairs(GOOD.headers), (b"content-type", b"text/plain")]
    found = explain(headers, BODY, SECRET, now=NOW)
    assert [cause.name for cause in found.causes] == ["header-repeated"]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (replace(GOOD, body=b""), "the body is empty"),
        (replace(GOOD, body=BODY[:-5]).but(content_length=str(len(BODY))), "some were lost"),
        (replace(GOOD, headers={}), "no header has a signature"),
        (GOOD.but(signature_input=None), "without signature-input nothing can be verified"),
        (replace(GOOD, secrets="x").but(via="1.1 proxy"), "a proxy was in between (via)"),
        (replace(GOOD, secrets="x", headers=signed(now=NOW * 1000)), "milliseconds"),
        (replace(GOOD, secrets="x"), "check the secret first"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_undone_is_a_hint_and_no_cause(sent: Sent, said: str) -> None:
    found = sent.explain()
    assert found.causes == ()
    assert any(said in hint for hint in found.hints)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        (
            {"method": "GET", "target": "/in?hub.mode=subscribe&hub.challenge=do-not-show-me"},
            "'hub.challenge' in its query",
        ),
        ({"target": "/?validation%54oken=do-not-show-me"}, "'validationToken' in its query"),
        ({"method": "OPTIONS", "headers": {"WebHook-Request-Origin": "a"}}, "its header webhook-request-origin"),
        ({"body": b'{"type": "url_verification", "challenge" : "do-not-show-me"}'}, "'challenge' in its body"),
    ],
)
def test_a_request_that_may_be_a_challenge_is_told_of(options: dict[str, Any], where: str) -> None:
    given: dict[str, Any] = {"headers": {}, "body": b"", "secrets": SECRET, "now": NOW, **options}
    text = str(explain(**given))
    assert f"it may be a challenge ({where}): say how the sender wants it answered, by Sender(challenges=...)" in text
    assert "do-not-show-me" not in text


@pytest.mark.parametrize("body", [b'{"event": "a"}', b'{"challenges": 1}', b'"' * 100_000, b'"challenge"' * 9_000])
def test_a_delivery_is_not_told_to_be_a_challenge(body: bytes) -> None:
    assert "challenge" not in str(explain({}, body, SECRET, now=NOW, target="/in?challenges=1&x"))


def test_secrets_that_no_scheme_takes_are_rejected() -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        replace(GOOD, secrets="").explain()


def test_the_text_lists_steps_causes_and_hints() -> None:
    lines = str(replace(GOOD, body=BODY + b"\n").explain()).splitlines()
    assert [line[:2] for line in lines] == ["+ ", "+ ", "+ ", "+ ", "x ", "ca"]
    assert "hint: no header has a signature" in str(replace(GOOD, headers={}).explain())


bodies = st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda each: st.lists(each, max_size=3)
).map(lambda document: json.dumps(document).encode())


@given(bodies, st.sampled_from([0.0, 250.0, -30.0]))
def test_whatever_is_good_is_explained_as_good(body: bytes, later: float) -> None:
    found = explain(signed(body), body, SECRET, now=NOW + later)
    assert found.ok
    assert found.causes == ()


headers_of_all_kinds = st.lists(
    st.tuples(
        st.sampled_from([b"signature", b"signature-input", b"digest", b"content-type", b"date", b"host", b"x"])
        | st.binary(max_size=8),
        st.binary(max_size=60)
        | st.sampled_from([value.encode("latin-1") for value in GOOD.headers.values()])
        | st.sampled_from([b'up42-sig=("date" "host");created=1765433012', b'("a" "b" "c");created=99999999999999']),
    ),
    max_size=8,
)


@given(headers_of_all_kinds, bodies, st.none() | st.floats(), st.text(min_size=1, max_size=12))
def test_explain_agrees_with_the_scheme_whatever_it_is_given(
    headers: list[tuple[bytes, bytes]], body: bytes, now: float | None, secret: str
) -> None:
    try:
        Secret(secret)
    except ConfigurationError:
        return
    found = explain(headers, body, secret, now=now)
    assert not found.ok
    assert found.failed is not None
    with pytest.raises(VerificationError) as rejected:
        UP42Signature(secret).verify(RequestHead.of(header_pairs(headers)), found.now)(body)
    assert found.error == type(rejected.value).__name__
    assert json.dumps(found.as_json())


def test_deep_and_huge_bodies_are_no_trouble() -> None:
    for body in (b"[" * 100_000, b'"' + b"x" * 300_000 + b'"', gzip.compress(b"\0" * 20_000_000)):
        assert explain(GOOD.headers, body, SECRET, now=NOW).causes == ()


def test_the_bodies_that_were_tried_are_not_all_held_at_once() -> None:
    body = json.dumps({"paths": [f"/path/{number} <\u00e9>" for number in range(5000)]}, indent=2).encode()
    tracemalloc.start()
    try:
        tried = sum(1 for _ in body_suspicions(Case(RequestHead.of([]), body, SECRET, UP42Signature)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert tried > 100
    assert most < 40 * len(body)


def test_a_request_without_a_cause_is_guessed_at_and_its_schemes_are_made_a_few_times_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guessed, made = list[bytes](), list[Any]()

    def guess(head: RequestHead, body: bytes) -> list[Candidate]:
        guessed.append(body)
        return candidates(head, body)

    def make(secrets: Any) -> HMACBody:
        made.append(secrets)
        return HMACBody(secrets, signature="x-hub-signature-256", prefix="sha256=")

    monkeypatch.setattr(trial, "candidates", guess)
    headers = {"x-hub-signature-256": "sha256=" + "0" * 64, "content-type": "application/json"}
    found = explain(headers, b'{"a": 1}', "a secret", make=make, now=NOW)
    assert found.causes == ()
    assert 0 < len(guessed) < 12
    assert len(made) == len({secret.get_secret_value() for (secret,) in made})


def test_a_private_key_is_not_tried_in_forms_that_no_key_has() -> None:
    tried = [cause.name for cause, _ in secret_suspicions(Case(RequestHead.of({}), b"", RSA_KEY, UP42Signature))]
    assert {*tried} <= {"secret-newline", "secret-quotes"}


FORM = b"MessageSid=SM1&MessageStatus=sent"


@pytest.mark.parametrize(
    ("signed", "given", "how"),
    [
        ("https://e.com/w/", "https://e.com/w", "with a slash at its end"),
        ("https://e.com/w", "https://e.com/w/", "without the slash at its end"),
        ("http://e.com/w", "https://e.com/w", "with http"),
        ("https://e.com:443/w", "https://e.com/w", "with a port"),
        ("https://e.com/w", "https://e.com:8443/w", "without a port"),
        ("https://e.com/w", "https://e.com/w?a=1", "without its query"),
        ("https://e.com/w?a=1", "https://e.com/w", "with the query of the request"),
    ],
)
def test_another_spelling_of_the_url_that_is_signed_is_a_cause(signed: str, given: str, how: str) -> None:
    preset = presets()["twilio"]
    head = preset.make("a secret").sign(RequestHead.of({}, url=signed), FORM, NOW)
    found = explain(head.headers, FORM, "a secret", make=preset.make, now=NOW, url=given, target="/w?a=1")
    assert [(cause.name, how in cause.what) for cause in found.causes] == [("url", True)]
    right = explain(head.headers, FORM, "a secret", make=preset.make, now=NOW, url=signed, target="/w?a=1")
    assert right.ok
    assert right.hints[0].startswith("the signature covers some of what the body says")


def test_a_signature_without_a_prefix_is_told_without_one() -> None:
    make = partial(HMACBody, signature="x-sig")
    found = explain({"x-sig": "YWJj" * 11}, b"{}", "a secret", make=make, now=NOW)
    assert "x-sig holds no signature: hex" in str(found)
    assert ": , then" not in str(found)
