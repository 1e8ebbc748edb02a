"""The catalog: which event class a document belongs to, decided and built in one pass over its bytes.

A class claims documents by its literals: `OrderFulfilled` those whose `event` is `order.status` and whose
`body.status` is `FULFILLED`. All classes become one pydantic validator that looks these values up, so that
a thousand classes cost what one costs, and a document that a class claims is of that class or an error.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from .errors import ConfigurationError, NotAnEvent
from .events import (
    Event,
    JobStatusChanged,
    OrderFailedPermanently,
    OrderFulfilled,
    OrderStatusChanged,
    Path,
    UnknownEvent,
)
from .reasons import reason

Value = str | int
Claims = Mapping[Path, frozenset[Value]]

BUILT_IN: tuple[type[Event], ...] = (
    OrderStatusChanged,
    OrderFulfilled,
    OrderFailedPermanently,
    JobStatusChanged,
)


class Catalog:
    """The event classes that a receiver knows, and how a body becomes one of them.

    Args:
        order_id_paths: where the id of an order is, for the classes of `order.status`; theirs if None.
    """

    def __init__(self, order_id_paths: Sequence[Path] | None = None) -> None:
        self._order_id_paths = order_id_paths
        self._claims: dict[type[Event], Claims] = {}
        self._owners: dict[Value, list[type[Event]]] = {}
        self._names: set[str] = set()
        self._validate: Callable[[bytes], Event] | None = None
        for cls in BUILT_IN:
            self.add(cls)

    def add(self, cls: type[Event]) -> None:
        """Let documents become `cls`.

        Raises:
            ConfigurationError: it is not fully defined, has no literal `event`, or another class claims the same.
        """
        if cls in self._claims or cls in (Event, UnknownEvent):
            return
        try:
            cls.model_rebuild()  # nothing, unless it was declared before a class that it names
        except (PydanticUserError, PydanticUndefinedAnnotation) as error:
            raise ConfigurationError(f"{cls.__name__} is not fully defined: {error.message}") from None
        claims = _claims(cls)
        name = claims.get(_name_path(cls))
        if name is None:
            raise ConfigurationError(
                f"{cls.__name__} does not say which events are its own: "
                f'give it a literal name, such as `event: Literal["shipment.created"]`'
            )
        for other in [owner for value in name for owner in self._owners.get(value, [])]:
            if _overlap(cls, claims, other, self._claims[other]):
                raise ConfigurationError(
                    f"{cls.__name__} and {other.__name__} claim the same documents ({_describe(claims)}): "
                    f"make one a subclass of the other, or tell them apart by a literal"
                )
        if taken := self._names & name:
            raise ConfigurationError(
                f"{cls.__name__} claims {taken.pop()!r}, for which a handler was registered by name"
            )
        self._claims[cls] = claims
        for value in name:
            self._owners.setdefault(value, []).append(cls)
        self._validate = None

    def add_name(self, name: str) -> None:
        """Leave events of this name without a class.

        Raises:
            ConfigurationError: a class claims them.
        """
        if owners := self._owners.get(name):
            cls = owners[0].__name__
            raise ConfigurationError(f"the events named {name!r} are of the class {cls}: register for {cls} instead")
        self._names.add(name)

    def build(self) -> Callable[[bytes], Event]:
        """Make the validator for all classes; done at start, so that no delivery has to wait for it."""
        if self._validate is None:
            self._validate = _validator({self._with_paths(cls): c for cls, c in self._claims.items()})
        return self._validate

    def parse(self, body: bytes) -> Event:
        """Return the event that `body` is.

        Raises:
            NotAnEvent: it is not JSON, has no name, or lacks what its class needs.
        """
        try:
            return (self._validate or self.build())(body)
        except ValidationError as error:
            raise NotAnEvent(reason(error)) from None
        except _Refused as refused:
            cls = refused.cls
        try:
            return cls.model_validate_json(body)  # again, for errors that speak of this class alone
        except ValidationError as error:
            raise NotAnEvent(f"{reason(error)} (read as {cls.__name__})") from None

    def _with_paths(self, cls: type[Event]) -> type[Event]:
        if self._order_id_paths is None or not issubclass(cls, OrderStatusChanged):
            return cls
        here: type[OrderStatusChanged] = create_model(
            cls.__name__, __base__=cls, __module__=cls.__module__, __doc__=cls.__doc__
        )
        here.order_id_paths = tuple(self._order_id_paths)
        return here


class _Refused(Exception):
    """A class claims the document, which does not fit it. No ValueError, which a union would step over."""

    def __init__(self, cls: type[Event]) -> None:
        self.cls = cls


def _validator(claims: Mapping[type[Event], Claims]) -> Callable[[bytes], Event]:
    unknown = _unknown_event(claims)

    class AnyEvent:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
            choices = {event: _or_refused(event, handler) for event in [*claims, unknown]}
            known = _tree(choices, claims, list(claims), frozenset())
            return core_schema.union_schema([known, choices[unknown]], mode="left_to_right")

    adapter: TypeAdapter[Any] = TypeAdapter(AnyEvent)
    return adapter.validator.validate_json


def _or_refused(cls: type[Event], handler: GetCoreSchemaHandler) -> CoreSchema:
    def refuse(document: object) -> None:
        raise _Refused(cls)

    refusal = core_schema.no_info_plain_validator_function(refuse)
    return core_schema.union_schema([handler.generate_schema(cls), refusal], mode="left_to_right")


def _tree(
    choices: Mapping[type[Event], CoreSchema],
    claims: Mapping[type[Event], Claims],
    classes: list[type[Event]],
    spent: frozenset[Path],
) -> CoreSchema:
    """Tell `classes` apart by one path after the other; those that claim nothing more come last."""
    options: list[CoreSchema | tuple[CoreSchema, str]] = []
    while classes:
        path = next((path for cls in classes for path in claims[cls] if path not in spent), None)
        if path is None:
            # They overlap, so each is a subclass of another: the narrowest stands for all.
            options.append(choices[max(classes, key=lambda cls: len(cls.__mro__))])
            break
        by_value: dict[Value, list[type[Event]]] = {}
        for cls in classes:
            for value in claims[cls].get(path, ()):
                by_value.setdefault(value, []).append(cls)
        branches: dict[Hashable, CoreSchema] = {
            value: _tree(choices, claims, owners, spent | {path}) for value, owners in by_value.items()
        }
        keys: list[str | int] = [*path]
        options.append(core_schema.tagged_union_schema(branches, discriminator=[keys]))
        classes = [cls for cls in classes if path not in claims[cls]]
    return core_schema.union_schema(options, mode="left_to_right")


def _unknown_event(claims: Mapping[type[Event], Claims]) -> type[UnknownEvent]:
    """Return UnknownEvent, reading the name wherever one of the classes has it."""
    places = {_name_path(cls): None for cls in claims}
    if len(places) == 1:
        return UnknownEvent
    own_first = sorted(places, key=lambda path: path == ("event",))
    alias = AliasChoices(*(AliasPath(*path) for path in own_first))
    field = (str, Field(validation_alias=alias))
    return create_model("UnknownEvent", __base__=UnknownEvent, __module__=UnknownEvent.__module__, event=field)


def _claims(model: type[BaseModel], above: tuple[type[BaseModel], ...] = ()) -> Claims:
    """Return the literal values that a document of this model has, by their path."""
    found: dict[Path, frozenset[Value]] = {}
    for name, info in model.model_fields.items():
        path = _wire_path(name, info)
        if path is None:
            continue
        if get_origin(info.annotation) is Literal:
            found[path] = frozenset(text for value in get_args(info.annotation) for text in _spellings(value))
        elif isinstance(below := info.annotation, type) and issubclass(below, BaseModel) and below not in above:
            found |= {path + rest: values for rest, values in _claims(below, (*above, model)).items()}
    return {path: values for path, values in found.items() if values}


def _spellings(value: object) -> set[Value]:
    """Return what stands for a literal in JSON: a member of an enum may be spelt in two ways."""
    if not isinstance(value, Enum):
        return {value} if isinstance(value, str | int) and not isinstance(value, bool) else set()
    if not isinstance(value.value, str):
        return _spellings(value.value)
    spaced = value.value.replace("_", " ")
    try:
        return {value.value, spaced} if type(value)(spaced) is value else {value.value}
    except ValueError:
        return {value.value}


def _name_path(cls: type[Event]) -> Path:
    return _wire_path("event", cls.model_fields["event"]) or ("event",)


def _wire_path(name: str, info: FieldInfo) -> Path | None:
    """Return where the sender's document has this field; None where it may be at several places."""
    alias = info.validation_alias
    if isinstance(alias, AliasPath):
        return tuple(str(key) for key in alias.path)
    return (alias or name,) if not isinstance(alias, AliasChoices) else None


def _overlap(one: type[Event], one_claims: Claims, two: type[Event], two_claims: Claims) -> bool:
    """Whether some document may be claimed by both, and neither is the other's refinement."""
    if issubclass(one, two) or issubclass(two, one) or _name_path(one) != _name_path(two):
        return False
    return all(one_claims[path] & two_claims[path] for path in one_claims.keys() & two_claims.keys())


def _describe(claims: Claims) -> str:
    return ", ".join(f"{'.'.join(path)}: {' or '.join(map(str, sorted(v, key=str)))}" for path, v in claims.items())
