"""Signature schemes: how a delivery proves where it comes from."""

from __future__ import annotations

from .base import BodyCheck, Scheme, Secret, Verified
from .unsigned import Unsigned
from .up42 import UP42Signature

__all__ = ["BodyCheck", "Scheme", "Secret", "UP42Signature", "Unsigned", "Verified"]
