"""Requests as real proxies handed them on, each of which a receiver rejects: `explain` names the habit and the cure.

The files of `requests/` are named for the proxy and for the header that was signed beside the type and the digest:
nginx 1.22.1 with a bare `proxy_pass`, and with the usual four `proxy_set_header` (`nginx-host`), HAProxy 2.6.12 with
`option forwardfor`, Apache 2.4.71, Caddy 2.11.7, Envoy 1.40.0 and lighttpd 1.4.69 as their documentation shows them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import SECRET, order, signed
from webhook_receiver.capture.request_files import from_http
from webhook_receiver.delivery import RequestHead
from webhook_receiver.explain import Explanation, explain
from webhook_receiver.explain.proxy import HOST
from webhook_receiver.senders.up42.signature import UP42Signature

REQUESTS = sorted(Path(__file__).with_name("requests").glob("*.http"), key=lambda file: file.name)
ONE_HOP = "no proxy can be told to keep it"
CURES = {
    "host": "proxy_set_header Host $http_host;",
    "host-port": "proxy_set_header Host $http_host;",
    "host-capitals": "proxy_set_header Host $http_host;",
    "underscore": "underscores_in_headers on; ignore_invalid_headers off;",
    "dot": "underscores_in_headers on; ignore_invalid_headers off;",
    "x-forwarded-for": "Caddy: header_up X-Forwarded-For {http.request.header.X-Forwarded-For}",
    "x-forwarded-proto": "nginx: no proxy_set_header X-Forwarded-Proto",
    "x-forwarded-host": "Apache: ProxyAddHeaders Off",
    "x-real-ip": "nginx: no proxy_set_header X-Real-Ip",
    "via": "Caddy: header_up Via {http.request.header.Via}",
    "empty": "lighttpd drops a header without a value",
    "max-forwards": "Apache counts it down",
    **dict.fromkeys(("connection", "keep-alive", "te", "expect", "proxy-authorization", "transfer-encoding"), ONE_HOP),
}
NOT_TRIED = {
    *("nginx-host", "nginx-host-port", "nginx-host-capitals", "nginx-host-x-real-ip"),
    *("caddy-proxy-authorization", "caddy-x-forwarded-for"),
    *("nginx-underscore", "nginx-dot", "nginx-host-underscore", "nginx-host-dot", "caddy-underscore", "caddy-dot"),
}
"""The requests of which the signed value is nowhere to be found."""


def explained(file: Path, url: str | None = None) -> Explanation:
    request = from_http(file.read_bytes())
    return explain(request.headers, request.body, SECRET, now=None, url=url)


def case_of(file: Path) -> str:
    return next(case for case in sorted(CURES, key=len, reverse=True) if file.stem.endswith(f"-{case}"))


def advice(explanation: Explanation) -> str:
    return "\n".join([*(f"{cause.what}: {cause.advice}" for cause in explanation.causes), *explanation.hints])


@pytest.mark.parametrize("file", REQUESTS, ids=lambda file: file.stem)
def test_what_a_proxy_did_is_told_with_its_cure(file: Path) -> None:
    explanation = explained(file)
    assert not explanation.ok
    assert CURES[case_of(file)] in advice(explanation)
    assert bool(explanation.causes) == (file.stem not in NOT_TRIED)


@pytest.mark.parametrize("proxy", ["nginx", "apache"])
@pytest.mark.parametrize("host", ["hooks.example.com", "hooks.example.com:443", "Hooks.example.com"])
def test_a_host_that_was_replaced_is_found_by_the_public_url(proxy: str, host: str) -> None:
    case = {"hooks.example.com": "host", "hooks.example.com:443": "host-port", "Hooks.example.com": "host-capitals"}
    file = Path(__file__).with_name("requests") / f"{proxy}-{case[host]}.http"
    (cause,) = explained(file, url=f"https://{host}/webhooks").causes
    assert cause.name == "host-changed"
    assert "ProxyPreserveHost On" in cause.advice


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("nginx-host-host-port", "host-port"),
        ("nginx-host-host-capitals", "host-case"),
        ("lighttpd-host-capitals", "host-case"),
        ("apache-x-forwarded-for", "header-joined"),
        ("haproxy-x-forwarded-for", "header-repeated"),
        ("nginx-host-x-forwarded-proto", "header-replaced"),
        ("apache-max-forwards", "header-replaced"),
        ("envoy-connection", "header-lost"),
        ("lighttpd-empty", "header-lost"),
    ],
)
def test_a_change_that_can_be_undone_is_a_cause(file: str, name: str) -> None:
    assert [cause.name for cause in explained(Path(__file__).with_name("requests") / f"{file}.http").causes] == [name]


def test_the_listed_header_that_is_absent_or_repeated_is_named() -> None:
    requests = Path(__file__).with_name("requests")
    assert "the header x_up42_event is signed, and absent" in advice(explained(requests / "nginx-underscore.http"))
    assert "the header x.up42.event is signed, and absent" in advice(explained(requests / "caddy-dot.http"))
    assert "the header via is there more than once" in advice(explained(requests / "caddy-via.http"))


def test_what_waitress_squid_and_nginx_over_http_3_drop_has_a_cure() -> None:
    body = order()
    for name, cure in (
        ("forwarded", "--no-clear-untrusted-proxy-headers"),
        ("authorization", "login=PASSTHRU"),
        ("range", "leave it out of what it signs"),
        ("host", "proxy_set_header Host $host; or no QUIC"),
        ("x-unknown", "hand it on as it came"),
    ):
        scheme = UP42Signature(SECRET, components=["digest", name])
        head = scheme.sign(RequestHead.of({name: "a value of its own"}), body, 1_765_433_012)
        lost = [pair for pair in head.headers if pair[0] != name.encode()]
        assert cure in advice(explain(lost, body, SECRET, now=None))
    scheme = UP42Signature(SECRET, components=["digest", "accept-encoding"])
    head = scheme.sign(RequestHead.of({"accept-encoding": "gzip, deflate, br"}), body, 1_765_433_012)
    changed = [(name, b"gzip" if name == b"accept-encoding" else value) for name, value in head.headers]
    assert "normalize_ae 0" in advice(explain(changed, body, SECRET, now=None))


@pytest.mark.parametrize("name", ["x-twice", "x-forwarded-for"])
def test_a_header_that_came_twice_with_other_values_is_named(name: str) -> None:
    body = order()
    scheme = UP42Signature(SECRET, components=["digest", name])
    head = scheme.sign(RequestHead.of({name: "1"}), body, 1_765_433_012)
    others = [(key, b"2" if key == name.encode() else value) for key, value in head.headers]
    explanation = explain([*others, (name.encode(), b"3")], body, SECRET, now=None)
    assert f"the header {name} is signed, and there more than once" in advice(explanation)
    assert ("option forwardfor" in advice(explanation)) == (name == "x-forwarded-for")


def test_bodies_that_servers_empty_or_parse_have_a_cure() -> None:
    headers = [*signed(order()), (b"transfer-encoding", b"chunked")]
    assert "waitress in place of gunicorn" in advice(explain(headers, b"", SECRET, now=None))
    parsed = b"event=order.status&body=[object Object]"
    assert "parseReqBody: false" in advice(explain(signed(order()), parsed, SECRET, now=None))


@pytest.mark.parametrize(
    ("headers", "body", "method", "error", "cause"),
    [
        ({"content-encoding": "gzip"}, order(), "POST", "UnsupportedEncoding", "content-encoding"),
        ({}, order(note="x" * 1_500_000), "POST", "BodyTooLarge", "body-too-large"),
        ({"content-length": "1572864"}, order(), "POST", "BodyTooLarge", "body-too-large"),
        ({"content-length": "ten"}, order(), "POST", "InvalidContentLength", "content-length"),
        ({}, order(), "GET", "MethodNotAllowed", "method"),
    ],
)
def test_what_a_receiver_rejects_before_it_verifies_is_not_said_to_verify(
    headers: dict[str, str], body: bytes, method: str, error: str, cause: str
) -> None:
    explanation = explain(signed(body, headers=headers), body, SECRET, now=None, method=method)
    assert (explanation.ok, explanation.authentic, explanation.error) == (False, True, error)
    assert [each.name for each in explanation.causes] == [cause]
    failed = explanation.failed
    assert failed is not None
    assert failed.what == "a receiver reads it"


def test_white_space_at_the_end_of_a_value_verifies_as_it_does_at_a_receiver() -> None:
    headers = [(name, value + b" \t") for name, value in signed(order())]
    assert explain(headers, order(), SECRET, now=None).ok


def test_a_larger_limit_of_the_receiver_counts() -> None:
    body = order(note="x" * 1_500_000)
    assert explain(signed(body), body, SECRET, now=None, max_body=2_000_000).ok


@pytest.mark.parametrize("file", ["nginx-underscore", "caddy-dot", "nginx-host"])
def test_behind_a_note_that_explains_it_none_says_that_nothing_does(file: str) -> None:
    explanation = explained(Path(__file__).with_name("requests") / f"{file}.http")
    assert explanation.hints
    assert not any("no usual change explains it" in hint for hint in explanation.hints)


@pytest.mark.parametrize(
    ("lost", "body"), [("host", order()), ("x_up42_event", order()), ("x.dot", order()), (None, b"")]
)
def test_an_absent_header_and_an_empty_body_are_explained_without_a_word_of_the_secret(
    lost: str | None, body: bytes
) -> None:
    names = ["digest", "host", "x_up42_event", "x.dot"]
    scheme = UP42Signature(SECRET, components=names)
    head = scheme.sign(RequestHead.of(dict.fromkeys(names[1:], "of its own")), order(), 1_765_433_012)
    kept = [pair for pair in head.headers if pair[0].decode() != lost]
    hints = explain(kept, body, SECRET, now=None).hints
    assert hints
    assert not any("check the secret" in hint for hint in hints)


def test_a_host_that_may_be_another_one_leaves_the_secret_as_the_second_guess() -> None:
    scheme = UP42Signature("another secret", components=["digest", "host"])
    head = scheme.sign(RequestHead.of({"host": "hooks.example.com"}), order(), 1_765_433_012)
    *_, host, last = explain(head.headers, order(), SECRET, now=None).hints
    assert "host is signed, and may be another one now" in host
    assert last.startswith("if it is not that: check the secret first")


def test_the_step_names_the_header_itself_and_each_proxy_has_a_line() -> None:
    explanation = explained(Path(__file__).with_name("requests") / "nginx-underscore.http")
    assert explanation.failed is not None
    assert explanation.failed.said == "the signature lists a header that is absent: x_up42_event"
    assert {len(line.split(": ")) for line in HOST.cure.splitlines()} <= {2, 3}
    assert "\n    Apache: ProxyPreserveHost On\n    h2o: proxy.preserve-host: ON\n" in str(
        explained(Path(__file__).with_name("requests") / "nginx-host.http")
    )
