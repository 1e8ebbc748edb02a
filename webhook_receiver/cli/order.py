"""`order` and `mischief`: what the local test server does, told to it from the command line."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import typer

from ..errors import ConfigurationError
from ..events import OrderStatus
from ..options import seconds
from ..senders.up42.client import segment
from ..senders.up42.models import Problem
from ..simulator import control_api
from ..simulator.faults import FaultPlan
from . import output
from .inbox_option import Json, fail

order = typer.Typer(help="Orders of the local test server: create them, and have them fulfilled.", no_args_is_help=True)

SenderUrl = Annotated[
    str, typer.Option("--sender", envvar="UP42_URL", metavar="URL", help="Where `webhook-receiver sender` is.")
]
OrderId = Annotated[str, typer.Argument(metavar="ORDER", help="The order's id.")]
HERE = "http://127.0.0.1:8042"


@order.command()
def create(
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 1,
    status: Annotated[
        OrderStatus, typer.Option(help="What they begin with; FULFILLED delivers at once.")
    ] = OrderStatus.CREATED,
    name: Annotated[str, typer.Option(help="What they are called.")] = "",
    type: Annotated[str, typer.Option(help="ARCHIVE or TASKING.")] = "ARCHIVE",
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be repeated.")] = None,
    assets: Annotated[int, typer.Option(min=0, help="How many assets each has once it is fulfilled.")] = 1,
    asset_size: Annotated[int, typer.Option(min=0, help="Of each, in bytes.")] = 1 << 20,
    sender: SenderUrl = HERE,
    as_json: Json = False,
) -> None:
    """Create orders."""
    wanted = {"count": count, "status": status, "displayName": name, "type": type, "tags": tag}
    _show(
        _ask(sender, "POST", control_api.ORDERS, wanted | {"assets": assets, "assetSize": asset_size}), as_json=as_json
    )


@order.command()
def ls(
    status: Annotated[list[OrderStatus] | None, typer.Option(help="Only in this status; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    sender: SenderUrl = HERE,
    as_json: Json = False,
) -> None:
    """List orders, newest first."""
    _show(_ask(sender, "GET", control_api.ORDERS, query={"status": status or [], "limit": limit}), as_json=as_json)


@order.command()
def fulfill(order_id: OrderId, sender: SenderUrl = HERE, as_json: Json = False) -> None:
    """Have an order fulfilled: its assets are there, and it is told of."""
    _move(sender, order_id, OrderStatus.FULFILLED, as_json=as_json)


@order.command("fail")
def fail_(order_id: OrderId, sender: SenderUrl = HERE, as_json: Json = False) -> None:
    """Have an order fail permanently."""
    _move(sender, order_id, OrderStatus.FAILED_PERMANENTLY, as_json=as_json)


@order.command()
def walk(
    order_id: OrderId,
    to: Annotated[OrderStatus, typer.Option(help="Where it ends.")] = OrderStatus.FULFILLED,
    pace: Annotated[str, typer.Option(help="How long it is in each status.")] = "1s",
    sender: SenderUrl = HERE,
    as_json: Json = False,
) -> None:
    """Move an order through the statuses on its way, one after the other."""
    try:
        between = seconds(pace)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--pace") from None
    way = _ask(sender, "POST", control_api.WALK.format(order_id=_segment(order_id)), {"to": to, "pace": between})
    if as_json:
        output.say_json({"orderId": order_id, "way": way, "pace": between})
    else:
        output.say(output.printable(f"{order_id} becomes {', '.join(way)}: one every {between:g} s"))


@order.command()
def deliveries(
    order_id: Annotated[str | None, typer.Argument(metavar="[ORDER]", help="Only of this order.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    sender: SenderUrl = HERE,
    as_json: Json = False,
) -> None:
    """List deliveries, newest first, with what was answered; --json has their headers and bodies."""
    query = {"limit": limit} | ({"orderId": order_id} if order_id else {})
    found = _ask(sender, "GET", control_api.DELIVERIES, query=query)
    if as_json:
        for each in found:
            output.say_json(each)
        return
    rows = [
        (
            each["id"],
            each["event"],
            each["orderId"] or "",
            each["ended"] or "waiting",
            " ".join(str(made["status"] or "-") for made in each["attempts"]),
        )
        for each in found
    ]
    headings = ("delivery", "event", "order", "became", "answers")
    output.table(headings, [[output.printable(cell) for cell in row] for row in rows])


@order.command()
def replay(
    delivery_id: Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id, as `order deliveries` has it.")],
    sender: SenderUrl = HERE,
    as_json: Json = False,
) -> None:
    """Deliver the same body again."""
    again = _ask(sender, "POST", control_api.REPLAY.format(delivery_id=_segment(delivery_id)))
    output.say_json(again) if as_json else output.say(f"delivered again as {output.printable(again['id'])}")


def mischief(
    copies: Annotated[int | None, typer.Option(help="Deliver each so often.")] = None,
    reorder: Annotated[int | None, typer.Option(help="Hold so many, then deliver the last one first.")] = None,
    late: Annotated[float | None, typer.Option(help="Sign as of so many seconds ago.")] = None,
    wrong_secret: Annotated[bool, typer.Option("--wrong-secret", help="Sign with a secret nobody has.")] = False,
    forged: Annotated[bool, typer.Option("--forged", help="Put another body under the signature.")] = False,
    drip: Annotated[float | None, typer.Option(help="Send the body over so many seconds.")] = None,
    lose: Annotated[float | None, typer.Option(help="Never deliver this share, from 0 to 1.")] = None,
    seed: Annotated[int | None, typer.Option(help="Which ones are lost.")] = None,
    rotate_after: Annotated[int | None, typer.Option(help="Change the secret after so many deliveries.")] = None,
    rotate_to: Annotated[str | None, typer.Option(help="The secret that it then is.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Do no harm any more.")] = False,
    sender: SenderUrl = HERE,
    as_json: Json = False,
) -> None:
    """Say what goes wrong with the local test server's deliveries from now on; without options, tell what does."""
    given: dict[str, Any] = {
        "copies": copies,
        "reorder": reorder,
        "late": late,
        "wrongSecret": wrong_secret or None,
        "forged": forged or None,
        "drip": drip,
        "lose": lose,
        "seed": seed,
        "rotateAfter": rotate_after,
        "rotateTo": rotate_to,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    if none and wanted:
        raise typer.BadParameter("it goes with no other option", param_hint="--none")
    told = _ask(sender, "PUT" if none or wanted else "GET", control_api.MISCHIEF, wanted if none or wanted else None)
    if as_json:
        output.say_json(told)
        return
    harm = {name: value for name, value in told.items() if value != FaultPlan().as_json().get(name)}
    if "rotateTo" in harm:
        harm["rotateTo"] = "***"
    output.say(output.printable(", ".join(f"{name} {value}" for name, value in harm.items()) or "none"))


def _move(sender: str, order_id: str, status: OrderStatus, *, as_json: bool) -> None:
    moved = _ask(sender, "POST", control_api.STATUS.format(order_id=_segment(order_id)), {"status": status})
    _show([moved], as_json=as_json)


def _segment(id: str) -> str:
    """Return an id as a part of a path."""
    try:
        return segment(id)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None


def _show(orders: list[Any], *, as_json: bool) -> None:
    if as_json:
        for each in orders:
            output.say_json(each)
        return
    rows = [[output.printable(each[name]) for name in ("id", "status", "type", "displayName")] for each in orders]
    output.table(("order", "status", "type", "name"), rows)


def _ask(sender: str, method: str, path: str, body: Any = None, query: Any = None) -> Any:
    """Ask the sender's control API; end the command with a sentence where it does not do it."""
    try:
        with httpx.Client(base_url=sender.rstrip("/"), timeout=60, trust_env=False) as client:
            answer = client.request(method, path, json=body, params=query)
            told: Any = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        said = str(error) or type(error).__name__
        raise fail(f"no sender answers at {sender} ({said}): start it with `webhook-receiver sender`") from None
    except ValueError:
        raise fail(f"what answers at {sender} is no sender of ours: give its address with --sender") from None
    if answer.is_error:
        try:
            message = Problem.model_validate(told["error"]).message
        except (LookupError, TypeError, ValueError):
            message = f"{sender} answered {answer.status_code}: is it `webhook-receiver sender`?"
        raise fail(output.printable(message))
    return told
