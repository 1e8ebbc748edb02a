"""Signature schemes: ways in which a delivery proves that its sender sent it.

`HMACBody` is the scheme of most senders, with its parts as options, and `PublicKeyBody` that of senders with a private
key. `BearerJWT` is for signed tokens. `StandardWebhooks` and `HTTPMessageSignature` follow published specifications.
`Unsigned` is for senders that sign nothing, `AnyOf` for a change of schemes, `SecretsByRequest` for many tenants at one
endpoint. `JWKS` is the URL of a sender's public keys. A scheme of your own fulfils the protocol
`Scheme`; `webhook_receiver.testing.scheme_suite` tests it.

Here are the parts that all schemes share. The schemes have a module each, which is imported when it is used; all of
them are names of `webhook_receiver`, too.
"""

from __future__ import annotations

from .fetching import KeysNeeded
from .scheme import BodyCheck, Scheme, Verified
from .secrets import Secret

__all__ = ["BodyCheck", "KeysNeeded", "Scheme", "Secret", "Verified"]
