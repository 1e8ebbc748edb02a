"""The audit records: who has done what with the inbox, and when."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from ..site import Problem, View

_PAGE = 50


async def show(view: View) -> Response:
    """Show audit records, the newest first."""
    before = view.asked("before")
    if before and not re.fullmatch("[0-9]{1,18}", before):
        raise Problem(400, "There is no such record", "The address has the number of a record behind `before`.")
    records = await view.inbox.audited(limit=_PAGE + 1, before=int(before) if before else None)
    shown = records[:_PAGE]
    return await view.page(
        "audit.html",
        records=[(each, _parameters(view, each.parameters)) for each in shown],
        older=shown[-1].number if len(records) > _PAGE else None,
        is_first=not before,
    )


def _parameters(view: View, parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name.replace("_", " "), view.masked(_said(value)))
        for name, value in parameters.items()
        if value not in (None, "", [])
    ]


def _said(value: Any) -> str:
    """Return a parameter in words: a list as its members."""
    texts: list[Any] = value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
    if texts and all(isinstance(each, str) for each in texts):
        return ", ".join(texts)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
