"""What the pages share: the inbox that they show, the request that asks for them, and how they are rendered.

A page is a function of a `View`, and a template. The functions are in `pages`, the templates in `templates`.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ..inbox.base import Inbox
from ..inbox.records import State, Stats
from ..receiver import WebhookReceiver
from . import wording
from .gate import COOKIE, TOKEN, has_token, token_of
from .live import Live
from .secrecy import masked_text

HERE = Path(__file__).parent
STATIC = HERE / "static"
_SCHEMA = "webhook_receiver"  # of a PostgreSQL inbox that names no other
MOST_OF_A_FORM = 8 * 1024 * 1024  # bytes; an edited body is in a form, percent-encoded


class Problem(Exception):
    """A page that says why there is none.

    Args:
        status: the status of the response.
        title: what is wrong, as a heading.
        advice: a sentence about what to do.
        headers: headers of the response.
        purge: the id of a delivery that can be removed all the same.
    """

    def __init__(
        self, status: int, title: str, advice: str = "", headers: Mapping[str, str] | None = None, *, purge: str = ""
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.advice = advice
        self.headers = dict(headers or {})
        self.purge = purge


class SitePage(NamedTuple):
    """A page: where it is, and the function that makes its response."""

    path: str
    """The path, as of a route of Starlette's."""
    show: Callable[[View], Awaitable[Response]]
    """The function."""
    title: str = ""
    """Its name in the navigation; empty for one that is not there."""
    writes: bool = False
    """Whether it is there in a writable inspector only, as the confirmation of an action is."""
    posts: bool = False
    """Whether it changes something: by POST, with the form that one of our own pages sends. Then it also `writes`."""


class Inspected:
    """An inbox that is inspected, and those of its receivers that are at hand."""

    def __init__(
        self,
        inbox: Inbox,
        receivers: Sequence[WebhookReceiver],
        label: str,
        beside: Callable[[], object] | None = None,
    ) -> None:
        self.inbox = inbox
        self.label = label
        """A short name of the inbox for people, without a secret."""
        self.receivers = tuple(receivers)
        self.looks = False
        """Whether the names of the receivers are only looked up in the inbox, see `Runtime.open`."""
        self.live = Live(inbox, beside)
        self.counted: dict[str, tuple[float, Any]] = {}
        """What was counted in a span of time, by its name, and when that was read: tabs ask for it at once."""
        self.acting = asyncio.Lock()
        """Held for a part of an action: of two copies of one form, the second finds what the first has done."""
        self._named: set[int] = set()
        """The receivers whose names were looked up."""

    def receiver(self, name: str) -> WebhookReceiver | None:
        """Return a receiver by its name; None if it is not at hand."""
        return next((each for each in self.receivers if each.name == name), None)

    async def open(self) -> None:
        """Open the inbox, in which the names of the receivers are looked up.

        Raises:
            InboxError: it cannot be opened.
            ConfigurationError: it can never work.
        """
        for number, hooks in enumerate(self.receivers):
            if number not in self._named:
                if not hooks.runtime.is_started():
                    await hooks.runtime.open(looks=self.looks)
                self._named.add(number)
        await self.inbox.open()


def labels_of(addresses: Sequence[str]) -> list[str]:
    """Return short names of inboxes, each as much of its address as no other one has, too."""
    names = [_names(each) for each in addresses]
    return [
        next((name for name in mine if not any(name in each for each in names if each is not mine)), mine[-1])
        for mine in names
    ]


def _names(address: str) -> list[str]:
    """Return the names of an inbox by its address, the shortest first."""
    if "://" in address:
        parts = urlsplit(address)
        schema = parse_qs(parts.query).get("schema", [_SCHEMA])[0]
        name = parts.path.strip("/") + ("" if schema == _SCHEMA else f", {schema}")
        return [*([name] if name else []), f"{parts.netloc}/{name}", address]
    parents = address.strip("/").split("/")
    return ["/".join(parents[-count:]) for count in range(1, len(parents) + 1)] + [address]


class Site:
    """What an inspector shows, and by which pages."""

    def __init__(
        self,
        inspected: Sequence[Inspected],
        pages: Sequence[SitePage],
        *,
        writable: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.inspected = inspected
        self.pages = pages
        self.writable = writable
        self.clock = clock

    @cached_property
    def version(self) -> str:
        """A part of the addresses of static files that changes with them."""
        digest = hashlib.sha256()
        for file in sorted(STATIC.iterdir()):
            digest.update(file.read_bytes())
        return digest.hexdigest()[:12]


@cache
def _templates() -> Environment:
    """Return the templates, which are read once in a process."""
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    words = (wording.at, wording.iso, wording.span, wording.exact, wording.number, wording.size, wording.cut)
    filters: dict[str, Any] = {each.__name__: each for each in words}
    names: dict[str, Any] = {"counted": wording.counted, "State": State, "TOKEN": TOKEN, "MASK": wording.MASK}
    found.filters.update(filters | {"lines": _lines, "as_is": _as_is})
    found.globals.update(names)
    return found


def _harmless(value: object) -> object:
    """Return what a template prints for a value: of a text nothing that a stranger hides or turns round."""
    return wording.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _lines(value: str) -> Markup:
    """Return a text of several lines, as a template prints it."""
    return escape(wording.visible(value, lines=True))


def _as_is(value: object) -> Markup:
    """Return the value of a field that a form sends back: escaped, and otherwise the very text."""
    return escape(str(value))


class View:
    """One request for a page: what it asks for, and what its response is made of.

    Args:
        site: the inspector's site.
        number: the number of the inbox that is shown, from 0.
        request: the request.
        user: the name of the user.
    """

    def __init__(self, site: Site, number: int, request: Request, user: str) -> None:
        self.site = site
        self.inspected = site.inspected[number]
        self.number = number
        self.request = request
        self.user = user
        self.now = site.clock()
        """The time of the request, in Unix seconds."""
        self.token, self._is_new = token_of(request)
        self._form: Mapping[str, str] = {}
        self._stats: Stats | None = None

    @property
    def inbox(self) -> Inbox:
        """The inbox, which is open."""
        return self.inspected.inbox

    @property
    def writable(self) -> bool:
        """Whether the user may change something."""
        return self.site.writable

    @cached_property
    def clock(self) -> float:
        """The time by the clock of the inbox, in seconds."""
        return self.inbox.clock()

    @cached_property
    def root(self) -> str:
        """The path that the paths of the pages of this inbox are below."""
        return quote(self.request.scope.get("root_path", "").rstrip("/"), safe="/%")

    @cached_property
    def base(self) -> str:
        """The path that the inspector is mounted at."""
        return self.root.removesuffix(f"/inbox/{self.number + 1}") if self.number else self.root

    def url(self, path: str, **query: Any) -> str:
        """Return the address of a page, without a host.

        Args:
            path: the page's path.
            query: the members of the query; None and empty ones are left out, and lists have several.
        """
        listed: dict[str, list[Any]] = {
            name: [*value] if isinstance(value, list | tuple) else [value] for name, value in query.items()
        }
        given = [(name, f"{each}") for name, several in listed.items() for each in several if each not in (None, "")]
        return self.root + quote(path, safe="/") + (f"?{urlencode(given)}" if given else "")

    def static(self, name: str) -> str:
        """Return the address of a static file."""
        return f"{self.base}/static/{self.site.version}/{name}"

    def here(self, **changes: Any) -> str:
        """Return the address of this very page, with members of its query changed."""
        query: dict[str, Any] = {}
        for name, value in self.request.query_params.multi_items():
            query.setdefault(name, []).append(value)
        return self.url(self.path, **{name: query.get(name) for name in query} | changes)

    @property
    def path(self) -> str:
        """The path of this page, below that of the inspector."""
        path: str = self.request.scope["path"]
        return path.removeprefix(self.request.scope.get("root_path", "")) or "/"

    def masked(self, text: str) -> str:
        """Return an error, a reason or a traceback with the secrets masked that it may tell."""
        return masked_text(text, [each.sender.scheme for each in self.inspected.receivers])

    def asked(self, name: str, default: str = "") -> str:
        """Return a member of the query, without white space around it."""
        return self.request.query_params.get(name, default).strip()

    def sent(self, name: str, default: str = "") -> str:
        """Return a field of the form."""
        return self._form.get(name, default)

    async def read_form(self) -> None:
        """Read the form that a request sends, and check that one of our own pages has sent it.

        Raises:
            Problem: it is too large, is no form, or has another token than the cookie.
        """
        if not self.request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            raise Problem(415, "This is not the form of a page")
        body = bytearray()
        try:
            async for chunk in self.request.stream():
                body += chunk
                if len(body) > MOST_OF_A_FORM:
                    raise Problem(413, "The form is too large", f"At most {wording.size(MOST_OF_A_FORM)} are taken.")
        except ClientDisconnect:
            raise Problem(400, "The form did not come whole") from None
        try:
            pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="surrogateescape")
        except ValueError:
            raise Problem(400, "This is not the form of a page") from None
        self._form = dict(pairs)
        if not has_token(self.request, self.sent(TOKEN)):
            advice = "Load the page again, and let your browser keep its cookie: the form has to come from that page."
            raise Problem(403, "Nothing was done", advice)

    async def stats(self) -> Stats:
        """Return the figures of the inbox, read once."""
        if self._stats is None:
            self._stats = await self.inbox.stats()
        return self._stats

    async def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return a page.

        Args:
            template: the name of the template.
            status: the status of the response.
            values: what the template shows.
        """
        values |= {"view": self, "stats": await self.stats()}
        return self.rendered(template, status, values)

    def rendered(self, template: str, status: int, values: Mapping[str, Any]) -> Response:
        """Return a page that needs nothing of the inbox."""
        html = _templates().get_template(template).render(values)
        response = HTMLResponse(html, status)
        if self._is_new:
            response.set_cookie(
                COOKIE,
                self.token,
                path=f"{self.base}/",
                httponly=True,
                samesite="strict",
                secure=self.request.url.scheme == "https",
            )
        return response

    def problem(self, problem: Problem) -> Response:
        """Return the page that says why there is none."""
        response = self.rendered("problem.html", problem.status, {"view": self, "problem": problem, "stats": None})
        response.headers.update(problem.headers)
        return response

    def redirect(self, path: str, **query: Any) -> Response:
        """Return the response that sends the browser to another page of the inspector, by GET."""
        if self.request.headers.get("hx-request"):  # htmx would follow a redirect, and show a part of the page
            return Response(status_code=204, headers={"hx-redirect": self.url(path, **query)})
        return RedirectResponse(self.url(path, **query), 303)
