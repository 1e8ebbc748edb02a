"""Networks that a sender delivers from, and what a stranger may write to seem to be in them."""

from __future__ import annotations

import gc
import hashlib
import random
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from tests.helpers import NOW, ROOT, free_port, noting, serving
from webhook_receiver import (
    AddressNotAllowed,
    AllowFrom,
    AnyOf,
    BadSignature,
    BasicAuth,
    ConfigurationError,
    HeaderSecret,
    HMACBody,
    HTTPMessageSignature,
    Scheme,
    Unsigned,
    WebhookReceiver,
)
from webhook_receiver.delivery import RequestHead
from webhook_receiver.explain import explain
from webhook_receiver.testing import rehearse
from webhook_receiver.testing.scheme_suite import HOSTILE_VALUES, SchemeSuite

THEIRS = ["203.0.113.0/24", "2001:db8:7::/48", "198.51.100.7"]
PROXIES = ["10.0.0.0/8", "fd00::/8"]
EVENT = b'{"event": "parcel.lost"}'
XFF = "x-forwarded-for"
GUIDE = ROOT / "docs" / "signatures-and-secrets.md"
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
NGINX_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class TestAllowFrom(SchemeSuite):
    client = "203.0.113.9"

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return AllowFrom(THEIRS, HMACBody(secrets, signature="x-sig"))


class TestAllowFromBehindAProxy(TestAllowFrom):
    given = {"content-type": "application/json", XFF: "203.0.113.9"}
    client = "10.0.0.1"

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return AllowFrom(THEIRS, HMACBody(secrets, signature="x-sig"), trusted_proxies=PROXIES)

    def test_without_any_of_its_headers_it_rejects(self) -> None:
        self.reject([])


class TestAllowFromByForwarded(TestAllowFrom):
    given = {"content-type": "application/json", "forwarded": 'for="203.0.113.9:50123";proto=https'}
    client = "10.0.0.1"

    def scheme(self, secrets: Sequence[str]) -> Scheme:
        return AllowFrom(THEIRS, HMACBody(secrets, signature="x-sig"), trusted_proxies=PROXIES, header="Forwarded")

    def test_without_any_of_its_headers_it_rejects(self) -> None:
        self.reject([])


def is_let_in(scheme: AllowFrom, client: str | None, *reported: str, header: str = XFF) -> bool:
    """Return whether a request from a client is let in, with what is reported in headers."""
    head = RequestHead.of([(header, each) for each in reported], client=client)
    try:
        assert not scheme.verify(head, NOW)(EVENT).body
    except AddressNotAllowed:
        return False
    return True


@pytest.mark.parametrize(
    "client",
    ["203.0.113.0", "203.0.113.255", "198.51.100.7", "2001:db8:7::1", "::ffff:203.0.113.9", "::ffff:cb00:7109"],
)
def test_a_peer_in_the_networks_is_let_in(client: str) -> None:
    assert is_let_in(AllowFrom(THEIRS, Unsigned()), client)


@pytest.mark.parametrize(
    "client",
    [
        *("203.0.112.255", "203.0.114.0", "198.51.100.8", "2001:db8:8::", "::ffff:203.0.114.9", "::203.0.113.9"),
        *("64:ff9b::203.0.113.9", "testclient", "localhost", "203.0.113", "203.0.113.09", "3405803785", " 203.0.113.9"),
        *("", None, "unix", "unix:/run/hooks.sock", "[2001:db8:7::1]", "203.0.113.9:443", "é", "\ud800"),
    ],
)
def test_any_other_peer_is_rejected(client: str | None) -> None:
    assert not is_let_in(AllowFrom(THEIRS, Unsigned()), client)


@pytest.mark.parametrize("network", ["::ffff:203.0.113.0/120", "::ffff:203.0.113.9"])
@pytest.mark.parametrize("client", ["203.0.113.9", "::ffff:203.0.113.9"])
def test_a_network_of_ipv4_in_ipv6_is_one_of_ipv4(network: str, client: str) -> None:
    assert is_let_in(AllowFrom([network], Unsigned()), client)


def test_the_zone_of_a_link_local_address_is_no_part_of_it() -> None:
    assert is_let_in(AllowFrom(["fe80::/10"], Unsigned()), "fe80::1%eth0")


@pytest.mark.parametrize("header", [XFF, "x-real-ip", "forwarded", "cf-connecting-ip", "client-ip"])
def test_without_a_trusted_proxy_no_header_says_who_it_is(header: str) -> None:
    scheme = AllowFrom(THEIRS, Unsigned())
    assert not is_let_in(scheme, "192.0.2.1", "203.0.113.9", header=header)
    assert is_let_in(scheme, "203.0.113.9", "192.0.2.1", header=header)


@pytest.mark.parametrize(
    "reported",
    [
        ["203.0.113.9"],
        ["192.0.2.1, 203.0.113.9"],
        ["192.0.2.1", "203.0.113.9"],
        ["nonsense,203.0.113.9,10.1.1.1, fd00::2 "],
        ["203.0.113.9:50123"],
        ["[2001:db8:7::1]:443", "10.1.1.1:80"],
        ["[2001:db8:7::1]"],
        ["2001:db8:7::1"],
        ["::ffff:203.0.113.9", "::ffff:10.0.0.2"],
    ],
)
@pytest.mark.parametrize("client", ["10.0.0.1", "::ffff:10.0.0.1", "fd00::1"])
def test_a_trusted_proxy_reports_the_sender(client: str, reported: list[str]) -> None:
    assert is_let_in(AllowFrom(THEIRS, Unsigned(), trusted_proxies=PROXIES), client, *reported)


@pytest.mark.parametrize(
    "reported",
    [
        [],
        [""],
        ["192.0.2.1"],
        ["203.0.113.9, 192.0.2.1"],
        ["203.0.113.9", "192.0.2.1"],
        ["203.0.113.9, 192.0.2.1, 10.0.0.2"],
        ["203.0.113.9,"],
        ["203.0.113.9, unknown"],
        ["203.0.113.9, 10.0.0.2, _hidden, 10.0.0.3"],
        ["203.0.113.9 192.0.2.1"],
        ["203.0.113.9:"],
        ["203.0.113.9:x"],
        ["203.0.113.9:80:80"],
        ["[203.0.113.9]:80"],
        ["[2001:db8:7::1]x"],
        ["[2001:db8:7::1"],
        ["10.0.0.2"],
        ["203.0.113.9" + ",10.0.0.2" * 20_000],
        ["for=203.0.113.9"],
    ],
)
def test_what_a_stranger_wrote_before_the_proxy_counts_for_nothing(reported: list[str]) -> None:
    assert not is_let_in(AllowFrom(THEIRS, Unsigned(), trusted_proxies=PROXIES), "10.0.0.1", *reported)


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_whatever_is_reported_only_rejections_come_out(value: bytes) -> None:
    scheme = AllowFrom(THEIRS, Unsigned(), trusted_proxies=[*PROXIES, "unix"])
    for client in ("10.0.0.1", None):
        for reported in (value, b"203.0.113.9," + value, b"203.0.113.9;" + value):
            head = RequestHead.of([(XFF.encode(), reported)], client=client)
            with pytest.raises(AddressNotAllowed):
                scheme.verify(head, NOW)


def test_a_proxy_that_reports_nothing_is_the_sender_itself() -> None:
    both = AllowFrom(["10.0.0.1"], Unsigned(), trusted_proxies=PROXIES)
    assert is_let_in(both, "10.0.0.1")
    assert not is_let_in(both, "10.0.0.2")
    assert not is_let_in(both, "10.0.0.1", "192.0.2.1")


def test_another_header_is_the_only_one_that_counts() -> None:
    scheme = AllowFrom(THEIRS, Unsigned(), trusted_proxies=PROXIES, header="X-Real-IP")
    assert is_let_in(scheme, "10.0.0.1", "203.0.113.9", header="x-real-ip")
    assert not is_let_in(scheme, "10.0.0.1", "203.0.113.9")


FORWARDED = AllowFrom(THEIRS, Unsigned(), trusted_proxies=PROXIES, header="Forwarded")


@pytest.mark.parametrize(
    "reported",
    [
        ["for=203.0.113.9"],
        ["For=203.0.113.9; Proto=https ;by=10.0.0.1"],
        ["for=192.0.2.1, for=203.0.113.9"],
        ["for=192.0.2.1,for=203.0.113.9"],
        ["for=192.0.2.1", "for=203.0.113.9"],
        ['for="203.0.113.9:50123"'],
        ["for=203.0.113.9:50123"],
        ['for="[2001:db8:7::1]:443";host=a', 'for="[fd00::2]"'],
        ['for="[2001:db8:7::1]"'],
        ['for="\\2\\03.0.113.9"'],
        ['by=_a;for=203.0.113.9;host="a, for=192.0.2.1"'],
        ['for=203.0.113.9;host="a\\", for=192.0.2.1;x=\\"b"'],
        ["nonsense, for=203.0.113.9, for=10.1.1.1"],
        ['for="never closed, for=203.0.113.9'],
        ['host="x;for=192.0.2.1, for=203.0.113.9'],
        ["for=203.0.113.9;"],
        ["a" * 100_000 + ", for=203.0.113.9"],
        ['"' * 100_000 + ", for=203.0.113.9"],
    ],
    ids=range(18),
)
@pytest.mark.parametrize("client", ["10.0.0.1", "fd00::1"])
def test_a_trusted_proxy_reports_the_sender_by_the_standard(client: str, reported: list[str]) -> None:
    assert is_let_in(FORWARDED, client, *reported, header="forwarded")


@pytest.mark.parametrize(
    "reported",
    [
        [],
        [""],
        ["203.0.113.9"],
        ["for=192.0.2.1"],
        ["for=203.0.113.9, for=192.0.2.1"],
        ["for=203.0.113.9", "for=192.0.2.1"],
        ["for=203.0.113.9, for=unknown"],
        ["for=203.0.113.9, for=_hidden"],
        ["for=203.0.113.9, proto=https"],
        ["for=203.0.113.9,"],
        ["for=203.0.113.9, for=192.0.2.1;for=203.0.113.9"],
        ['for=203.0.113.9, for=192.0.2.1;host="a, for=203.0.113.9"'],
        ['for=192.0.2.1;host="a, for=203.0.113.9;by=";proto="; x=y"'],
        ['for=192.0.2.1;host="a\\", for=203.0.113.9, x=\\"b"'],
        ['for=192.0.2.1;host=", for=203.0.113.9;x=\\""'],
        ['for=203.0.113.9, for="'],
        ["for=203.0.113.9 for=203.0.113.9"],
        ["for = 203.0.113.9"],
        ["for=203.0.113.9x"],
        ["for=[203.0.113.9]"],
        ["for=10.0.0.2"],
        ["for=203.0.113.9" + ",for=10.0.0.2" * 20_000],
        ["for=203.0.113.9" + ";x=y" * 20_000],
        ["," * 100_000],
        [",a=b;" * 20_000 + '"'],
        ['"' + ',a="b' * 20_000 + '"'],
    ],
    ids=range(26),
)
def test_what_a_stranger_wrote_in_forwarded_counts_for_nothing(reported: list[str]) -> None:
    began = time.process_time()
    assert not is_let_in(FORWARDED, "10.0.0.1", *reported, header="forwarded")
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_whatever_is_in_forwarded_only_rejections_come_out(value: bytes) -> None:
    for reported in (value, b"for=" + value, b'for="' + value + b'"', b"for=203.0.113.9x" + value):
        head = RequestHead.of([(b"forwarded", b"for=203.0.113.9, " + reported)], client="10.0.0.1")
        with pytest.raises(AddressNotAllowed):
            FORWARDED.verify(head, NOW)


def test_whatever_a_stranger_wrote_before_a_proxy_that_address_counts() -> None:
    rng = random.Random(7)
    pieces = ["for=203.0.113.9", '"', "\\", ",", ";", " ", "=", 'host="a"', "for=10.0.0.2", "x", "\u00e9"]
    for _ in range(3000):
        stranger = "".join(rng.choice(pieces) for _ in range(rng.randrange(12)))
        quoted = stranger.replace("\\", "\\\\").replace('"', '\\"')
        proxy = rng.choice([f'for=192.0.2.1;host="{quoted}"', "for=192.0.2.1", f'host="{quoted}";for=192.0.2.1'])
        with pytest.raises(AddressNotAllowed, match=r"192|no address"):
            FORWARDED.verify(RequestHead.of([("forwarded", f"{stranger}, {proxy}")], client="10.0.0.1"), NOW)


@pytest.mark.parametrize("client", [None, "", "unix", "unix:/run/hooks.sock"])
def test_a_proxy_by_a_unix_socket_is_trusted_if_that_is_said(client: str | None) -> None:
    scheme = AllowFrom(THEIRS, Unsigned(), trusted_proxies=["unix", *PROXIES])
    assert is_let_in(scheme, client, "192.0.2.1, 203.0.113.9, 10.0.0.2")
    assert not is_let_in(scheme, client, "203.0.113.9, 192.0.2.1")
    assert not is_let_in(scheme, client)
    assert not is_let_in(AllowFrom(THEIRS, Unsigned(), trusted_proxies=PROXIES), client, "203.0.113.9")


def test_the_scheme_behind_it_decides_then_and_is_not_asked_before() -> None:
    scheme = AllowFrom(THEIRS, BasicAuth("pw", username="u"))
    signed = scheme.sign(RequestHead.of({}), EVENT, NOW)
    assert signed.client == "203.0.113.0"
    assert scheme.verify(signed, NOW)(EVENT).by == 0
    with pytest.raises(BadSignature):
        scheme.verify(AllowFrom(THEIRS, BasicAuth("x", username="u")).sign(RequestHead.of({}), EVENT, NOW), NOW)
    with pytest.raises(AddressNotAllowed, match=r"it came from 192\.0\.2\.1, which is in none"):
        scheme.verify(signed._replace(client="192.0.2.1"), NOW)


def test_what_the_scheme_behind_it_needs_is_known() -> None:
    url = HTTPMessageSignature({"k": "secret"}, components=["@target-uri"])
    with pytest.raises(ConfigurationError, match="public_url="):
        WebhookReceiver(scheme=AllowFrom(THEIRS, url))
    scheme = AllowFrom(THEIRS, BasicAuth(["a", "b"], username="u"))
    assert (scheme.secret_count, scheme.www_authenticate[:5]) == (2, "Basic")
    assert AnyOf(scheme, HMACBody("c", signature="x-sig")).secret_count == 3


@pytest.mark.parametrize(
    ("networks", "options"),
    [
        *(([], {}), ("203.0.113.0/24", {}), (["203.0.113.9/24"], {}), (["acme.example"], {}), ([""], {}), ([7], {})),
        *((None, {}), (["unix"], {}), (THEIRS, {"trusted_proxies": "unix"}), (THEIRS, {"trusted_proxies": ["*"]})),
        *((THEIRS, {"trusted_proxies": None}), (THEIRS, {"header": "x y"}), (THEIRS, {"scheme": Unsigned})),
    ],
)
def test_networks_that_cannot_be_are_rejected(networks: Any, options: Any) -> None:
    given: dict[str, Any] = {"networks": networks, "scheme": Unsigned(), **options}
    with pytest.raises(ConfigurationError):
        AllowFrom(**given)


@pytest.mark.parametrize(
    ("client", "fingerprint", "status"),
    [
        ("127.0.0.1", "120a010e00a743d4", 204),
        ("127.0.0.1", "5d8e9b5a4b7c1f00", 401),
        ("127.0.0.1", None, 401),
        ("203.0.113.9", "120a010e00a743d4", 401),
        (None, "120a010e00a743d4", 401),
    ],
)
async def test_a_certificate_counts_as_the_proxy_reports_it(
    client: str | None, fingerprint: str | None, status: int
) -> None:
    certificate = HeaderSecret(["120a010e00a743d4", "the next one"], header="X-Client-Fingerprint")
    noted = noting(scheme=AllowFrom(["127.0.0.1"], certificate))
    headers = {} if fingerprint is None else {"X-Client-Fingerprint": fingerprint}
    for forwarded in ({}, {"X-Forwarded-For": "127.0.0.1"}):
        receipt = await noted.hooks.receive({**headers, **forwarded}, EVENT, client=client)
        assert receipt.response.status == status


@contextmanager
def behind_nginx(upstream: str, server: trustme.LeafCert, folder: Path) -> Generator[str]:
    """Serve an app by a real nginx over TLS, with the lines that the guide has for client certificates."""
    assert NGINX is not None
    (lines,) = re.findall(r"```text\n(ssl_verify_client .*?)```", GUIDE.read_text(), re.DOTALL)
    server.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    temporary = " ".join(f"{each}_temp_path {folder}/{each};" for each in NGINX_TEMPORARY)
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"""
        daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
        events {{}}
        http {{
            access_log off; {temporary}
            server {{
                listen 127.0.0.1:{port} ssl;
                ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
                {lines}
                location / {{ proxy_pass {upstream}; }}
            }}
        }}
        """
    )
    process = subprocess.Popen(
        [NGINX, "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"], stderr=subprocess.PIPE
    )
    try:
        while True:
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.skipif(NGINX is None, reason="needs nginx: apt-get install nginx-light")
async def test_behind_nginx_a_client_certificate_lets_in_and_no_header_of_the_client_does(tmp_path: Path) -> None:
    authority, another = trustme.CA(), trustme.CA()
    ours, theirs = another.issue_cert("sender.example"), another.issue_cert("stranger.example")

    def fingerprint(leaf: trustme.LeafCert) -> str:
        return hashlib.sha1(ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())).hexdigest()

    scheme = AllowFrom(["127.0.0.1"], HeaderSecret(fingerprint(ours), header="X-Client-Fingerprint"))
    noted = noting(scheme=scheme)

    async def status(leaf: trustme.LeafCert | None, **forged: str) -> int:
        tls = ssl.create_default_context()
        authority.configure_trust(tls)
        if leaf is not None:
            leaf.configure_cert(tls)
        headers = {name.replace("__", "-"): value for name, value in forged.items()}
        async with httpx.AsyncClient(verify=tls, trust_env=False) as http:
            return (await http.post(url, content=EVENT, headers=headers)).status_code

    right, wrong = fingerprint(ours), fingerprint(theirs)
    with (
        serving(noted.hooks, proxy_headers=False) as upstream,
        behind_nginx(upstream, authority.issue_cert("127.0.0.1"), tmp_path) as url,
    ):
        assert [await status(each) for each in (ours, theirs, None)] == [204, 401, 401]
        assert await status(ours, X__Client__Fingerprint=wrong) == 204
        for leaf in (theirs, None):
            assert await status(leaf, X__Client__Fingerprint=right) == 401
            assert await status(leaf, X_Client_Fingerprint=right) == 401
    assert len(noted.events) == 2


# requests


@pytest.mark.parametrize("allowed", ["127.0.0.1", "192.0.2.1"])
async def test_over_tcp_the_peer_is_who_connects(allowed: str) -> None:
    noted = noting(scheme=AllowFrom([allowed], Unsigned()))
    with serving(noted.hooks, proxy_headers=False) as url:
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(url, content=EVENT, headers={"X-Forwarded-For": "192.0.2.1"})
    assert (answer.status_code, len(noted.events)) == ((204, 1) if allowed == "127.0.0.1" else (401, 0))


async def test_over_tcp_a_trusted_proxy_reports_who_it_is() -> None:
    noted = noting(scheme=AllowFrom(THEIRS, Unsigned(), trusted_proxies=["127.0.0.0/8"]))
    statuses: list[int] = []
    with serving(noted.hooks, proxy_headers=False) as url:
        async with httpx.AsyncClient(trust_env=False) as http:
            for reported in ("203.0.113.9", "192.0.2.1, 203.0.113.9", "203.0.113.9, 192.0.2.1"):
                answer = await http.post(url, content=EVENT, headers={"X-Forwarded-For": reported})
                statuses.append(answer.status_code)
            statuses.append((await http.post(url, content=EVENT)).status_code)
    assert statuses == [204, 204, 401, 401]


@pytest.mark.parametrize(
    ("network", "is_too_large"),
    [
        *(("0.0.0.0/0", True), ("0.0.0.0/1", True), ("::/0", True), ("::ffff:0:0/96", True), ("2000::/3", True)),
        *(("10.0.0.0/8", False), ("fc00::/7", False), ("127.0.0.1", False), ("2001:db8::/32", False)),
    ],
)
def test_a_network_that_holds_strangers_is_no_proxys(network: str, is_too_large: bool) -> None:
    expected = pytest.raises(ConfigurationError, match="your own proxies") if is_too_large else nullcontext()
    with expected:
        AllowFrom(THEIRS, Unsigned(), trusted_proxies=["192.0.2.7", network])


@pytest.mark.parametrize(
    ("scheme", "options", "warns"),
    [
        (AllowFrom(THEIRS, Unsigned(), trusted_proxies=PROXIES, header="X-Real-IP"), {}, True),
        (AnyOf(HMACBody("secret", signature="x-sig"), AllowFrom(THEIRS, BasicAuth("x", username="u"))), {}, True),
        (AllowFrom(THEIRS, Unsigned()), {"proxy_headers": False}, False),
        (AllowFrom(THEIRS, Unsigned()), {"forwarded_allow_ips": ""}, False),
        (HMACBody("secret", signature="x-sig"), {}, False),
    ],
)
def test_a_server_that_takes_the_address_from_a_header_is_warned_of(
    scheme: Scheme, options: dict[str, Any], warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    gc.collect()  # the servers of other tests
    with serving(noting(scheme=scheme).hooks, **options):
        pass
    assert ("--no-proxy-headers" in caplog.text) is warns


@pytest.mark.parametrize(("trusted", "status"), [(["unix"], 204), ([], 401)])
async def test_over_a_unix_socket_only_a_trusted_proxy_reports(
    trusted: list[str], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    noted = noting(scheme=AllowFrom(THEIRS, Unsigned(), trusted_proxies=trusted))
    with serving(noted.hooks, uds="hooks.sock", proxy_headers=False):
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds="hooks.sock")) as http:
            answer = await http.post("http://hooks/", content=EVENT, headers={"X-Forwarded-For": "203.0.113.9"})
            stranger = await http.post("http://hooks/", content=EVENT, headers={"X-Forwarded-For": "192.0.2.1"})
    assert (answer.status_code, stranger.status_code) == (status, 401)


async def test_without_asgi_the_address_is_told() -> None:
    noted = noting(scheme=AllowFrom(THEIRS, Unsigned()))
    statuses = [
        (await noted.hooks.receive({}, EVENT, client=each)).response.status
        for each in ("203.0.113.9", "192.0.2.1", None)
    ]
    assert statuses == [204, 401, 401]
    assert noted.hooks.rejected == {"AddressNotAllowed": 2}


async def test_a_rehearsal_delivers_from_an_allowed_address() -> None:
    with rehearse(WebhookReceiver(scheme=AllowFrom(THEIRS, BasicAuth("pw", username="u")), inbox="memory://")) as hooks:
        assert (await hooks.send({"event": "parcel.lost"})).response.status == 202
        assert isinstance((await hooks.send_forged({"event": "parcel.lost"})).error, BadSignature)


def test_explain_says_that_the_address_is_not_allowed() -> None:
    def make(secrets: Any) -> Scheme:
        return AllowFrom(THEIRS, HMACBody(secrets, signature="x-sig"))

    headers = make("pw").sign(RequestHead.of({}), EVENT, NOW).headers
    assert explain(headers, EVENT, "pw", make=make, now=NOW, client="203.0.113.9").ok
    wrong = explain(headers, EVENT, "pw", make=make, now=NOW, client="192.0.2.1")
    assert (wrong.ok, wrong.error, wrong.failed and wrong.failed.what) == (
        *(False, "AddressNotAllowed"),
        "it comes from an allowed address",
    )
    assert [step.state for step in wrong.steps] == ["failed", *["not reached"] * 5]
