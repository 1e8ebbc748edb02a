from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import pytest
from fastapi import Depends, Security

from tests.helpers import NOW, order
from tests.working import PATIENCE, until
from webhook_receiver import (
    Attempt,
    Backoff,
    CallNext,
    ConfigurationError,
    Delivery,
    Event,
    FailedAttempt,
    OrderFailedPermanently,
    OrderFulfilled,
    OrderStatus,
    OrderStatusChanged,
    Router,
    UnknownEvent,
)
from webhook_receiver.options import Limits, Rate
from webhook_receiver.routing import DeadLetterHandler, Handler, Route, name_of
from webhook_receiver.routing.threads import Threads

if TYPE_CHECKING:
    from nowhere import Missing  # type: ignore

FULFILLED = OrderFulfilled.model_validate_json(order())
FAILED = OrderFailedPermanently.model_validate_json(order("FAILED_PERMANENTLY"))
PLACED = OrderStatusChanged.model_validate_json(order("PLACED"))
UNKNOWN = UnknownEvent(event="storage.cleaned")


class Parcel(Event, frozen=True):
    event: Literal["parcel"]


def named(name: str) -> Callable[[Event], None]:
    def handler(event: Event) -> None: ...

    handler.__qualname__ = name
    return handler


def matching(router: Router, event: Event) -> list[str]:
    return [handler.name.partition(":")[2] for handler in router.match(event)]


def test_routes_follow_the_class_tree_the_most_specific_first_then_as_registered() -> None:
    router = Router()
    router.on(Event)(named("every"))
    router.on(OrderStatusChanged)(named("status"))
    router.on(OrderFulfilled)(named("fulfilled 1"))
    router.on_fulfilled(named("fulfilled 2"))
    router.on_failed_permanently(named("failed"))
    assert matching(router, FULFILLED) == ["fulfilled 1", "fulfilled 2", "status", "every"]
    assert matching(router, FAILED) == ["failed", "status", "every"]
    assert matching(router, PLACED) == ["status", "every"]
    assert matching(router, UNKNOWN) == ["every"]


def test_a_name_is_a_route_where_there_is_no_class() -> None:
    router = Router()
    router.on(UnknownEvent)(named("unknown"))
    router.on("storage.cleaned")(named("cleaned"))
    assert matching(router, UNKNOWN) == ["cleaned", "unknown"]
    assert matching(router, UnknownEvent(event="another")) == ["unknown"]


def test_a_name_that_a_class_owns_is_rejected_in_either_order() -> None:
    with pytest.raises(ConfigurationError, match="register for OrderStatusChanged instead"):
        Router().on("order.status")(named("a"))
    router = Router()
    router.on("parcel")(named("by name"))
    with pytest.raises(ConfigurationError, match="registered by name"):
        router.on(Parcel)(named("by class"))


def test_a_predicate_narrows_a_route() -> None:
    router = Router()
    router.on(OrderStatusChanged, where=lambda order: order.status == OrderStatus.PLACED)(named("placed"))
    router.fallback(named("rest"))
    assert matching(router, PLACED) == ["placed"]
    assert matching(router, FULFILLED) == ["rest"]


async def test_a_predicate_that_raises_fails_as_its_handler_would_and_stops_no_other() -> None:
    router = Router()
    router.on(OrderStatusChanged, where=lambda order: 1 / 0 > 1)(named("failing"))
    router.on(OrderStatusChanged)(named("well"))
    assert matching(router, PLACED) == ["failing", "well"]
    with pytest.raises(ZeroDivisionError):
        await router.match(PLACED)[0].call(PLACED, DELIVERY, 1)


def test_the_fallback_gets_what_no_handler_wants() -> None:
    router = Router()
    router.fallback(named("rest"))
    assert matching(router, UNKNOWN) == matching(router, PLACED) == ["rest"]
    router.on(OrderStatusChanged)(named("status"))
    assert (matching(router, UNKNOWN), matching(router, PLACED)) == (["rest"], ["status"])


def test_nothing_matches_where_nothing_is_registered() -> None:
    assert matching(Router(), FULFILLED) == []


def test_one_function_on_several_routes_is_one_handler_and_runs_once() -> None:
    router = Router()

    @router.on(Event)
    @router.on(OrderFulfilled)
    @router.on(OrderFailedPermanently, where=lambda order: False)
    def both(event: Event) -> None: ...

    router.on(OrderStatusChanged)(named("status"))
    assert router.match(FULFILLED)[0].function is both
    assert len(router.match(FULFILLED)) == 2
    assert [each.name.rpartition(".")[2] for each in router.match(FAILED)] == ["test_routing:status", "both"]


def test_the_decorator_returns_the_function_as_it_came() -> None:
    router = Router()

    def handler(order: OrderFulfilled) -> int:
        return 1

    assert router.on(OrderFulfilled)(handler) is handler
    assert router.fallback(named("rest")) is router.handlers[-1].function


def test_two_handlers_of_one_name_are_rejected() -> None:
    router = Router()
    first = named("same")
    router.on(OrderFulfilled)(first)
    with pytest.raises(ConfigurationError, match=r"two handlers are named tests\.test_routing:same"):
        router.on(OrderFailedPermanently)(named("same"))
    with pytest.raises(ConfigurationError, match="two handlers"):
        router.on(OrderFulfilled)(first)
    with pytest.raises(ConfigurationError, match="two handlers"):
        router.fallback(named("same"))
    router.on(OrderFailedPermanently, name="another")(named("same"))
    assert matching(router, FAILED) == [""]


@pytest.mark.parametrize("mistake", [named("a function"), OrderStatus, int, None])
def test_what_is_no_route_is_rejected(mistake: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"as in @hooks\.on\(OrderFulfilled\)"):
        Router().on(mistake)


@pytest.mark.parametrize(
    ("mistake", "remedy"),
    [
        (OrderStatus.FULFILLED, r"is a status, and no event's name: @hooks\.on\(OrderFulfilled\)$"),
        (OrderStatus.FAILED_PERMANENTLY, r"@hooks\.on\(OrderFailedPermanently\)$"),
        (OrderStatus.PLACED, r"where=lambda event: event\.status == OrderStatus\.PLACED\)$"),
        ("", r"@hooks\.on\(Event\) is for all events"),
        (" \n", r"@hooks\.on\(Event\) is for all events"),
        (" shipment.created ", r"white space .* @hooks\.on\('shipment\.created'\)"),
        ("shipment.created\n", r"@hooks\.on\('shipment\.created'\)"),
    ],
)
def test_a_name_that_no_event_has_is_rejected_with_the_right_line(mistake: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=remedy):
        Router().on(mistake)


def test_on_takes_one_event() -> None:
    router: Any = Router()
    with pytest.raises(ConfigurationError, match=r"takes an event class .* as in @hooks\.on\(OrderFulfilled\)"):
        router.on()
    with pytest.raises(ConfigurationError, match=r"takes one event: write one @hooks\.on\(\.\.\.\) above the other"):
        router.on(OrderFulfilled, OrderFailedPermanently)


def test_an_enum_of_ones_own_may_name_events() -> None:
    class Names(StrEnum):
        CREATED = "shipment.created"

    router = Router()
    router.on(Names.CREATED)(named("created"))
    assert matching(router, UnknownEvent(event="shipment.created")) == ["created"]


@pytest.mark.parametrize("where", [5, "status"])
def test_a_predicate_that_cannot_be_asked_is_rejected(where: Any) -> None:
    with pytest.raises(ConfigurationError, match="plain function of the event"):
        Router().on(OrderFulfilled, where=where)


def test_an_async_predicate_is_rejected_since_it_would_always_hold() -> None:
    async def where(event: Event) -> bool:
        return False

    with pytest.raises(ConfigurationError, match=r"plain function of the event, not an async function$"):
        Router().on(OrderFulfilled, where=where)  # type: ignore[arg-type]


async def test_a_predicate_that_hands_back_an_awaitable_fails_as_its_handler_would() -> None:
    async def later() -> bool:
        return False

    coroutine = later()
    router = Router()
    router.on(OrderFulfilled, where=lambda order: coroutine)(named("failing"))  # type: ignore
    with pytest.raises(TypeError, match="awaitable"):
        await router.match(FULFILLED)[0].call(FULFILLED, DELIVERY, 1)
    coroutine.close()


def test_a_method_may_serve_two_routes() -> None:
    class Service:
        def handle(self, event: Event) -> None: ...

    router, service = Router(), Service()
    router.on(OrderFulfilled)(service.handle)
    router.on(OrderFailedPermanently)(service.handle)
    assert len(router.match(FAILED)) == len(router.match(FULFILLED)) == 1


def test_an_included_routers_handlers_run_behind_those_that_were_there() -> None:
    outer, inner = Router(), Router()
    outer.on(OrderFulfilled)(named("outer"))
    inner.on(OrderFulfilled)(named("inner"))
    inner.on("storage.cleaned")(named("cleaned"))
    inner.fallback(named("rest"))
    outer.include(inner)
    assert matching(outer, FULFILLED) == ["outer", "inner"]
    assert matching(outer, UNKNOWN) == ["cleaned"]
    assert matching(outer, PLACED) == ["rest"]


def test_a_router_may_be_included_by_several_and_is_closed_by_it() -> None:
    inner = Router()
    inner.on(OrderFulfilled)(named("inner"))
    for outer in (Router(), Router()):
        outer.include(inner)
        assert matching(outer, FULFILLED) == ["inner"]
    with pytest.raises(ConfigurationError, match="comes too late"):
        inner.on(OrderFulfilled)(named("late"))


def test_what_clashes_is_rejected_when_it_is_included() -> None:
    class Other(Event, frozen=True):
        event: Literal["parcel"]

    outer, inner, twin = Router(), Router(), Router()
    outer.on(Parcel)(named("parcel"))
    inner.on(Other)(named("other"))
    twin.on(Event)(named("parcel"))
    with pytest.raises(ConfigurationError, match="claim the same documents"):
        outer.include(inner)
    with pytest.raises(ConfigurationError, match="two handlers are named"):
        outer.include(twin)
    with pytest.raises(ConfigurationError, match="include itself"):
        outer.include(outer)


def test_a_handler_that_is_registered_later_is_matched_as_well() -> None:
    router = Router()
    router.on(OrderFulfilled)(named("first"))
    assert matching(router, FULFILLED) == ["first"]
    router.on(Event)(named("second"))
    assert matching(router, FULFILLED) == ["first", "second"]


def hear(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None: ...


def test_dead_letter_handlers_keep_their_order_and_are_included_too() -> None:
    router, hooks = Router(), Router()
    assert router.on_dead(hear) is hear

    @hooks.on_dead
    async def first(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None: ...

    hooks.include(router)
    names = [handler.name for handler in hooks.dead_letter_handlers]
    assert names[0].startswith("on_dead tests.test_routing:test_dead_letter_handlers")
    assert names[1:] == ["on_dead tests.test_routing:hear"]


def test_two_dead_letter_handlers_cannot_have_one_name() -> None:
    hooks = Router()
    hooks.on_dead(hear)
    with pytest.raises(ConfigurationError, match=r"two dead-letter handlers are named tests\.test_routing:hear"):
        hooks.on_dead(hear)


def test_without_any_handler_it_is_said_that_none_is_registered() -> None:
    with pytest.raises(ConfigurationError, match=r"there is no handler nosuch; none is registered$"):
        Router().name_of("nosuch")


def test_a_handler_is_found_by_its_function_and_by_its_name() -> None:
    hooks = Router()

    @hooks.on(Event, name="mine")
    def handler(event: Event) -> None: ...

    @hooks.fallback
    def rest(event: Event) -> None: ...

    assert hooks.name_of(handler) == hooks.name_of("mine") == "mine"
    assert hooks.name_of(rest).endswith("rest")
    with pytest.raises(ConfigurationError, match="there is no handler yours; there is mine, tests"):
        hooks.name_of("yours")


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_a_timeout_that_bounds_nothing_is_rejected(timeout: float) -> None:
    with pytest.raises(ConfigurationError, match="timeout is a number of seconds above 0"):
        Router().on(Event, timeout=timeout)


def test_a_route_keeps_its_backoff_and_timeout() -> None:
    hooks = Router()
    hooks.on(Event, name="handler", backoff=Backoff(attempts=2), timeout=5)(lambda event: None)
    (handler,) = hooks.handlers
    assert (handler.backoff, handler.timeout) == (Backoff(attempts=2), 5)


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


def injecting(*before: object, **more: object) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator whose function gives more arguments than it gets, as one that opens a session does."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*arguments: Any, **options: Any) -> Any:
            return function(*before, *arguments, **more, **options)

        return wrapper

    return decorate


def one_only(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(order: Any) -> Any:
        return function(order, "a session")

    return wrapper


class Counted:
    """A decorator that is a class."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


@injecting(session="a session")
def session_by_keyword(order: OrderFulfilled, session: str) -> None: ...
@injecting(session="a session")
def session_by_keyword_only(order: OrderFulfilled, *, session: str) -> None: ...
@injecting(session="a session")
def session_and_attempt(order: OrderFulfilled, attempt: Attempt, session: str) -> None: ...
@injecting(session="a session")
def unannotated_session(order, session): ...  # type: ignore
@injecting("a session")
def session_in_front(session: str, order: OrderFulfilled) -> None: ...
@injecting("a session")
def session_in_front_and_attempt(session: str, order: OrderFulfilled, attempt: Attempt) -> None: ...
@injecting("a session")
def unannotated_session_in_front(session, order, attempt): ...  # type: ignore
@injecting("a session", 7)
def two_in_front(session: str, number: int, order: OrderFulfilled, attempt: Attempt | None = None) -> None: ...
@injecting(session="a session")
def attempt_left_out(order: OrderFulfilled, session: str, attempt: Attempt | None = None) -> None: ...
@injecting()
def unannotated_attempt(order, attempt): ...  # type: ignore
@injecting()
@one_only
def session_behind(order: OrderFulfilled, session: str) -> None: ...
@Counted
def counted(order: OrderFulfilled, attempt: Attempt | None = None) -> None: ...


class Grouped:
    @staticmethod
    def static(order: OrderFulfilled, attempt: Attempt) -> None: ...


@pytest.mark.parametrize(
    ("function", "takes_attempt"),
    [
        (session_by_keyword, False),
        (session_by_keyword_only, False),
        (session_and_attempt, True),
        (unannotated_session, False),
        (session_in_front, False),
        (session_in_front_and_attempt, True),
        (unannotated_session_in_front, True),
        (two_in_front, True),
        (attempt_left_out, False),
        (unannotated_attempt, True),
        (session_behind, False),
        (counted, True),
        (vars(Grouped)["static"], True),
        (Grouped.static, True),
    ],
)
async def test_a_wrapper_is_called_as_it_can_be(function: Callable[..., Any], takes_attempt: bool) -> None:
    made = handler(function)
    assert made.takes_attempt is takes_attempt
    await made.call(EVENT, DELIVERY, 1)


LINTED = """
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from nowhere import Session
    from typing import Optional
    from webhook_receiver import Attempt as Attempt, OrderFulfilled
    import webhook_receiver as wr

def handler(order: OrderFulfilled, attempt: {annotation} = None) -> Session: ...
"""


@pytest.mark.parametrize(
    ("annotation", "takes_attempt"),
    [
        ("Attempt | None", True),
        ("Optional[Attempt]", True),
        ("wr.Attempt", True),
        ("'Attempt'", True),
        ("Session", False),
        ("int", False),
        ("AttemptLog", False),
    ],
)
def test_an_import_for_type_checkers_takes_no_attempt_away(annotation: str, takes_attempt: bool) -> None:
    names = dict[str, Any]()
    exec(LINTED.format(annotation=annotation), names)
    assert handler(names["handler"]).takes_attempt is takes_attempt


def logged(function: Callable[..., Any]) -> Any:
    """As a decorator whose author forgot to return the function."""
    return None


@pytest.mark.parametrize("register", [Router().on_fulfilled, Router().on(Event, name="handler"), Router().on_dead])
def test_a_decorator_that_returns_nothing_is_rejected(register: Any) -> None:
    with pytest.raises(ConfigurationError, match="not NoneType: the decorator below does not return the function"):
        register(logged(event_only))


def test_decorators_may_be_written_with_parentheses() -> None:
    hooks = Router()
    assert hooks.on_fulfilled()(event_only) is event_only
    assert hooks.on_failed_permanently()(another_event) is another_event
    assert hooks.fallback()(supertypes) is supertypes

    @hooks.on_dead()
    def hear(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None: ...

    @hooks.middleware()
    async def around(attempt: Attempt, call_next: CallNext) -> None:
        await call_next()

    assert [each.function for each in hooks.handlers] == [event_only, another_event, supertypes]
    assert [each.function for each in hooks.dead_letter_handlers] == [hear]
    assert [each.function for each in hooks.middlewares] == [around]
    odd: Any = hooks
    with pytest.raises(ConfigurationError, match=r"given to on\(\.\.\.\), as in @hooks.on\(OrderFulfilled, name="):
        odd.on_fulfilled(name="mine")
    with pytest.raises(ConfigurationError, match=r"takes an event class .* as in @hooks.on\(OrderFulfilled\)"):
        odd.on(event_only)


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ({"timeout": "5"}, r"timeout is a number of seconds above 0, such as timeout=60, not '5'"),
        ({"timeout": timedelta(seconds=5)}, "timeout is a number of seconds"),
        ({"backoff": 5}, r"backoff=\.\.\. is a Backoff, such as Backoff\(attempts=5\), not 5"),
        ({"name": 7}, r"name=\.\.\. of a handler is a text"),
        ({"timeout": True}, "timeout is a number of seconds above 0, such as timeout=60, not True"),
        ({"name": ""}, r"name=\.\.\. of a handler is a text"),
        ({"name": "two\nlines"}, r"name=\.\.\. of a handler is a text, .* in one line"),
        ({"name": "download "}, r"name=\.\.\. of a handler is a text, .* without white space around it"),
    ],
)
def test_an_option_of_another_type_is_rejected_at_once(option: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        Router().on(Event, **option)


def no_parameter() -> None: ...
def three(order: OrderFulfilled, attempt: Attempt, third: int) -> None: ...
def keyword_only(order: OrderFulfilled, *, client: object) -> None: ...
def another_event(order: OrderFailedPermanently) -> None: ...
def narrower_event(order: OrderFulfilled) -> None: ...
def not_the_attempt(order: OrderFulfilled, session: dict[str, str]) -> None: ...
def wrong_second(order: OrderFulfilled, session: int) -> None: ...
def dependency(order: OrderFulfilled, session: Any = Depends(print)) -> None: ...
def annotated_dependency(order: OrderFulfilled, session: Annotated[dict[str, str], Depends(print)]) -> None: ...
def security(order: OrderFulfilled, session: Any = Security(print)) -> None: ...
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
        (Mistaken.method, OrderFulfilled, r"is a method, and nothing fills its 'self': .*\(service.method\)"),
        (dependency, OrderFulfilled, 'by a middleware, as "Dependencies of handlers" in docs/mounting.md'),
        (annotated_dependency, OrderFulfilled, "'session' of the handler asks for a FastAPI dependency"),
        (security, OrderFulfilled, "'session' of the handler asks for a FastAPI dependency"),
        (not_the_attempt, OrderFulfilled, "'session' of the handler is annotated dict, but gets an Attempt"),
        (annotated_wrong, OrderFulfilled, "'session' of the handler is annotated int, but gets an Attempt"),
        (not_an_event, OrderFulfilled, "'order' of the handler is annotated"),
        (generator, OrderFulfilled, "the handler is a generator"),
        (async_generator, OrderFulfilled, "the handler is a generator"),
        (GeneratorObject(), OrderFulfilled, "the handler is a generator"),
        (wrapped_generator, OrderFulfilled, "the handler is a generator"),
    ],
)
def test_a_signature_that_cannot_be_satisfied_is_rejected_naming_the_parameter(
    function: Callable[..., Any], route: Route, complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        handler(function, route)


async def asking_middleware(attempt: Attempt, call_next: Any, session: Any = Depends(print)) -> None: ...


def test_no_middleware_no_condition_and_no_dead_letter_handler_asks_for_a_dependency() -> None:
    router = Router()
    for register in (router.on_dead, lambda function: router.on(Event, where=function)):
        with pytest.raises(ConfigurationError, match=r"the parameter 'session' of .* asks for a FastAPI dependency"):
            register(lambda first, second=None, session=Security(print): None)
    with pytest.raises(ConfigurationError, match="by a middleware"):
        router.middleware(asking_middleware)


class HasEvent(Protocol):
    event: str


def takes_protocol(order: HasEvent) -> None: ...
def takes_anything(order: Any) -> None: ...


def test_what_only_a_type_checker_can_tell_is_let_through() -> None:
    assert not handler(takes_protocol).takes_attempt
    assert not handler(takes_anything).takes_attempt


def test_the_name_is_module_and_qualname() -> None:
    assert name_of(event_only) == "tests.test_routing:event_only"
    assert name_of(Service().method) == "tests.test_routing:Service.method"


SCRIPT = """
import multiprocessing
from webhook_receiver.routing import name_of

def handler(event): ...

def told(): print(name_of(handler), flush=True)

if __name__ == "__main__":
    told()
    child = multiprocessing.get_context("spawn").Process(target=told)
    child.start()
    child.join()
"""


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["app.py"], "app:handler"),
        (["-m", "app"], "app:handler"),
        (["-m", "package.app"], "package.app:handler"),
        (["-m", "package"], "package.__main__:handler"),
        (["-c", "import app; app.told(); app.told()"], "app:handler"),
        (["-c", "exec(open('app.py').read().split('if __name__')[0]); told(); told()"], "__main__:handler"),
    ],
)
def test_a_handler_has_the_name_of_its_module_as_it_is_imported(
    arguments: list[str], name: str, tmp_path: Path
) -> None:
    (tmp_path / "package").mkdir()
    for file in ("app.py", "package/app.py", "package/__main__.py", "package/__init__.py"):
        (tmp_path / file).write_text(SCRIPT if "init" not in file else "")
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, check=True, timeout=60, capture_output=True, text=True
    )
    assert {*done.stdout.splitlines()} == {name}


def test_two_modules_that_give_one_name_are_rejected_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "__mp_main__", SimpleNamespace(__file__="/srv/app.py"))
    router = Router()
    for module in ("__mp_main__", "app"):
        handler = named("work")
        handler.__module__ = module
        if module == "app":
            with pytest.raises(ConfigurationError, match=r"app:work .one of the module __mp_main__, one of app.: give"):
                router.on(Event)(handler)
        else:
            router.on(Event)(handler)
    assert [each.name for each in router.handlers] == ["app:work"]


@pytest.mark.parametrize("function", [functools.partial(event_only), Service()])
def test_what_has_no_name_of_its_own_has_to_be_given_one(function: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match="give it name="):
        name_of(function)


def test_what_is_not_callable_is_rejected() -> None:
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


POOL = ThreadPoolExecutor(1)


class Opened:
    """As a pool of connections that is awaited to be opened: what that gives is the pool."""

    def __await__(self) -> Generator[None, None, Opened]:
        yield from asyncio.sleep(0).__await__()
        return self


@pytest.mark.parametrize(
    "hand_back",
    [
        lambda work: work(),
        lambda work: asyncio.ensure_future(work()),
        lambda work: asyncio.gather(work(), asyncio.sleep(0)),
        lambda work: POOL.submit(asyncio.run, work()),
        lambda work: twice(work),
    ],
    ids=["a coroutine", "a task", "what gathers", "work in a thread", "a coroutine of one"],
)
async def test_what_a_function_hands_back_is_awaited(hand_back: Callable[[Any], Any]) -> None:
    ran: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)
        ran.append("work")

    async def on_the_loop(event: Event) -> object:
        return hand_back(work)

    await called(on_the_loop)
    assert ran == ["work"]
    if not isinstance(made := hand_back(lambda: work()), asyncio.Future):  # which no thread can make
        await called(lambda event: made)
        assert ran == ["work", "work"]
    else:
        await made


async def twice(work: Callable[[], Coroutine[Any, Any, None]]) -> object:
    return work()


async def test_what_is_handed_back_and_fails_is_a_failure() -> None:
    async def broken() -> None:
        raise OSError("the disk is full")

    async def handler(event: Event) -> object:
        return broken()

    with pytest.raises(OSError, match="disk is full"):
        await called(handler)


@pytest.mark.parametrize(
    "value",
    [True, {"status": "ok"}, "text", [1, [2]], (), object(), Opened(), int, functools.partial(int)],
    ids=lambda value: type(value).__name__,
)
async def test_any_other_value_that_is_handed_back_means_nothing(value: object) -> None:
    async def handler(event: Event) -> object:
        return value

    await called(handler)
    await called(lambda event: value)


@pytest.mark.parametrize("kind", ["generator", "async generator", "list", "tuple of tasks", "coroutine of one"])
async def test_work_that_is_handed_back_and_that_nothing_would_do_is_a_failure(kind: str) -> None:
    async def stream() -> AsyncGenerator[int]:
        yield 1

    async def work() -> None: ...

    left = [work(), work()]
    task = asyncio.ensure_future(work())

    async def one() -> object:
        return (each for each in "abc")

    async def handler(event: Event) -> object:
        return {
            "generator": lambda: (each for each in "abc"),
            "async generator": stream,
            "list": lambda: left,
            "tuple of tasks": lambda: (task,),
            "coroutine of one": one,
        }[kind]()

    with pytest.raises(TypeError, match=r"which nothing runs: run it in the handler"):
        await called(handler)
    for each in left:
        each.close()
    await task


@pytest.mark.parametrize(
    ("hand_back", "kind"),
    [
        (lambda work, left: {"a": left}, "collection of coroutines"),
        (lambda work, left: [[left]], "collection of coroutines"),
        (lambda work, left: ({"a": [frozenset([left])]},), "collection of coroutines"),
        (lambda work, left: map(work, "ab"), "map"),
        (lambda work, left: filter(work, "ab"), "filter"),
        (lambda work, left: zip("ab", map(work, "ab"), strict=True), "zip"),
        (lambda work, left: work, "coroutine function"),
        (lambda work, left: functools.partial(work, 1), "coroutine function"),
        (lambda work, left: functools.partial(functools.partial(work), 1), "coroutine function"),
    ],
)
async def test_work_is_found_at_any_depth_and_in_what_would_make_it(hand_back: Any, kind: str) -> None:
    async def work(what: object) -> None: ...

    left = work(1)

    async def on_the_loop(event: Event) -> object:
        return hand_back(work, left)

    for handler in (on_the_loop, lambda event: hand_back(work, left)):
        with pytest.raises(TypeError, match=f"handed back a {kind}, which nothing runs: run it in the handler"):
            await called(handler)
    left.close()


async def test_an_object_whose_call_is_async_means_nothing() -> None:
    class Client:
        async def __call__(self) -> None: ...

        def __aiter__(self) -> Client:
            return self

        async def __anext__(self) -> int:
            return 1

    await called(lambda event: Client())


async def test_a_collection_that_holds_itself_means_nothing() -> None:
    endless: list[object] = [1]
    endless.append(endless)
    await called(lambda event: endless)


async def test_a_dead_letter_handler_gets_the_delivery_and_its_attempts() -> None:
    got: list[object] = []

    async def hear(delivery: Delivery, attempts: Sequence[object]) -> None:
        got.extend([delivery, attempts])

    await DeadLetterHandler("on the loop", hear).call(DELIVERY, ["an attempt"], 1)
    await DeadLetterHandler("in a thread", lambda delivery, attempts: got.append(threading.get_ident())).call(
        DELIVERY, [], 2
    )
    assert got[:2] == [DELIVERY, ["an attempt"]]
    assert got[2] != threading.get_ident()


async def test_a_thread_that_nobody_waits_for_any_more_is_counted_until_it_ends() -> None:
    threads, begun, release = Threads(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        release.wait(PATIENCE)

    task = asyncio.create_task(threads.call(hang, (), "d-1"))
    try:
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        assert threads.left_behind == 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert threads.left_behind == 1
        with pytest.raises(TimeoutError, match="its thread of an attempt before goes on"):
            await threads.call(hang, (), "d-1")
        assert await threads.call(len, ("of another delivery",), "d-2") == 19
    finally:
        release.set()
    await until(lambda: threads.left_behind == 0)
    assert await threads.call(len, ("anew",), "d-1") == 4


async def test_a_run_that_was_cancelled_before_it_had_a_thread_is_not_counted() -> None:
    threads, ran = Threads(), list[int]()
    for _ in range(2):
        task = asyncio.create_task(threads.call(ran.append, (1,), "d-1"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (threads.left_behind, ran) == (0, [])


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
def test_a_dead_letter_handler_that_cannot_be_called_is_rejected(function: Callable[..., Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=f"it {complaint}"):
        DeadLetterHandler("it", function)


def test_a_dead_letter_handler_that_hides_its_parameters_is_let_through() -> None:
    assert not DeadLetterHandler("it", max).is_async


async def around(attempt: Attempt, call_next: CallNext) -> None:
    await call_next()


class Around:
    async def __call__(self, attempt: Attempt, call_next: CallNext) -> None:
        await call_next()

    async def method(self, attempt: Attempt, call_next: CallNext, another: int = 1) -> None:
        await call_next()


def test_middleware_keeps_its_order_and_an_included_routers_comes_behind() -> None:
    router, hooks, service = Router(), Router(), Around()
    assert Router().middlewares == ()
    assert hooks.middleware(around) is around
    router.middleware(service)
    hooks.include(router)
    hooks.middleware(service.method)
    assert [each.name for each in hooks.middlewares] == [
        "tests.test_routing:around",
        "tests.test_routing:Around",
        "tests.test_routing:Around.method",
    ]
    assert [each.function for each in hooks.middlewares] == [around, service, service.method]


def test_middleware_cannot_be_registered_twice_nor_after_its_router_was_included() -> None:
    router, hooks = Router(), Router()
    router.middleware(around)
    twice = r"tests\.test_routing:around would run twice round each attempt: register it only once"
    with pytest.raises(ConfigurationError, match=twice):
        router.middleware(around)
    hooks.include(router)
    with pytest.raises(ConfigurationError, match=twice):
        hooks.middleware(around)
    with pytest.raises(ConfigurationError, match="Around comes too late, its router is included already: register"):
        router.middleware(Around())
    another = Router()
    another.middleware(around)
    with pytest.raises(ConfigurationError, match=twice):
        hooks.include(another)
    assert len(hooks.middlewares) == 1


def sync_middleware(attempt: Attempt, call_next: CallNext) -> Awaitable[None]:
    return call_next()


async def yielding_middleware(attempt: Attempt, call_next: CallNext) -> AsyncGenerator[None]:
    yield


async def too_short(attempt: Attempt) -> None: ...
async def too_long(attempt: Attempt, call_next: CallNext, third: int) -> None: ...
async def needs_keyword(attempt: Attempt, call_next: CallNext, *, client: object) -> None: ...


NOT_ASYNC = (
    r"is no async function without `yield`, as a middleware is: "
    r"async def middleware\(attempt, call_next\): await call_next\(\)"
)
UNCALLABLE = r"cannot be called with the two that a middleware gets, \(attempt, call_next\): "


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (sync_middleware, f"sync_middleware {NOT_ASYNC}"),
        (generator, f"generator {NOT_ASYNC}"),
        (yielding_middleware, f"yielding_middleware {NOT_ASYNC}"),
        (Around, f"Around {NOT_ASYNC}"),
        (7, f"int {NOT_ASYNC}"),
        (too_short, f"too_short {UNCALLABLE}too many positional arguments"),
        (too_long, f"too_long {UNCALLABLE}missing a required argument: 'third'"),
        (needs_keyword, f"needs_keyword {UNCALLABLE}missing a required"),
    ],
)
def test_a_middleware_that_could_not_work_is_rejected(function: Any, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        Router().middleware(function)


async def test_a_router_that_cannot_be_included_leaves_nothing_behind() -> None:
    hooks, router = Router(), Router()

    @hooks.middleware
    async def mine(attempt: Attempt, call_next: CallNext) -> None:
        await call_next()

    router.on("a.name", name="handler")(lambda event: None)
    router.middleware(mine)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="would run twice"):
            hooks.include(router)
        assert hooks.handlers == ()
    router.on("another.name", name="more")(lambda event: None)


@pytest.mark.parametrize("given", [Router, None, "routes"])
def test_what_is_included_is_a_router(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"include\(...\) takes a router"):
        Router().include(given)


def test_limits_are_options_of_every_decorator_that_registers_a_handler() -> None:
    router = Router()

    @router.on(OrderFulfilled, concurrency=2, rate="10/s")
    def one(event: OrderFulfilled) -> None: ...

    @router.on_fulfilled(concurrency=3)
    def two(event: OrderFulfilled) -> None: ...

    @router.on_failed_permanently(rate="100/min")
    def three(event: OrderFailedPermanently) -> None: ...

    @router.fallback(concurrency=1)
    def four(event: Event) -> None: ...

    @router.on_dead(rate="1000/h")
    def five(delivery: Delivery, attempts: Sequence[object]) -> None: ...

    @router.on_fulfilled()
    def six(event: OrderFulfilled) -> None: ...

    assert [handler.limits for handler in router.handlers] == [
        Limits(2, Rate(10, 1)),
        Limits(3, None),
        Limits(None, Rate(100, 60)),
        None,
        Limits(1, None),
    ]
    assert [handler.limits for handler in router.dead_letter_handlers] == [Limits(None, Rate(1000, 3600))]
    hooks = Router()
    hooks.include(router)
    assert [handler.limits for handler in hooks.handlers] == [handler.limits for handler in router.handlers]


@pytest.mark.parametrize("rate", [0, 10, 1.5, True, "", "fast", "10", "0/s", "-1/s", "1.5/s", "10/fortnight", "10/10s"])
@pytest.mark.parametrize("kind", ["on", "on_fulfilled", "fallback", "on_dead"])
def test_a_rate_that_is_none_fails_at_once_and_the_form_is_shown(kind: str, rate: Any) -> None:
    decorator: Any = getattr(Router(), kind)
    given = (OrderFulfilled,) if kind == "on" else ()
    with pytest.raises(ConfigurationError, match='rate="10/s", rate="100/min" or rate="1000/h", not '):
        decorator(*given, rate=rate)


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, False, "2", float("inf")])
@pytest.mark.parametrize("kind", ["on", "on_fulfilled", "fallback", "on_dead"])
def test_a_concurrency_that_is_none_fails_at_once_and_the_form_is_shown(kind: str, concurrency: Any) -> None:
    decorator: Any = getattr(Router(), kind)
    given = (OrderFulfilled,) if kind == "on" else ()
    with pytest.raises(ConfigurationError, match="1 or more, such as concurrency=2, not "):
        decorator(*given, concurrency=concurrency)


def test_one_handler_of_several_events_has_one_limit() -> None:
    router = Router()

    def handle(event: Event) -> None: ...

    router.on(OrderFulfilled, concurrency=1)(handle)
    with pytest.raises(ConfigurationError, match="is one handler for several events: give it the same concurrency"):
        router.on(OrderFailedPermanently)(handle)
    router.on(OrderFailedPermanently, concurrency=1)(handle)
    assert len(router.handlers) == 2


def test_a_decorator_with_limits_is_told_apart_from_one_with_other_options() -> None:
    decorator: Any = Router().on_fulfilled
    with pytest.raises(ConfigurationError, match=r"given to on\(\.\.\.\), as in @hooks.on\(OrderFulfilled, timeout="):
        decorator(concurrency=1, timeout=3)
    with pytest.raises(ConfigurationError, match=r"as in @hooks.on\(OrderFulfilled, concurrency="):
        decorator(lambda event: None, concurrency=1)
