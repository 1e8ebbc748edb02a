"""Signature schemes: ways in which a delivery proves that its sender sent it.

`HMACBody` is the scheme of most senders, with its parts as options. `StandardWebhooks` and `HTTPMessageSignature`
follow published specifications. `Unsigned` is for senders that sign nothing, `AnyOf` for a change of schemes. A scheme
of your own fulfils the protocol `Scheme`; `webhook_receiver.testing.scheme_suite` tests it.
"""

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
