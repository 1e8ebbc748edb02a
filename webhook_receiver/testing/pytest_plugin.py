"""The pytest plugin: the fixture `webhooks`. It imports nothing of the package until a test asks for that.

It is installed as a module of its own, `webhook_receiver_pytest`: as a module of the package it would import the whole
package into every run of pytest, before anybody can measure its coverage. `-p no:webhook_receiver` leaves it out.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

pytest.register_assert_rewrite(*(f"webhook_receiver.testing.{kind}_suite" for kind in ("inbox", "scheme", "sender")))


@pytest.fixture
def webhook_receiver_under_test() -> Any:
    """The receiver that `webhooks` rehearses: override this in your conftest.py or test module."""
    pytest.fail(
        "webhooks does not know your receiver. Say which one it is, in conftest.py:\n\n"
        "    @pytest.fixture\n"
        "    def webhook_receiver_under_test():\n"
        "        return hooks\n",
        pytrace=False,
    )


@pytest.fixture
def webhooks(webhook_receiver_under_test: Any) -> Generator[Any]:
    """A rehearsal of your receiver, `webhook_receiver.testing.Rehearsal`: its handlers, another inbox, a clock."""
    from webhook_receiver.testing import rehearse

    with rehearse(webhook_receiver_under_test) as rehearsal:
        yield rehearsal
