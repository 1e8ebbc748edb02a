"""The pages of the guide about the senders of the catalogue, written from their profiles:

.venv/bin/python -m tests.senders.pages
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from tests.helpers import ROOT
from webhook_receiver.senders import Sender
from webhook_receiver.senders.imagery.events import Reading
from webhook_receiver.senders.imagery.statuses import STATUSES
from webhook_receiver.senders.page import TRADES, Trade
from webhook_receiver.senders.profile import Profile, profile_of
from webhook_receiver.senders.registry import presets

FOLDER = ROOT / "docs" / "catalogue"
IMAGES = ROOT / "docs" / "images.md"

SOURCES = {
    "planet-orders": "planet_source.planet_orders_source",
    "skyfi": "skyfi_source.skyfi_orders_source",
    "copernicus": "copernicus_source.copernicus_queue_source",
}
"""The sources of providers that push, by the names of their senders, in `webhook_receiver.senders.imagery`."""

POLLED = {
    "ASF HyP3": ("hyp3_jobs", "hyp3_source.hyp3_jobs_source"),
    "Capella Space": ("capella_tasks", "capella_source.capella_tasks_source"),
    "Copernicus Data Space, on demand": ("copernicus_production", "copernicus_source.copernicus_production_source"),
    "ICEYE, tasks": ("iceye_tasks", "iceye_source.iceye_tasks_source"),
    "NASA Harmony": ("harmony_jobs", "harmony_source.harmony_jobs_source"),
    "openEO": ("openeo_jobs", "openeo_source.openeo_jobs_source"),
    "Planet Subscriptions": ("planet_subscriptions_polled", "planet_source.planet_subscriptions_source"),
    "Planet Subscriptions, results": (
        "planet_subscriptions_polled",
        "planet_source.planet_subscription_results_source",
    ),
    "Planet Tasking": ("planet_tasking", "planet_source.planet_tasking_source"),
    "Sentinel Hub, batch": ("sentinel_hub_batch", "sentinel_hub_source.sentinel_hub_batch_source"),
    "STAPI": ("stapi_orders", "stapi_source.stapi_orders_source"),
}
"""The senders, in `polled`, of what is polled alone, and their sources."""

_IMAGES = """# Images from many providers

Who orders images from several providers wants one handler: "this image is ready". One router has it, and the receiver
of each provider includes the router:

```python
from webhook_receiver import ImageryReady, Router, WebhookReceiver
from webhook_receiver.senders.catalogue import planet_orders, skyfi, up42

images = Router()


@images.on(ImageryReady)
async def download(image: ImageryReady) -> None:
    print(image.provider, image.order_id, image.items, image.status, image.expires_at)


senders = [up42("secret"), planet_orders("secret"), skyfi("a-path-that-nobody-guesses")]
receivers = [WebhookReceiver(sender=each, inbox="sqlite:///images.db") for each in senders]
for each in receivers:
    each.include(images)
```

[The vocabulary](events.md#images-from-whichever-provider) has four such classes. `on(PlanetOrderDelivered)`, of
`webhook_receiver.senders.imagery.planet`, serves one provider alone. Each receiver has a route and a lifespan of its
own: [Mounting](mounting.md). What a provider's API knows besides is [polled](polling.md).

Where a provider tells several items in one call, as Airbus does, or each in a call of its own, as Planet does, each
item is one event, and comes once however it is told.

Few providers sign. A secret in the URL's path, or a user name and a password in it, end up in logs and tickets: change
them now and then, as [secrets are](signatures-and-secrets.md).

## One event for a whole order

`whole_order=True` has a handler called once for each order, with all of its items, in place of once for each item. It
is for `ImageryReady`, `ImageryPartlyReady`, `ImageryFailed`, or all three as `ImageryEvent`:

```python
from datetime import timedelta

from webhook_receiver import ImageryPartlyReady, ImageryReady, Router, WebhookReceiver
from webhook_receiver.senders.catalogue import planet_orders, skyfi
from webhook_receiver.senders.imagery.planet_source import planet_orders_source

orders = Router()


@orders.on(ImageryReady, whole_order=True)
async def mosaic(order: ImageryReady) -> None:
    print(order.order_id, "is ready:", order.items, "again" if order.late else "")


@orders.on(ImageryPartlyReady, whole_order=True)
async def complain(order: ImageryPartlyReady) -> None:
    print(order.order_id, "has", order.items, "and not", order.failed_items)


planet = WebhookReceiver(sender=planet_orders("secret"), inbox="sqlite:///planet.db")
planet.poll_every(timedelta(minutes=10), planet_orders_source("the-api-key", whole_orders=True))
skyfi_hooks = WebhookReceiver(sender=skyfi("a-path-that-nobody-guesses"), inbox="sqlite:///skyfi.db")
for each in (planet, skyfi_hooks):
    each.include(orders)
```

UP42, Geopera, SkyFi, OGC API and all jobs and tasks have an event for each order anyway: it is that one. Others tell
items, and no push of theirs says how many an order has, so something else has to:

| who tells it | how |
| --- | --- |
| Planet's API | `planet_orders_source(key, whole_orders=True)`, polled, as above |
| the URL of an order's calls | `?items=3`, with `planet_orders(..., item_count=("query:items",))`, or `airbus_radar` |
| a document that you have seen | `DocumentPlaces(item_count=("order.size",), item=...)` |
| your own sender | `order_items="counted"`, and its events' `item_count` |
| your own source | `tells_item_count = True`, and its events' `item_count` |

Else the receiver does not start, and says what to do. It does not either without an inbox, or with an ordering key of
your own.

- **Ready** is an order all of whose items are, **partly ready** one of which some are, **failed** one of which none is.
  An order has ended once as many items have ended as were told last, or once its provider says that it has failed or is
  ready in part; where nobody tells a number, also once he says that all of it is ready.
- **An item that comes late**, or ends in another way than before, gives the event again, with all items and `late`.
- `document` has the document of each item by its name, unless they have more than 16 MiB together, and `expires_at` is
  the end of the first link. [`await hooks.fresh(order)`](polling.md#download-links-that-end) asks for all links again.
- **The event is a delivery of its own**, with `via` "order", its own retries, dead letter and replay. It is stored
  once, whatever is sent again, replayed or killed, and comes behind the handlers of the items, which hear of these as
  before. The fallback, and handlers without `whole_order`, never get it.
- **The state is in the inbox**: the deliveries of the order. What its retention has removed before the last item comes
  is not counted, so it has to be longer than an order takes; so has `keep_body`. A SQLite or PostgreSQL inbox makes an
  index for it when such a receiver starts for the first time.
- Each event of an item has one more handler, `webhook_receiver:whole_orders`, which the log and the inbox show.

## Which providers tell you, and how

A provider that pushes has a function of secrets in `webhook_receiver.senders.catalogue`; its page says how to
register, what is answered, and what nobody has published. One that never does is [polled](polling.md): its function is
in `webhook_receiver.senders.imagery.polled`. The sources are in `webhook_receiver.senders.imagery`.

"""

_PLACES = """
Where the words are in the URL, a provider's documents say nothing, as those of OGC API, or are not known. Once you have
seen one, `places=DocumentPlaces(...)`, of `webhook_receiver.senders.imagery.events`, says where they are.

## Their words

A word that is not here, or is new tomorrow, is an `ImageryProgress`, and `status` has it. OneAtlas, Umbra, EODMS and
Earth Engine have words here, and no sender or source.

| provider | `ImageryReady` | `ImageryPartlyReady` | `ImageryFailed` | `ImageryProgress` | from |
| --- | --- | --- | --- | --- | --- |
"""

_HEAD = """# The catalogue

The senders that come with the package, by trade, and what a delivery of each proves.

`webhook-receiver senders` lists them, and `webhook-receiver senders show slack` tells all about one; both take
`--json`. Each is a function of secrets, imported by its name: `from webhook_receiver.senders.catalogue import slack`.
How sure the rules are, the last column says: which package of others was run against them and when, or that they are
from documentation alone. A sender that is not here is [ten lines](../senders.md#a-sender-of-your-own).
"""


def pages() -> dict[Path, str]:
    """Return the texts of all pages by their files."""
    profiles = [profile_of(preset) for preset in presets().values()]
    by_trade = {
        trade: sorted((each for each in profiles if each.page.trade == trade), key=lambda each: each.preset.name)
        for trade in TRADES
    }
    by_trade = {trade: found for trade, found in by_trade.items() if found}
    written = {FOLDER / "index.md": _HEAD + "".join(_table(trade, found) for trade, found in by_trade.items())}
    for trade, found in by_trade.items():
        title = f"# {trade.capitalize()}\n\nThe senders of the catalogue whose trade is {trade}.\n"
        written[FOLDER / file_of(trade)] = title + "".join(map(_section, found))
    return written


def images() -> str:
    """Return the text of the page about providers of images."""
    heading = "| provider | tells | a delivery proves | the words are | source |\n| --- | --- | --- | --- | --- |\n"
    pushed = [profile_of(preset) for preset in presets().values() if preset.page and preset.page.trade == "images"]
    rows = [
        f"| [{each.preset.title}](catalogue/images.md#{_slug(each.preset.title)}) | by push: `{each.preset.function}` "
        f"| {each.proof.covered} | {_words_are(each.sender)} | {_source(each.preset.name)} |\n"
        for each in sorted(pushed, key=lambda each: each.preset.title.lower())
    ]
    rows += [
        f"| {title} | if asked: `polled.{function}` | | in the document | `{source}` |\n"
        for title, (function, source) in POLLED.items()
    ]
    words = [
        f"| {name} | {each.ready} | {each.partly_ready} | {each.failed} | {each.progress} | {each.source} |\n".replace(
            "_", "\\_"
        )
        for name, each in STATUSES.items()
    ]
    return f"{_IMAGES}{heading}{''.join(rows)}{_PLACES}{''.join(words)}"


def _words_are(sender: Sender) -> str:
    """Return where a sender has the words for all providers."""
    if sender.name == "up42":
        return "in the document"
    reading = sender.decode if sender.envelope is None else sender.envelope
    if not isinstance(reading, Reading):
        return "none: its events are no orders"
    return "in the URL" if any(":" in place and place != "text:new" for place in reading.status) else "in the document"


def _source(name: str) -> str:
    if name == "up42":
        return "`hooks.orders(client)`"
    return f"`{SOURCES[name]}`" if name in SOURCES else "none"


def file_of(trade: Trade) -> str:
    return f"{trade.replace(' ', '-')}.md"


def _slug(title: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w-]", "", title.lower().replace(" ", "-"))


def _table(trade: Trade, profiles: list[Profile]) -> str:
    rows = [
        f"| [{each.preset.title}]({file_of(trade)}#{_slug(each.preset.title)}) | `{each.preset.function}(secret)` "
        f"| {each.proof.covered} | {each.verified} |\n"
        for each in profiles
    ]
    heading = "| sender | function | a delivery proves | how sure |\n| --- | --- | --- | --- |\n"
    return f"\n## {trade.capitalize()}\n\n{heading}{''.join(rows)}"


def _section(profile: Profile) -> str:
    return "".join(_lines(profile))


def _lines(profile: Profile) -> Iterator[str]:
    preset = profile.preset
    yield f"\n## {preset.title}\n\n"
    yield f"`{profile.imported}`: see [its documentation](https://{profile.page.docs}).\n"
    for heading, sentences in profile.sections():
        yield f"\n**{heading.capitalize()}**\n\n"
        yield from map(_item, sentences)


def _item(sentence: str) -> str:
    for mark in "*_<":
        sentence = sentence.replace(mark, f"\\{mark}")
    lines = textwrap.wrap(sentence, 118, break_long_words=False, break_on_hyphens=False)
    return "- " + "\n  ".join(lines) + "\n"


def write() -> None:
    """Write all pages, and remove others that are no more."""
    written = pages()
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.glob("*.md"):
        if file not in written:
            file.unlink()
    for file, text in {**written, IMAGES: images()}.items():
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
