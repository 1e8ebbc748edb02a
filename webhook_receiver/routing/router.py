"""The router: the handlers of each event, the dead-letter handlers and the middleware. Nothing is run here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from ..asgi import Absent
from ..delivery import Attempt, Delivery
from ..errors import ConfigurationError
from ..event_registry import EventRegistry
from ..events import (
    Event,
    ImageryEvent,
    ImageryFailed,
    ImageryPartlyReady,
    ImageryReady,
    OrderFailedPermanently,
    OrderFulfilled,
    OrderStatus,
    UnknownEvent,
    WholeOrder,
)
from ..inbox.records import DEAD_LETTER_HANDLER, FailedAttempt
from ..options import Backoff, Limits, is_name, is_number, limits
from .handlers import CallNext, DeadLetterHandler, Function, Handler, Middleware, Predicate, Route, name_of
from .parameters import reject_dependencies

E = TypeVar("E", bound=Event)
E_contra = TypeVar("E_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
P = ParamSpec("P")
_OF_STATUS: dict[OrderStatus, type[Event]] = {
    OrderStatus.FULFILLED: OrderFulfilled,
    OrderStatus.FAILED_PERMANENTLY: OrderFailedPermanently,
}
_ENDS = (ImageryReady, ImageryPartlyReady, ImageryFailed)
"""The events with which an order ends."""
_OF_WHOLE_ORDERS = (ImageryEvent, *_ENDS)
"""The routes of handlers of whole orders."""
HearsOfDead = TypeVar("HearsOfDead", bound=Callable[[Delivery, Sequence[FailedAttempt]], object])


class TakesEvent(Protocol[E_contra, P, R_co]):  # pyright: ignore[reportInvalidTypeVarUse] - contravariant by its use
    """A function that takes an event. Two overloads mean both: it can be called so, and is a function of P."""

    @overload
    def __call__(self, event: E_contra, /) -> object: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class TakesAttempt(Protocol[E_contra, P, R_co]):  # pyright: ignore[reportInvalidTypeVarUse] - contravariant by its use
    """A function that takes an event and the attempt."""

    @overload
    def __call__(self, event: E_contra, attempt: Attempt, /) -> object: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


AnyMiddleware = TypeVar("AnyMiddleware", bound=Callable[[Attempt, CallNext], Coroutine[Any, Any, object]])


class HandlerDecorator(Generic[E]):
    """A decorator that registers a handler and returns it as it came, with its type.

    Called without a handler it returns a decorator, with the limits of `Router.on` if it is given any, as in
    `@hooks.fallback(concurrency=2, rate="10/s")`.

    Raises:
        ConfigurationError: the handler or a limit cannot work.
    """

    def __init__(self, register: Callable[[Function, Limits | None], None], limits: Limits | None = None) -> None:
        self._register = register
        self._limits = limits

    @overload
    def __call__(self, *, concurrency: int | None = None, rate: str | None = None) -> Self: ...
    # The last two are for mypy, which sees no P in what it knows as a mere Callable, and say better what is wrong.
    @overload
    def __call__(self, handler: TakesEvent[E, P, R]) -> Callable[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, handler: TakesAttempt[E, P, R]) -> Callable[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, handler: Callable[[E], R]) -> Callable[[E], R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, handler: Callable[[E, Attempt], R]) -> Callable[[E, Attempt], R]: ...  # pyright: ignore[reportOverlappingOverload]
    def __call__(
        self, *handler: Function, concurrency: int | None = None, rate: str | None = None, **options: object
    ) -> Any:
        given = limits(concurrency, rate)
        if options or (given and (handler or self._limits)):
            name = min(options, default="rate" if rate else "concurrency")
            raise ConfigurationError(
                f"the options of a handler are given to on(...), as in @hooks.on(OrderFulfilled, {name}=...)"
            )
        if not handler:  # written with parentheses
            return type(self)(self._register, given) if given else self
        (function,) = handler
        self._register(function, self._limits)
        return function


_Registered = tuple[
    list[Handler], list[Handler], list[DeadLetterHandler], tuple[Middleware, ...], dict[Route, list[Handler]]
]


class Router:
    """A collection of handlers and middleware, in any module, for a receiver to include; a receiver is one itself."""

    def __init__(self, registry: EventRegistry | None = None, collector: Handler | None = None) -> None:
        self._registry = registry or EventRegistry()
        self._collector = collector
        """The handler that makes whole orders of the events of their items; None where each event is of a whole one."""
        self._of_whole_orders = False
        """Whether there is a handler of whole orders."""
        self._handlers: list[Handler] = []
        self._fallbacks: list[Handler] = []
        self._dead_letter_handlers: list[DeadLetterHandler] = []
        self.middlewares: tuple[Middleware, ...] = ()
        """The middleware, in order of registration: the outermost first."""
        self._by_route: dict[Route, list[Handler]] = {}
        self._certain: dict[type[Event], tuple[Handler, ...]] = {}
        """The result of `match` for the classes of which every event has the same handlers."""
        self._included = False

    # The second is what newer versions of FastAPI ask for first.
    routes = _contains_router = Absent("none of FastAPI's routers, for include_router")
    matches = Absent("no route by itself")

    @overload
    def on(
        self,
        event: type[E],
        *,
        where: Callable[[E], bool] | None = None,
        name: str | None = None,
        backoff: Backoff | None = None,
        timeout: float | None = None,
        concurrency: int | None = None,
        rate: str | None = None,
        whole_order: bool = False,
    ) -> HandlerDecorator[E]: ...
    @overload
    def on(
        self,
        event: str,
        *,
        where: Callable[[UnknownEvent], bool] | None = None,
        name: str | None = None,
        backoff: Backoff | None = None,
        timeout: float | None = None,
        concurrency: int | None = None,
        rate: str | None = None,
    ) -> HandlerDecorator[UnknownEvent]: ...
    def on(
        self,
        event: Route | None = None,
        *more: Route,
        where: Predicate | None = None,
        name: str | None = None,
        backoff: Backoff | None = None,
        timeout: float | None = None,
        concurrency: int | None = None,
        rate: str | None = None,
        whole_order: bool = False,
    ) -> HandlerDecorator[Any]:
        """Return a decorator that registers a handler for an event: a class and its subclasses, or a name.

        The handler, a function or an async function, takes the event and, if it has a second positional
        parameter, the attempt. A plain function runs in a thread.

        Args:
            event: `OrderFulfilled`, a class of your own, `Event` for all; or "shipment.created", which no class has.
            where: a plain function of the event, called on the loop; the handler gets only events for which it is true.
            name: the handler's name, where `module:qualname` will not do.
            backoff: when it is run again after a failure, the worker's own if left out; with an inbox only.
            timeout: seconds that one attempt may take, the worker's own if left out; with an inbox only.
            concurrency: the largest number of its runs at once, in one process.
            rate: the largest number of its runs that begin in a time, in one process: "10/s", "100/min" or "1000/h".
            whole_order: True for one event of each whole order, with all of its items, in place of one for each item:
                for `ImageryReady`, `ImageryPartlyReady`, `ImageryFailed` or, for all three, `ImageryEvent`. Where a
                sender's events are about items, it needs an inbox, and a document or a source that tells how many.

        Raises:
            ConfigurationError: the route or the handler's signature cannot work, or its name is taken.
        """
        if more:
            raise ConfigurationError("on(...) takes one event: write one @hooks.on(...) above the other for several")
        if event is None or not (isinstance(event, str) or (isinstance(event, type) and issubclass(event, Event))):
            raise ConfigurationError(
                f"on(...) takes an event class or an event's name, as in @hooks.on(OrderFulfilled), not {event!r}"
            )
        if isinstance(event, str):
            _check_name(event)
        if where is not None and (not callable(where) or inspect.iscoroutinefunction(where)):
            kind = "an async function" if callable(where) else type(where).__name__
            raise ConfigurationError(f"where=... takes a plain function of the event, not {kind}")
        if where is not None:
            reject_dependencies("where=...", where)
        check_options(name, backoff, timeout)
        _check_whole_order(whole_order, event)
        return HandlerDecorator(
            lambda function, limits: self._add(
                Handler(name or name_of(function), function, event, where, backoff, timeout, limits, whole_order)
            ),
            limits(concurrency, rate),
        )

    @property
    def on_fulfilled(self) -> HandlerDecorator[OrderFulfilled]:
        """The decorator of a handler for orders that are fulfilled: `@hooks.on_fulfilled`."""
        return self.on(OrderFulfilled)

    @property
    def on_failed_permanently(self) -> HandlerDecorator[OrderFailedPermanently]:
        """The decorator of a handler for orders that have failed for good: `@hooks.on_failed_permanently`."""
        return self.on(OrderFailedPermanently)

    @property
    def fallback(self) -> HandlerDecorator[Event]:
        """The decorator of a handler for all that no other handler matches: `@hooks.fallback`.

        That is also an authentic body that is no event: an `UnknownEvent` with an empty name.
        """
        return HandlerDecorator(
            lambda function, limits: self._add_fallback(Handler(name_of(function), function, Event, limits=limits))
        )

    @overload
    def on_dead(
        self, *, concurrency: int | None = None, rate: str | None = None
    ) -> Callable[[HearsOfDead], HearsOfDead]: ...
    @overload
    def on_dead(self, function: HearsOfDead, /) -> HearsOfDead: ...
    def on_dead(self, *handler: Function, concurrency: int | None = None, rate: str | None = None) -> Any:
        """Register a dead-letter handler: `@hooks.on_dead`, or `@hooks.on_dead(rate="10/min")`. It needs an inbox.

        It gets the delivery and its failed attempts, after it is settled that the delivery is dead; at least once,
        and again by the worker's `Backoff` if it fails itself.

        Args:
            function: the handler.
            concurrency: the largest number of its runs at once, in one process.
            rate: the largest number of its runs that begin in a time, in one process: "10/s", "100/min" or "1000/h".

        Raises:
            ConfigurationError: it cannot be called with these two, its name is taken, or a limit cannot work.
        """
        given = limits(concurrency, rate)

        def register(function: Function) -> Function:
            name = DEAD_LETTER_HANDLER + name_of(function)
            self._add_dead_letter_handler(DeadLetterHandler(name, function, given))
            return function

        return register(*handler) if handler else register  # written with parentheses

    @overload
    def middleware(self) -> Callable[[AnyMiddleware], AnyMiddleware]: ...
    @overload
    def middleware(self, function: AnyMiddleware, /) -> AnyMiddleware: ...
    def middleware(self, *middleware: Function) -> Any:
        """Register `async def middleware(attempt, call_next)`, which runs round every attempt: `@hooks.middleware`.

        That is each run of each handler and dead-letter handler of the whole receiver, also of those that are
        registered elsewhere or later; the check of `confirm=` is none. The first that was registered is the outermost.
        `await call_next()` runs the rest, in the same task and within the handler's timeout. What it raises is the
        attempt's end, or what the middleware raises instead: `Retry` and `GiveUp` mean what they mean in a handler.
        An attempt is done only if the handler has returned and no middleware raised.

        Raises:
            ConfigurationError: it is not async, cannot be called with these two, or is registered twice or too late.
        """
        if not middleware:  # written with parentheses
            return self.middleware
        (function,) = middleware
        self._add_middleware(Middleware(function))
        return function

    @property
    def dead_letter_handlers(self) -> tuple[DeadLetterHandler, ...]:
        """The dead-letter handlers, in order of registration."""
        return tuple(self._dead_letter_handlers)

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """All handlers in order of registration, fallbacks last; behind them the one that collects items, if any."""
        collector = (self._collector,) if self._of_whole_orders and self._collector is not None else ()
        return (*self._handlers, *self._fallbacks, *collector)

    @property
    def fallbacks(self) -> tuple[Handler, ...]:
        """The handlers of what no other handler matches, in order of registration."""
        return tuple(self._fallbacks)

    @property
    def known_events(self) -> tuple[type[Event], ...]:
        """The event classes that documents become: the sender's, and those that handlers are registered for."""
        return self._registry.classes

    def check_events(self) -> None:
        """Check that bodies can be parsed into all of these classes, as a receiver does at its start.

        Raises:
            ConfigurationError: they cannot.
        """
        self._registry.build()

    def name_of(self, handler: str | Function) -> str:
        """Return the name of a handler, given as that or as its function.

        Raises:
            ConfigurationError: there is no such handler.
        """
        return self._name_among(self.handlers, handler)

    def _name_to_pause(self, handler: str | Function) -> str:
        return self._name_among((*self.handlers, *self.dead_letter_handlers), handler)

    def _name_among(self, handlers: Sequence[Handler | DeadLetterHandler], handler: str | Function) -> str:
        names = {each.name for each in handlers}
        named = [each.name for each in handlers if each.function == handler]
        name = handler if isinstance(handler, str) else (named or [name_of(handler)])[0]
        if name not in names:
            known = f"there is {', '.join(sorted(names))}" if names else "none is registered"
            raise ConfigurationError(f"there is no handler {name}; {known}")
        return name

    def include(self, router: Router) -> None:
        """Take over the handlers and middleware of `router`, behind those that are here, and close it.

        Nothing can be registered with it any more, since that would never run.

        Raises:
            ConfigurationError: nothing was taken over: a name is taken, a middleware is here already, or two classes claim the same documents.
        """
        given: object = router
        if not isinstance(given, Router):
            named = getattr(router, "__name__", type(router).__name__)
            raise ConfigurationError(f"include(...) takes a router, such as Router(), not {named}")
        if router is self:
            raise ConfigurationError("a router cannot include itself")
        before = self._registered()
        try:
            for handler in router._handlers:
                self._add(handler)
            for handler in router._fallbacks:
                self._add_fallback(handler)
            for dead_letter_handler in router._dead_letter_handlers:
                self._add_dead_letter_handler(dead_letter_handler)
            for middleware in router.middlewares:
                self._add_middleware(middleware)
        except ConfigurationError:
            self._handlers, self._fallbacks, self._dead_letter_handlers, self.middlewares, self._by_route = before
            self._of_whole_orders = any(handler.whole_order for handler in self._handlers)
            self._certain.clear()
            raise
        router._included = True

    def _registered(self) -> _Registered:
        by_route = {route: [*handlers] for route, handlers in self._by_route.items()}
        return [*self._handlers], [*self._fallbacks], [*self._dead_letter_handlers], self.middlewares, by_route

    def match(self, event: Event) -> tuple[Handler, ...]:
        """Return the handlers that would run for `event`, the most specific route first.

        A predicate that raises fails as its handler would: the handler is returned, and raises when it is run. Behind
        the handlers of an item comes the one that makes whole orders of items, if a handler is for these.
        """
        cls = type(event)
        if cls in self._certain:
            return self._certain[cls]
        candidates = [handler for above in cls.__mro__ for handler in self._by_route.get(above, ())]
        if isinstance(event, UnknownEvent):
            # One without a name is no event, so it is not for those who asked for all events.
            named = self._by_route.get(event.event, []) + candidates
            candidates = named if event.event else self._by_route.get(UnknownEvent, [])
        is_whole, fallbacks, last = issubclass(cls, WholeOrder), self._fallbacks, []
        if is_whole:
            candidates, fallbacks = [handler for handler in candidates if handler.whole_order], []
        elif self._of_whole_orders and self._collector is not None:
            candidates = [handler for handler in candidates if not handler.whole_order]
            last = [self._collector] if issubclass(cls, ImageryEvent) else []
        elif self._of_whole_orders and not issubclass(cls, _ENDS):
            candidates = [handler for handler in candidates if not handler.whole_order]
        # By name: a function that is registered for several routes is one handler, and runs once.
        found: dict[str, Handler] = {}
        for handler in candidates:
            if wanting := _if_wanted(handler, event):
                found.setdefault(handler.name, wanting)
        matching = (*(found.values() or fallbacks), *last)
        if not isinstance(event, UnknownEvent) and all(handler.where is None for handler in candidates):
            self._certain[cls] = matching
        return matching

    def _add(self, handler: Handler) -> None:
        self._reject_clash(handler)
        if isinstance(handler.route, str):
            self._registry.add_name(handler.route)
        else:
            self._registry.add(handler.route)
        self._handlers.append(handler)
        self._of_whole_orders |= handler.whole_order
        self._by_route.setdefault(handler.route, []).append(handler)

    def _add_fallback(self, handler: Handler) -> None:
        self._reject_clash(handler)
        self._fallbacks.append(handler)

    def _add_dead_letter_handler(self, handler: DeadLetterHandler) -> None:
        if any(other.name == handler.name for other in self._dead_letter_handlers):
            name = handler.name.removeprefix(DEAD_LETTER_HANDLER)
            raise ConfigurationError(f"two dead-letter handlers are named {name}: rename one of them")
        self._dead_letter_handlers.append(handler)

    def _add_middleware(self, middleware: Middleware) -> None:
        self._reject_late(middleware.name)
        if any(other.function == middleware.function for other in self.middlewares):
            raise ConfigurationError(f"{middleware.name} would run twice round each attempt: register it only once")
        self.middlewares += (middleware,)

    def _reject_late(self, name: str) -> None:
        if self._included:
            raise ConfigurationError(
                f"{name} comes too late, its router is included already: register first, then include"
            )

    def _reject_clash(self, handler: Handler) -> None:
        self._certain.clear()
        self._reject_late(handler.name)
        for other in self.handlers:
            # One function may serve several routes; it is then one handler, under one name.
            same = other.function == handler.function and other.route != handler.route
            if other.name == handler.name and not same:
                modules = {
                    each.function.__module__ for each in (other, handler) if hasattr(each.function, "__module__")
                }
                why = f" (one of the module {', one of '.join(sorted(modules))})" if len(modules) > 1 else ""
                raise ConfigurationError(f"two handlers are named {handler.name}{why}: give one of them name=...")
            if same and other.name == handler.name and other.limits != handler.limits:
                raise ConfigurationError(
                    f"{handler.name} is one handler for several events: give it the same concurrency=... and rate=... "
                    "for each of them, or a name=... for each"
                )


def _check_name(event: str) -> None:
    """Reject a name that no event has, so that its handler would never run."""
    if isinstance(event, OrderStatus):
        cls = _OF_STATUS.get(event)
        where = f"@hooks.on(OrderStatusChanged, where=lambda event: event.status == OrderStatus.{event.name})"
        raise ConfigurationError(
            f"OrderStatus.{event.name} is a status, and no event's name: "
            + (where if cls is None else f"@hooks.on({cls.__name__})")
        )
    if not event or event != event.strip():
        raise ConfigurationError(
            f"on(...) takes an event's name without white space around it, not {str(event)!r}: "
            + (f"@hooks.on({event.strip()!r})" if event.strip() else "@hooks.on(Event) is for all events")
        )


def _check_whole_order(whole_order: object, event: Route) -> None:
    """Reject a handler of whole orders that would never get one."""
    if not isinstance(whole_order, bool):
        raise ConfigurationError(f"whole_order=... is True or False, not {whole_order!r}")
    if whole_order and event not in _OF_WHOLE_ORDERS:
        given = event if isinstance(event, str) else event.__name__
        raise ConfigurationError(
            "whole_order=True is for ImageryReady, ImageryPartlyReady, ImageryFailed or ImageryEvent, which tell how an "
            f"order has ended, not for {given}: @hooks.on(ImageryReady, whole_order=True)"
        )


def check_options(name: str | None, backoff: Backoff | None, timeout: float | None) -> None:
    """Reject options of a handler that cannot work.

    Raises:
        ConfigurationError: one is of another type, or out of its range.
    """
    given: object = name
    if given is not None and not is_name(given):
        raise ConfigurationError(
            f'name=... of a handler is a text, such as "download", in one line without white space around it, '
            f"not {given!r}"
        )
    given = backoff
    if not isinstance(given, Backoff | None):
        raise ConfigurationError(f"backoff=... is a Backoff, such as Backoff(attempts=5), not {given!r}")
    given = timeout
    if given is not None and (not is_number(given) or not 0 < given < float("inf")):
        raise ConfigurationError(f"timeout is a number of seconds above 0, such as timeout=60, not {given!r}")


def _if_wanted(handler: Handler, event: Event) -> Handler | None:
    if handler.where is None:
        return handler
    try:
        wanted: object = handler.where(event)
        if inspect.isawaitable(wanted):
            raise TypeError("where=... handed back an awaitable, which would always hold")
        return handler if wanted else None
    except Exception as error:
        failure = error

        async def fail(event: Event) -> None:
            raise failure

        return replace(handler, function=fail)
