"""The sender WeChat Pay (API v3): RSA over a time, a nonce and the body. What happened is encrypted in the body."""

from __future__ import annotations

from collections.abc import Sequence

from ..responses import ResponseStatuses
from ..signatures.public_key_body import PublicKeyBody
from ..signatures.secrets import Secrets
from .base import Sender
from .catalogue.examples import RSA_KEY
from .page import Page
from .preset import LATE, Preset


def signature(secrets: Secrets, *, serials: Sequence[str] = ()) -> PublicKeyBody:
    """Return WeChat Pay's scheme (pay.weixin.qq.com, API v3).

    Args:
        secrets: WeChat Pay's public keys, or its platform certificates.
        serials: their ids (`PUB_KEY_ID_...`) or serial numbers, in their order; none to try each key.
    """
    return PublicKeyBody(
        secrets,
        algorithm="rsa-v1_5-sha256",
        signature="wechatpay-signature",
        timestamp="wechatpay-timestamp",
        signed="{timestamp}\n{header:wechatpay-nonce}\n{body}\n",
        key_id="wechatpay-serial" if serials else None,
        key_ids=serials,
        tolerance=LATE,
    )


def wechat_pay(secret: Secrets, *, serials: Sequence[str] = ()) -> Sender:
    """Return the sender WeChat Pay.

    Args:
        secret: WeChat Pay's public keys, or its platform certificates.
        serials: their ids (`PUB_KEY_ID_...`) or serial numbers, in their order; none to try each key.

    Raises:
        ConfigurationError: a key cannot work, or the extra `[ed25519]` is missing.
    """
    return Sender(
        name="wechat-pay",
        scheme=signature(secret, serials=serials),
        facts=(
            "wechatpayv3 2.0.4 for Python and wechatpay-node-v3 2.2.1 (of third parties), run in November 2026",
            "pay.weixin.qq.com/wiki/doc/apiv3/apis/chapter3_3_5.shtml: 200 or 204",
        ),
        event_name="event_type",
        delivery_id_path="id",
        responses=ResponseStatuses(stored=200),
    )


PRESETS = (
    Preset(
        "wechat-pay",
        "WeChat Pay",
        wechat_pay,
        signature,
        ("wechatpay-signature", "wechatpay-timestamp"),
        marks=("wechatpay-nonce",),
        example=RSA_KEY,
        page=Page(
            trade="payments",
            docs="pay.weixin.qq.com/wiki/doc/apiv3/apis/chapter3_3_5.shtml",
            setup=(
                "Each request to its API names the URL as notify_url. The key is WeChat Pay's public one, from the "
                "merchant platform, or its platform certificate."
            ),
            answer="200 or 204; else it is sent again.",
            traps=(
                "What happened is in resource, encrypted by AES-256-GCM: decrypt it in a handler, with the key of API "
                "v3.",
                "The same notification may come several times.",
            ),
            verified=("wechatpayv3 2.0.4 (Python), wechatpay-node-v3 2.2.1 (Node)", "2026-11-29"),
        ),
    ),
)
