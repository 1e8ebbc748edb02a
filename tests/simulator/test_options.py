"""The simulator's options: what could not work is rejected at once."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from webhook_receiver.errors import ConfigurationError
from webhook_receiver.simulator import SimulatorOptions


def test_options_show_no_password() -> None:
    assert "right" not in repr(SimulatorOptions(user="me", password=SecretStr("right")))


@pytest.mark.parametrize(
    "wrong",
    [{"expires_in": 0}, {"timeout": float("inf")}, {"stop": -1}, {"concurrency": 0}, {"retry": (1.0, -1.0)}],
)
def test_options_that_could_not_work_are_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        SimulatorOptions(**wrong)
