"""Handlers, dead-letter handlers and middleware as they are registered: each is rejected if it could not be called."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Collection, Container, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future as ThreadFuture
from dataclasses import dataclass, field
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, Protocol, cast

from ..delivery import Attempt, Delivery
from ..errors import ConfigurationError
from ..events import Event, UnknownEvent
from ..inbox.records import DEAD_LETTER_HANDLER
from ..options import Backoff, Limits
from .parameters import reject_generator, reject_uncallable, takes_attempt
from .threads import Threads

Function = Callable[..., Any]
Route = type[Event] | str
Predicate = Callable[[Any], bool]
MAIN = "__main__"
"""The name of the module that runs as a script, as Python has it."""


@dataclass(frozen=True, slots=True)
class Handler:
    """A user's function and the route it is registered for.

    Raises:
        ConfigurationError: the function cannot be called with an event, or with an event and an attempt.
    """

    name: str
    """`module:qualname` unless it was given one, the module's name as it is imported; its state is kept under it."""
    function: Function
    route: Route
    where: Predicate | None = None
    backoff: Backoff | None = None
    """The waits between attempts after a failure; the receiver's own if None."""
    timeout: float | None = None
    """Seconds that one run may take; the worker's own if None."""
    limits: Limits | None = None
    """How many runs there may be at once, and in a time; None for no limits."""
    whole_order: bool = False
    """Whether it gets the events of whole orders, and none of their items."""
    threads: Threads = field(default_factory=Threads, repr=False, compare=False)
    """Where the function runs unless it is async."""
    takes_attempt: bool = field(init=False)
    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise _no_function(self.function)
        given = UnknownEvent if isinstance(self.route, str) else self.route
        object.__setattr__(self, "takes_attempt", takes_attempt(self.name, self.function, given))
        object.__setattr__(self, "is_async", _is_async(self.function))

    def call(self, event: Event, delivery: Delivery, number: int) -> Awaitable[object]:
        """Call the function: on the loop if it is async, else in a thread. Await what this returns."""
        arguments = (event, Attempt(delivery, self.name, number)) if self.takes_attempt else (event,)
        return call(self.function, arguments, None if self.is_async else self.threads, delivery.id)


class DeadLetterHandler:
    """A user's function that is called with each dead delivery.

    Raises:
        ConfigurationError: the function cannot be called with a delivery and its attempts.
    """

    backoff: Backoff | None = None
    """None: the waits between attempts are the receiver's own."""
    timeout: float | None = None
    """None: a run has the worker's own time."""

    def __init__(self, name: str, function: Function, limits: Limits | None = None) -> None:
        reject_generator(name, function)
        reject_uncallable(name, function, "a dead delivery and the list of its attempts")
        self.name = name
        self.function = function
        self.limits = limits
        self.threads = Threads()
        self.is_async = _is_async(function)

    def call(self, delivery: Delivery, attempts: Sequence[object], number: int) -> Awaitable[object]:
        """Call the function, which does not get the attempt's `number`. Await what this returns."""
        return call(self.function, (delivery, attempts), None if self.is_async else self.threads, delivery.id)


class CallNext(Protocol):
    """The second argument of a middleware: runs the rest of the attempt, once. It returns nothing.

    Raises:
        MiddlewareError: it is awaited a second time, or when the middleware has ended.
        BaseException: whatever the middleware further in or the handler raises.
    """

    async def __call__(self) -> None: ...


class Middleware:
    """An async function that runs round every attempt, most often a user's.

    Args:
        function: the function.
        is_checked: whether it is looked at, in each attempt, what the function does with its `call_next`.

    Raises:
        ConfigurationError: the function is not async, or cannot be called with an attempt and a `call_next`.
    """

    def __init__(
        self, function: Callable[[Attempt, CallNext], Coroutine[Any, Any, object]], *, is_checked: bool = True
    ) -> None:
        self.name = name_of(function if hasattr(function, "__qualname__") else type(function))
        """`module:qualname` of the function, or of its class where it is an object."""
        self.function = function
        self.is_checked = is_checked
        if isinstance(function, type) or not _is_async(function):
            raise ConfigurationError(
                f"{self.name} is no async function without `yield`, as a middleware is: "
                "async def middleware(attempt, call_next): await call_next()"
            )
        reject_uncallable(self.name, function, "the two that a middleware gets, (attempt, call_next)")


async def call(function: Function, arguments: tuple[object, ...], threads: Threads | None, of: str) -> None:
    """Call a user's function for a delivery, in one of `threads`, or on the loop without them, and await what it hands
    back.

    Raises:
        TypeError: it handed back what is not done and cannot be awaited.
        BaseException: whatever the function raises.
    """
    result = await (function(*arguments) if threads is None else threads.call(function, arguments, of))
    while result is not None:
        _reject_undone(result)
        if isinstance(result, ThreadFuture):
            result = asyncio.wrap_future(cast("ThreadFuture[object]", result))
        if not inspect.isawaitable(result):
            return
        before, result = result, await result
        if result is before:  # as a pool of connections does, which is awaited to be opened
            return


def _reject_undone(result: object) -> None:
    """Reject a result that stands for work which nothing would do, such as a generator."""
    kind = _undone(result)
    if kind is not None:
        raise TypeError(
            f"the handler handed back a {kind}, which nothing runs: run it in the handler, "
            "with a call, a for loop or await asyncio.gather(...)"
        )


def _undone(result: object) -> str | None:
    """Return what kind of undone work a result is; None if it is none."""
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        return "generator"
    if isinstance(result, map | filter | zip):
        return type(cast("object", result)).__name__
    function: object = result
    while isinstance(function, partial):
        function = cast("partial[object]", function).func
    if inspect.iscoroutinefunction(function):
        return "coroutine function"
    return "collection of coroutines" if any(map(_is_work, _values(result))) else None


def _values(result: object) -> Iterator[object]:
    """Yield the values in a collection, and in those within it; nothing of any other result."""
    seen: set[int] = set()  # since one may hold itself
    left = [result]
    while left:
        found = left.pop()
        if isinstance(found, list | tuple | set | frozenset | dict) and id(cast("object", found)) not in seen:
            seen.add(id(cast("object", found)))
            of_dict = isinstance(found, dict)
            inside = cast("dict[object, object]", found).values() if of_dict else cast("Collection[object]", found)
            yield from inside
            left += inside


def _is_work(value: object) -> bool:
    return inspect.iscoroutine(value) or isinstance(value, asyncio.Future | ThreadFuture)


def name_of(function: Function) -> str:
    """Return `module:qualname`, with the module's name as it is imported, also while it runs as a script.

    Raises:
        ConfigurationError: it is not callable, or has no name of its own.
    """
    if not callable(function):
        raise _no_function(function)
    try:
        return f"{_imported_as(function.__module__)}:{function.__qualname__}"
    except AttributeError:
        kind = type(function).__name__
        raise ConfigurationError(f"a {kind} has no name to keep its state under: give it name=...") from None


def _no_function(given: object) -> ConfigurationError:
    hint = ": the decorator below does not return the function" if given is None else ""
    return ConfigurationError(f"a handler is a function, not {type(given).__name__}{hint}")


def _imported_as(module: str) -> str:
    """Return the name by which others import a module: of a script that runs, its file's name without the suffix."""
    if module not in (MAIN, "__mp_main__"):  # the second is the script in the child processes of multiprocessing
        return module
    main = sys.modules.get(module)
    spec: ModuleSpec | None = getattr(main, "__spec__", None)  # of `python -m module`
    if spec is not None and spec.name != MAIN:
        return spec.name
    return Path(getattr(main, "__file__", None) or module).stem


def old_names(names: Iterable[str], stored: Container[str]) -> Mapping[str, str]:
    """Return the names under which an inbox has what earlier versions stored for handlers of a script.

    These were `__main__:f` for what is `module:f` now. Where two of the names may stand for one old name, it is read as
    neither: a handler that runs twice is better than one that never runs.

    Args:
        names: the names of handlers.
        stored: the names that the inbox has.

    Returns:
        The old name for each name that has one.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        module, colon, function = name.removeprefix(DEAD_LETTER_HANDLER).partition(":")
        old = f"{DEAD_LETTER_HANDLER if name.startswith(DEAD_LETTER_HANDLER) else ''}{MAIN}:{function}"
        if colon and module != MAIN and old in stored and name not in stored:
            found.setdefault(old, []).append(name)
    return {new[0]: old for old, new in found.items() if len(new) == 1}


def _is_async(function: Function) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 - an object's own async __call__ counts, too
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
