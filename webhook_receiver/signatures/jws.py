"""The signatures of tokens (JWS, RFC 7515), by PyJWT. Imported on use."""

from __future__ import annotations

from typing import Any

import jwt
from jwt.algorithms import HMACAlgorithm

from ..errors import BadSignature, MalformedSignature, VerificationError

_HASHES = {"HS256": HMACAlgorithm.SHA256, "HS384": HMACAlgorithm.SHA384, "HS512": HMACAlgorithm.SHA512}


class _HMAC(HMACAlgorithm):
    """HMAC without a warning for each token: the length of a secret is the sender's to choose."""

    def check_key_length(self, key: Any) -> str | None:
        return None


class Tokens:
    """Tokens of one algorithm.

    Args:
        algorithm: the algorithm (RFC 7518, section 3.1).
    """

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self._jws = jwt.PyJWS(algorithms=[algorithm])
        if algorithm in _HASHES:
            self._jws.unregister_algorithm(algorithm)
            self._jws.register_algorithm(algorithm, _HMAC(_HASHES[algorithm]))

    def sign(self, payload: bytes, key: Any) -> bytes:
        """Return the token of a payload, signed with a private key or a secret."""
        return self._jws.encode(payload, key, algorithm=self._algorithm, headers={"typ": "JWT"}).encode()

    def key_id(self, token: bytes) -> str | VerificationError | None:
        """Return the id of the key (`kid`) that a token names; None if it names none. Nothing of it is proven yet.

        An error is returned, as by `verify`: for another algorithm, since no such token is worth a key.
        """
        try:
            header = jwt.get_unverified_header(token)
        except Exception:  # whatever the library stumbles over came from a stranger
            return MalformedSignature("the token cannot be read as a JWT (RFC 7519)")
        if header.get("alg") != self._algorithm:
            return BadSignature(f"the token is signed by another algorithm than {self._algorithm}")
        kid: str | None = header.get("kid")
        return kid

    def verify(self, token: bytes, key: Any) -> bytes | VerificationError | None:
        """Return the payload of a token; None if it is signed with another key.

        An error is returned, not raised, for a traceback would show the key: BadSignature for another algorithm, or
        MalformedSignature for what is no token.
        """
        try:
            payload: bytes = self._jws.decode(token, key, algorithms=[self._algorithm])
        except jwt.InvalidSignatureError:
            return None
        except jwt.InvalidAlgorithmError:
            return BadSignature(f"the token is signed by another algorithm than {self._algorithm}")
        except Exception:  # whatever the library stumbles over came from a stranger
            return MalformedSignature("the token cannot be read as a JWT (RFC 7519)")
        return payload
