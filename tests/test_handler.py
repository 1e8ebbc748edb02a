from __future__ import annotations

import functools
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import pytest
from fastapi import Depends

from tests.helpers import NOW
from webhook_receiver import (
    Attempt,
    ConfigurationError,
    Delivery,
    Event,
    OrderFailedPermanently,
    OrderFulfilled,
    OrderStatusChanged,
    UnknownEvent,
)
from webhook_receiver.handler import Handler, Notice, Route, name_of

if TYPE_CHECKING:
    from nowhere import Missing  # type: ignore

EVENT = UnknownEvent(event="an event")
DELIVERY = Delivery("d-1", "webhooks", [], b"", NOW, 0, True)


def handler(function: Callable[..., Any], route: Route = OrderFulfilled) -> Handler:
    return Handler("the handler", function, route)


async def called(function: Callable[..., Any], route: Route = Event) -> None:
    await handler(function, route).call(EVENT, DELIVERY, 1)


def event_only(order: OrderFulfilled) -> None: ...
def with_attempt(order: OrderFulfilled, attempt: Attempt) -> None: ...
def unannotated(order, attempt): ...  # type: ignore
def supertypes(order: Event, attempt: object) -> None: ...
def union(order: OrderStatusChanged | None, attempt: Annotated[Attempt, "mine"]) -> None: ...
def own_default(order: OrderFulfilled, retries: int = 3) -> None: ...
def optional_attempt(order: OrderFulfilled, attempt: Attempt | None = None, other: int = 1) -> None: ...
def attempt_with_default(order: OrderFulfilled, attempt: Attempt = None) -> None: ...  # type: ignore
def variadic(*arguments: Any, **options: Any) -> None: ...
def unresolvable(order: Missing) -> None: ...
def keyword_default(order: OrderFulfilled, /, *, client: object = None) -> None: ...


@functools.wraps(with_attempt)
def wrapped(*arguments: Any, **options: Any) -> None: ...


class Service:
    def method(self, order: OrderFulfilled, attempt: Attempt) -> None: ...

    async def __call__(self, order: OrderFulfilled) -> None: ...


@pytest.mark.parametrize(
    ("function", "takes_attempt"),
    [
        (event_only, False),
        (with_attempt, True),
        (unannotated, True),
        (supertypes, True),
        (union, True),
        (own_default, False),
        (optional_attempt, True),
        (attempt_with_default, True),
        (variadic, False),
        (unresolvable, False),
        (keyword_default, False),
        (wrapped, True),
        (Service().method, True),
        (Service(), False),
        (functools.partial(own_default, retries=1), False),
        (lambda order: None, False),
        (print, False),
        (max, False),  # has no signature to look at
    ],
)
def test_it_is_told_from_the_signature_whether_the_attempt_is_wanted(
    function: Callable[..., Any], takes_attempt: bool
) -> None:
    assert handler(function).takes_attempt is takes_attempt


def no_parameter() -> None: ...
def three(order: OrderFulfilled, attempt: Attempt, third: int) -> None: ...
def keyword_only(order: OrderFulfilled, *, client: object) -> None: ...
def another_event(order: OrderFailedPermanently) -> None: ...
def narrower_event(order: OrderFulfilled) -> None: ...
def not_the_attempt(order: OrderFulfilled, session: dict[str, str]) -> None: ...
def wrong_second(order: OrderFulfilled, session: int) -> None: ...
def dependency(order: OrderFulfilled, session: Any = Depends(print)) -> None: ...
def annotated_dependency(order: OrderFulfilled, session: Annotated[dict[str, str], Depends(print)]) -> None: ...
def annotated_wrong(order: OrderFulfilled, session: Annotated[int, "a number"]) -> None: ...
def not_an_event(order: list[str] | None) -> None: ...
def generator(order: OrderFulfilled) -> Generator[None]:
    yield


async def async_generator(order: OrderFulfilled) -> AsyncGenerator[None]:
    yield


class GeneratorObject:
    def __call__(self, order: OrderFulfilled) -> Generator[None]:
        yield


@functools.wraps(generator)
def wrapped_generator(*arguments: Any) -> Any:
    return generator(*arguments)


class Mistaken:
    def method(self, order: OrderFulfilled) -> None: ...


@pytest.mark.parametrize(
    ("function", "route", "complaint"),
    [
        (no_parameter, OrderFulfilled, "the handler takes no positional parameter"),
        (three, OrderFulfilled, "nothing fills the parameter 'third' of the handler"),
        (keyword_only, OrderFulfilled, "nothing fills the parameter 'client' of the handler"),
        (
            another_event,
            OrderFulfilled,
            "'order' of the handler is annotated OrderFailedPermanently, but gets an OrderF",
        ),
        (narrower_event, OrderStatusChanged, "is annotated OrderFulfilled, but gets an OrderStatusChanged"),
        (narrower_event, "a.name", "is annotated OrderFulfilled, but gets an UnknownEvent"),
        (wrong_second, OrderFulfilled, "'session' of the handler is annotated int, but gets an Attempt"),
        (Mistaken.method, OrderFulfilled, "'order' of the handler is annotated OrderFulfilled, but gets an Attempt"),
        (dependency, OrderFulfilled, "'session' of the handler asks for a FastAPI dependency"),
        (annotated_dependency, OrderFulfilled, "'session' of the handler asks for a FastAPI dependency"),
        (not_the_attempt, OrderFulfilled, "'session' of the handler is annotated dict, but gets an Attempt"),
        (annotated_wrong, OrderFulfilled, "'session' of the handler is annotated int, but gets an Attempt"),
        (not_an_event, OrderFulfilled, "'order' of the handler is annotated"),
        (generator, OrderFulfilled, "the handler is a generator"),
        (async_generator, OrderFulfilled, "the handler is a generator"),
        (GeneratorObject(), OrderFulfilled, "the handler is a generator"),
        (wrapped_generator, OrderFulfilled, "the handler is a generator"),
    ],
)
def test_a_signature_that_cannot_be_satisfied_is_refused_naming_the_parameter(
    function: Callable[..., Any], route: Route, complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        handler(function, route)


class HasEvent(Protocol):
    event: str


def takes_protocol(order: HasEvent) -> None: ...


def test_what_only_a_type_checker_can_tell_is_let_through() -> None:
    assert not handler(takes_protocol).takes_attempt


def test_the_name_is_module_and_qualname() -> None:
    assert name_of(event_only) == "tests.test_handler:event_only"
    assert name_of(Service().method) == "tests.test_handler:Service.method"


@pytest.mark.parametrize("function", [functools.partial(event_only), Service()])
def test_what_has_no_name_of_its_own_has_to_be_given_one(function: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match="give it name="):
        name_of(function)


def test_what_is_not_callable_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a handler is a function, not int"):
        name_of(7)  # type: ignore[arg-type]


async def test_an_async_handler_runs_on_the_loop_and_a_plain_one_in_a_thread() -> None:
    where: list[int] = []

    async def on_the_loop(event: Event) -> None:
        where.append(threading.get_ident())

    def in_a_thread(event: Event, attempt: Attempt) -> None:
        assert attempt == Attempt(DELIVERY, "the handler", 1)
        where.append(threading.get_ident())

    class Working:
        async def __call__(self, event: Event) -> None:
            where.append(threading.get_ident())

    await called(on_the_loop)
    await called(in_a_thread)
    await called(Working())
    assert where[0] == where[2] == threading.get_ident() != where[1]


async def test_what_a_plain_function_hands_back_is_awaited() -> None:
    ran: list[str] = []

    async def work() -> None:
        ran.append("work")

    def plain(event: Event) -> Awaitable[None]:
        return work()

    await called(plain)
    await called(lambda event: work())
    assert ran == ["work", "work"]


async def test_a_generator_that_is_handed_back_is_a_failure() -> None:
    with pytest.raises(TypeError, match="which nothing runs"):
        await called(lambda event: (each for each in "abc"))


async def test_a_notice_gets_the_delivery_and_its_attempts() -> None:
    got: list[object] = []

    async def hear(delivery: Delivery, attempts: Sequence[object]) -> None:
        got.extend([delivery, attempts])

    await Notice("on the loop", hear).call(DELIVERY, ["an attempt"], 1)
    await Notice("in a thread", lambda delivery, attempts: got.append(threading.get_ident())).call(DELIVERY, [], 2)
    assert got[:2] == [DELIVERY, ["an attempt"]]
    assert got[2] != threading.get_ident()


def hears_generator(delivery: Delivery, attempts: Sequence[object]) -> Generator[None]:
    yield


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (event_only, "cannot be called with a dead delivery and the list of its attempts: too many"),
        (three, "cannot be called with a dead delivery"),
        (no_parameter, "cannot be called with a dead delivery"),
        (hears_generator, "is a generator"),
    ],
)
def test_a_notice_that_could_not_be_called_is_refused(function: Callable[..., Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=f"it {complaint}"):
        Notice("it", function)


def test_a_notice_that_hides_its_parameters_is_let_through() -> None:
    assert not Notice("it", max).is_async
