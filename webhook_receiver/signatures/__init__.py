"""Signature schemes: how a delivery proves where it comes from.

Here are the parts that all schemes share. The schemes have a module each, which is imported when it is used; all of
them are names of `webhook_receiver`, too.
"""

from __future__ import annotations

from .scheme import BodyCheck, Scheme, Verified
from .secrets import Secret

__all__ = ["BodyCheck", "Scheme", "Secret", "Verified"]
