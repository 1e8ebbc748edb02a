"""Every sender of the catalogue is held to the contract of senders."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import pytest

from webhook_receiver import Sender
from webhook_receiver.senders.registry import presets
from webhook_receiver.testing.sender_suite import SenderSuite

SPELT_FREELY = {"up42": frozenset({"signature"})}  # any label will do
A_PLACE_EACH = {"box", "docusign"}


@pytest.mark.parametrize("name", [*presets()])
class TestCatalogue(SenderSuite):
    @pytest.fixture(autouse=True)
    def choose(self, name: str) -> None:
        self.preset = presets()[name]
        first = self.preset.example
        self.secrets = (first, first[:-1] + ("B" if first[-1] != "B" else "C"))
        self.spelt_freely = SPELT_FREELY.get(name, frozenset())
        tolerance = inspect.signature(self.preset.sender).parameters.get("tolerance")
        self.body = self.body_of(self.secrets)
        self.past = self.future = None if tolerance is None else tolerance.default

    def sender(self, secrets: Sequence[str]) -> Sender:
        return self.preset.sender(secrets)

    def body_of(self, secrets: Sequence[str]) -> bytes:
        example = self.preset.example.encode()
        return self.preset.body.replace(example, secrets[0].encode()) if example in self.preset.body else self.body

    async def test_while_the_secret_is_changed_both_are_taken(self) -> None:
        if self.preset.name in A_PLACE_EACH:
            pytest.skip("each secret signs at a place of its own, so none is told without the other")
        await super().test_while_the_secret_is_changed_both_are_taken()
