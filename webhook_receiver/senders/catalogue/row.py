"""A row of the catalogue's tables: a sender that is told by values alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...signatures.secrets import Secrets
from ..base import Sender
from ..page import Page
from ..preset import Make, Preset


def row(
    name: str,
    title: str,
    make: Make,
    sender: Callable[..., Sender],
    headers: tuple[str, ...] = (),
    *,
    page: Page,
    **told: Any,
) -> Preset:
    """Return the preset of a sender, with a function of secrets that `webhook_receiver.senders.catalogue` has by name.

    Args:
        name: the name on the command line. The function has underscores in place of "-".
        title: the name in texts.
        make: what makes the scheme of secrets, such as `partial(HMACBody, signature="x-acme-signature")`.
        sender: the sender without its name and scheme, such as `partial(Sender, facts=("Acme's handbook",))`.
        headers: the names, in lower case, of the headers that prove a request.
        page: what a person has to know.
        told: the other fields of `Preset`: `within`, `example`, `marks`, `body`.
    """

    def function(secret: Secrets) -> Sender:
        return sender(name=name, scheme=make(secret))

    function.__name__ = function.__qualname__ = name.replace("-", "_")
    function.__module__ = __name__.rpartition(".")[0]
    function.__doc__ = f"""Return the sender {title}. {page.setup}

    Args:
        secret: the secret, or several while it is changed.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    return Preset(name, title, function, make, headers, page=page, **told)
