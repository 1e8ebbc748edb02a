"""Signature schemes: how a delivery proves where it comes from."""

from __future__ import annotations

from .any_of import AnyOf
from .hmac_body import HMACBody
from .rfc9421 import HTTPMessageSignature
from .scheme import BodyCheck, Scheme, Verified
from .secrets import Secret
from .standard import StandardWebhooks
from .unsigned import Unsigned

__all__ = [
    "AnyOf",
    "BodyCheck",
    "HMACBody",
    "HTTPMessageSignature",
    "Scheme",
    "Secret",
    "StandardWebhooks",
    "Unsigned",
    "Verified",
]
