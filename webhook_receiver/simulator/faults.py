"""Mischief: what goes wrong with deliveries on their way, on demand and the same every time."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Self

from pydantic import ConfigDict, Field, SecretStr, field_serializer, model_validator

from ..senders.up42.models import Resource

Sleep = Callable[[float], Awaitable[object]]
"""Waits so many seconds."""

_BITES = 20  # into how many pieces a slow body is cut


class FaultPlan(Resource):
    """What is done to the deliveries that are made from now on; by default nothing is."""

    model_config = ConfigDict(extra="forbid")

    copies: Annotated[int, Field(ge=1, le=1000)] = 1
    """How often each is delivered, as a delivery of its own."""
    reorder: Annotated[int, Field(ge=0, le=1000)] = 0
    """Hold them until there are so many, then deliver the last one first; 0 holds none."""
    late: Annotated[float, Field(ge=0, le=1e8)] = 0
    """Sign them as of so many seconds ago: an old `created`."""
    wrong_secret: bool = False
    """Sign them with a secret that nobody has."""
    forged: bool = False
    """Put another body under a genuine signature."""
    drip: Annotated[float, Field(ge=0, le=3600)] = 0
    """Send the body in pieces over so many seconds."""
    lose: Annotated[float, Field(ge=0, le=1)] = 0
    """The share of deliveries that are never made, as a number from 0 to 1: what a backfill has to find."""
    seed: int = 0
    """Which ones are lost: with the same seed the same ones."""
    rotate_after: Annotated[int, Field(ge=0)] = 0
    """Give the webhook the secret `rotate_to` after so many deliveries; 0 never does."""
    rotate_to: SecretStr | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if bool(self.rotate_after) != bool(self.rotate_to and self.rotate_to.get_secret_value()):
            raise ValueError("rotateAfter and rotateTo go together")
        return self

    @field_serializer("rotate_to", when_used="json")
    def _in_clear(self, secret: SecretStr | None) -> str | None:
        return None if secret is None else secret.get_secret_value()

    def loses(self, number: int) -> bool:
        """Whether the delivery of this number, counted from the first the sender ever made, is lost."""
        return random.Random(f"{self.seed}:{number}").random() < self.lose  # noqa: S311 - it is to be repeatable


NONE = FaultPlan()


async def dripped(body: bytes, seconds: float, sleep: Sleep) -> AsyncIterator[bytes]:
    """Yield the body piece by piece, over so many seconds."""
    size = max(1, -(-len(body) // _BITES))
    for start in range(0, len(body), size):
        await sleep(seconds / _BITES)
        yield body[start : start + size]
