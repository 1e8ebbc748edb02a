"""What a type checker has to say about handlers; only checked, never run.

Every line that must be rejected carries an ignore, which both checkers heed; both are told to complain about
one that is not needed, so that a checker that accepts such a line fails.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, assert_type

from pydantic import BaseModel

from webhook_receiver import (
    Attempt,
    Backoff,
    CallNext,
    Delivery,
    Event,
    FailedAttempt,
    ImageryEvent,
    ImageryFailed,
    ImageryPartlyReady,
    ImageryProgress,
    ImageryReady,
    OrderFailedPermanently,
    OrderFulfilled,
    OrderStatus,
    OrderStatusChanged,
    Router,
    UnknownEvent,
    WebhookReceiver,
)

hooks = WebhookReceiver(secret="typed")


@hooks.on(OrderFulfilled)
async def download(order: OrderFulfilled) -> int:
    return assert_type(order.order_id, str | None) is None


@hooks.on(OrderFulfilled)
def with_attempt(order: OrderFulfilled, attempt: Attempt) -> str:
    return attempt.idempotency_key


@hooks.on(OrderFulfilled)
@hooks.on(OrderFailedPermanently)
def both(order: OrderStatusChanged) -> None:
    assert_type(order.status, OrderStatus)


@hooks.on_fulfilled
def shorthand(order: OrderFulfilled) -> None:
    assert_type(order.body.status, Literal[OrderStatus.FULFILLED])


@hooks.on("a.name", where=lambda event: event.event == "a.name")
def by_name(event: UnknownEvent) -> None: ...


@hooks.on(OrderFulfilled, backoff=Backoff(attempts=3), timeout=60)
async def bounded(order: OrderFulfilled, attempt: Attempt) -> int:
    return attempt.number


@hooks.on("another.name", backoff=Backoff(first=1), timeout=0.5)
def bounded_by_name(event: UnknownEvent) -> None: ...


@hooks.on_dead
async def mourn(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> str:
    return assert_type(attempts[0].error, str) + delivery.id


@hooks.on_dead
def mourn_in_a_thread(delivery: Delivery, attempts: Sequence[FailedAttempt], again: bool = False) -> int:
    return len(attempts)


@hooks.fallback
def rest(event: Event) -> None: ...


@hooks.middleware
async def around(attempt: Attempt, call_next: CallNext, quiet: bool = False) -> int:
    assert_type(await call_next(), None)
    return attempt.number


@Router().middleware
async def around_an_included_routers(attempt: Attempt, call_next: Callable[[], Awaitable[object]]) -> None:
    await call_next()


@hooks.on_fulfilled()
async def with_parentheses(order: OrderFulfilled) -> int:
    return assert_type(order.order_id, str | None) is None


@hooks.fallback()
def rest_with_parentheses(event: Event, attempt: Attempt) -> str:
    return attempt.handler


@hooks.on_fulfilled(concurrency=2, rate="10/s")
def limited(order: OrderFulfilled) -> None: ...


@hooks.on_dead(rate="10/min")
def hears_seldom(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> None: ...


@hooks.on_dead()
def mourn_with_parentheses(delivery: Delivery, attempts: Sequence[FailedAttempt]) -> int:
    return len(attempts)


@hooks.middleware()
async def around_with_parentheses(attempt: Attempt, call_next: CallNext) -> str:
    return attempt.handler


class Parcel(BaseModel, frozen=True):
    number: str


class ParcelDelivered(Event, frozen=True):
    event: Literal["parcel.delivered"]
    body: Parcel


@hooks.on(ParcelDelivered, where=lambda parcel: parcel.body.number == "7")
def celebrate(parcel: ParcelDelivered) -> None: ...


images = Router()


@images.on(ImageryReady, where=lambda image: image.provider == "planet")
async def download_from_anybody(image: ImageryReady, attempt: Attempt) -> str:
    assert_type(image.provider, str)
    assert_type(image.order_id, str | None)
    assert_type(image.items, tuple[str, ...])
    assert_type(image.status, str)
    assert_type(image.document, Mapping[str, Any])
    assert_type(image.expires_at, datetime | None)
    return attempt.handler


@images.on(ImageryPartlyReady)
@images.on(ImageryFailed)
@images.on(ImageryProgress)
def whatever_else(image: ImageryEvent) -> None: ...


@images.on(ImageryReady, whole_order=True, where=lambda image: image.item_count == 3)
async def download_all(image: ImageryReady, attempt: Attempt) -> int:
    assert_type(image.item_count, int | None)
    assert_type(image.failed_items, tuple[str, ...])
    assert_type(image.late, bool)
    return attempt.number


@images.on(ImageryEvent, whole_order=True)
def whatever_ends(image: ImageryEvent) -> None: ...


class Moved(Event, ABC, frozen=True):
    """An abstract class of the user's."""


@images.on(Moved)
def moved(event: Moved) -> None: ...


async def the_types_are_kept(order: OrderFulfilled, attempt: Attempt, call_next: CallNext) -> None:
    assert_type(await download(order=order), int)
    assert_type(with_attempt(order, attempt=attempt), str)
    assert_type(both(order), None)
    assert_type(await bounded(order, attempt=attempt), int)
    assert_type(await mourn(attempt.delivery, attempts=[]), str)
    assert_type(mourn_in_a_thread(attempt.delivery, [], again=True), int)
    assert_type(await around(attempt, call_next=call_next, quiet=True), int)
    assert_type(await with_parentheses(order=order), int)
    assert_type(rest_with_parentheses(order, attempt=attempt), str)
    assert_type(mourn_with_parentheses(attempt.delivery, []), int)
    assert_type(await around_with_parentheses(attempt, call_next), str)
    assert_type(await download_from_anybody(order, attempt=attempt), str)
    assert_type(whatever_else(order), None)
    assert_type(await download_all(order, attempt=attempt), int)
    assert_type(celebrate(ParcelDelivered(event="parcel.delivered", body=Parcel(number="7"))), None)


def wrong_event(order: OrderFailedPermanently) -> None: ...
def too_narrow(order: OrderFulfilled) -> None: ...
def takes_one_provider(image: OrderFulfilled) -> None: ...
def three(order: OrderFulfilled, attempt: Attempt, third: int) -> None: ...
def wrong_second(order: OrderFulfilled, session: int) -> None: ...
def nothing() -> None: ...
def hears_events(event: Event, attempts: Sequence[FailedAttempt]) -> None: ...
def hears_too_little(delivery: Delivery) -> None: ...
def hears_wrong_attempts(delivery: Delivery, attempts: list[Attempt]) -> None: ...
def not_async(attempt: Attempt, call_next: CallNext) -> None: ...
async def around_a_delivery(delivery: Delivery, call_next: CallNext) -> None: ...
async def without_next(attempt: Attempt) -> None: ...
async def next_with_argument(attempt: Attempt, call_next: Callable[[Attempt], Awaitable[None]]) -> None: ...


hooks.on(OrderFulfilled)(wrong_event)  # type: ignore[arg-type]
hooks.on(OrderStatusChanged)(too_narrow)  # type: ignore[arg-type]
hooks.on(OrderFulfilled)(three)  # type: ignore[arg-type]
hooks.on(OrderFulfilled)(wrong_second)  # type: ignore[arg-type]
hooks.on(OrderFulfilled)(nothing)  # type: ignore[arg-type]
hooks.on_failed_permanently(too_narrow)  # type: ignore[arg-type]
hooks.on_failed_permanently()(too_narrow)  # type: ignore[arg-type]
hooks.on_fulfilled(name="mine")  # type: ignore[call-overload]
hooks.fallback(too_narrow)  # type: ignore[arg-type]
Router().on("a.name")(too_narrow)  # type: ignore[arg-type]
hooks.on(int)  # type: ignore[type-var]
hooks.on(OrderFulfilled, where=lambda order: order.nonsense)  # type: ignore[attr-defined]
hooks.on(OrderFulfilled, where=7)  # type: ignore[call-overload]
hooks.on(OrderFulfilled, backoff=3)  # type: ignore[call-overload]
hooks.on("a.name", timeout="1m")  # type: ignore[call-overload]
hooks.on(OrderFulfilled, backoff=Backoff())(wrong_event)  # type: ignore[arg-type]
hooks.on_dead(hears_events)  # type: ignore[type-var]
hooks.on_dead(hears_too_little)  # type: ignore[type-var]
hooks.on_dead(hears_wrong_attempts)  # type: ignore[type-var]
hooks.middleware(not_async)  # type: ignore[type-var]
hooks.middleware(around_a_delivery)  # type: ignore[type-var]
hooks.middleware(without_next)  # type: ignore[type-var]
hooks.middleware(next_with_argument)  # type: ignore[type-var]
hooks.middleware()(not_async)  # type: ignore[type-var]
hooks.on_dead()(hears_events)  # type: ignore[type-var]
hooks.on(OrderFulfilled, concurrency="2")  # type: ignore[call-overload]
hooks.on_fulfilled(rate=10)  # type: ignore[call-overload]
hooks.fallback(rate="10/s")(too_narrow)  # type: ignore[arg-type]
hooks.on_dead(concurrency=1)(hears_events)  # type: ignore[type-var]
images.on(ImageryReady)(takes_one_provider)  # type: ignore[arg-type]
images.on(ImageryFailed)(download_from_anybody)  # type: ignore[arg-type]
images.on(ImageryReady, where=lambda image: image.nonsense)  # type: ignore[attr-defined]
images.on(ImageryReady, whole_order=True)(takes_one_provider)  # type: ignore[arg-type]
images.on(ImageryReady, whole_order="yes")  # type: ignore[call-overload]
images.on("planet.order.ready", whole_order=True)  # type: ignore[call-overload]
