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
item is one event, and comes once however it is told. No push tells how many items an order has, so there is no event
for "all of them": ask the API.

Few providers sign. A secret in the URL's path, or a user name and a password in it, end up in logs and tickets: change
them now and then, as [secrets are](signatures-and-secrets.md).

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
