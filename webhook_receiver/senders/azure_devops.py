"""The sender Azure DevOps: a user name and a password, and nothing signed."""

from __future__ import annotations

from functools import partial

from ..signatures.secrets import Secrets
from ..signatures.shared_secret import BasicAuth
from .base import Sender
from .page import Page
from .preset import Preset

USERNAME = "webhooks"

_basic = partial(BasicAuth, username=USERNAME)


def azure_devops(secret: Secrets, *, username: str = USERNAME) -> Sender:
    """Return the sender Azure DevOps.

    Args:
        secret: the password of the service hook, or several while it is changed.
        username: the user name of the service hook.

    Raises:
        ConfigurationError: a secret or the user name cannot work.
    """
    return Sender(
        name="azure-devops",
        scheme=BasicAuth(secret, username=username),
        facts=(
            "learn.microsoft.com/azure/devops/service-hooks/services/webhooks and service-hooks/events, read in "
            "November 2026",
        ),
        event_name="eventType",
        delivery_id_path="id",
    )


PRESETS = (
    Preset(
        "azure-devops",
        "Azure DevOps",
        azure_devops,
        _basic,
        shape=("publisherId", "eventType", "resource"),
        page=Page(
            trade="code hosts",
            docs="learn.microsoft.com/azure/devops/service-hooks/services/webhooks",
            setup=(
                "In the project's settings, Service hooks, Web Hooks: the event, the URL, and as basic authentication "
                "the "
                f"user name {USERNAME} and a password of your own."
            ),
            traps=("It sends the user name and the password over https alone.",),
        ),
    ),
)
