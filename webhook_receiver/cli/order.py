"""`order` and `faults`: drive the simulator from the command line."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..errors import ConfigurationError
from . import output
from .options import Group, Json, span_of
from .output import fail

order = typer.Typer(cls=Group, help="Create, move and list orders in the simulator.", no_args_is_help=True)

SimulatorUrl = Annotated[
    str, typer.Option("--simulator", envvar="UP42_URL", metavar="URL", help="The simulator's URL.")
]
OrderId = Annotated[str, typer.Argument(metavar="ORDER", help="The order's id.")]
HERE = "http://127.0.0.1:8042"
CREATED, FULFILLED, FAILED_PERMANENTLY = "CREATED", "FULFILLED", "FAILED_PERMANENTLY"


def _checked(status: str) -> str:
    """Return a status of an order, if there is such a one."""
    from ..events import OrderStatus

    if status not in set(OrderStatus):
        raise typer.BadParameter(f"{status!r} is none of {', '.join(OrderStatus)}")
    return status


def _all_checked(statuses: list[str] | None) -> list[str] | None:
    """Return statuses of orders, if there are such ones."""
    return None if statuses is None else [*map(_checked, statuses)]


@order.command()
def create(
    count: Annotated[int, typer.Option(min=1, max=10_000, help="The number of orders.")] = 1,
    status: Annotated[
        str,
        typer.Option(callback=_checked, metavar="STATUS", help="Their first status; a final one is delivered at once."),
    ] = CREATED,
    name: Annotated[str, typer.Option(help="Their display name.")] = "",
    type: Annotated[str, typer.Option(help="ARCHIVE or TASKING.")] = "ARCHIVE",
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be repeated.")] = None,
    assets: Annotated[int, typer.Option(min=0, help="The number of assets of each fulfilled order.")] = 1,
    asset_size: Annotated[int, typer.Option(min=0, help="The size of each asset, in bytes.")] = 1 << 20,
    simulator: SimulatorUrl = HERE,
    as_json: Json = False,
) -> None:
    """Create orders."""
    from ..simulator import control_api

    wanted = {"count": count, "status": status, "displayName": name, "type": type, "tags": tag}
    _show(
        _ask(simulator, "POST", control_api.ORDERS, wanted | {"assets": assets, "assetSize": asset_size}),
        as_json=as_json,
    )


@order.command()
def ls(
    status: Annotated[
        list[str] | None,
        typer.Option(callback=_all_checked, metavar="STATUS", help="Only orders in this status; may be repeated."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The largest number to list.")] = 100,
    simulator: SimulatorUrl = HERE,
    as_json: Json = False,
) -> None:
    """List orders, newest first."""
    from ..simulator import control_api

    _show(_ask(simulator, "GET", control_api.ORDERS, query={"status": status or [], "limit": limit}), as_json=as_json)


@order.command()
def fulfill(order_id: OrderId, simulator: SimulatorUrl = HERE, as_json: Json = False) -> None:
    """Fulfill an order. It gets its assets, and a notification is delivered."""
    _move(simulator, order_id, FULFILLED, as_json=as_json)


@order.command("fail")
def fail_(order_id: OrderId, simulator: SimulatorUrl = HERE, as_json: Json = False) -> None:
    """Fail an order permanently; a notification is delivered."""
    _move(simulator, order_id, FAILED_PERMANENTLY, as_json=as_json)


@order.command()
def walk(
    order_id: OrderId,
    to: Annotated[str, typer.Option(callback=_checked, metavar="STATUS", help="The last status.")] = FULFILLED,
    pace: Annotated[str, typer.Option(help="The time between two statuses.")] = "1s",
    simulator: SimulatorUrl = HERE,
    as_json: Json = False,
) -> None:
    """Move an order through its statuses, one after the other."""
    from ..simulator import control_api

    between = span_of(pace, "--pace")
    way = _ask(simulator, "POST", control_api.WALK.format(order_id=_segment(order_id)), {"to": to, "pace": between})
    if as_json:
        output.say_json({"orderId": order_id, "way": way, "pace": between})
    else:
        output.say(output.printable(f"{order_id} becomes {', '.join(way)}: one every {between:g} s"))


@order.command()
def deliveries(
    order_id: Annotated[str | None, typer.Argument(metavar="ORDER", help="Only deliveries of this order.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The largest number to list.")] = 100,
    simulator: SimulatorUrl = HERE,
    as_json: Json = False,
) -> None:
    """List deliveries and their responses, newest first. --json includes headers and bodies."""
    from ..simulator import control_api

    query = {"limit": limit} | ({"orderId": order_id} if order_id else {})
    found = _ask(simulator, "GET", control_api.DELIVERIES, query=query)
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
    headings = ("delivery", "event", "order", "result", "responses")
    output.table(headings, [[output.printable(cell) for cell in row] for row in rows])


@order.command()
def replay(
    delivery_id: Annotated[
        str, typer.Argument(metavar="DELIVERY", help="The delivery's id, as in `order deliveries`.")
    ],
    simulator: SimulatorUrl = HERE,
    as_json: Json = False,
) -> None:
    """Deliver the same body again."""
    from ..simulator import control_api

    again = _ask(simulator, "POST", control_api.REPLAY.format(delivery_id=_segment(delivery_id)))
    output.say_json(again) if as_json else output.say(f"delivered again as {output.printable(again['id'])}")


def faults(
    copies: Annotated[int | None, typer.Option(help="Make this many copies of each delivery.")] = None,
    reorder: Annotated[int | None, typer.Option(help="Hold back this many, then deliver the last one first.")] = None,
    late: Annotated[float | None, typer.Option(help="Sign with a time this many seconds ago.")] = None,
    wrong_secret: Annotated[bool, typer.Option("--wrong-secret", help="Sign with a wrong secret.")] = False,
    forged: Annotated[bool, typer.Option("--forged", help="Send another body under the signature.")] = False,
    drip: Annotated[float | None, typer.Option(help="Send the body slowly, over this many seconds.")] = None,
    lose: Annotated[float | None, typer.Option(help="The share of deliveries to lose, from 0 to 1.")] = None,
    seed: Annotated[int | None, typer.Option(help="The seed that selects the lost ones.")] = None,
    rotate_after: Annotated[int | None, typer.Option(help="Change the secret after this many deliveries.")] = None,
    rotate_to: Annotated[str | None, typer.Option(help="The new secret.")] = None,
    none: Annotated[bool, typer.Option("--none", help="End all faults.")] = False,
    simulator: SimulatorUrl = HERE,
    as_json: Json = False,
) -> None:
    """Set or show the faults of the simulator's deliveries. Without options, they are shown."""
    from ..simulator import FaultPlan, control_api

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
        raise typer.BadParameter("it cannot be combined with other options", param_hint="--none")
    plan = _ask(simulator, "PUT" if none or wanted else "GET", control_api.FAULTS, wanted if none or wanted else None)
    if as_json:
        output.say_json(plan)
        return
    shown = {name: value for name, value in plan.items() if value != FaultPlan().as_json().get(name)}
    if "rotateTo" in shown:
        shown["rotateTo"] = "***"
    output.say(output.printable(", ".join(f"{name} {value}" for name, value in shown.items()) or "none"))


def _move(simulator: str, order_id: str, status: str, *, as_json: bool) -> None:
    from ..simulator import control_api

    moved = _ask(simulator, "POST", control_api.STATUS.format(order_id=_segment(order_id)), {"status": status})
    _show([moved], as_json=as_json)


def _segment(id: str) -> str:
    """Return an id as a segment of a URL's path."""
    from ..senders.up42.client import segment

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


def _ask(simulator: str, method: str, path: str, body: Any = None, query: Any = None) -> Any:
    """Call the simulator's control API and return its JSON; end the command with a sentence if it fails."""
    import httpx

    from ..senders.up42.models import Problem

    try:
        with httpx.Client(base_url=simulator.rstrip("/"), timeout=60, trust_env=False) as client:
            response = client.request(method, path, json=body, params=query)
            document: Any = response.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        said = str(error) or type(error).__name__
        raise fail(
            f"no simulator responds at {simulator} ({said}): start it with `webhook-receiver simulator`"
        ) from None
    except ValueError:
        raise fail(f"the server at {simulator} is not a simulator: give its URL with --simulator") from None
    if response.is_error:
        try:
            message = Problem.model_validate(document["error"]).message
        except (LookupError, TypeError, ValueError):
            message = f"{simulator} responded {response.status_code}: is it `webhook-receiver simulator`?"
        raise fail(output.printable(message))
    return document
