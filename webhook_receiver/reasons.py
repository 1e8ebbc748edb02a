"""What is wrong with a body, in words that hold nothing the sender wrote."""

from __future__ import annotations

import re
from typing import get_args

from pydantic import ValidationError
from pydantic_core import core_schema

_KINDS = frozenset(get_args(core_schema.ErrorType))


def reason(error: ValidationError) -> str:
    """Say what is wrong and where, in words that hold nothing the sender wrote."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    reasons = [f"{_place(detail['loc'])}{_message(detail['type'], detail['msg'])}" for detail in found[:3]]
    more = [f"and {len(found) - 3} more"] if len(found) > 3 else []
    return "; ".join(reasons + more)


def _place(loc: tuple[int | str, ...]) -> str:
    keys = [str(key) if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", str(key), re.ASCII) else "?" for key in loc]
    return ".".join(keys) + ": " if keys else ""


def _message(kind: str, message: str) -> str:
    # A user's validator, and a tag, may quote the document.
    quoting = kind in ("value_error", "assertion_error", "union_tag_invalid")
    return kind if quoting or kind not in _KINDS else message
