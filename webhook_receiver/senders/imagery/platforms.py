"""Platforms of geodata whose events are no orders of images: LiveEO, EOEPCA, Esri, GEOSPAN and AmigoCloud."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from urllib.parse import unquote_to_bytes

from ...delivery import RequestHead
from ...errors import ConfigurationError
from ...signatures import BodyCheck
from ...signatures.bearer_jwt import BearerJWT
from ...signatures.hmac_body import HMACBody
from ...signatures.jwks import JWKS
from ...signatures.secrets import Secrets
from ...signatures.shared_secret import HeaderSecret
from ...signatures.standard import StandardWebhooks
from ..base import Sender
from ..catalogue.examples import RSA_KEY
from ..challenges import token_hmac
from ..cloudevents import cloudevents
from ..form import form_document
from ..page import Page
from ..preset import Preset
from ..split import Split
from ..standard_webhooks import EXAMPLE as SVIX_EXAMPLE
from ..standard_webhooks import header_names

_GEOSPAN = "X-Geospan-Secret"
_AMIGOCLOUD = "X-Amigocloud-Secret"

_svix = partial(StandardWebhooks, headers="svix")
_NO_WORDS = "Its events are no orders of images, so none is an ImageryReady."


def liveeo(secret: Secrets) -> Sender:
    """Return the sender LiveEO TradeAware, which delivers through Svix.

    Args:
        secret: the endpoint's secret, or several while it is changed.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    return Sender(
        name="liveeo",
        scheme=_svix(secret),
        facts=(
            "docs.live-eo.com, the guide to webhooks, read in November 2026: its events are shown by Svix",
            "That the headers are those of Svix is inferred",
        ),
        event_name=("type", "eventType", "text:liveeo"),
    )


def _token(
    secrets: Secrets | JWKS, *, account: str | None = None, issuer: str | None = None, audience: str | None = None
) -> BearerJWT:
    claims = {} if account is None else {"sub": account}
    return BearerJWT(secrets, algorithm="RS256", issuer=issuer, audience=audience, claims=claims)


def eoepca(
    secret: Secrets | JWKS, *, account: str | None = None, issuer: str | None = None, audience: str | None = None
) -> Sender:
    """Return the sender EOEPCA, for its notifications: CloudEvents with the token of a Kubernetes service account.

    Args:
        secret: the public keys of the cluster, or the `JWKS` that publishes them.
        account: the service account, such as "system:serviceaccount:eoepca:notifier". A cluster signs for all of its
            accounts, so it is needed with a `JWKS`.
        issuer: the issuer of the tokens; None for any.
        audience: the audience of the tokens; None for tokens that name none.

    Raises:
        ConfigurationError: `account` is missing, a key cannot work, or an extra is missing.
    """
    if isinstance(secret, JWKS) and not account:
        raise ConfigurationError(
            'eoepca(account="system:serviceaccount:NAMESPACE:NAME") is needed: the cluster signs for every account'
        )
    scheme = _token(secret, account=account, issuer=issuer, audience=audience)
    return replace(
        cloudevents(scheme, name="eoepca"),
        facts=(
            "EOEPCA/na-webhook-source@405af37 and document-notification-automation@bf75f93: CloudEvents in the "
            "structured mode, with the token of a service account as bearer",
            "CloudEvents 1.0.2",
        ),
    )


class EsriSignature(HMACBody):
    """The scheme of Esri: an HMAC of the body in base64, which some of its products escape as in a URL.

    Args:
        secrets: one secret or several; the first signs, any verifies.

    Raises:
        ConfigurationError: a secret cannot work.
    """

    def __init__(self, secrets: Secrets) -> None:
        super().__init__(secrets, signature=_ESRI.decode(), prefix="sha256=", encoding="base64")

    def verify(self, head: RequestHead, now: float) -> BodyCheck:
        """Verify the head; return the check of the body. See `Scheme.verify`."""
        if any(name == _ESRI and b"%" in value for name, value in head.headers):
            head = head._replace(
                headers=[(name, unquote_to_bytes(value) if name == _ESRI else value) for name, value in head.headers]
            )
        return super().verify(head, now)


_ESRI = b"x-esrihook-signature"


def esri(secret: Secrets) -> Sender:
    """Return the sender Esri ArcGIS. It is challenged again and again, and stops where it is not answered.

    Args:
        secret: the signature key of the webhook, or several while it is changed.

    Raises:
        ConfigurationError: a secret cannot work.
    """
    return Sender(
        name="esri",
        scheme=EsriSignature(secret),
        facts=(
            "receivers of third parties, of which several agree: the signature, its escaping, and the challenge",
            "doc.arcgis.com/arcgis-online/reference/webhook-payloads.htm, read in November 2026: the document",
            "Which answers are taken for received, and when it is sent again, is not known",
        ),
        decode=partial(form_document, field="payload"),
        split=Split("*"),
        event_name=("events.0", "events.0.operation", "text:changed"),
        challenges=(
            token_hmac(
                "query:crc_token",
                secret,
                key="response_token",
                methods=("GET",),
                prefix="sha256=",
                encoding="base64",
                signed=False,
            ),
        ),
    )


_header_secret = partial(HeaderSecret, header=_GEOSPAN)


def geospan(secret: Secrets, *, header: str = _GEOSPAN) -> Sender:
    """Return the sender GEOSPAN, whose documents are not known.

    Args:
        secret: the value of the header, or several while it is changed.
        header: the header that GEOSPAN was asked to send.

    Raises:
        ConfigurationError: a secret or the header cannot work.
    """
    return Sender(
        name="geospan",
        scheme=HeaderSecret(secret, header=header),
        facts=(
            "docs.geospan.com/gpro/webhooks, read in November 2026: a callback URL and a fixed header, for an account",
            "The documents, the answer and the retries are not known",
        ),
        event_name="text:geospan",
    )


def amigocloud(secret: Secrets, *, header: str = _AMIGOCLOUD) -> Sender:
    """Return the sender AmigoCloud.

    Args:
        secret: the value of the header, or several while it is changed.
        header: the header that you gave the webhook.

    Raises:
        ConfigurationError: a secret or the header cannot work.
    """
    return Sender(
        name="amigocloud",
        scheme=HeaderSecret(secret, header=header),
        facts=(
            "help.amigocloud.com, Webhooks, read in November 2026: headers of your own, and an id in the body",
            "The rest of the documents, the answer and the retries are not known",
        ),
        event_name=("event", "text:amigocloud"),
        delivery_id_path="id",
    )


PRESETS = (
    Preset(
        "liveeo",
        "LiveEO TradeAware",
        liveeo,
        _svix,
        header_names("svix"),
        example=SVIX_EXAMPLE,
        page=Page(
            trade="images",
            docs="docs.live-eo.com",
            setup="In the web app, or by the API at /webhooks: the URL and the events. It shows the secret.",
            answer="Any 2xx; else it is sent again.",
            traps=(_NO_WORDS, "Look at the names of the headers in the first delivery: they are inferred."),
        ),
    ),
    Preset(
        "eoepca",
        "EOEPCA",
        eoepca,
        _token,
        example=RSA_KEY,
        page=Page(
            trade="images",
            docs="eoepca.readthedocs.io",
            setup=(
                "The operator has Knative deliver to the URL as a sink. The receiver is given the keys of the cluster, "
                "as JWKS(...), and the service account whose tokens count."
            ),
            answer=(
                "What the broker is set to. Without one, na-webhook-source sends once, and answers 500 to GitHub and "
                "GitLab after an error of yours."
            ),
            traps=(
                _NO_WORDS,
                "The token says nothing of the body: the URL has to be https.",
                "na-webhook-source gives each attempt of GitHub a new id, and leaves GitHub's own id out: what is sent "
                "again is another event.",
            ),
        ),
    ),
    Preset(
        "esri",
        "Esri ArcGIS",
        esri,
        EsriSignature,
        (_ESRI.decode(),),
        samples={
            "FeaturesCreated": {
                "name": "scenes",
                "layerId": 0,
                "orgId": "made-up",
                "serviceName": "scenes",
                "lastUpdatedTime": 1767225600000,
                "changesUrl": "https%3a%2f%2fservices.example.com%2fextractChanges",
                "events": ["FeaturesCreated"],
            }
        },
        sample_id="lastUpdatedTime",
        page=Page(
            trade="images",
            docs="doc.arcgis.com/en/arcgis-online/reference/webhook-payloads.htm",
            setup="In the settings of the item or the organisation: the URL, the events, a signature key of your own.",
            answer="A challenge has to be answered within 5 seconds. Which answers to a delivery count is not known.",
            traps=(
                _NO_WORDS,
                "The challenge comes again and again: without an answer the events stop.",
                "The member events may have several names: the event is called by the first of them.",
                "What has changed is to be fetched from changesUrl, which is escaped.",
                "Some products send a form, with the documents in its field payload.",
            ),
        ),
    ),
    Preset(
        "geospan",
        "GEOSPAN",
        geospan,
        _header_secret,
        (_GEOSPAN.lower(),),
        page=Page(
            trade="images",
            docs="docs.geospan.com/gpro/webhooks",
            setup=f"The sales contact takes the URL, the events and a header, such as {_GEOSPAN}, for the account.",
            answer="Which answers are taken for received is not known.",
            traps=(
                _NO_WORDS,
                "Its documents are not known: replace(geospan(secret), event_name=...) names the events.",
            ),
        ),
    ),
    Preset(
        "amigocloud",
        "AmigoCloud",
        amigocloud,
        partial(HeaderSecret, header=_AMIGOCLOUD),
        (_AMIGOCLOUD.lower(),),
        page=Page(
            trade="images",
            docs="help.amigocloud.com",
            setup=f"In the settings of the user, Webhooks: the URL and headers of your own, such as {_AMIGOCLOUD}.",
            answer="Which answers are taken for received is not known.",
            traps=(_NO_WORDS, "Of its documents the id alone is known: replace(..., event_name=...) names the events."),
        ),
    ),
)
