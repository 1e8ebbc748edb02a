"""Errors that Python lets a handler raise, and that are hard to tell of: the code of each is a user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn


@dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Unwritable:
    def __repr__(self) -> str:
        raise OSError("no")


class Mute(Exception):
    def __str__(self) -> str:
        raise OSError("no")

    __repr__ = __str__


class Wordless(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]


class Dynamic(Exception):
    def __getattr__(self, name: str) -> NoReturn:
        raise KeyError(name)


class Unreadable(Exception):
    def __getattribute__(self, name: str) -> NoReturn:
        raise OSError(name)


class Unequal(Exception):
    def __eq__(self, other: object) -> NoReturn:
        raise OSError("no")

    __hash__ = None  # type: ignore[assignment]


def _with(name: str, value: Any) -> Callable[[], NoReturn]:
    """Return a function that raises an error whose class has this attribute."""

    def fail() -> NoReturn:
        raise type("Odd", (Exception,), {name: value})("no room")

    return fail


def _unreadable(name: str) -> Callable[[], NoReturn]:
    """Return a function that raises an error of which one attribute cannot be read."""

    def read(error: BaseException) -> NoReturn:
        raise OSError(name)

    return _with(name, property(read))


def _raising(error: BaseException) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail


def _nameless() -> NoReturn:
    module: dict[str, Any] = {"__name__": None}
    exec("def fail(): 1 / 0", module)
    module["fail"]()
    raise AssertionError


def _in_circles() -> NoReturn:
    error, cause = OSError("no room"), ValueError("odd")
    error.__cause__, cause.__cause__, cause.__context__ = cause, error, error
    raise error


ODD: Mapping[str, Callable[[], NoReturn]] = {
    "frozen": lambda: _raising(Frozen(3))(),
    "unwritable argument": _raising(KeyError(Unwritable())),
    "mute": _raising(Mute()),
    "wordless": _raising(Wordless()),
    "dynamic": _raising(Dynamic()),
    "unreadable": lambda: _raising(Unreadable())(),
    "unequal": _raising(Unequal()),
    "group": lambda: _raising(ExceptionGroup("several", [Frozen(3), Unreadable(), Mute()]))(),
    "syntax": _raising(SyntaxError("bad", ("file", "line", 2, 5))),  # type: ignore[arg-type]
    "notes that are a number": _with("__notes__", 5),
    "notes that are a text": _with("__notes__", "a note"),
    "notes that are no texts": _with("__notes__", [5, None]),
    "notes that cannot be written": _with("__notes__", [Unwritable()]),
    "args": _with("args", 5),
    **{f"no {name}": _unreadable(name) for name in ("__notes__", "__cause__", "__context__", "__traceback__")},
    **{f"no {name}": _unreadable(name) for name in ("__class__", "__dict__", "args")},
    "nameless module": _nameless,
    "circle": _in_circles,
}
"""Functions, each of which raises an odd error, by what is odd about it."""


def caught(fail: Callable[[], object]) -> BaseException:
    """Return what a function raises, with its traceback."""
    try:
        fail()
    except BaseException as error:
        return error
    raise AssertionError
