"""Texts of strangers, made harmless to look at, and times and numbers as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

MASK = "••••••••"
"""What is shown in place of a secret."""
NONE = "–"  # noqa: RUF001 - it is typography
"""What stands for a figure that there is none of."""
_SUSPECT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000e0001-\U000e007f]"
)
"""Characters that a terminal obeys, that turn a line round, or that nobody sees."""
_JOINERS = re.compile("(?<=[^\x00-\x7f])[\u200c\u200d](?=[^\x00-\x7f])")
"""Joiners between letters of scripts that need them, and within emoji."""
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


@lru_cache(maxsize=1024)
def _mark(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)  # the control pictures of Unicode
    return "\u2421" if code == 0x7F else f"⟨U+{code:04X}⟩"


def visible(text: str, *, lines: bool = False) -> str:
    """Return a text in which what hides or turns round is written as a visible mark, such as ⟨U+202E⟩.

    Args:
        text: the text, of whatever origin.
        lines: whether newlines and tabs stay.
    """
    if text.isprintable() and text.isascii():
        return text
    kept = {match.start() for match in _JOINERS.finditer(text)}
    if not lines:
        text = re.sub(r"[\t\n]", lambda found: _mark(found[0]), text)
    return _SUSPECT.sub(lambda found: found[0] if found.start() in kept else _mark(found[0]), text)


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters, which says how many it leaves out."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more)"


def at(unix: float | None, *, seconds: bool = True) -> str:
    """Return a Unix time as a date and a time of day in UTC."""
    if unix is None:
        return NONE
    try:
        return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%d %H:%M:%S}"[: None if seconds else -3]
    except (ValueError, OverflowError, OSError):
        return f"{unix:g} s"


def iso(unix: float) -> str:
    """Return a Unix time in the form of the attribute `datetime` of HTML."""
    try:
        return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return ""


def span(seconds: float | None) -> str:
    """Return a span of time as people say it, such as "3 min" or "1.5 s"."""
    if seconds is None:
        return NONE
    if seconds < 0:
        return f"-{span(-seconds)}"
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    if seconds >= 10:
        return f"{seconds:.0f} s"
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 else "0 s"


def exact(seconds: float) -> str:
    """Return a span of time with what is left of it in the next smaller unit, such as "2 h 5 min"."""
    for index, (size, unit) in enumerate(_UNITS):
        if seconds >= size:
            smaller, name = (*_UNITS, (1, "s"))[index + 1]
            rest = int(seconds % size // smaller)
            return f"{int(seconds // size)} {unit}" + (f" {rest} {name}" if rest else "")
    return span(seconds)


def number(count: float) -> str:
    """Return a number with separators."""
    return f"{count:,.0f}"


def counted(count: int, what: str, several: str | None = None) -> str:
    """Return a number with what it counts, such as "1 delivery" or "2 deliveries"."""
    return f"{count:,} {what if count == 1 else several or f'{what}s'}"


def size(count: int) -> str:
    """Return a number of bytes as people say it."""
    if count < 1024:
        return counted(count, "byte")
    for unit in ("KiB", "MiB"):
        count /= 1024  # type: ignore[assignment]
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:,.1f} GiB"
