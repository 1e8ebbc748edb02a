"""What can be told of the secrets of a scheme without telling them: which are weak, and where a text repeats one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import quote, quote_plus

from .scheme import Scheme
from .secrets import Keyring, Secret

SHORTEST = 16
"""Characters below which a secret is short: as letters and digits by chance, as many as these have some 95 bits."""
_LEAST = 5  # characters of a secret that is told from other words of a text
_FEWEST = 5  # different characters: even sixteen hexadecimal digits by chance nearly always have more

_PLACEHOLDER = re.compile(
    r"(?:a|an|the|my|our|your|this|is|in|for|to|me|it|put|here|some|very|not|so|super|top|"
    r"web|hook|hooks|secret|secrets|sign|signing|signature|key|token|pass|word|phrase|passwd|pwd|"
    r"change|changeme|replace|todo|test|tests|testing|try|demo|sample|example|default|dummy|fake|placeholder|"
    r"foo|bar|baz|qwerty|letmein|admin|user|prod|production|dev|development|local|whsec|x|[\d\W_])+",
    re.IGNORECASE,
)
"""Words of which secrets are made that stand in for one, as in documentation."""


def weak_secrets(scheme: Scheme) -> Iterator[str]:
    """Yield a sentence about each secret of a scheme that is easily guessed; none tells anything of the secret.

    Secrets that are not known before a request comes, such as those of `SecretsByRequest`, are left out.
    """
    for keyring, of in _keyrings(scheme):
        for by, secret in enumerate(keyring.secrets):
            if why := _weakness(secret):
                yield f"secret {by} of {of} {why}"


def are_expired(scheme: Scheme, now: float) -> bool:
    """Return whether every secret of a scheme has expired at `now`, in Unix seconds."""
    found = [keyring for keyring, _ in _keyrings(scheme)]
    return bool(found) and not any(keyring.at(now) for keyring in found)


def without_secrets(scheme: Scheme, text: str, mask: str) -> str:
    """Return a text with the secrets of a scheme replaced, as they are, as a URL has them, and as a repr does.

    Secrets that are not known before a request comes, such as those of `SecretsByRequest`, are left in.

    Args:
        scheme: the scheme.
        text: the text, such as an error.
        mask: what stands in their place.
    """
    forms: set[str] = set()
    for keyring, _ in _keyrings(scheme):
        for secret in keyring.secrets:
            value = secret.get_secret_value()
            if len(value) >= _LEAST:
                escaped = repr(value)[1:-1], json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
                forms |= {value, quote(value), quote(value, ""), quote_plus(value), *escaped}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, mask)
    return text


def _weakness(secret: Secret) -> str:
    text = secret.get_secret_value()
    if _PLACEHOLDER.fullmatch(text):
        return "is made of words that stand in for a secret"
    if len(text) < SHORTEST:
        return f"has less than {SHORTEST} characters"
    return f"has less than {_FEWEST} different characters" if len({*text}) < _FEWEST else ""


def _keyrings(scheme: object) -> Iterator[tuple[Keyring[Any], str]]:
    """Yield the keyrings of a scheme and of those inside it, each with the name of the scheme's class."""
    for part in vars(scheme).values() if hasattr(scheme, "__dict__") else ():
        if isinstance(part, Keyring):
            yield cast("Any", part), type(scheme).__name__
        inside: Any = part if isinstance(part, list) else [part]  # pyright: ignore[reportUnknownVariableType]
        for each in inside:
            found = cast("object", each[-1] if isinstance(each, tuple) and each else each)  # as AnyOf has them
            if isinstance(found, Scheme):
                yield from _keyrings(found)
