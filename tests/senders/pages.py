"""The pages of the guide about the senders of the catalogue, written from their profiles:

.venv/bin/python -m tests.senders.pages
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from tests.helpers import ROOT
from webhook_receiver.senders.page import TRADES, Trade
from webhook_receiver.senders.profile import Profile, profile_of
from webhook_receiver.senders.registry import presets

FOLDER = ROOT / "docs" / "catalogue"

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
    for file, text in written.items():
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
