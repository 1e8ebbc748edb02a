"""Why a request was rejected."""

from __future__ import annotations

from .explanation import Explanation, Step, explain

__all__ = ["Explanation", "Step", "explain"]
