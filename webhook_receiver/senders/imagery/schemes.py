"""The proof of providers that sign nothing: the URL that they were given, by its path or its credentials."""

from __future__ import annotations

from ...signatures import Scheme
from ...signatures.secrets import Secrets
from ...signatures.shared_secret import BasicAuth
from ...signatures.unsigned import Unsigned

USERNAME = "webhooks"
"""The user name in a URL, where no other is said."""
EXAMPLE = "a-secret-path-for-tests"
"""A secret for tests that may be the last part of a path."""


def secret_path(secrets: Secrets, *, id: str | None = None) -> Unsigned:
    """Return the scheme of a provider that proves nothing: the secret is the last part of the URL's path.

    Args:
        secrets: one secret or several, of at least 22 characters.
        id: the header with the provider's id of a delivery; None without one.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    return Unsigned(token_in_path=secrets, id=id)


def basic_or_path(secrets: Secrets, username: str | None = USERNAME, *, id: str | None = None) -> Scheme:
    """Return the scheme of a provider that sends the credentials of the URL, as in https://webhooks:SECRET@example.com.

    Args:
        secrets: one password or several.
        username: the user name; None if the secret is the last part of the URL's path instead.
        id: the header with the provider's id of a delivery, which counts with a secret path alone.

    Raises:
        ConfigurationError: a secret or the user name cannot work.
    """
    return secret_path(secrets, id=id) if username is None else BasicAuth(secrets, username=username)
