from __future__ import annotations

import pytest

from tests.helpers import NOW
from webhook_receiver import ConfigurationError, MissingSignature, NoPushes, WebhookReceiver
from webhook_receiver.delivery import RequestHead
from webhook_receiver.signatures import Scheme


@pytest.mark.parametrize("headers", [None, {"authorization": "Bearer x"}, {"signature": "x", "signature-input": "y"}])
async def test_nobody_gets_in(headers: dict[str, str] | None) -> None:
    hooks = WebhookReceiver(scheme=NoPushes())
    receipt = await hooks.receive(headers, b'{"event": "order.status"}')
    assert receipt.response.status == 401
    assert isinstance(receipt.error, MissingSignature)


def test_it_is_a_scheme_that_cannot_sign() -> None:
    scheme: Scheme = NoPushes()
    with pytest.raises(ConfigurationError, match="delivers nothing: it is polled"):
        scheme.sign(RequestHead.of(None), b"", NOW)
