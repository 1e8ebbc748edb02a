"""The simulator of a provider: its API, orders that advance, and real deliveries of what the API notifies of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

import httpx

from ...errors import ApiError, ConfigurationError
from ...senders.up42.models import Webhook
from ..base import BaseSimulator, ignored, known
from ..faults import FaultPlan, Sleep
from ..options import SimulatorOptions
from ..payloads import dump
from ..scheduler import OnAttempt
from .base import Files, ProviderApi, url_problem
from .copernicus import Copernicus
from .ogc import OgcProcesses
from .planet import PlanetOrders
from .skyfi import SkyFi

PROVIDERS: dict[str, type[ProviderApi]] = {
    "copernicus": Copernicus,
    "ogc": OgcProcesses,
    "planet": PlanetOrders,
    "skyfi": SkyFi,
}
"""The APIs that can be played, by the names of the providers."""


class ProviderSimulator(BaseSimulator):
    """A simulation of a provider; `provider_app` serves its API. Its state is in memory.

    Args:
        provider: the name of the provider, one of `PROVIDERS`.
        options: the simulator's options; by default the provider's rules.
        pace: the seconds between two statuses of an order; None to advance no order by itself.
        webhook: the URL that is notified of orders that name none: of https, or of this machine.
        clock: returns the time in Unix seconds; for tests.
        sleep: waits for a number of seconds; for tests.
        on_attempt: called after each attempt of a delivery.

    Raises:
        ConfigurationError: there is no such provider, or the URL is none of these.
    """

    def __init__(
        self,
        provider: str,
        options: SimulatorOptions | None = None,
        *,
        pace: float | None = 1.0,
        webhook: str | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
        on_attempt: OnAttempt = ignored,
    ) -> None:
        if provider not in PROVIDERS:
            raise ConfigurationError(f"there is no player of {provider!r}; there are {', '.join(PROVIDERS)}")
        if problem := url_problem(webhook):
            raise ConfigurationError(f"the webhook of {provider}: {problem}")
        self.provider = provider
        self.api = PROVIDERS[provider]()
        super().__init__(options or self.api.rules, clock=clock, sleep=sleep, on_attempt=on_attempt)
        self.api.clock = clock
        self.api.webhook = webhook
        self.api.changed = self._changed
        self._pace = pace
        self.orders: dict[str, str] = {}
        """The statuses of the orders, by their ids."""

    @property
    def faults(self) -> FaultPlan:
        """The fault plan of the deliveries that are made from now on; may be set, as far as it is about no signature.

        Raises:
            ApiError: it is about a signature, and this provider signs nothing.
        """
        return self.store.faults

    @faults.setter
    def faults(self, faults: FaultPlan) -> None:
        if faults.late or faults.wrong_secret or faults.forged or faults.rotate_after:
            raise ApiError(f"{self.provider} signs nothing: copies, reorder, drip and lose are its faults", status=400)
        self.scheduler.use(faults)

    def status(self, order_id: str) -> str:
        """Return the status of an order.

        Raises:
            ApiError: there is no such order.
        """
        return known(self.orders.get(order_id), "order", order_id)

    def create(self, count: int = 1, files: Files | None = None) -> list[str]:
        """Add orders that name no URL, and return their ids."""
        return [self.api.create(files) for _ in range(count)]

    def word(self, order_id: str, status: str) -> str:
        """Return the provider's word for a status: its own, or what it says for FULFILLED and FAILED_PERMANENTLY.

        Raises:
            ApiError: there is no such order, or it cannot fail.
        """
        self.status(order_id)
        found = {"FULFILLED": self.api.way(order_id)[-1], "FAILED_PERMANENTLY": self.api.failure(order_id)}.get(
            status, status
        )
        if not found:
            raise ApiError(f"nothing fails at {self.provider}", status=409)
        return found

    def move(self, order_id: str, status: str) -> None:
        """Set an order's status, and notify of it.

        Raises:
            ApiError: there is no such order, or it cannot fail.
        """
        self.api.put(order_id, self.word(order_id, status), self.api.now)

    def walk(self, order_id: str, to: str = "FULFILLED", *, pace: float = 1.0) -> list[str]:
        """Move an order in the background through the usual statuses up to a last one; return the statuses to come.

        Args:
            order_id: the order's id.
            to: the last status.
            pace: seconds between two statuses.

        Raises:
            ApiError: there is no such order, or `to` is not ahead of it.
        """
        last, status, whole = self.word(order_id, to), self.status(order_id), [*self.api.way(order_id)]
        begin = whole.index(status) + 1 if status in whole else len(whole)
        end = whole.index(last) if last in whole else len(whole) - 1
        if last in whole[:begin] or not (status in whole or last not in whole):
            raise ApiError(f"the order is {status}, and {last} is not ahead of it", status=409)
        way = [*whole[begin:end], last]
        self._walk_on(self._walk(order_id, status, way, pace))
        return way

    async def _walk(self, order_id: str, status: str, way: list[str], pace: float) -> None:
        for each in way:
            await self._sleep(pace)
            if self.orders.get(order_id) != status:
                return  # the order was moved from elsewhere: this walk is over
            self.api.put(order_id, each, self.api.now)
            status = each

    def _changed(self, id: str, status: str) -> None:
        is_new = id not in self.orders
        self.orders[id] = status
        for url, body in self.api.notifications(id, status):
            self.scheduler.deliver([self._webhook(url)], f"{self.provider} {status}", dump(body), id)
        way = [*self.api.way(id)]
        if is_new and self._pace is not None and status in way[:-1]:
            self._walk_on(self._walk(id, status, way[way.index(status) + 1 :], self._pace))

    def _webhook(self, url: str) -> Webhook:
        """Return the webhook for a URL. There is one for each that was notified."""
        id, now = str(uuid5(NAMESPACE_URL, url)), datetime.fromtimestamp(self.clock(), UTC)
        found = self.store.webhooks.get(id)
        if found is None:
            name = httpx.URL(url).host
            found = Webhook(id=id, name=name, url=url, events=("order",), active=True, created_at=now, updated_at=now)
            self.store.webhooks.put(found)
        return found
