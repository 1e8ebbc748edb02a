"""Signature schemes: how a delivery proves where it comes from."""

from __future__ import annotations

from .any_of import AnyOf
from .base import BodyCheck, Scheme, Secret, Verified
from .explaining import Explanation, explain
from .hmac_body import HMACBody
from .rfc9421 import HTTPMessageSignature
from .standard import StandardWebhooks
from .unsigned import Unsigned
from .up42 import UP42Signature

__all__ = [
    "AnyOf",
    "BodyCheck",
    "Explanation",
    "HMACBody",
    "HTTPMessageSignature",
    "Scheme",
    "Secret",
    "StandardWebhooks",
    "UP42Signature",
    "Unsigned",
    "Verified",
    "explain",
]
