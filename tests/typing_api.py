"""What a type checker has to say about handlers; only checked, never run.

Every line that must be rejected carries an ignore, which both checkers heed; both are told to complain about
one that is not needed, so that a checker that accepts such a line fails.
"""

from __future__ import annotations

from typing import Literal, assert_type

from pydantic import BaseModel

from webhook_receiver import (
    Attempt,
    Event,
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


@hooks.fallback
def rest(event: Event) -> None: ...


class Parcel(BaseModel, frozen=True):
    number: str


class ParcelDelivered(Event, frozen=True):
    event: Literal["parcel.delivered"]
    body: Parcel


@hooks.on(ParcelDelivered, where=lambda parcel: parcel.body.number == "7")
def celebrate(parcel: ParcelDelivered) -> None: ...


async def the_types_are_kept(order: OrderFulfilled, attempt: Attempt) -> None:
    assert_type(await download(order=order), int)
    assert_type(with_attempt(order, attempt=attempt), str)
    assert_type(both(order), None)
    assert_type(celebrate(ParcelDelivered(event="parcel.delivered", body=Parcel(number="7"))), None)


def wrong_event(order: OrderFailedPermanently) -> None: ...
def too_narrow(order: OrderFulfilled) -> None: ...
def three(order: OrderFulfilled, attempt: Attempt, third: int) -> None: ...
def wrong_second(order: OrderFulfilled, session: int) -> None: ...
def nothing() -> None: ...


hooks.on(OrderFulfilled)(wrong_event)  # type: ignore[arg-type]
hooks.on(OrderStatusChanged)(too_narrow)  # type: ignore[arg-type]
hooks.on(OrderFulfilled)(three)  # type: ignore[arg-type]
hooks.on(OrderFulfilled)(wrong_second)  # type: ignore[arg-type]
hooks.on(OrderFulfilled)(nothing)  # type: ignore[arg-type]
hooks.on_failed_permanently(too_narrow)  # type: ignore[arg-type]
hooks.fallback(too_narrow)  # type: ignore[arg-type]
Router().on("a.name")(too_narrow)  # type: ignore[arg-type]
hooks.on(int)  # type: ignore[type-var]
hooks.on(OrderFulfilled, where=lambda order: order.nonsense)  # type: ignore[attr-defined]
hooks.on(OrderFulfilled, where=7)  # type: ignore[call-overload]
