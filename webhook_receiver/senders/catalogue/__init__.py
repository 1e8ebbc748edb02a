"""The catalogue: a function for each sender that comes with the package, by name.

    from webhook_receiver.senders.catalogue import razorpay

    hooks = WebhookReceiver(sender=razorpay(Secret.from_env("RAZORPAY_SECRET")), inbox="sqlite:///hooks.db")

Each takes a secret or several, and returns a `Sender`; `webhook-receiver senders show razorpay` tells all about it. A
module is imported when one of its names is used. `__init__.pyi` has the names for type checkers.

Senders with options or events of their own have a module each. All others are a value in a table, in modules by trade.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "..up42": "up42",
    "..imagery.planet": "planet_orders planet_subscriptions",
    "..imagery.skyfi": "skyfi skyfi_archive",
    "..imagery.airbus": "airbus_radar",
    "..imagery.copernicus": "copernicus",
    "..imagery.geopera": "geopera",
    "..imagery.ogc": "ogc_processes pygeoapi_pubsub",
    "..imagery.iceye": "iceye",
    "..imagery.maxar": "maxar maxar_sns",
    "..imagery.arlula": "arlula",
    "..imagery.skywatch": "skywatch",
    "..imagery.nasa": "nasa_cmr",
    "..standard_webhooks": "standard_webhooks svix",
    "..github": "github",
    "..stripe": "stripe",
    "..slack": "slack",
    "..shopify": "shopify",
    "..http_message": "http_message",
    ".payments": (
        "adyen_platform airwallex checkout coinbase_commerce dwolla flutterwave gocardless increase lemon_squeezy "
        "lithic mollie paystack polar qonto razorpay recurly revolut square wise xero"
    ),
    "..adyen": "adyen",
    "..braintree": "braintree",
    "..kinde": "kinde",
    "..mailgun": "mailgun",
    "..paddle": "paddle",
    "..paypal": "paypal",
    "..plaid": "plaid",
    "..wechat_pay": "wechat_pay",
    "..chargebee": "chargebee",
    ".shops": "bigcommerce woocommerce shopify_events klarna mollie_classic",
    ".mail": "mailersend mandrill resend sendgrid klaviyo lob postmark",
    ".media": "mux",
    ".code_hosts": "gitlab forgejo gitea bitbucket jira sentry vercel netlify trigger_dev pagerduty",
    "..atlassian_connect": "atlassian_connect",
    ".chat": "line viber webex stream intercom discord discord_interactions",
    ".business": (
        "hubspot zendesk box trello calendly typeform cal_com sanity kontent_ai elevenlabs knock docusign clickup "
        "dropbox figma linear workos monday keap"
    ),
    ".telephony": "twilio vonage livekit agora",
    ".clouds": (
        "clerk seam openai replicate liveblocks okta auth0 microsoft_graph azure_event_grid qstash cloudevents "
        "azure_web_pubsub inngest apify"
    ),
    "..aws_sns": "aws_sns",
    "..zoom": "zoom",
    "..twitch": "twitch",
    "..meta": "meta",
    "..telegram": "telegram",
    "..lark": "lark",
    "..notion": "notion",
    "..google_pubsub": "google_pubsub",
    "..asana": "asana",
    "..azure_devops": "azure_devops",
    "..imagery.platforms": "liveeo eoepca esri geospan amigocloud",
}
"""The modules, and the functions of each, in the order in which `recognize` prefers one of two senders alike."""
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

MODULES = tuple(_HOMES)
"""The modules, relative to this one: each has `PRESETS`."""

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll] - the stub has them as a list


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_HOME[name], __name__)
    found = globals()[name] = next(preset.sender for preset in module.PRESETS if preset.function == name)
    return found
