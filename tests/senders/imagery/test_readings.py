"""The readings of all providers: what a document may say of itself, and what a test may send."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from webhook_receiver import Event, ImageryEvent, ImageryFailed, ImageryReady, WebhookReceiver
from webhook_receiver.senders.imagery.events import Imagery, ProviderEvent, Reading
from webhook_receiver.senders.registry import presets
from webhook_receiver.testing import make, rehearse

NAMES = [
    name
    for name, each in presets().items()
    if name not in ("maxar-sns", "geopera")  # whose documents are in messages, and signed with their own names
    and ".imagery." in each.module
    and isinstance((sender := each.sender(each.example)).envelope or sender.decode, Reading)
]


def receiver(name: str) -> tuple[WebhookReceiver, list[type[ProviderEvent]]]:
    preset = presets()[name]
    hooks = WebhookReceiver(sender=preset.sender(preset.example))
    return hooks, [each for each in hooks.sender.events if issubclass(each, ProviderEvent)]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "skyfi-archive"])  # each of whose is ready
def test_a_document_in_the_words_of_all_providers_tells_nothing_of_itself(name: str) -> None:
    hooks, classes = receiver(name)
    for cls in classes:
        (word,) = get_args(cls.model_fields["event"].annotation)
        body = {"order_id": "made-up", "status": "made-up", "id": "made-up", "document": {}}
        (found,) = hooks.parse_all(json.dumps({"event": word, "body": body}).encode(), ())
        assert isinstance(found, ImageryEvent)
        assert not isinstance(found, ImageryReady | ImageryFailed)
        assert "made-up" not in (found.order_id, found.delivery_id, found.status)


@pytest.mark.parametrize("name", [*(name for name in NAMES if name != "skywatch"), "geopera"])  # which has no words
async def test_an_event_that_a_test_sends_is_the_one_that_a_handler_gets(name: str) -> None:
    hooks, classes = receiver(name)
    got: list[Event] = []
    hooks.on(ImageryEvent)(got.append)
    ends = [each for each in classes if issubclass(each, ImageryReady | ImageryFailed)]
    with rehearse(hooks) as webhooks:
        for cls in ends:
            word = "failed" if issubclass(cls, ImageryFailed) else "successful"
            target = f"/webhooks/job-1/{word}" if name == "ogc-processes" else "/webhooks"
            await webhooks.send(make(cls, body=Imagery(order_id="o-7")), target=target)
        await webhooks.drain()
    assert [type(each) for each in got] == ends
