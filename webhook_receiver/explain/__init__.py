"""Explanations of why a request was rejected, for tests, support and the command line. See `explain`."""

from __future__ import annotations

from .explanation import Explanation, Step, explain

__all__ = ["Explanation", "Step", "explain"]
