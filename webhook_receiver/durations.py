"""Spans of time as people write them: 90, 1.5h, 30d."""

from __future__ import annotations

import re

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def seconds(text: str) -> float:
    """Return the seconds in a text such as "45", "45s", "15m", "2h", "30d" or "2w".

    Raises:
        ValueError: it is no span of time.
    """
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?)\s*([smhdw]?)", text.strip().lower(), re.ASCII)
    if found is None:
        raise ValueError(f"{text!r} is not a span of time such as 45s, 15m, 2h or 30d")
    return float(found[1]) * _UNITS[found[2]]
