"""Who gets in, and what no page of another site can do."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
    SimpleUser,
    UnauthenticatedUser,
)
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from tests.inspector.stage import HERE, Browser
from webhook_receiver import ConfigurationError, MemoryInbox, SQLiteInbox, Unsigned, WebhookReceiver
from webhook_receiver.inspector import Inspector
from webhook_receiver.inspector.gate import COOKIE
from webhook_receiver.inspector.loopback import is_loopback_name

DEAD = "00000003" + "0" * 24


async def test_a_mounted_inspector_without_auth_is_an_error_that_says_how_to_get_one(
    hooks: list[WebhookReceiver],
) -> None:
    with pytest.raises(
        ConfigurationError, match=r'auth=PasswordFile\("inspector.passwd"\), .* webhook-receiver inspect'
    ):
        Inspector(hooks)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("sqlite:///hooks.db", r'Inspector\(from_url\("sqlite:///hooks.db"\), auth=...\) does; not str'),
        (7, "not int"),
        ([7], "not int"),
        ([], "one receiver or inbox at least"),
        (SQLiteInbox, "not type"),
        (WebhookReceiver(scheme=Unsigned()), "has no inbox"),
    ],
)
def test_what_is_no_receiver_is_told_at_once(given: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Inspector(given, auth=lambda request: True)


@pytest.mark.parametrize("given", [7, "ann", SimpleUser("ann"), AuthenticationBackend])
def test_what_is_no_auth_is_told_at_once(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"auth=\.\.\. takes"):
        Inspector(MemoryInbox(), auth=given)


def test_writable_is_a_bool() -> None:
    with pytest.raises(ConfigurationError, match=r"writable=\.\.\. is True or False, not 1"):
        Inspector(MemoryInbox(), auth=lambda request: True, writable=1)  # type: ignore[arg-type]


class Nameless(BaseUser):
    @property
    def is_authenticated(self) -> bool:
        return True


class Backend(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        name = conn.headers.get("x-user")
        if name == "nobody":
            raise AuthenticationError("who is that?")
        if name == "guest":
            return AuthCredentials(), UnauthenticatedUser()
        return None if name is None else (AuthCredentials(["authenticated"]), SimpleUser(name))


async def coroutine(request: Request) -> str | None:
    return request.headers.get("x-user")


KINDS: Mapping[str, Any] = {
    "function": lambda request: request.headers.get("x-user"),
    "coroutine": coroutine,
    "backend": Backend(),
    "middleware": Middleware(AuthenticationMiddleware, backend=Backend()),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_auth_lets_in_whom_it_knows_and_nobody_else(kind: str, inbox: SQLiteInbox) -> None:
    browser = Browser(Inspector(inbox, auth=KINDS[kind]), base="https://hooks.example")
    page = await browser.get("/deliveries", x_user="ann")
    assert (page.status, "You are ann." in page.text) == (200, True)
    for path in (
        "/",
        f"/deliveries/{DEAD}",
        f"/deliveries/{DEAD}/body",
        "/live",
        "/static/0/inspector.css",
        "/nothing",
    ):
        refused = await browser.get(path)
        assert refused.status == 403, path
        assert refused.response.headers["x-frame-options"] == "DENY"
        assert "o-3" not in refused.html
    if kind not in ("function", "coroutine"):
        assert (await browser.get("/", x_user="guest")).status == 403
        assert (await browser.get("/", x_user="nobody")).status in (400, 403)
    await browser.client.aclose()


@pytest.mark.parametrize("found", [None, False, "", 0, SimpleUser, object(), UnauthenticatedUser()])
async def test_whatever_names_no_user_lets_nobody_in(found: object, inbox: SQLiteInbox) -> None:
    browser = Browser(Inspector(inbox, auth=lambda request: found))
    assert (await browser.get("/")).status == 403
    await browser.client.aclose()


@pytest.mark.parametrize(("found", "name"), [(True, "somebody"), (Nameless(), "somebody"), (SimpleUser("bo"), "bo")])
async def test_a_user_without_a_name_is_somebody(found: object, name: str, inbox: SQLiteInbox) -> None:
    browser = Browser(Inspector(inbox, auth=lambda request: found))
    assert f"You are {name}." in (await browser.get("/")).text
    await browser.client.aclose()


async def test_auth_may_send_to_a_login(inbox: SQLiteInbox) -> None:
    browser = Browser(Inspector(inbox, auth=lambda request: RedirectResponse("/login")))
    page = await browser.get("/")
    assert (page.status, page.response.headers["location"]) == (307, "/login")
    await browser.client.aclose()


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("localhost", True),
        ("LOCALHOST:8000", True),
        ("127.0.0.1:1", True),
        ("[::1]:8000", True),
        ("[::1]", True),
        ("", False),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:8000", False),
        ("127.0.0.1:80:evil", False),
        ("evil.example@127.0.0.1", False),
        ("127.0.0.1 evil", False),
        ("2130706433", False),
        ("0.0.0.0", False),
        ("127.0.0.1:", False),
        ("::1", False),
    ],
)
def test_the_loopback_has_three_names(host: str, is_one: bool) -> None:
    assert is_loopback_name(host) is is_one


async def test_another_name_for_the_loopback_is_kept_out(browser: Browser) -> None:
    for host in ("evil.example", "rebound.evil.example:8000", "127.0.0.1.nip.io", ""):
        page = await browser.get("/deliveries", host=host)
        assert page.status == 403, host
        assert "o-3" not in page.html
    assert (await browser.get("/deliveries", host="localhost:8000")).status == 200


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"])
async def test_what_a_proxy_passes_on_is_kept_out_on_the_loopback(browser: Browser, header: str) -> None:
    """The proxy is on this machine, and names the loopback: whoever reaches it would get in."""
    page = await browser.get("/deliveries", **{header.lower().replace("-", "_"): "192.0.2.7"})
    assert (page.status, "o-3" in page.html) == (403, False)
    assert f"its header {header.lower()} says" in page.html
    assert "--passwords FILE" in page.html


async def test_who_is_not_on_this_machine_is_kept_out_on_the_loopback(hooks: list[WebhookReceiver]) -> None:
    browser = Browser(Inspector.on_loopback(hooks), peer="192.0.2.7")
    assert (await browser.get("/")).status == 403
    await browser.client.aclose()


async def test_no_host_header_gets_into_a_page(hooks: list[WebhookReceiver]) -> None:
    browser = Browser(Inspector(hooks, auth=lambda request: "ann", writable=True), base="https://hooks.example")
    for path in ("/", "/deliveries", f"/deliveries/{DEAD}", "/deliveries/"):
        page = await browser.get(path, host="evil.example", x_forwarded_host="evil.example")
        assert "evil.example" not in page.html
        assert "location" not in page.response.headers
    await browser.client.aclose()


async def test_no_address_of_a_page_leads_elsewhere(browser: Browser) -> None:
    """There is no parameter that says where to go on, and none is made up by a path."""
    for path in ("/deliveries?next=//evil.example", "/audit?before=//evil.example", "/finished?action=//evil.example"):
        page = await browser.get(path)
        assert "location" not in page.response.headers
    page = await browser.get(f"/replay?only={DEAD}&next=https://evil.example")
    form = page.form | {"next": "https://evil.example", "back": "//evil.example"}
    done = await browser.client.post("/replay", data=form, headers={"sec-fetch-site": "same-origin"})
    assert done.headers["location"].startswith("/finished?record=1")


SEPARATE: Mapping[str, Mapping[str, str]] = {
    "another site": {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    "another port of this machine": {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:3000"},
    "typed by hand": {"sec-fetch-site": "none", "origin": ""},
    "another site in an old browser": {"sec-fetch-site": "", "origin": "https://evil.example"},
    "another port in an old browser": {"sec-fetch-site": "", "origin": "http://127.0.0.1:3000"},
    "a sandboxed frame": {"sec-fetch-site": "", "origin": "null"},
    "no browser": {"sec-fetch-site": "", "origin": ""},
    "a name that begins alike": {"sec-fetch-site": "", "origin": f"{HERE}.evil.example"},
    "an origin that is none": {"sec-fetch-site": "", "origin": "http://[127.0.0.1:8000"},
}


@pytest.mark.parametrize("kind", SEPARATE)
async def test_what_another_page_sends_changes_nothing(kind: str, browser: Browser, inbox: SQLiteInbox) -> None:
    page = await browser.get("/purge?state=dead")
    refused = await browser.post("/purge", page.form | {"reason": "x"}, **SEPARATE[kind])
    assert refused.status == 403
    assert len(await inbox.audited(limit=9)) == 0
    assert (await browser.post("/purge", page.form | {"reason": "x"})).status == 200, "while this is our own"


async def test_an_old_browser_shows_by_its_origin_that_the_page_is_ours(browser: Browser) -> None:
    page = await browser.get("/purge?state=dead")
    done = await browser.post("/purge", page.form | {"reason": "x"}, sec_fetch_site="")
    assert "4 deliveries removed" in done.text


@pytest.mark.parametrize("token", ["", "x" * 43, "another", "ä"])
async def test_a_form_without_the_token_of_the_cookie_changes_nothing(
    token: str, browser: Browser, inbox: SQLiteInbox
) -> None:
    page = await browser.get("/purge?state=dead")
    refused = await browser.post("/purge", page.form | {"reason": "x", "token": token})
    assert (refused.status, len(await inbox.audited(limit=9))) == (403, 0)
    assert "Load the page again" in refused.text


async def test_a_form_without_the_cookie_changes_nothing(browser: Browser, inbox: SQLiteInbox) -> None:
    page = await browser.get("/purge?state=dead")
    browser.client.cookies.clear()
    assert (await browser.post("/purge", page.form | {"reason": "x"})).status == 403
    browser.client.cookies.set(COOKIE, "")
    assert (await browser.post("/purge", page.form | {"reason": "x", "token": ""})).status == 403
    assert len(await inbox.audited(limit=9)) == 0


async def test_the_cookie_is_for_our_own_pages_alone(hooks: list[WebhookReceiver]) -> None:
    for base, secure in (("https://hooks.example", True), (HERE, False)):
        browser = Browser(Inspector(hooks, auth=lambda request: "ann"), base=base)
        found = (await browser.get("/")).response.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {*found.split("; ")}
        assert ("Secure" in found) is secure
        assert "set-cookie" not in (await browser.get("/")).response.headers, "it has one"
        await browser.client.aclose()


async def test_what_is_no_form_changes_nothing(browser: Browser) -> None:
    await browser.get("/")
    send: Callable[..., Awaitable[httpx.Response]] = browser.client.post
    headers = {"sec-fetch-site": "same-origin"}
    for kind, status in {"text/plain": 415, "application/json": 415, "multipart/form-data; boundary=x": 415}.items():
        refused = await send("/purge", content=f"token={browser.token}", headers={**headers, "content-type": kind})
        assert refused.status_code == status
    headers["content-type"] = "application/x-www-form-urlencoded"
    assert (await send("/purge", content=b"\xff", headers=headers)).status_code == 400
    assert (await send("/purge", content=b"a" * (8 * 1024 * 1024 + 1), headers=headers)).status_code == 413


@pytest.mark.parametrize("dest", ["script", "image", "iframe", "empty", "style", "object"])
async def test_a_page_of_another_site_embeds_and_reads_nothing(dest: str, browser: Browser) -> None:
    headers = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": dest}
    for path in ("/", f"/deliveries/{DEAD}/body", "/live", "/static/0/inspector.js"):
        assert (await browser.get(path, **headers)).status == 403
    frame = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}
    assert (await browser.get("/", **frame)).status == 403


async def test_a_link_from_elsewhere_leads_to_a_delivery(browser: Browser) -> None:
    headers = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert (await browser.get(f"/deliveries/{DEAD}", **headers)).status == 200


async def test_every_response_forbids_frames_scripts_of_others_and_caches(browser: Browser) -> None:
    for path in ("/", f"/deliveries/{DEAD}", f"/deliveries/{DEAD}/body", "/nothing", "/live?x", "/purge?state=x"):
        if path.startswith("/live"):
            continue
        headers = (await browser.get(path)).response.headers
        policy = dict(each.strip().split(" ", 1) for each in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"


async def test_no_page_has_an_inline_script_or_style_or_an_address_elsewhere(browser: Browser) -> None:
    for path in ("/", "/deliveries", f"/deliveries/{DEAD}", "/dead", "/handlers", "/audit", f"/replay?only={DEAD}"):
        page = await browser.get(path)
        assert " style=" not in page.html
        assert " onclick=" not in page.html
        assert "<style" not in page.html
        assert page.html.count("<script") == page.html.count("</script>") == page.html.count('<script src="/static/')
        assert not [each for each in page.links if "//" in each]
    senders = await browser.get("/senders")
    outside = {each for each in senders.links if "//" in each}
    assert outside == {"https://docs.up42.com", "https://docs.github.com/en/webhooks"}, "to be followed by hand"


async def test_a_static_file_may_be_kept_and_changes_its_address(browser: Browser) -> None:
    page = await browser.get("/")
    (style,) = [each for each in page.links if each.endswith(".css")]
    found = (await browser.get(style)).response
    assert found.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in found.headers["cache-control"]
    assert len((await browser.get(style.replace("inspector.css", "htmx.min.js"))).html) > 40_000


async def test_an_inspector_that_only_shows_has_no_way_to_change_anything(hooks: list[WebhookReceiver]) -> None:
    browser = Browser(Inspector.on_loopback(hooks))
    for path in ("/", "/deliveries?state=dead", f"/deliveries/{DEAD}", "/dead", "/handlers"):
        page = await browser.get(path)
        assert 'method="post"' not in page.html
        assert not [each for each in page.links if each.startswith(("/replay", "/purge", "/pause", "/resume"))]
    assert "read-only" in page.text
    for path in ("/replay", "/purge", "/pause", "/resume", f"/deliveries/{DEAD}/edit", f"/deliveries/{DEAD}/curl"):
        refused = await browser.post(f"{path}", {"token": browser.token, "which": "state=dead", "reason": "x"})
        assert refused.status == 403, path
    for path in ("/replay?state=dead", "/purge?state=dead", "/pause?handler=app:download"):
        assert (await browser.get(path)).status == 403, path
    await browser.client.aclose()


async def test_it_is_mounted_anywhere_and_behind_a_prefix(hooks: list[WebhookReceiver]) -> None:
    inspector = Inspector(hooks, auth=lambda request: "ann", writable=True)
    app = Starlette(routes=[Mount("/_webhooks", inspector)])

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        """Be a server that was told a prefix, as uvicorn is by --root-path."""
        await app({**scope, "root_path": "/behind a proxy", "path": f"/behind a proxy{scope['path']}"}, receive, send)

    browser = Browser(behind)
    page = await browser.get("/_webhooks/deliveries")
    assert page.status == 200
    prefix = "/behind%20a%20proxy/_webhooks"
    assert page.links
    assert all(each.startswith((f"{prefix}/", "#")) for each in page.links), page.links
    assert f'hx-get="{prefix}/deliveries"' in page.html
    assert f'data-live="{prefix}/live"' in page.html
    assert f"Path={prefix}/" in page.response.headers["set-cookie"]
    await browser.client.aclose()


async def test_it_is_mounted_where_nobody_strips_anything(hooks: list[WebhookReceiver]) -> None:
    app = Starlette(routes=[Mount("/_webhooks", Inspector(hooks, auth=lambda request: "ann", writable=True))])
    browser = Browser(app)
    page = await browser.get(f"/_webhooks/deliveries/{DEAD}")
    assert all(each.startswith(("/_webhooks/", "#")) for each in page.links), page.links
    done = await browser.confirm(f"/_webhooks/replay?only={DEAD}")
    assert "1 delivery replayed" in done.text
    assert (await browser.client.post("/_webhooks/audit", headers={"sec-fetch-site": "same-origin"})).status_code == 405
    await browser.client.aclose()


async def test_a_websocket_is_closed(hooks: list[WebhookReceiver]) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    for path in ("/live", "/nothing"):
        await Inspector.on_loopback(hooks)({"type": "websocket", "path": path, "headers": []}, receive, send)
    assert sent == ["websocket.close"] * 2


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"
