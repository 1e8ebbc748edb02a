"""Audit records, as the table `audit` of every store of this package has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import InboxError
from .records import MOST_OF_AUDIT, AuditRecord


def row_of(record: AuditRecord) -> tuple[float, str, str, str, int | None]:
    """Return the row of a record: `at`, `who`, `action`, `parameters` and `deliveries`.

    Raises:
        InboxError: a text is too long, or the parameters are no JSON.
    """
    try:
        parameters = json.dumps(dict(record.parameters), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError):
        raise InboxError(f"the parameters of the action {record.action!r:.80} are no JSON") from None
    for name, text in (("who", record.who), ("action", record.action), ("parameters", parameters)):
        if len(text) > MOST_OF_AUDIT:
            raise InboxError(
                f"{name} of an audit record has at most {MOST_OF_AUDIT} characters, not {len(text)}: tell the filter "
                "or the number of what was chosen, and not all ids"
            )
    return record.at, record.who, record.action, parameters, record.deliveries


def parameters_of(text: str) -> Mapping[str, Any]:
    """Return the parameters in a row; those that are damaged as one parameter of that name."""
    try:
        found: object = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"damaged": text}  # pyright: ignore[reportUnknownVariableType]
