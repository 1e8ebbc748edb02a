"""The checks of `check`: what is wrong with a receiver and with the app that it is in, before a deploy tells it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import tempfile
import threading
import time
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

from ..errors import ConfigurationError, InboxError
from ..inbox.base import Inbox
from ..inbox.memory import MemoryInbox
from ..inbox.names import check_name, claim_name, release_name
from ..inbox.records import Filter
from ..inbox.sqlite import SQLiteInbox
from ..inbox.sqlite.backup import copy_before_migration
from ..inbox.sqlite.connection import takes_several_writers
from ..inbox.sqlite.file_guard import FileGuard
from ..inbox.sqlite.schema import older_version
from ..logs import warn_if_disabled
from ..receiver import WebhookReceiver
from ..redaction import summary
from ..runtime.findings import Finding, no_handlers, of_handlers, of_proof, of_size
from ..signatures.forwarded import warn_of_proxy_headers
from ..worker.inline import check_without_inbox
from .app_loader import NotLoaded, inbox_of, load_app, module_of, no_receiver_in, target_of
from .hosting import hosts_in, of_host
from .mounted import all_in

FAR_OFF = 60.0
"""Seconds by which a clock may differ from another one. UP42's signatures may be as far ahead."""
_PATIENCE = 10.0  # seconds to wait for the server that is asked for the time
_NOT_COMPARED = "this machine's clock cannot be compared"

CHECKS = {
    "settings": "a setting is not valid, or a variable that begins as they do is none",
    "start": "the module cannot be imported, the receiver cannot start, or its start logs a warning",
    "no-handler": "no handler is registered",
    "shadowed": "a handler never runs, since no event is of its class, or another one takes all",
    "no-fallback": "what no handler is registered for is not handled",
    "main": "a handler is named by a module that runs as a script",
    "unsigned": "everybody is let in",
    "weak-secret": "a secret is short, or made of words",
    "expired-secret": "all secrets have expired",
    "max-body": "the sender's largest body is larger than what is taken",
    "name": "two receivers have one name on one inbox",
    "inbox": "the inbox cannot be opened or written to",
    "memory": "the inbox is in memory",
    "schema": "the tables of the inbox are old",
    "sqlite": "several processes share a file, and this SQLite may damage it",
    "fork": "the inbox is open before a server forks",
    "clock": "the clock is far off",
    "lifespan": "the app does not start the receiver",
    "mount": "the app answers the path by a redirect, or by another route",
}
"""The checks by name, and what they find."""


class Found(NamedTuple):
    """A finding, and where it is."""

    where: str
    finding: Finding

    @property
    def level(self) -> str:
        """The level in a word."""
        return "error" if self.finding.is_error else "warning"


def found(target: str, reference: str | None) -> list[Found]:
    """Return what is wrong with a receiver and with the app that it is in, and all others in it, each finding once.

    Args:
        target: the receiver or the app, as module:hooks or module:app.
        reference: the URL of a server whose clock is right; None to ask none.

    Raises:
        BadParameter: there is no such module or name, or the app has no receiver.
    """
    clock = list[Found]()
    offset = None
    if reference is not None:
        try:
            offset = _offset_of(reference)
        except ConfigurationError as error:
            clock.append(Found(target, Finding("clock", str(error), is_error=True)))
    with _logged() as records:
        try:
            app = load_app(target)
        except NotLoaded as error:
            return [*_settings(target), *clock, Found(target, Finding("start", error.message, is_error=True))]
        settings = [*_settings(target), *clock]
        hosts = {target: app} if not isinstance(app, WebhookReceiver) else _hosts(target, app)
        first = [app] if isinstance(app, WebhookReceiver) else []
        inside = [each.hooks for host in hosts.values() for each in all_in(host)]
        receivers = [*{id(hooks): hooks for hooks in (*first, *inside)}.values()]
        if not receivers:
            raise no_receiver_in(target)
        names = {id(hooks): target_of(hooks, target) or hooks.name for hooks in receivers}
        result = [Found(names[id(hooks)], finding) for hooks in receivers for finding in _declared(hooks)]
        for name, host in hosts.items():
            result += [Found(name, finding) for _, finding in of_host(host, name)]
        result += [Found(target, finding) for finding in _open_already()]
        told = asyncio.run(_of_start(receivers, offset))
        result += [Found(names[id(hooks)], finding) for hooks, finding in told]
    result += [Found(target, Finding("start", each)) for each in records]
    return list(dict.fromkeys([*settings, *result]))


def _settings(target: str) -> Iterator[Found]:
    """Yield what is wrong with the settings, after the module was imported: it may add some."""
    from ..settings import Settings, unknown_variables

    try:
        Settings()
    except ConfigurationError as error:
        yield Found(target, Finding("settings", str(error), is_error=True))
    for name, near in unknown_variables():
        meant = f"did you mean {near}?" if near else "`webhook-receiver settings` shows those that there are"
        yield Found(target, Finding("settings", f"{name} is no setting: {meant}"))


def _hosts(target: str, hooks: WebhookReceiver) -> dict[str, object]:
    """Return the apps in a receiver's module that it is in, by their targets."""
    module = module_of(target)
    apps = hosts_in(module).items()
    return {f"{module.__name__}:{name}": app for name, app in apps if any(each.hooks is hooks for each in all_in(app))}


@contextmanager
def _logged() -> Generator[list[str]]:
    """Yield a list of the warnings that are logged or raised meanwhile, of the package alone."""
    seen: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    logger = logging.getLogger("webhook_receiver")
    listener = Listener(logging.WARNING)
    logger.addHandler(listener)
    before, logger.propagate = logger.propagate, False
    try:
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always")
            yield seen
        seen += [str(each.message) for each in raised if "webhook_receiver" in str(each.message)]
    finally:
        logger.removeHandler(listener)
        logger.propagate = before


def _declared(hooks: WebhookReceiver) -> Iterator[Finding]:
    """Yield what is wrong with a receiver as it is declared, before anything is opened."""
    runtime = hooks.runtime
    warn_if_disabled()
    warn_of_proxy_headers(hooks.sender.scheme)
    try:
        hooks.check_events()
        if not runtime.keeps:
            check_without_inbox(hooks)
    except ConfigurationError as error:
        yield Finding("start", str(error), is_error=True)
    if runtime.works and (nothing := no_handlers(hooks.name, hooks.handlers, keeps=runtime.keeps)):
        yield Finding("no-handler", f"{nothing}. Register some, @hooks.on(...), or include(router) that has some")
    elif hooks.handlers:  # also those that another process runs
        yield from of_handlers(hooks, keeps=runtime.keeps)
    yield from of_proof(hooks.sender.scheme, runtime.clock(), is_confirmed=hooks.order_check is not None)
    yield from of_size(hooks.sender, hooks.max_body)


def _open_already() -> Iterator[Finding]:
    """Yield whether an inbox was opened by the mere import: threads and connections do not outlive a fork."""
    if any(each.name.startswith("webhook-inbox") for each in threading.enumerate()):
        yield Finding(
            "fork",
            "the inbox is open as soon as the module is imported, and a server that forks after that, such as gunicorn "
            "--preload, has it opened anew in each process: open it in the lifespan, `async with hooks:`",
        )


async def _of_start(
    receivers: Sequence[WebhookReceiver], offset: float | None
) -> list[tuple[WebhookReceiver, Finding]]:
    """Return what is found as receivers start beside each other; nothing is handled, and nothing is left open."""
    result: list[tuple[WebhookReceiver, Finding]] = []
    async with AsyncExitStack() as opened:
        for hooks in receivers:
            if (clock := _clock(hooks, offset)) is not None:
                result.append((hooks, clock))
            inbox = inbox_of(hooks)
            if inbox is None:
                continue
            result += [(hooks, each) for each in _of_sqlite(hooks, inbox)]
            try:
                check_name(hooks.runtime, inbox, hooks.name)
            except ConfigurationError as error:
                result.append((hooks, Finding("name", str(error), is_error=True)))
                continue
            try:
                result += [(hooks, each) for each in await _of_inbox(hooks, inbox, opened)]
            except (ConfigurationError, InboxError) as error:
                result.append((hooks, Finding("inbox", str(error), is_error=True)))
            except OSError as error:
                message = f"the inbox cannot be looked at: {summary(error)}"
                result.append((hooks, Finding("inbox", message, is_error=True)))
            try:
                claim_name(hooks.runtime, inbox, hooks.name)
                opened.callback(release_name, hooks.runtime)
            except ConfigurationError as error:  # the inbox knows both by one name
                result.append((hooks, Finding("name", str(error), is_error=True)))
    return result


async def _of_inbox(hooks: WebhookReceiver, inbox: Inbox, opened: AsyncExitStack) -> list[Finding]:
    """Open an inbox as the start does, if that neither makes nor changes its tables, and return what is found.

    Raises:
        ConfigurationError, InboxError, OSError: the inbox cannot be used.
    """
    if isinstance(inbox, MemoryInbox):
        lost = 'the inbox is in memory: what waits there is lost with the process. inbox="sqlite:///hooks.db" keeps it'
        return [Finding("memory", lost)]
    if isinstance(inbox, SQLiteInbox):
        guard = FileGuard(inbox.path, inbox.min_free)
        if not inbox.path.exists():
            guard.check_path(create=inbox.creates)
            _check_writable(inbox.path.parent)
            return []
        if inbox.path.is_file() and not any(_open_already()) and (version := older_version(inbox.path)) is not None:
            guard.check_path(create=inbox.creates)
            guard.check_writable()
            if inbox.backs_up:
                copy_before_migration(inbox.path, guard, version)
            return [
                Finding(
                    "schema",
                    f"{inbox.path} has the tables of an older version (schema {version}): the next start changes them, "
                    "and keeps a copy; `webhook-receiver inbox migrate` does it now",
                )
            ]
    opened.push_async_callback(inbox.close)
    await hooks.runtime.open()
    await inbox.check()
    return [*await _of_clocks(hooks, inbox)]


def _of_sqlite(hooks: WebhookReceiver, inbox: Inbox) -> Iterator[Finding]:
    """Yield whether several processes share a file by a SQLite that may damage it then."""
    if not isinstance(inbox, SQLiteInbox) or isinstance(inbox, MemoryInbox):
        return
    from ..settings import alone

    if takes_several_writers(sqlite3.sqlite_version_info) or (hooks.runtime.works and (alone("workers") or 1) == 1):
        return
    yield Finding(
        "sqlite",
        f"several processes write to {inbox.path}, and SQLite {sqlite3.sqlite_version}, by its number, may damage a "
        "file to which two write at the same instant (sqlite.org/wal.html#walresetbug). Take a later one: 3.51.3, "
        "3.50.7 or 3.44.6 have the fix; or one process; or PostgreSQL",
    )


def _check_writable(folder: Path) -> None:
    """Check that a file may be made in a folder, by one that is gone at once.

    Raises:
        ConfigurationError: it may not.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"no file can be made in {folder} for the inbox: {error.strerror}. Let the user of this process write there"
        ) from None


def _clock(hooks: WebhookReceiver, offset: float | None) -> Finding | None:
    """Return whether a receiver's clock is far from the system's, or the system's from that of a reference."""
    own = hooks.runtime.clock() - time.time()
    if abs(own) > FAR_OFF:
        return _far(own, "the clock that the receiver was given (clock=...)", "this machine's")
    if offset is not None and abs(offset) > FAR_OFF:
        return _far(offset, "this machine's clock", "that of the server that was asked")
    return None


async def _of_clocks(hooks: WebhookReceiver, inbox: Inbox) -> list[Finding]:
    """Return whether the clock is far from that of the inbox's server, or behind what is stored already."""
    now = hooks.runtime.clock()
    if hasattr(inbox, "server") and abs(off := now - inbox.clock()) > FAR_OFF:
        return [_far(off, "the receiver's clock", "that of the PostgreSQL server")]
    latest = await inbox.find(Filter(receiver=hooks.name), limit=1)
    if latest and latest[0].received - now > FAR_OFF:
        return [_far(now - latest[0].received, "the receiver's clock", "the time of the latest stored delivery")]
    return []


def _far(off: float, clock: str, reference: str) -> Finding:
    way = "ahead of" if off > 0 else "behind"
    return Finding(
        "clock",
        f"{clock} is {abs(off):.0f} s {way} {reference}: authentic deliveries are rejected as too old or too new, and "
        "retries come at the wrong time. Set the clock, and keep it by NTP",
        is_error=True,
    )


def _offset_of(url: str) -> float:
    """Return the seconds by which this machine's clock is ahead of a server's, by its Date (RFC 9110, section 6.6.1).

    Raises:
        ConfigurationError: the server does not answer, or tells no time.
    """
    import httpx

    try:
        response = httpx.head(url, timeout=_PATIENCE)
        theirs = parsedate_to_datetime(response.headers["date"]).timestamp()
    except httpx.HTTPError as error:
        raise ConfigurationError(f"{_NOT_COMPARED}: {url} does not answer ({type(error).__name__})") from None
    except (KeyError, ValueError):
        raise ConfigurationError(f"{_NOT_COMPARED}: the response of {url} has no Date") from None
    return time.time() - theirs
