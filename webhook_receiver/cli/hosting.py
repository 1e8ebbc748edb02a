"""How an app of Starlette, FastAPI or Litestar hosts its receivers: if it starts them, and answers at their paths."""

from __future__ import annotations

import dis
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, cast
from urllib.parse import urlsplit

from ..receiver import WebhookReceiver
from ..runtime.findings import Finding
from .mounted import all_in, instead_of, part_at

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_ASKING = {*dir(WebhookReceiver)} - {"lifespan", "__aenter__", "runtime"}  # what of a receiver does not start it
_BEFORE_OTHERS = "Put hooks.route(path) before other routes, with no method left out"
_OF_LITESTAR = (
    "Of two mounts Litestar takes the one whose path is the beginning of the other's, whatever their order: give the "
    "receiver a path that begins with that of no other mount"
)
_DEEPEST = 8  # functions inside one another that a lifespan is followed through


def hosts_in(module: ModuleType) -> dict[str, object]:
    """Return the apps with receivers that a module has, by their names there; none that is mounted in another one."""
    apps: dict[str, object] = {
        name: each for name, each in vars(module).items() if not isinstance(each, WebhookReceiver) and all_in(each)
    }
    inside = {id(part) for each in apps.values() for part in _parts(each)}
    return {name: each for name, each in apps.items() if id(each) not in inside}


def _parts(app: object) -> Iterator[object]:
    for route in getattr(app, "routes", ()):
        part = part_at(route)
        if part is not None:
            yield part
            yield from _parts(part)


def of_host(app: object, name: str) -> Iterator[tuple[WebhookReceiver, Finding]]:
    """Yield what is wrong with how an app hosts its receivers, each with the receiver.

    Args:
        app: the outermost app, whose lifespan the server runs.
        name: its name, for messages.
    """
    in_litestar = hasattr(app, "asgi_router")
    lifespan = "[hooks.lifespan]" if in_litestar else "hooks.lifespan"
    for hooks, path in all_in(app):
        if path.endswith("/") and path != "/" and not _is_registered_with_slash(hooks):
            bare = path.rstrip("/")
            yield (
                hooks,
                Finding(
                    "mount",
                    f"{name} answers POST {bare} by a redirect (307) to {path}, which senders do not follow: "
                    f'hooks.route("{bare}") in place of Mount("{bare}", hooks) takes both; else register the URL with '
                    f"its slash, and say so by public_url=...",
                ),
            )
        if (instead := instead_of(app, hooks)) is not None:
            yield (
                hooks,
                Finding(
                    "mount",
                    f"{name} does not pass POST {instead[0]} on to the receiver; what answers is {instead[1]}. "
                    f"{_OF_LITESTAR if in_litestar else _BEFORE_OTHERS}",
                ),
            )
        if not _starts(app, hooks):
            yield (
                hooks,
                Finding(
                    "lifespan",
                    f"{name} does not start the receiver in its lifespan: it starts with the first delivery, and after "
                    f"a restart what is stored waits for the next one. Say lifespan={lifespan}, or `async with hooks:` "
                    "in the lifespan of the outermost app; that of a mounted one is not run",
                ),
            )


def _is_registered_with_slash(hooks: WebhookReceiver) -> bool:
    return hooks.public_url is not None and urlsplit(hooks.public_url).path.endswith("/")


def _starts(app: object, hooks: WebhookReceiver) -> bool:
    """Return whether an app's lifespan may start a receiver; True for an app whose lifespan is not known.

    It is read, and not run: nobody knows what else it does. So whoever takes a receiver from elsewhere is taken for one
    that does not start it, and one that gives it to a function of others for one that does.
    """
    while not hasattr(app, "router") and hasattr(app, "app"):  # a middleware, which passes the lifespan on
        app = getattr(app, "app")  # noqa: B009 - of whatever type it is
    router = getattr(app, "router", app)
    lifespan = getattr(router, "lifespan_context", None)
    if (managers := getattr(app, "_lifespan_managers", None)) is not None:  # of Litestar
        lifespan = [*managers, *getattr(app, "on_startup")]  # noqa: B009 - of whatever type it is
    state: Mapping[str, object] = getattr(getattr(app, "state", None), "_state", {})
    return lifespan is None or _Search(hooks, state).is_in(lifespan)


class _Search:
    """A search for a receiver in what a function refers to: the values of its names, also inside other functions.

    A function that only asks it for something, such as `hooks.name`, is none that starts it.

    Args:
        hooks: the receiver.
        state: what the app has in its `state`.
    """

    def __init__(self, hooks: WebhookReceiver, state: Mapping[str, object]) -> None:
        self._hooks = hooks
        self._state = state
        self._seen: set[int] = set()

    def is_in(self, found: object, depth: int = 0) -> bool:
        """Return whether a value is the receiver, holds it or refers to it."""
        if found is self._hooks:
            return True
        if id(found) in self._seen or depth > _DEEPEST:
            return False
        self._seen.add(id(found))
        return any(self.is_in(each, depth + 1) for each in self._inside(found))

    def _inside(self, found: object) -> Iterator[object]:
        if isinstance(found, MethodType):
            yield found.__self__
            yield found.__func__
            if not _is_of_library(type(found.__self__).__module__):
                yield from getattr(found.__self__, "__dict__", {}).values()
        elif isinstance(found, partial):
            given = cast("partial[object]", found)
            yield from (given.func, *given.args, *given.keywords.values())
        elif isinstance(found, FunctionType):
            yield from _named_in(found, self._state)
        elif isinstance(found, list | tuple | set | frozenset):
            yield from cast("Sequence[object]", found)
        elif isinstance(found, dict):
            yield from cast("dict[object, object]", found).values()
        elif type(found).__name__ == "_DefaultLifespan":  # of Starlette and FastAPI, with on_event("startup")
            router: Any = getattr(found, "_router", None)
            yield from getattr(router, "on_startup", ())
        elif callable(found) and not isinstance(found, type) and not _is_of_library(type(found).__module__):
            yield from getattr(found, "__dict__", {}).values()
            yield getattr(type(found), "__call__")  # noqa: B004, B009 - the function itself, to look into


def _named_in(function: FunctionType, state: Mapping[str, object]) -> Iterator[object]:
    """Yield the values of the names in a function: of its closure, its module, and of objects and modules it names."""
    asked = _only_asked(function.__code__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            if not (name in asked and isinstance(cell.cell_contents, WebhookReceiver)):
                yield cell.cell_contents
        except ValueError:  # not filled yet
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    wrapped: Callable[..., object] | None = getattr(function, "__wrapped__", None)
    if wrapped is not None:
        yield wrapped
    if _is_of_library(function.__module__):  # whose names are its own; what it was given is in its closure
        return
    names = {*_names(function.__code__)}
    values = {name: function.__globals__[name] for name in names if name in function.__globals__}
    inside = [values, *(getattr(each, "__dict__", {}) for each in values.values()), *[state] * ("state" in names)]
    for there in inside:
        for name, value in there.items():
            if name in names and not (name in asked and isinstance(value, WebhookReceiver)):
                yield value


def _is_of_library(module: str | None) -> bool:
    """Return whether a module is one of Python's or is installed, and so knows nothing of the user's receivers."""
    file: str | None = getattr(sys.modules.get(module or ""), "__file__", None)
    return file is None or file.startswith(_LIBRARIES)


def _names(code: CodeType) -> Iterator[str]:
    for each in _codes(code):
        yield from each.co_names


def _only_asked(code: CodeType) -> set[str]:
    """Return the names in a function that stand for nothing but what is asked of them, as in `print(hooks.name)`.

    What a subclass of the user's adds to a receiver may start it.
    """
    asked, used = set[str](), set[str]()
    for each in _codes(code):
        for first, then in pairwise(dis.get_instructions(each)):
            if first.opname.startswith("LOAD_") and first.opname != "LOAD_CONST" and isinstance(first.argval, str):
                is_asked = then.opname in ("LOAD_ATTR", "LOAD_METHOD") and then.argval in _ASKING
                (asked if is_asked else used).add(first.argval)
    return asked - used


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of a function, and of those inside."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
