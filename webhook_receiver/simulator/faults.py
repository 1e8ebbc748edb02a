"""Faults of deliveries, on demand and repeatable: copies, loss, reordering, bad signatures, slow bodies."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Self

from pydantic import ConfigDict, Field, SecretStr, field_serializer, model_validator

from ..senders.up42.models import Resource

Sleep = Callable[[float], Awaitable[object]]
"""A function that waits for a number of seconds."""

_PIECES = 20  # pieces of a slow body


class FaultPlan(Resource):
    """The faults of deliveries; by default none."""

    model_config = ConfigDict(extra="forbid")

    copies: Annotated[int, Field(ge=1, le=1000)] = 1
    """The number of times that each is delivered, each time as a delivery of its own."""
    reorder: Annotated[int, Field(ge=0, le=1000)] = 0
    """Hold back deliveries until there are this many, then deliver the last one first; 0 holds back none."""
    late: Annotated[float, Field(ge=0, le=1e8)] = 0
    """Seconds by which the signing time, `created`, lies in the past."""
    wrong_secret: bool = False
    """Whether they are signed with a secret that no receiver has."""
    forged: bool = False
    """Whether another body is sent under a genuine signature."""
    drip: Annotated[float, Field(ge=0, le=3600)] = 0
    """Seconds over which the body is sent in pieces."""
    lose: Annotated[float, Field(ge=0, le=1)] = 0
    """The share of deliveries that are never made, from 0 to 1: a backfill has to find them."""
    seed: int = 0
    """The seed of the choice of lost deliveries: the same seed loses the same ones."""
    rotate_after: Annotated[int, Field(ge=0)] = 0
    """The number of deliveries after which the webhook gets the secret `rotate_to`; 0 never changes it."""
    rotate_to: SecretStr | None = None
    """The webhook's new secret."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if bool(self.rotate_after) != bool(self.rotate_to and self.rotate_to.get_secret_value()):
            raise ValueError("rotateAfter and rotateTo go together")
        return self

    @field_serializer("rotate_to", when_used="json")
    def _in_clear(self, secret: SecretStr | None) -> str | None:
        return None if secret is None else secret.get_secret_value()

    def loses(self, number: int) -> bool:
        """Whether the delivery of this number, counted from 1 since the simulator began, is lost."""
        return random.Random(f"{self.seed}:{number}").random() < self.lose  # noqa: S311 - it is to be repeatable


NONE = FaultPlan()


async def dripped(body: bytes, seconds: float, sleep: Sleep) -> AsyncIterator[bytes]:
    """Yield the body piece by piece, over a number of seconds."""
    size = max(1, -(-len(body) // _PIECES))
    for start in range(0, len(body), size):
        await sleep(seconds / _PIECES)
        yield body[start : start + size]
