"""Routes: which handlers an event goes to. Registering, matching and running are kept apart."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from types import UnionType
from typing import Annotated, Any, Generic, ParamSpec, Protocol, TypeVar, Union, get_args, get_origin, overload

from anyio.to_thread import run_sync

from .delivery import Attempt, Delivery
from .errors import ConfigurationError
from .event_registry import EventRegistry
from .events import Event, OrderFailedPermanently, OrderFulfilled, UnknownEvent
from .inbox.records import DEAD_LETTER_HANDLER, FailedAttempt
from .options import Backoff

E = TypeVar("E", bound=Event)
E_contra = TypeVar("E_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
P = ParamSpec("P")
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


class HandlerDecorator(Generic[E]):
    """A decorator that registers a handler and returns it as it came, with its type."""

    def __init__(self, register: Callable[[Function], None]) -> None:
        self._register = register

    # The last two are for mypy, which sees no P in what it knows as a mere Callable, and say better what is wrong.
    @overload
    def __call__(self, handler: TakesEvent[E, P, R]) -> Callable[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, handler: TakesAttempt[E, P, R]) -> Callable[P, R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, handler: Callable[[E], R]) -> Callable[[E], R]: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, handler: Callable[[E, Attempt], R]) -> Callable[[E, Attempt], R]: ...  # pyright: ignore[reportOverlappingOverload]
    def __call__(self, handler: Callable[..., R]) -> Callable[..., R]:
        self._register(handler)
        return handler


class Router:
    """Collects handlers, here or in another module, for a receiver to include."""

    def __init__(self, registry: EventRegistry | None = None) -> None:
        self._registry = registry or EventRegistry()
        self._handlers: list[Handler] = []
        self._fallbacks: list[Handler] = []
        self._notices: list[DeadLetterHandler] = []
        self._by_route: dict[Route, list[Handler]] = {}
        self._certain: dict[type[Event], tuple[Handler, ...]] = {}
        """What `match` found for classes of which every event goes the same way."""
        self._included = False

    @overload
    def on(
        self,
        event: type[E],
        *,
        where: Callable[[E], bool] | None = None,
        name: str | None = None,
        backoff: Backoff | None = None,
        timeout: float | None = None,
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
    ) -> HandlerDecorator[UnknownEvent]: ...
    def on(
        self,
        event: Route,
        *,
        where: Predicate | None = None,
        name: str | None = None,
        backoff: Backoff | None = None,
        timeout: float | None = None,
    ) -> HandlerDecorator[Any]:
        """Register a handler for an event: a class, with all below it, or a name that no class has.

        The handler, a function or an async function, takes the event and, if it has a second positional
        parameter, the attempt. A plain function runs in a thread.

        Args:
            event: `OrderFulfilled`, a class of your own, `Event` for all; or "shipment.created".
            where: narrows the route further; called with the event, on the loop.
            name: the handler's name, where `module:qualname` will not do.
            backoff: when it is run again after a failure; with an inbox only.
            timeout: seconds that one run may take; with an inbox only.

        Raises:
            ConfigurationError: the route or the handler's signature cannot work, or its name is taken.
        """
        if not isinstance(event, str) and not (isinstance(event, type) and issubclass(event, Event)):
            raise ConfigurationError(
                f"on(...) takes an event class or an event's name, as in @hooks.on(OrderFulfilled), not {event!r}"
            )
        if where is not None and (not callable(where) or inspect.iscoroutinefunction(where)):
            raise ConfigurationError(f"where=... takes a plain function of the event, not {type(where).__name__}")
        if timeout is not None and not 0 < timeout < float("inf"):
            raise ConfigurationError(f"timeout is a number of seconds above 0, not {timeout!r}")
        return HandlerDecorator(
            lambda function: self._add(Handler(name or name_of(function), function, event, where, backoff, timeout))
        )

    @property
    def on_fulfilled(self) -> HandlerDecorator[OrderFulfilled]:
        """Register a handler for orders that are fulfilled: `@hooks.on_fulfilled`."""
        return self.on(OrderFulfilled)

    @property
    def on_failed_permanently(self) -> HandlerDecorator[OrderFailedPermanently]:
        """Register a handler for orders that have failed for good: `@hooks.on_failed_permanently`."""
        return self.on(OrderFailedPermanently)

    @property
    def fallback(self) -> HandlerDecorator[Event]:
        """Register a handler for the events that no other handler wants: `@hooks.fallback`."""
        return HandlerDecorator(lambda function: self._add_fallback(Handler(name_of(function), function, Event)))

    def on_dead(self, function: HearsOfDead) -> HearsOfDead:
        """Register a function that hears of dead letters: `@hooks.on_dead`. It needs an inbox.

        It gets the delivery and its failed attempts, after it is settled that the delivery is dead; at least once,
        and again by the worker's `Backoff` if it fails itself.

        Raises:
            ConfigurationError: it cannot be called with these two, or its name is taken.
        """
        self._add_notice(DeadLetterHandler(DEAD_LETTER_HANDLER + name_of(function), function))
        return function

    @property
    def dead_letter_handlers(self) -> tuple[DeadLetterHandler, ...]:
        """Who hears of dead letters, in order of registration."""
        return tuple(self._notices)

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """All handlers in order of registration, fallbacks last."""
        return (*self._handlers, *self._fallbacks)

    def name_of(self, handler: str | Function) -> str:
        """Return the name of a handler, given as that or as its function.

        Raises:
            ConfigurationError: there is no such handler.
        """
        names = {each.name for each in self.handlers}
        named = [each.name for each in self.handlers if each.function == handler]
        name = handler if isinstance(handler, str) else (named or [name_of(handler)])[0]
        if name not in names:
            raise ConfigurationError(f"there is no handler {name}; there is {', '.join(sorted(names)) or 'none'}")
        return name

    def include(self, router: Router) -> None:
        """Take over all handlers of `router` and close it: what it were given later would never run.

        Raises:
            ConfigurationError: a handler's name is taken, or two classes claim the same documents.
        """
        if router is self:
            raise ConfigurationError("a router cannot include itself")
        for handler in router._handlers:
            self._add(handler)
        for handler in router._fallbacks:
            self._add_fallback(handler)
        for notice in router._notices:
            self._add_notice(notice)
        router._included = True

    def match(self, event: Event) -> tuple[Handler, ...]:
        """Return the handlers that would run for `event`, the most specific route first.

        A predicate that raises fails as its handler would: the handler is returned, and raises when it is run.
        """
        cls = type(event)
        if cls in self._certain:
            return self._certain[cls]
        candidates = [handler for above in cls.__mro__ for handler in self._by_route.get(above, ())]
        if isinstance(event, UnknownEvent):
            candidates = self._by_route.get(event.event, []) + candidates
        # By name: a function that is registered for several routes is one handler, and runs once.
        found: dict[str, Handler] = {}
        for handler in candidates:
            if wanting := _if_wanted(handler, event):
                found.setdefault(handler.name, wanting)
        matching = tuple(found.values() or self._fallbacks)
        if not isinstance(event, UnknownEvent) and all(handler.where is None for handler in candidates):
            self._certain[cls] = matching
        return matching

    def _add(self, handler: Handler) -> None:
        self._refuse_clash(handler)
        if isinstance(handler.route, str):
            self._registry.add_name(handler.route)
        else:
            self._registry.add(handler.route)
        self._handlers.append(handler)
        self._by_route.setdefault(handler.route, []).append(handler)

    def _add_fallback(self, handler: Handler) -> None:
        self._refuse_clash(handler)
        self._fallbacks.append(handler)

    def _add_notice(self, notice: DeadLetterHandler) -> None:
        if any(other.name == notice.name for other in self._notices):
            raise ConfigurationError(
                f"two functions are named {notice.name.removeprefix(DEAD_LETTER_HANDLER)} and hear of the dead"
            )
        self._notices.append(notice)

    def _refuse_clash(self, handler: Handler) -> None:
        self._certain.clear()
        if self._included:
            raise ConfigurationError(
                f"{handler.name} comes too late, its router is included already: register first, then include"
            )
        for other in self.handlers:
            # One function may serve several routes; it is then one handler, under one name.
            same = other.function == handler.function and other.route != handler.route
            if other.name == handler.name and not same:
                raise ConfigurationError(f"two handlers are named {handler.name}: give one of them name=...")


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


Function = Callable[..., Any]
Route = type[Event] | str
Predicate = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Handler:
    """A user's function and the route it is registered for.

    Raises:
        ConfigurationError: the function cannot be called with an event, or with an event and an attempt.
    """

    name: str
    """`module:qualname` unless it was given one; its state is kept under it."""
    function: Function
    route: Route
    where: Predicate | None = None
    backoff: Backoff | None = None
    """When it is run again after a failure; the receiver's own if None."""
    timeout: float | None = None
    """Seconds that one run may take; the worker's own if None."""
    takes_attempt: bool = field(init=False)
    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "takes_attempt", _takes_attempt(self))
        object.__setattr__(self, "is_async", _is_async(self.function))

    def call(self, event: Event, delivery: Delivery, number: int) -> Awaitable[object]:
        """Call the function: on the loop if it is async, else in a thread. Await what this returns."""
        arguments = (event, Attempt(delivery, self.name, number)) if self.takes_attempt else (event,)
        return call(self.function, arguments, is_async=self.is_async)


@dataclass(frozen=True, slots=True)
class DeadLetterHandler:
    """A user's function that wants to hear of dead letters.

    Raises:
        ConfigurationError: the function cannot be called with a delivery and its attempts.
    """

    name: str
    function: Function
    backoff: Backoff | None = None
    timeout: float | None = None
    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        _refuse_generator(self.name, self.function)
        try:
            inspect.signature(self.function).bind(None, None)
        except TypeError as error:
            raise ConfigurationError(
                f"{self.name} cannot be called with a dead delivery and the list of its attempts: {error}"
            ) from None
        except ValueError:
            pass  # it hides its parameters
        object.__setattr__(self, "is_async", _is_async(self.function))

    def call(self, delivery: Delivery, attempts: Sequence[object], number: int) -> Awaitable[object]:
        """Call the function; `number` counts the runs, and is nothing to it. Await what this returns."""
        return call(self.function, (delivery, attempts), is_async=self.is_async)


def call(function: Function, arguments: tuple[object, ...], *, is_async: bool) -> Awaitable[object]:
    """Call a user's function: on the loop if it is async, else in a thread. Await what this returns."""
    return function(*arguments) if is_async else _in_thread(function, arguments)


async def _in_thread(function: Function, arguments: tuple[object, ...]) -> None:
    # A thread cannot be stopped: when its time is up nobody waits for it any more.
    result = await run_sync(function, *arguments, abandon_on_cancel=True)
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError("the handler handed back a generator, which nothing runs")
    if inspect.isawaitable(result):  # a plain function may hand one back
        await result


def name_of(function: Function) -> str:
    """Return `module:qualname`.

    Raises:
        ConfigurationError: it is not callable, or has no name of its own.
    """
    if not callable(function):
        raise ConfigurationError(f"a handler is a function, not {type(function).__name__}")
    try:
        return f"{function.__module__}:{function.__qualname__}"
    except AttributeError:
        kind = type(function).__name__
        raise ConfigurationError(f"a {kind} has no name to keep its state under: give it name=...") from None


def _is_async(function: Function) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 - an object's own async __call__ counts, too
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _takes_attempt(handler: Handler) -> bool:
    """Whether the handler wants the attempt; refuses one that could not be called."""
    function = handler.function
    _refuse_generator(handler.name, function)
    parameters = _parameters(function)
    if parameters is None:
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    _refuse_unfillable(handler, parameters, positional)
    if positional:
        given = UnknownEvent if isinstance(handler.route, str) else handler.route
        _refuse_annotation(handler, positional[0], given)
    if len(positional) < 2:
        return False
    second = positional[1]
    if second.default is not second.empty and not _names_attempt(second.annotation):
        return False  # a parameter of the user's own, with a value of its own
    _refuse_annotation(handler, second, Attempt)
    return True


def _refuse_generator(name: str, function: Function) -> None:
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in _layers(function)):
        raise ConfigurationError(f"{name} is a generator: calling it would run nothing")


def _layers(function: Function) -> list[object]:
    """Return what may be what runs: the function, what it wraps, and the method that makes an object callable."""
    return [function, inspect.unwrap(function), getattr(function, "__call__", None)]  # noqa: B004


def _names_attempt(annotation: Any) -> bool:
    return annotation is Attempt or any(_names_attempt(each) for each in get_args(annotation))


def _parameters(function: Function) -> list[inspect.Parameter] | None:
    """Return the function's parameters, annotations resolved if they can be; None if it hides them."""
    for resolve in (True, False):
        try:
            return list(inspect.signature(function, eval_str=resolve).parameters.values())
        except (NameError, AttributeError, SyntaxError):
            continue  # an annotation that only type checkers can resolve
        except (ValueError, TypeError):
            return None
    return None


def _refuse_unfillable(
    handler: Handler, parameters: list[inspect.Parameter], positional: list[inspect.Parameter]
) -> None:
    if not positional and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise ConfigurationError(f"{handler.name} takes no positional parameter: it could not get the event")
    for parameter in parameters:
        if "Depends" in {type(each).__name__ for each in (parameter.default, *_metadata(parameter.annotation))}:
            raise ConfigurationError(
                f"the parameter {parameter.name!r} of {handler.name} asks for a FastAPI dependency, "
                "which only FastAPI's own routes get: call it inside the handler"
            )
        required = parameter.default is parameter.empty
        if required and (parameter.kind is parameter.KEYWORD_ONLY or parameter in positional[2:]):
            raise ConfigurationError(
                f"nothing fills the parameter {parameter.name!r} of {handler.name}: "
                "a handler gets the event and the attempt, by position; give it a default"
            )


def _refuse_annotation(handler: Handler, parameter: inspect.Parameter, given: type) -> None:
    if not _accepts(parameter.annotation, given):
        wanted = _unwrapped(parameter.annotation)
        wanted = getattr(wanted, "__name__", wanted)
        raise ConfigurationError(
            f"the parameter {parameter.name!r} of {handler.name} is annotated {wanted}, "
            f"but gets {'an' if given.__name__[0] in 'AEIOU' else 'a'} {given.__name__}"
        )


def _unwrapped(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _metadata(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()


def _accepts(annotation: Any, given: type) -> bool:
    """Whether a value of the class `given` fits; True also where only a type checker could tell."""
    annotation = _unwrapped(annotation)
    if get_origin(annotation) in (Union, UnionType):
        return any(_accepts(each, given) for each in get_args(annotation))
    annotation = get_origin(annotation) or annotation  # dict[str, str] is a dict
    if not isinstance(annotation, type) or annotation is inspect.Parameter.empty:
        return True
    try:
        return issubclass(given, annotation)
    except TypeError:  # a protocol that is not made for it
        return True
