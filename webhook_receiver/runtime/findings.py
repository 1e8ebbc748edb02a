"""Findings: what of a receiver works, and is still hardly meant. `webhook-receiver check` tells them before a deploy.

What cannot work is no finding here: it raises ConfigurationError when it is declared or when the receiver starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..events import Event, UnknownEvent
from ..inbox.records import DEAD_LETTER_HANDLER
from ..routing import Function, Handler, Router, name_of
from ..routing.handlers import MAIN
from ..senders import Sender
from ..signatures import Scheme


class Finding(NamedTuple):
    """Something that was found wrong."""

    check: str
    """The name of the check, such as "no-fallback"."""
    message: str
    """What is wrong, where, and what to do, in a sentence."""
    is_error: bool = False
    """Whether the receiver does not start, or rejects what it should take; else it may be meant so."""


def no_handlers(name: str, handlers: Sequence[Handler], *, keeps: bool) -> str | None:
    """Return the sentence about a receiver without handlers, which its start logs, too; None for one that has some.

    Args:
        name: the receiver's name.
        handlers: its handlers.
        keeps: whether it has an inbox.
    """
    if handlers:
        return None
    if keeps:
        return f"{name} has no handlers: deliveries are stored as unhandled until they are replayed"
    return f"{name} has no handlers: deliveries are verified, and that is all"


def of_handlers(router: Router, *, keeps: bool) -> Iterator[Finding]:
    """Yield what is wrong with the handlers of a receiver that has some.

    Args:
        router: the receiver.
        keeps: whether it has an inbox.
    """
    known = router.known_events
    fallbacks = router.fallbacks
    routed = router.handlers[: len(router.handlers) - len(fallbacks)]
    for handler in routed:
        if isinstance(handler.route, type) and not _is_ever(handler.route, known):
            yield Finding(
                "shadowed",
                f"{handler.name} never runs: no known event is an {handler.route.__name__}. Declare the classes of "
                "such events, Sender(events=(...)), or register it for one of them",
            )
    every = [each for each in routed if each.route is Event and each.where is None]
    for fallback in fallbacks if every else ():
        yield Finding(
            "shadowed",
            f"{fallback.name} is a fallback, and {every[0].name} takes every event: only bodies that are no event are "
            "left to it. Register one of the two for less",
        )
    if not fallbacks and not every and not any(each.route is UnknownEvent for each in routed):
        becomes = "is stored as unhandled, and removed after its retention" if keeps else "is answered 204 and gone"
        yield Finding(
            "no-fallback",
            f"an event that no handler is registered for {becomes}: @hooks.fallback takes what nothing else does",
        )
    named = [(each.name, each.function) for each in router.handlers]
    named += [(each.name, each.function) for each in router.dead_letter_handlers]
    for name, function in named if keeps else ():
        if _is_of_script(name.removeprefix(DEAD_LETTER_HANDLER), function):
            yield Finding(
                "main",
                f"{name} is a function of {MAIN}, so its name is another one wherever another program imports "
                "it, and what it has done is not known there: import it from a module, or give it a name=...",
            )


def _is_of_script(name: str, function: Function) -> bool:
    """Return whether a handler has its name by the module that runs as a script."""
    if name.startswith(f"{MAIN}:"):
        return True
    return getattr(function, "__module__", "") in (MAIN, "__mp_main__") and name == name_of(function)


def _is_ever(route: type[Event], known: Sequence[type[Event]]) -> bool:
    """Return whether an event may come that is of a class."""
    return route in (Event, UnknownEvent) or any(issubclass(each, route) for each in known)


def of_proof(scheme: Scheme, now: float, *, is_confirmed: bool) -> Iterator[Finding]:
    """Yield what is wrong with how deliveries prove themselves.

    Args:
        scheme: the scheme.
        now: the time in Unix seconds.
        is_confirmed: whether the sender's API is asked before handlers run, as by `confirm=`.
    """
    from ..signatures.strength import are_expired, weak_secrets  # which a start does not need

    if scheme.secret_count == 0 and not is_confirmed:
        yield Finding(
            "unsigned",
            f"{type(scheme).__name__}() lets everybody in who knows the URL: give the receiver the sender's secret; if "
            "it has none, Unsigned(token_in_path=...), AllowFrom(...) or confirm=... keep strangers out",
        )
    for sentence in weak_secrets(scheme):
        yield Finding(
            "weak-secret",
            f"{sentence}, so that who has seen one delivery may find it by trying: let the sender have one of "
            "`python -c 'import secrets; print(secrets.token_urlsafe(32))'`",
        )
    if are_expired(scheme, now):
        yield Finding(
            "expired-secret",
            "every secret has expired, so every delivery is rejected: give the receiver the one that the sender signs "
            "with now",
            is_error=True,
        )


def of_size(sender: Sender, max_body: int) -> Iterator[Finding]:
    """Yield whether the sender delivers larger bodies than the receiver takes, which has `max_body` in bytes."""
    if sender.max_body is not None and sender.max_body > max_body:
        yield Finding(
            "max-body",
            f"{sender.name} delivers bodies of up to {sender.max_body} bytes, and one of more than {max_body} is "
            f"answered 413 and lost: WebhookReceiver(max_body={sender.max_body}), and as much for a proxy before it",
        )
