"""The owner of deliveries that are born leased: a worker of this process, as an inbox sees it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from .records import Claim


class Owner:
    """A worker's sign of life, and its hands. It ends with the worker; one that has ended never begins again.

    Args:
        receiver: the name of the receiver whose deliveries the worker handles.
        room: returns how many deliveries the worker would take now. Called in any thread.
        take: hands claims to the worker, and returns at once; False if it has ended. Called in any thread.
        clock: returns the time by which its leases run, in seconds. Called in any thread.
    """

    def __init__(
        self,
        receiver: str,
        room: Callable[[], int],
        take: Callable[[Owner, Sequence[Claim]], bool],
        clock: Callable[[], float],
    ) -> None:
        self.token = secrets.randbits(62)
        """What stands with each delivery that is born leased."""
        self.receiver = receiver
        self.clock = clock
        self.in_hand: set[str] = set()
        """The ids of the deliveries that were handed to the worker, and that it has not let go of."""
        self.handed = self.taken = 0
        """How many were handed over or claimed, and how many of them have come."""
        self.seen: int | None = None
        """For the inbox: up to where it has looked after its deliveries; None before its sign of life has begun."""
        self._room = room
        self._take = take

    def room(self) -> int:
        """Return how many deliveries may be born leased now."""
        return max(0, self._room() - self.on_their_way)

    @property
    def on_their_way(self) -> int:
        """How many deliveries take room, but have not come yet."""
        return self.handed - self.taken

    def count(self, claimed: int) -> Callable[[], None]:
        """Count deliveries that the worker has claimed, and that will come; return a function that takes that back."""
        self.handed += claimed

        def undo() -> None:
            self.handed -= claimed

        return undo

    def expect(self, claims: Sequence[Claim]) -> Callable[[], None]:
        """Count deliveries that will be handed over once they are committed; return a function that takes that back."""
        self.handed += len(claims)
        self.in_hand.update(claim.delivery.id for claim in claims)
        return lambda: self.give_up(claims)

    def give_up(self, claims: Sequence[Claim]) -> None:
        """Give up deliveries that were expected, and are not handed over."""
        self.handed -= len(claims)
        self.in_hand.difference_update(claim.delivery.id for claim in claims)

    def hand_over(self, claims: Sequence[Claim]) -> None:
        """Hand deliveries that were expected to the worker. Called by whoever completes the commit."""
        if not self._take(self, claims):
            self.give_up(claims)  # the sign of life ends by itself
