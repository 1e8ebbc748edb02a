"""The parameters of a user's function: whether it can be called as a handler, and whether it takes the attempt.

Theory of operation
-------------------
What is registered is what is called, so its own parameters decide, not those of the function that it wraps:
`functools.wraps` lends a decorator's function the signature of the one inside. Only where the wrapper takes anything,
by `*args`, the next function inside is asked, for one thing alone: whether a parameter behind its first one is the
attempt's, by its annotation or its name. All others a wrapper may fill by itself, before or behind the event.

An annotation that is a text, as by `from __future__ import annotations`, is resolved by itself. One that cannot be
resolved, since its name is imported for type checkers only, is read: `Attempt | None` names the attempt.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from ..delivery import Attempt
from ..errors import ConfigurationError

_DEPENDENCIES = frozenset(("Depends", "Security"))
"""FastAPI's classes of what asks for a dependency."""
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def takes_attempt(name: str, function: Callable[..., Any], event: type) -> bool:
    """Return whether a handler takes the attempt behind the event.

    Args:
        name: the handler's name, for errors.
        function: the function that is called.
        event: the class of the events that it gets.

    Raises:
        ConfigurationError: the function could not be called with an event, or with an event and an attempt.
    """
    reject_generator(name, function)
    parameters = _parameters(function)
    if parameters is None:
        return False
    positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
    _reject_unfillable(name, parameters, positional)
    if positional:
        _reject_method(name, function, positional[0])
        _reject_annotation(name, positional[0], event)
    if len(positional) < 2:
        return _is_variadic(parameters) and _inside_takes_attempt(name, function, event)
    second = positional[1]
    if second.default is not second.empty and not _names_attempt(second.annotation):
        return False  # a parameter of the user's own, with a value of its own
    _reject_annotation(name, second, Attempt)
    return True


def _inside_takes_attempt(name: str, function: Callable[..., Any], event: type) -> bool:
    """Return whether the attempt is for the function that a wrapper with `*args` calls."""
    inside: Callable[..., Any] | None = getattr(function, "__wrapped__", None)
    parameters = None if inside is None else _parameters(inside)
    if inside is None or parameters is None:
        return False
    positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
    if positional:
        _reject_method(name, inside, positional[0])
        if not any(_accepts(parameter.annotation, event) for parameter in positional):
            _reject_annotation(name, positional[0], event)
    if len(positional) < 2:
        return _is_variadic(parameters) and _inside_takes_attempt(name, inside, event)
    for before, parameter in pairwise(positional):
        if _is_attempts(parameter):
            # One with a default is left to it, unless it is right behind the event, and so at its place by position.
            is_behind_event = before is positional[0] or (
                before.annotation is not before.empty and _accepts(before.annotation, event)
            )
            return parameter.default is parameter.empty or is_behind_event
    return False


def _is_attempts(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    return _names_attempt(annotation) or (annotation is parameter.empty and parameter.name == "attempt")


def reject_dependencies(name: str, function: Callable[..., Any]) -> None:
    """Reject a function that asks for a dependency of FastAPI's, which nothing here gives it."""
    for parameter in _parameters(function) or ():
        _reject_dependency(name, parameter)


def reject_uncallable(name: str, function: Callable[..., Any], given: str) -> None:
    """Reject a function that could not be called with the two arguments that `given` names."""
    reject_dependencies(name, function)
    try:
        inspect.signature(function, follow_wrapped=False).bind(None, None)
    except TypeError as error:
        raise ConfigurationError(f"{name} cannot be called with {given}: {error}") from None
    except ValueError:
        pass  # it hides its parameters


def reject_generator(name: str, function: Callable[..., Any]) -> None:
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in _layers(function)):
        raise ConfigurationError(f"{name} is a generator: calling it would run nothing")


def _layers(function: Callable[..., Any]) -> list[object]:
    """Return what may be what runs: the function, what it wraps, and the method that makes an object callable."""
    return [function, inspect.unwrap(function), getattr(function, "__call__", None)]  # noqa: B004


def _names_attempt(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return re.search(r"\bAttempt\b", annotation) is not None
    return annotation is Attempt or any(_names_attempt(each) for each in get_args(annotation))


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """Return the function's own parameters, each annotation resolved if it can be; None if it hides them."""
    if isinstance(function, staticmethod):  # decorated in the body of a class
        function = function.__func__
    try:
        parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
    except (ValueError, TypeError):
        return None
    names = _names_known_to(function)
    return [parameter.replace(annotation=_resolved(parameter.annotation, names)) for parameter in parameters]


def _names_known_to(function: Any) -> dict[str, Any]:
    """Return the names in the modules of a function and of what it wraps, which lends it its annotations."""
    return {"Attempt": Attempt} | _globals(function) | _globals(inspect.unwrap(function))


def _globals(function: Any) -> dict[str, Any]:
    if isinstance(function, partial):
        return _globals(function.func)
    function = getattr(function, "__func__", function)  # of a method
    return getattr(function, "__globals__", None) or getattr(type(function).__call__, "__globals__", {})


def _resolved(annotation: Any, names: dict[str, Any]) -> Any:
    """Return the value of an annotation that is a text; the text itself if only a type checker could tell."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, names)  # noqa: S307 - the user's code, as inspect does it
    except Exception:
        return annotation


def _is_variadic(parameters: Sequence[inspect.Parameter]) -> bool:
    return any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)


def _reject_method(name: str, function: Callable[..., Any], first: inspect.Parameter) -> None:
    """Reject a function that is decorated in the body of a class: it would get the event as `self`."""
    if first.name in ("self", "cls") and first.annotation is first.empty:
        raise ConfigurationError(
            f"{name} is a method, and nothing fills its {first.name!r}: "
            f"register the method of an object, as in hooks.on(OrderFulfilled)(service.{function.__name__})"
        )


def _reject_unfillable(
    name: str, parameters: Sequence[inspect.Parameter], positional: Sequence[inspect.Parameter]
) -> None:
    if not positional and not _is_variadic(parameters):
        raise ConfigurationError(f"{name} takes no positional parameter: it could not get the event")
    for parameter in parameters:
        _reject_dependency(name, parameter)
        required = parameter.default is parameter.empty
        if required and (parameter.kind is parameter.KEYWORD_ONLY or parameter in positional[2:]):
            raise ConfigurationError(
                f"nothing fills the parameter {parameter.name!r} of {name}: "
                "a handler gets the event and the attempt, by position; give it a default"
            )


def _reject_dependency(name: str, parameter: inspect.Parameter) -> None:
    if _DEPENDENCIES & {type(each).__name__ for each in (parameter.default, *_metadata(parameter.annotation))}:
        raise ConfigurationError(
            f"the parameter {parameter.name!r} of {name} asks for a FastAPI dependency, "
            "which only FastAPI's own routes get: give it to the handler by a middleware, as \"Dependencies of "
            'handlers" in docs/mounting.md shows'
        )


def _reject_annotation(name: str, parameter: inspect.Parameter, given: type) -> None:
    if not _accepts(parameter.annotation, given):
        wanted = _unwrapped(parameter.annotation)
        wanted = getattr(wanted, "__name__", wanted)
        raise ConfigurationError(
            f"the parameter {parameter.name!r} of {name} is annotated {wanted}, "
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
    if annotation is Any or not isinstance(annotation, type) or annotation is inspect.Parameter.empty:
        return True  # Any is a class since Python 3.11
    try:
        return issubclass(given, annotation)
    except TypeError:  # a protocol that is not made for it
        return True
